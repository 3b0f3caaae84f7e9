"""The local Slack as a process or, for tests, as a thread of the same process. Listens on 127.0.0.1 only."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from aiohttp import web

from dev.local_slack import files, responses
from dev.local_slack.admin import Admin
from dev.local_slack.core import Core
from dev.local_slack.exchange import Exchange
from dev.local_slack.page import Page
from dev.local_slack.seed import SEED, Manifest, build_workspace, read_seed
from dev.local_slack.sockets import Sockets
from dev.local_slack.webapi import WebApi

HOST = "127.0.0.1"


def build_core(manifest: Path, *, seed: Path | None = None, rate_limits: bool = True) -> Core:
    core = Core(build_workspace(Manifest.read(manifest), read_seed(seed) if seed else SEED))
    core.rates.enabled = rate_limits
    return core


def build_app(core: Core, sockets: Sockets) -> web.Application:
    exchange = Exchange(core)
    api, admin = WebApi(core, sockets, exchange), Admin(core, sockets, exchange)

    async def respond(request: web.Request) -> web.StreamResponse:
        return await responses.handle(core, exchange, request)

    async def download(request: web.Request) -> web.StreamResponse:
        return files.send(core, request)

    app = web.Application(client_max_size=files.LARGEST_FILE_BYTES + 64 * 1024)
    app.router.add_route("*", "/api/{method}", api.handle)
    app.router.add_get("/link/", sockets.handle)
    app.router.add_post("/response/{id}", respond)
    app.router.add_post("/upload/v1/{file}", api.upload)
    app.router.add_get("/files/{file}", download)
    app.router.add_post("/admin/{action}", admin.handle)
    Page(core).add_to(app)
    return app


async def serve(core: Core, port: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Listen until `stop` is set. `core.url` is known when `ready` is called."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    core.url = f"http://{HOST}:{listener.getsockname()[1]}"
    sockets = Sockets(core)
    runner = web.AppRunner(build_app(core, sockets), access_log=None, shutdown_timeout=0.3)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        ready()
        await stop.wait()
    finally:
        core.changes.close()
        await sockets.stop()
        await runner.cleanup()


class LocalSlackServer:
    """`with LocalSlackServer(manifest=path) as server: LocalSlack(server.url)`"""

    def __init__(
        self, manifest: Path, *, port: int = 0, seed: Path | None = None, rate_limits: bool = True
    ) -> None:
        self._core = build_core(manifest, seed=seed, rate_limits=rate_limits)
        self._port = port
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="local-slack", daemon=True
        )

    @property
    def core(self) -> Core:
        """The state, for whoever sets a stage in the same process."""
        return self._core

    @property
    def url(self) -> str:
        return self._core.url

    def start(self) -> "LocalSlackServer":
        self._thread.start()
        self._ready.wait(10)
        if not self._core.url:
            raise RuntimeError("the local Slack did not start")
        return self

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await serve(self._core, self._port, self._ready.set, self._stop)
        finally:
            self._ready.set()

    def __enter__(self) -> "LocalSlackServer":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

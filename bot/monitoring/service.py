"""``/healthz``, ``/readyz`` and ``/metrics`` of one service, on one port.

Of several processes of a service one has the port, whichever locks the service's folder first, and answers
for all. A port that another program has is asked for again and again: at a deploy the release before may
still have it for a while. Monitoring that can't begin never keeps a copy from running.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from bot.monitoring.health import (
    WRITE_SECONDS,
    OtherThreads,
    Readiness,
    SharedHealth,
    ThreadHealth,
    own_threads,
)
from bot.periodic import PeriodicThread

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

#: Seconds between two tries to get the port.
RETRY_SECONDS = 2.0
#: So many are answered at once; whoever comes beside them is let go.
AT_ONCE = 32
#: A client that sends or takes nothing for so long is let go, in seconds.
CLIENT_SECONDS = 10.0


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds: they are no news."""


class Monitoring:
    """Started and stopped with the process."""

    def __init__(
        self,
        host: str,
        port: int,
        process: str,
        readiness: Readiness,
        registry: CollectorRegistry,
        *,
        shared: SharedHealth | None = None,
        others: OtherThreads = dict,
        dispose: Callable[[], None] = lambda: None,
    ) -> None:
        """``process`` is what runs here, ``shared`` the folder of a service that may be several of them.

        ``others`` are threads that aren't ours. ``dispose`` lets go what the checks held.
        """
        self._host = host
        self._port = port
        self._process = process
        self._readiness = readiness
        self._metrics = make_wsgi_app(registry)
        self._shared = shared
        self._others = others
        self._dispose = dispose
        self._lock_file: int | None = None
        self._server: WSGIServer | None = None
        self._said: str | None = None
        # `/healthz` and the metrics show the thread by this name.
        self._reports = PeriodicThread(
            "vitals", self._write, every_seconds=WRITE_SECONDS, at_once=True, passing=(OSError,)
        )
        self._port_opener = PeriodicThread("health-port", self._open, every_seconds=RETRY_SECONDS)

    @property
    def port(self) -> int | None:
        """The port on which this process answers; None while it doesn't."""
        return self._server.server_port if self._server is not None else None

    def start(self) -> None:
        """Answers when it returns, where the port is free."""
        if self._shared is not None:
            self._reports.start()
        self._port_opener.call()
        self._port_opener.start()

    def stop(self) -> None:
        self._port_opener.stop(CLIENT_SECONDS)
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._shared is not None:
            self._reports.stop(CLIENT_SECONDS)
            self._shared.leave()
        if self._lock_file is not None:
            os.close(self._lock_file)
        self._dispose()

    # ------------------------------------------------------------------------------------------ the answers

    def answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application."""
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answered: Iterable[bytes] = self._metrics(environ, start_response)
            return answered
        if path == "/healthz":
            found = [{"name": each.name, "ok": each.ok, "says": each.says} for each in self._threads()]
        elif path == "/readyz":
            found = [
                {"name": each.name, "ok": each.ok, "ms": round(each.ms, 1), "says": each.says}
                for each in self._readiness.results()
            ]
        else:
            return _respond(start_response, "404 Not Found", {"error": "see /healthz, /readyz and /metrics"})
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            return _respond(start_response, "405 Method Not Allowed", {"error": "use GET"})
        ok = all(each["ok"] for each in found)
        body = {
            "status": "ok" if ok else "failing",
            "process": self._process,
            "version": version("traspaso"),
            "checks": found,
        }
        return _respond(start_response, "200 OK" if ok else "503 Service Unavailable", body)

    def _threads(self) -> list[ThreadHealth]:
        if self._shared is None:
            return own_threads(self._others)
        self._write()
        return self._shared.of_all()

    def _write(self) -> None:
        if self._shared is not None:
            self._shared.write(own_threads(self._others))

    # --------------------------------------------------------------------------------------------- the port

    def _open(self) -> None:
        if self._server is not None or not self._has_lock():
            return
        try:
            server = make_server(self._host, self._port, self.answer, _server_at(self._host), _Handler)
        except (OSError, OverflowError) as error:
            self._say(
                f"nobody can see how this {self._process} is: HEALTH_HOST {self._host} and port {self._port} "
                f"can't be had ({getattr(error, 'strerror', None) or type(error).__name__}); "
                f"it is tried again every {RETRY_SECONDS:.0f} s"
            )
            return
        self._said = None
        self._server = server
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        log.info("http://%s:%s has /healthz, /readyz and /metrics", self._host, server.server_port)

    def _say(self, sentence: str) -> None:
        """Once, until it is another one."""
        if sentence != self._said:
            log.error("%s", sentence)
        self._said = sentence

    def _has_lock(self) -> bool:
        """Whether this process of the service answers for all of them."""
        if self._shared is None or self._lock_file is not None:
            return True
        file = os.open(self._shared.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._lock_file = file
        return True


def _server_at(host: str) -> type[WSGIServer]:
    class Server(ThreadingWSGIServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        room = threading.BoundedSemaphore(AT_ONCE)

        def process_request(self, request: Any, client_address: Any) -> None:
            if not self.room.acquire(blocking=False):
                self.shutdown_request(request)
                return
            super().process_request(request, client_address)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                self.room.release()

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away, or sent what isn't HTTP."""
            log.debug("a probe was not answered", exc_info=True)

        def server_bind(self) -> None:
            """Without asking for the host's full name, which may take long."""
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()
            self.server_name, self.server_port = host, self.server_address[1]
            self.setup_environ()

    return Server


def _respond(start_response: StartResponse, status: str, body: object) -> Iterable[bytes]:
    text = json.dumps(body, ensure_ascii=False, indent=1).encode() + b"\n"
    start_response(
        status,
        [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Content-Length", str(len(text))),
            ("Cache-Control", "no-store"),
        ],
    )
    return [text]

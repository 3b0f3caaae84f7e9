"""The local Slack's face: a page for each person, what it asks for, and the one stream that tells it of
changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from aiohttp import web

from dev.local_slack.core import Core
from dev.local_slack.feed import Feed
from dev.local_slack.jsontypes import Json
from dev.local_slack.render.hood import pretty
from dev.local_slack.render.places import people_of

STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
#: A silent stream says something now and then, so that a dead one is noticed.
KEEP_ALIVE_SECONDS = 15.0
LOCAL_NAMES = {"127.0.0.1", "localhost"}
#: With what the name of a Web API method that only reads ends; the others are called by POST.
READS = ("test", "info", "list", "members", "history", "replies", "getPermalink", "getUploadURLExternal")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def front_door(core: Core) -> str:
    """Where a person begins: as the first admin, in the first channel."""
    people = people_of(core)
    first = next((user for user in people if user.is_admin), people[0])
    return f"{core.url}/as/{first.id}/{next(iter(core.ws.channels))}"


class Page:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._run = secrets.token_hex(4)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self._enter)
        app.router.add_get("/as/{user}", self._shell)
        app.router.add_get("/as/{user}/{place}", self._shell)
        app.router.add_get("/page/{user}/boot", self._boot)
        app.router.add_get("/page/{user}/history/{channel}", self._history)
        app.router.add_get("/page/{user}/thread/{channel}/{ts}", self._thread)
        app.router.add_get("/page/{user}/home", self._home)
        app.router.add_get("/page/{user}/stream", self._stream)
        app.router.add_get("/page/{user}/{kind:call|envelope}/{id}", self._detail)
        app.router.add_static("/static", STATIC)
        app.middlewares.append(guarded)

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(front_door(self._core))

    async def _shell(self, request: web.Request) -> web.StreamResponse:
        user = self._core.ws.users.get(request.match_info["user"])
        if user is None:
            raise web.HTTPNotFound(text="There is no such person in this workspace.")
        text = (STATIC / "index.html").read_text("utf-8").replace('lang="en"', f'lang="{user.locale[:2]}"')
        return web.Response(text=text, content_type="text/html")

    async def _boot(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({**self._feed(request).boot(), "run": self._run})

    async def _history(self, request: web.Request) -> web.StreamResponse:
        channel, before = request.match_info["channel"], request.query.get("before")
        return self._answer(lambda: self._feed(request).history(channel, before))

    async def _thread(self, request: web.Request) -> web.StreamResponse:
        channel, ts = request.match_info["channel"], request.match_info["ts"]
        return self._answer(lambda: self._feed(request).thread(channel, ts))

    async def _home(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._feed(request).home())

    async def _detail(self, request: web.Request) -> web.StreamResponse:
        ws, wanted = self._core.ws, request.match_info["id"]
        known: list[Json] = (
            [asdict(call) for call in ws.calls if str(call.seq) == wanted]
            if request.match_info["kind"] == "call"
            else [asdict(envelope) for envelope in ws.envelopes if envelope.id == wanted]
        )
        if not known:
            raise web.HTTPNotFound()
        hidden = {"user_or_token"}
        return web.Response(text=pretty({k: v for k, v in known[0].items() if k not in hidden}))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: an array of changes at a time, numbered so that a lost line is picked up."""
        feed, changes = self._feed(request), self._core.changes
        last = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        seq = int(last) if last.isdecimal() and request.query.get("run") == self._run else -1
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while not changes.closed:
                topics = changes.since(seq)
                seq = changes.seq
                events = [{"kind": "reload"}] if topics is None else feed.events(topics)
                if events or topics == []:
                    data = f"id: {seq}\ndata: {json.dumps(events)}\n\n" if events else ": still here\n\n"
                    await response.write(data.encode())
                await changes.wait(seq, KEEP_ALIVE_SECONDS)
        return response

    def _feed(self, request: web.Request) -> Feed:
        user = self._core.ws.users.get(request.match_info["user"])
        if user is None:
            raise web.HTTPNotFound(text="There is no such person in this workspace.")
        return Feed(self._core, user, request.query.get("born", ""))

    @staticmethod
    def _answer(make: Callable[[], Json]) -> web.StreamResponse:
        try:
            return web.json_response(make())
        except LookupError as error:
            return web.json_response({"error": str(error)}, status=404)


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No other site may act here through somebody's browser, and our page loads nothing from elsewhere."""
    if request.url.host not in LOCAL_NAMES:  # a name of somebody else's that leads here
        raise web.HTTPForbidden(text="The local Slack answers to 127.0.0.1 and localhost only.")
    method = request.match_info.get("method")
    if request.method != "POST" and method is not None and not method.endswith(READS):
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    origin = request.headers.get("Origin")
    if origin is not None and (origin != f"http://{request.host}" or request.url.host not in LOCAL_NAMES):
        raise web.HTTPForbidden(text="Only the local Slack's own page may ask this.")
    response = await handler(request)
    if not response.prepared:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
    return response

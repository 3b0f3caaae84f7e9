"""The door of the Web API: faults first, then the token, the rate limit, the scopes and the method itself.
Every call is written down with its answer."""

import asyncio
import time

from aiohttp import web

from dev.slack import chat, conversations, files, people, pins, views
from dev.slack.access import need_scope
from dev.slack.args import Args, read_args
from dev.slack.core import Core
from dev.slack.errors import RateLimited, SlackError
from dev.slack.jsontypes import Json
from dev.slack.method import Method
from dev.slack.sockets import Sockets
from dev.slack.state import Call, Fault

DROPPED = 0


def auth_test(core: Core, args: Args) -> Json:
    return {
        "ok": True,
        "url": f"https://{core.ws.team.domain}.slack.com/",
        "team": core.ws.team.name,
        "user": core.ws.users[core.bot].name,
        "team_id": core.ws.team.id,
        "user_id": core.bot,
        "bot_id": core.ws.app.bot_id,
        "is_enterprise_install": False,
    }


class WebApi:
    def __init__(self, core: Core, sockets: Sockets) -> None:
        self._core = core
        self._methods: dict[str, Method] = {
            "auth.test": Method(auth_test),
            **sockets.methods,
            **chat.METHODS,
            **pins.METHODS,
            **people.METHODS,
            **conversations.METHODS,
            **views.METHODS,
            **files.METHODS,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        started, at = time.monotonic(), self._core.clock.now()
        args, token, headers = Args({}), "", {}
        fault: Fault | None = None
        status = 200
        try:
            args = await read_args(request)
            token = _token(request, args)
            fault = self._take_fault(name, args)
            if fault is not None and fault.delay:
                await asyncio.sleep(fault.delay)
            body = _faulty(fault) or self._run(name, args, token)
        except SlackError as error:
            body = error.body()
            if isinstance(error, RateLimited):
                status, headers = 429, {"Retry-After": str(error.retry_after_seconds)}
        if fault is not None and fault.status is not None:
            status = fault.status
            if fault.retry_after is not None or status == 429:
                headers = {"Retry-After": str(fault.retry_after or 1)}
        if fault is not None and fault.accept_then_drop:
            status = DROPPED
        self._write_down(name, at, args, token, status, body, time.monotonic() - started)
        if status == DROPPED:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        if token == self._core.ws.app.bot_token:
            headers["x-oauth-scopes"] = ",".join(self._core.ws.scopes)
        return web.json_response(body, status=status, headers=headers)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """The middle step of an upload goes to an address of its own; a fault knows it as `upload`."""
        started, at = time.monotonic(), self._core.clock.now()
        args = Args({"file": request.match_info["file"]})
        fault = self._take_fault("upload", args)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        answer = (
            await files.receive(self._core, request)
            if fault is None or fault.status is None
            else web.Response(status=fault.status, text="upload failed")
        )
        body: Json = {"ok": answer.status == 200, "answer": answer.text}
        self._write_down("upload", at, args, "", answer.status, body, time.monotonic() - started)
        return answer

    def record_response_url(self, args: Args, status: int, body: Json, seconds: float) -> None:
        """Uses of a response_url stand in the same book, as method `response_url`."""
        self._write_down("response_url", self._core.clock.now(), args, "", status, body, seconds)

    def _run(self, name: str, args: Args, token: str) -> Json:
        core = self._core
        method = self._methods.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        self._check_token(method, token)
        core.rates.check(name, args.text("channel"))
        need_scope(core, *method.scopes)
        return method.run(core, args)

    def _check_token(self, method: Method, token: str) -> None:
        app = self._core.ws.app
        if not token:
            raise SlackError("not_authed")
        if token not in (app.bot_token, app.app_token):
            raise SlackError("invalid_auth")
        if self._core.ws.token_error is not None:
            raise SlackError(self._core.ws.token_error)
        if (token == app.app_token) != method.app_token:
            raise SlackError("not_allowed_token_type")

    def _take_fault(self, name: str, args: Args) -> Fault | None:
        for fault in self._core.ws.faults:
            fits = all(str(args.values.get(key)) == str(value) for key, value in fault.match.items())
            if fault.method in (name, "*") and fits:
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._core.ws.faults.remove(fault)
                self._core.changes.ring("faults")
                return fault
        return None

    def _write_down(
        self, name: str, at: float, args: Args, token: str, status: int, body: Json, seconds: float
    ) -> None:
        calls = self._core.ws.calls
        sent = {key: value for key, value in args.values.items() if key != "token"}
        calls.append(Call(len(calls) + 1, at, name, token, sent, status, body, seconds))
        self._core.changes.ring("call", str(len(calls)))


def _token(request: web.Request, args: Args) -> str:
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ").strip() or args.text("token") or ""


def _faulty(fault: Fault | None) -> Json | None:
    """The answer of a fault that replaces the call; None when the call is still made."""
    if fault is None or (fault.error is None and fault.status is None):
        return None
    if fault.error is not None:
        return {"ok": False, "error": fault.error}
    return {"ok": False, "error": "ratelimited" if fault.status == 429 else "internal_error"}

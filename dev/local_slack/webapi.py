"""The door of the Web API: faults first, then the token, the rate limit, the scopes and the method itself."""

import asyncio

from aiohttp import web

from dev.local_slack import chat, conversations, files, people, pins, views
from dev.local_slack.access import need_scope
from dev.local_slack.args import Args, read_args
from dev.local_slack.core import Core
from dev.local_slack.errors import SlackError
from dev.local_slack.exchange import Answer, Arrival, Exchange, Work
from dev.local_slack.jsontypes import Json
from dev.local_slack.method import Method
from dev.local_slack.sockets import Sockets


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


def apps_manifest_export(core: Core, args: Args) -> Json:
    """The manifest as it was installed; a configuration token asks for it."""
    if args.need("app_id", "invalid_app_id") != core.ws.app.id:
        raise SlackError("invalid_app_id")
    return {"ok": True, "manifest": core.ws.manifest}


class WebApi:
    def __init__(self, core: Core, sockets: Sockets, exchange: Exchange) -> None:
        self._core = core
        self._exchange = exchange
        self._methods: dict[str, Method] = {
            "auth.test": Method(auth_test),
            "apps.manifest.export": Method(apps_manifest_export, config_token=True),
            **sockets.methods,
            **chat.METHODS,
            **pins.METHODS,
            **people.METHODS,
            **conversations.METHODS,
            **views.METHODS,
            **files.METHODS,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        arrival = Arrival(request, request.match_info["method"], self._core.clock.now())
        try:
            arrival.args = await read_args(request)
        except SlackError as error:
            self._exchange.write(arrival, 200, error.body())
            return web.json_response(error.body())
        arrival.token = _token(request, arrival.args)
        answer = await self._exchange.carry_out(arrival, lambda: self._admit(arrival))
        if answer is None:
            return web.Response(status=500)  # nobody is there to read it
        if arrival.token == self._core.ws.app.bot_token:
            answer.headers["x-oauth-scopes"] = ",".join(self._core.ws.scopes)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """The middle step of an upload goes to an address of its own; a fault knows it as `upload`."""
        args = Args({"file": request.match_info["file"]})
        arrival = Arrival(request, "upload", self._core.clock.now(), args)
        fault = self._exchange.take("upload", args.values)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        answer = (
            await files.receive(self._core, request)
            if fault is None or fault.status is None
            else web.Response(status=fault.status, text="upload failed")
        )
        self._exchange.write(arrival, answer.status, {"ok": answer.status == 200, "answer": answer.text})
        return answer

    def _admit(self, arrival: Arrival) -> Work:
        """Past the door: what is refused there is refused at once, even where the rest happens late."""
        core, name = self._core, arrival.method
        method = self._methods.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        self._check_token(method, arrival.token)
        core.rates.check(name, arrival.args.text("channel"))
        need_scope(core, *method.scopes)
        return lambda: Answer(200, method.run(core, arrival.args))

    def _check_token(self, method: Method, token: str) -> None:
        app = self._core.ws.app
        if not token:
            raise SlackError("not_authed")
        if token not in (app.bot_token, app.app_token, app.config_token):
            raise SlackError("invalid_auth")
        if self._core.ws.token_error is not None:
            raise SlackError(self._core.ws.token_error)
        own = (token == app.app_token, token == app.config_token)
        if own != (method.app_token, method.config_token):
            raise SlackError("not_allowed_token_type")


def _token(request: web.Request, args: Args) -> str:
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ").strip() or args.text("token") or ""

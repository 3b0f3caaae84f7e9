"""The local Slack from the outside: people who type and press, fate that interferes, books to read.
Everything here blocks; nothing here sleeps and hopes."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from dev.local_slack.jsontypes import Json
from dev.local_slack.report import describe
from dev.local_slack.results import Call, Envelope, Interaction, Kind, Message, NotPossible, View

T = TypeVar("T")
_RECHECK_SECONDS = 1.0
#: What a response_url says with each status.
_REFUSALS = {401: "invalid_auth", 404: "expired_url", 429: "ratelimited", 500: "internal_error"}

_message, _view, _call, _envelope = Kind(Message), Kind(View), Kind(Call), Kind(Envelope)
_interaction = Kind(Interaction)


class LocalSlack:
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # Certificates, which plain HTTP has no use for, take longer to read than all calls of a short test.
        self._http = httpx.Client(base_url=self.url, timeout=40.0, trust_env=False, verify=False)
        app = self.ask("info")["app"]
        self.bot_token: str = app["bot_token"]
        self.app_token: str = app["app_token"]
        self.signing_secret: str = app["signing_secret"]
        self.bot_user: str = app["bot_user"]
        self.api_url = f"{self.url}/api/"

    def close(self) -> None:
        self._http.close()

    def ask(self, action: str, **body: Any) -> Any:
        """One action of the admin API."""
        answer = self._http.post(f"/admin/{action}", json=body)
        content = answer.json()
        if answer.status_code != 200:
            raise NotPossible(content["error"])
        return content["result"]

    def user(self, user_id: str) -> "Person":
        return Person(self, user_id)

    # -- books

    def pins(self, channel: str) -> list[Message]:
        """Oldest pin first."""
        return [_message(m) for m in self.ask("pins", channel=channel)]

    def calls(self, method: str | None = None, since: int = 0) -> list[Call]:
        """Those after the call of the number ``since``."""
        return [_call(c) for c in self.ask("calls", method=method, since=since)]

    def last_call(self) -> int:
        """The number of the newest call, 0 before the first."""
        return int(self.ask("last_call"))

    def envelopes(self) -> list[Envelope]:
        return [_envelope(e) for e in self.ask("envelopes")]

    def download(self, file: Json) -> bytes:
        """The content of a file in a message."""
        answer = self._http.get(file["url_private"])
        if answer.status_code != 200:
            raise NotPossible(answer.text)
        return answer.content

    def snapshot(self) -> Json:
        snapshot: Json = self.ask("snapshot")
        return snapshot

    # -- waiting

    def wait_for(self, fn: Callable[[], T | None], timeout: float = 60.0) -> T:
        """The first truthy result of `fn`, asked again whenever something changed here (and once a second,
        should it look at something else). A LookupError means "not yet"."""
        deadline = time.monotonic() + timeout
        problem: LookupError | None = None
        while True:
            seq = self.ask("changes")["seq"]
            try:
                result = fn()
                problem = None
            except LookupError as error:
                result, problem = None, error
            if result:
                return result
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.ask("changes", since=seq, timeout=min(left, _RECHECK_SECONDS))
        last = f"; the last look raised {problem!r}" if problem else ""
        raise AssertionError(
            f"not within {timeout:g} s{last}\n{describe(self.snapshot(), self.calls())}"
        ) from problem

    def wait_connected(self, timeout: float = 60.0, connections: int = 1) -> None:
        self.wait_for(lambda: self.ask("sockets")["connected"] >= connections, timeout)

    # -- fate

    def fault(
        self,
        method: str,
        *,
        error: str | None = None,
        status: int | None = None,
        retry_after: int | None = None,
        delay: float = 0.0,
        accept_then_drop: bool = False,
        hang: bool = False,
        applied_after: float | None = None,
        times: int | None = 1,
        match: Json | None = None,
    ) -> int:
        """The next `times` calls (None: all) of `method` ("*": any of the Web API) whose arguments `match` go
        wrong so. `match` knows the `channel` by id, name or the person it is shared with, and the message as
        `ts`, whatever the method calls them; and as `block` a type of block among those that are sent.

        With `applied_after` the call is carried out so many seconds after it came, though the client may have
        gone: it is answered then, or at once with `error` or `status`, or never with `hang` or
        `accept_then_drop`. Returns the number of the fault."""
        return int(
            self.ask(
                "fault",
                method=method,
                error=error,
                status=status,
                retry_after=retry_after,
                delay=delay,
                accept_then_drop=accept_then_drop,
                hang=hang,
                applied_after=applied_after,
                times=times,
                match=match or {},
            )
        )

    def refuse_response_urls(
        self,
        status: int = 404,
        *,
        error: str | None = None,
        retry_after: int | None = None,
        user: str | None = None,
        channel: str | None = None,
        times: int | None = None,
    ) -> int:
        """The next `times` uses (None: all) of a response_url, of this user's and channel's only if they are
        given, are answered with `status` and change nothing."""
        match = {"user": user, "channel": channel}
        return self.fault(
            "response_url",
            status=status,
            error=error or _REFUSALS.get(status),
            retry_after=retry_after,
            times=times,
            match={key: value for key, value in match.items() if value is not None},
        )

    def faults(self) -> list[Json]:
        """Those that are set, with their `id` and what is left of their `times`."""
        found: list[Json] = self.ask("faults")
        return found

    def remove_fault(self, fault: int) -> bool:
        """By the number that `fault` returned; False where it is there no more."""
        return bool(self.ask("remove_fault", id=fault))

    def clear_faults(self) -> None:
        self.ask("clear_faults")

    def held_calls(self, method: str | None = None) -> list[Call]:
        """Those that came, and are to be carried out later."""
        return [call for call in self.calls(method) if call.held and call.applied_at is None]

    def apply_held(self) -> int:
        """Carry them out now, in the order in which they came; how many they were."""
        return int(self.ask("apply_held"))

    def faults_left(self) -> int:
        """How many are still to come: a slow call has left with its fault as soon as it arrived."""
        return int(self.ask("faults_left"))

    def disconnect_sockets(self, reason: str | None = "warning") -> None:
        """With a reason Slack says goodbye first; with None the wire is cut."""
        self.ask("disconnect_sockets", reason=reason)

    def use_request_url(self, url: str | None) -> None:
        """HTTP mode from now on: what people do comes to this URL. None leads back to Socket Mode."""
        self.ask("use_request_url", url=url)

    def sign(self, body: str) -> dict[str, str]:
        """The headers with which Slack would sign this body now."""
        signed: dict[str, str] = self.ask("sign", body=body)
        return signed

    def answered(self) -> list[int]:
        """The status of each answer of the request URL, also to what came twice."""
        statuses: list[int] = self.ask("answered")
        return statuses

    def duplicate_next_envelope(self) -> None:
        """The next envelope comes twice; in HTTP mode the same request, byte for byte."""
        self.ask("duplicate_next_envelope")

    def revoke_token(self, error: str = "token_revoked") -> None:
        self.ask("revoke_token", error=error)

    def restore_token(self) -> None:
        self.ask("restore_token")

    def set_scopes(self, scopes: list[str]) -> list[str]:
        before: list[str] = self.ask("set_scopes", scopes=scopes)
        return before

    def set_manifest(self, manifest: Json) -> Json:
        """What a configuration token is given; returns the one from before."""
        before: Json = self.ask("set_manifest", manifest=manifest)
        return before

    def archive(self, channel: str, archived: bool = True) -> None:
        self.ask("archive", channel=channel, archived=archived)

    def delete_message(self, channel: str, ts: str) -> None:
        self.ask("delete_message", channel=channel, ts=ts)

    def unpin(self, channel: str, ts: str) -> None:
        self.ask("unpin", channel=channel, ts=ts)

    def add_pins(self, channel: str, n: int) -> None:
        self.ask("add_pins", channel=channel, n=n)

    def kick_bot(self, channel: str) -> None:
        self.ask("kick", channel=channel)

    def invite_bot(self, channel: str) -> None:
        self.ask("invite", channel=channel)

    def add_to_group(self, user: str, group: str = "S0ADMINS") -> None:
        self.ask("add_to_group", user=user, group=group)

    def remove_from_group(self, user: str, group: str = "S0ADMINS") -> None:
        self.ask("remove_from_group", user=user, group=group)

    def add_group(self, id: str, handle: str, users: list[str]) -> None:
        self.ask("add_group", id=id, name=handle, handle=handle, users=users)

    def disable_group(self, group: str = "S0ADMINS") -> None:
        self.ask("disable_group", group=group)

    def disable_usergroups(self, error: str | None = "plan_upgrade_required") -> None:
        self.ask("disable_usergroups", error=error)

    def add_user(self, id: str, name: str, real_name: str, **more: Any) -> "Person":
        self.ask("add_user", id=id, name=name, real_name=real_name, **more)
        return self.user(id)

    def add_channel(self, id: str, name: str, members: list[str], **more: Any) -> None:
        self.ask("add_channel", id=id, name=name, members=members, **more)

    def skew_signatures(self, seconds: float) -> None:
        """Signs requests as if it were so many seconds later."""
        self.ask("skew_signatures", seconds=seconds)

    def advance_clock(self, seconds: float) -> None:
        """Moves triggers, response urls and rate limits on; the 3 s of an ack run on real time."""
        self.ask("advance_clock", seconds=seconds)

    def rate_limits(self, enabled: bool = True, scale: float = 1.0) -> None:
        self.ask("rate_limits", enabled=enabled, scale=scale)


class Person:
    """Somebody in the workspace. Sees what they see in Slack, can do what they can do there."""

    def __init__(self, slack: LocalSlack, user_id: str) -> None:
        self._slack = slack
        self.id = user_id
        self.dm = "D" + user_id.removeprefix("U")

    def messages(self, channel: str) -> list[Message]:
        return [_message(m) for m in self._ask("messages", channel=channel)]

    def thread(self, channel: str, ts: str) -> list[Message]:
        return [_message(m) for m in self._ask("thread", channel=channel, ts=ts)]

    def command(self, line: str, channel: str, thread_ts: str | None = None) -> Interaction:
        return _interaction(self._ask("command", line=line, channel=channel, thread_ts=thread_ts))

    def press(
        self,
        where: Message | View,
        wanted: str,
        *,
        value: Any = None,
        block_id: str | None = None,
        stale: bool = False,
        values: Json | None = None,
    ) -> Interaction:
        """`wanted` is an action id or the visible text. `value` tells buttons of one name apart, and is what
        to choose in a menu. `stale` presses what was on the screen when `where` was read. `values` is what
        stands in the inputs around it, by action id."""
        body: Json = {"wanted": wanted, "value": value, "block_id": block_id, "values": values or {}}
        if isinstance(where, View):
            body["view_id"] = where.id
        else:
            body |= {"channel": where.channel, "ts": where.ts}
            if stale:
                body["blocks"] = where.blocks
        return _interaction(self._ask("press", **body))

    def modal(self) -> View | None:
        view = self._ask("modal")
        return None if view is None else _view(view)

    def modals(self) -> list[View]:
        """All that are open, the one on top last."""
        return [_view(view) for view in self._ask("modals")]

    def home(self) -> View | None:
        view = self._ask("home")
        return None if view is None else _view(view)

    def submit(self, values: Json | None = None) -> Interaction:
        return _interaction(self._ask("submit", values=values or {}))

    def close_modal(self, everything: bool = False) -> Interaction:
        return _interaction(self._ask("close_modal", everything=everything))

    def options(self, action_id: str, query: str, where: Message | View | None = None) -> list[Json]:
        """What an external menu offers for `query`: in this message or view, or in the modal on top."""
        place: Json = {}
        if isinstance(where, Message):
            place = {"channel": where.channel, "ts": where.ts}
        elif where is not None:
            place = {"view_id": where.id}
        found: list[Json] = self._ask("options", action_id=action_id, query=query, **place)
        return found

    def open_home(self) -> View:
        view = self._ask("open_home")
        if view is None:
            raise NotPossible("the bot has published no home tab")
        return _view(view)

    def say(self, channel: str, text: str, thread_ts: str | None = None) -> str:
        """Write an ordinary message; returns its ts."""
        return str(self._ask("say", channel=channel, text=text, thread_ts=thread_ts))

    def dm_with(self, other: str) -> str:
        """The channel of the conversation with `other`; one's own id for that with oneself."""
        return str(self._ask("open_dm", other=other))

    def _ask(self, action: str, **body: Any) -> Any:
        return self._slack.ask(action, user=self.id, **body)

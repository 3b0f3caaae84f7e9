"""The admin API under /admin/: JSON in, JSON out, one action a path. Here are the hands of fate (faults,
clocks, people leaving) and the books (calls, envelopes); acting as a person is in `acting`."""

import inspect
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from dev.local_slack.acting import Acting, message_view, view_of
from dev.local_slack.core import Core
from dev.local_slack.delivery import Delivery
from dev.local_slack.errors import NotPossible
from dev.local_slack.exchange import Exchange
from dev.local_slack.jsontypes import Json
from dev.local_slack.pins import pin, unpin
from dev.local_slack.request_urls import RequestUrls
from dev.local_slack.seed import build_channel
from dev.local_slack.sockets import Sockets
from dev.local_slack.state import Channel, Fault, Group, User

Action = Callable[..., Awaitable[Any]]


class Admin:
    def __init__(self, core: Core, sockets: Sockets, exchange: Exchange) -> None:
        self._core = core
        self._sockets = sockets
        self._exchange = exchange
        self._request_urls = RequestUrls(core)
        self._numbers = itertools.count(1)
        own: dict[str, Action] = {
            name: method for name, method in inspect.getmembers(self) if not name.startswith("_")
        }
        own.pop("handle")
        self._actions: dict[str, Action] = {
            **own,
            **Acting(core, Delivery(core, sockets, self._request_urls)).actions,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        action = self._actions.get(request.match_info["action"])
        if action is None:
            return web.json_response({"error": "no such action"}, status=404)
        body: Json = await request.json() if request.can_read_body else {}
        try:
            bound = inspect.signature(action).bind(**body)
            return web.json_response({"result": await action(*bound.args, **bound.kwargs)})
        except (NotPossible, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)

    async def info(self) -> Any:
        ws = self._core.ws
        return {
            "url": self._core.url,
            "team": asdict(ws.team),
            "app": asdict(ws.app),
            "users": [asdict(user) for user in ws.users.values()],
            "commands": list(ws.commands),
            "scopes": ws.scopes,
            "now": self._core.clock.now(),
        }

    async def changes(self, since: str = "-1", timeout: str = "25") -> Any:
        return {"seq": await self._core.changes.wait(int(since), min(float(timeout), 60.0))}

    async def sockets(self) -> Any:
        return {"connected": self._sockets.count}

    async def use_request_url(self, url: str | None = None) -> Any:
        """HTTP mode, with this request URL; Socket Mode for None."""
        await self._request_urls.set(url)

    async def sign(self, body: str) -> Any:
        """The headers with which Slack would sign this body now."""
        return self._request_urls.signature(body)

    async def answered(self) -> Any:
        """The status of each answer of the request URL."""
        return self._core.ws.answered

    async def snapshot(self) -> Any:
        """Everything there is to see, for a page on top of this or for a report of what went wrong."""
        core = self._core
        return {
            "seq": core.changes.seq,
            "connected": self._sockets.count,
            "channels": [
                {
                    "id": channel.id,
                    "name": channel.name,
                    "is_private": channel.is_private,
                    "is_im": channel.is_im,
                    "is_archived": channel.is_archived,
                    "members": channel.members,
                    "messages": [message_view(core, message, None) for message in channel.messages.values()],
                }
                for channel in core.ws.channels.values()
            ],
            "modals": {user: [view_of(core, v) for v in stack] for user, stack in core.ws.modals.items()},
            "homes": {user: view_of(core, view) for user, view in core.ws.homes.items()},
        }

    async def pins(self, channel: str) -> Any:
        found = self._channel(channel)
        messages = [found.public_message(entry.ts) for entry in found.pins]
        return [message_view(self._core, message, None) for message in messages if message is not None]

    async def calls(self, method: str | None = None, since: int = 0) -> Any:
        calls = self._core.ws.calls
        return [asdict(c) for c in calls[max(0, int(since)) :] if method in (None, c.method)]

    async def last_call(self) -> Any:
        calls = self._core.ws.calls
        return calls[-1].seq if calls else 0

    async def envelopes(self) -> Any:
        return [asdict(envelope) for envelope in self._core.ws.envelopes]

    async def fault(self, **fault: Any) -> Any:
        """Its number, by which it can be taken away again."""
        added = Fault(**fault, id=next(self._numbers))
        if added.hang and added.accept_then_drop:
            raise NotPossible("a call either hangs or is dropped")
        self._core.ws.faults.append(added)
        self._core.changes.ring("faults")
        return added.id

    async def faults(self) -> Any:
        return [asdict(fault) for fault in self._core.ws.faults]

    async def remove_fault(self, id: int) -> Any:
        """False where it is there no more."""
        left = [fault for fault in self._core.ws.faults if fault.id != id]
        found = len(left) < len(self._core.ws.faults)
        self._core.ws.faults[:] = left
        self._core.changes.ring("faults")
        return found

    async def clear_faults(self) -> Any:
        self._core.ws.faults.clear()
        self._core.changes.ring("faults")

    async def apply_held(self) -> Any:
        """Carry out at once what a fault holds back; how many calls that were."""
        return await self._exchange.let_go()

    async def faults_left(self) -> Any:
        """How many faults no call has run into yet, or not often enough."""
        return len(self._core.ws.faults)

    async def disconnect_sockets(self, reason: str | None = None) -> Any:
        await self._sockets.disconnect(reason)

    async def duplicate_next_envelope(self) -> Any:
        self._sockets.duplicate_next_envelope()

    async def revoke_token(self, error: str = "token_revoked") -> Any:
        self._core.ws.token_error = error
        self._core.changes.ring("faults")

    async def restore_token(self) -> Any:
        self._core.ws.token_error = None
        self._core.changes.ring("faults")

    async def set_scopes(self, scopes: list[str]) -> Any:
        """As after a manifest with other scopes was installed; returns those from before."""
        before, self._core.ws.scopes = self._core.ws.scopes, scopes
        return before

    async def set_manifest(self, manifest: Json) -> Any:
        """What `apps.manifest.export` gives: the app was changed by hand; returns the one from before."""
        before, self._core.ws.manifest = self._core.ws.manifest, manifest
        return before

    async def archive(self, channel: str, archived: bool = True) -> Any:
        found = self._channel(channel)
        found.is_archived = archived
        self._core.changes.ring("channel", found.id)

    async def delete_message(self, channel: str, ts: str) -> Any:
        found = self._channel(channel)
        message = found.message(ts)
        if message is None:
            raise NotPossible(f"no message {ts} in {channel}")
        self._core.delete(found, message)

    async def unpin(self, channel: str, ts: str) -> Any:
        unpin(self._core, self._channel(channel), ts)

    async def add_pins(self, channel: str, n: int) -> Any:
        """`n` messages of somebody else, pinned."""
        found = self._channel(channel)
        author = next(user for user in found.members if user != self._core.bot)
        for number in range(n):
            message = self._core.post(found, user=author, text=f"Pinned note {number + 1}")
            pin(self._core, found, message.ts, author)

    async def fill(self, channel: str, n: int) -> Any:
        """`n` messages of somebody else, at once."""
        found = self._channel(channel)
        author = next(user for user in found.members if user != self._core.bot)
        for number in range(n):
            self._core.post(found, user=author, text=f"Message {number + 1:,}")

    async def kick(self, channel: str, user: str | None = None) -> Any:
        """Without a user it is the bot that has to go."""
        found = self._channel(channel)
        found.members = [member for member in found.members if member != (user or self._core.bot)]
        self._core.changes.ring("channel", found.id)

    async def invite(self, channel: str, user: str | None = None) -> Any:
        found = self._channel(channel)
        if (user or self._core.bot) not in found.members:
            found.members.append(user or self._core.bot)
        self._core.changes.ring("channel", found.id)

    async def add_to_group(self, user: str, group: str) -> Any:
        found = self._group(group)
        found.users = list(dict.fromkeys([*found.users, user]))

    async def remove_from_group(self, user: str, group: str) -> Any:
        found = self._group(group)
        found.users = [member for member in found.users if member != user]

    async def add_group(self, **group: Any) -> Any:
        added = Group(**group)
        self._core.ws.groups[added.id] = added

    async def disable_group(self, group: str) -> Any:
        self._group(group).disabled = True

    async def disable_usergroups(self, error: str | None = "plan_upgrade_required") -> Any:
        """None switches them on again."""
        self._core.ws.groups_error = error

    async def add_user(self, **user: Any) -> Any:
        added = User(**user)
        self._core.ws.users[added.id] = added
        self._core.changes.ring("people")

    async def add_channel(self, **channel: Any) -> Any:
        added = build_channel(channel)
        self._core.ws.channels[added.id] = added
        self._core.changes.ring("channel", added.id)

    async def advance_clock(self, seconds: float) -> Any:
        self._core.clock.advance(seconds)
        self._core.changes.ring("clock")

    async def skew_signatures(self, seconds: float) -> Any:
        self._core.ws.app.signature_skew = seconds

    async def rate_limits(self, enabled: bool = True, scale: float = 1.0) -> Any:
        self._core.rates.enabled = enabled
        self._core.rates.scale = scale
        self._core.rates.reset()

    def _channel(self, name_or_id: str) -> Channel:
        channel = self._core.find_channel(name_or_id)
        if channel is None:
            raise NotPossible(f"there is no channel {name_or_id}")
        return channel

    def _group(self, group: str) -> Group:
        if group not in self._core.ws.groups:
            raise NotPossible(f"there is no user group {group}")
        return self._core.ws.groups[group]

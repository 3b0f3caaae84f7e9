"""The half of the admin API in which somebody acts or looks as one person: what they see, press and type."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from dev.local_slack import interactions, modals
from dev.local_slack.core import Core
from dev.local_slack.delivery import Delivery
from dev.local_slack.errors import NotPossible
from dev.local_slack.jsontypes import Json
from dev.local_slack.state import Channel, Message, View
from dev.local_slack.wire import message_json, view_json


class Acting:
    def __init__(self, core: Core, delivery: Delivery) -> None:
        self._core = core
        self._delivery = delivery
        self.actions: dict[str, Callable[..., Awaitable[Any]]] = {
            "messages": self.messages,
            "thread": self.thread,
            "command": self.command,
            "press": self.press,
            "options": self.options,
            "modal": self.modal,
            "modals": self.modals,
            "home": self.home,
            "submit": self.submit,
            "close_modal": self.close_modal,
            "open_home": self.open_home,
            "say": self.say,
            "open_dm": self.open_dm,
        }

    async def messages(self, user: str, channel: str) -> Any:
        found = self._channel(user, channel)
        return [
            message_view(self._core, m, user)
            for m in found.messages.values()
            if m.visible_to in (None, user) and (not m.is_reply or m.broadcast)
        ]

    async def thread(self, user: str, channel: str, ts: str) -> Any:
        found = self._channel(user, channel)
        parent = found.message(ts)
        return [
            message_view(self._core, m, user)
            for m in [*([parent] if parent else []), *found.thread(ts)]
            if m.visible_to in (None, user)
        ]

    async def command(self, user: str, line: str, channel: str, thread_ts: str | None = None) -> Any:
        found = self._channel(user, channel, to_write=True)
        return asdict(
            await interactions.run_command(self._core, self._delivery, user, found, line, thread_ts)
        )

    async def press(
        self,
        user: str,
        wanted: str,
        channel: str | None = None,
        ts: str | None = None,
        view_id: str | None = None,
        value: Any = None,
        block_id: str | None = None,
        blocks: Any = None,
        values: Json | None = None,
    ) -> Any:
        """`blocks` is what the person still has on the screen, when that is older than the message; `values`
        is what they typed and chose around it."""
        if view_id is not None:
            view = self._view(user, view_id)
            return asdict(
                await interactions.press_in_view(
                    self._core, self._delivery, view, wanted, value, block_id, values or {}
                )
            )
        message = self._message(user, channel or "", ts or "")
        return asdict(
            await interactions.press_in_message(
                self._core, self._delivery, user, message, wanted, value, block_id, blocks, values or {}
            )
        )

    async def options(
        self,
        user: str,
        action_id: str,
        query: str,
        channel: str | None = None,
        ts: str | None = None,
        view_id: str | None = None,
    ) -> Any:
        """In a message, in the home tab or the modal of this id, or else in the modal on top."""
        where: View | Message
        if channel is not None:
            where = self._message(user, channel, ts or "")
        elif view_id is not None:
            where = self._view(user, view_id)
        else:
            where = modals.need_modal(self._core, user)
        return await interactions.load_options(self._core, self._delivery, user, where, action_id, query)

    async def modal(self, user: str) -> Any:
        view = modals.top_modal(self._core, self._user(user))
        return None if view is None else view_of(self._core, view)

    async def modals(self, user: str) -> Any:
        return [view_of(self._core, view) for view in self._core.ws.modals.get(self._user(user), [])]

    async def home(self, user: str) -> Any:
        view = self._core.ws.homes.get(self._user(user))
        return None if view is None else view_of(self._core, view)

    async def submit(self, user: str, values: Json) -> Any:
        return asdict(await modals.submit(self._core, self._delivery, self._user(user), values))

    async def close_modal(self, user: str, everything: bool = False) -> Any:
        return asdict(await modals.close(self._core, self._delivery, self._user(user), everything=everything))

    async def open_home(self, user: str) -> Any:
        view = await modals.open_home(self._core, self._delivery, self._user(user))
        return None if view is None else view_of(self._core, view)

    async def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Any:
        found = self._channel(user, channel, to_write=True)
        if self._core.is_read_only(found):
            raise NotPossible("nobody writes to this app: messages_tab_read_only_enabled of the manifest")
        return await modals.say(self._core, self._delivery, user, found.id, text, thread_ts)

    async def open_dm(self, user: str, other: str) -> Any:
        """The conversation with somebody else, with the bot or with oneself."""
        if self._core.ws.users[self._user(other)].is_bot:
            return self._core.dm(self._user(user)).id
        return self._core.people_dm(self._user(user), other).id

    def _user(self, user: str) -> str:
        if user not in self._core.ws.users:
            raise NotPossible(f"there is no user {user}")
        return user

    def _channel(self, user: str, name_or_id: str, *, to_write: bool = False) -> Channel:
        """A channel as this person reaches it: public ones to read, their own to write in."""
        self._user(user)
        channel = self._core.dm_of(user, name_or_id) or self._core.find_channel(name_or_id)
        if channel is None or (
            user not in channel.members and (channel.is_private or channel.is_im or to_write)
        ):
            raise NotPossible(f"{user} has no channel {name_or_id} to {'write in' if to_write else 'read'}")
        return channel

    def _message(self, user: str, channel: str, ts: str) -> Message:
        message = self._channel(user, channel).message(ts)
        if message is None or message.visible_to not in (None, user):
            raise NotPossible(f"{user} sees no message {ts} in {channel}")
        return message

    def _view(self, user: str, view_id: str) -> View:
        """Only what is on top can be touched, and the home tab."""
        candidates = (modals.top_modal(self._core, user), self._core.ws.homes.get(user))
        for view in candidates:
            if view is not None and view.id == view_id:
                return view
        raise NotPossible(f"{user} does not have the view {view_id} in front of them")


def message_view(core: Core, message: Message, user: str | None) -> Json:
    """A message with what its reader sees around it."""
    channel = core.ws.channels[message.channel]
    return message_json(core, message) | {
        "channel": channel.id,
        "ephemeral": message.visible_to is not None,
        "visible_to": message.visible_to,
        "pinned": channel.is_pinned(message.ts),
        "warnings": message.marks.get(user or "", []),
    }


def view_of(core: Core, view: View) -> Json:
    return view_json(core, view) | {"trouble": view.trouble, "errors": view.errors, "user": view.user}

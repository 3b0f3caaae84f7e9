"""What one person's page shows, and what it has to be told when something changed: only that, as small pieces
of HTML, each with its place."""

from __future__ import annotations

from typing import Any

from dev.local_slack.clock import Topic
from dev.local_slack.core import Core
from dev.local_slack.documented_errors import COMMON_ERRORS, OWN_ERRORS
from dev.local_slack.exchange import RESPONSE_URL
from dev.local_slack.jsontypes import Json
from dev.local_slack.render.hood import call_row, envelope_row, faults_list
from dev.local_slack.render.messages import message_html, pins_bar, pins_panel
from dev.local_slack.render.places import closed_to, place_head, place_name, sidebar
from dev.local_slack.render.reader import Reader
from dev.local_slack.render.views import home_html, modal_html
from dev.local_slack.render.words import words_of
from dev.local_slack.state import Channel, Message, User

#: A channel opens with so many of its newest messages; scrolling up asks for as many again.
WINDOW = 50
LOG_ROWS = 200


class Feed:
    """What only this person sees is gone once the page was loaded anew, so it counts from `born` on, the ts
    at which the page was loaded."""

    def __init__(self, core: Core, user: User, born: str = "") -> None:
        self._core = core
        self._born = born
        self._reader = Reader(core, user)
        self._me = user.id
        self._dm = core.dm(user.id).id

    # ------------------------------------------------------------------------------- asked for by the page

    def boot(self) -> Json:
        """Everything that stands around a channel, and the number from which on changes are to be told."""
        ws = self._core.ws
        return {
            "seq": self._core.changes.seq,
            "born": self._core.clock.ts(),
            "me": {"id": self._me, "name": self._reader.user.real_name, "admin": self._reader.user.is_admin},
            "app": {"name": ws.app.name, "dm": self._dm, "home": ws.home_enabled},
            "words": words_of(self._reader.user.locale),
            "commands": [
                {"name": c.name, "hint": c.hint, "description": c.description} for c in ws.commands.values()
            ],
            "people": [{"id": u.id, "name": u.real_name, "handle": u.name} for u in ws.users.values()],
            "methods": sorted({call.method for call in ws.calls} - {RESPONSE_URL}),
            "errors": {"own": OWN_ERRORS, "common": COMMON_ERRORS},
            "sidebar": sidebar(self._reader),
            "modal": self._modal(),
            "faults": faults_list(self._reader),
            "log": [
                *(call_row(self._reader, call) for call in ws.calls[-LOG_ROWS:]),
                *(envelope_row(self._reader, each) for each in ws.envelopes[-LOG_ROWS:]),
            ],
        }

    def history(self, channel_id: str, before: str | None = None) -> Json:
        """A window of the channel, oldest first."""
        channel = self._visible(channel_id)
        found: list[Message] = []
        more = False
        for message in reversed(channel.messages.values()):
            if before is not None and message.ts >= before:
                continue
            if not self._sees(message) or (message.is_reply and not message.broadcast):
                continue
            if len(found) == WINDOW:
                more = True
                break
            found.append(message)
        return {
            "channel": channel.id,
            "name": place_name(self._reader, channel),
            "head": place_head(self._reader, channel),
            "closed": closed_to(self._reader, channel),
            "bar": pins_bar(self._reader, channel),
            "panel": pins_panel(self._reader, channel),
            "more": more,
            "messages": [self._row(message) for message in reversed(found)],
        }

    def thread(self, channel_id: str, ts: str) -> Json:
        channel = self._visible(channel_id)
        parent = channel.message(ts)
        rows = [*([parent] if parent is not None else []), *channel.thread(ts)]
        return {"ts": ts, "messages": [self._row(message) for message in rows if self._sees(message)]}

    def home(self) -> Json:
        view = self._core.ws.homes.get(self._me)
        return {"html": home_html(self._reader, view), "hash": view.hash if view else ""}

    # -------------------------------------------------------------------------------- told when it changes

    def events(self, topics: list[Topic]) -> list[Json]:
        found = []
        for topic in topics:
            event = self._event(topic)
            if event is not None:
                found.append(event)
        return found

    def _event(self, topic: Topic) -> Json | None:
        match topic:
            case ("message", channel_id, ts):
                return self._message_event(channel_id, ts)
            case ("pins", channel_id) if self._can_see(channel_id):
                channel = self._core.ws.channels[channel_id]
                bar, panel = pins_bar(self._reader, channel), pins_panel(self._reader, channel)
                return {"kind": "pins", "channel": channel_id, "bar": bar, "panel": panel}
            case ("modal", self._me):
                return {"kind": "modal", **self._modal()}
            case ("home", self._me):
                return {"kind": "home", **self.home()}
            case ("channel", channel_id):
                return {"kind": "channel", "channel": channel_id, "sidebar": sidebar(self._reader)}
            case ("people",):
                return {"kind": "channel", "channel": None, "sidebar": sidebar(self._reader)}
            case ("call", seq):
                call = self._core.ws.calls[int(seq) - 1]
                return {"kind": "log", "method": call.method, "row": call_row(self._reader, call)}
            case ("envelope", envelope_id):
                envelope = next(e for e in reversed(self._core.ws.envelopes) if e.id == envelope_id)
                return {"kind": "log", "row": envelope_row(self._reader, envelope)}
            case ("faults",):
                return {"kind": "faults", "html": faults_list(self._reader)}
        return None

    def _message_event(self, channel_id: str, ts: str) -> Json | None:
        """Without `html` it is gone. A pinned message moves the bar above the channel, too."""
        if not self._can_see(channel_id):
            return None
        channel = self._core.ws.channels[channel_id]
        message = channel.message(ts)
        if message is None or not self._sees(message):
            return {"kind": "message", "channel": channel_id, "ts": ts, "html": None}
        event: dict[str, Any] = {"kind": "message", "channel": channel_id, **self._row(message)}
        if channel.is_pinned(ts):
            event |= {"bar": pins_bar(self._reader, channel), "panel": pins_panel(self._reader, channel)}
        return event

    def _row(self, message: Message) -> Json:
        return {
            "ts": message.ts,
            "parent": message.thread_ts if message.is_reply else None,
            "broadcast": message.broadcast,
            "mine": message.user == self._me,
            "mention": f"<@{self._me}>" in f"{message.text}{message.blocks}",
            "html": message_html(self._reader, message),
        }

    def _modal(self) -> Json:
        stack = self._core.ws.modals.get(self._me) or []
        return {"html": modal_html(self._reader, stack[-1], len(stack)) if stack else None}

    def _sees(self, message: Message) -> bool:
        return message.visible_to is None or (message.visible_to == self._me and message.ts >= self._born)

    def _can_see(self, channel_id: str) -> bool:
        channel = self._core.ws.channels.get(channel_id)
        return channel is not None and (
            self._me in channel.members or not (channel.is_private or channel.is_im)
        )

    def _visible(self, channel_id: str) -> Channel:
        self._core.dm_of(self._me, channel_id)
        if not self._can_see(channel_id):
            raise LookupError(f"{self._me} sees no channel {channel_id}")
        return self._core.ws.channels[channel_id]

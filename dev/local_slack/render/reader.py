"""Whoever looks: their language and their clock, and the names behind the ids that they read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time, format_timedelta

from dev.local_slack.core import Core
from dev.local_slack.render.words import words_of
from dev.local_slack.state import User


@dataclass(frozen=True)
class Reader:
    core: Core
    user: User

    def t(self, sentence: str, **values: Any) -> str:
        """The page's own words in this person's language."""
        return words_of(self.user.locale).get(sentence, sentence).format(**values)

    def plural(self, one: str, many: str, n: int) -> str:
        return self.t(one if n == 1 else many, n=n)

    @property
    def locale(self) -> str:
        return self.user.locale.replace("-", "_")

    def name(self, user_id: str) -> str:
        user = self.core.ws.users.get(user_id)
        return user.real_name if user is not None else user_id

    def channel_name(self, channel_id: str) -> str:
        channel = self.core.ws.channels.get(channel_id)
        return channel.name if channel is not None else channel_id

    def group_name(self, group_id: str) -> str:
        group = self.core.ws.groups.get(group_id)
        return group.handle if group is not None else group_id

    def moment(self, ts: str | float) -> datetime:
        return datetime.fromtimestamp(float(ts), ZoneInfo(self.user.tz))

    def clock(self, ts: str | float, *, seconds: bool = False) -> str:
        form = "medium" if seconds else "short"
        return format_time(self.moment(ts), form, tzinfo=ZoneInfo(self.user.tz), locale=self.locale)

    def day(self, ts: str | float, form: str = "long") -> str:
        return format_date(self.moment(ts), form, locale=self.locale)

    def pretty_day(self, ts: str | float, form: str = "long") -> str:
        """Yesterday, today and tomorrow by their names, as they stand within a sentence."""
        age = (self.moment(self.core.clock.now()).date() - self.moment(ts).date()).days
        names = {1: "yesterday", 0: "today", -1: "tomorrow"}
        return self.t(names[age]) if age in names else self.day(ts, form)

    def ago(self, ts: str | float) -> str:
        seconds = float(ts) - self.core.clock.now()
        return format_timedelta(int(seconds), add_direction=True, locale=self.locale)

    def local_link(self, address: str) -> str | None:
        """A permalink of this workspace leads to the message on this page."""
        archive = f"https://{self.core.ws.team.domain}.slack.com/archives/"
        if not address.startswith(archive):
            return None
        channel, _, rest = address.removeprefix(archive).partition("/p")
        digits, _, query = rest.partition("?")
        place = f"/as/{self.user.id}/{channel}"
        if not digits.isdecimal():
            return place
        ts = f"{digits[:-6]}.{digits[-6:]}"
        parent = next((part[10:] for part in query.split("&") if part.startswith("thread_ts=")), None)
        return f"{place}?thread={parent}&ts={ts}" if parent else f"{place}?ts={ts}"

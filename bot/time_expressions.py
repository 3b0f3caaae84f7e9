"""Moments as configurations and people write them: cron expressions, lengths of time, times of the day.

All in a time zone by its name. What the change of the clocks does: a fixed time that a day doesn't have
(02:30 in spring) comes at the next one that it has (03:00), and one that a day has twice (in autumn) comes
once, the first time. An expression with ``*`` for hours or minutes goes by the time that really passes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

#: No freeze and no wait is longer.
LONGEST = timedelta(days=31)

_LENGTH = re.compile(r"(?:(\d{1,3})d)?(?:(\d{1,3})h)?(?:(\d{1,4})(?:m|min))?", re.ASCII)
_TIME = re.compile(r"(\d{1,2})[:.](\d{2})(?:h|hs)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

UNTIL_WORDS = frozenset({"until", "hasta"})
FOR_WORDS = frozenset({"for", "por", "durante"})
TOMORROW_WORDS = frozenset({"tomorrow", "mañana", "manana"})
TODAY_WORDS = frozenset({"today", "hoy"})
_FILLER_WORDS = frozenset({"at", "a", "las", "la", "el"})


def zone(name: str) -> tzinfo:
    """The time zone of that IANA name, such as America/Argentina/Buenos_Aires. UTC needs no tzdata.

    Raises:
        ValueError: there is none.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone: write one of the IANA list, such as America/Argentina/Buenos_Aires"
        ) from None


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of five fields, in a time zone."""

    expression: str
    time_zone: str

    def check(self) -> None:
        """Raises ValueError where it can't be read, or where no day ever fits it."""
        if len(self.expression.split()) != 5:
            raise ValueError(
                "write five fields: minute, hour, day of the month, month, day of the week, such as 0 2 * * *"
            )
        from cronsim import CronSimError

        try:
            found = next(self.after(datetime.now(UTC)), None)
        except CronSimError as error:
            raise ValueError(f"{error}: write it as cron does, such as 0 2 * * 1-5") from None
        if found is None:
            raise ValueError("no day fits this expression: write one that comes, such as 0 2 * * *")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The times after this moment, in UTC, earliest first, without end."""
        from cronsim import CronSim  # what has no schedule doesn't load it

        last = moment
        for found in CronSim(self.expression, moment.astimezone(zone(self.time_zone))):
            at = found.astimezone(UTC)
            if at > last:  # of an hour that comes twice, the second one may be the moment
                last = at
                yield at

    def between(self, after: datetime, until: datetime) -> list[datetime]:
        """The times after the one moment, up to the other and with it."""
        times = []
        for at in self.after(after):
            if at > until:
                break
            times.append(at)
        return times


def length(text: str) -> timedelta:
    """A length of time such as ``90m``, ``2h``, ``1h30m`` or ``1d``.

    Raises:
        ValueError: it is none, or no length at all, or longer than `LONGEST`.
    """
    found = _LENGTH.fullmatch(text.strip().lower())
    days, hours, minutes = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    lasts = timedelta(days=days, hours=hours, minutes=minutes)
    if not timedelta() < lasts <= LONGEST:
        raise ValueError("write a length of up to 31 days, such as 90m, 2h, 1h30m or 1d")
    return lasts


def time_of_day(text: str) -> time:
    """A time such as 18:00.

    Raises:
        ValueError: it is none.
    """
    found = _TIME.fullmatch(text.strip().lower())
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError("write a time of the day, such as 18:00")
    return time(int(found[1]), int(found[2]))


def next_time(at: time, after: datetime, time_zone: str, *, days: int = 0) -> datetime:
    """The next moment at which clocks there show this time, in UTC; not before so many days have begun."""
    here = zone(time_zone)
    day = after.astimezone(here).date() + timedelta(days=days)
    while (found := _instant(datetime.combine(day, at), here)) <= after:
        day += timedelta(days=1)
    return found


def _instant(local: datetime, here: tzinfo) -> datetime:
    """In UTC. What a day doesn't have comes at the next time that it has."""
    found = local.replace(tzinfo=here)
    while (there := found.astimezone(UTC)).astimezone(here).replace(tzinfo=None) != local:
        local += timedelta(minutes=1)
        found = local.replace(tzinfo=here)
    return there


def here() -> str:
    """The name of this machine's time zone; UTC where it tells none."""
    name = os.environ.get("TZ", "").lstrip(":")
    if not name:
        target = os.path.realpath("/etc/localtime")
        name = target.partition("zoneinfo/")[2]
    try:
        zone(name)
    except ValueError:
        return "UTC"
    return name


@dataclass(frozen=True, slots=True)
class Until:
    """When something ends, and the words that were written after that."""

    at: datetime
    rest: str


def until(words: Sequence[str], now: datetime, time_zone: str) -> Until | None:
    """Reads ``until 18:00 why``, ``until tomorrow 06:00``, ``for 2h``, and the same in Spanish.

    None where the words begin otherwise. A time that is over today is tomorrow's.

    Raises:
        ValueError: they begin so, and name no moment, or one that is over or too far ahead.
    """
    first = words[0].lower() if words else ""
    if first in FOR_WORDS and len(words) > 1:
        try:
            return Until(now + length(words[1]), " ".join(words[2:]))
        except ValueError:
            if words[1][:1].isdigit():
                raise
            return None  # a reason that begins with "for"
    if first not in UNTIL_WORDS:
        return None
    left, days, day = [*words[1:]], 0, None
    while left:
        word = left[0].lower()
        if _DATE.fullmatch(word):
            day = datetime.fromisoformat(word).date()
        elif word in TOMORROW_WORDS:
            days = 1
        elif word not in TODAY_WORDS | _FILLER_WORDS:
            break
        left.pop(0)
    at = time_of_day(left[0] if left else "")
    here = zone(time_zone)
    if day is not None:
        found = _instant(datetime.combine(day, at), here)
    else:
        found = next_time(at, now, time_zone, days=days)
    if not now < found <= now + LONGEST:
        raise ValueError("write a moment within the next 31 days, such as 18:00 or tomorrow 06:00")
    return Until(found, " ".join(left[1:]))

"""The freeze windows of the configuration, as rows that every step of a copy asks for.

Each process that has a window in its file writes the rows of the next day ahead, and says every while that it
has them. So no process has to be up at a window's begin or end, and none leads: consulta's clock decides. A
window that no living process has in its file goes; while two releases of the file are in use, those of both
count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from bot.config import FreezeSection
from bot.jobs.actions import end_overdue, thawed
from bot.jobs.models import CopyFreeze, CopyJob, FreezeWindow, window_is_open
from bot.jobs.outbox import Kind, announce
from bot.jobs.status import LIVE

#: So far ahead windows are written.
AHEAD = timedelta(days=1)
#: How often a process says that it has them, and after how long without they go.
SAID, GONE = timedelta(seconds=20), timedelta(seconds=60)
#: How long those that are over are kept.
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NextWindow:
    """A window of the configuration, open or to come."""

    name: str
    begin: datetime
    end: datetime
    reason: str | None


def windows_of(freezes: Sequence[FreezeSection], after: datetime, until: datetime) -> list[NextWindow]:
    """Those that end after the one moment and begin up to the other, by their begin."""
    found = [
        NextWindow(each.name, begin, end, each.reason)
        for each in freezes
        for begin, end in each.windows(after, until)
    ]
    return sorted(found, key=lambda window: (window.begin, window.name))


class FreezeWindows:
    """The rows of one process's file, and what begins and ends by the clock."""

    def __init__(self, engine: Engine, freezes: Sequence[FreezeSection]) -> None:
        self._engine = engine
        self._freezes = freezes
        self._said: datetime | None = None

    def look(self, *, now: datetime | None = None) -> bool:
        """Writes what comes, and tells the cards of what has begun or ended; whether it told any.

        ``now`` is consulta's clock, by default. Safe in every process at once: of each begin and end one of
        them tells.
        """
        with self._engine.begin() as connection:
            moment = now or connection.execute(select(func.clock_timestamp())).scalar_one()
            says = self._said is None or not timedelta() <= moment - self._said < SAID
            if says:
                self._say(connection, moment)
            told = False
            if self._anything(connection):
                ended = end_overdue(connection)
                told = self._begin_and_end(connection) or ended
        if says:
            self._said = moment
        return told

    def _say(self, connection: Connection, now: datetime) -> None:
        coming = windows_of(self._freezes, now, now + AHEAD)
        if coming:
            statement = insert(FreezeWindow).values(
                [
                    {"name": each.name, "starts_at": each.begin, "ends_at": each.end, "reason": each.reason}
                    for each in sorted(coming, key=lambda each: (each.name, each.begin))
                ]
            )
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[FreezeWindow.name, FreezeWindow.starts_at],
                    set_={
                        "ends_at": statement.excluded.ends_at,
                        "reason": statement.excluded.reason,
                        "seen_at": func.now(),
                        "ended_at": None,
                    },
                )
            )
        unsaid = and_(FreezeWindow.seen_at < func.now() - GONE, FreezeWindow.ends_at > func.now())
        connection.execute(delete(FreezeWindow).where(unsaid, FreezeWindow.begun_at.is_(None)))
        connection.execute(update(FreezeWindow).where(unsaid).values(ends_at=func.now()))
        connection.execute(delete(FreezeWindow).where(FreezeWindow.ends_at < func.now() - KEPT))

    @staticmethod
    def _anything(connection: Connection) -> bool:
        """Whether something has begun or ended of which the cards don't know: one look for all of it."""
        over = select(CopyFreeze.id).where(
            CopyFreeze.lifted_at.is_(None), CopyFreeze.until <= func.clock_timestamp()
        )
        window = select(FreezeWindow.id).where(or_(_begun(), _ended()))
        return bool(connection.execute(select(or_(over.exists(), window.exists()))).scalar_one())

    @staticmethod
    def _begin_and_end(connection: Connection) -> bool:
        begun = update(FreezeWindow).where(_begun()).values(begun_at=func.now()).returning(FreezeWindow.id)
        ended = update(FreezeWindow).where(_ended()).values(ended_at=func.now()).returning(FreezeWindow.id)
        has_begun, has_ended = (bool(connection.execute(each).all()) for each in (begun, ended))
        if has_begun:
            announce(connection, Kind.UPDATE, CopyJob.status.in_(LIVE))
        if has_ended:
            thawed(connection)
        return has_begun or has_ended


def _begun() -> ColumnElement[bool]:
    return and_(window_is_open(), FreezeWindow.begun_at.is_(None))


def _ended() -> ColumnElement[bool]:
    return and_(
        FreezeWindow.ends_at <= func.clock_timestamp(),
        FreezeWindow.ended_at.is_(None),
        FreezeWindow.begun_at.is_not(None),
    )

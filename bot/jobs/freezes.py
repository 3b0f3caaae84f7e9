"""Freezes: while one lasts no copy goes on. Somebody makes one, or a window of the configuration is open.

The windows are rows, for which every step of a copy asks. Each process that has a window in its file writes
the rows of the next day ahead, and says every while that it has them. So no process has to be up at a
window's begin or end, and none leads: consulta's clock decides. A window that no living process has in its
file goes; while two releases of the file are in use, those of both count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from bot import time_expressions
from bot.config import FreezeSection
from bot.jobs.models import (
    LIVE,
    CopyFreeze,
    CopyJob,
    FreezeWindow,
    Status,
    User,
    is_frozen,
    may_begin,
    waits_for_somebody,
    window_is_open,
)
from bot.jobs.outbox import MessageKind, NoticeKind, announce, owe_notice
from bot.jobs.repository import Requester, active_freeze, ensure_user, kept_reason
from bot.jobs.view import Freeze, NextWindow, Person
from bot.untrusted_text import clean_name

#: So far ahead windows are written.
AHEAD = timedelta(days=1)
#: No window up to a time of the day is longer: with the hour that a change of the clock may add to a day.
LONGEST_DAY = timedelta(days=1, hours=3)
#: How often a process says that it has them, and after how long without they go.
DECLARED, GONE = timedelta(seconds=20), timedelta(seconds=60)
#: How long those that are over are kept.
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Lifted:
    """The freeze that is over, and the ids of the jobs that wait for a worker now.

    ``still`` is a window of the configuration that goes on; then none of them may begin.
    """

    freeze: Freeze
    waiting: list[int]
    still: Freeze | None = None


class Freezes:
    """While a freeze lasts, no job is created, none is claimed, and running ones stop at a chunk's end.

    At most one that somebody made is active: the database forbids a second one. Windows of the configuration
    are beside it, see `FreezeWindows`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def active(self) -> Freeze | None:
        """The freeze of this moment; None where there is none."""
        with self._engine.connect() as connection:
            return active_freeze(connection)

    def of(self, freeze_id: int) -> Freeze | None:
        """One by its number, whether it is over or not."""
        person = (User.slack_user_id, User.slack_team_id, User.name)
        of_person = select(CopyFreeze.__table__, *person).select_from(CopyFreeze)
        statement = of_person.join(User, User.id == CopyFreeze.frozen_by)
        with self._engine.connect() as connection:
            row = connection.execute(statement.where(CopyFreeze.id == freeze_id)).one_or_none()
        if row is None:
            return None
        by = Person(row.slack_user_id, row.slack_team_id, clean_name(row.name))
        return Freeze(by, row.reason, row.frozen_at, row.channel_id, row.until)

    def freeze(
        self,
        requester: Requester,
        reason: str | None,
        channel_id: str | None = None,
        until: datetime | None = None,
    ) -> tuple[Freeze, bool]:
        """The active freeze, and whether it is this one: somebody else's stays as it is.

        ``channel_id`` is where it was made; its end is to be told there too. It is over at ``until``; None
        for when somebody lifts it.

        The card of every live job is to say so.
        """
        with self._engine.begin() as connection:
            end_overdue(connection)
            statement = insert(CopyFreeze).values(
                reason=kept_reason(reason),
                frozen_by=ensure_user(connection, requester),
                channel_id=channel_id,
                until=until,
            )
            statement = statement.on_conflict_do_nothing()
            is_new = connection.execute(statement.returning(CopyFreeze.id)).first() is not None
            if is_new:
                announce(connection, MessageKind.UPDATE, CopyJob.status.in_(LIVE))
            found = active_freeze(connection)
        if found is None:  # lifted between the two statements: what was asked for is still to be done
            return self.freeze(requester, reason, channel_id, until)
        return found, is_new

    def lift(self, requester: Requester) -> Lifted | None:
        """Ends somebody's freeze; None where there is none. What waits is to be put on the queue."""
        with self._engine.begin() as connection:
            end_overdue(connection)
            freeze = active_freeze(connection)
            lifted = connection.execute(
                update(CopyFreeze)
                .where(CopyFreeze.lifted_at.is_(None))
                .values(lifted_by=ensure_user(connection, requester), lifted_at=func.now())
            )
            if freeze is None or lifted.rowcount != 1:
                return None
            requeue_after_freeze(connection)
            due = select(CopyJob.id).where(
                CopyJob.status == Status.PENDING,
                ~waits_for_somebody(),
                may_begin(),
                CopyJob.run_after <= func.now(),
                ~is_frozen(),
            )
            waiting = list(connection.scalars(due.order_by(CopyJob.id)))
            still = active_freeze(connection)
        return Lifted(freeze, waiting, still)

    def end_overdue(self) -> bool:
        """Writes down the end of a freeze that is over by itself; whether there was one.

        Safe in every process at once: one of them finds it, and its channel is told by a notice.
        """
        with self._engine.begin() as connection:
            return end_overdue(connection)


def end_overdue(connection: Connection) -> bool:
    """The same in the caller's transaction."""
    ended = connection.execute(
        update(CopyFreeze)
        .where(_is_overdue())
        .values(lifted_at=CopyFreeze.until)
        .returning(CopyFreeze.id, CopyFreeze.channel_id)
    ).one_or_none()
    if ended is None:
        return False
    if ended.channel_id is not None and not ended.channel_id.startswith("D"):
        owe_notice(connection, NoticeKind.FREEZE_OVER, ended.id, ended.channel_id)
    requeue_after_freeze(connection)
    return True


def _is_overdue() -> ColumnElement[bool]:
    """A condition on `CopyFreeze`: it is over by itself, and nobody has written that down."""
    return and_(CopyFreeze.lifted_at.is_(None), CopyFreeze.until <= func.clock_timestamp())


def requeue_after_freeze(connection: Connection) -> None:
    """A freeze has ended: the cards say so, and what waits comes on the queue anew.

    Messages of the queue may have been taken, and laid aside, while nothing could be claimed.
    """
    connection.execute(update(CopyJob).where(CopyJob.status == Status.PENDING).values(enqueued_at=None))
    announce(connection, MessageKind.UPDATE, CopyJob.status.in_(LIVE))


# ----------------------------------------------------------------------------
# The windows of the configuration


def windows_of(freezes: Sequence[FreezeSection], after: datetime, until: datetime) -> list[NextWindow]:
    """Those that end after the one moment and begin up to the other, by their begin."""
    found = [
        NextWindow(each.name, begin, end, each.reason)
        for each in freezes
        for begin, end in _times_of(each, after, until)
    ]
    return sorted(found, key=lambda window: (window.begin, window.name))


def _times_of(freeze: FreezeSection, after: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """Begin and end of its windows that end after the one moment and begin up to the other."""
    longest = LONGEST_DAY if freeze.lasts is None else freeze.lasts
    found = []
    for begin in freeze.begins.between(after - longest, until):
        if freeze.until is not None:
            end = time_expressions.next_time(
                time_expressions.time_of_day(freeze.until), begin, freeze.time_zone
            )
        else:
            end = begin + longest
        if end > after:
            found.append((begin, end))
    return found


class FileRows(ABC):
    """The rows of what one process has in its file, and what comes of them by the clock.

    Each process says every while that it has them; what none says any more goes. So none leads.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._declared_at: datetime | None = None

    def look(self, *, now: datetime | None = None) -> bool:
        """Does what is due; whether there was anything. Safe in every process at once.

        ``now`` is consulta's clock, by default.
        """
        with self._engine.begin() as connection:
            moment = now or connection.execute(select(func.clock_timestamp())).scalar_one()
            last = self._declared_at
            declares = last is None or not timedelta() <= moment - last < DECLARED
            if declares:
                self._declare(connection, moment)
            found = self._do_due(connection, moment)
        if declares:
            self._declared_at = moment
        return found

    @abstractmethod
    def _declare(self, connection: Connection, now: datetime) -> None:
        """Says that this process has them, and lets go what no process has."""

    @abstractmethod
    def _do_due(self, connection: Connection, now: datetime) -> bool:
        """See `look`."""


class FreezeWindows(FileRows):
    """The windows of one process's file. `look` writes what comes, and tells the cards of what has begun or
    ended: of each begin and end one process tells.
    """

    def __init__(self, engine: Engine, freezes: Sequence[FreezeSection]) -> None:
        super().__init__(engine)
        self._freezes = freezes

    def _do_due(self, connection: Connection, now: datetime) -> bool:
        if not self._anything(connection):
            return False
        ended = end_overdue(connection)
        return self._begin_and_end(connection) or ended

    def _declare(self, connection: Connection, now: datetime) -> None:
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
        return bool(connection.execute(_something_untold()).scalar_one())

    @staticmethod
    def _begin_and_end(connection: Connection) -> bool:
        begun = update(FreezeWindow).where(_begun()).values(begun_at=func.now()).returning(FreezeWindow.id)
        ended = update(FreezeWindow).where(_ended()).values(ended_at=func.now()).returning(FreezeWindow.id)
        has_begun, has_ended = (bool(connection.execute(each).all()) for each in (begun, ended))
        if has_begun:
            announce(connection, MessageKind.UPDATE, CopyJob.status.in_(LIVE))
        if has_ended:
            requeue_after_freeze(connection)
        return has_begun or has_ended


@cache
def _something_untold() -> Select[bool]:
    over = select(CopyFreeze.id).where(_is_overdue())
    window = select(FreezeWindow.id).where(or_(_begun(), _ended()))
    return select(or_(over.exists(), window.exists()))


def _begun() -> ColumnElement[bool]:
    return and_(window_is_open(), FreezeWindow.begun_at.is_(None))


def _ended() -> ColumnElement[bool]:
    return and_(
        FreezeWindow.ends_at <= func.clock_timestamp(),
        FreezeWindow.ended_at.is_(None),
        FreezeWindow.begun_at.is_not(None),
    )

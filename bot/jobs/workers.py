"""The processes that copy: each has a row, and says every two seconds that it lives, by consulta's clock.

A row without `BEAT` for `SILENT` is of a lost process, and its jobs go to others (`bot.jobs.recovery`). That
nobody works at all is said a little later (`MISSING`), so that a restart at a deploy says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, aggregate_order_by, insert
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningUpdate

from bot.config import Occasion
from bot.jobs.models import (
    CopyJob,
    Installation,
    OutboxMessage,
    Status,
    Worker,
    may_begin,
    waits_for_somebody,
)
from bot.jobs.notifications import notify
from bot.jobs.outbox import SHOWING, MessageKind, about_what, announce, announcement
from bot.jobs.transactions import execute_batch
from bot.jobs.view import SILENT, NotificationDetail, NoWorker

#: How often a process says that it lives.
BEAT = timedelta(seconds=2)
#: The same, where another one has started in its place: same host, same process number.
REPLACED = timedelta(seconds=5)
#: More time than this between two beats of one's own is a gap: who has one can't tell that others are silent.
GAP = timedelta(seconds=5)
#: Only after so long without a worker it is said.
MISSING = timedelta(seconds=15)
#: Of so many jobs, the oldest, the cards say that nobody works. Slack takes about fifty edits a minute.
CARDS = 100

_NOW = func.clock_timestamp()


@dataclass(frozen=True, slots=True)
class UnbrokenBeats:
    """One's own beats went through from ``since`` to ``last`` without a gap, by consulta's clock."""

    since: datetime
    last: datetime

    def and_then(self, beat: datetime) -> UnbrokenBeats:
        """With one more."""
        whole = timedelta() <= beat - self.last <= GAP  # or consulta's clock was set back
        return UnbrokenBeats(self.since if whole else beat, beat)


@dataclass(frozen=True, slots=True)
class Alive:
    """A process that says that it lives. ``jobs`` are those in its hands; a shell takes only its own."""

    id: int
    host: str
    process: int
    version: str
    takes_jobs: bool
    started_at: datetime
    beat_at: datetime
    jobs: tuple[int, ...]


def holds() -> ColumnElement[bool]:
    """A condition on `Worker` and `CopyJob`: this process holds the job, or was the last to hold it.

    A worker of an older release writes its name, and leaves the row's number as it was.
    """
    name = func.concat(Worker.host, ":", Worker.process)
    return and_(Worker.id == CopyJob.worker_id, name == CopyJob.worker)


def is_lost(*, silence_counts: bool) -> ColumnElement[bool]:
    """A condition on `CopyJob`: the process that holds it has ended, was replaced, or is silent.

    Where consulta was away, all look silent at once. So others' silence counts only for a process whose own
    beats went through for as long: the parameters ``since`` and ``last`` are its `UnbrokenBeats`.
    """
    newer = aliased(Worker)
    replaced = and_(
        Worker.beat_at < _NOW - REPLACED,
        select(newer.id)
        .where(
            newer.host == Worker.host,
            newer.process == Worker.process,
            newer.id > Worker.id,
            newer.started_at > Worker.beat_at,
        )
        .exists(),
    )
    gone = [Worker.ended_at.is_not(None), replaced]
    if silence_counts:
        since, last = (bindparam(name, type_=DateTime(timezone=True)) for name in ("since", "last"))
        trusted = and_(since <= _NOW - SILENT, last.between(_NOW - GAP, _NOW + GAP))
        # A beat that lies ahead is older than the setting back of consulta's clock.
        silent = or_(Worker.beat_at < _NOW - SILENT, Worker.beat_at > _NOW + GAP)
        gone.append(and_(silent, trusted))
    return select(Worker.id).where(holds(), or_(*gone)).exists()


def _lived_lately() -> ColumnElement[bool]:
    """A condition on `Worker`. Whoever ended long after its last beat was there until then."""
    return func.greatest(Worker.beat_at, Worker.ended_at) > _NOW - MISSING


def is_missing() -> ColumnElement[bool]:
    """A condition: for a while no worker has said that it lives.

    Workers of an older release say nothing: the lease of a job that one of them runs counts as a sign.
    """
    lately = select(Worker.id).where(Worker.takes_jobs, _lived_lately())
    older = aliased(CopyJob)
    leased = select(older.id).where(
        older.status == Status.RUNNING, older.worker_id.is_(None), older.lease_until > func.now()
    )
    return ~or_(lately.exists(), leased.exists())


def last_seen() -> ScalarSelect[datetime]:
    """When the last worker lived; NULL where there has never been one."""
    seen = select(func.max(func.coalesce(Worker.ended_at, Worker.beat_at))).where(Worker.takes_jobs)
    return seen.scalar_subquery()


def _shows_it() -> ColumnElement[bool]:
    """A condition on `OutboxMessage` and `CopyJob`: it brings the job's card, or its run's, to its state."""
    same = or_(OutboxMessage.job_id == CopyJob.id, OutboxMessage.run_id == CopyJob.run_id)
    return and_(same, about_what().in_(SHOWING))


def _announced_since() -> ColumnElement[bool]:
    """A condition on `CopyJob`: its card was announced since the last worker has been missing."""
    return (
        select(OutboxMessage.id)
        .where(
            _shows_it(),
            or_(last_seen().is_(None), OutboxMessage.announced_at > last_seen() + MISSING),
        )
        .exists()
    )


def _announced_before() -> ColumnElement[bool]:
    """A condition on `CopyJob`: its card was announced last while no worker lived, before those of now."""
    ended = func.coalesce(Worker.ended_at, Worker.beat_at)
    last = select(func.max(ended)).where(Worker.takes_jobs, ~_lived_lately()).scalar_subquery()
    first = select(func.min(Worker.started_at)).where(Worker.takes_jobs, _lived_lately()).scalar_subquery()
    announced = select(func.max(OutboxMessage.announced_at)).where(_shows_it())
    at = announced.scalar_subquery()
    return and_(at < first, or_(last.is_(None), at > last + MISSING))


def _shown() -> Select[int]:
    """The jobs whose cards say whether somebody works."""
    return (
        select(CopyJob.id)
        .where(
            CopyJob.status.in_([Status.PENDING, Status.RUNNING]),
            ~waits_for_somebody(),
            may_begin(),
            or_(CopyJob.message_ts.is_not(None), CopyJob.run_id.is_not(None)),
        )
        .order_by(CopyJob.id)
        .limit(CARDS)
    )


@cache
def _changed() -> ReturningUpdate[bool]:
    """Turns what the cards say round, where it isn't so any more."""
    changed = Installation.workers_missing != is_missing()
    return (
        update(Installation)
        .where(changed, or_(Installation.workers_missing, bindparam("may_be_missing", type_=Boolean)))
        .values(workers_missing=~Installation.workers_missing)
        .returning(Installation.workers_missing)
    )


@cache
def _announces_outdated() -> Insert:
    """What was announced between two looks, while it was otherwise, isn't true any more."""
    return announcement(
        MessageKind.UPDATE, ~is_missing(), CopyJob.id.in_(_shown().where(_announced_before()))
    )


@cache
def _announces_unaware() -> Insert:
    """Cards that were announced before the last worker was missed don't say that nobody works."""
    return announcement(MessageKind.UPDATE, is_missing(), CopyJob.id.in_(_shown().where(~_announced_since())))


class Workers:
    """The rows of the processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, host: str, process: int, version: str, *, takes_jobs: bool) -> tuple[int, datetime]:
        """A new process lives: its number, and when."""
        statement = insert(Worker).values(host=host, process=process, version=version, takes_jobs=takes_jobs)
        with self._engine.begin() as connection:
            [[row]] = execute_batch(connection, statement.returning(Worker.id, Worker.beat_at), commit=True)
        return row.id, row.beat_at

    def beat(self, worker_id: int) -> datetime | None:
        """It lives still; None where its row is there no more, or says that it has ended."""
        statement = (
            update(Worker)
            .where(Worker.id == worker_id, Worker.ended_at.is_(None))
            .values(beat_at=_NOW)
            .returning(Worker.beat_at)
        )
        # What a crash of the server loses of it is said again in two seconds.
        unsafe = text("SET LOCAL synchronous_commit = off")
        with self._engine.begin() as connection:
            _, found = execute_batch(connection, unsafe, statement, commit=True)
        return found[0].beat_at if found else None

    def end(self, worker_id: int) -> None:
        """It stops in order."""
        statement = update(Worker).where(Worker.id == worker_id, Worker.ended_at.is_(None))
        with self._engine.begin() as connection:
            execute_batch(connection, statement.values(ended_at=_NOW), commit=True)

    def alive(self) -> list[Alive]:
        """Whoever says that it lives, oldest first."""
        held = (
            select(func.array_agg(aggregate_order_by(CopyJob.id, CopyJob.id)))
            .where(CopyJob.worker_id == Worker.id, CopyJob.status == Status.RUNNING)
            .scalar_subquery()
        )
        statement = (
            select(Worker, held.label("jobs"))
            .where(Worker.ended_at.is_(None), Worker.beat_at > _NOW - SILENT)
            .order_by(Worker.id)
        )
        with self._engine.connect() as connection:
            return [_alive(row) for row in connection.execute(statement)]

    def announce_change(self, *, may_be_missing: bool) -> bool | None:
        """Has the cards of what waits or runs say that nobody works, or that somebody does again.

        One of several that look at once does it. ``may_be_missing`` is False for who can't tell yet. Gives
        whether workers are missing now; None where the cards say so already.
        """
        with self._engine.begin() as connection:
            missing = connection.execute(_changed(), {"may_be_missing": may_be_missing}).scalar_one_or_none()
            if missing is not None:
                announce(connection, MessageKind.UPDATE, CopyJob.id.in_(_shown()))
                self._notify(connection, missing=missing)
            else:
                connection.execute(_announces_outdated())
                if may_be_missing:
                    connection.execute(_announces_unaware())
        return missing

    @staticmethod
    def _notify(connection: Connection, *, missing: bool) -> None:
        """Elsewhere too, once for each change."""
        since, now = connection.execute(select(last_seen(), func.now())).one()
        occasion = Occasion.NO_WORKER if missing else Occasion.WORKER_BACK
        detail = NotificationDetail(since=since if missing else None)
        notify(connection, occasion, key=now.isoformat(), detail=detail)

    def missing(self, operators: tuple[str, ...] = ()) -> NoWorker | None:
        """That nobody works, and since when; None where somebody does."""
        with self._engine.connect() as connection:
            missing, since = connection.execute(select(is_missing(), last_seen())).one()
        return NoWorker(since, operators) if missing else None


def old_workers(kept: timedelta) -> Select[int]:
    """The processes that were last heard of longer ago than that, but for the last worker."""
    last = select(Worker.id).where(Worker.takes_jobs).order_by(Worker.beat_at.desc(), Worker.id).limit(1)
    old = Worker.beat_at < _NOW - kept, Worker.id.is_distinct_from(last.scalar_subquery())
    return select(Worker.id).where(*old)


def delete_workers(connection: Connection, kept: timedelta) -> int:
    """Forgets them; how many. One that was only frozen says anew that it lives."""
    chosen = old_workers(kept).with_for_update(skip_locked=True)
    return connection.execute(delete(Worker).where(Worker.id.in_(chosen))).rowcount


def _alive(row: Any) -> Alive:
    jobs: Sequence[int] = row.jobs or ()
    return Alive(
        row.id, row.host, row.process, row.version, row.takes_jobs, row.started_at, row.beat_at, tuple(jobs)
    )

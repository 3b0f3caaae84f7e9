"""What the tracking tables say about the installation, in a few queries that an index or a few rows answer.

Nothing here depends on how many jobs there have been: what lives is found by an index, and what has ended is
in the totals. No label is anything but a copy's name, a state, a kind, a failure's code or a version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    and_,
    case,
    cast,
    func,
    join,
    literal,
    null,
    or_,
    select,
    text,
    union_all,
)

from bot.jobs.models import (
    LIVE,
    CopyChunk,
    CopyFreeze,
    CopyJob,
    CopyRun,
    Drift,
    OutboxMessage,
    Standing,
    Status,
    Total,
    WatchRound,
    Worker,
    is_frozen,
    waits_for_somebody,
)
from bot.jobs.outbox import MessageKind, about_what
from bot.jobs.totals import chunk_label
from bot.jobs.view import SILENT
from bot.jobs.workers import is_missing

#: So long a statement of ours may take, in milliseconds: monitoring never loads a server that is busy.
STATEMENT_MILLISECONDS = 2000

#: What a pending job is called that waits for somebody's approval or answer.
WAITING = "waiting"

#: Made up for or put off by plan: such a message waits since it is due, and not since it was announced.
BY_PLAN = (MessageKind.REFRESH, MessageKind.DOUBLES, MessageKind.PIN, MessageKind.LEFT)
#: Tried for days, as a channel that is gone may come back. Nobody misses anything meanwhile.
PATIENT = (MessageKind.PIN, MessageKind.LEFT)

_NOW = func.clock_timestamp()


@dataclass(frozen=True, slots=True)
class Live:
    """The jobs of one copy in one state. Ages in seconds; rows of running jobs."""

    copy_name: str
    state: str
    jobs: int
    waiting_seconds: float
    running_seconds: float
    rows_done: int
    rows: int
    throttled: int


@dataclass(frozen=True, slots=True)
class Sum:
    """What all jobs of a copy have done under one name. ``at`` is when it last grew, as a Unix time."""

    copy_name: str
    name: str
    label: str
    value: float
    at: float | None


@dataclass(frozen=True, slots=True)
class Owed:
    """The messages of one kind that are owed; the oldest has waited for so many seconds."""

    kind: str
    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DriftCounts:
    """Liquidations that the watch has looked at, by what it knows of prod since their copies.

    ``ended_at`` is when its last round ended, as a Unix time; None where none has.
    """

    equal: int
    moved_on: int
    not_known: int
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class InstallationState:
    """Everything at once, as one moment of consulta has it, or nearly one. ``runs`` are the live ones, by
    their kind.
    """

    live: Sequence[Live]
    runs: dict[str, int]
    sums: Sequence[Sum]
    owed: Sequence[Owed]
    workers: dict[str, int]
    drift: DriftCounts
    frozen_seconds: float | None


def limit(connection: Connection) -> None:
    """For the rest of the transaction."""
    connection.execute(text(f"SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}"))


def installation(connection: Connection) -> InstallationState:
    limit(connection)
    return InstallationState(
        live=[Live(*row) for row in connection.execute(_live())],
        runs={row.kind: row.live for row in connection.execute(_runs())},
        sums=[Sum(*row) for row in connection.execute(_sums())],
        owed=owed(connection),
        workers={row.version: row.alive for row in connection.execute(_workers())},
        drift=DriftCounts(*connection.execute(_drift()).one()),
        frozen_seconds=connection.scalar(
            select(_seconds(CopyFreeze.frozen_at)).where(CopyFreeze.lifted_at.is_(None))
        ),
    )


def owed(connection: Connection) -> list[Owed]:
    """What the outbox owes, by kind."""
    return [Owed(*row) for row in connection.execute(_owed())]


def no_worker(connection: Connection) -> bool:
    """Whether nobody has said for a while that it works."""
    return bool(connection.scalar(select(is_missing())))


def _seconds(since: Any) -> ColumnElement[float]:
    return cast(func.extract("epoch", _NOW - since), Float)


def _live() -> Any:
    state = case(
        (and_(CopyJob.status == Status.PENDING, waits_for_somebody()), literal(WAITING)), else_=CopyJob.status
    )
    runs = CopyJob.status == Status.RUNNING
    due = and_(CopyJob.status == Status.PENDING, ~waits_for_somebody(), ~is_frozen())
    waiting = case((due, _seconds(func.greatest(CopyJob.run_after, CopyJob.created_at))), else_=0.0)
    return (
        select(
            CopyJob.copy_name,
            state,
            func.count(),
            func.greatest(0.0, func.max(waiting)),
            func.greatest(0.0, func.max(case((runs, _seconds(CopyJob.claimed_at)), else_=0.0))),
            cast(func.coalesce(func.sum(CopyJob.copied_records).filter(runs), 0), Float),
            cast(func.coalesce(func.sum(CopyJob.total_records).filter(runs), 0), Float),
            func.count().filter(runs, CopyJob.throttle.is_not(None)),
        )
        .where(CopyJob.status.in_(LIVE))
        .group_by(CopyJob.copy_name, state)
    )


def _runs() -> Any:
    live = select(CopyRun.kind, func.count().label("live")).where(CopyRun.ended_at.is_(None))
    return live.group_by(CopyRun.kind)


def _sums() -> Any:
    """The totals, and what the running attempts have done so far, in one statement: one moment of both."""
    runs = CopyJob.status == Status.RUNNING
    parts = [select(Total.copy_name, Total.name, Total.label, Total.value, Total.at)]
    counters = [
        ("rows", "inserted", CopyJob.inserted_records),
        ("rows", "updated", CopyJob.updated_records),
        ("rows", "deleted", CopyJob.deleted_records),
        ("rows", "unchanged", CopyJob.unchanged_records),
        ("bytes", "", CopyJob.copied_bytes),
    ]
    parts += [
        select(CopyJob.copy_name, literal(name), literal(label), cast(value, Float), null()).where(runs)
        for name, label, value in counters
    ]
    of_running = and_(CopyChunk.job_id == CopyJob.id, CopyChunk.attempt == CopyJob.attempt, runs)
    bucket = chunk_label()
    parts += [
        select(CopyJob.copy_name, literal(name), label, value, null())
        .select_from(CopyJob)
        .join(CopyChunk, of_running)
        .group_by(CopyJob.copy_name, *([label] if label is bucket else []))
        for name, label, value in (
            ("chunks", bucket, cast(func.count(), Float)),
            ("chunk_seconds", literal(""), func.sum(CopyChunk.seconds)),
        )
    ]
    every = union_all(*parts).subquery()
    copy_name, name, label, value, at = every.c
    return select(
        copy_name, name, label, func.sum(value), cast(func.extract("epoch", func.max(at)), Float)
    ).group_by(copy_name, name, label)


def _drift() -> Any:
    of_its_proof = and_(
        Drift.liquidation_id == Standing.liquidation_id,
        Drift.target_table == Standing.target_table,
        Drift.job_id == Standing.proven_job_id,
    )
    ended_at = select(cast(func.extract("epoch", func.max(WatchRound.ended_at)), Float)).scalar_subquery()
    return select(
        func.count().filter(Drift.equal.is_(True)),
        func.count().filter(Drift.equal.is_(False)),
        func.count().filter(Drift.equal.is_(None)),
        ended_at,
    ).select_from(join(Drift, Standing, of_its_proof))


def _workers() -> Any:
    return (
        select(Worker.version, func.count().label("alive"))
        .where(Worker.takes_jobs, Worker.ended_at.is_(None), Worker.beat_at > _NOW - SILENT)
        .group_by(Worker.version)
    )


def _owed() -> Any:
    since = case(
        (OutboxMessage.failures > 0, func.coalesce(OutboxMessage.failing_since, OutboxMessage.announced_at)),
        (or_(OutboxMessage.tries == 0, about_what().in_(BY_PLAN)), OutboxMessage.next_try_at),
        else_=OutboxMessage.announced_at,
    )
    # What is told elsewhere, or to one person, has a destination or a person in its kind.
    kind = about_what()
    return (
        select(kind, func.count(), func.greatest(0, func.max(_seconds(since))))
        .where(OutboxMessage.done_at.is_(None))
        .group_by(kind)
    )

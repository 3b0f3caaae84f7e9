"""For how long old rows are kept, and who deletes them: a little at a time, in short transactions.

Only what belongs to jobs that have ended goes, and the whole ledger of a job at once, so that what is left
never looks like all of it. A job stays, with its counters and digests; what its messages still say of its
events goes into its row before these are deleted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, delete, func, or_, select, update

from bot.jobs import totals
from bot.jobs.models import (
    LIVE,
    ChannelNotice,
    CopyChunk,
    CopyEvent,
    CopyJob,
    CopyRun,
    Installation,
    OutboxMessage,
    ScheduleFiring,
)
from bot.jobs.repository import kept_of_events
from bot.jobs.workers import delete_workers, old_workers

#: All processes of an installation together begin to prune once in so long.
EVERY = timedelta(hours=1)
#: So long they go on then, with a pause after each transaction. Seconds.
PASS_SECONDS, PAUSE_SECONDS = 10.0, 0.05
#: So many messages or jobs go in one transaction; of the ledger and the events those of one job.
AT_ONCE = 200
#: So many runs, each with at most fifty jobs.
RUNS_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after the end of their job, or after they were done with, for which rows are kept.

    Due times of schedules are kept as long as events.

    ``jobs_days`` is None where jobs are kept for ever.
    """

    ledger_days: int = 90
    events_days: int = 400
    outbox_days: int = 30
    workers_days: int = 1
    jobs_days: int | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows went, or would go."""

    ledger: int = 0
    events: int = 0
    outbox: int = 0
    firings: int = 0
    workers: int = 0
    jobs: int = 0

    def __bool__(self) -> bool:
        return any(asdict(self).values())


class Pruning:
    """Deletes what is kept no longer. Safe in several processes at once: locked rows are skipped."""

    def __init__(self, engine: Engine, keep: Retention) -> None:
        self._engine = engine
        self._keep = keep

    def takes_turn(self) -> bool:
        """Whether this process is to prune now: one of all, once in `EVERY`."""
        now = func.clock_timestamp()
        due = or_(
            Installation.pruned_at.is_(None),
            Installation.pruned_at <= now - EVERY,
            Installation.pruned_at > now,  # consulta's clock was set back
        )
        with self._engine.begin() as connection:
            if not connection.scalar(select(due)):
                return False
            return bool(connection.execute(update(Installation).where(due).values(pruned_at=now)).rowcount)

    def count(self) -> Pruned:
        """What would go now."""
        keep = self._keep
        chunks = select(func.count()).select_from(CopyChunk).join(CopyJob, CopyJob.id == CopyChunk.job_id)
        events = select(func.count()).select_from(CopyEvent).join(CopyJob, CopyJob.id == CopyEvent.job_id)
        queries = {
            "ledger": chunks.where(_ended_before(keep.ledger_days)),
            "events": events.where(_ended_before(keep.events_days)),
            "outbox": select(func.count()).select_from(_done_before(keep.outbox_days).subquery()),
            "firings": select(func.count()).select_from(_old_firings(keep.events_days).subquery()),
            "workers": select(func.count()).select_from(old_workers(_days(keep.workers_days)).subquery()),
        }
        if keep.jobs_days is not None:
            queries["jobs"] = select(func.count(CopyJob.id)).where(_may_go(keep.jobs_days))
        with self._engine.connect() as connection:
            return Pruned(**{name: connection.scalar(query) or 0 for name, query in queries.items()})

    def run(
        self,
        go_on: Callable[[], bool] = lambda: True,
        *,
        seconds: float = math.inf,
        pause_seconds: float = 0.0,
    ) -> Pruned:
        """Deletes for so long, as long as ``go_on`` says so; what went. Totals are folded, too."""
        until = time.monotonic() + seconds
        steps: dict[str, Callable[[Connection], int]] = {
            "ledger": self._ledger,
            "events": self._events,
            "outbox": self._outbox,
            "firings": self._firings,
            "workers": self._workers,
            "jobs": self._jobs,
        }
        gone = dict.fromkeys(steps, 0)
        for name, step in steps.items():
            while go_on() and time.monotonic() < until:
                with self._engine.begin() as connection:
                    rows = step(connection)
                if not rows:
                    break
                gone[name] += rows
                time.sleep(pause_seconds)
        with self._engine.begin() as connection:
            totals.fold(connection)
        return Pruned(**gone)

    def _ledger(self, connection: Connection) -> int:
        job_id = _job_with_old(connection, CopyChunk, self._keep.ledger_days)
        if job_id is None:
            return 0
        return connection.execute(delete(CopyChunk).where(CopyChunk.job_id == job_id)).rowcount

    def _events(self, connection: Connection) -> int:
        job_id = _job_with_old(connection, CopyEvent, self._keep.events_days)
        if job_id is None:
            return 0
        connection.execute(update(CopyJob).where(CopyJob.id == job_id).values(kept=kept_of_events()))
        return connection.execute(delete(CopyEvent).where(CopyEvent.job_id == job_id)).rowcount

    def _outbox(self, connection: Connection) -> int:
        chosen = _done_before(self._keep.outbox_days).order_by(OutboxMessage.done_at).limit(AT_ONCE)
        locked = chosen.with_for_update(of=OutboxMessage, skip_locked=True)
        return connection.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(locked))).rowcount

    def _firings(self, connection: Connection) -> int:
        """Due times of schedules, with what was told of them."""
        told = ChannelNotice.done_at < func.now() - _days(self._keep.events_days)
        connection.execute(delete(ChannelNotice).where(told))
        chosen = _old_firings(self._keep.events_days).limit(AT_ONCE).with_for_update(skip_locked=True)
        return connection.execute(delete(ScheduleFiring).where(ScheduleFiring.id.in_(chosen))).rowcount

    def _workers(self, connection: Connection) -> int:
        return delete_workers(connection, _days(self._keep.workers_days))

    def _jobs(self, connection: Connection) -> int:
        if self._keep.jobs_days is None:
            return 0
        old = _may_go(self._keep.jobs_days)
        alone = select(CopyJob.id).where(old, CopyJob.run_id.is_(None)).order_by(CopyJob.finished_at)
        locked = alone.limit(AT_ONCE).with_for_update(skip_locked=True)
        gone = connection.execute(delete(CopyJob).where(CopyJob.id.in_(locked))).rowcount
        gone += self._runs(connection, old)
        of_it = select(CopyJob.id).where(CopyJob.run_id == CopyRun.id)
        connection.execute(delete(CopyRun).where(CopyRun.ended_at.is_not(None), ~of_it.exists()))
        return gone

    @staticmethod
    def _runs(connection: Connection, old: ColumnElement[bool]) -> int:
        """Runs with all of their jobs; where somebody has one of these in hand, the run stays whole."""
        with_old = select(CopyJob.id).where(CopyJob.run_id == CopyRun.id, old).exists()
        chosen = select(CopyRun.id).where(with_old).order_by(CopyRun.ended_at).limit(RUNS_AT_ONCE)
        gone = 0
        for run_id in connection.scalars(chosen).all():
            of_it = CopyJob.run_id == run_id
            free = connection.scalars(select(CopyJob.id).where(of_it).with_for_update(skip_locked=True)).all()
            if len(free) == connection.scalar(select(func.count(CopyJob.id)).where(of_it)):
                gone += connection.execute(delete(CopyJob).where(of_it)).rowcount
        return gone


# Which rows are old. Moments are by consulta's clock.


def _days(days: int) -> timedelta:
    return timedelta(days=days)


def _ended_before(days: int) -> ColumnElement[bool]:
    """A condition on `CopyJob`: it has ended, and longer ago than that."""
    return and_(CopyJob.status.not_in(LIVE), CopyJob.finished_at < func.now() - _days(days))


def _may_go(days: int) -> ColumnElement[bool]:
    """The same, and so has its whole run, where it belongs to one: a run goes with all of its jobs."""
    runs = select(CopyRun.id).where(CopyRun.id == CopyJob.run_id, CopyRun.ended_at < func.now() - _days(days))
    return and_(_ended_before(days), or_(CopyJob.run_id.is_(None), runs.correlate(CopyJob).exists()))


def _done_before(days: int) -> Select[int]:
    """The messages that were delivered longer ago than that, but for those of a job or a run that is live."""
    of_neither = and_(OutboxMessage.job_id.is_(None), OutboxMessage.run_id.is_(None))
    return (
        select(OutboxMessage.id)
        .outerjoin(CopyJob, CopyJob.id == OutboxMessage.job_id)
        .outerjoin(CopyRun, CopyRun.id == OutboxMessage.run_id)
        .where(
            OutboxMessage.done_at < func.now() - _days(days),
            or_(of_neither, CopyJob.status.not_in(LIVE), CopyRun.ended_at.is_not(None)),
        )
    )


def _old_firings(days: int) -> Select[int]:
    """The due times of schedules that were done with longer ago than that."""
    return select(ScheduleFiring.id).where(ScheduleFiring.ended_at < func.now() - _days(days))


def _job_with_old(connection: Connection, table: type[CopyChunk | CopyEvent], days: int) -> int | None:
    """A job whose rows of the table are to go, locked against whoever would try it again now."""
    chosen = (
        select(CopyJob.id)
        .join(table, table.job_id == CopyJob.id)
        .where(table.created_at < func.now() - _days(days), _ended_before(days))
        .order_by(table.created_at)
        .limit(1)
        .with_for_update(of=CopyJob, skip_locked=True, key_share=True)
    )
    return connection.scalar(chosen)

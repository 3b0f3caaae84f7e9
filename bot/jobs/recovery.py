"""Finds the jobs that nobody holds: lost with their worker, waiting without a place on the queue or longer
than any message takes, or for an approval that didn't come in time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Numeric, Row, cast, func, or_, select

from bot.jobs.actions import expire
from bot.jobs.events import EventKind, Failed, WorkerLost
from bot.jobs.execution import broken_attempts
from bot.jobs.failure import Failure
from bot.jobs.models import CopyJob, is_frozen, waits_for_somebody
from bot.jobs.outbox import Kind
from bot.jobs.status import Status, Step, StopReason, StopRequest
from bot.jobs.transactions import has_come
from bot.jobs.transition import add_event, stop_job, transition
from bot.jobs.workers import UnbrokenBeats, is_lost

#: Of so many jobs that never were on the queue one sweep puts the ids there.
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Swept:
    """Ids of jobs taken from lost workers, of jobs that never were on the queue, of jobs given up, of those
    that nobody has approved in time, and of those that a worker with room should take without the queue.
    """

    lost: list[int]
    to_enqueue: list[int]
    given_up: list[int]
    not_approved: list[int] = field(default_factory=list)
    overdue: list[int] = field(default_factory=list)


class Sweep:
    """Safe to run in every worker at once: the rows are locked, and locked rows are skipped."""

    def __init__(self, engine: Engine, *, overdue_seconds: float, max_attempts: int) -> None:
        self._engine = engine
        self._overdue_after = timedelta(seconds=overdue_seconds)
        self._max_attempts = max_attempts

    def run(self, own: UnbrokenBeats | None = None, room: int = 0) -> Swept:
        """``own`` are the beats of the process that sweeps, without which the silence of others doesn't
        count; ``room`` is for how many more jobs it has room.
        """
        with self._engine.begin() as connection:
            given_up = self._give_up(connection, own)
            sys.audit("traspaso.sweep")
            lost = self._take_back(connection, own)
            sys.audit("traspaso.sweep_taken", *lost)
            not_approved = expire(connection, CopyJob.approval_until < func.now())
            waiting, overdue = self._waiting(connection), self._overdue(connection, room)
            return Swept(lost, waiting, given_up, not_approved, overdue)

    def _give_up(self, connection: Connection, own: UnbrokenBeats | None) -> list[int]:
        """A job that was lost with its worker time and again may be what kills the workers."""
        failure = Failure("workers_lost", f"{self._max_attempts} attempts were lost with their workers")
        too_often = broken_attempts(EventKind.WORKER_LOST) + 1 >= self._max_attempts
        jobs = _lost(connection, own, too_often, CopyJob.stop_requested.is_(None))
        for job in jobs:
            transition(
                connection,
                job.id,
                Step.GIVE_UP,
                event=Failed(failure),
                notify=Kind.ENDING,
                error=failure.as_json(),
                error_message=failure.sentence,
            )
        return [job.id for job in jobs]

    def _take_back(self, connection: Connection, own: UnbrokenBeats | None) -> list[int]:
        """Pending again, or paused or cancelled where somebody had asked the lost worker for that."""
        silent = func.round(cast(func.extract("epoch", func.now() - CopyJob.updated_at), Numeric))
        values: dict[str, Any] = {
            "run_after": func.now(),
            "throttle": None,
            "error": func.jsonb_build_object("code", "worker_lost", "seconds", silent),
        }
        jobs = _lost(connection, own)
        for job in jobs:
            event = WorkerLost(job.worker)
            if job.stop_requested:
                add_event(connection, job.id, job.attempt, event)
                stop_job(
                    connection, job.id, StopRequest(StopReason(job.stop_requested), job.stopped_by), **values
                )
            else:
                transition(
                    connection,
                    job.id,
                    Step.TAKE_BACK,
                    event=event,
                    notify=Kind.UPDATE,
                    enqueued_at=None,
                    **values,
                )
        return [job.id for job in jobs]

    def _waiting(self, connection: Connection) -> list[int]:
        """Due, and never on the queue."""
        due = (
            select(CopyJob.id)
            .where(*_due(), CopyJob.enqueued_at.is_(None))
            .order_by(CopyJob.id)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True, key_share=True)
        )
        return list(connection.scalars(due))

    def _overdue(self, connection: Connection, room: int) -> list[int]:
        """Due for longer than a message takes: it was lost, or waits behind another worker's copies.

        Nothing is written, because the claim decides who gets a job.
        """
        if room <= 0:
            return []
        since = func.greatest(CopyJob.run_after, CopyJob.enqueued_at) + self._overdue_after
        late = select(CopyJob.id).where(*_due(), has_come(since))
        return list(connection.scalars(late.order_by(CopyJob.id).limit(room)))


def _due() -> list[ColumnElement[bool]]:
    return [
        CopyJob.status == Status.PENDING,
        ~waits_for_somebody(),
        has_come(CopyJob.run_after),
        ~is_frozen(),
    ]


def _lost(
    connection: Connection, own: UnbrokenBeats | None, *conditions: ColumnElement[bool]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Locks the running jobs whose lease is over or whose process is lost."""
    gone = or_(CopyJob.lease_until < func.now(), is_lost(own))
    lost = select(CopyJob.id, CopyJob.attempt, CopyJob.worker, CopyJob.stop_requested, CopyJob.stopped_by)
    lost = lost.where(CopyJob.status == Status.RUNNING, gone, *conditions).order_by(CopyJob.id)
    return connection.execute(lost.with_for_update(skip_locked=True, key_share=True)).all()

"""Finds the jobs that nobody holds: lost with their worker, waiting without a place on the queue or longer
than any message takes, or for an approval that didn't come in time.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Numeric, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from bot.jobs.actions import expire
from bot.jobs.execution import broken_attempts
from bot.jobs.failure import Failure
from bot.jobs.models import CopyEvent, CopyJob, waits_for_somebody
from bot.jobs.outbox import Kind, tell
from bot.jobs.status import Status, Wish
from bot.jobs.stop_request import is_frozen, settle
from bot.jobs.transactions import has_come
from bot.jobs.workers import Unbroken, is_lost

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

    def run(self, own: Unbroken | None = None, room: int = 0) -> Swept:
        """``own`` are the beats of the process that sweeps, without which the silence of others doesn't
        count; ``room`` is for how many more jobs it has room.
        """
        with self._engine.begin() as connection:
            given_up = self._give_up(connection, own)
            sys.audit("traspaso.sweep")
            lost = self._take_from_lost_workers(connection, own)
            sys.audit("traspaso.sweep_taken", *lost)
            not_approved = expire(connection, CopyJob.approval_until < func.now())
            waiting, overdue = self._waiting(connection), self._overdue(connection, room)
            return Swept(lost, waiting, given_up, not_approved, overdue)

    def _give_up(self, connection: Connection, own: Unbroken | None) -> list[int]:
        """A job that was lost with its worker time and again may be what kills the workers."""
        sentence = f"{self._max_attempts} attempts were lost with their workers"
        failure = Failure("workers_lost", sentence)
        expired = _lost(own).where(
            broken_attempts("worker_lost") + 1 >= self._max_attempts,
            CopyJob.stop_requested.is_(None),
        )
        jobs = connection.execute(
            update(CopyJob)
            .where(CopyJob.id.in_(expired))
            .values(
                status=Status.FAILED,
                finished_at=func.now(),
                updated_at=func.now(),
                worker_id=None,
                lease_until=None,
                phase=None,
                error=failure.as_json(),
                error_message=sentence,
            )
            .returning(CopyJob.id, CopyJob.attempt)
        ).all()
        for job in jobs:
            tell(connection, Kind.ENDING, CopyJob.id == job.id)
            _event(connection, job.id, job.attempt, "failed", message=sentence, **failure.as_json())
        return [job.id for job in jobs]

    def _take_from_lost_workers(self, connection: Connection, own: Unbroken | None) -> list[int]:
        """Pending again, or paused or cancelled where somebody had asked the lost worker for that."""
        silent = func.round(cast(func.extract("epoch", func.now() - CopyJob.updated_at), Numeric))
        jobs = connection.execute(
            update(CopyJob)
            .where(CopyJob.id.in_(_lost(own)))
            .values(
                status=Status.PENDING,
                run_after=func.now(),
                enqueued_at=None,
                worker_id=None,
                lease_until=None,
                phase=None,
                throttle=None,
                error=func.jsonb_build_object("code", "worker_lost", "seconds", silent),
                updated_at=func.now(),
            )
            .returning(CopyJob.id, CopyJob.attempt, CopyJob.worker, CopyJob.stop_requested)
        ).all()
        for job in jobs:
            _event(connection, job.id, job.attempt, "worker_lost", worker=job.worker)
            if job.stop_requested:
                settle(connection, job.id, Wish(job.stop_requested))
            else:
                tell(connection, Kind.UPDATE, CopyJob.id == job.id)
        return [job.id for job in jobs]

    def _waiting(self, connection: Connection) -> list[int]:
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


def _lost(own: Unbroken | None) -> Any:
    gone = or_(CopyJob.lease_until < func.now(), is_lost(own))
    lost = select(CopyJob.id).where(CopyJob.status == Status.RUNNING, gone)
    return lost.with_for_update(skip_locked=True, key_share=True)


def _event(connection: Connection, job_id: int, attempt: int, kind: str, **detail: object) -> None:
    connection.execute(insert(CopyEvent).values(job_id=job_id, attempt=attempt, kind=kind, detail=detail))

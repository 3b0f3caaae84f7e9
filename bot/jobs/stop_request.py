"""What people want of jobs: a wish for one of them, a freeze for all.

A worker learns both in the fenced UPDATE of each step, and does them at its chunk's end. A job that
nobody holds takes a wish at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from bot.jobs.models import CopyEvent, CopyFreeze, CopyJob, User
from bot.jobs.outbox import Kind, tell
from bot.jobs.status import Status, Wish
from bot.jobs.view import Freeze, Person

#: What a job becomes that nobody holds.
GRANTED = {Wish.PAUSE: Status.PAUSED, Wish.CANCEL: Status.CANCELLED}


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told at each step: the ``wish`` for its job, and whether all is frozen."""

    wish: Wish | None
    frozen: bool


def is_frozen() -> ColumnElement[bool]:
    """A condition: a freeze is active."""
    return select(CopyFreeze.id).where(CopyFreeze.lifted_at.is_(None)).exists()


def active_freeze(connection: Connection) -> Freeze | None:
    """The freeze of this moment; None where there is none."""
    row = connection.execute(
        select(CopyFreeze.reason, CopyFreeze.frozen_at, User.slack_user_id, User.slack_team_id, User.name)
        .join(User, User.id == CopyFreeze.frozen_by)
        .where(CopyFreeze.lifted_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    return Freeze(Person(row.slack_user_id, row.slack_team_id, row.name), row.reason, row.frozen_at)


def settle(connection: Connection, job_id: int, wish: Wish) -> Status:
    """Pauses or cancels a job that no worker holds, and tells it; gives the state that it is in then.

    The caller's transaction has the row locked.
    """
    status = GRANTED[wish]
    row = connection.execute(
        update(CopyJob)
        .where(CopyJob.id == job_id, CopyJob.status.in_([Status.PENDING, Status.PAUSED]))
        .values(
            status=status,
            stop_requested=None,
            finished_at=func.now() if status is Status.CANCELLED else None,
            enqueued_at=None,
            updated_at=func.now(),
        )
        .returning(CopyJob.attempt, CopyJob.stopped_by)
    ).one()
    connection.execute(
        insert(CopyEvent).values(
            job_id=job_id, attempt=row.attempt, user_id=row.stopped_by, kind=status.value
        )
    )
    kind = Kind.ENDING if status is Status.CANCELLED else Kind.UPDATE
    tell(connection, kind, CopyJob.id == job_id)
    return status

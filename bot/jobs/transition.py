"""Changes a job's status: the only place that writes ``copy_jobs.status`` after a job's creation.

The event, what is to be announced in Slack and what is to be told elsewhere are written in the same
transaction.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from bot.jobs.events import Event, EventKind, Plain
from bot.jobs.models import CopyEvent, CopyJob
from bot.jobs.notifications import tell_of_step
from bot.jobs.outbox import Kind, announce, tell_followers
from bot.jobs.status import Approval, Status, Step, StopReason, StopRequest


def transition(
    connection: Connection,
    job_id: int,
    step: Step,
    *conditions: ColumnElement[bool],
    event: Event,
    by: int | None = None,
    notify: Kind | None = None,
    **values: Any,
) -> Row[Any] | None:
    """Takes the step within the caller's transaction; gives the job's row as it is then.

    None where the job isn't in one of the step's states, or a condition doesn't hold: nothing has changed
    then. ``by`` is the row of the user who did it, ``notify`` what the outbox announces, ``values`` what else
    changes.
    """
    if step.to is not Status.RUNNING:
        ended = func.now() if not step.to.is_live else None
        values = {"worker_id": None, "lease_until": None, "phase": None, "finished_at": ended, **values}
    row = connection.execute(
        update(CopyJob)
        .where(CopyJob.id == job_id, CopyJob.status.in_(step.sources), *conditions)
        .values({"status": step.to, "stop_requested": None, "updated_at": func.now(), **values})
        .returning(CopyJob)
    ).one_or_none()
    if row is None:
        return None
    add_event(connection, job_id, row.attempt, event, by)
    if notify is not None:
        announce(connection, notify, CopyJob.id == job_id)
    tell_of_step(connection, step, job_id, row.attempt)
    if not step.to.is_live:
        tell_followers(connection, job_id, row.attempt)
    return row


def stop_job(connection: Connection, job_id: int, request: StopRequest, **values: Any) -> Status:
    """Pauses or cancels a job that nobody holds any more, as somebody asked; gives the state it is in then.

    The caller's transaction has the row locked, and has seen that it may.
    """
    if request.reason is StopReason.CANCEL:
        step, kind, notify = Step.CANCEL, EventKind.CANCELLED, Kind.ENDING
    else:
        step, kind, notify = Step.PAUSE, EventKind.PAUSED, Kind.UPDATE
    moved = transition(
        connection,
        job_id,
        step,
        event=Plain(kind),
        by=request.by,
        notify=notify,
        enqueued_at=None,
        **values,
    )
    if moved is None:
        raise RuntimeError(f"job {job_id} can't be {step.to} any more, though its row was locked")
    return step.to


def second_person(second_group_seconds: float | None) -> dict[str, Any]:
    """What changes in a row when it begins to wait for a second person, beside for how long."""
    second = None if second_group_seconds is None else func.now() + timedelta(seconds=second_group_seconds)
    return {"approval_asked_at": func.now(), "second_group_at": second, "approval_reason": None}


def expire(connection: Connection, which: ColumnElement[bool]) -> list[int]:
    """Ends those of the jobs that still wait for somebody's yes, and announces it; gives their ids."""
    unapproved = (
        select(CopyJob.id)
        .where(CopyJob.status == Status.PENDING, CopyJob.approval == Approval.WAITING, which)
        .order_by(CopyJob.id)
        .with_for_update(skip_locked=True, key_share=True)
    )
    jobs = list(connection.scalars(unapproved))
    for job_id in jobs:
        transition(
            connection,
            job_id,
            Step.EXPIRE,
            event=Plain(EventKind.APPROVAL_EXPIRED),
            notify=Kind.ENDING,
            approval=Approval.EXPIRED,
        )
    return jobs


def add_event(connection: Connection, job_id: int, attempt: int, event: Event, by: int | None = None) -> None:
    """Adds a line to the job's history."""
    connection.execute(
        insert(CopyEvent).values(
            job_id=job_id, attempt=attempt, user_id=by, kind=event.kind, detail=event.as_json()
        )
    )

"""The states of a copy job, every step from one to another, and the only place that takes them.

    pending ──── CLAIM ────► running ──── COMPLETE ────────► completed
       ▲                        │ ├────── FAIL, GIVE_UP ───► failed
       ├── RELEASE, TAKE_BACK ──┘ │                             │
       ├── RETRY ─────────────────┼─────────────────────────────┘
       └── RESUME ─── paused ◄────┘ PAUSE

    pending ── PAUSE ──► paused
    pending, running, paused ── CANCEL ──► cancelled
    pending ── REJECT, EXPIRE ──► cancelled

`Step` is the table. `transition` takes its states from there, and alone writes ``copy_jobs.status`` after a
job's creation, which makes it ``pending``. The event, what is to be announced in Slack, what is to be told
elsewhere, and the receipt of a job that ends are written in the same transaction. So is the end of a run,
with that of its last live job.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    Select,
    Text,
    cast,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.sql.dml import ReturningInsert

from bot.jobs import receipts, totals
from bot.jobs.events import Event, EventKind, Plain
from bot.jobs.models import (
    LIVE,
    Approval,
    CopyEvent,
    CopyJob,
    CopyRun,
    Status,
    StopReason,
    StopRequest,
    in_set_of,
    waits_for_approval,
)
from bot.jobs.notifications import notification_of_step, notify_of_end_of_run, result_of
from bot.jobs.outbox import MessageKind, announce_run, announced, notified_followers, notify_followers_of_run
from bot.jobs.transactions import execute_batch


class Step(Enum):
    """A step that changes a job's status: from which states (``sources``) it goes, and ``to`` which one."""

    #: A worker takes the job: attempt + 1, and a lease.
    CLAIM = "claim", {Status.PENDING}, Status.RUNNING
    #: Counted and compared: both sides agree.
    COMPLETE = "complete", {Status.RUNNING}, Status.COMPLETED
    #: A permanent error, or no tries left.
    FAIL = "fail", {Status.RUNNING}, Status.FAILED
    #: Too many attempts were lost with their workers.
    GIVE_UP = "give_up", {Status.RUNNING}, Status.FAILED
    #: Its worker gives the job back: at a shutdown, for a retry, or because it asks its requester again.
    RELEASE = "release", {Status.RUNNING}, Status.PENDING
    #: The sweep takes the job from a lost worker.
    TAKE_BACK = "take_back", {Status.RUNNING}, Status.PENDING
    #: Somebody asked for it: at once where nobody holds the job, else at a chunk's end.
    PAUSE = "pause", {Status.PENDING, Status.RUNNING}, Status.PAUSED
    #: The same, for good.
    CANCEL = "cancel", {Status.PENDING, Status.RUNNING, Status.PAUSED}, Status.CANCELLED
    #: Somebody lets a paused job go on.
    RESUME = "resume", {Status.PAUSED}, Status.PENDING
    #: Somebody has a failed job tried again.
    RETRY = "retry", {Status.FAILED}, Status.PENDING
    #: The second person said no.
    REJECT = "reject", {Status.PENDING}, Status.CANCELLED
    #: Nobody approved it in time, or nobody can.
    EXPIRE = "expire", {Status.PENDING}, Status.CANCELLED

    def __init__(self, label: str, sources: set[Status], to: Status) -> None:
        self.label = label
        self.sources = frozenset(sources)
        self.to = to


#: The same as a table: what a job of each state can become.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    old: frozenset(step.to for step in Step if old in step.sources) for old in Status
}


def transition(
    connection: Connection,
    job_id: int,
    step: Step,
    *conditions: ColumnElement[bool],
    event: Event,
    by: int | None = None,
    also: Iterable[Executable] = (),
    commit: bool = False,
    **written: Any,
) -> Any | None:
    """Takes the step within the caller's transaction; gives the job's row as it is then.

    None where the job isn't in one of the step's states, or a condition doesn't hold: nothing has changed
    then. ``written`` are the settings of `step_of`. ``also`` are statements of the caller's that go with the
    last message, where the step was taken or may be; they are asked for just before it. With ``commit`` that
    ends the transaction.
    """
    statement = step_of(job_id, step, *conditions, event=event, by=by, **written)
    if step.to.is_live:
        begins_again = step is Step.RETRY
        found, *_ = execute_batch(connection, statement, *also, commit=commit and not begins_again)
        if not begins_again:
            return found[0] if found else None
        if found and found[0].run_id is not None:
            _begin_again(connection, found[0].run_id)
        if commit:
            execute_batch(connection, commit=True)
        return found[0] if found else None
    # The receipt's lock comes after the step, because others who end a job wait for it.
    found, *answers = execute_batch(connection, statement, *receipts.questions(job_id, by))
    if not found:
        return None
    receipt, run_id = receipts.receipt(found[0], event, by, answers), found[0].run_id
    execute_batch(connection, receipt, *also, commit=commit and run_id is None)
    if run_id is not None:  # after the receipt's lock everywhere, so that no two wait for each other
        _end_in_run(connection, run_id)
        if commit:
            execute_batch(connection, commit=True)
    return found[0]


def step_of(
    job_id: int,
    step: Step,
    *conditions: ColumnElement[bool],
    event: Event,
    by: int | None = None,
    notify: MessageKind | None = None,
    ends_attempt: bool | None = None,
    **values: Any,
) -> Select[Any]:
    """The step as one statement, but for the receipt of a job that ends; it gives the job's row.

    Where it gives none, nothing has changed. ``by`` is the row of the user who did it, ``notify`` what the
    outbox announces, ``values`` what else changes. ``ends_attempt`` says whether the job was running, where
    the step alone doesn't.
    """
    if ends_attempt is None:
        ends_attempt = step.sources == {Status.RUNNING}
    if step.to is not Status.RUNNING:
        ended = func.now() if not step.to.is_live else None
        values = {"worker_id": None, "lease_until": None, "phase": None, "finished_at": ended, **values}
    moved = (
        update(CopyJob)
        .where(CopyJob.id == job_id, CopyJob.status.in_(step.sources), *conditions)
        .values({"status": step.to, "stop_requested": None, "updated_at": func.now(), **values})
        .returning(CopyJob)
        .cte("moved")
    )
    beside = [event_of_step(moved, event, by).cte("event")]
    if totals.counts(step.to, ends_attempt=ends_attempt):
        lines = totals.lines(
            moved,
            step.to,
            ends_attempt=ends_attempt,
            is_retry=event.kind == EventKind.RETRY,
            is_takeover=step in {Step.TAKE_BACK, Step.GIVE_UP},
        )
        beside.append(lines.cte("counted"))
    if notify is not None:
        beside += announced(moved, notify, to_run=step.to.is_live)
    if (told := notification_of_step(moved, step.to)) is not None:
        beside.append(told.cte("told"))
    if not step.to.is_live:
        beside += notified_followers(moved)
    return select(moved).add_cte(*beside)


def _end_in_run(connection: Connection, run_id: int) -> None:
    """A job of the run has ended: with the last live one the run has, too.

    Its row is locked before its jobs are looked at: of two that end at the same moment the second one sees
    the end of the first.
    """
    connection.execute(_locked_run(run_id))
    over = update(CopyRun).where(CopyRun.id == run_id, CopyRun.ended_at.is_(None), ~_has_live_jobs())
    has_ended = connection.execute(over.values(ended_at=func.now(), updated_at=func.now())).rowcount == 1
    announce_run(connection, MessageKind.ENDING if has_ended else MessageKind.UPDATE, run_id)
    if has_ended:
        connection.execute(totals.line_of_run(run_id, result_of(run_id)))
        notify_of_end_of_run(connection, run_id)
        notify_followers_of_run(connection, run_id)


def _begin_again(connection: Connection, run_id: int) -> None:
    """A job of the run is tried again: a run that had ended begins another round."""
    connection.execute(_locked_run(run_id))
    anew = update(CopyRun).where(CopyRun.id == run_id, CopyRun.ended_at.is_not(None))
    anew = anew.values(ended_at=None, round=CopyRun.round + 1, updated_at=func.now())
    if connection.execute(anew).rowcount:
        announce_run(connection, MessageKind.CARD, run_id)


def _locked_run(run_id: int) -> Select[int]:
    return select(CopyRun.id).where(CopyRun.id == run_id).with_for_update(key_share=True)


def _has_live_jobs() -> ColumnElement[bool]:
    """A condition on `CopyRun`."""
    return select(CopyJob.id).where(CopyJob.run_id == CopyRun.id, CopyJob.status.in_(LIVE)).exists()


def end_runs(connection: Connection) -> None:
    """Ends the runs whose last jobs were ended by a worker of the release before, which knows no runs."""
    for run_id in connection.scalars(_runs_without_live_jobs()).all():
        _end_in_run(connection, run_id)


@cache
def _runs_without_live_jobs() -> Select[int]:
    over = select(CopyRun.id).where(CopyRun.ended_at.is_(None), ~_has_live_jobs()).order_by(CopyRun.id)
    return over.with_for_update(skip_locked=True, key_share=True)


def stop_job(
    connection: Connection, job_id: int, request: StopRequest, *, ends_attempt: bool, **values: Any
) -> Status:
    """Pauses or cancels a job that nobody holds any more, as somebody asked; gives the state it is in then.

    The caller's transaction has the row locked, and has seen that it may. ``ends_attempt`` where it was
    running until now.
    """
    if request.reason is StopReason.CANCEL:
        step, kind, notify = Step.CANCEL, EventKind.CANCELLED, MessageKind.ENDING
    else:
        step, kind, notify = Step.PAUSE, EventKind.PAUSED, MessageKind.UPDATE
    moved = transition(
        connection,
        job_id,
        step,
        event=Plain(kind),
        by=request.by,
        notify=notify,
        enqueued_at=None,
        ends_attempt=ends_attempt,
        **values,
    )
    if moved is None:
        raise RuntimeError(f"job {job_id} can't be {step.to} any more, though its row was locked")
    return step.to


def second_person(second_group_seconds: float | None) -> dict[str, Any]:
    """What changes in a row when it begins to wait for a second person, beside for how long."""
    second = None if second_group_seconds is None else func.now() + timedelta(seconds=second_group_seconds)
    return {"approval_asked_at": func.now(), "second_group_at": second, "approval_reason": None}


def waiting_for_yes(which: ColumnElement[bool]) -> Select[int]:
    """Locks those of the jobs that still wait for somebody's yes."""
    waiting = select(CopyJob.id).where(waits_for_approval(), which).order_by(CopyJob.id)
    return waiting.with_for_update(skip_locked=True, key_share=True)


def expire(connection: Connection, unapproved: Select[int]) -> list[int]:
    """Ends the jobs that `waiting_for_yes` gives, and announces it; gives their ids.

    What is left of a set ends with one of its jobs. A set of which somebody has another job in hand is left
    for the next time.
    """
    found = connection.scalars(unapproved).all()
    jobs = [job_id for job_id in found if _locks_rest_of_set(connection, job_id)]
    for job_id in jobs:
        transition(
            connection,
            job_id,
            Step.EXPIRE,
            event=Plain(EventKind.APPROVAL_EXPIRED),
            notify=MessageKind.ENDING,
            approval=Approval.EXPIRED,
        )
    for job_id in jobs:
        cancel_rest_of_set(connection, job_id)
    return jobs


def cancel_rest_of_set(connection: Connection, job_id: int, by: int | None = None) -> None:
    """A job has ended that nobody held: the other jobs of its set, which wait for it, end with it.

    ``by`` is the row of the user who ended it. Those that run are left: no worker has one of them alone.
    """
    waiting = _rest_of_set(job_id).where(CopyJob.status.in_([Status.PENDING, Status.PAUSED]))
    for each in connection.scalars(waiting.with_for_update(key_share=True)).all():
        stop_job(connection, each, StopRequest(StopReason.CANCEL, by), ends_attempt=False)


def _rest_of_set(job_id: int) -> Select[int]:
    """The other live jobs of its set; none where it belongs to none."""
    same = in_set_of(job_id), CopyJob.id != job_id, CopyJob.status.in_(LIVE)
    return select(CopyJob.id).where(*same).order_by(CopyJob.id)


def _locks_rest_of_set(connection: Connection, job_id: int) -> bool:
    """Locks the other live jobs of its set; False where somebody else has one of them in hand."""
    rest = _rest_of_set(job_id)
    locked = connection.scalars(rest.with_for_update(skip_locked=True, key_share=True)).all()
    return len(locked) == len(connection.scalars(rest).all())


def add_event(connection: Connection, job_id: int, attempt: int, event: Event, by: int | None = None) -> None:
    """Adds a line to the job's history."""
    connection.execute(
        insert(CopyEvent).values(
            job_id=job_id, attempt=attempt, user_id=by, kind=event.kind, detail=event.as_json()
        )
    )


def event_of_step(moved: CTE, event: Event, by: int | None) -> ReturningInsert[Any]:
    """The same as a part of the statement whose ``moved`` has the job's row."""
    told = select(
        moved.c.id,
        moved.c.attempt,
        literal(by, BigInteger),
        cast(event.kind, Text),
        literal(event.as_json(), JSONB),
    )
    names = ["job_id", "attempt", "user_id", "kind", "detail"]
    return insert(CopyEvent).from_select(names, told).returning(CopyEvent.id)

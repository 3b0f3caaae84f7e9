"""What people do to jobs: pause, resume, cancel, retry, confirm; approve and reject.

Each is one transaction that decides on what is true then, and that leaves an event with who did it. Doing it
twice is doing it once. What can't be done any more changes nothing, and the card is announced anew, so that
it shows why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Row,
    ScalarSelect,
    and_,
    case,
    cast,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from bot.errors import AlreadyRunning, UnknownJob, UnknownRun
from bot.jobs.events import SETS_GOING, Approved, Confirmed, Event, EventKind, Plain, Rejected
from bot.jobs.models import (
    LIVE,
    Approval,
    CopyEvent,
    CopyJob,
    CopyRun,
    JobFollower,
    RunFollower,
    Status,
    StopReason,
    StopRequest,
    User,
    in_set_of,
    is_of_set,
)
from bot.jobs.outbox import MessageKind, announce, announce_once, announce_run
from bot.jobs.repository import JobRepository, Requester, ensure_user, is_taken, kept_reason
from bot.jobs.status import Step, add_event, cancel_rest_of_set, stop_job, transition
from bot.jobs.view import SHELL, JobView, Question, RowCounts, RunView, answered


class Became(StrEnum):
    """What became of a press."""

    DONE = "done"  # at once
    REQUESTED = "asked"  # the worker does it at its chunk's end
    BEFORE = "before"  # it was so, or on its way, already
    NOT_YOURS = "not_yours"  # only its requester can say it
    STALE = "stale"  # the job asks about other numbers by now
    NOT_NOW = "not_now"  # the job's state has no place for it (any more)


#: What is acted on.
Of = TypeVar("Of", bound=JobView | RunView)


@dataclass(frozen=True, slots=True)
class Effect(Generic[Of]):
    """What became of it, and the job or the run as it is ``after`` it. ``to_enqueue`` are the jobs that a
    worker may take.
    """

    became: Became
    after: Of
    to_enqueue: tuple[int, ...] = ()


class ApprovalOutcome(StrEnum):
    """What became of a press of *Approve* or *Reject*."""

    DONE = "done"  # it counts; a second press of the same person counts no second time and says the same
    OWN = "own"  # they asked for the copy themselves, or set it going again
    STALE = "stale"  # its numbers aren't those that were pressed for; the card is announced anew
    LATE = "late"  # somebody else, the requester or the time has decided; the job shows it
    UNKNOWN = "unknown"  # there is no such job or run, or it never needed an approval


@dataclass(frozen=True, slots=True)
class Decision(Generic[Of]):
    """``after`` is how the job or the run is then; None only for UNKNOWN. ``decided`` are the jobs about
    which this very press decided.
    """

    outcome: ApprovalOutcome
    after: Of | None
    decided: tuple[int, ...] = ()


class Control:
    """Pause, resume, cancel, retry, confirm. Every method raises UnknownJob where there is no such job.

    The job's row is locked while it is decided what a press does.
    """

    def __init__(self, engine: Engine, store: JobRepository | None = None) -> None:
        self._engine = engine
        self._store = store or JobRepository(engine)

    def pause(self, job_id: int, requester: Requester) -> Effect[JobView]:
        """A running job stops at its chunk's end and keeps what is in place; a waiting one at once."""
        return self._do(job_id, requester, pause)

    def cancel(self, job_id: int, requester: Requester) -> Effect[JobView]:
        """As `pause`, for good."""
        return self._do(job_id, requester, cancel)

    def resume(self, job_id: int, requester: Requester) -> Effect[JobView]:
        """A paused job waits for a worker again; one that is about to pause doesn't."""
        return self._do(job_id, requester, resume)

    def retry(self, job_id: int, requester: Requester) -> Effect[JobView]:
        """A failed job waits for a worker again, with all its tries before it; its card is pinned again.

        Raises:
            AlreadyRunning: another live job for this target table and liquidation exists, or for those of
                another job of its set.
        """
        while True:
            try:
                return self._do(job_id, requester, retry)
            except IntegrityError as refused:
                if not is_taken(refused):
                    raise
                if (live := self._in_the_way(job_id)) is not None:
                    raise AlreadyRunning(live) from None

    def confirm(self, job_id: int, requester: Requester, numbers: RowCounts | None) -> Effect[JobView]:
        """Its requester agrees to the numbers that the job asks about: they are what was shown; it is due.

        In a shell whoever has the settings may say it, as they might copy anew.
        """

        return self._do(job_id, requester, lambda job: confirm(job, requester, numbers))

    def start_now(self, job_id: int, requester: Requester) -> Effect[JobView]:
        """A job that is for later is due at once; an approval that it needs is needed all the same."""

        return self._do(job_id, requester, start_now)

    def _do(self, job_id: int, requester: Requester, do: Callable[[LockedJob], Became]) -> Effect[JobView]:
        with self._locked(job_id, requester) as (locked, *others):
            became = do(locked)
            for other in others:  # of one set: they begin, wait and end together
                do(other)
            if became not in {Became.DONE, Became.REQUESTED}:
                has_card = or_(CopyJob.message_ts.is_not(None), CopyJob.run_id.is_not(None))
                announce(locked.connection, MessageKind.UPDATE, CopyJob.id == job_id, has_card)
        job = self._store.job(job_id)
        if job is None:
            raise UnknownJob(job_id)
        waits = became is Became.DONE and job.status is Status.PENDING and job.freeze is None
        waits = waits and not job.waits_for_its_time
        return Effect(became, job, (job.id,) if waits else ())

    def _in_the_way(self, job_id: int) -> int | None:
        """The live job that copies what this one, or another one of its set, is to copy."""
        live = aliased(CopyJob)
        same = live.target_table == CopyJob.target_table, live.liquidation_id == CopyJob.liquidation_id
        statement = select(live.id).join(CopyJob, and_(*same)).where(_itself_and_its_set(job_id))
        statement = statement.where(live.status.in_(LIVE), live.id != CopyJob.id)
        with self._engine.connect() as connection:
            return connection.scalar(statement.order_by(live.id).limit(1))

    @contextmanager
    def _locked(self, job_id: int, requester: Requester) -> Iterator[list[LockedJob]]:
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, requester)  # before the job, as everywhere: no deadlock
            found = {job.id: job for job in locked(connection, user_id, _itself_and_its_set(job_id))}
            if job_id not in found:
                raise UnknownJob(job_id)
            yield [found.pop(job_id), *found.values()]


def _itself_and_its_set(job_id: int) -> ColumnElement[bool]:
    """A condition: it is this job, or one of the set that this one belongs to."""
    return or_(CopyJob.id == job_id, in_set_of(job_id))


def locked(connection: Connection, user_id: int, which: ColumnElement[bool]) -> list[LockedJob]:
    """The jobs that fit, by their numbers, each locked; ``user_id`` is the row of whoever does something."""
    statement = (
        select(CopyJob, User.slack_user_id, is_of_set().label("of_set"))
        .select_from(CopyJob)
        .join(User, User.id == CopyJob.user_id)
        .where(which)
        .order_by(CopyJob.id)
        .with_for_update(of=CopyJob, key_share=True)
    )
    jobs = [LockedJob(connection, row, user_id) for row in connection.execute(statement).all()]
    waiting = {job.its_set for job in jobs if job.waits_for_somebody and job.its_set is not None}
    for job in jobs:
        job.waits_for_somebody = job.waits_for_somebody or job.its_set in waiting
    return jobs


class LockedJob:
    """A job's row that nobody else can change meanwhile, and what can be done to it.

    ``its_set`` is the run and the liquidation of the set that it belongs to, if any. It waits for somebody
    with any job of that.
    """

    def __init__(self, connection: Connection, row: Row[*tuple[Any, ...]], user_id: int) -> None:
        self.connection = connection
        self.status = Status(row.status)
        self.stop_requested = StopReason(row.stop_requested) if row.stop_requested else None
        self.approval: str | None = row.approval
        self.question = Question.from_json(row.question) if row.question else None
        self.requester_id: str = row.slack_user_id
        self.retried_at: int = row.retried_at_attempt
        self.start_at: datetime | None = row.start_at
        self.id: int = row.id
        self.its_set: tuple[int, int] | None = (row.run_id, row.liquidation_id) if row.of_set else None
        self.waits_for_somebody = self.approval == Approval.WAITING or self.question is not None
        self._attempt: int = row.attempt
        self._user_id = user_id

    def request_stop(self, reason: StopReason) -> Became:
        """The worker that holds the job learns it with its next step."""
        if self.stop_requested is reason:
            return Became.BEFORE
        asked = EventKind.CANCEL_REQUESTED if reason is StopReason.CANCEL else EventKind.PAUSE_REQUESTED
        self.change(Plain(asked), stop_requested=reason, stopped_by=self._user_id)
        return Became.REQUESTED

    def stop(self, reason: StopReason) -> Became:
        """At once: nobody holds the job."""
        request = StopRequest(reason, self._user_id)
        stop_job(self.connection, self.id, request, ends_attempt=False, stopped_by=self._user_id)
        return Became.DONE

    def wait_again(
        self, step: Step, event: Event, *, notify: MessageKind = MessageKind.UPDATE, **values: Any
    ) -> Became:
        """Pending and due, with nothing held against it."""
        moved = transition(
            self.connection,
            self.id,
            step,
            event=event,
            by=self._user_id,
            notify=notify,
            **_due_again(),
            **values,
        )
        if moved is None:
            raise RuntimeError(f"job {self.id} can't take the step {step.label}, though its row is locked")
        return Became.DONE

    def change(self, event: Event, **values: object) -> Became:
        """Changes something else than the status."""
        self.connection.execute(
            update(CopyJob).where(CopyJob.id == self.id).values({"updated_at": func.now(), **values})
        )
        add_event(self.connection, self.id, self._attempt, event, self._user_id)
        announce(self.connection, MessageKind.UPDATE, CopyJob.id == self.id)
        return Became.DONE


# What a press does to a job whose row is locked.


def pause(job: LockedJob) -> Became:
    if job.status is Status.RUNNING and job.stop_requested is not StopReason.CANCEL:
        return job.request_stop(StopReason.PAUSE)
    if job.status is Status.PENDING and not job.waits_for_somebody:
        return job.stop(StopReason.PAUSE)
    return Became.BEFORE if job.status is Status.PAUSED else Became.NOT_NOW


def cancel(job: LockedJob) -> Became:
    if job.status is Status.RUNNING:
        return job.request_stop(StopReason.CANCEL)
    if job.status in {Status.PENDING, Status.PAUSED}:
        return job.stop(StopReason.CANCEL)
    return Became.BEFORE if job.status is Status.CANCELLED else Became.NOT_NOW


def resume(job: LockedJob) -> Became:
    if job.status is Status.RUNNING and job.stop_requested is StopReason.PAUSE:
        return job.change(Plain(EventKind.RESUMED), stop_requested=None)
    if job.status is Status.PAUSED:
        return job.wait_again(Step.RESUME, Plain(EventKind.RESUMED))
    going = job.status in {Status.PENDING, Status.RUNNING} and job.stop_requested is None
    return Became.BEFORE if going else Became.NOT_NOW


def retry(job: LockedJob) -> Became:
    if job.status is not Status.FAILED:
        again = job.status.is_live and job.retried_at > 0
        return Became.BEFORE if again else Became.NOT_NOW
    return job.wait_again(
        Step.RETRY,
        Plain(EventKind.RETRIED),
        notify=MessageKind.CARD,
        error_message=None,
        retried_at_attempt=CopyJob.attempt,
    )


def start_now(job: LockedJob) -> Became:
    if job.status is not Status.PENDING:
        return Became.BEFORE if job.status is Status.RUNNING else Became.NOT_NOW
    if job.start_at is None:
        return Became.BEFORE
    return job.change(Plain(EventKind.STARTED_NOW), start_at=None, run_after=func.now())


def confirm(job: LockedJob, requester: Requester, numbers: RowCounts | None) -> Became:
    if job.status is not Status.PENDING or job.approval == Approval.WAITING:
        return Became.BEFORE if job.status is Status.RUNNING else Became.NOT_NOW
    if job.question is None:
        return Became.BEFORE
    if requester.team_id != SHELL and job.requester_id != requester.user_id:
        return Became.NOT_YOURS
    if numbers is None or job.question.numbers != numbers:
        return Became.STALE
    return job.change(Confirmed(numbers), **_due_again(), **_accepted())


class Followed(StrEnum):
    """What became of a press of *Tell me*, or of taking it back."""

    NOTED = "noted"
    BEFORE = "before"  # it was noted already
    TAKEN_BACK = "taken_back"
    ENDED = "ended"  # the job has ended: there is nothing more to be told


class Followers:
    """Notes who wants a direct message when a job ends, or a run (``of_runs``). Raises UnknownJob or
    UnknownRun where there is none of that number.

    Its row is locked, so that whoever is noted before its end is told of it.
    """

    def __init__(self, engine: Engine, *, of_runs: bool = False) -> None:
        self._engine = engine
        self._of_runs = of_runs
        self._noted: type[JobFollower | RunFollower] = RunFollower if of_runs else JobFollower
        self._about = RunFollower.run_id if of_runs else JobFollower.job_id

    def follow(self, number: int, by: Requester) -> Followed:
        """Whoever it is will be told of the end of the job, or the run, of this number."""
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, by)
            if not self._is_live(connection, number):
                return Followed.ENDED
            noted = insert(self._noted).values({self._about: number, self._noted.user_id: user_id})
            noted = noted.on_conflict_do_nothing()
            is_new = connection.execute(noted.returning(self._noted.user_id)).first() is not None
        return Followed.NOTED if is_new else Followed.BEFORE

    def unfollow(self, number: int, by: Requester) -> Followed:
        """They won't, unless it has ended."""
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, by)
            if not self._is_live(connection, number):
                return Followed.ENDED
            connection.execute(
                delete(self._noted).where(self._about == number, self._noted.user_id == user_id)
            )
        return Followed.TAKEN_BACK

    def _is_live(self, connection: Connection, number: int) -> bool:
        if self._of_runs:
            run = select(CopyRun.ended_at.is_(None)).where(CopyRun.id == number)
            is_live = connection.execute(run.with_for_update(key_share=True)).scalar_one_or_none()
            if is_live is None:
                raise UnknownRun(number)
            return is_live
        locked = select(CopyJob.status).where(CopyJob.id == number).with_for_update(key_share=True)
        status = connection.execute(locked).scalar_one_or_none()
        if status is None:
            raise UnknownJob(number)
        return Status(status).is_live


class Approvals:
    """Approves and rejects. Whether the person may is the caller's question.

    One conditional UPDATE decides, so that two people, two presses or a sweep at the same moment make one
    decision. Nobody decides about a copy that they asked for themselves.
    """

    def __init__(self, engine: Engine, store: JobRepository | None = None) -> None:
        self._engine = engine
        self._store = store or JobRepository(engine)

    def approve(
        self, job_id: int, by: Requester, numbers: RowCounts | None = None, reason: str | None = None
    ) -> Decision[JobView]:
        """The job is due at once, to be put on the queue by the caller, or else by the next sweep.

        ``numbers`` are those that it asked about again, as they were pressed for; None where it hadn't.
        """
        with self._engine.begin() as connection:
            is_new = approve(connection, job_id, by, numbers, kept_reason(reason))
        return self._decision(job_id, by, Approval.APPROVED, numbers, is_new=is_new)

    def hindrance(self, job_id: int, by: Requester) -> Decision[JobView] | None:
        """What would become of this person's no now, where that is nothing; None where they may say it."""
        decision = self._decision(job_id, by, Approval.REJECTED, None, is_new=False)
        waits = decision.after is not None and decision.after.waits_for_approval
        return None if waits and decision.outcome is ApprovalOutcome.LATE else decision

    def reject(self, job_id: int, by: Requester, reason: str | None = None) -> Decision[JobView]:
        """The job is cancelled, and its ending announced where it has a channel; so is all of its set."""
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, by)
            together = select(CopyJob.id).where(_itself_and_its_set(job_id)).order_by(CopyJob.id)
            connection.execute(together.with_for_update(key_share=True))
            is_new = reject(connection, job_id, by, kept_reason(reason))
            if is_new:
                cancel_rest_of_set(connection, job_id, user_id)
        return self._decision(job_id, by, Approval.REJECTED, None, is_new=is_new)

    def _decision(
        self, job_id: int, by: Requester, said: Approval, numbers: RowCounts | None, *, is_new: bool
    ) -> Decision[JobView]:
        job = self._store.job(job_id)
        if job is None or job.approval is None:
            return Decision(ApprovalOutcome.UNKNOWN, None)
        if is_new:
            return Decision(ApprovalOutcome.DONE, job, (job_id,))
        asked = job.question.numbers if job.question else None
        if job.waits_for_approval and by.user_id in {job.requester_id, self._set_going_by(job_id)}:
            return Decision(ApprovalOutcome.OWN, job)
        if job.waits_for_approval and said is Approval.APPROVED and asked != numbers:
            with self._engine.begin() as connection:
                announce(
                    connection, MessageKind.UPDATE, CopyJob.id == job_id, CopyJob.message_ts.is_not(None)
                )
            return Decision(ApprovalOutcome.STALE, job)
        same = job.approval is said and job.approval_by is not None and job.approval_by.id == by.user_id
        return Decision(ApprovalOutcome.DONE if same else ApprovalOutcome.LATE, job)

    def _set_going_by(self, job_id: int) -> str | None:
        with self._engine.connect() as connection:
            return connection.execute(select(_set_going(job_id))).scalar_one()


# How an answer counts.


def approve(
    connection: Connection, job_id: int, by: Requester, numbers: RowCounts | None, reason: str | None
) -> bool:
    """Whether this yes counts."""
    user_id = ensure_user(connection, by)
    approved = connection.execute(
        update(CopyJob)
        .where(
            CopyJob.id == job_id,
            CopyJob.status == Status.PENDING,
            *_may_decide(by),
            _asks_about(numbers),
            _set_going(job_id).is_distinct_from(by.user_id),
        )
        .values(
            {
                "updated_at": func.now(),
                "run_after": func.now(),
                "enqueued_at": None,
                "approval_reason": reason,
                **_decided(Approval.APPROVED, user_id),
                **_accepted(),
            }
        )
        .returning(CopyJob.attempt, CopyJob.previewed_records, CopyJob.previewed_target_records)
    ).one_or_none()
    if approved is None:
        return False
    attempt, in_prod, in_consulta = approved
    add_event(connection, job_id, attempt, Approved(in_prod, in_consulta, reason), user_id)
    announce(connection, MessageKind.UPDATE, CopyJob.id == job_id)
    announce_once(connection, MessageKind.APPROVED, CopyJob.id == job_id)
    return True


def reject(connection: Connection, job_id: int, by: Requester, reason: str | None) -> bool:
    """Whether this no counts."""
    user_id = ensure_user(connection, by)
    rejected = transition(
        connection,
        job_id,
        Step.REJECT,
        *_may_decide(by),
        event=Rejected(reason),
        by=user_id,
        notify=MessageKind.ENDING,
        **_decided(Approval.REJECTED, user_id),
    )
    return rejected is not None


def _may_decide(by: Requester) -> list[ColumnElement[bool]]:
    """Conditions: the job waits for a second person, and ``by`` isn't who asked for it."""
    # Of one person in two workspaces of an organisation: the Slack id is the same.
    themselves = select(User.id).where(User.slack_user_id == by.user_id)
    return [
        CopyJob.approval == Approval.WAITING,
        CopyJob.approval_until > func.now(),
        CopyJob.user_id.not_in(themselves),
    ]


def _decided(said: Approval, user_id: int) -> dict[str, Any]:
    return {"approval": said, "approval_by": user_id, "approval_at": func.now()}


def _due_again() -> dict[str, Any]:
    """What a press changes that sets a job going again."""
    return {
        "stop_requested": None,
        "stopped_by": None,
        "failures": 0,
        "error": None,
        "run_after": func.now(),
        "enqueued_at": None,
    }


def _accepted() -> dict[str, Any]:
    """What a yes changes in the row: the numbers of the question, if there is one, are what was shown."""
    in_prod, in_consulta = _asked("in_prod"), _asked("in_consulta")
    removes = and_(in_prod == 0, in_consulta > 0)
    return {
        "previewed_records": func.coalesce(in_prod, CopyJob.previewed_records),
        "previewed_target_records": func.coalesce(in_consulta, CopyJob.previewed_target_records),
        "previewed_deletes": case(
            (CopyJob.question.is_not(None), _asked("deleted")), else_=CopyJob.previewed_deletes
        ),
        "removal_confirmed": case((CopyJob.question.is_not(None), removes), else_=CopyJob.removal_confirmed),
        "question": None,
    }


def _asks_about(numbers: RowCounts | None) -> ColumnElement[bool]:
    """A condition: these numbers are what the job asks about; None where it asks about none."""
    if numbers is None:
        return CopyJob.question.is_(None)
    return and_(
        _asked("in_prod") == numbers.in_prod,
        _asked("in_consulta") == numbers.in_consulta,
        _asked("deleted").is_not_distinct_from(numbers.deleted),
    )


def _asked(side: str) -> ColumnElement[int]:
    return cast(CopyJob.question[side].astext, BigInteger)


def _set_going(job_id: int) -> ScalarSelect[str]:
    """The Slack id of whoever last set the job going again, since the last yes to it; NULL for nobody.

    Whoever made that press is no second person for what follows.
    """
    last_yes = select(func.coalesce(func.max(CopyEvent.id), 0)).where(
        CopyEvent.job_id == job_id, CopyEvent.kind == EventKind.APPROVED
    )
    return (
        select(User.slack_user_id)
        .join(CopyEvent, CopyEvent.user_id == User.id)
        .where(
            CopyEvent.job_id == job_id,
            CopyEvent.kind.in_(SETS_GOING),
            CopyEvent.id > last_yes.scalar_subquery(),
        )
        .order_by(CopyEvent.id.desc())
        .limit(1)
        .scalar_subquery()
    )


# ----------------------------------------------------------------------------
# Runs
#
# What people do to all jobs of a run with one press: pause, resume, cancel, retry, confirm, start now,
# approve, reject.
#
# Each is one transaction over the rows of its jobs, which are locked in the order of their numbers before
# anything is decided. What a press does to a job is what its own button would do.


#: Of what became of the jobs of a run the first that is there is what became of the press.
STRONGEST = (
    Became.DONE,
    Became.REQUESTED,
    Became.STALE,
    Became.NOT_YOURS,
    Became.BEFORE,
    Became.NOT_NOW,
)


class RunControl:
    """Acts on all jobs of a run that it fits. Every method raises UnknownRun where there is no such run."""

    def __init__(self, engine: Engine, store: JobRepository) -> None:
        self._engine = engine
        self._store = store

    def pause(self, run_id: int, requester: Requester) -> Effect[RunView]:
        return self._do(run_id, requester, pause)

    def cancel(self, run_id: int, requester: Requester) -> Effect[RunView]:
        return self._do(run_id, requester, cancel)

    def resume(self, run_id: int, requester: Requester) -> Effect[RunView]:
        return self._do(run_id, requester, resume)

    def retry(self, run_id: int, requester: Requester) -> Effect[RunView]:
        """Those that failed wait for a worker again. One for which another live job is there by now stays;
        of a set all do then, because its jobs are copied together.
        """
        return self._do(run_id, requester, retry, together=_all_or_none)

    def start_now(self, run_id: int, requester: Requester) -> Effect[RunView]:
        """Those that are for later are due at once."""
        return self._do(run_id, requester, start_now)

    def confirm(self, run_id: int, requester: Requester, shown: str) -> Effect[RunView]:
        """Its requester agrees to the numbers of all jobs that ask for that.

        ``shown`` stands for them (`answered`): with others there now nothing is changed.
        """
        run = self._run(run_id)
        asking = run.waiting_for_confirmation
        numbers = {job.id: job.question.numbers for job in asking if job.question}
        is_stale = answered(asking) != shown

        def do(job: LockedJob) -> Became:
            if job.id not in numbers:
                return Became.NOT_NOW
            return Became.STALE if is_stale else confirm(job, requester, numbers[job.id])

        return self._do(run_id, requester, do)

    def _do(
        self,
        run_id: int,
        requester: Requester,
        do: Callable[[LockedJob], Became],
        together: Callable[[list[LockedJob], Callable[[LockedJob], Became]], dict[int, Became]] | None = None,
    ) -> Effect[RunView]:
        """``together`` does it to the jobs of one set, or to one job that belongs to none."""
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, requester)
            jobs = locked(connection, user_id, CopyJob.run_id == run_id)
            if together is None:
                became = {job.id: do(job) for job in jobs}
            else:
                of_sets: dict[object, list[LockedJob]] = {}
                for job in jobs:
                    of_sets.setdefault(job.its_set or job.id, []).append(job)
                became = {}
                for own in of_sets.values():
                    became |= together(own, do)
            strongest = next((each for each in STRONGEST if each in became.values()), Became.NOT_NOW)
            if strongest not in {Became.DONE, Became.REQUESTED}:
                announce_run(connection, MessageKind.UPDATE, run_id)
        run = self._run(run_id)
        changed = {job_id for job_id, each in became.items() if each is Became.DONE}
        return Effect(strongest, run, _may_be_taken(run, changed))

    def _run(self, run_id: int) -> RunView:
        run = self._store.run(run_id)
        if run is None:
            raise UnknownRun(run_id)
        return run


class RunApprovals:
    """Approves and rejects all jobs of a run that wait for it. Whether the person may is the caller's
    question.

    Nobody decides about copies that they asked for themselves.
    """

    def __init__(self, engine: Engine, store: JobRepository) -> None:
        self._engine = engine
        self._store = store

    def hindrance(self, run_id: int, by: Requester) -> Decision[RunView] | None:
        """What would become of an answer of theirs now, where that is nothing; None where they may answer."""
        run = self._store.run(run_id)
        if run is None:
            return Decision(ApprovalOutcome.UNKNOWN, None)
        if not run.waiting_for_approval:
            return Decision(ApprovalOutcome.LATE, run)
        if run.requester.id == by.user_id:
            return Decision(ApprovalOutcome.OWN, run)
        return None

    def approve(self, run_id: int, by: Requester, shown: str, reason: str | None = None) -> Decision[RunView]:
        """They are due at once. ``shown`` stands for the jobs and the numbers that the button showed."""
        if hindered := self.hindrance(run_id, by):
            return hindered
        run = self._store.run(run_id)
        waiting = run.waiting_for_approval if run else ()
        if answered(waiting) != shown:
            with self._engine.begin() as connection:
                announce_run(connection, MessageKind.UPDATE, run_id)
            return Decision(ApprovalOutcome.STALE, run)

        def decide(connection: Connection, job: JobView) -> bool:
            numbers = job.question.numbers if job.question else None
            return approve(connection, job.id, by, numbers, kept_reason(reason))

        return self._decide(run_id, by, waiting, decide)

    def reject(self, run_id: int, by: Requester, reason: str | None = None) -> Decision[RunView]:
        """They are cancelled, and with them all other jobs of their set."""
        if hindered := self.hindrance(run_id, by):
            return hindered
        run = self._store.run(run_id)
        waiting = run.waiting_for_approval if run else ()
        return self._decide(
            run_id,
            by,
            waiting,
            lambda connection, job: reject(connection, job.id, by, kept_reason(reason)),
            rejects=True,
        )

    def _decide(
        self,
        run_id: int,
        by: Requester,
        waiting: Sequence[JobView],
        decide: Callable[[Connection, JobView], bool],
        *,
        rejects: bool = False,
    ) -> Decision[RunView]:
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, by)
            locked = select(CopyJob.id).where(CopyJob.run_id == run_id).order_by(CopyJob.id)
            connection.execute(locked.with_for_update(key_share=True))
            in_order = sorted(waiting, key=lambda job: job.id)
            decided = tuple(job.id for job in in_order if decide(connection, job))
            for job_id in decided if rejects else ():
                cancel_rest_of_set(connection, job_id, user_id)
        run = self._store.run(run_id)
        if decided:
            return Decision(ApprovalOutcome.DONE, run, decided)
        # Whoever set one of them going again is no second person for it.
        still = run is not None and bool(run.waiting_for_approval)
        return Decision(ApprovalOutcome.OWN if still else ApprovalOutcome.LATE, run)


def _all_or_none(jobs: list[LockedJob], do: Callable[[LockedJob], Became]) -> dict[int, Became]:
    """What becomes of them: nothing of any where another live job has the place of one."""
    try:
        with jobs[0].connection.begin_nested():
            return {job.id: do(job) for job in jobs}
    except IntegrityError as refused:
        if not is_taken(refused):
            raise
        return dict.fromkeys((job.id for job in jobs), Became.NOT_NOW)


def _may_be_taken(run: RunView, job_ids: set[int]) -> tuple[int, ...]:
    return tuple(
        job.id
        for job in run.jobs
        if job.id in job_ids
        and job.status is Status.PENDING
        and not job.waits_for_somebody
        and job.freeze is None
        and not job.waits_for_its_time
    )

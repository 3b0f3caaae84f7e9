"""What people do to all jobs of a run with one press: pause, resume, cancel, retry, confirm, start now,
approve, reject.

Each is one transaction over the rows of its jobs, which are locked in the order of their numbers before
anything is decided. What a press does to a job is what its own button would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import IntegrityError

from bot.errors import UnknownRun
from bot.jobs import actions
from bot.jobs.actions import ApprovalOutcome, Became, LockedJob
from bot.jobs.models import CopyJob
from bot.jobs.outbox import Kind, announce_run
from bot.jobs.repository import JobRepository, Requester, ensure_user, is_taken, kept_reason
from bot.jobs.run_view import RunView, answered
from bot.jobs.status import Status
from bot.jobs.transition import cancel_rest_of_set
from bot.jobs.view import JobView

#: Of what became of the jobs of a run the first that is there is what became of the press.
STRONGEST = (
    Became.DONE,
    Became.ASKED,
    Became.STALE,
    Became.NOT_YOURS,
    Became.BEFORE,
    Became.NOT_NOW,
)


@dataclass(frozen=True, slots=True)
class RunEffect:
    """What became of it, and the run as it is now. ``to_enqueue`` are the jobs that a worker may take."""

    became: Became
    run: RunView
    to_enqueue: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RunDecision:
    """``run`` is how it is now; None only for UNKNOWN. ``decided`` are the jobs about which this very press
    decided.
    """

    outcome: ApprovalOutcome
    run: RunView | None
    decided: tuple[int, ...] = ()


class _SetIsTaken(Exception):
    """Another live job has the table and liquidation of one of the set's jobs."""


class RunControl:
    """Acts on all jobs of a run that it fits. Every method raises UnknownRun where there is no such run."""

    def __init__(self, engine: Engine, store: JobRepository) -> None:
        self._engine = engine
        self._store = store

    def pause(self, run_id: int, requester: Requester) -> RunEffect:
        return self._do(run_id, requester, actions.pause)

    def cancel(self, run_id: int, requester: Requester) -> RunEffect:
        return self._do(run_id, requester, actions.cancel)

    def resume(self, run_id: int, requester: Requester) -> RunEffect:
        return self._do(run_id, requester, actions.resume)

    def retry(self, run_id: int, requester: Requester) -> RunEffect:
        """Those that failed wait for a worker again. One for which another live job is there by now stays;
        of a set all do then, because its jobs are copied together.
        """

        def do(job: LockedJob) -> Became:
            try:
                with job.connection.begin_nested():
                    return actions.retry(job)
            except IntegrityError as refused:
                if not is_taken(refused):
                    raise
                if job.set_id is not None:
                    raise _SetIsTaken from refused
                return Became.NOT_NOW

        try:
            return self._do(run_id, requester, do)
        except _SetIsTaken:
            return self._do(run_id, requester, lambda job: Became.NOT_NOW)

    def start_now(self, run_id: int, requester: Requester) -> RunEffect:
        """Those that are for later are due at once."""
        return self._do(run_id, requester, actions.start_now)

    def confirm(self, run_id: int, requester: Requester, shown: str) -> RunEffect:
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
            return Became.STALE if is_stale else actions.confirm(job, requester, numbers[job.id])

        return self._do(run_id, requester, do)

    def _do(self, run_id: int, requester: Requester, do: Callable[[LockedJob], Became]) -> RunEffect:
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, requester)
            jobs = actions.locked(connection, user_id, CopyJob.run_id == run_id)
            became = {job.id: do(job) for job in jobs}
            strongest = next((each for each in STRONGEST if each in became.values()), Became.NOT_NOW)
            if strongest not in {Became.DONE, Became.ASKED}:
                announce_run(connection, Kind.UPDATE, run_id)
        run = self._run(run_id)
        changed = {job_id for job_id, each in became.items() if each is Became.DONE}
        return RunEffect(strongest, run, _may_be_taken(run, changed))

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

    def hindrance(self, run_id: int, by: Requester) -> RunDecision | None:
        """What would become of an answer of theirs now, where that is nothing; None where they may answer."""
        run = self._store.run(run_id)
        if run is None:
            return RunDecision(ApprovalOutcome.UNKNOWN, None)
        if not run.waiting_for_approval:
            return RunDecision(ApprovalOutcome.LATE, run)
        if run.requester.id == by.user_id:
            return RunDecision(ApprovalOutcome.OWN, run)
        return None

    def approve(self, run_id: int, by: Requester, shown: str, reason: str | None = None) -> RunDecision:
        """They are due at once. ``shown`` stands for the jobs and the numbers that the button showed."""
        if hindered := self.hindrance(run_id, by):
            return hindered
        run = self._store.run(run_id)
        waiting = run.waiting_for_approval if run else ()
        if answered(waiting) != shown:
            with self._engine.begin() as connection:
                announce_run(connection, Kind.UPDATE, run_id)
            return RunDecision(ApprovalOutcome.STALE, run)

        def decide(connection: Connection, job: JobView) -> bool:
            numbers = job.question.numbers if job.question else None
            return actions.approve(connection, job.id, by, numbers, kept_reason(reason))

        return self._decide(run_id, by, waiting, decide)

    def reject(self, run_id: int, by: Requester, reason: str | None = None) -> RunDecision:
        """They are cancelled, and with them all other jobs of their set."""
        if hindered := self.hindrance(run_id, by):
            return hindered
        run = self._store.run(run_id)
        waiting = run.waiting_for_approval if run else ()
        return self._decide(
            run_id,
            by,
            waiting,
            lambda connection, job: actions.reject(connection, job.id, by, kept_reason(reason)),
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
    ) -> RunDecision:
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, by)
            locked = select(CopyJob.id).where(CopyJob.run_id == run_id).order_by(CopyJob.id)
            connection.execute(locked.with_for_update(key_share=True))
            in_order = sorted(waiting, key=lambda job: job.id)
            decided = tuple(job.id for job in in_order if decide(connection, job))
            if decided and rejects:
                cancel_rest_of_set(connection, decided[0], user_id)
        run = self._store.run(run_id)
        if decided:
            return RunDecision(ApprovalOutcome.DONE, run, decided)
        # Whoever set one of them going again is no second person for it.
        still = run is not None and bool(run.waiting_for_approval)
        return RunDecision(ApprovalOutcome.OWN if still else ApprovalOutcome.LATE, run)


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

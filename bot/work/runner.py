"""Runs one attempt of one job: whether it may start, its claim, the copy, and how the attempt ends.

A run is bound to its request: the copy that was asked for, the numbers that were shown, and who agreed.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Engine

from bot.config import SIDES, CopySection, File, WorkSection
from bot.errors import StaleAttempt
from bot.jobs.events import SETS_GOING, PermissionNotKnown
from bot.jobs.execution import Attempt, Claim, Executions, Ledger, NobodyCanApprove, SecondPerson
from bot.jobs.failure import Failure, failure_of
from bot.jobs.models import with_limits
from bot.jobs.repository import JobRepository
from bot.jobs.status import Status, StopReason
from bot.jobs.view import SHELL, JobView, Question
from bot.periodic import Backoff
from bot.slack.access import TO_DECIDE, Access, MaxAge, who_may
from bot.work.background import LeaseRenewal
from bot.work.cancellation import BrokenOff, StopSwitch, in_time
from copier import Comparison, Copy, Plan, Proof
from copier.errors import CopierError, NotProven, Transient, failures_of

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The longest time between two renewals of the lease, in seconds: so soon a press is felt where a chunk, or a
#: pause, takes long.
LONGEST_RENEWAL = 2.0

#: The longest pause before a retry, in seconds; the first one is configured.
LONGEST_PAUSE = 300.0

Watch = Callable[[int], AbstractContextManager[object]]
Refusal = Callable[[Attempt], Failure | None]


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    NOT_OURS = "not_ours"  # not pending, not due, or taken by another worker
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"  # until somebody resumes it
    FROZEN = "frozen"  # pending again, until the freeze is lifted
    ASKED = "asked"  # pending, until somebody has answered: both sides aren't what was shown
    RELEASED = "released"  # pending again, at once
    RETRY = "retry"  # pending again, due in `Ended.seconds`
    STALE = "stale"  # another worker took over; nothing more to do here


@dataclass(frozen=True, slots=True)
class Ended:
    outcome: AttemptOutcome
    seconds: float = 0.0


class Runner:
    """Knows how to run a job; holds no state of one."""

    def __init__(
        self,
        prod: Engine,
        consulta: Engine,
        executions: Executions,
        file: File,
        *,
        worker: str,
        worker_id: Callable[[], int | None] = lambda: None,
    ) -> None:
        """``worker`` names this process in the job's row, ``worker_id`` is its own row among the workers."""
        self._prod = prod
        self._prod_briefly = with_limits(prod)
        self._consulta = consulta
        self._executions = executions
        self._copies = {copy.name: copy for copy in file.copies}
        self._slack = file.slack
        self._work: WorkSection = file.work
        self._backoff = Backoff(self._work.retry_seconds, LONGEST_PAUSE)
        self._worker = worker
        self._worker_id = worker_id

    def run(
        self,
        job_id: int,
        stop: StopSwitch,
        watch: Watch = lambda job_id: nullcontext(),
        refusal: Refusal = lambda attempt: None,
    ) -> Ended:
        """Claims the job and works until it ends, stops or has to be tried again.

        ``watch`` gives what shows the progress, alive from the claim to the end of the attempt;
        ``refusal`` the reason why the job must not start, None where it may. Only a consulta that can't
        be written to raises: then the lease runs out, and the sweep takes over.
        """
        sys.audit("traspaso.claim", job_id)
        claim = self._executions.claim
        attempt = in_time(lambda: claim(job_id, self._worker, self._worker_id()), stop.whole)
        if attempt is None:
            return Ended(AttemptOutcome.NOT_OURS)
        sys.audit("traspaso.claimed", attempt.job_id, attempt.number)
        log.info("job %s: attempt %s starts", attempt.job_id, attempt.number)
        every = min(self._work.lease_seconds / 4, LONGEST_RENEWAL)
        try:
            with (
                stop.part() as own,
                watch(job_id),
                LeaseRenewal(attempt, own.obey, every_seconds=every) as lease,
            ):
                refused = refusal(attempt)
                ended = (
                    self._work_on(attempt, own, lease)
                    if refused is None
                    else self._fail(attempt, own, refused)
                )
        except StaleAttempt:
            ended = Ended(AttemptOutcome.STALE)
        log.info("job %s: attempt %s ends: %s", attempt.job_id, attempt.number, ended.outcome)
        return ended

    def _work_on(self, attempt: Attempt, stop: StopSwitch, lease: LeaseRenewal) -> Ended:
        claim = attempt.claim
        section = self._copies.get(claim.copy_name)
        if section is None:
            sentence = f"the configuration of this worker has no copy named {claim.copy_name}"
            return self._fail(attempt, stop, Failure("no_such_copy", sentence))
        if changed := claim.configured_otherwise(section.spec):
            return self._fail(attempt, stop, copy_changed(claim, changed))
        try:
            if attempt.number > 1:
                with failures_of("prod"):
                    attempt.end_earlier_sessions(self._prod_briefly, "prod")
            return self._copy(attempt, section, stop, lease)
        except StaleAttempt:
            raise
        except BrokenOff:
            log.info("job %s: a side stood still, so the chunk in hand is rolled back", claim.job_id)
            return self._stop(attempt, stop)
        except Transient as error:
            if stop.requested:  # what was broken off, or broke just now: nothing is tried again
                log.info("job %s: %s", claim.job_id, error)
                return self._stop(attempt, stop)
            log.warning("job %s: %s", claim.job_id, error, exc_info=error)
            return self._retry(attempt, stop, failure_in(error, section))
        except CopierError as error:
            log.error("job %s: %s", claim.job_id, error, exc_info=error)  # noqa: TRY400
            return self._fail(attempt, stop, failure_in(error, section))
        except Exception:
            incident = uuid4().hex[:8]
            log.exception("job %s: incident %s", claim.job_id, incident)
            sentence = f"internal error, incident {incident} in the log"
            return self._fail(attempt, stop, Failure("internal", sentence, lines=[incident]))

    def _copy(self, attempt: Attempt, section: CopySection, stop: StopSwitch, lease: LeaseRenewal) -> Ended:
        def compared(comparison: Comparison) -> None:
            stop.obey(attempt.compared(comparison))

        with (
            failures_of("consulta"),
            Copy(
                self._prod,
                self._consulta,
                section.spec,
                attempt.claim.liquidation_id,
                names=SIDES,
                limits=self._work.limits,
                label=attempt.label,
                on_silence=lambda silent: self._may_wait(silent, stop, lease),
                sleep=stop.wait,
                throttled=attempt.throttled,
            ) as copy,
        ):
            if changed := attempt.claim.made_otherwise(copy.fingerprint):
                return self._fail(attempt, stop, copy_changed(attempt.claim, changed))
            plan = copy.plan()
            sys.audit("traspaso.planned", attempt.job_id, attempt.number)
            own_rows = in_time(attempt.rows_brought, stop.whole)
            if not stop.requested and (question := question_for(attempt.claim, section, plan, own_rows)):
                return self._ask(attempt, section, stop, question)
            stop.obey(in_time(lambda: attempt.planned(plan), stop.whole))
            if stop.requested:
                return self._stop(attempt, stop)
            result = copy.run(Ledger(attempt, stop.obey), should_stop=stop.is_requested)
            if stop.requested:
                return self._stop(attempt, stop)
            in_time(attempt.verifying, stop.whole)
            sys.audit("traspaso.verifying", attempt.job_id, attempt.number)
            proof = copy.verify(result, on_comparison=compared, should_stop=stop.is_requested)
            stop.obey(attempt.write_compared())
            if proof is None or stop.requested:
                return self._stop(attempt, stop)
            triggers = copy.blamed_triggers(result, proof)
        if not proof.holds:
            failure = failure_of(NotProven(proof.reasons(SIDES), triggers, SIDES))
            log.error("job %s: %s: %s", attempt.job_id, failure.sentence, "; ".join(failure.lines))
            return self._fail(attempt, stop, failure, proof)
        self._recorded(stop, lambda: attempt.completed(proof))
        return Ended(AttemptOutcome.COMPLETED)

    def _may_wait(self, silent: float, stop: StopSwitch, lease: LeaseRenewal) -> None:
        """Raises StaleAttempt or BrokenOff where a silent side isn't to be waited for."""
        lease.check()
        stop.check(silent, self._work.stop_seconds)

    def _ask(self, attempt: Attempt, section: CopySection, stop: StopSwitch, question: Question) -> Ended:
        """Nothing is written: whoever has to answer is asked, where there is a way to."""
        claim = attempt.claim
        second = None
        if needs_second_person(claim, section, question):
            if not can_be_approved(claim):
                return self._fail(attempt, stop, nobody_to_ask(claim, question))
            second = SecondPerson(
                tuple(who_may(self._slack, section)),
                self._work.approval_seconds,
                section.second_group_seconds,
            )
        log.info("job %s: asks again: %s", attempt.job_id, question)
        try:
            status = attempt.ask(question, second)
        except NobodyCanApprove:  # the card has left its channel just now
            return self._fail(attempt, stop, nobody_to_ask(claim, question))
        return Ended(_outcome(status, AttemptOutcome.ASKED))

    def _stop(self, attempt: Attempt, stop: StopSwitch) -> Ended:
        request = stop.requested
        if request is not None and request.is_own_cancel:
            self._recorded(stop, attempt.cancelled)
            return Ended(AttemptOutcome.CANCELLED)
        frozen = request is not None and request.reason is StopReason.FREEZE
        status = self._recorded(stop, lambda: attempt.released(frozen=frozen))
        return Ended(_outcome(status, AttemptOutcome.FROZEN if frozen else AttemptOutcome.RELEASED))

    def _retry(self, attempt: Attempt, stop: StopSwitch, failure: Failure) -> Ended:
        failures = self._recorded(stop, attempt.failures)
        broken = self._recorded(stop, attempt.broken_attempts)
        if failures + 1 >= self._work.max_failures or broken + 1 >= self._work.max_attempts:
            return self._fail(attempt, stop, failure)
        pause = self._backoff.pause(failures)
        status = self._recorded(stop, lambda: attempt.retry_later(failure, pause))
        return Ended(_outcome(status, AttemptOutcome.RETRY), pause)

    def _fail(
        self, attempt: Attempt, stop: StopSwitch, failure: Failure, proof: Proof | None = None
    ) -> Ended:
        self._recorded(stop, lambda: attempt.failed(failure, proof))
        return Ended(AttemptOutcome.FAILED)

    def _recorded(self, stop: StopSwitch, step: Callable[[], T]) -> T:
        """Does the step as soon as consulta can be written to, as long as the lease may last."""
        deadline = time.monotonic() + self._work.lease_seconds
        while True:
            try:
                with failures_of("consulta"):
                    return in_time(step, stop.whole)
            except Transient:
                if time.monotonic() > deadline or stop.whole.wait(1.0):
                    raise


def failure_in(error: CopierError, section: CopySection) -> Failure:
    """The failure; where a server refused a value and names no table, with that of the copy."""
    failure = failure_of(error)
    if failure.sqlstate is None or failure.sqlstate[:2] not in {"22", "23"} or failure.table:
        return failure
    table = section.source_table if failure.side == SIDES.source else section.target_table
    return replace(failure, table=str(table))


def question_for(claim: Claim, section: CopySection, plan: Plan, own_rows: int) -> Question | None:
    """What has to be asked before the first write; None where all is as it was shown and agreed to.

    ``own_rows`` are the rows of consulta that earlier attempts of the job have put there.
    """
    return claim.terms.broken_by(
        plan.total,
        plan.held,
        needs_approval=section.needs_approval(plan.total, max(0, plan.held - own_rows)),
        approved=claim.approved,
        own_rows=own_rows,
    )


def needs_second_person(claim: Claim, section: CopySection, question: Question) -> bool:
    """Who agreed before has to agree anew; and whoever is needed for so many rows."""
    return claim.approved or section.needs_approval(question.in_prod, question.in_consulta)


def can_be_approved(claim: Claim) -> bool:
    """There is a card that others can see: neither a job of the shell nor one in a direct message has it."""
    return claim.channel_id is not None and not claim.channel_id.startswith("D")


def nobody_to_ask(claim: Claim, question: Question) -> Failure:
    """The copy needs a second person by now, and nobody else can see that it asks."""
    return Failure(
        "nobody_to_approve",
        f"at {question.in_prod} rows in prod and {question.in_consulta} in consulta the copy needs the "
        f"approval of a second person, and nobody else can see its card: write {_again(claim)} in a Slack "
        "channel",
        command=_again(claim),
    )


def copy_changed(claim: Claim, differences: list[str]) -> Failure:
    """The copy isn't the one that was asked for; each difference says what it was and what it is."""
    return Failure(
        "copy_changed",
        f"copy {claim.copy_name} isn't what it was when it was asked for: {'; '.join(differences)}; "
        f"ask again: {_again(claim)}",
        lines=differences,
        command=_again(claim),
    )


def _again(claim: Claim) -> str:
    return f"/copy-liquidation {claim.liquidation_id} {claim.copy_name}"


def _outcome(status: Status, pending: AttemptOutcome) -> AttemptOutcome:
    """How an attempt ended after which the job is in this state."""
    return {Status.PAUSED: AttemptOutcome.PAUSED, Status.CANCELLED: AttemptOutcome.CANCELLED}.get(
        status, pending
    )


# ----------------------------------------------------------------------------
# Whether a job may still start: who asked for it may have lost the permission
#
# Only Slack's clear no counts, and only one that is younger than the press. Where Slack doesn't answer, the
# check at the press does: Slack never fails a copy. All processes share 20 looks a minute, so a press of a
# moment ago isn't asked about again.


#: So long ago, in seconds, the press itself was the check.
JUST_PRESSED = 10.0
#: How old an answer may be that lets a job through.
ADMISSION = MaxAge(30.0, 30.0)


class Admission:
    """Asks Slack about the requester before the first row; jobs of the shell aren't asked about."""

    def __init__(self, store: JobRepository, access: Access, copies: tuple[CopySection, ...]) -> None:
        self._store = store
        self._access = access
        self._copies = {copy.name: copy for copy in copies}

    def refusal(self, attempt: Attempt) -> Failure | None:
        """Why the job must not start; None where it may."""
        job = self._store.job(attempt.job_id)
        copy = self._copies.get(attempt.claim.copy_name)
        if job is None or copy is None or job.requester_team == SHELL:
            return None
        if _was_just_pressed(job) or self._has_begun(attempt):
            return None
        decision = self._access.may_run(job.requester_id, copy, ADMISSION)
        if not decision.allowed and decision.reason is None:
            # That may be from before the press, which Slack was asked about, too.
            decision = self._access.may_run(job.requester_id, copy, TO_DECIDE)
        if decision.allowed:
            return None
        if decision.reason is not None:
            log.warning("job %s: permission not known, Slack answered %s", attempt.job_id, decision.reason)
            self._store.add_event(attempt.job_id, attempt.number, PermissionNotKnown(decision.reason))
            return None
        sentence = f"{job.requester_id} may not copy {attempt.claim.copy_name} any more"
        return Failure("not_permitted", sentence, lines=self._access.listed(copy))

    def _has_begun(self, attempt: Attempt) -> bool:
        """Rows are in place, or somebody has set it going again since, by a press that was checked itself."""
        if attempt.number == 1:
            return False
        # A press before the first attempt is older than the check that was made then.
        kinds = {event.kind for event in self._store.events(attempt.job_id) if event.attempt}
        return bool(kinds & set(SETS_GOING) or self._store.chunks(attempt.job_id))


def _was_just_pressed(job: JobView) -> bool:
    return (job.now - job.created_at).total_seconds() < JUST_PRESSED

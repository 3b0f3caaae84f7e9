"""Runs one attempt of one job: its claim, the copy, and how the attempt ends.

A run is bound to its request: the copy that was asked for, the numbers that were shown, and who agreed.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Engine

from bot import logs, measures, traces
from bot.config import SIDES, CopySection, File, WorkSection
from bot.errors import StaleAttempt
from bot.jobs.execution import (
    Attempt,
    Claim,
    Earlier,
    Executions,
    Ledger,
    NobodyCanApprove,
    SecondPerson,
)
from bot.jobs.failure import Failure, failure_of
from bot.jobs.known_columns import spec_of
from bot.jobs.models import with_limits
from bot.jobs.status import Status, StopReason
from bot.jobs.view import Question
from bot.periodic import Backoff
from bot.work.background import LeaseRenewal
from bot.work.cancellation import BrokenOff, StopSwitch, in_time
from copier import Comparison, Copy, KeyRange, Proof
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
            return self._run_set(job_id, stop, watch, refusal)
        sys.audit("traspaso.claimed", attempt.job_id, attempt.number)
        about = {"job": attempt.job_id, "attempt": attempt.number}
        with (
            logs.about(**about),
            traces.span("process", traces.Kind.CONSUMER, linked=True, copy=attempt.claim.copy_name, **about),
        ):
            ended = self._run(attempt, stop, watch, refusal)
            traces.note(outcome=ended.outcome.value)
            return ended

    def _run_set(self, job_id: int, stop: StopSwitch, watch: Watch, refusal: Refusal) -> Ended:
        """Where the job is one of a set, all of its jobs are claimed and run together."""
        claim = self._executions.claim_set
        attempts = in_time(lambda: claim(job_id, self._worker, self._worker_id()), stop.whole)
        if not attempts:
            return Ended(AttemptOutcome.NOT_OURS)
        from bot.work.set_runner import SetParts, SetRunner  # few jobs need it

        parts = SetParts(
            prod=self._prod,
            prod_briefly=self._prod_briefly,
            consulta=self._consulta,
            copies=self._copies,
            work=self._work,
            backoff=self._backoff,
            second_person=self._second_person,
            recorded=self._recorded,
        )
        return SetRunner(parts).run(attempts, stop, watch, refusal)

    def _run(self, attempt: Attempt, stop: StopSwitch, watch: Watch, refusal: Refusal) -> Ended:
        log.info("job %s: attempt %s starts", attempt.job_id, attempt.number)
        every = min(self._work.lease_seconds / 4, LONGEST_RENEWAL)
        try:
            with (
                stop.part() as own,
                watch(attempt.job_id),
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
            return self._fail(attempt, stop, no_such_copy(claim))
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

        is_held = False

        def throttled(lag_mb: float | None) -> None:
            nonlocal is_held
            if lag_mb is not None and not is_held:
                measures.throttled(section.name)
            is_held = lag_mb is not None
            attempt.throttled(lag_mb)

        spec = in_time(lambda: spec_of(self._consulta, section), stop.whole)
        earlier = attempt.earlier(self._work.full_proof_days)
        with (
            failures_of("consulta"),
            Copy(
                self._prod,
                self._consulta,
                spec,
                attempt.claim.liquidation_id,
                names=SIDES,
                limits=self._work.limits,
                label=attempt.label,
                baseline=earlier.proven.baseline if earlier.proven else None,
                on_silence=lambda silent: self._may_wait(silent, stop, lease),
                sleep=stop.wait,
                throttled=throttled,
                around_chunk=around_chunk,
            ) as copy,
        ):
            if changed := attempt.claim.made_otherwise(copy.fingerprint):
                return self._fail(attempt, stop, copy_changed(attempt.claim, changed))
            with traces.span("plan"):
                plan = copy.plan()
                traces.note(rows=plan.total, held=plan.held)
            sys.audit("traspaso.planned", attempt.job_id, attempt.number)
            question = question_for(attempt.claim, section, copy, earlier)
            if question and not stop.requested:
                return self._ask(attempt, section, stop, question)
            stop.obey(in_time(lambda: attempt.planned(plan), stop.whole))
            if stop.requested:
                return self._stop(attempt, stop)
            with traces.span("copy"):
                result = copy.run(Ledger(attempt, stop.obey), should_stop=stop.is_requested)
            if stop.requested:
                return self._stop(attempt, stop)
            in_time(attempt.verifying, stop.whole)
            sys.audit("traspaso.verifying", attempt.job_id, attempt.number)
            with traces.span("verify"):
                proof = copy.verify(result, on_comparison=compared, should_stop=stop.is_requested)
            stop.obey(attempt.write_compared())
            if proof is None or stop.requested:
                return self._stop(attempt, stop)
            triggers = copy.blamed_triggers(result, proof)
            made_of = copy.fingerprint
            baseline, since = copy.baseline(), earlier.proven if copy.builds_on_baseline else None
        if not proof.holds:
            failure = failure_of(NotProven(proof.reasons(SIDES), triggers, SIDES))
            log.error("job %s: %s: %s", attempt.job_id, failure.sentence, "; ".join(failure.lines))
            return self._fail(attempt, stop, failure, proof)
        self._recorded(stop, lambda: attempt.completed(proof, baseline, since, made_of))
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
            second = self._second_person(section)
        log.info("job %s: asks again: %s", attempt.job_id, question)
        try:
            status = attempt.ask(question, second)
        except NobodyCanApprove:  # the card has left its channel just now
            return self._fail(attempt, stop, nobody_to_ask(claim, question))
        return Ended(outcome_of(status, AttemptOutcome.ASKED))

    def _second_person(self, section: CopySection) -> SecondPerson:
        from bot.slack.access import who_may  # loads Slack's client, which a shell's job has no use for

        return SecondPerson(
            tuple(who_may(self._slack, section)),
            self._work.approval_seconds,
            section.second_group_seconds,
        )

    def _stop(self, attempt: Attempt, stop: StopSwitch) -> Ended:
        request = stop.requested
        if request is not None and request.is_own_cancel:
            self._recorded(stop, attempt.cancelled)
            return Ended(AttemptOutcome.CANCELLED)
        frozen = request is not None and request.reason is StopReason.FREEZE
        status = self._recorded(stop, lambda: attempt.released(frozen=frozen))
        return Ended(outcome_of(status, AttemptOutcome.FROZEN if frozen else AttemptOutcome.RELEASED))

    def _retry(self, attempt: Attempt, stop: StopSwitch, failure: Failure) -> Ended:
        failures = self._recorded(stop, attempt.failures)
        broken = self._recorded(stop, attempt.broken_attempts)
        if failures + 1 >= self._work.max_failures or broken + 1 >= self._work.max_attempts:
            return self._fail(attempt, stop, failure)
        pause = self._backoff.pause(failures)
        status = self._recorded(stop, lambda: attempt.retry_later(failure, pause))
        return Ended(outcome_of(status, AttemptOutcome.RETRY), pause)

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


@contextmanager
def around_chunk(part: KeyRange) -> Iterator[None]:
    """What is logged, and what is traced, is about this chunk."""
    with logs.about(chunk=part.number), traces.span("chunk", chunk=part.number, rows=part.rows):
        yield


def failure_in(error: CopierError, section: CopySection) -> Failure:
    """The failure; where a server refused a value and names no table, with that of the copy."""
    failure = failure_of(error)
    if failure.sqlstate is None or failure.sqlstate[:2] not in {"22", "23"} or failure.table:
        return failure
    table = section.source_table if failure.side == SIDES.source else section.target_table
    return replace(failure, table=str(table))


def question_for(claim: Claim, section: CopySection, copy: Copy, earlier: Earlier) -> Question | None:
    """What has to be asked before the first write; None where all is as it was shown and agreed to.

    Both sides are counted for it, and where rows to be deleted were shown these are too, as far as row
    versions tell.
    """
    plan, own_rows, deleted = copy.plan(), earlier.rows, None
    if claim.terms.deleted is not None and earlier.baseline is not None:
        outlook = copy.outlook(earlier.baseline)
        deleted = outlook.counts.deleted if outlook else None
    return claim.terms.broken_by(
        plan.total,
        plan.held,
        needs_approval=section.needs_approval(plan.total, max(0, plan.held - own_rows)),
        approved=claim.approved,
        own_rows=own_rows,
        deleted=deleted,
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


def no_such_copy(claim: Claim) -> Failure:
    """The configuration of this process doesn't have it."""
    sentence = f"the configuration of this worker has no copy named {claim.copy_name}"
    return Failure("no_such_copy", sentence)


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
    return f"/copy-liquidation {claim.liquidation_id} {claim.asked_as}"


def outcome_of(status: Status, pending: AttemptOutcome) -> AttemptOutcome:
    """How an attempt ended after which the job is in this state."""
    return {Status.PAUSED: AttemptOutcome.PAUSED, Status.CANCELLED: AttemptOutcome.CANCELLED}.get(
        status, pending
    )

"""What binds a run to its request: the copy that was asked for, the numbers that were shown, who agreed."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Engine

from bot.config import SIDES, CopySection, File, WorkSection
from bot.errors import StaleAttempt
from bot.jobs.execution import (
    Claim,
    Ledger,
    Lifecycle,
    NobodyCanApprove,
    SecondPerson,
    ask,
    end_sessions_of_earlier_attempts,
)
from bot.jobs.failure import Failure, failure_of
from bot.jobs.proposal import Question
from bot.jobs.status import Status
from bot.jobs.transactions import with_limits
from bot.slack.access import who_may
from bot.work.background import Heartbeat
from bot.work.cancellation import BrokenOff, Stop, StopSwitch, in_time
from copier import Copy, Plan, Proof
from copier.errors import CopierError, NotProven, Transient, failures_of


def question_for(claim: Claim, section: CopySection, plan: Plan, brought: int) -> Question | None:
    """What has to be asked before the first write; None where all is as it was shown and agreed to.

    ``brought`` are rows of consulta that earlier attempts of the job have put there.
    """
    return claim.terms.broken_by(
        plan.total,
        plan.held,
        needs_approval=section.needs_approval(plan.total, max(0, plan.held - brought)),
        approved=claim.approved,
        brought=brought,
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


# ----------------------------------------------------------------------------
# Runs one attempt of one job.


log = logging.getLogger(__name__)

T = TypeVar("T")

#: The longest time between two heartbeats: so soon a press is felt where a chunk takes long, or a pause.
LONGEST_BEAT = 2.0

#: The longest pause before a retry, in seconds.
LONGEST_PAUSE = 300.0

Watch = Callable[[int], AbstractContextManager[object]]
Admit = Callable[[Claim], Failure | None]


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
        lifecycle: Lifecycle,
        file: File,
        *,
        worker: str,
        worker_id: Callable[[], int | None] = lambda: None,
    ) -> None:
        """``worker`` names this process in the job's row, ``worker_id`` is its own row among the workers."""
        self._prod = prod
        self._prod_briefly = with_limits(prod)
        self._consulta = consulta
        self._lifecycle = lifecycle
        self._copies = {copy.name: copy for copy in file.copies}
        self._slack = file.slack
        self._work: WorkSection = file.work
        self._worker = worker
        self._worker_id = worker_id

    def run(
        self,
        job_id: int,
        stop: StopSwitch,
        watch: Watch = lambda job_id: nullcontext(),
        refusal: Admit = lambda claim: None,
    ) -> Ended:
        """Claims the job and works until it ends, stops or has to be tried again.

        ``watch`` gives what shows the progress, alive from the claim to the end of the attempt;
        ``refusal`` the reason why the job must not start, None where it may. Only a consulta that can't
        be written to raises: then the lease runs out, and the sweep takes over.
        """
        sys.audit("traspaso.claim", job_id)
        claim = in_time(lambda: self._lifecycle.claim(job_id, self._worker, self._worker_id()), stop.whole)
        if claim is None:
            return Ended(AttemptOutcome.NOT_OURS)
        sys.audit("traspaso.claimed", claim.job_id, claim.attempt)
        log.info("job %s: attempt %s starts", claim.job_id, claim.attempt)
        every = min(self._work.lease_seconds / 4, LONGEST_BEAT)
        try:
            with (
                stop.part() as own,
                watch(job_id),
                Heartbeat(self._lifecycle, claim, own.obey, every_seconds=every) as heartbeat,
            ):
                refused = refusal(claim)
                ended = (
                    self._attempt(claim, own, heartbeat)
                    if refused is None
                    else self._fail(claim, own, refused)
                )
        except StaleAttempt:
            ended = Ended(AttemptOutcome.STALE)
        log.info("job %s: attempt %s ends: %s", claim.job_id, claim.attempt, ended.outcome)
        return ended

    def _attempt(self, claim: Claim, stop: StopSwitch, heartbeat: Heartbeat) -> Ended:
        section = self._copies.get(claim.copy_name)
        if section is None:
            sentence = f"the configuration of this worker has no copy named {claim.copy_name}"
            return self._fail(claim, stop, Failure("no_such_copy", sentence))
        if changed := claim.configured_otherwise(section.spec):
            return self._fail(claim, stop, copy_changed(claim, changed))
        try:
            if claim.attempt > 1:
                with failures_of("prod"):
                    end_sessions_of_earlier_attempts(self._prod_briefly, "prod", claim)
            return self._copy(claim, section, stop, heartbeat)
        except StaleAttempt:
            raise
        except BrokenOff:
            log.info("job %s: a side stood still, so the chunk in hand is rolled back", claim.job_id)
            return self._stop(claim, stop)
        except Transient as error:
            if stop.requested:  # what was broken off, or broke just now: nothing is tried again
                log.info("job %s: %s", claim.job_id, error)
                return self._stop(claim, stop)
            log.warning("job %s: %s", claim.job_id, error, exc_info=error)
            return self._retry(claim, stop, failure_of(error))
        except CopierError as error:
            log.error("job %s: %s", claim.job_id, error, exc_info=error)  # noqa: TRY400
            return self._fail(claim, stop, failure_of(error))
        except Exception:
            incident = uuid4().hex[:8]
            log.exception("job %s: incident %s", claim.job_id, incident)
            sentence = f"internal error, incident {incident} in the log"
            return self._fail(claim, stop, Failure("internal", sentence, lines=[incident]))

    def _copy(self, claim: Claim, section: CopySection, stop: StopSwitch, heartbeat: Heartbeat) -> Ended:
        lifecycle = self._lifecycle
        with (
            failures_of("consulta"),
            Copy(
                self._prod,
                self._consulta,
                section.spec,
                claim.liquidation_id,
                names=SIDES,
                limits=self._work.limits,
                label=claim.label,
                on_silence=lambda silent: self._may_wait(silent, stop, heartbeat),
                sleep=stop.wait,
                throttled=lambda lag_mb: lifecycle.throttled(claim, lag_mb),
            ) as copy,
        ):
            if changed := claim.made_otherwise(copy.fingerprint):
                return self._fail(claim, stop, copy_changed(claim, changed))
            plan = copy.plan()
            sys.audit("traspaso.planned", claim.job_id, claim.attempt)
            brought = in_time(lambda: lifecycle.brought(claim), stop.whole)
            if not stop.requested and (question := question_for(claim, section, plan, brought)):
                return self._ask(claim, section, stop, question)
            stop.obey(in_time(lambda: lifecycle.planned(claim, plan), stop.whole))
            if stop.requested:
                return self._stop(claim, stop)
            ledger = Ledger(lifecycle, claim, stop.obey)
            result = copy.run(ledger.record, should_stop=stop.is_requested)
            if stop.requested:
                return self._stop(claim, stop)
            in_time(lambda: lifecycle.verifying(claim), stop.whole)
            sys.audit("traspaso.verifying", claim.job_id, claim.attempt)
            proof = copy.verify(result, on_comparison=ledger.compared, should_stop=stop.is_requested)
            ledger.settle()
            if proof is None or stop.requested:
                return self._stop(claim, stop)
            triggers = copy.blamed_triggers(result, proof)
        if not proof.holds:
            failure = failure_of(NotProven(proof.reasons(SIDES), triggers, SIDES))
            log.error("job %s: %s: %s", claim.job_id, failure.sentence, "; ".join(failure.lines))
            return self._fail(claim, stop, failure, proof)
        self._recorded(stop, lambda: lifecycle.completed(claim, proof))
        return Ended(AttemptOutcome.COMPLETED)

    def _may_wait(self, silent: float, stop: StopSwitch, heartbeat: Heartbeat) -> None:
        """Raises StaleAttempt or BrokenOff where a silent side isn't to be waited for."""
        heartbeat.check()
        stop.check(silent, self._work.stop_seconds)

    def _ask(self, claim: Claim, section: CopySection, stop: StopSwitch, question: Question) -> Ended:
        """Nothing is written: whoever has to answer is asked, where there is a way to."""
        second = None
        if needs_second_person(claim, section, question):
            if not can_be_approved(claim):
                return self._fail(claim, stop, nobody_to_ask(claim, question))
            second = SecondPerson(tuple(who_may(self._slack, section)), self._work.approval_seconds)
        log.info("job %s: asks again: %s", claim.job_id, question)
        try:
            status = ask(self._lifecycle, claim, question, second)
        except NobodyCanApprove:  # the card has left its channel just now
            return self._fail(claim, stop, nobody_to_ask(claim, question))
        return Ended(_let_go(status, AttemptOutcome.ASKED))

    def _stop(self, claim: Claim, stop: StopSwitch) -> Ended:
        if stop.requested is Stop.CANCEL:
            self._recorded(stop, lambda: self._lifecycle.cancelled(claim))
            return Ended(AttemptOutcome.CANCELLED)
        frozen = stop.requested is Stop.FREEZE
        status = self._recorded(stop, lambda: self._lifecycle.released(claim, frozen=frozen))
        return Ended(_let_go(status, AttemptOutcome.FROZEN if frozen else AttemptOutcome.RELEASED))

    def _retry(self, claim: Claim, stop: StopSwitch, failure: Failure) -> Ended:
        failures = self._recorded(stop, lambda: self._lifecycle.failures(claim))
        broken = self._recorded(stop, lambda: self._lifecycle.broken_attempts(claim))
        if failures + 1 >= self._work.max_failures or broken + 1 >= self._work.max_attempts:
            return self._fail(claim, stop, failure)
        pause = min(LONGEST_PAUSE, self._work.retry_seconds * 2.0**failures)
        status = self._recorded(stop, lambda: self._lifecycle.retry_later(claim, failure, pause))
        return Ended(_let_go(status, AttemptOutcome.RETRY), pause)

    def _fail(self, claim: Claim, stop: StopSwitch, failure: Failure, proof: Proof | None = None) -> Ended:
        self._recorded(stop, lambda: self._lifecycle.failed(claim, failure, proof))
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


def _let_go(status: Status, pending: AttemptOutcome) -> AttemptOutcome:
    """How an attempt ended after which the job is in this state."""
    return {Status.PAUSED: AttemptOutcome.PAUSED, Status.CANCELLED: AttemptOutcome.CANCELLED}.get(
        status, pending
    )

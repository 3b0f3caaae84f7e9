"""Runs one attempt of a job, or of all jobs of a set: the claim, the copy, and how the attempt ends.

A run is bound to its request: the copy that was asked for, the numbers that were shown, and who agreed.

The jobs of a set, one for each table, run under one snapshot of prod. They begin together and end together:
completed in one transaction when every table is proven at the one moment, and failed, paused, cancelled or
given back in one transaction too. So a job of a set that is completed says that all of them are. See
docs/decisions.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Engine

from bot import logs, metrics, tracing
from bot.config import SIDES, CopySection, File, WorkSection
from bot.errors import StaleAttempt
from bot.jobs.attempt import (
    NO_PROOFS,
    Attempt,
    AttemptLedger,
    Attempts,
    Claim,
    Executions,
    NobodyCanApprove,
    Proven,
    SecondPerson,
)
from bot.jobs.baseline import Earlier, spec_of
from bot.jobs.failure import Failure, failure_of
from bot.jobs.models import Status, StopReason, StopRequest
from bot.jobs.transactions import with_limits
from bot.jobs.view import Question
from bot.periodic import Backoff
from bot.work.background import LeaseRenewal
from bot.work.cancellation import BrokenOff, StopSwitch, in_time
from copier import Copy, CopySet, KeyRange, Proof, RangeComparison, SetProof, TableOptions, TableState
from copier.errors import CopierError, DatabaseFailed, NotProven, Transient, failures_of

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The longest time between two renewals of the lease, in seconds: so soon a press is felt where a chunk, or a
#: pause, takes long.
LONGEST_RENEWAL = 2.0

#: The longest pause before a retry, in seconds; the first one is configured.
LONGEST_PAUSE = 300.0

ShowProgress = Callable[[int], AbstractContextManager[object]]
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
    """Knows how to run jobs; holds no state of one."""

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
        self.prod = prod
        self.prod_briefly = with_limits(prod)
        self.consulta = consulta
        self.copies = {copy.name: copy for copy in file.copies}
        self.slack = file.slack
        self.work: WorkSection = file.work
        self.backoff = Backoff(self.work.retry_seconds, LONGEST_PAUSE)
        self._executions = executions
        self._worker = worker
        self._worker_id = worker_id

    def run(
        self,
        job_id: int,
        stop: StopSwitch,
        show_progress: ShowProgress = lambda job_id: nullcontext(),
        refusal: Refusal = lambda attempt: None,
    ) -> Ended:
        """Claims the job, and all of its set where it is one of a set, and works until they end, stop or
        have to be tried again.

        ``show_progress`` gives what shows the progress of a job, alive from the claim to the end of the
        attempt; ``refusal`` the reason why a job must not start, None where it may. Only a consulta that
        can't be written to raises: then the lease runs out, and the sweep takes over.
        """
        sys.audit("traspaso.claim", job_id)
        attempts = in_time(lambda: self._claimed(job_id), stop.whole)
        if not attempts:
            return Ended(AttemptOutcome.NOT_OURS)
        for attempt in attempts:
            sys.audit("traspaso.claimed", attempt.job_id, attempt.number)
        first = attempts[0]
        about = {"job": first.job_id, "attempt": first.number}
        with (
            logs.about(**about),
            tracing.span(
                "process", tracing.SpanKind.CONSUMER, linked=True, copy=first.claim.asked_as, **about
            ),
            stop.part() as own,
        ):
            log.info("%s: attempt %s starts", attempts, first.number)
            ended = _Run(self, attempts, own).run(show_progress, refusal)
            log.info("%s: attempt %s ends: %s", attempts, first.number, ended.outcome)
            tracing.note(outcome=ended.outcome.value)
            return ended

    def _claimed(self, job_id: int) -> Attempts:
        alone = self._executions.claim(job_id, self._worker, self._worker_id())
        if alone is not None:
            return Attempts([alone])
        return Attempts(self._executions.claim_set(job_id, self._worker, self._worker_id()))


@dataclass(frozen=True, slots=True)
class _Member:
    """One table that is copied: its job, and the copy as this process has it configured."""

    attempt: Attempt
    section: CopySection

    @property
    def name(self) -> str:
        return self.section.name


class _Run:
    """One attempt of the jobs that were claimed together: one alone, or all of a set."""

    def __init__(self, runner: Runner, attempts: Attempts, stop: StopSwitch) -> None:
        self._runner = runner
        self._work = runner.work
        self._attempts = attempts
        self._stop = stop
        self._leases: list[LeaseRenewal] = []
        #: What has become of each table.
        self._states: Mapping[str, TableState] = {}

    def run(self, show_progress: ShowProgress, refusal: Refusal) -> Ended:
        every = min(self._work.lease_seconds / 4, LONGEST_RENEWAL)
        give_up = partial(self._stop.request, StopRequest(StopReason.RELEASE))
        try:
            with ExitStack() as beside:
                for attempt in self._attempts:
                    beside.enter_context(show_progress(attempt.job_id))
                for attempt in self._attempts:
                    lease = LeaseRenewal(attempt, self._stop.obey, every_seconds=every, on_stale=give_up)
                    self._leases.append(beside.enter_context(lease))
                return self._work_on(refusal)
        except StaleAttempt:
            if len(self._attempts) > 1:
                self._give_back_others()
            return Ended(AttemptOutcome.STALE)

    def _work_on(self, refusal: Refusal) -> Ended:
        members = []
        for attempt in self._attempts:
            section = self._runner.copies.get(attempt.copy_name)
            refused = refusal(attempt)
            if refused is None and section is not None:
                refused = _configured_otherwise(attempt.claim, section)
            if refused is not None or section is None:
                return self._fail({attempt.copy_name: refused or no_such_copy(attempt.claim)})
            members.append(_Member(attempt, section))
        try:
            for attempt in self._attempts:
                if attempt.number > 1:
                    with failures_of("prod"):
                        attempt.end_earlier_sessions(self._runner.prod_briefly, "prod")
            return self._copy(members)
        except StaleAttempt:
            raise
        except BrokenOff:
            log.info("%s: a side stood still, so the chunks in hand are rolled back", self._attempts)
            return self._give_back()
        except Transient as error:
            if self._stop.requested:  # what was broken off, or broke just now: nothing is tried again
                log.info("%s: %s", self._attempts, error)
                return self._give_back()
            log.warning("%s: %s", self._attempts, error, exc_info=error)
            return self._retry(self._blamed(members, error))
        except CopierError as error:
            log.error("%s: %s", self._attempts, error, exc_info=error)  # noqa: TRY400
            return self._fail(self._blamed(members, error))
        except Exception:
            incident = uuid4().hex[:8]
            log.exception("%s: incident %s", self._attempts, incident)
            sentence = f"internal error, incident {incident} in the log"
            failure = Failure("internal", sentence, lines=[incident])
            return self._fail({member.name: failure for member in members})

    def _copy(self, members: Sequence[_Member]) -> Ended:
        attempts = {member.name: member.attempt for member in members}
        specs = [self._in_time(partial(spec_of, self._runner.consulta, each.section)) for each in members]
        earlier = {name: attempt.earlier(self._work.full_proof_days) for name, attempt in attempts.items()}
        first = members[0].attempt
        with (
            failures_of("consulta"),
            CopySet(
                self._runner.prod,
                self._runner.consulta,
                specs,
                first.claim.liquidation_id,
                names=SIDES,
                limits=self._work.limits,
                label=first.label,
                options={member.name: _part(member, earlier[member.name]) for member in members},
                on_silence=self._may_wait,
                sleep=self._stop.wait,
            ) as tables,
        ):
            self._states = tables.states
            changed = {
                name: copy_changed(attempt.claim, lines)
                for name, attempt in attempts.items()
                if (lines := attempt.claim.made_otherwise(tables.copies[name].fingerprint))
            }
            if changed:
                return self._fail(changed)
            with tracing.span("plan"):
                plans = tables.plan()
                tracing.note(
                    rows=sum(plan.total for plan in plans.values()),
                    held=sum(plan.held for plan in plans.values()),
                )
            for attempt in attempts.values():
                sys.audit("traspaso.planned", attempt.job_id, attempt.number)
            questions = _questions(members, tables, earlier)
            if questions and not self._stop.requested:
                return self._ask(members, questions)
            for name, attempt in attempts.items():
                self._stop.obey(self._in_time(partial(attempt.planned, plans[name])))
            if self._stop.requested:
                return self._give_back()
            with tracing.span("copy"):
                result = tables.run(
                    lambda name: AttemptLedger(attempts[name], self._stop.obey),
                    should_stop=self._stop.is_requested,
                )
            if self._stop.requested:
                return self._give_back()
            for attempt in attempts.values():
                self._in_time(attempt.verifying)
                sys.audit("traspaso.verifying", attempt.job_id, attempt.number)

            def compared(name: str, comparison: RangeComparison) -> None:
                self._stop.obey(attempts[name].compared(comparison))

            with tracing.span("verify"):
                proof = tables.verify(result, on_comparison=compared, should_stop=self._stop.is_requested)
            for attempt in attempts.values():
                self._stop.obey(attempt.write_compared())
            if proof is None or self._stop.requested:
                return self._give_back()
            triggers = {
                name: copy.blamed_triggers(result.results[name], proof.proofs[name])
                for name, copy in tables.copies.items()
            }
            proven = {
                name: Proven(
                    proof.proofs[name],
                    copy.baseline(),
                    earlier[name].proven if copy.builds_on_baseline else None,
                    copy.fingerprint,
                )
                for name, copy in tables.copies.items()
            }
        if not proof.holds:
            return self._not_proven(proof, triggers)
        self._recorded(lambda: self._attempts.completed(proven))
        return Ended(AttemptOutcome.COMPLETED)

    def _may_wait(self, silent: float) -> None:
        """Raises StaleAttempt or BrokenOff where a silent side isn't to be waited for."""
        for lease in self._leases:
            lease.check()
        self._stop.check(silent, self._work.stop_seconds)

    # How an attempt ends that isn't completed.

    def _ask(self, members: Sequence[_Member], questions: Mapping[str, Question]) -> Ended:
        """Nothing is written: whoever has to answer is asked, where there is a way to."""
        second: dict[str, SecondPerson] = {}
        refused: dict[str, Failure] = {}
        for member in members:
            claim, question = member.attempt.claim, questions.get(member.name)
            if question is None:
                continue
            log.info("job %s: asks again: %s", claim.job_id, question)
            if needs_second_person(claim, member.section, question):
                if can_be_approved(claim):
                    second[member.name] = self._second_person(member.section)
                else:
                    refused[member.name] = nobody_to_ask(claim, question)
        if refused:
            return self._fail(refused)
        try:
            status = self._recorded(lambda: self._attempts.ask(questions, second))
        except NobodyCanApprove:  # the card has left its channel just now
            claims = {member.name: member.attempt.claim for member in members}
            return self._fail({name: nobody_to_ask(claims[name], questions[name]) for name in second})
        return Ended(outcome_of(status, AttemptOutcome.ASKED))

    def _second_person(self, section: CopySection) -> SecondPerson:
        from bot.slack.access import who_may  # loads Slack's client, which a shell's job has no use for

        return SecondPerson(
            tuple(who_may(self._runner.slack, section)),
            self._work.approval_seconds,
            section.second_group_seconds,
        )

    def _give_back(self) -> Ended:
        """Whoever asked for the stop says what becomes of the jobs."""
        request = self._stop.requested
        if request is not None and request.is_own_cancel:
            self._recorded(self._attempts.cancelled)
            return Ended(AttemptOutcome.CANCELLED)
        frozen = request is not None and request.reason is StopReason.FREEZE
        status = self._recorded(lambda: self._attempts.released(frozen=frozen))
        return Ended(outcome_of(status, AttemptOutcome.FROZEN if frozen else AttemptOutcome.RELEASED))

    def _give_back_others(self) -> None:
        """One of the jobs is somebody else's: those that aren't wait for a worker that takes all of them."""
        for attempt in self._attempts:
            try:
                with failures_of("consulta"):
                    self._in_time(Attempts([attempt]).released)
            except StaleAttempt:
                continue
            except DatabaseFailed as error:  # its lease runs out
                log.warning("job %s: was not given back: %s", attempt.job_id, error)

    def _retry(self, blamed: Mapping[str, Failure]) -> Ended:
        # Each failure counts in all jobs, and new ground in one of them is new ground for the set.
        failures = self._recorded(self._attempts.failures)
        broken = self._recorded(self._attempts.broken_attempts)
        if failures + 1 >= self._work.max_failures or broken + 1 >= self._work.max_attempts:
            return self._fail(blamed)
        pause = self._runner.backoff.pause(failures)
        failed = self._failures(blamed)
        status = self._recorded(lambda: self._attempts.retry_later(failed, pause))
        return Ended(outcome_of(status, AttemptOutcome.RETRY), pause)

    def _not_proven(self, proof: SetProof, triggers: Mapping[str, list[str]]) -> Ended:
        differ = {name: each for name, each in proof.proofs.items() if not each.holds}
        blamed = {
            name: failure_of(NotProven(each.reasons(SIDES), triggers[name], SIDES))
            for name, each in differ.items()
        }
        for name, failure in blamed.items():
            log.error("%s: %s: %s: %s", self._attempts, name, failure.sentence, "; ".join(failure.lines))
        return self._fail(blamed, differ)

    def _fail(self, blamed: Mapping[str, Failure], proofs: Mapping[str, Proof] = NO_PROOFS) -> Ended:
        """``blamed`` has the failures of the tables that failed, by their copies; the others say which."""
        failed = self._failures(blamed)
        self._recorded(lambda: self._attempts.failed(failed, proofs))
        return Ended(AttemptOutcome.FAILED)

    def _failures(self, blamed: Mapping[str, Failure]) -> dict[str, Failure]:
        """The failure of each copy: its own, or which other ones failed, what is in place and what isn't."""
        of = [f"{each.copy_name} (job {each.job_id})" for each in self._attempts if each.copy_name in blamed]
        lines = [f"failed: {', '.join(of)}"]
        for state, words in STATES.items():
            if names := [name for name, own in self._states.items() if own is state and name not in blamed]:
                lines.append(f"{words}: {', '.join(names)}")
        of_others = Failure(
            "set_failed", f"another table of its set was not copied: {'; '.join(lines)}", lines=lines
        )
        return {each.copy_name: blamed.get(each.copy_name, of_others) for each in self._attempts}

    def _blamed(self, members: Sequence[_Member], error: CopierError) -> dict[str, Failure]:
        """The failure, of the tables that it is of: the one that it names, or those in hand, or all."""
        named = [member for member in members if error.table is not None and _is_of(member, error.table)]
        in_hand = [member for member in members if self._states.get(member.name) is TableState.COPYING]
        found = [member for member in named if member in in_hand] or named or in_hand or members
        return {member.name: failure_in(error, member.section) for member in found}

    # Steps in consulta.

    def _in_time(self, step: Callable[[], T]) -> T:
        return in_time(step, self._stop.whole)

    def _recorded(self, step: Callable[[], T]) -> T:
        """Does the step as soon as consulta can be written to, as long as the lease may last."""
        deadline = time.monotonic() + self._work.lease_seconds
        while True:
            try:
                with failures_of("consulta"):
                    return self._in_time(step)
            except Transient:
                if time.monotonic() > deadline or self._stop.whole.wait(1.0):
                    raise


#: What is said of the tables that didn't fail themselves, by what has become of them.
STATES = {
    TableState.PROVEN: "the same on both sides",
    TableState.IN_PLACE: "in place",
    TableState.COPYING: "begun",
    TableState.WAITS: "not begun",
}


def _is_of(member: _Member, table: str) -> bool:
    """Whether an error that names a table, with its schema or without, is about this one."""
    section = member.section
    names = {each for own in (section.source_table, section.target_table) for each in (str(own), own.name)}
    return table in names


def _part(member: _Member, earlier: Earlier) -> TableOptions:
    """What the copy of one table is given."""
    is_held = False

    def throttled(lag_mb: float | None) -> None:
        nonlocal is_held
        if lag_mb is not None and not is_held:
            metrics.throttled(member.name)
        is_held = lag_mb is not None
        member.attempt.throttled(lag_mb)

    @contextmanager
    def around_chunk(part: KeyRange) -> Iterator[None]:
        """What is logged, and what is traced, is about this chunk."""
        with (
            logs.about(job=member.attempt.job_id, attempt=member.attempt.number, chunk=part.number),
            tracing.span("chunk", copy=member.name, chunk=part.number, rows=part.rows),
        ):
            yield

    return TableOptions(
        label=member.attempt.label,
        baseline=earlier.proven.baseline if earlier.proven else None,
        throttled=throttled,
        around_chunk=around_chunk,
    )


def _questions(
    members: Sequence[_Member], tables: CopySet, earlier: Mapping[str, Earlier]
) -> dict[str, Question]:
    """What has to be asked about tables that aren't as they were shown, by their copies."""
    found = {}
    for member in members:
        own, before = tables.copies[member.name], earlier[member.name]
        question = question_for(member.attempt.claim, member.section, own, before)
        if question is not None:
            found[member.name] = question
    return found


def _configured_otherwise(claim: Claim, section: CopySection) -> Failure | None:
    """The failure, where a configuration alone tells that this isn't the copy that was asked for."""
    changed = claim.configured_otherwise(section.spec)
    return copy_changed(claim, changed) if changed else None


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
        expected = copy.expected_changes(earlier.baseline)
        deleted = expected.counts.deleted if expected else None
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

"""Runs one attempt of a set: its jobs, one for each table, under one snapshot of prod.

They begin together and end together: completed in one transaction when every table is proven at the one
moment, and failed, paused, cancelled or given back in one transaction too. So a job of a set that is
completed says that all of them are. See docs/decisions.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, Engine

from bot import logs, measures, traces
from bot.config import SIDES, CopySection, WorkSection
from bot.errors import StaleAttempt
from bot.jobs.execution import Attempt, Earlier, Ledger, NobodyCanApprove, SecondPerson
from bot.jobs.failure import Failure, failure_of
from bot.jobs.known_columns import spec_of
from bot.jobs.status import Status, StopReason, StopRequest
from bot.jobs.view import Question
from bot.periodic import Backoff
from bot.work import runner
from bot.work.background import LeaseRenewal
from bot.work.cancellation import BrokenOff, StopSwitch, in_time
from copier import Comparison, CopySet, KeyRange, Part, SetProof, SetStep
from copier.errors import CopierError, DatabaseFailed, NotProven, Transient, failures_of

log = logging.getLogger(__name__)

T = TypeVar("T")


class Recorded(Protocol):
    def __call__(self, stop: StopSwitch, step: Callable[[], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class SetParts:
    """What the process has for it. ``recorded`` does a step as soon as consulta can be written to.

    ``second_person`` says who has to agree to a copy, ``backoff`` how long to wait after so many failures.
    """

    prod: Engine
    prod_briefly: Engine
    consulta: Engine
    copies: Mapping[str, CopySection]
    work: WorkSection
    backoff: Backoff
    second_person: Callable[[CopySection], SecondPerson]
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Member:
    """One table of the set: its job, and the copy as this process has it configured."""

    attempt: Attempt
    section: CopySection

    @property
    def name(self) -> str:
        return self.section.name


class SetRunner:
    """Runs the jobs of a set that were claimed together; holds no state of them."""

    def __init__(self, parts: SetParts) -> None:
        self._parts = parts
        self._work: WorkSection = parts.work

    def run(
        self, attempts: Sequence[Attempt], stop: StopSwitch, watch: runner.Watch, refusal: runner.Refusal
    ) -> runner.Ended:
        """Works until all of them have ended, or are to be tried again."""
        numbers = ", ".join(str(attempt.job_id) for attempt in attempts)
        log.info("jobs %s: the set starts", numbers)
        every = min(self._work.lease_seconds / 4, runner.LONGEST_RENEWAL)
        try:
            with stop.part() as own, ExitStack() as beside:
                for attempt in attempts:
                    beside.enter_context(watch(attempt.job_id))
                give_up = partial(own.request, StopRequest(StopReason.RELEASE))
                leases = [
                    beside.enter_context(
                        LeaseRenewal(attempt, own.obey, every_seconds=every, on_stale=give_up)
                    )
                    for attempt in attempts
                ]
                ended = self._work_on(attempts, own, leases, refusal)
        except StaleAttempt:
            self._give_back(attempts, stop)
            ended = runner.Ended(runner.AttemptOutcome.STALE)
        log.info("jobs %s: the set ends: %s", numbers, ended.outcome)
        return ended

    def _work_on(
        self,
        attempts: Sequence[Attempt],
        stop: StopSwitch,
        leases: Sequence[LeaseRenewal],
        refusal: runner.Refusal,
    ) -> runner.Ended:
        members = []
        for attempt in attempts:
            refused = refusal(attempt)
            section = self._parts.copies.get(attempt.claim.copy_name)
            if section is None:
                refused = refused or runner.no_such_copy(attempt.claim)
            elif changed := attempt.claim.configured_otherwise(section.spec):
                refused = refused or runner.copy_changed(attempt.claim, changed)
            if refused is not None:
                return self._fail(attempts, stop, {attempt.claim.copy_name: refused}, {})
            assert section is not None  # noqa: S101 - it would be refused
            members.append(Member(attempt, section))
        steps: dict[str, SetStep] = {}
        try:
            for attempt in attempts:
                if attempt.number > 1:
                    with failures_of("prod"):
                        attempt.end_earlier_sessions(self._parts.prod_briefly, "prod")
            return self._copy(members, stop, leases, steps)
        except StaleAttempt:
            raise
        except BrokenOff:
            log.info("a side stood still, so the chunks in hand are rolled back")
            return self._stop(attempts, stop)
        except Transient as error:
            if stop.requested:
                log.info("%s", error)
                return self._stop(attempts, stop)
            log.warning("%s", error, exc_info=error)
            return self._retry(attempts, stop, self._blamed(members, steps, error), steps)
        except CopierError as error:
            log.error("%s", error, exc_info=error)  # noqa: TRY400
            return self._fail(attempts, stop, self._blamed(members, steps, error), steps)
        except Exception:
            incident = uuid4().hex[:8]
            log.exception("incident %s", incident)
            sentence = f"internal error, incident {incident} in the log"
            failure = Failure("internal", sentence, lines=[incident])
            return self._fail(attempts, stop, {member.name: failure for member in members}, steps)

    def _copy(
        self,
        members: Sequence[Member],
        stop: StopSwitch,
        leases: Sequence[LeaseRenewal],
        steps: dict[str, SetStep],
    ) -> runner.Ended:
        """``steps`` is told what has become of each table."""
        attempts = {member.name: member.attempt for member in members}
        specs = [
            in_time(partial(spec_of, self._parts.consulta, each.section), stop.whole) for each in members
        ]
        earlier = {name: attempt.earlier(self._work.full_proof_days) for name, attempt in attempts.items()}

        def may_wait(silent: float) -> None:
            for lease in leases:
                lease.check()
            stop.check(silent, self._work.stop_seconds)

        with (
            failures_of("consulta"),
            CopySet(
                self._parts.prod,
                self._parts.consulta,
                specs,
                members[0].attempt.claim.liquidation_id,
                names=SIDES,
                limits=self._work.limits,
                label=members[0].attempt.label,
                parts={member.name: self._part(member, earlier[member.name]) for member in members},
                on_silence=may_wait,
                sleep=stop.wait,
            ) as copies,
        ):
            changed = {
                name: runner.copy_changed(attempt.claim, lines)
                for name, attempt in attempts.items()
                if (lines := attempt.claim.made_otherwise(copies.copies[name].fingerprint))
            }
            if changed:
                return self._fail([*attempts.values()], stop, changed, steps)
            with traces.span("plan"):
                plans = copies.plan()
            for attempt in attempts.values():
                sys.audit("traspaso.planned", attempt.job_id, attempt.number)
            questions = self._questions(members, copies, earlier)
            if questions and not stop.requested:
                return self._ask(members, questions, stop)
            for name, attempt in attempts.items():
                stop.obey(in_time(partial(attempt.planned, plans[name]), stop.whole))
            if stop.requested:
                return self._stop([*attempts.values()], stop)
            try:
                with traces.span("copy"):
                    result = copies.run(
                        lambda name: Ledger(attempts[name], stop.obey), should_stop=stop.is_requested
                    )
            finally:
                steps.update(copies.steps)
            if stop.requested:
                return self._stop([*attempts.values()], stop)
            for attempt in attempts.values():
                in_time(attempt.verifying, stop.whole)
                sys.audit("traspaso.verifying", attempt.job_id, attempt.number)

            def compared(name: str, comparison: Comparison) -> None:
                stop.obey(attempts[name].compared(comparison))

            try:
                with traces.span("verify"):
                    proof = copies.verify(result, on_comparison=compared, should_stop=stop.is_requested)
            finally:
                steps.update(copies.steps)
            for attempt in attempts.values():
                stop.obey(attempt.write_compared())
            if proof is None or stop.requested:
                return self._stop([*attempts.values()], stop)
            triggers = {
                name: copy.blamed_triggers(result.results[name], proof.proofs[name])
                for name, copy in copies.copies.items()
            }
            made_of = {name: copy.fingerprint for name, copy in copies.copies.items()}
            baselines = {name: copy.baseline() for name, copy in copies.copies.items()}
            since = {
                name: earlier[name].proven if copy.builds_on_baseline else None
                for name, copy in copies.copies.items()
            }
        if not proof.holds:
            return self._not_proven([*attempts.values()], stop, proof, triggers, steps)

        def complete() -> None:
            with _together(attempts.values()) as connection:
                for name, attempt in attempts.items():
                    attempt.complete(
                        connection, proof.proofs[name], baselines[name], since[name], made_of[name]
                    )
            for attempt in attempts.values():
                sys.audit("traspaso.completed", attempt.job_id, attempt.number)

        self._parts.recorded(stop, complete)
        return runner.Ended(runner.AttemptOutcome.COMPLETED)

    def _part(self, member: Member, earlier: Earlier) -> Part:
        is_held = False

        def throttled(lag_mb: float | None) -> None:
            nonlocal is_held
            if lag_mb is not None and not is_held:
                measures.throttled(member.name)
            is_held = lag_mb is not None
            member.attempt.throttled(lag_mb)

        @contextmanager
        def around_chunk(part: KeyRange) -> Iterator[None]:
            with logs.about(job=member.attempt.job_id), runner.around_chunk(part):
                yield

        return Part(
            label=member.attempt.label,
            baseline=earlier.proven.baseline if earlier.proven else None,
            throttled=throttled,
            around_chunk=around_chunk,
        )

    @staticmethod
    def _questions(
        members: Sequence[Member], copies: CopySet, earlier: Mapping[str, Earlier]
    ) -> dict[str, Question]:
        """What has to be asked about tables that aren't as they were shown, by their copies."""
        found = {}
        for member in members:
            own, before = copies.copies[member.name], earlier[member.name]
            question = runner.question_for(member.attempt.claim, member.section, own, before)
            if question is not None:
                found[member.name] = question
        return found

    # How a set ends that isn't completed.

    @staticmethod
    def _give_back(attempts: Sequence[Attempt], stop: StopSwitch) -> None:
        """One of the jobs is somebody else's: those that aren't wait for a worker that takes all of them."""
        for attempt in attempts:
            try:
                with failures_of("consulta"):
                    in_time(attempt.released, stop.whole)
            except StaleAttempt:
                continue
            except DatabaseFailed as error:  # its lease runs out
                log.warning("job %s: was not given back: %s", attempt.job_id, error)

    def _ask(
        self, members: Sequence[Member], questions: Mapping[str, Question], stop: StopSwitch
    ) -> runner.Ended:
        """Nothing is written: the set waits until all is answered that its jobs ask, by their copies."""
        attempts = [member.attempt for member in members]
        asking = [member for member in members if member.name in questions]
        seconds: dict[str, SecondPerson] = {}
        refused: dict[str, Failure] = {}
        for member in asking:
            claim, question = member.attempt.claim, questions[member.name]
            log.info("job %s: asks again: %s", claim.job_id, question)
            if runner.needs_second_person(claim, member.section, question):
                if runner.can_be_approved(claim):
                    seconds[member.name] = self._parts.second_person(member.section)
                else:
                    refused[member.name] = runner.nobody_to_ask(claim, question)
        if refused:
            return self._fail(attempts, stop, refused, {})

        def ask() -> Status:
            with _together(attempts) as connection:
                pressed = _strongest(attempts, connection)
                found = [
                    member.attempt.wait_for_answer(
                        connection, questions[member.name], seconds.get(member.name), pressed
                    )
                    if member.name in questions
                    else member.attempt.release(connection, pressed)
                    for member in members
                ]
            return found[0]

        try:
            status = self._parts.recorded(stop, ask)
        except NobodyCanApprove:  # the card has left its channel just now
            refused = {
                member.name: runner.nobody_to_ask(member.attempt.claim, questions[member.name])
                for member in asking
                if member.name in seconds
            }
            return self._fail(attempts, stop, refused, {})
        return runner.Ended(runner.outcome_of(status, runner.AttemptOutcome.ASKED))

    def _stop(self, attempts: Sequence[Attempt], stop: StopSwitch) -> runner.Ended:
        """What was asked of one of the jobs is done to all."""
        request = stop.requested

        def cancel() -> None:
            with _together(attempts) as connection:
                for attempt in attempts:
                    attempt.cancel(connection)

        if request is not None and request.is_own_cancel:
            self._parts.recorded(stop, cancel)
            return runner.Ended(runner.AttemptOutcome.CANCELLED)
        frozen = request is not None and request.reason is StopReason.FREEZE

        def release() -> Status:
            with _together(attempts) as connection:
                pressed = _strongest(attempts, connection)
                found = [attempt.release(connection, pressed, frozen=frozen) for attempt in attempts]
            return found[0]

        status = self._parts.recorded(stop, release)
        given_back = runner.AttemptOutcome.FROZEN if frozen else runner.AttemptOutcome.RELEASED
        return runner.Ended(runner.outcome_of(status, given_back))

    def _retry(
        self,
        attempts: Sequence[Attempt],
        stop: StopSwitch,
        blamed: Mapping[str, Failure],
        steps: Mapping[str, SetStep],
    ) -> runner.Ended:
        # Each failure counts in all jobs, and new ground in one of them is new ground for the set.
        failures = min(self._parts.recorded(stop, attempt.failures) for attempt in attempts)
        broken = max(self._parts.recorded(stop, attempt.broken_attempts) for attempt in attempts)
        if failures + 1 >= self._work.max_failures or broken + 1 >= self._work.max_attempts:
            return self._fail(attempts, stop, blamed, steps)
        pause = self._parts.backoff.pause(failures)
        words = _failures(attempts, blamed, steps)

        def wait() -> Status:
            with _together(attempts) as connection:
                pressed = _strongest(attempts, connection)
                found = [
                    attempt.wait(connection, words[attempt.claim.copy_name], pause, pressed)
                    for attempt in attempts
                ]
            return found[0]

        status = self._parts.recorded(stop, wait)
        return runner.Ended(runner.outcome_of(status, runner.AttemptOutcome.RETRY), pause)

    def _fail(
        self,
        attempts: Sequence[Attempt],
        stop: StopSwitch,
        blamed: Mapping[str, Failure],
        steps: Mapping[str, SetStep],
        proof: SetProof | None = None,
    ) -> runner.Ended:
        """``blamed`` has the failures of the tables that failed, by their copies; the others say which."""
        words = _failures(attempts, blamed, steps)

        def fail() -> None:
            with _together(attempts) as connection:
                for attempt in attempts:
                    name = attempt.claim.copy_name
                    own = proof.proofs[name] if proof is not None and name in blamed else None
                    attempt.fail(connection, words[name], own)

        self._parts.recorded(stop, fail)
        return runner.Ended(runner.AttemptOutcome.FAILED)

    def _not_proven(
        self,
        attempts: Sequence[Attempt],
        stop: StopSwitch,
        proof: SetProof,
        triggers: Mapping[str, list[str]],
        steps: Mapping[str, SetStep],
    ) -> runner.Ended:
        blamed = {
            name: failure_of(NotProven(each.reasons(SIDES), triggers[name], SIDES))
            for name, each in proof.proofs.items()
            if not each.holds
        }
        for name, failure in blamed.items():
            log.error("%s: %s: %s", name, failure.sentence, "; ".join(failure.lines))
        return self._fail(attempts, stop, blamed, steps, proof)

    @staticmethod
    def _blamed(
        members: Sequence[Member], steps: Mapping[str, SetStep], error: CopierError
    ) -> dict[str, Failure]:
        """The failure, of the tables that it is of: the one that it names, or those in hand, or all."""
        named = [member for member in members if error.table is not None and _is_of(member, error.table)]
        in_hand = [member for member in members if steps.get(member.name) is SetStep.COPYING]
        found = [member for member in named if member in in_hand] or named or in_hand or members
        return {member.name: runner.failure_in(error, member.section) for member in found}


def _is_of(member: Member, table: str) -> bool:
    """Whether an error that names a table, with its schema or without, is about this one."""
    section = member.section
    names = {each for own in (section.source_table, section.target_table) for each in (str(own), own.name)}
    return table in names


def _failures(
    attempts: Sequence[Attempt], blamed: Mapping[str, Failure], steps: Mapping[str, SetStep]
) -> dict[str, Failure]:
    """The failure of each copy: its own, or which other ones failed, what is in place and what isn't."""
    failed = [
        f"{each.claim.copy_name} (job {each.job_id})" for each in attempts if each.claim.copy_name in blamed
    ]
    lines = [f"failed: {', '.join(failed)}"]
    for step, words in STEPS.items():
        if names := [name for name, found in steps.items() if found is step and name not in blamed]:
            lines.append(f"{words}: {', '.join(names)}")
    of_others = Failure(
        "set_failed", f"another table of its set was not copied: {'; '.join(lines)}", lines=lines
    )
    return {each.claim.copy_name: blamed.get(each.claim.copy_name, of_others) for each in attempts}


#: What is said of the tables that didn't fail themselves, by what has become of them.
STEPS = {
    SetStep.PROVEN: "the same on both sides",
    SetStep.IN_PLACE: "in place",
    SetStep.COPYING: "begun",
    SetStep.WAITS: "not begun",
}


@contextmanager
def _together(attempts: Iterable[Attempt]) -> Iterator[Connection]:
    """One transaction for the steps of all of them."""
    with next(iter(attempts)).transaction() as connection:
        yield connection


def _strongest(attempts: Sequence[Attempt], connection: Connection) -> StopRequest | None:
    """What somebody has asked of any of the jobs; all their rows are locked then."""
    found: StopRequest | None = None
    for attempt in attempts:
        pressed = attempt.lock(connection)
        if pressed is not None and (found is None or pressed.outranks(found)):
            found = pressed
    return found

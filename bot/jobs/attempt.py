"""One attempt of a job, in the hands of a worker: its claim, its lease and its ledger.

`Executions.claim` makes an `Attempt`, and only that object can take the attempt's steps. Each step is one
transaction that asks for the fencing token: a worker whose token has moved on gets `StaleAttempt` and has
changed nothing. The lease says until when the holder is believed to be alive; each step renews it. The ledger
has a line for each chunk, written in the chunk's own transaction; at the end the proof adds the digests of
both sides.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Self, overload

import psycopg
from psycopg.sql import Composable
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Integer,
    ScalarSelect,
    Select,
    Text,
    Update,
    column,
    func,
    null,
    select,
    text,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from bot import tracing
from bot.config import SIDES
from bot.errors import StaleAttempt
from bot.jobs import baseline
from bot.jobs.baseline import Earlier, KnownProof
from bot.jobs.events import (
    BREAKS_ATTEMPT,
    AskedAgain,
    Claimed,
    Completed,
    Event,
    EventKind,
    Failed,
    Plain,
    Retry,
)
from bot.jobs.failure import Failure
from bot.jobs.models import (
    Approval,
    CopyChunk,
    CopyEvent,
    CopyJob,
    CopyRun,
    Installation,
    Phase,
    Status,
    StopReason,
    StopRequest,
    Worker,
    card_channel,
    has_come,
    in_set_of,
    is_frozen,
    is_of_set,
    may_begin,
    waits_for_somebody,
)
from bot.jobs.notifications import notify_of_waiting
from bot.jobs.outbox import MessageKind, announce
from bot.jobs.status import Step, add_event, second_person, step_of, stop_job, transition
from bot.jobs.transactions import execute_batch, transaction
from bot.jobs.view import AgreedCounts, Question
from copier import Baseline, Chunk, CopySpec, Fingerprint, Plan, Proof, RangeComparison
from copier.batch import Rows, literal
from migrations import schema_of

log = logging.getLogger(__name__)

#: A queue's clock and consulta's may differ by so much.
CLOCKS = timedelta(seconds=2)
#: How often the proof's progress is written, in seconds.
COMPARED_SECONDS = 0.5
#: How long sessions that were told to end are waited for, in seconds.
END_SECONDS = 1.0
#: Of jobs that failed before anything was compared.
NO_PROOFS: Mapping[str, Proof] = MappingProxyType({})
#: The SQLSTATE of a missing privilege.
NOT_ALLOWED = "42501"
#: The SQLSTATE of NULL where there mustn't be any.
NOT_NULL = "23502"

_SESSIONS = text(
    "SELECT pid, usename, application_name, coalesce(xact_start, backend_start) AS since "
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND application_name LIKE :earlier AND application_name <> :own ORDER BY pid"
)
_END_SESSION = text("SELECT pg_terminate_backend(:pid)")
#: Within a transaction the view shows what it has shown before; this has it read anew.
_READ_ANEW = text("SELECT pg_stat_clear_snapshot()")


@dataclass(frozen=True, slots=True)
class Claim:
    """What an attempt is bound to. ``attempt`` is the fencing token.

    ``terms`` and ``fingerprint`` are what was pressed for; ``approved`` says that a second person agreed, and
    ``channel_id`` where one could be asked.
    """

    job_id: int
    attempt: int
    copy_name: str
    liquidation_id: int
    source_table: str
    target_table: str
    fingerprint: Fingerprint | None
    terms: AgreedCounts
    approved: bool
    channel_id: str | None
    installation: str
    set_name: str | None = None

    @classmethod
    def of(cls, row: Any, installation: str, channel_id: str | None, set_name: str | None) -> Self:
        """From the job's row, the channel of its card, and the name of the set that it belongs to."""
        return cls(
            job_id=row.id,
            attempt=row.attempt,
            copy_name=row.copy_name,
            liquidation_id=row.liquidation_id,
            source_table=row.source_table,
            target_table=row.target_table,
            fingerprint=Fingerprint.from_json(row.fingerprint) if row.fingerprint else None,
            terms=AgreedCounts(
                row.previewed_records,
                row.previewed_target_records,
                row.removal_confirmed,
                row.previewed_deletes,
            ),
            approved=row.approval == Approval.APPROVED,
            channel_id=channel_id,
            installation=installation,
            set_name=set_name,
        )

    @property
    def asked_as(self) -> str:
        """What was copied by this name: a table alone, or the set that it belongs to."""
        return self.set_name or self.copy_name

    @property
    def label(self) -> str:
        """What the databases' activity views show for this attempt."""
        return f"{self.label_of_all}/{self.attempt}"

    @property
    def label_of_all(self) -> str:
        """With which the labels of all attempts of this job begin, and those of no other installation."""
        return f"traspaso {self.installation} job {self.job_id}"

    def configured_otherwise(self, spec: CopySpec) -> list[str]:
        """What a configuration alone tells to be another copy than the one asked for, a line each."""
        tables = Fingerprint(self.source_table, self.target_table, spec.belongs_by, spec.key)
        recorded = self.fingerprint or replace(
            tables.configured(spec), source_table=self.source_table, target_table=self.target_table
        )
        return recorded.differences(recorded.configured(spec), SIDES)

    def made_otherwise(self, now: Fingerprint) -> list[str]:
        """The same, once both tables have been looked at."""
        return self.fingerprint.differences(now, SIDES) if self.fingerprint else []


@dataclass(frozen=True, slots=True)
class SecondPerson:
    """Somebody else has to say yes: out of whom, as messages show them, and within how many seconds.

    After ``second_group_seconds`` a second group is asked too; None for never.
    """

    approvers: tuple[str, ...]
    seconds: float
    second_group_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """What a job is completed with: a ``proof`` that holds.

    ``baseline`` is kept for the next copy. ``since`` is the earlier proof on which this one builds by row
    versions; without it all values were compared. ``made_of`` is what was copied.
    """

    proof: Proof
    baseline: Baseline | None = None
    since: KnownProof | None = None
    made_of: Fingerprint | None = None


class NobodyCanApprove(Exception):
    """The job's card is in a direct message, where nobody else can see that it asks."""


class Attempt:
    """A job in the hands of this process, from its claim to the attempt's end.

    Every step but the reading ones raises StaleAttempt where another worker holds the job: nothing has
    changed then. `renew`, `planned`, `record` and `compared` give the stop request that stands, None where
    there is none.
    """

    def __init__(self, engine: Engine, claim: Claim, before: Any, *, lease: timedelta) -> None:
        """``lease`` is how long a step is a sign of life, ``before`` the row of `baseline.left_before`."""
        self._engine = engine
        self._before = before
        self._lease = lease
        self._stepped_at = time.monotonic()
        self._compared: list[RangeComparison] = []
        self._compared_due = 0.0
        self.claim = claim

    @property
    def job_id(self) -> int:
        return self.claim.job_id

    @property
    def number(self) -> int:
        """The fencing token: 1 for the job's first attempt."""
        return self.claim.attempt

    @property
    def copy_name(self) -> str:
        """The copy that the job is of."""
        return self.claim.copy_name

    @property
    def label(self) -> str:
        """The name of this attempt's sessions."""
        return self.claim.label

    @property
    def quiet_seconds(self) -> float:
        """How long ago the last step began that has renewed the lease and looked for a stop request."""
        return time.monotonic() - self._stepped_at

    def stepped(self, at: float) -> None:
        """A step that was begun ``at`` this moment of the monotonic clock is committed."""
        self._stepped_at = max(at, self._stepped_at)

    @property
    def schema(self) -> str:
        """Where the tracking tables are."""
        return schema_of(self._engine)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One for a step and what belongs to it; its session has the attempt's name."""
        with transaction(self._engine, self.label) as connection:
            yield connection

    # What the row says.

    def failures(self) -> int:
        """Passing errors in a row, since the last new chunk."""
        with self.transaction() as connection:
            return connection.execute(select(CopyJob.failures).where(CopyJob.id == self.job_id)).scalar_one()

    def broken_attempts(self) -> int:
        """Attempts that failed or were lost since the request, or since somebody pressed *Retry*.

        Those that ended because a worker stopped, or somebody paused them, don't count.
        """
        broken = select(broken_attempts()).where(CopyJob.id == self.job_id)
        with self.transaction() as connection:
            return connection.execute(broken).scalar_one()

    def earlier(self, full_proof_days: float) -> Earlier:
        """What earlier attempts and jobs had left when the job was claimed."""
        return baseline.earlier(self._before, full_proof_days)

    # Steps of a running attempt.

    def renew(self) -> StopRequest | None:
        """Says that this worker lives."""
        return self._step()

    def planned(self, plan: Plan) -> StopRequest | None:
        """The snapshot is counted."""
        return self._step(
            phase=Phase.COPYING, total_records=plan.total, as_of=plan.as_of, copying_since=func.now()
        )

    def record(self, connection: Connection, chunk: Chunk) -> StopRequest | None:
        """Writes the chunk's line and moves the counters; commits with the chunk's rows or not at all.

        Raises:
            StaleAttempt: another worker holds the job; the chunk is rolled back.
        """
        try:
            found = connection.execute(self.line(chunk)).one()
        except IntegrityError as error:
            if isinstance(error.orig, psycopg.Error) and is_stale(error.orig, schema_of(connection)):
                raise StaleAttempt(self.job_id, self.number) from error
            raise
        sys.audit("traspaso.chunk_recorded", self.job_id, self.number, chunk.range.number)
        return _request(*found)

    def line(self, chunk: Chunk) -> Select[Any]:
        """The same as one statement: fenced, and refused by the server where another worker holds the job.

        The line names the job by what the UPDATE has found. That is nothing for a worker that is stale, and a
        line without a job violates NOT NULL: nothing behind this statement is done, so it isn't committed.
        """
        moved = self._moved(
            copied_records=CopyJob.copied_records + chunk.rows,
            chunks_done=CopyJob.chunks_done + 1,
            inserted_records=CopyJob.inserted_records + chunk.counts.inserted,
            updated_records=CopyJob.updated_records + chunk.counts.updated,
            deleted_records=CopyJob.deleted_records + chunk.counts.deleted,
            unchanged_records=CopyJob.unchanged_records + chunk.counts.unchanged,
            moved_records=CopyJob.moved_records + chunk.moved,
            copied_bytes=CopyJob.copied_bytes + chunk.bytes,
            # Only new ground ends a row of failures: what was in place before proves nothing.
            **({} if chunk.outcome == "unchanged" else {"failures": 0, "error": null()}),
        )
        line = (
            insert(CopyChunk)
            .values(
                job_id=select(moved.c.id).scalar_subquery(),
                attempt=self.number,
                number=chunk.range.number,
                lower_key=list(chunk.range.lower) if chunk.range.lower else None,
                upper_key=list(chunk.range.upper) if chunk.range.upper else None,
                outcome=chunk.outcome,
                records=chunk.rows,
                inserted_records=chunk.counts.inserted,
                updated_records=chunk.counts.updated,
                deleted_records=chunk.counts.deleted,
                unchanged_records=chunk.counts.unchanged,
                moved_records=chunk.moved,
                bytes=chunk.bytes,
                seconds=chunk.seconds,
            )
            .returning(CopyChunk.job_id)
            .cte("line")
        )
        return _pressed(moved).add_cte(line)

    def throttled(self, lag_mb: float | None) -> None:
        """The copy waits for a standby of consulta that is so far behind; None: it goes on."""
        reason = None if lag_mb is None else {"code": "standby_lag", "mb": round(lag_mb, 1)}
        self._step(throttle=reason)

    def verifying(self) -> None:
        """All chunks are in place; the comparison begins."""
        self._compared_due = time.monotonic() + COMPARED_SECONDS
        self._step(phase=Phase.VERIFYING, verifying_since=func.now())

    def compared(self, comparison: RangeComparison) -> StopRequest | None:
        """Both digests of a range are known. Several are written at once, so that the proof isn't held up."""
        self._compared.append(comparison)
        return self.write_compared() if time.monotonic() >= self._compared_due else None

    def write_compared(self) -> StopRequest | None:
        """Adds the digests of both sides to the lines of their ranges, and the rows to the job's counter."""
        if not self._compared:
            return None
        found = values(
            column("number", Integer),
            column("rows", BigInteger),
            column("ours", Text),
            column("theirs", Text),
            name="found",
        ).data(
            [
                (each.range.number, each.target.rows, each.source.hex, each.target.hex)
                for each in self._compared
            ]
        )
        moved = self._moved(
            verified_records=CopyJob.verified_records + sum(each.source.rows for each in self._compared)
        )
        lines = (
            update(CopyChunk)
            .where(
                CopyChunk.job_id == moved.c.id,
                CopyChunk.attempt == self.number,
                CopyChunk.number == found.c.number,
            )
            .values(
                target_records=found.c.rows,
                source_digest=found.c.ours,
                target_digest=found.c.theirs,
            )
            .returning(CopyChunk.number)
            .cte("lines")
        )
        request = self._taken(_pressed(moved).add_cte(lines))
        self._compared.clear()
        self._compared_due = time.monotonic() + COMPARED_SECONDS
        return request

    # Steps that end the attempt, within a transaction of `Attempts`. Those with ``commit`` may end it. Those
    # with a ``request`` follow what somebody has asked for, and give the state that the job is in then.

    def complete(self, connection: Connection, proven: Proven, *, commit: bool) -> None:
        """The job's end, and what is to be announced about it."""
        proof, since = proven.proof, proven.since
        if not proof.holds:
            raise ValueError("only a proof that holds completes a job")
        event = Completed(proof.target.rows, proof.target.hex)
        values_job_id = self.job_id if since is None else since.values_job_id

        def kept() -> Iterator[Executable]:
            sys.audit("traspaso.completing", self.job_id, self.number)
            claim = self.claim
            pair = claim.source_table, claim.target_table
            yield baseline.proof_kept(
                self.job_id, *pair, claim.liquidation_id, baseline=proven.baseline, since=since
            )
            if proven.made_of is not None:
                yield baseline.columns_kept(self.job_id, proven.made_of)

        self._end(
            connection,
            Step.COMPLETE,
            event,
            commit=commit,
            also=kept(),
            error=None,
            values_job_id=values_job_id,
            **_proof(proof),
        )

    def fail(self, connection: Connection, failure: Failure, proof: Proof | None, *, commit: bool) -> None:
        """``proof`` where the job failed because it didn't hold."""
        values = {} if proof is None else _proof(proof)
        values |= {"error": failure.as_json(), "error_message": failure.sentence}
        self._end(connection, Step.FAIL, Failed(failure), commit=commit, **values)

    def cancel(self, connection: Connection, *, commit: bool) -> None:
        """Whoever runs the attempt has ended it for good."""
        self._end(connection, Step.CANCEL, Plain(EventKind.CANCELLED), commit=commit)

    def wait(
        self, connection: Connection, failure: Failure, seconds: float, request: StopRequest | None
    ) -> Status:
        """A passing error: pending again, due in ``seconds``; or what somebody has asked it to be."""
        retry = Retry(failure, seconds)
        values: dict[str, Any] = {
            "failures": CopyJob.failures + 1,
            "run_after": func.now() + timedelta(seconds=seconds),
            "error": failure.as_json(),
        }
        if request is not None:
            add_event(connection, self.job_id, self.number, retry)
            return self._stop(connection, request, **values)
        return self._release(connection, retry, **values)

    def release(self, connection: Connection, request: StopRequest | None, *, frozen: bool = False) -> Status:
        """The worker stops at a chunk's end: pending again at once, or what somebody has asked it to be.

        ``frozen`` where it stops because all copies are: then the card says so.
        """
        if request is not None:
            status = self._stop(connection, request, run_after=func.now())
        else:
            event = Plain(EventKind.FROZEN if frozen else EventKind.RELEASED)
            status = self._release(connection, event, run_after=func.now())
        if frozen:
            announce(connection, MessageKind.UPDATE, CopyJob.id == self.job_id)
        return status

    def wait_for_answer(
        self,
        connection: Connection,
        question: Question,
        second: SecondPerson | None,
        request: StopRequest | None,
    ) -> Status:
        """Has the job wait for its requester's answer, or a second person's.

        Raises:
            NobodyCanApprove: a second person is needed, and can't see the card.
        """
        if request is not None:
            return self._stop(connection, request, run_after=func.now(), error=None)
        values: dict[str, Any] = {"question": question.as_json()}
        approvers = None
        if second is not None:
            approvers = second.approvers
            values |= {
                "approval": Approval.WAITING,
                "approval_until": func.now() + timedelta(seconds=second.seconds),
                "approval_by": None,
                "approval_at": None,
                **second_person(second.second_group_seconds),
            }
        channel = connection.execute(select(card_channel()).where(CopyJob.id == self.job_id)).scalar_one()
        if second is not None and (channel is None or channel.startswith("D")):
            raise NobodyCanApprove
        if second is not None:
            notify_of_waiting(connection, self.job_id, self.number)
        return self._release(
            connection,
            AskedAgain(question, approvers),
            notify=MessageKind.QUESTION,
            run_after=func.now(),
            error=None,
            **values,
        )

    def end_earlier_sessions(self, engine: Engine, side: str) -> None:
        """Ends the sessions of the job's earlier attempts: they may hold locks in consulta, and vacuum back
        in prod.

        Only in this database, and of this installation: others have jobs of the same number. One that can't
        be ended is named in the log, for somebody who may.
        """
        with transaction(engine, self.label) as connection:
            left = self._end_sessions(connection)
            until = time.monotonic() + END_SECONDS
            while left and time.monotonic() < until:
                time.sleep(END_SECONDS / 10)
                left = self._sessions(connection)
        for session in left:
            log.warning(
                "%s: session %s of an earlier attempt (%s, user %s, since %s) can't be ended from here; "
                "whoever may there: SELECT pg_terminate_backend(%s)",
                side,
                session.pid,
                session.application_name,
                session.usename,
                session.since,
                session.pid,
            )

    def _step(self, **values: Any) -> StopRequest | None:
        """One fenced UPDATE, which also renews the lease."""
        return self._taken(_pressed(self._moved(**values)))

    def _taken(self, step: Select[Any]) -> StopRequest | None:
        """The step as a transaction, in one message; it gives nothing where another worker holds the job."""
        began = time.monotonic()
        with self.transaction() as connection:
            [found] = execute_batch(connection, step, commit=True)
        if not found:
            raise StaleAttempt(self.job_id, self.number)
        self.stepped(began)
        return _request(*found[0])

    def _moved(self, **values: Any) -> CTE:
        """The fenced UPDATE of the job's row, as a part of a statement."""
        return (
            self._fenced(**values)
            .returning(CopyJob.id, CopyJob.stop_requested, CopyJob.stopped_by, is_frozen().label("frozen"))
            .cte("moved")
        )

    def _fenced(self, **values: Any) -> Update:
        """Within a transaction; it also renews the lease.

        From the present moment and not from the transaction's start, which a chunk may have had long ago: the
        lease would be set back, even to one that is over.
        """
        lease = func.clock_timestamp() + self._lease
        return (
            update(CopyJob)
            .where(
                CopyJob.id == self.job_id,
                CopyJob.attempt == self.number,
                CopyJob.status == Status.RUNNING,
            )
            .values({"lease_until": lease, "updated_at": func.now(), **values})
        )

    def lock(self, connection: Connection) -> StopRequest | None:
        """Locks the job's row; what somebody has pressed and isn't done yet."""
        [found] = execute_batch(
            connection,
            select(CopyJob.stop_requested, CopyJob.stopped_by)
            .where(
                CopyJob.id == self.job_id,
                CopyJob.attempt == self.number,
                CopyJob.status == Status.RUNNING,
            )
            .with_for_update(key_share=True),
        )
        if not found:
            raise StaleAttempt(self.job_id, self.number)
        return _request(found[0].stop_requested, found[0].stopped_by, frozen=False)

    def _release(
        self, connection: Connection, event: Event, *, notify: MessageKind | None = None, **values: Any
    ) -> Status:
        """Pending again, and on no queue."""
        self._take(connection, Step.RELEASE, event, notify=notify, enqueued_at=None, throttle=None, **values)
        return Status.PENDING

    def _stop(self, connection: Connection, request: StopRequest, **values: Any) -> Status:
        return stop_job(connection, self.job_id, request, ends_attempt=True, throttle=None, **values)

    def _end(self, connection: Connection, step: Step, event: Event, **values: Any) -> None:
        self._take(connection, step, event, notify=MessageKind.ENDING, **values)

    def _take(
        self, connection: Connection, step: Step, event: Event, *, notify: MessageKind | None, **values: Any
    ) -> None:
        """One fenced step out of ``running``; ``values`` are those of `transition` too."""
        fence = CopyJob.attempt == self.number, CopyJob.status == Status.RUNNING
        if not transition(
            connection, self.job_id, step, *fence, event=event, notify=notify, ends_attempt=True, **values
        ):
            raise StaleAttempt(self.job_id, self.number)

    def _end_sessions(self, connection: Connection) -> Rows:
        """Those that are still there after each of them was told to end."""
        left = self._sessions(connection)
        for session in left:
            try:
                with connection.begin_nested():
                    connection.execute(_END_SESSION, {"pid": session.pid})
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
                    raise
        return self._sessions(connection) if left else left

    def _sessions(self, connection: Connection) -> Rows:
        named = _SESSIONS.bindparams(earlier=f"{self.claim.label_of_all}/%", own=self.label)
        return execute_batch(connection, _READ_ANEW, named)[1]


class Attempts(Sequence[Attempt]):
    """The jobs that a worker runs together: one alone, or all of a set in their order.

    Each step that ends them is one transaction, and is taken of all of them or of none. What is asked of one
    of them is done to all. Failures, questions and proofs are named by the copies of their jobs.

    Every step raises StaleAttempt where another worker holds one of the jobs: nothing has changed then.
    """

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self._attempts = tuple(attempts)

    @overload
    def __getitem__(self, index: int) -> Attempt: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Attempt]: ...

    def __getitem__(self, index: int | slice) -> Attempt | Sequence[Attempt]:
        return self._attempts[index]

    def __len__(self) -> int:
        return len(self._attempts)

    def __str__(self) -> str:
        """As log lines name them."""
        numbers = ", ".join(str(attempt.job_id) for attempt in self)
        return f"job {numbers}" if len(self) == 1 else f"jobs {numbers}"

    def failures(self) -> int:
        """Passing errors in a row, since the last new chunk of any job."""
        return min(attempt.failures() for attempt in self)

    def broken_attempts(self) -> int:
        """As of the job that has most."""
        return max(attempt.broken_attempts() for attempt in self)

    def completed(self, proven: Mapping[str, Proven]) -> None:
        """All proofs hold."""
        with self._together() as connection:
            for attempt in self:
                attempt.complete(connection, proven[attempt.copy_name], commit=attempt is self[-1])
        for attempt in self:
            sys.audit("traspaso.completed", attempt.job_id, attempt.number)

    def failed(self, failures: Mapping[str, Failure], proofs: Mapping[str, Proof] = NO_PROOFS) -> None:
        """``failures`` has one for each job, ``proofs`` those that don't hold."""
        with self._together() as connection:
            for attempt in self:
                name = attempt.copy_name
                attempt.fail(connection, failures[name], proofs.get(name), commit=attempt is self[-1])

    def cancelled(self) -> None:
        """Whoever runs them has ended them for good."""
        with self._together() as connection:
            for attempt in self:
                attempt.cancel(connection, commit=attempt is self[-1])

    def retry_later(self, failures: Mapping[str, Failure], seconds: float) -> Status:
        """A passing error: pending again, due in ``seconds``; or what somebody asked them to be."""

        def wait(attempt: Attempt, connection: Connection, request: StopRequest | None) -> Status:
            return attempt.wait(connection, failures[attempt.copy_name], seconds, request)

        return self._given_back(wait)

    def released(self, *, frozen: bool = False) -> Status:
        """The worker stops at a chunk's end: pending again at once, or what somebody asked them to be.

        ``frozen`` where it stops because all copies are: then the cards say so.
        """
        return self._given_back(partial(Attempt.release, frozen=frozen))

    def ask(self, questions: Mapping[str, Question], second: Mapping[str, SecondPerson]) -> Status:
        """Gives them back, and those that have a question wait for its answer: of their requester, or of a
        ``second`` person.

        Gives the state that they are in then: not pending where somebody had asked to pause or cancel them.

        Raises:
            NobodyCanApprove: a second person is needed, and can't see the card.
        """

        def ask(attempt: Attempt, connection: Connection, request: StopRequest | None) -> Status:
            name = attempt.copy_name
            if name not in questions:
                return attempt.release(connection, request)
            return attempt.wait_for_answer(connection, questions[name], second.get(name), request)

        return self._given_back(ask)

    def _given_back(self, step: Callable[[Attempt, Connection, StopRequest | None], Status]) -> Status:
        with self._together() as connection:
            strongest: StopRequest | None = None
            for attempt in self:
                request = attempt.lock(connection)
                if request is not None and (strongest is None or request.outranks(strongest)):
                    strongest = request
            found = [step(attempt, connection, strongest) for attempt in self]
            return found[0]

    def _together(self) -> AbstractContextManager[Connection]:
        """One transaction for the steps of all of them."""
        return self[0].transaction()


class AttemptLedger:
    """The lines of an attempt's chunks, each sent together with its chunk's COMMIT.

    It is a `copier.chunk_writer.Ledger`.
    """

    def __init__(self, attempt: Attempt, obey: Callable[[StopRequest | None], None]) -> None:
        """``obey`` gets the stop request that stands when a chunk is committed, None where there is none."""
        self._attempt = attempt
        self._obey = obey
        self._sent: dict[int, float] = {}

    def line(self, connection: Connection, chunk: Chunk) -> Composable:
        self._sent[chunk.range.number] = time.monotonic()
        tracing.note(rows=chunk.rows, bytes=chunk.bytes, outcome=chunk.outcome)
        line = literal(connection, self._attempt.line(chunk))
        attempt = self._attempt
        sys.audit("traspaso.chunk_recorded", attempt.job_id, attempt.number, chunk.range.number)
        return line

    def written(self, chunk: Chunk, rows: Rows) -> None:
        self._attempt.stepped(self._sent.pop(chunk.range.number, 0.0))
        self._obey(_request(*rows[0]))

    def refused(self, error: psycopg.Error) -> StaleAttempt | None:
        attempt = self._attempt
        return StaleAttempt(attempt.job_id, attempt.number) if is_stale(error, attempt.schema) else None


def is_stale(error: psycopg.Error, schema: str) -> bool:
    """Whether a chunk's line, in the tracking tables of this schema, was refused because it has no job: the
    fence has let nothing through.
    """
    at = error.diag
    place = at.schema_name, at.table_name, at.column_name
    return error.sqlstate == NOT_NULL and place == (schema, CopyChunk.__tablename__, "job_id")


def _pressed(moved: CTE) -> Select[Any]:
    """What somebody has pressed, and whether copies are frozen, for `_request`."""
    return select(moved.c.stop_requested, moved.c.stopped_by, moved.c.frozen)


def _request(pressed: str | None, by: int | None, frozen: bool) -> StopRequest | None:
    if pressed:
        return StopRequest(StopReason(pressed), by)
    return StopRequest(StopReason.FREEZE) if frozen else None


class Executions:
    """Hands jobs out to workers."""

    def __init__(self, engine: Engine, *, lease_seconds: float) -> None:
        self._engine = engine
        self._lease = timedelta(seconds=lease_seconds)

    def claim(self, job_id: int, worker: str, worker_id: int | None = None) -> Attempt | None:
        """Takes a pending job that is due: running, attempt + 1, a lease. None where there is none, or it is
        one of a set: `claim_set`.

        ``worker_id`` is the row by which the process says that it lives. Nobody takes anything while copies
        are frozen.
        """
        with self._engine.begin() as connection:
            claimed = self._claim(connection, job_id, worker, worker_id, ~is_of_set(), commit=True)
        return None if claimed is None else self._attempt(*claimed)

    def claim_set(self, job_id: int, worker: str, worker_id: int | None = None) -> list[Attempt]:
        """Takes all jobs of the set that this one belongs to, in their order, or none of them.

        Empty where it belongs to none, or one of them can't be taken now.
        """
        of_set = select(CopyJob.id).where(in_set_of(job_id)).order_by(CopyJob.id)
        claims = []
        with self._engine.begin() as connection:
            for each in connection.scalars(of_set).all():
                claimed = self._claim(connection, each, worker, worker_id)
                if claimed is None:
                    connection.rollback()
                    return []
                claims.append(claimed)
        return [self._attempt(*claimed) for claimed in claims]

    def _claim(
        self,
        connection: Connection,
        job_id: int,
        worker: str,
        worker_id: int | None,
        *conditions: ColumnElement[bool],
        commit: bool = False,
    ) -> tuple[Claim, Any] | None:
        """The claim, and what was left before it."""
        step = step_of(
            job_id,
            Step.CLAIM,
            *conditions,
            ~waits_for_somebody(),
            may_begin(),
            has_come(CopyJob.run_after, early=CLOCKS),
            ~is_frozen(),
            event=Claimed(worker),
            attempt=CopyJob.attempt + 1,
            worker=worker,
            worker_id=select(Worker.id).where(Worker.id == worker_id).scalar_subquery(),
            lease_until=func.now() + self._lease,
            phase=Phase.COUNTING,
            throttle=None,
            started_at=func.coalesce(CopyJob.started_at, func.now()),
            claimed_at=func.now(),
            total_records=None,
            copied_records=0,
            chunks_done=0,
            inserted_records=0,
            updated_records=0,
            deleted_records=0,
            unchanged_records=0,
            moved_records=0,
            verified_records=0,
            copied_bytes=0,
            as_of=None,
            copying_since=None,
            verifying_since=None,
        )
        channel = select(card_channel()).where(CopyJob.id == job_id).scalar_subquery()
        of_set = select(CopyRun.set_name).join(CopyJob, CopyJob.run_id == CopyRun.id)
        set_name = of_set.where(CopyJob.id == job_id).scalar_subquery().label("set_name")
        of_card = select(Installation.id, channel.label("channel_id"), set_name)
        found, [installation], before = execute_batch(
            connection, step, of_card, baseline.left_before(job_id), commit=commit
        )
        if not found:
            return None
        claim = Claim.of(found[0], installation.id, installation.channel_id, installation.set_name)
        return claim, before[0]

    def _attempt(self, claim: Claim, before: Any) -> Attempt:
        attempt = Attempt(self._engine, claim, before, lease=self._lease)
        sys.audit("traspaso.take_over", attempt.job_id, attempt.number)
        if attempt.number == 1:
            return attempt
        try:
            attempt.end_earlier_sessions(self._engine, "consulta")
        except SQLAlchemyError as error:
            # The job is this worker's all the same; what hangs there holds locks at most for its own limits.
            log.warning("job %s: earlier sessions were not ended: %s", claim.job_id, type(error).__name__)
        return attempt


def broken_attempts(*kinds: EventKind) -> ScalarSelect[int]:
    """How many of `CopyJob`'s attempts ended in one of these events; by default in any that breaks one."""
    return (
        select(func.count(CopyEvent.id))
        .where(
            CopyEvent.job_id == CopyJob.id,
            CopyEvent.attempt > CopyJob.retried_at_attempt,
            CopyEvent.kind.in_(kinds or BREAKS_ATTEMPT),
        )
        .correlate(CopyJob)
        .scalar_subquery()
    )


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "target_records": proof.target.rows,
        "source_digest": proof.source.hex,
        "target_digest": proof.target.hex,
    }

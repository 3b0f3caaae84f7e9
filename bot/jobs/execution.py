"""A job in a worker's hands: its fencing token, what it is bound to, and the name of its sessions."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Integer,
    ScalarSelect,
    Text,
    column,
    func,
    select,
    text,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bot.config import SIDES
from bot.errors import StaleAttempt
from bot.jobs.failure import Failure
from bot.jobs.models import CopyChunk, CopyEvent, CopyJob, Installation, Worker, waits_for_somebody
from bot.jobs.outbox import Kind, tell
from bot.jobs.proposal import AgreedCounts, Question
from bot.jobs.status import Approval, Phase, Status, Wish
from bot.jobs.stop_request import Orders, is_frozen, settle
from bot.jobs.transactions import has_come, transaction
from copier import Chunk, Comparison, CopySpec, Fingerprint, Plan, Proof

log = logging.getLogger(__name__)

#: How long sessions that were told to end are waited for, in seconds.
END_SECONDS = 1.0
NOT_ALLOWED = "42501"
_LEFT = text(
    "SELECT pid, usename, application_name, coalesce(xact_start, backend_start) AS since "
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND application_name LIKE :earlier AND application_name <> :own ORDER BY pid"
)
_END = text("SELECT pg_terminate_backend(:pid)")
_ANEW = text("SELECT pg_stat_clear_snapshot()")

#: What an UPDATE that claims a job has to return.
CLAIMED: tuple[Any, ...] = (
    CopyJob.id,
    CopyJob.attempt,
    CopyJob.copy_name,
    CopyJob.liquidation_id,
    CopyJob.source_table,
    CopyJob.target_table,
    CopyJob.fingerprint,
    CopyJob.previewed_records,
    CopyJob.previewed_target_records,
    CopyJob.removal_confirmed,
    CopyJob.approval,
    CopyJob.channel_id,
    select(Installation.id).scalar_subquery().label("installation"),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in the hands of this worker. ``attempt`` is the fencing token.

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

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From a row of `CLAIMED`."""
        return cls(
            job_id=row.id,
            attempt=row.attempt,
            copy_name=row.copy_name,
            liquidation_id=row.liquidation_id,
            source_table=row.source_table,
            target_table=row.target_table,
            fingerprint=Fingerprint.from_json(row.fingerprint) if row.fingerprint else None,
            terms=AgreedCounts(row.previewed_records, row.previewed_target_records, row.removal_confirmed),
            approved=row.approval == Approval.APPROVED,
            channel_id=row.channel_id,
            installation=row.installation,
        )

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
        tables = Fingerprint(self.source_table, self.target_table, spec.liquidation_column, spec.key)
        recorded = self.fingerprint or tables
        return recorded.differences(recorded.configured(spec), SIDES)

    def made_otherwise(self, now: Fingerprint) -> list[str]:
        """The same, once both tables have been looked at."""
        return self.fingerprint.differences(now, SIDES) if self.fingerprint else []


def end_sessions_of_earlier_attempts(engine: Engine, side: str, claim: Claim) -> None:
    """Those that hang in the middle of something hold locks in consulta, and vacuum back in prod.

    Only in this database, and of this installation: others have jobs of the same number. One that can't be
    ended is named in the log, for somebody who may.
    """
    with transaction(engine, claim.label) as connection:
        left = _end(connection, claim)
        until = time.monotonic() + END_SECONDS
        while left and time.monotonic() < until:
            time.sleep(END_SECONDS / 10)
            left = _left(connection, claim)
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


def _end(connection: Connection, claim: Claim) -> Sequence[Row[Any]]:
    """Those that are still there after each of them was told to end."""
    left = _left(connection, claim)
    for session in left:
        try:
            with connection.begin_nested():
                connection.execute(_END, {"pid": session.pid})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
                raise
    return _left(connection, claim) if left else left


def _left(connection: Connection, claim: Claim) -> Sequence[Row[Any]]:
    # Within a transaction the view shows what it has shown before.
    connection.execute(_ANEW)
    return connection.execute(_LEFT, {"earlier": f"{claim.label_of_all}/%", "own": claim.label}).all()


# ----------------------------------------------------------------------------
# What happens to a job, each step one transaction that only the present attempt can make.
#
# The attempt is the fencing token: every step asks for it, and a worker whose token has moved on gets
# `StaleAttempt` and has changed nothing. The lease says until when the holder is believed to be alive.


__all__ = ["Claim", "Lifecycle"]

#: A queue's clock and consulta's may differ by so much.
CLOCKS = timedelta(seconds=2)


class Lifecycle:
    """The steps of a job after its request."""

    def __init__(self, engine: Engine, *, lease_seconds: float) -> None:
        self._engine = engine
        self._lease = timedelta(seconds=lease_seconds)

    @contextmanager
    def transaction(self, claim: Claim) -> Iterator[Connection]:
        """One for a step and what belongs to it."""
        with transaction(self._engine, claim.label) as connection:
            yield connection

    def claim(self, job_id: int, worker: str, worker_id: int | None = None) -> Claim | None:
        """Takes a pending job that is due: running, attempt + 1, a lease. None where there is none.

        ``worker_id`` is the row by which the process says that it lives. Nobody takes anything while copies
        are frozen.
        """
        statement = (
            update(CopyJob)
            .where(
                CopyJob.id == job_id,
                CopyJob.status == Status.PENDING,
                ~waits_for_somebody(),
                has_come(CopyJob.run_after, early=CLOCKS),
                ~is_frozen(),
            )
            .values(
                status=Status.RUNNING,
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
                updated_at=func.now(),
            )
            .returning(*CLAIMED)
        )
        with self._engine.begin() as connection:
            row = connection.execute(statement).one_or_none()
            if row is None:
                return None
            claim = Claim.of(row)
            self._event(connection, claim, "claimed", worker=worker)
        sys.audit("traspaso.take_over", claim.job_id, claim.attempt)
        try:
            end_sessions_of_earlier_attempts(self._engine, "consulta", claim)
        except SQLAlchemyError as error:
            # The job is this worker's all the same; what hangs there holds locks at most for its own limits.
            log.warning("job %s: earlier sessions were not ended: %s", claim.job_id, type(error).__name__)
        return claim

    def renew(self, claim: Claim) -> Orders:
        """Says that this worker lives, and learns what is wanted of it."""
        with self.transaction(claim) as connection:
            return self.step(connection, claim)

    def brought(self, claim: Claim) -> int:
        """Rows that earlier attempts of the job have brought to consulta, less those that they removed."""
        net = func.coalesce(func.sum(CopyChunk.inserted_records - CopyChunk.deleted_records), 0)
        with self.transaction(claim) as connection:
            return int(connection.execute(select(net).where(CopyChunk.job_id == claim.job_id)).scalar_one())

    def planned(self, claim: Claim, plan: Plan) -> Orders:
        """The snapshot is counted."""
        with self.transaction(claim) as connection:
            return self.step(
                connection,
                claim,
                phase=Phase.COPYING,
                total_records=plan.total,
                as_of=plan.as_of,
                copying_since=func.now(),
            )

    def verifying(self, claim: Claim) -> None:
        with self.transaction(claim) as connection:
            self.step(connection, claim, phase=Phase.VERIFYING, verifying_since=func.now())

    def throttled(self, claim: Claim, lag_mb: float | None) -> None:
        """The copy waits for a standby of consulta that is so far behind; None: it goes on."""
        reason = None if lag_mb is None else {"code": "standby_lag", "mb": round(lag_mb, 1)}
        with self.transaction(claim) as connection:
            self.step(connection, claim, throttle=reason)

    def completed(self, claim: Claim, proof: Proof) -> None:
        """The proof holds: the job's end and what is to be told about it are one transaction."""
        if not proof.holds:
            raise ValueError("only a proof that holds completes a job")
        with self.transaction(claim) as connection:
            self._end(connection, claim, Status.COMPLETED, error=None, **_proof(proof))
            self._event(connection, claim, "completed", rows=proof.target.rows, digest=proof.target.hex)
            sys.audit("traspaso.completing", claim.job_id, claim.attempt)
        sys.audit("traspaso.completed", claim.job_id, claim.attempt)

    def failed(self, claim: Claim, failure: Failure, proof: Proof | None = None) -> None:
        """``proof`` where the job failed because it didn't hold."""
        with self.transaction(claim) as connection:
            self._end(
                connection,
                claim,
                Status.FAILED,
                error=failure.as_json(),
                error_message=failure.sentence,
                **({} if proof is None else _proof(proof)),
            )
            self._event(connection, claim, "failed", message=failure.sentence, **failure.as_json())

    def cancelled(self, claim: Claim) -> None:
        """Whoever runs the attempt has ended it for good."""
        with self.transaction(claim) as connection:
            self._end(connection, claim, Status.CANCELLED)
            self._event(connection, claim, "cancelled")

    def failures(self, claim: Claim) -> int:
        """Passing errors in a row, since the last new chunk."""
        with self.transaction(claim) as connection:
            return connection.execute(select(CopyJob.failures).where(CopyJob.id == claim.job_id)).scalar_one()

    def broken_attempts(self, claim: Claim) -> int:
        """Attempts that failed or were lost since the request, or since somebody pressed *Retry*.

        Those that ended because a worker stopped, or somebody paused them, don't count.
        """
        broken = select(broken_attempts()).where(CopyJob.id == claim.job_id)
        with self.transaction(claim) as connection:
            return connection.execute(broken).scalar_one()

    def retry_later(self, claim: Claim, failure: Failure, seconds: float) -> Status:
        """A passing error: pending again, due in ``seconds``; or what somebody wants it to be."""
        with self.transaction(claim) as connection:
            self._event(
                connection, claim, "retry", seconds=seconds, message=failure.sentence, **failure.as_json()
            )
            return self.let_go(
                connection,
                claim,
                failures=CopyJob.failures + 1,
                run_after=func.now() + timedelta(seconds=seconds),
                error=failure.as_json(),
            )

    def released(self, claim: Claim, *, frozen: bool = False) -> Status:
        """The worker stops at a chunk's end: pending again at once, or what somebody wants it to be.

        ``frozen`` where it stops because all copies are: then the card says so.
        """
        with self.transaction(claim) as connection:
            status = self.let_go(connection, claim, run_after=func.now())
            if status is Status.PENDING:
                self._event(connection, claim, "frozen" if frozen else "released")
            if frozen:
                tell(connection, Kind.UPDATE, CopyJob.id == claim.job_id)
            return status

    def step(self, connection: Connection, claim: Claim, **values: Any) -> Orders:
        """One fenced UPDATE within the caller's transaction; also renews the lease.

        Raises:
            StaleAttempt: the job isn't running under this attempt any more.
        """
        values = {"lease_until": func.now() + self._lease, "updated_at": func.now(), **values}
        found = connection.execute(
            update(CopyJob)
            .where(
                CopyJob.id == claim.job_id,
                CopyJob.attempt == claim.attempt,
                CopyJob.status == Status.RUNNING,
            )
            .values(**values)
            .returning(CopyJob.stop_requested, is_frozen())
        ).one_or_none()
        if found is None:
            raise StaleAttempt(claim.job_id, claim.attempt)
        wish, frozen = found
        return Orders(Wish(wish) if wish else None, frozen)

    def let_go(self, connection: Connection, claim: Claim, **values: Any) -> Status:
        """Nobody holds the job any more: pending, or what somebody wants it to be."""
        orders = self.step(
            connection,
            claim,
            status=Status.PENDING,
            enqueued_at=None,
            worker_id=None,
            lease_until=None,
            phase=None,
            throttle=None,
            **values,
        )
        return settle(connection, claim.job_id, orders.wish) if orders.wish else Status.PENDING

    def _end(self, connection: Connection, claim: Claim, status: Status, **values: Any) -> None:
        self.step(
            connection,
            claim,
            status=status,
            finished_at=func.now(),
            phase=None,
            worker_id=None,
            lease_until=None,
            stop_requested=None,
            **values,
        )
        tell(connection, Kind.ENDING, CopyJob.id == claim.job_id)

    def _event(self, connection: Connection, claim: Claim, kind: str, **detail: object) -> None:
        connection.execute(
            insert(CopyEvent).values(job_id=claim.job_id, attempt=claim.attempt, kind=kind, detail=detail)
        )


def broken_attempts(*kinds: str) -> ScalarSelect[int]:
    """How many of `CopyJob`'s attempts ended in one of these events; by default in any that breaks one."""
    return (
        select(func.count(CopyEvent.id))
        .where(
            CopyEvent.job_id == CopyJob.id,
            CopyEvent.attempt > CopyJob.retried_at_attempt,
            CopyEvent.kind.in_(kinds or ("retry", "worker_lost")),
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


# ----------------------------------------------------------------------------
# The ledger: a chunk's line, the job's counters and its lease, in the chunk's own transaction.
#
# At the end the proof adds the digests of both sides to each line: together they are the receipt.


#: So often the proof's progress is written.
SETTLE_SECONDS = 0.5


class Ledger:
    """Records the chunks of one attempt. Hand `record` to the copy.

    ``told`` gets what is wanted of the job, at each chunk.
    """

    def __init__(
        self, lifecycle: Lifecycle, claim: Claim, told: Callable[[Orders], None] = lambda orders: None
    ) -> None:
        self._lifecycle = lifecycle
        self._claim = claim
        self._told = told
        self._gathered: list[Comparison] = []
        self._due = 0.0

    def record(self, connection: Connection, chunk: Chunk) -> None:
        """Writes the chunk's line and moves the counters; commits with the rows or not at all.

        Raises:
            StaleAttempt: another worker holds the job; the chunk is rolled back.
        """
        orders = self._lifecycle.step(
            connection,
            self._claim,
            copied_records=CopyJob.copied_records + chunk.rows,
            chunks_done=CopyJob.chunks_done + 1,
            inserted_records=CopyJob.inserted_records + chunk.counts.inserted,
            updated_records=CopyJob.updated_records + chunk.counts.updated,
            deleted_records=CopyJob.deleted_records + chunk.counts.deleted,
            unchanged_records=CopyJob.unchanged_records + chunk.counts.unchanged,
            moved_records=CopyJob.moved_records + chunk.moved,
            copied_bytes=CopyJob.copied_bytes + chunk.bytes,
            # Only new ground ends a row of failures: what was in place before proves nothing.
            **({} if chunk.outcome == "unchanged" else {"failures": 0, "error": None}),
        )
        connection.execute(
            insert(CopyChunk).values(
                job_id=self._claim.job_id,
                attempt=self._claim.attempt,
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
        )
        sys.audit("traspaso.chunk_recorded", self._claim.job_id, self._claim.attempt, chunk.range.number)
        self._told(orders)

    def compared(self, comparison: Comparison) -> None:
        """Both digests of a range are known. They are written with others, so that the proof isn't held up.

        Raises:
            StaleAttempt: another worker holds the job.
        """
        self._gathered.append(comparison)
        if time.monotonic() >= self._due:
            self.settle()

    def settle(self) -> None:
        """Adds the digests of both sides to the lines of their ranges, and the rows to the job's counter.

        Raises:
            StaleAttempt: another worker holds the job.
        """
        if not self._gathered:
            return
        found = values(
            column("number", Integer),
            column("rows", BigInteger),
            column("ours", Text),
            column("theirs", Text),
            name="found",
        ).data(
            [
                (each.range.number, each.target.rows, each.source.hex, each.target.hex)
                for each in self._gathered
            ]
        )
        with self._lifecycle.transaction(self._claim) as connection:
            orders = self._lifecycle.step(
                connection,
                self._claim,
                verified_records=CopyJob.verified_records + sum(each.source.rows for each in self._gathered),
            )
            connection.execute(
                update(CopyChunk)
                .where(
                    CopyChunk.job_id == self._claim.job_id,
                    CopyChunk.attempt == self._claim.attempt,
                    CopyChunk.number == found.c.number,
                )
                .values(
                    target_records=found.c.rows,
                    source_digest=found.c.ours,
                    target_digest=found.c.theirs,
                )
            )
        self._gathered.clear()
        self._due = time.monotonic() + SETTLE_SECONDS
        self._told(orders)


# ----------------------------------------------------------------------------
# A job asks again, because both sides aren't what was shown; and how the answer counts.


@dataclass(frozen=True, slots=True)
class SecondPerson:
    """Somebody else has to say yes: out of whom, as messages show them, and within how many seconds."""

    approvers: tuple[str, ...]
    seconds: float


class NobodyCanApprove(Exception):
    """The job's card is in a direct message, where nobody else can see that it asks."""


def ask(lifecycle: Lifecycle, claim: Claim, question: Question, second: SecondPerson | None) -> Status:
    """Lets go of the job and has it wait for the requester's answer, or a second person's.

    Gives the state that it is in then: not pending where somebody had asked to pause or cancel it.

    Raises:
        StaleAttempt: another worker holds the job.
        NobodyCanApprove: a second person is needed, and can't see the card.
    """
    with lifecycle.transaction(claim) as connection:
        status = lifecycle.let_go(connection, claim, run_after=func.now(), error=None)
        if status is not Status.PENDING:
            return status
        values: dict[str, Any] = {"question": question.as_json()}
        detail = question.as_json()
        if second is not None:
            values |= {
                "approval": Approval.WAITING,
                "approval_until": func.now() + timedelta(seconds=second.seconds),
                "approval_by": None,
                "approval_at": None,
            }
            detail |= {"approvers": list(second.approvers)}
        asked = update(CopyJob).where(CopyJob.id == claim.job_id).values(**values)
        channel = connection.execute(asked.returning(CopyJob.channel_id)).scalar_one()
        if second is not None and (channel is None or channel.startswith("D")):
            raise NobodyCanApprove
        connection.execute(
            insert(CopyEvent).values(
                job_id=claim.job_id, attempt=claim.attempt, kind="asked_again", detail=detail
            )
        )
        tell(connection, Kind.QUESTION, CopyJob.id == claim.job_id)
    return status

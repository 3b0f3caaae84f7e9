"""What happens to a job, each step one transaction that only the present attempt can make.

The attempt is the fencing token: every step asks for it, and a worker whose token has moved on gets
`StaleAttempt` and has changed nothing. The lease says until when the holder is believed to be alive.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, ScalarSelect, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from bot.errors import StaleAttempt
from bot.jobs.claim import CLAIMED, Claim, end_sessions_of_earlier_attempts
from bot.jobs.failure import Failure
from bot.jobs.limits import transaction
from bot.jobs.models import CopyChunk, CopyEvent, CopyJob, Worker
from bot.jobs.moments import has_come
from bot.jobs.outbox import Kind, tell
from bot.jobs.statuses import Phase, Status, Wish
from bot.jobs.waiting import waits_for_somebody
from bot.jobs.wishes import Orders, is_frozen, settle
from copier import Plan, Proof

log = logging.getLogger(__name__)

__all__ = ["Claim", "Lifecycle"]

#: A queue's clock and consulta's may differ by so much.
CLOCKS = timedelta(seconds=2)


class Lifecycle:
    """The steps of a job after its request."""

    def __init__(self, engine: Engine, *, lease_seconds: float, chart_seconds: float) -> None:
        """An attempt that took ``chart_seconds`` to copy and compare gets a chart in the thread."""
        self._engine = engine
        self._lease = timedelta(seconds=lease_seconds)
        self._chart = timedelta(seconds=chart_seconds)

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
        took_long = CopyJob.copying_since <= func.now() - self._chart
        tell(connection, Kind.CHART, CopyJob.id == claim.job_id, took_long)

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

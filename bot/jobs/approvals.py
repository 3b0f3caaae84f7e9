"""Four eyes: what the second person says to a copy that waits for them.

One conditional UPDATE decides, so that two people, two presses or a sweep at the same moment make one
decision. Nobody decides about a copy that they asked for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, ScalarSelect, and_, func, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bot.jobs.answered import accepted, asks_about
from bot.jobs.models import CopyEvent, CopyJob, User
from bot.jobs.outbox import Kind, tell
from bot.jobs.reading import view_of, view_query
from bot.jobs.snapshot import JobView
from bot.jobs.statuses import Approval, Status
from bot.jobs.store import Requester, ensure_user
from bot.jobs.terms import RowCounts

#: Presses that set a job going again: whoever made the last one is no second person for what follows.
SET_GOING = ("resumed", "retried", "confirmed")


class ApprovalOutcome(StrEnum):
    """What became of a press of *Approve* or *Reject*."""

    DONE = "done"  # it counts; a second press of the same person counts no second time and says the same
    OWN = "own"  # they asked for the copy themselves, or set it going again
    STALE = "stale"  # its numbers aren't those that were pressed for; the card is told anew
    LATE = "late"  # somebody else, the requester or the time has decided; the job tells
    UNKNOWN = "unknown"  # there is no such job, or it never needed an approval


@dataclass(frozen=True, slots=True)
class Decision:
    """``job`` is how it is now; None only for UNKNOWN. ``is_new`` where this very press decided."""

    outcome: ApprovalOutcome
    job: JobView | None
    is_new: bool = False


class Approvals:
    """Approves and rejects. Whether the person may is the caller's question."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def approve(self, job_id: int, by: Requester, numbers: RowCounts | None = None) -> Decision:
        """The job is due at once, to be put on the queue by the caller, or else by the next sweep.

        ``numbers`` are those that it asked about again, as they were pressed for; None where it hadn't.
        """
        return self._decide(job_id, by, Approval.APPROVED, numbers)

    def reject(self, job_id: int, by: Requester) -> Decision:
        """The job is cancelled, and its ending told where it has a channel."""
        return self._decide(job_id, by, Approval.REJECTED)

    def _decide(
        self, job_id: int, by: Requester, said: Approval, numbers: RowCounts | None = None
    ) -> Decision:
        with self._engine.begin() as connection:
            is_new = self._write(connection, job_id, by, said, numbers)
        job = self._read(job_id)
        if job is None or job.approval is None:
            return Decision(ApprovalOutcome.UNKNOWN, None)
        if is_new:
            return Decision(ApprovalOutcome.DONE, job, is_new=True)
        asked = job.question.numbers if job.question else None
        if job.waits_for_approval and by.user_id in {job.requester_id, self._set_going_by(job_id)}:
            return Decision(ApprovalOutcome.OWN, job)
        if job.waits_for_approval and said is Approval.APPROVED and asked != numbers:
            with self._engine.begin() as connection:
                tell(connection, Kind.UPDATE, CopyJob.id == job_id, CopyJob.message_ts.is_not(None))
            return Decision(ApprovalOutcome.STALE, job)
        same = job.approval is said and job.approval_by is not None and job.approval_by.id == by.user_id
        return Decision(ApprovalOutcome.DONE if same else ApprovalOutcome.LATE, job)

    def _write(
        self, connection: Connection, job_id: int, by: Requester, said: Approval, numbers: RowCounts | None
    ) -> bool:
        user_id = ensure_user(connection, by)
        # Of one person in two workspaces of an organisation: the Slack id is the same.
        themselves = select(User.id).where(User.slack_user_id == by.user_id)
        values: dict[str, Any] = {
            "approval": said,
            "approval_by": user_id,
            "approval_at": func.now(),
            "updated_at": func.now(),
        }
        if said is Approval.APPROVED:
            values |= {"run_after": func.now(), "enqueued_at": None, **accepted()}
            counts = and_(asks_about(numbers), _set_going(job_id).is_distinct_from(by.user_id))
        else:
            values |= {"status": Status.CANCELLED, "finished_at": func.now()}
            counts = true()  # a no needs no numbers
        decided = connection.execute(
            update(CopyJob)
            .where(
                CopyJob.id == job_id,
                CopyJob.status == Status.PENDING,
                CopyJob.approval == Approval.WAITING,
                CopyJob.approval_until > func.now(),
                CopyJob.user_id.not_in(themselves),
                counts,
            )
            .values(**values)
            .returning(CopyJob.attempt, CopyJob.previewed_records, CopyJob.previewed_target_records)
        ).one_or_none()
        if decided is None:
            return False
        attempt, in_prod, in_consulta = decided
        detail = {"in_prod": in_prod, "in_consulta": in_consulta} if said is Approval.APPROVED else {}
        connection.execute(
            insert(CopyEvent).values(
                job_id=job_id, attempt=attempt, user_id=user_id, kind=said.value, detail=detail
            )
        )
        tell(connection, Kind.UPDATE if said is Approval.APPROVED else Kind.ENDING, CopyJob.id == job_id)
        return True

    def _set_going_by(self, job_id: int) -> str | None:
        with self._engine.connect() as connection:
            return connection.execute(select(_set_going(job_id))).scalar_one()

    def _read(self, job_id: int) -> JobView | None:
        with Session(self._engine) as session:
            row = session.execute(view_query().where(CopyJob.id == job_id)).one_or_none()
        return None if row is None else view_of(row)


def _set_going(job_id: int) -> ScalarSelect[str]:
    """The Slack id of whoever last set the job going again, since the last yes to it; NULL for nobody."""
    last_yes = select(func.coalesce(func.max(CopyEvent.id), 0)).where(
        CopyEvent.job_id == job_id, CopyEvent.kind == Approval.APPROVED.value
    )
    return (
        select(User.slack_user_id)
        .join(CopyEvent, CopyEvent.user_id == User.id)
        .where(
            CopyEvent.job_id == job_id,
            CopyEvent.kind.in_(SET_GOING),
            CopyEvent.id > last_yes.scalar_subquery(),
        )
        .order_by(CopyEvent.id.desc())
        .limit(1)
        .scalar_subquery()
    )


def expire(connection: Connection, which: ColumnElement[bool]) -> list[int]:
    """Ends those of the jobs that still wait for somebody's yes, and tells it; gives their ids."""
    unapproved = (
        select(CopyJob.id)
        .where(CopyJob.status == Status.PENDING, CopyJob.approval == Approval.WAITING, which)
        .with_for_update(skip_locked=True, key_share=True)
    )
    jobs = connection.execute(
        update(CopyJob)
        .where(CopyJob.id.in_(unapproved))
        .values(
            status=Status.CANCELLED,
            approval=Approval.EXPIRED,
            finished_at=func.now(),
            updated_at=func.now(),
        )
        .returning(CopyJob.id, CopyJob.attempt)
    ).all()
    for job in jobs:
        tell(connection, Kind.ENDING, CopyJob.id == job.id)
        connection.execute(
            insert(CopyEvent).values(job_id=job.id, attempt=job.attempt, kind="approval_expired")
        )
    return [job.id for job in jobs]

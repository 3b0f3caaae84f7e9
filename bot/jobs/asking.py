"""A job asks again, because both sides aren't what was shown; and how the answer counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert

from bot.jobs.lifecycle import Claim, Lifecycle
from bot.jobs.models import CopyEvent, CopyJob
from bot.jobs.outbox import Kind, tell
from bot.jobs.statuses import Approval, Status
from bot.jobs.terms import Question


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

"""A job asks again, because both sides aren't what was shown; and how the answer counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, update
from sqlalchemy.dialects.postgresql import insert

from bot.jobs.lifecycle import Claim, Lifecycle
from bot.jobs.models import CopyEvent, CopyJob
from bot.jobs.outbox import Kind, tell
from bot.jobs.statuses import Approval, Status
from bot.jobs.terms import Question, RowCounts


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


def asks_about(numbers: RowCounts | None) -> ColumnElement[bool]:
    """A condition: these numbers are what the job asks about; None where it asks about none."""
    if numbers is None:
        return CopyJob.question.is_(None)
    return and_(_asked("in_prod") == numbers.in_prod, _asked("in_consulta") == numbers.in_consulta)


def accepted() -> dict[str, Any]:
    """What a yes changes in the row: the numbers of the question, if there is one, are what was shown."""
    in_prod, in_consulta = _asked("in_prod"), _asked("in_consulta")
    removes = and_(in_prod == 0, in_consulta > 0)
    return {
        "previewed_records": func.coalesce(in_prod, CopyJob.previewed_records),
        "previewed_target_records": func.coalesce(in_consulta, CopyJob.previewed_target_records),
        "removal_confirmed": case((CopyJob.question.is_not(None), removes), else_=CopyJob.removal_confirmed),
        "question": None,
    }


def _asked(side: str) -> ColumnElement[int]:
    return cast(CopyJob.question[side].astext, BigInteger)

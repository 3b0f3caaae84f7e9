"""Which jobs wait for a person: in one place for all queries that leave them out."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_

from bot.jobs.models import CopyJob
from bot.jobs.statuses import Approval


def waits_for_somebody(job: type[CopyJob] = CopyJob) -> ColumnElement[bool]:
    """A condition: of the pending jobs, those that nobody may take before they are approved or confirmed."""
    return or_(job.approval.is_not_distinct_from(Approval.WAITING), job.question.is_not(None))

"""How the answer counts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func

from bot.jobs.models import CopyJob
from bot.jobs.terms import RowCounts


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

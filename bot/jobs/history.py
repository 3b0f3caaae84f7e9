"""What became of earlier jobs: the past of a liquidation, of a person, of a copy. Reads only."""

from __future__ import annotations

from statistics import median

from sqlalchemy import ColumnElement, Engine, Select, func, select
from sqlalchemy.orm import Session

from bot.jobs.models import CopyJob, User
from bot.jobs.panel import HomeFilters
from bot.jobs.reading import view_of, view_query
from bot.jobs.snapshot import JobView
from bot.jobs.statuses import LIVE, Status

#: No filter at all.
EVERYTHING = HomeFilters()
#: So many of the latest runs say how fast a copy is.
RUNS = 7


class JobHistory:
    """Queries over the jobs there have been, newest first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, filters: HomeFilters = EVERYTHING, limit: int = 20) -> list[JobView]:
        """The newest jobs that the filters let through, whatever their state."""
        conditions: list[ColumnElement[bool]] = []
        if filters.status is not None:
            conditions.append(CopyJob.status == filters.status)
        if filters.user_id is not None:
            conditions.append(User.slack_user_id == filters.user_id)
        if filters.liquidation_id is not None:
            conditions.append(CopyJob.liquidation_id == filters.liquidation_id)
        if filters.ended:
            conditions.append(CopyJob.status.not_in(LIVE))
        return self._all(view_query().where(*conditions).order_by(CopyJob.id.desc()).limit(limit))

    def of_liquidation(self, liquidation_id: int, limit: int = 20) -> list[JobView]:
        """All jobs of one liquidation, whichever copy they ran."""
        return self.page(HomeFilters(liquidation_id=liquidation_id), limit)

    def of_user(self, user_id: str, limit: int = 20) -> list[JobView]:
        """All jobs that this Slack user asked for."""
        return self.page(HomeFilters(user_id=user_id), limit)

    def last_completed(self, target_table: str, liquidation_id: int) -> JobView | None:
        """The latest proven copy of this liquidation into this table; None where there was none."""
        statement = view_query().where(
            CopyJob.target_table == target_table,
            CopyJob.liquidation_id == liquidation_id,
            CopyJob.status == Status.COMPLETED,
        )
        found = self._all(statement.order_by(CopyJob.finished_at.desc()).limit(1))
        return found[0] if found else None

    def expected_seconds(self, copy_name: str, rows: int) -> float | None:
        """How long so many rows will take, by the median rate of the last runs of this copy.

        None where no run has written a row yet. A run's rate is its rows by the seconds of its last
        attempt, counting and proof included.
        """
        seconds = func.extract("epoch", CopyJob.finished_at - CopyJob.claimed_at)
        statement = (
            select(CopyJob.total_records / func.nullif(seconds, 0))
            .where(
                CopyJob.copy_name == copy_name,
                CopyJob.status == Status.COMPLETED,
                CopyJob.inserted_records + CopyJob.updated_records > 0,
                CopyJob.total_records > 0,
                CopyJob.finished_at > CopyJob.claimed_at,
            )
            .order_by(CopyJob.id.desc())
            .limit(RUNS)
        )
        with Session(self._engine) as session:
            rates = [float(rate) for rate in session.scalars(statement) if rate]
        return rows / median(rates) if rates else None

    def _all(self, statement: Select[tuple[object, ...]]) -> list[JobView]:
        with Session(self._engine) as session:
            return [view_of(row) for row in session.execute(statement)]

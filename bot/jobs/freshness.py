"""What consulta holds of each liquidation, and what the watch knows of prod since, for people to read.

The same states as the view ``freshness`` has for reports, read from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, select

from bot.characters import clean_name
from bot.jobs.models import FRESHNESS, CopyJob, Drift, Standing, WatchRound
from bot.jobs.status import FreshnessState


@dataclass(frozen=True, slots=True)
class Freshness:
    """A line of the view. ``as_of`` and ``known_equal_at`` are None where rows of two moments are there.

    ``inserted``, ``updated`` and ``deleted`` are how many rows a copy would have, as of ``moved_at``; None
    where prod isn't known to have moved on. ``copy_name`` is that of the last proven copy, None where there
    was none. ``label`` is the liquidation's name.
    """

    target_table: str
    liquidation_id: int
    state: FreshnessState
    as_of: datetime | None
    known_equal_at: datetime | None
    rows: int | None
    job_id: int
    copy_name: str | None
    label: str | None = None
    moved_at: datetime | None = None
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """What the watch knows. ``moved_on`` are the newest looks first, of ``moved`` in all.

    ``equal`` liquidations are known to be equal to prod. ``ended_at`` is when its last round ended; None
    where none has.
    """

    moved_on: tuple[Freshness, ...]
    moved: int
    equal: int
    ended_at: datetime | None

    def __bool__(self) -> bool:
        return self.ended_at is not None or self.moved > 0


class FreshnessReader:
    """Reads the view."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of_liquidation(self, liquidation_id: int) -> tuple[Freshness, ...]:
        """In each target table that a job has written of it, in the order of their names."""
        statement = _lines().where(FRESHNESS.c.liquidation_id == liquidation_id)
        with self._engine.connect() as connection:
            rows = connection.execute(statement.order_by(FRESHNESS.c.target_table)).all()
        return tuple(map(_freshness, rows))

    def watched(self, limit: int) -> Watched:
        """What the watch knows now, with at most so many of the liquidations that have moved on."""
        with self._engine.connect() as connection:
            return watched(connection, limit)


def watched(connection: Connection, limit: int) -> Watched:
    """The same in the caller's transaction."""
    counted = (
        select(
            func.count().filter(Drift.equal.is_(False)).label("moved"),
            func.count().filter(Drift.equal.is_(True)).label("equal"),
        )
        .select_from(Drift)
        .join(Standing, _of_its_proof())
        .where(Standing.unproven_job_id.is_(None))
    )
    found = connection.execute(counted).one()
    ended_at = connection.scalar(select(func.max(WatchRound.ended_at)))
    moved_on: tuple[Freshness, ...] = ()
    if found.moved:
        statement = _lines().where(FRESHNESS.c.state == FreshnessState.MOVED_ON, Drift.equal.is_(False))
        newest = statement.order_by(Drift.told_at.nulls_first(), Drift.liquidation_id.desc()).limit(limit)
        moved_on = tuple(map(_freshness, connection.execute(newest)))
    return Watched(moved_on, found.moved, found.equal, ended_at)


def _of_its_proof() -> Any:
    """A condition: what was seen is of the proof that is there now."""
    return and_(
        Drift.target_table == Standing.target_table,
        Drift.liquidation_id == Standing.liquidation_id,
        Drift.job_id == Standing.proven_job_id,
    )


@cache
def _lines() -> Select[Any]:
    line = FRESHNESS.c
    return (
        select(
            FRESHNESS,
            Standing.copy_name,
            CopyJob.liquidation_label,
            Drift.known_at,
            Drift.inserted_records,
            Drift.updated_records,
            Drift.deleted_records,
        )
        .join(
            Standing,
            and_(Standing.target_table == line.target_table, Standing.liquidation_id == line.liquidation_id),
        )
        .outerjoin(CopyJob, CopyJob.id == line.job_id)
        .outerjoin(Drift, _of_its_proof())
    )


def _freshness(row: Any) -> Freshness:
    state = FreshnessState(row.state)
    moved = state is FreshnessState.MOVED_ON
    return Freshness(
        target_table=row.target_table,
        liquidation_id=row.liquidation_id,
        state=state,
        as_of=row.as_of,
        known_equal_at=row.known_equal_at,
        rows=row.rows,
        job_id=row.job_id,
        copy_name=row.copy_name,
        label=clean_name(row.liquidation_label or "") or None,
        moved_at=row.known_at if moved else None,
        inserted=row.inserted_records if moved else None,
        updated=row.updated_records if moved else None,
        deleted=row.deleted_records if moved else None,
    )

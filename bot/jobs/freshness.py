"""What consulta holds of each liquidation, and what the watch knows of prod since, for people to read.

The same states as the view ``freshness`` has for reports, read from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, or_, select, true
from sqlalchemy.orm import aliased

from bot.jobs.models import FRESHNESS, CopyJob, CopyRun, Drift, FreshnessState, RunKind, Standing, WatchRound
from bot.untrusted_text import clean_name


@dataclass(frozen=True, slots=True)
class Freshness:
    """A line of the view. ``as_of`` and ``known_equal_at`` are None where rows of two moments are there.

    ``inserted``, ``updated`` and ``deleted`` are how many rows a copy would have, as of ``moved_at``; None
    where prod isn't known to have moved on. ``copy_name`` is that of the last proven copy, None where there
    was none. ``label`` is the liquidation's name. Where the job was one of a set, ``run_id`` and ``set_name``
    are those of its run, which has so many ``copies``.
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
    run_id: int | None = None
    set_name: str | None = None
    copies: int = 0


@dataclass(frozen=True, slots=True)
class SetFreshness:
    """The tables of a liquidation that were last written together, as a set."""

    tables: tuple[Freshness, ...]

    @property
    def liquidation_id(self) -> int:
        return self.tables[0].liquidation_id

    @property
    def set_name(self) -> str:
        return self.tables[0].set_name or ""

    @property
    def run_id(self) -> int | None:
        """The newest of its runs."""
        return max((each.run_id for each in self.tables if each.run_id is not None), default=None)

    @property
    def label(self) -> str | None:
        """The liquidation's name."""
        return next((each.label for each in self.tables if each.label), None)

    @property
    def state(self) -> FreshnessState:
        """Of all its tables: complete, where each of them is."""
        found = {each.state for each in self.tables}
        return next(state for state in _WORST_FIRST if state in found)

    @property
    def copies(self) -> int:
        """How many tables the set had."""
        return max(each.copies for each in self.tables)

    @property
    def moved(self) -> list[Freshness]:
        return [each for each in self.tables if each.state is FreshnessState.MOVED_ON]

    @property
    def known_at(self) -> datetime | None:
        """All that is known of its tables was seen then, or later; None where that isn't known."""
        moments = [each.moved_at or each.known_equal_at for each in self.tables]
        known = [each for each in moments if each is not None]
        return min(known) if len(known) == len(moments) else None


_WORST_FIRST = (
    FreshnessState.BEING_COPIED,
    FreshnessState.INCOMPLETE,
    FreshnessState.MOVED_ON,
    FreshnessState.COMPLETE,
)
Held = Freshness | SetFreshness


def together(lines: Iterable[Freshness]) -> tuple[Held, ...]:
    """The same, with the tables of a set as one, in the place of the first of them.

    Tables that an earlier run of the set has written stand alone, unless the newest run hasn't brought them
    to their end.
    """
    of_sets: dict[tuple[int, str], list[Freshness]] = {}
    found: list[list[Freshness]] = []
    for line in lines:
        if line.set_name is None:
            found.append([line])
            continue
        key = line.liquidation_id, line.set_name
        if key not in of_sets:
            of_sets[key] = []
            found.append(of_sets[key])
        of_sets[key].append(line)
    return tuple(held for group in found for held in _of_group(group))


def _of_group(group: list[Freshness]) -> list[Held]:
    if group[0].set_name is None:
        return [*group]
    whole = SetFreshness(tuple(sorted(group, key=lambda each: each.job_id)))
    if whole.state in {FreshnessState.BEING_COPIED, FreshnessState.INCOMPLETE}:
        return [whole]
    newest = [each for each in whole.tables if each.run_id == whole.run_id]
    return [SetFreshness(tuple(newest)), *(each for each in whole.tables if each.run_id != whole.run_id)]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the watch knows. ``moved_on`` are the newest looks first, of ``moved`` in all.

    ``equal`` liquidations are known to be equal to prod. The tables of a set count as one. ``ended_at`` is
    when its last round ended; None where none has.
    """

    moved_on: tuple[Held, ...]
    moved: int
    equal: int
    ended_at: datetime | None

    def __bool__(self) -> bool:
        return self.ended_at is not None or self.moved > 0


class FreshnessReader:
    """Reads the view."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of_liquidation(self, liquidation_id: int) -> tuple[Held, ...]:
        """In each target table that a job has written of it, in the order of their names; see `together`."""
        statement = _lines().where(FRESHNESS.c.liquidation_id == liquidation_id)
        with self._engine.connect() as connection:
            rows = connection.execute(statement.order_by(FRESHNESS.c.target_table)).all()
        return together(map(_freshness, rows))

    def watched(self, limit: int) -> Watched:
        """What the watch knows now, with at most so many of the liquidations that have moved on."""
        with self._engine.connect() as connection:
            return watched(connection, limit)


def watched(connection: Connection, limit: int) -> Watched:
    """The same in the caller's transaction."""
    groups = _watched_groups().cte("watched")
    counted = select(
        func.count().filter(groups.c.moved).label("moved"), func.count().filter(groups.c.equal).label("equal")
    )
    found = connection.execute(counted.select_from(groups)).one()
    ended_at = connection.scalar(select(func.max(WatchRound.ended_at)))
    moved_on: list[Held] = []
    if found.moved:
        of_moved = select(groups.c.key, groups.c.liquidation_id).where(groups.c.moved)
        newest = of_moved.order_by(
            groups.c.is_new.desc(), groups.c.told_at, groups.c.liquidation_id.desc(), groups.c.key.desc()
        )
        rows = connection.execute(newest.limit(limit)).all()
        keys = [(row.key, row.liquidation_id) for row in rows]
        runs_and_jobs = [row.key for row in rows]
        lines = _lines().where(
            FRESHNESS.c.liquidation_id.in_({row.liquidation_id for row in rows}),
            or_(
                CopyRun.id.in_(runs_and_jobs),
                and_(CopyRun.id.is_(None), (-FRESHNESS.c.job_id).in_(runs_and_jobs)),
            ),
        )
        there = {_key(each): each for each in together(map(_freshness, connection.execute(lines)))}
        moved_on = [there[key] for key in keys if key in there]
    told = tuple(each for each in moved_on if each.state is FreshnessState.MOVED_ON)
    return Watched(told, found.moved, found.equal, ended_at)


def _watched_groups() -> Select[Any]:
    """What was proven last, the tables of a set as one, with what the watch knows of it.

    The ``key`` is the run of the set, or else the job with a minus.
    """
    key = func.coalesce(CopyRun.id, -Standing.proven_job_id)
    moved = Drift.equal.is_(False)
    return (
        select(
            key.label("key"),
            Standing.liquidation_id,
            func.coalesce(func.bool_or(moved), False).label("moved"),
            func.bool_and(func.coalesce(Drift.equal, False)).label("equal"),
            func.coalesce(func.bool_or(and_(moved, Drift.told_at.is_(None))), False).label("is_new"),
            func.min(Drift.told_at).filter(moved).label("told_at"),
        )
        .select_from(Standing)
        .outerjoin(Drift, _of_its_proof())
        .outerjoin(CopyJob, CopyJob.id == Standing.proven_job_id)
        .outerjoin(CopyRun, _is_run_of_set())
        .where(
            Standing.liquidation_id.in_(select(Drift.liquidation_id)),
            Standing.unproven_job_id.is_(None),
            Standing.proven_job_id.is_not(None),
        )
        .group_by(key, Standing.liquidation_id)
    )


def _key(held: Held) -> tuple[int, int]:
    if isinstance(held, SetFreshness) and held.run_id is not None:
        return held.run_id, held.liquidation_id
    one = held.tables[0] if isinstance(held, SetFreshness) else held
    return -one.job_id, one.liquidation_id


def _is_run_of_set() -> Any:
    """A condition: the run is that of the job, and of a set."""
    return and_(CopyRun.id == CopyJob.run_id, CopyRun.kind == RunKind.SET)


def _of_its_proof() -> Any:
    """A condition: what was seen is of the proof that is there now."""
    return and_(
        Drift.target_table == Standing.target_table,
        Drift.liquidation_id == Standing.liquidation_id,
        Drift.job_id == Standing.proven_job_id,
    )


_OF_RUN = aliased(CopyJob)


@cache
def _lines() -> Select[Any]:
    line = FRESHNESS.c
    copies = (
        select(func.count().label("copies"))
        .select_from(_OF_RUN)
        .where(_OF_RUN.run_id == CopyRun.id, _OF_RUN.liquidation_id == line.liquidation_id)
        .lateral("of_run")
    )
    return (
        select(
            FRESHNESS,
            Standing.copy_name,
            CopyJob.liquidation_label,
            Drift.known_at,
            Drift.inserted_records,
            Drift.updated_records,
            Drift.deleted_records,
            CopyRun.id.label("run_id"),
            CopyRun.set_name,
            copies.c.copies,
        )
        .select_from(FRESHNESS)
        .join(
            Standing,
            and_(Standing.target_table == line.target_table, Standing.liquidation_id == line.liquidation_id),
        )
        .outerjoin(CopyJob, CopyJob.id == line.job_id)
        .outerjoin(CopyRun, _is_run_of_set())
        .outerjoin(copies, true())
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
        run_id=row.run_id,
        set_name=row.set_name,
        copies=row.copies if row.run_id is not None else 0,
    )

"""The rounds of the watch, and what they have seen: one row for each due time, one for each liquidation.

Whichever worker sees first that a round is due inserts its row, by the unique due time; whoever has claimed
it works on it. Which liquidations come next is told by when each was last looked at: so another process, or
the next round, goes on where the last one was, and no place has to be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    ScalarSelect,
    Select,
    and_,
    case,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from bot import time_expressions
from bot.config import Occasion, WatchSection
from bot.jobs import notifications
from bot.jobs.models import (
    ChannelNotice,
    CopyJob,
    CopyRun,
    Drift,
    LastProof,
    RunKind,
    Standing,
    Status,
    WatchRound,
    has_come,
    is_frozen,
    may_begin,
    waits_for_somebody,
)
from bot.jobs.outbox import NoticeKind, owe_notice
from bot.jobs.schedules import CLAIM, ON_TIME
from bot.jobs.view import NotificationDetail
from copier import Baseline, ExpectedChanges

#: So many liquidations are named to a destination; more are counted.
NAMED = 20


@dataclass(frozen=True, slots=True)
class Round:
    """A due time that this process has claimed. ``tries`` is the fencing token; it has ``seconds`` left."""

    id: int
    due_at: datetime
    began_at: datetime
    tries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Watching:
    """A liquidation to look at, by the proof of job ``job_id``, which ran the copy of that name.

    ``baseline`` is None where it left none.
    """

    copy_name: str
    target_table: str
    source_table: str
    liquidation_id: int
    job_id: int
    baseline: Baseline | None


class Rounds:
    """The rounds of one process's configuration.

    ``tables`` are the pairs of source and target table that are configured: the others are left alone.
    """

    def __init__(self, engine: Engine, section: WatchSection, tables: Sequence[tuple[str, str]]) -> None:
        self._engine = engine
        self._section = section
        self._tables = tables
        self._seen: datetime | None = None

    def look(self, *, now: datetime | None = None) -> bool:
        """Inserts the round that is due; whether there is a new one. Safe in every process at once.

        A due time that nobody saw within two minutes is left out: the next one looks at the same ones.
        """
        moment = now or datetime.now(UTC)
        since = moment - ON_TIME
        due = self._section.begins.between(max(self._seen or since, since), moment)
        if not due:
            self._seen = moment
            return False
        under_way = select(WatchRound.id).where(WatchRound.ended_at.is_(None))
        new = insert(WatchRound).from_select(["due_at"], select(literal(due[-1])).where(~under_way.exists()))
        with self._engine.begin() as connection:
            row = connection.execute(new.on_conflict_do_nothing().returning(WatchRound.id)).one_or_none()
        self._seen = moment
        return row is not None

    def take(self) -> Round | None:
        """Claims a round that nobody works on."""
        with self._engine.begin() as connection:
            row = connection.execute(_claim()).one_or_none()
        if row is None:
            return None
        left = self._section.max_seconds - float(row.spent)
        return Round(row.id, row.due_at, row.began_at, row.tries, left)

    def hold(self, found: Round) -> None:
        """Raises ClaimLost where another process has it by now; else keeps it for the next step."""
        with self._engine.begin() as connection:
            self._own(connection, found)

    def is_busy(self) -> bool:
        """Whether a copy runs, or could be taken by a worker at this moment."""
        pending = and_(
            CopyJob.status == Status.PENDING,
            ~waits_for_somebody(),
            may_begin(),
            has_come(CopyJob.run_after),
            ~is_frozen(),
        )
        jobs = select(CopyJob.id).where(or_(CopyJob.status == Status.RUNNING, pending))
        with self._engine.connect() as connection:
            return bool(connection.scalar(select(jobs.exists())))

    def next(self, found: Round, most: int = 1) -> list[Watching]:
        """At most so many that come next: never looked at since their copy, else the longest ago."""
        left = self._left(found).subquery()
        base = and_(
            LastProof.source_table == left.c.source_table,
            LastProof.target_table == left.c.target_table,
            LastProof.liquidation_id == left.c.liquidation_id,
            LastProof.job_id == left.c.proven_job_id,
        )
        statement = (
            select(left, LastProof.baseline)
            .select_from(left)
            .outerjoin(LastProof, base)
            .order_by(left.c.looked_at.nulls_first(), left.c.proven_at.desc())
            .limit(most)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return [
            Watching(
                row.copy_name,
                row.target_table,
                row.source_table,
                row.liquidation_id,
                row.proven_job_id,
                Baseline.from_json(row.baseline) if row.baseline else None,
            )
            for row in rows
        ]

    def saw(self, found: Round, seen: Sequence[tuple[Watching, ExpectedChanges | None]]) -> None:
        """Writes down what was told of each liquidation; None where row versions tell nothing.

        Raises:
            ClaimLost: another process works on it by now; nothing was written.
        """
        line = insert(Drift).values([_line(watching, expected) for watching, expected in seen])
        with self._engine.begin() as connection:
            self._own(
                connection,
                found,
                looked=WatchRound.looked + len(seen),
                unknown=WatchRound.unknown + sum(expected is None for _, expected in seen),
            )
            connection.execute(
                line.on_conflict_do_update(
                    index_elements=Drift.__table__.primary_key, set_=_kept(line.excluded)
                )
            )

    def end(self, found: Round) -> int:
        """It is over: what is new is owed to the channel, once a day at most. How many liquidations are left.

        Raises:
            ClaimLost: another process works on it by now.
        """
        left_over = select(func.count()).select_from(self._left(found).subquery()).scalar_subquery()
        with self._engine.begin() as connection:
            self._own(connection, found, ended_at=func.clock_timestamp(), left_over=left_over)
            self._notify(connection, found)
            left = connection.scalar(select(WatchRound.left_over).where(WatchRound.id == found.id))
        return left or 0

    def _notify(self, connection: Connection, found: Round) -> None:
        zone = time_expressions.zone(self._section.time_zone)
        today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        told = select(ChannelNotice.id).where(
            ChannelNotice.kind == NoticeKind.DRIFT, ChannelNotice.created_at >= today
        )
        if connection.scalar(select(told.exists())):
            return
        new = connection.execute(
            update(Drift)
            .where(_counts(), Drift.equal.is_(False), Drift.told_at.is_(None))
            .values(told_at=func.now())
            .returning(Drift.liquidation_id, func.coalesce(_set_name(), Standing.copy_name).label("name"))
        ).all()
        if not new:
            return
        owe_notice(connection, NoticeKind.DRIFT, found.id, self._section.channel)
        for copy_name in sorted({row.name for row in new}):
            liquidations = sorted({row.liquidation_id for row in new if row.name == copy_name})
            notifications.notify(
                connection,
                Occasion.DRIFT,
                key=f"{copy_name}:{found.due_at.isoformat()}",
                detail=NotificationDetail(
                    copy=copy_name,
                    liquidations=tuple(liquidations[:NAMED]),
                    more=max(0, len(liquidations) - NAMED),
                ),
            )

    def _left(self, found: Round) -> Select[Any]:
        """Those that this round is to look at, and hasn't yet."""
        section = self._section
        watched = (
            select(Standing)
            .where(
                Standing.proven_at > func.now() - func.make_interval(0, section.months),
                Standing.unproven_job_id.is_(None),
                tuple_(Standing.source_table, Standing.target_table).in_(self._tables),
            )
            .order_by(Standing.proven_at.desc(), Standing.liquidation_id, Standing.target_table)
            .limit(section.newest)
            .subquery()
        )
        seen = and_(
            Drift.liquidation_id == watched.c.liquidation_id,
            Drift.target_table == watched.c.target_table,
            Drift.job_id == watched.c.proven_job_id,
        )
        return (
            select(watched, Drift.looked_at)
            .select_from(watched)
            .outerjoin(Drift, seen)
            .where(or_(Drift.looked_at.is_(None), Drift.looked_at < found.began_at))
        )

    @staticmethod
    def _own(connection: Connection, found: Round, **values: Any) -> None:
        is_open = WatchRound.ended_at.is_(None)
        WatchRound.write(connection, found, is_open, **{**WatchRound.held(CLAIM), **values})


@cache
def _claim() -> Any:
    chosen = (
        select(WatchRound.id)
        .where(WatchRound.ended_at.is_(None), WatchRound.is_free())
        .order_by(WatchRound.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(WatchRound)
        .where(WatchRound.id == chosen)
        .values(WatchRound.taken(CLAIM))
        .returning(WatchRound, func.extract("epoch", func.now() - WatchRound.began_at).label("spent"))
    )


def _set_name() -> ScalarSelect[Any]:
    """Of a `Standing` whose proof was that of a set."""
    return (
        select(CopyRun.set_name)
        .join(CopyJob, CopyJob.run_id == CopyRun.id)
        .where(CopyJob.id == Standing.proven_job_id, CopyRun.kind == RunKind.SET)
        .correlate(Standing)
        .scalar_subquery()
    )


def _counts() -> ColumnElement[bool]:
    """A condition on `Drift`, with its `Standing`: it is of the proof that is there now."""
    return and_(
        Drift.liquidation_id == Standing.liquidation_id,
        Drift.target_table == Standing.target_table,
        Drift.job_id == Standing.proven_job_id,
        Standing.unproven_job_id.is_(None),
    )


def _line(watching: Watching, seen: ExpectedChanges | None) -> dict[str, Any]:
    """The row of a liquidation that was looked at."""
    counts = seen.counts if seen else None
    equal = not (counts.inserted or counts.updated or counts.deleted) if counts else None
    return {
        "liquidation_id": watching.liquidation_id,
        "target_table": watching.target_table,
        "job_id": watching.job_id,
        "looked_at": func.clock_timestamp(),
        "known_at": seen.as_of if seen else None,
        "equal": equal,
        "equal_at": seen.as_of if seen and equal else None,
        "inserted_records": counts.inserted if counts else None,
        "updated_records": counts.updated if counts else None,
        "deleted_records": counts.deleted if counts else None,
    }


def _kept(new: Any) -> dict[str, Any]:
    """What changes in a line that is there. Of an earlier job's nothing stays.

    ``new`` is the line that there would be. Where this look told nothing, what an earlier one knew
    stays. That it was told stays as long as the numbers do.
    """
    same = Drift.job_id == new.job_id
    numbers = ("equal", "inserted_records", "updated_records", "deleted_records")

    def kept(name: str) -> ColumnElement[Any]:
        return func.coalesce(new[name], _if(same, getattr(Drift, name)))

    told = and_(same, *(kept(name).is_not_distinct_from(getattr(Drift, name)) for name in numbers))
    return {
        "job_id": new.job_id,
        "looked_at": new.looked_at,
        **{name: kept(name) for name in ("known_at", "equal_at", *numbers)},
        "told_at": _if(told, Drift.told_at),
    }


def _if(condition: ColumnElement[bool], value: Any) -> ColumnElement[Any]:
    return case((condition, value), else_=null())

"""The schedules of the configuration, and their firings: one row for each due time.

Whichever process sees first that a schedule is due inserts the row; the unique (schedule, due time) lets one
in. Whoever has claimed a row works on it, and what is done stands in it: where a process is lost another one
goes on from there. A due time that nobody saw is missed; of those only the newest may still be run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, case, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from bot.config import File, Occasion, ScheduleSection
from bot.jobs import notifications
from bot.jobs.freezes import GONE, FileRows, windows_of
from bot.jobs.models import ClaimLost, FiringState, Schedule, ScheduleFiring, has_come
from bot.jobs.outbox import NoticeKind, owe_notice
from bot.jobs.view import NextFiring, NextWindow, NotificationDetail

#: So late a firing isn't missed: processes restart within it at a deploy.
ON_TIME = timedelta(minutes=2)
#: For so long after its due time what can't be asked now is asked again.
PATIENCE = timedelta(minutes=15)
#: How long a firing is in the hands of one process, which renews it from liquidation to liquidation.
CLAIM = timedelta(seconds=90)
#: Due times further back than this are not looked at, and of the missed ones so many get a row.
BACK, MISSED_ROWS = timedelta(days=31), 50
#: A firing that no process has in its file any more is given up after so long: longer than any grace.
ORPHANED = timedelta(days=8)

STARTED, LIVE_ALREADY, NOTHING, FAILED = "started", "live", "nothing", "failed"


@dataclass(frozen=True, slots=True)
class Firing:
    """A due time and what became of it. ``late`` is how long ago it was due, by consulta's clock.

    ``copy_name`` is that of the set where it copies one, as is ``set_name``. ``results`` has a line for each
    liquidation that is done: its number, the outcome, and the job if there is one; of a set one of its jobs,
    and its run. ``missed_before`` counts the due times that were missed with it.
    """

    id: int
    schedule: str
    due_at: datetime
    copy_name: str
    as_user: str
    channel_id: str
    state: FiringState
    reason: str | None
    error: dict[str, Any] | None
    missed_before: int
    liquidations: tuple[int, ...] | None
    more_fit: bool
    results: tuple[dict[str, Any], ...]
    tries: int
    late: timedelta
    set_name: str | None = None

    @property
    def done(self) -> frozenset[int]:
        """The liquidations that have their line."""
        return frozenset(int(each["liquidation"]) for each in self.results)

    @property
    def jobs(self) -> list[int]:
        """The jobs that it has begun; of a set one."""
        return [int(each["job"]) for each in self.results if each["outcome"] == STARTED]

    @property
    def needs_notice(self) -> bool:
        """There is something that no card says."""
        untold = any(each["outcome"] != STARTED for each in self.results)
        return self.state is not FiringState.DONE or self.more_fit or untold


def definition(schedule: ScheduleSection) -> str:
    """What makes it count anew when it changes."""
    return f"{schedule.cron} {schedule.time_zone}"


class Schedules(FileRows):
    """The rows of the schedules of one process's file. `look` inserts the firings that are due, and those
    that were missed; it says whether there is one to work on, or something to tell.
    """

    def __init__(self, engine: Engine, schedules: Sequence[ScheduleSection]) -> None:
        super().__init__(engine)
        self._schedules = {each.name: each for each in schedules}

    # What is due.

    def _do_due(self, connection: Connection, now: datetime) -> bool:
        handled = self._handled(connection) if self._schedules else []
        found = [self._fire(connection, each, now) for each in handled]
        return any(found)

    def _declare(self, connection: Connection, now: datetime) -> None:
        """That this process has them; from the first time on they count. What nobody has is retired."""
        for each in sorted(self._schedules.values(), key=lambda each: each.name):
            statement = insert(Schedule).values(
                name=each.name, definition=definition(each), handled_until=now, seen_at=now
            )
            retired = Schedule.retired_at.is_not(None)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[Schedule.name, Schedule.definition],
                    set_={
                        "seen_at": func.greatest(Schedule.seen_at, now),
                        "retired_at": None,
                        "handled_until": case((retired, now), else_=Schedule.handled_until),
                    },
                )
            )
        connection.execute(
            update(Schedule)
            .where(Schedule.seen_at < now - GONE, Schedule.retired_at.is_(None))
            .values(retired_at=now)
        )
        orphaned = update(ScheduleFiring).where(
            ScheduleFiring.state == FiringState.DUE, ScheduleFiring.due_at < now - ORPHANED
        )
        connection.execute(orphaned.values(state=FiringState.FAILED, ended_at=now))

    def _handled(self, connection: Connection) -> list[tuple[ScheduleSection, datetime]]:
        """Its schedules, each with the moment up to which its due times have rows."""
        statement = select(Schedule.name, Schedule.definition, Schedule.handled_until).where(
            Schedule.name.in_(self._schedules)
        )
        rows = {(row.name, row.definition): row.handled_until for row in connection.execute(statement)}
        return [
            (each, rows[each.name, definition(each)])
            for each in self._schedules.values()
            if (each.name, definition(each)) in rows
        ]

    def _fire(self, connection: Connection, handled: tuple[ScheduleSection, datetime], now: datetime) -> bool:
        schedule, until = handled
        due = schedule.begins.between(max(until, now - BACK), now)
        if not due:
            return False
        newest = due[-1]
        late = now - newest
        runs = late <= ON_TIME or (schedule.catch_up and late <= schedule.grace)
        missed = due[:-1] if runs else due
        kept = missed[-MISSED_ROWS:]
        for number, moment in enumerate(kept):
            last = number == len(kept) - 1
            before = len(missed) - 1 if last else 0
            self._insert(connection, schedule, moment, FiringState.MISSED, before=before, notify=last)
        if runs:
            self._insert(connection, schedule, newest, FiringState.DUE)
        connection.execute(
            update(Schedule)
            .where(Schedule.name == schedule.name, Schedule.definition == definition(schedule))
            .values(handled_until=func.greatest(Schedule.handled_until, newest))
        )
        return True

    @staticmethod
    def _insert(
        connection: Connection,
        schedule: ScheduleSection,
        due: datetime,
        state: FiringState,
        *,
        before: int = 0,
        notify: bool = False,
    ) -> None:
        statement = insert(ScheduleFiring).values(
            schedule=schedule.name,
            due_at=due,
            copy_name=schedule.copied,
            set_name=schedule.set_name,
            as_user=schedule.as_user,
            channel_id=schedule.channel,
            state=state,
            missed_before=before,
            ended_at=None if state is FiringState.DUE else func.now(),
        )
        new = connection.execute(statement.on_conflict_do_nothing().returning(ScheduleFiring.id)).scalar()
        if new is not None and notify:
            owe_notice(connection, NoticeKind.FIRING, new, schedule.channel, schedule.as_user)
            notifications.notify(
                connection,
                Occasion.MISSED_SCHEDULE,
                key=f"{schedule.name}:{due.isoformat()}",
                detail=NotificationDetail(
                    copy=schedule.copied if schedule.set_name is None else None,
                    set_name=schedule.set_name,
                    schedule=schedule.name,
                    liquidation_id=schedule.liquidation,
                    due_at=due,
                ),
            )

    # Work on one.

    def take(self) -> Firing | None:
        """Claims a firing that is to be worked on, of a schedule that this process has in its file."""
        with self._engine.begin() as connection:
            row = connection.execute(_claim(), {"names": [*self._schedules]}).one_or_none()
        if row is None:
            return None
        return _firing(row, row.now)

    def hold(self, firing: Firing) -> None:
        """Raises ClaimLost where another process has it by now; else keeps it for the next step."""
        self._own(firing, **ScheduleFiring.held(CLAIM))

    def chosen(self, firing: Firing, liquidations: Sequence[int], *, more_fit: bool) -> None:
        """These are copied, whatever the catalogue says when somebody else goes on with it."""
        self._own(firing, liquidations=[*liquidations], more_fit=more_fit)

    def add(self, firing: Firing, result: dict[str, Any]) -> None:
        """One liquidation is done."""
        line = literal([result], JSONB)
        self._own(
            firing,
            results=ScheduleFiring.results.op("||")(line),
            **ScheduleFiring.held(CLAIM),
        )

    def later(self, firing: Firing, seconds: float, reason: str) -> None:
        """It can't be done now: tried again in so many seconds."""
        self._own(
            firing,
            next_try_at=func.now() + timedelta(seconds=seconds),
            claimed_until=None,
            reason=reason,
        )

    def end(
        self,
        firing: Firing,
        state: FiringState,
        reason: str | None = None,
        error: dict[str, Any] | None = None,
    ) -> Firing:
        """It is over; what no card says is owed to its channel. ``error`` is a failure as JSON."""
        with self._engine.begin() as connection:
            row = connection.execute(
                update(ScheduleFiring)
                .where(
                    ScheduleFiring.id == firing.id,
                    ScheduleFiring.tries == firing.tries,
                    ScheduleFiring.state == FiringState.DUE,
                )
                .values(state=state, reason=reason, error=error, claimed_until=None, ended_at=func.now())
                .returning(ScheduleFiring, func.now().label("now"))
            ).one_or_none()
            if row is None:
                raise ClaimLost
            ended = _firing(row, row.now)
            if ended.needs_notice:
                owe_notice(connection, NoticeKind.FIRING, ended.id, ended.channel_id, ended.as_user)
        return ended

    def _own(self, firing: Firing, **values: Any) -> None:
        is_due = ScheduleFiring.state == FiringState.DUE
        with self._engine.begin() as connection:
            ScheduleFiring.write(connection, firing, is_due, **values)

    # What became of them.

    def firing(self, firing_id: int) -> Firing | None:
        return next(iter(self._read(ScheduleFiring.id == firing_id, limit=1)), None)

    def latest(self, schedule: str, limit: int = 5) -> list[Firing]:
        """The newest first; also of a schedule that is in no file any more."""
        return self._read(ScheduleFiring.schedule == schedule, limit=limit)

    def names(self) -> list[str]:
        """The schedules that have had a firing, in the order of their names."""
        with self._engine.connect() as connection:
            found = select(ScheduleFiring.schedule).distinct().order_by(ScheduleFiring.schedule)
            return [*connection.scalars(found)]

    def _read(self, *conditions: Any, limit: int) -> list[Firing]:
        statement = select(ScheduleFiring, func.now().label("now")).where(*conditions)
        with self._engine.connect() as connection:
            rows = connection.execute(statement.order_by(ScheduleFiring.due_at.desc()).limit(limit)).all()
        return [_firing(row, row.now) for row in rows]


@cache
def _claim() -> Any:
    """Of a schedule whose name is among the parameter ``names``."""
    chosen = (
        select(ScheduleFiring.id)
        .where(
            ScheduleFiring.state == FiringState.DUE,
            ScheduleFiring.schedule.in_(bindparam("names", expanding=True)),
            has_come(ScheduleFiring.next_try_at),
            ScheduleFiring.is_free(),
        )
        .order_by(ScheduleFiring.due_at, ScheduleFiring.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(ScheduleFiring)
        .where(ScheduleFiring.id == chosen)
        .values(ScheduleFiring.taken(CLAIM))
        .returning(ScheduleFiring, func.now().label("now"))
    )


def _firing(row: Any, now: datetime) -> Firing:
    return Firing(
        id=row.id,
        schedule=row.schedule,
        due_at=row.due_at,
        copy_name=row.copy_name,
        set_name=row.set_name,
        as_user=row.as_user,
        channel_id=row.channel_id,
        state=FiringState(row.state),
        reason=row.reason,
        error=row.error,
        missed_before=row.missed_before,
        liquidations=None if row.liquidations is None else tuple(row.liquidations),
        more_fit=row.more_fit,
        results=tuple(row.results),
        tries=row.tries,
        late=now - row.due_at,
    )


# ----------------------------------------------------------------------------
# What comes next, from the configuration alone


class Calendar:
    """The next due times and windows of a file."""

    def __init__(self, file: File) -> None:
        self._file = file

    def next_firings(self, now: datetime, limit: int = 5) -> tuple[NextFiring, ...]:
        """The next due time of each schedule, the earliest first."""
        titles = self._file.titles
        found = [
            NextFiring(each.name, titles.get(each.copied, each.copied), next(each.begins.after(now)))
            for each in self._file.schedules
        ]
        return tuple(sorted(found, key=lambda each: (each.at, each.schedule))[:limit])

    def next_window(self, now: datetime) -> NextWindow | None:
        """The window that begins next, within a year; None where there is none. An open one isn't next."""
        found = []
        for each in self._file.freezes:
            begin = next(each.begins.after(now), None)
            if begin is not None:
                coming = [window for window in windows_of([each], begin, begin) if window.begin == begin]
                found += coming
        return min(found, key=lambda window: (window.begin, window.name), default=None)

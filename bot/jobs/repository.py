"""Creates jobs, and reads them: one job, the live ones, the past, App Home, a job's whole story.

Every `JobView` comes from one query (`view_query`), to which each reader adds what it looks for.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    ScalarSelect,
    Select,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by, insert
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from bot.config import Occasion
from bot.errors import AlreadyRunning, Frozen
from bot.jobs.baseline import is_proof_of
from bot.jobs.events import (
    ENDS_ATTEMPT,
    SETS_GOING,
    CardMoved,
    Event,
    EventKind,
    Rejected,
    Requested,
    event_of,
    working_of,
)
from bot.jobs.failure import Failure
from bot.jobs.freshness import watched
from bot.jobs.models import (
    IS_LIVE,
    LIVE,
    ONE_LIVE_JOB,
    Approval,
    CopyChunk,
    CopyEvent,
    CopyFreeze,
    CopyJob,
    CopyRun,
    FreezeWindow,
    LastProof,
    Phase,
    RunKind,
    ScheduleFiring,
    Status,
    StopReason,
    User,
    WatchRound,
    Worker,
    frozen_by_hand,
    window_is_open,
)
from bot.jobs.notifications import notify, notify_of_run
from bot.jobs.outbox import MessageKind, announce, announce_run
from bot.jobs.queue_position import jobs_ahead
from bot.jobs.receipts import newest_hash
from bot.jobs.recovery import PUT_OFF
from bot.jobs.status import add_event, second_person
from bot.jobs.view import (
    NOTHING_SHOWN,
    SILENT,
    AgreedCounts,
    Freeze,
    HomeFilters,
    HomeView,
    JobView,
    NoWorker,
    Person,
    Question,
    RunView,
    Stretch,
)
from bot.jobs.workers import Workers, holds, is_missing, last_seen
from bot.untrusted_text import clean_name, one_line
from copier import Baseline, CopySpec, Fingerprint
from migrations import SCHEMA, schema_of

if TYPE_CHECKING:
    from bot.jobs.schedules import Calendar

#: How many of the latest runs say how fast a copy is.
RUNS = 7
#: How many ended jobs App Home shows.
LATEST = 20
#: How many liquidations that prod has moved on from App Home names.
WATCHED = 15
#: Of so many of the newest jobs App Home's panel follows every change.
MARKED = 50
#: How many chunks the details show.
SLOWEST = 5
#: The longest reason that is kept, in characters: of a request, an approval, a rejection or a freeze.
REASON_LIMIT = 300
#: No filter at all.
EVERYTHING = HomeFilters()


@cache
def _shown_marks() -> Select[str, bool]:
    """Two columns. The first stands for whatever is live, the newest jobs and runs, the freezes, the latest
    firings and round, and for what changes no row: a lease that runs out, a worker that falls silent. The
    second says whether no worker is there at all.
    """
    now = func.clock_timestamp()
    job, active = aliased(CopyJob, name="job"), aliased(CopyFreeze, name="active")
    live = select(CopyJob.id).where(CopyJob.status.in_(LIVE))
    newest = select(CopyJob.id).order_by(CopyJob.id.desc()).limit(MARKED)
    row = func.concat_ws(" ", literal_column("job::text"), job.lease_until < func.now())
    jobs = select(func.string_agg(row, aggregate_order_by(literal(" "), job.id))).where(
        job.id.in_(union_all(live, newest))
    )
    silent = select(func.count()).where(Worker.ended_at.is_(None), Worker.beat_at < now - SILENT)
    freeze = select(func.string_agg(literal_column("active::text"), " ")).where(
        active.lifted_at.is_(None), or_(active.until.is_(None), active.until > now)
    )
    window = func.concat_ws(" ", FreezeWindow.id, FreezeWindow.ends_at)
    windows = select(func.string_agg(window, " ")).where(
        FreezeWindow.starts_at <= now, FreezeWindow.ends_at > now
    )
    latest = select(ScheduleFiring.id, ScheduleFiring.state).order_by(ScheduleFiring.id.desc()).limit(20)
    fired = latest.subquery("latest")
    firings = select(func.string_agg(func.concat_ws(" ", fired.c.id, fired.c.state), " "))
    rounds = select(func.max(WatchRound.ended_at))
    run = aliased(CopyRun, name="run")
    recent = select(CopyRun.id).order_by(CopyRun.id.desc()).limit(MARKED)
    text = func.string_agg(literal_column("run::text"), aggregate_order_by(literal(" "), run.id))
    unended = select(CopyRun.id).where(CopyRun.ended_at.is_(None))
    runs = select(text).where(run.id.in_(union_all(unended, recent)))
    parts = (each.scalar_subquery() for each in (jobs, silent, freeze, windows, firings, rounds, runs))
    return select(func.md5(func.concat_ws(" ", *parts)), is_missing())


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks: a Slack user, or a login of the shell (team ``shell``)."""

    team_id: str
    user_id: str
    name: str
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One copy that somebody confirmed. ``key`` makes a press work once.

    ``terms`` are the rows that they saw, ``fingerprint`` what the copy was made of then. ``approvers`` says,
    as messages show them, who may approve it; None where nobody has to. It then waits for them for
    ``approval_seconds``, and a second group is asked after ``second_group_seconds``, None for never.
    ``reason`` is why it is asked for. ``schedule`` is the name of the one that asks, as its user; None where
    a person does. No worker takes it before ``start_at``; None for at once.
    """

    spec: CopySpec
    liquidation_id: int
    label: str | None
    requester: Requester
    channel_id: str | None = None
    key: str | None = None
    terms: AgreedCounts = NOTHING_SHOWN
    fingerprint: Fingerprint | None = None
    approvers: tuple[str, ...] | None = None
    approval_seconds: float = 24 * 60 * 60
    second_group_seconds: float | None = None
    reason: str | None = None
    schedule: str | None = None
    start_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Several copies that somebody confirmed with one press, in their order. ``key`` makes it work once.

    ``set_name`` is that of the set, where they are one, or the same one of several liquidations. The requests
    have neither a key nor a channel of their own.
    """

    kind: RunKind
    requests: tuple[Request, ...]
    requester: Requester
    set_name: str | None = None
    channel_id: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class CreatedRun:
    """What became of it. ``run_id`` is None where a live job was in the way of each copy, or of each set.

    ``job_ids`` are those of the new jobs; ``taken`` are the live jobs in the way, which stay what they are.
    """

    run_id: int | None
    is_new: bool
    job_ids: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, when it happened, and who did it. It holds names of things and seconds, never a value of a
    row.
    """

    event: Event
    at: datetime
    attempt: int
    person: Person | None


@dataclass(frozen=True, slots=True)
class SlowChunk:
    """A line of the ledger, without its keys. ``seconds`` from its begin to its commit."""

    number: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """All events of a job, oldest first, and the slowest chunks of its last attempt, slowest first.

    ``receipt_hash`` is that of its newest receipt, None where it has none.
    """

    happenings: tuple[Happening, ...]
    slowest: tuple[SlowChunk, ...]
    receipt_hash: str | None = None


class JobRepository:
    """Creates and reads jobs.

    ``operators`` are whom its views name where nobody works, ``titles`` what they call each copy
    and each set by its name.
    """

    def __init__(
        self, engine: Engine, operators: tuple[str, ...] = (), titles: Mapping[str, str] | None = None
    ) -> None:
        self._engine = engine
        self._operators = operators
        self.titles = titles or {}

    def create(self, request: Request) -> tuple[int, bool]:
        """The job of this request and whether it is new, pending, and announced if it has a channel.

        The same request key always gives the same job. Where the live job in the way ends at this very
        moment, there is room for this one: it is tried again.

        Raises:
            AlreadyRunning: a live job for this target table and liquidation exists.
            Frozen: somebody has frozen all copies.
        """
        while True:
            try:
                with self._engine.begin() as connection:
                    if freeze := active_freeze(connection):
                        raise Frozen(freeze)
                    return self._insert(connection, request), True
            except (Frozen, IntegrityError) as refused:
                # The database forbade it: by the press, by the live job, or by a freeze. Say which.
                if request.key and (used := self.by_key(request.key)):
                    return used.id, False
                if not is_taken(refused):
                    raise
                if live := self.live_job(str(request.spec.target_table), request.liquidation_id):
                    raise AlreadyRunning(live.id) from None

    def create_run(self, request: RunRequest) -> CreatedRun:
        """The run of this request, with a pending job for each copy that no live job is in the way of.

        The same request key always gives the same run, with all of its jobs.

        Raises:
            Frozen: somebody has frozen all copies.
        """
        try:
            with self._engine.begin() as connection:
                if freeze := active_freeze(connection):
                    raise Frozen(freeze)
                return self._insert_run(connection, request)
        except (Frozen, IntegrityError):
            if request.key and (used := self.run_by_key(request.key)):
                return CreatedRun(used.id, False, tuple(job.id for job in used.jobs))
            raise

    def run(self, run_id: int) -> RunView | None:
        return self.runs([run_id]).get(run_id)

    def run_by_key(self, key: str) -> RunView | None:
        with self._engine.connect() as connection:
            found = connection.scalar(select(CopyRun.id).where(CopyRun.request_key == key))
        return self.run(found) if found is not None else None

    def runs(self, run_ids: Collection[int]) -> dict[int, RunView]:
        """The runs of these numbers that there are, by their numbers."""
        if not run_ids:
            return {}
        together = view_query().where(CopyJob.run_id.in_(run_ids))
        jobs = self._all(together.order_by(CopyJob.run_id, CopyJob.run_position, CopyJob.id))
        statement = select(CopyRun, User, func.now().label("now")).join(User, User.id == CopyRun.user_id)
        with Session(self._engine) as session:
            rows = session.execute(statement.where(CopyRun.id.in_(run_ids)).order_by(CopyRun.id)).all()
            sets = {row.CopyRun.id for row in rows if row.CopyRun.kind == RunKind.SET}
            spent = _spent(session, {job.id: job.attempt for job in jobs if job.run_id in sets})
        found = {}
        for row in rows:
            own = tuple(job for job in jobs if job.run_id == row.CopyRun.id)
            if own:  # else all of its jobs were deleted, and it is about to be
                found[row.CopyRun.id] = _run_of(
                    row, own, schema=schema_of(self._engine), titles=self.titles, spent=spent
                )
        return found

    def runs_of(self, jobs: Sequence[JobView]) -> dict[int, RunView]:
        """The runs to which any of these jobs belongs, by their numbers."""
        return self.runs({job.run_id for job in jobs if job.run_id is not None})

    def by_key(self, key: str) -> JobView | None:
        return self._first(CopyJob.request_key == key)

    def job(self, job_id: int) -> JobView | None:
        return self._first(CopyJob.id == job_id)

    def live_job(self, target_table: str, liquidation_id: int) -> JobView | None:
        return self._first(
            CopyJob.target_table == target_table,
            CopyJob.liquidation_id == liquidation_id,
            CopyJob.status.in_(LIVE),
        )

    def live(self) -> list[JobView]:
        """What runs, waits or is paused, oldest first."""
        live = view_query(all_live=True).where(CopyJob.status.in_(LIVE))
        return self._all(live.order_by(CopyJob.id))

    def latest(self, limit: int = 10) -> list[JobView]:
        """The last jobs that have ended, newest first."""
        ended = view_query().where(CopyJob.status.not_in(LIVE))
        return self._all(ended.order_by(CopyJob.id.desc()).limit(limit))

    def no_worker(self) -> NoWorker | None:
        """That nobody works, and since when; None where somebody does."""
        return Workers(self._engine).missing(self._operators)

    def enqueued(self, job_id: int) -> None:
        """The id is on the queue now."""
        with self._engine.begin() as connection:
            connection.execute(update(CopyJob).where(CopyJob.id == job_id).values(enqueued_at=func.now()))

    def chunks(self, job_id: int) -> Sequence[CopyChunk]:
        """The ledger of the job's last attempt."""
        last = select(func.max(CopyChunk.attempt)).where(CopyChunk.job_id == job_id).scalar_subquery()
        with Session(self._engine) as session:
            return session.scalars(
                select(CopyChunk)
                .where(CopyChunk.job_id == job_id, CopyChunk.attempt == last)
                .order_by(CopyChunk.number)
            ).all()

    def events(self, job_id: int) -> Sequence[CopyEvent]:
        with Session(self._engine) as session:
            return session.scalars(
                select(CopyEvent).where(CopyEvent.job_id == job_id).order_by(CopyEvent.id)
            ).all()

    def timeline(self, job_id: int) -> Timeline:
        """Empty where there is no such job."""
        with self._engine.connect() as connection:
            return Timeline(
                _happenings(connection, job_id),
                _slowest(connection, job_id),
                newest_hash(connection, job_id),
            )

    def add_event(self, job_id: int, attempt: int, event: Event) -> None:
        """Adds an event to the job's history; nothing else changes."""
        with self._engine.begin() as connection:
            add_event(connection, job_id, attempt, event)

    def _insert(self, connection: Connection, request: Request) -> int:
        user_id = ensure_user(connection, request.requester)
        job_id = connection.execute(
            insert(CopyJob).values(**_row_of(request, user_id), status=Status.PENDING).returning(CopyJob.id)
        ).scalar_one()
        _requested(connection, job_id, request, user_id)
        if request.approvers is not None:
            notify(connection, Occasion.APPROVAL, job_id)
        announce(connection, MessageKind.CARD, CopyJob.id == job_id)
        sys.audit("traspaso.requested", job_id)
        return job_id

    @staticmethod
    def _insert_run(connection: Connection, request: RunRequest) -> CreatedRun:
        user_id = ensure_user(connection, request.requester)
        liquidations = list(dict.fromkeys(each.liquidation_id for each in request.requests))
        run_id = connection.execute(
            insert(CopyRun)
            .values(
                kind=request.kind,
                set_name=request.set_name,
                liquidations=liquidations,
                user_id=user_id,
                request_key=request.key,
                channel_id=request.channel_id,
            )
            .returning(CopyRun.id)
        ).scalar_one()
        new, taken = list[int](), list[int]()
        # In the same order in every process: two that ask for the same ones don't wait for each other.
        in_order = sorted(enumerate(request.requests, 1), key=lambda one: _place(one[1]))
        for number, group in groupby(in_order, key=lambda one: one[1].liquidation_id):
            own, in_the_way, with_others = list[int](), list[int](), connection.begin_nested()
            for position, each in group:
                values = {**_row_of(each, user_id), "run_id": run_id, "run_position": position}
                row = insert(CopyJob).values(**values, status=Status.PENDING)
                room = row.on_conflict_do_nothing(
                    index_elements=[CopyJob.target_table, CopyJob.liquidation_id], index_where=IS_LIVE
                )
                job_id = connection.execute(room.returning(CopyJob.id)).scalar_one_or_none()
                if job_id is not None:
                    _requested(connection, job_id, each, user_id)
                    own.append(job_id)
                else:
                    target = str(each.spec.target_table)
                    same = CopyJob.target_table == target, CopyJob.liquidation_id == number
                    live = select(CopyJob.id).where(*same, CopyJob.status.in_(LIVE))
                    in_the_way += connection.scalars(live).all()
            taken += in_the_way
            if in_the_way and request.kind is RunKind.SET:  # a set is copied whole, or not at all
                with_others.rollback()
                liquidations.remove(number)
            else:
                with_others.commit()
                new += own
        if not new:
            connection.rollback()
            return CreatedRun(None, False, taken=tuple(taken))
        if request.kind is RunKind.SET:
            its_row = update(CopyRun).where(CopyRun.id == run_id)
            connection.execute(its_row.values(liquidations=liquidations))
        announce_run(connection, MessageKind.CARD, run_id)
        waits = CopyJob.run_id == run_id, CopyJob.approval == Approval.WAITING
        if connection.scalar(select(CopyJob.id).where(*waits).limit(1)) is not None:
            notify_of_run(connection, Occasion.APPROVAL, run_id)
        for job_id in new:
            sys.audit("traspaso.requested", job_id)
        return CreatedRun(run_id, True, tuple(new), tuple(taken))

    def _first(self, *conditions: ColumnElement[bool]) -> JobView | None:
        rows = self._all(view_query().where(*conditions).order_by(CopyJob.id.desc()).limit(1))
        return rows[0] if rows else None

    def _all(self, statement: Select[*tuple[Any, ...]]) -> list[JobView]:
        return read_views(self._engine, statement, self._operators, self.titles)


class JobHistory:
    """Queries over the jobs there have been, newest first; ``titles`` as of `JobRepository`."""

    def __init__(self, engine: Engine, titles: Mapping[str, str] | None = None) -> None:
        self._engine = engine
        self._titles = titles or {}

    def page(self, filters: HomeFilters = EVERYTHING, limit: int = 20) -> list[JobView]:
        """The newest jobs that the filters let through, whatever their state."""
        conditions: list[ColumnElement[bool]] = []
        if filters.status is not None:
            conditions.append(CopyJob.status == filters.status)
        if filters.user_id is not None:
            conditions.append(self._asked_for_by(filters.user_id))
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

    def baseline(self, spec: CopySpec, liquidation_id: int) -> Baseline | None:
        """What was proven last of this liquidation; None where no later look can build on it."""
        of_it = is_proof_of(str(spec.source_table), str(spec.target_table), liquidation_id)
        statement = select(LastProof.baseline).where(of_it)
        with self._engine.connect() as connection:
            found = connection.execute(statement).scalar_one_or_none()
        return None if found is None else Baseline.from_json(found)

    def expected_seconds(self, copy_name: str, rows: int, most_a_second: float | None = None) -> float | None:
        """How long so many rows will take, by the median rate of the last runs of this copy.

        None where no run has written a row yet. A run's rate is its rows by the seconds of its last
        attempt, counting and proof included. ``most_a_second`` is the cap in rows, None for none.
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
        if not rates:
            return None
        return rows / min(median(rates), most_a_second or math.inf)

    def expected_seconds_of_set(self, set_name: str, rows: int) -> float | None:
        """The same for so many rows of all tables of a set, by the last runs of that set."""
        began, ended = func.min(CopyJob.claimed_at), func.max(CopyJob.finished_at)
        total = func.sum(CopyJob.total_records)
        statement = (
            select(total / func.nullif(func.extract("epoch", ended - began), 0))
            .join(CopyRun, CopyRun.id == CopyJob.run_id)
            .where(CopyRun.set_name == set_name, CopyRun.ended_at.is_not(None))
            .group_by(CopyRun.id, CopyJob.liquidation_id)
            .having(
                func.bool_and(CopyJob.status == Status.COMPLETED),
                func.sum(CopyJob.inserted_records + CopyJob.updated_records) > 0,
                total > 0,
                ended > began,
            )
            .order_by(CopyRun.id.desc(), CopyJob.liquidation_id)
            .limit(RUNS)
        )
        with self._engine.connect() as connection:
            rates = [float(rate) for rate in connection.scalars(statement) if rate]
        return rows / median(rates) if rates else None

    def _asked_for_by(self, slack_user_id: str) -> ColumnElement[bool]:
        """A condition with the numbers of the users: by them the planner knows how many jobs it is about."""
        with self._engine.connect() as connection:
            users = [*connection.scalars(select(User.id).where(User.slack_user_id == slack_user_id))]
        return CopyJob.user_id == users[0] if len(users) == 1 else CopyJob.user_id.in_(users)

    def _all(self, statement: Select[*tuple[Any, ...]]) -> list[JobView]:
        return read_views(self._engine, statement, titles=self._titles)


class HomeRepository:
    """The panel's reader of the tracking tables; ``calendar`` knows what the configuration has coming."""

    def __init__(
        self, engine: Engine, store: JobRepository | None = None, calendar: Calendar | None = None
    ) -> None:
        self._calendar = calendar
        self._engine = engine
        self._store = store or JobRepository(engine)
        self._history = JobHistory(engine, self._store.titles)

    def mark(self) -> str:
        """Another one whenever something that a panel shows has changed."""
        with self._engine.connect() as connection:
            mark, missing = connection.execute(_shown_marks()).one()
        return f"{mark} {missing}"

    def read(self, reader_id: str, filters: HomeFilters) -> HomeView:
        """What this person sees; ``filters`` are those of the list of ended jobs."""
        with self._engine.connect() as connection:
            freeze = active_freeze(connection)
            seen = watched(connection, WATCHED)
        now = datetime.now(UTC)
        live, latest = self._store.live(), self._history.page(replace(filters, ended=True), LATEST)
        return HomeView(
            reader_id=reader_id,
            live=tuple(live),
            latest=tuple(latest),
            filters=filters,
            freeze=freeze,
            no_worker=self._store.no_worker(),
            coming=self._calendar.next_firings(now) if self._calendar else (),
            window=self._calendar.next_window(now) if self._calendar else None,
            watched=seen,
            titles=self._store.titles,
            runs=self._store.runs_of([*live, *latest]),
        )


def _row_of(request: Request, user_id: int) -> dict[str, Any]:
    """What a new job's row says."""
    waits = request.approvers is not None
    return {
        "user_id": user_id,
        "copy_name": request.spec.name,
        "source_table": str(request.spec.source_table),
        "target_table": str(request.spec.target_table),
        "liquidation_id": request.liquidation_id,
        "liquidation_label": clean_name(request.label or "") or None,
        "request_key": request.key,
        "channel_id": request.channel_id,
        "previewed_records": request.terms.in_prod,
        "previewed_target_records": request.terms.in_consulta,
        "previewed_deletes": request.terms.deleted,
        "removal_confirmed": request.terms.removal_confirmed,
        "fingerprint": request.fingerprint.as_json() if request.fingerprint else None,
        "schedule": request.schedule,
        "start_at": request.start_at,
        "run_after": func.now() if request.start_at is None else _put_off(request.start_at),
        "approval": Approval.WAITING if waits else None,
        "approval_until": func.now() + timedelta(seconds=request.approval_seconds) if waits else None,
        **(second_person(request.second_group_seconds) if waits else {}),
        "request_reason": kept_reason(request.reason),
    }


def _requested(connection: Connection, job_id: int, request: Request, user_id: int) -> None:
    """Its story begins."""
    reason = kept_reason(request.reason)
    event = Requested(request.approvers, reason, request.schedule, request.start_at)
    add_event(connection, job_id, 0, event, user_id)


def _place(request: Request) -> tuple[int, str]:
    """Where at most one live job may be."""
    return request.liquidation_id, str(request.spec.target_table)


def _put_off(start_at: datetime) -> ColumnElement[datetime]:
    """A worker of the release before knows no other moment, and takes one far ahead for over."""
    return func.least(literal(start_at), func.now() + PUT_OFF)


def is_taken(error: Exception) -> bool:
    """Whether another live job has this target table and liquidation, or had them a moment ago."""
    return (
        isinstance(error, IntegrityError)
        and isinstance(error.orig, psycopg.Error)
        and error.orig.diag.constraint_name == ONE_LIVE_JOB
    )


def ensure_user(connection: Connection, requester: Requester) -> int:
    """The user's id; name and locale are brought up to date."""
    statement = insert(User).values(
        slack_team_id=requester.team_id,
        slack_user_id=requester.user_id,
        name=clean_name(requester.name) or requester.user_id,
        locale=requester.locale,
    )
    statement = statement.on_conflict_do_update(
        index_elements=[User.slack_team_id, User.slack_user_id],
        set_={
            "name": statement.excluded.name,
            "locale": func.coalesce(statement.excluded.locale, User.locale),
            "updated_at": func.now(),
        },
    )
    return connection.execute(statement.returning(User.id)).scalar_one()


def active_freeze(connection: Connection) -> Freeze | None:
    """The freeze of this moment, somebody's before a window; None where there is none."""
    one = select(literal_column("1").label("one")).subquery()
    made = (CopyFreeze.reason, CopyFreeze.frozen_at, CopyFreeze.channel_id, CopyFreeze.until)
    person = (_freezer.slack_user_id, _freezer.slack_team_id, _freezer.name)
    row = connection.execute(
        select(*made, *person, _window().label("window"))
        .select_from(one)
        .outerjoin(CopyFreeze, frozen_by_hand())
        .outerjoin(_freezer, _freezer.id == CopyFreeze.frozen_by)
    ).one()
    if row.frozen_at is None:
        return _open_window(row.window)
    by = Person(row.slack_user_id, row.slack_team_id, clean_name(row.name))
    return Freeze(by, row.reason, row.frozen_at, row.channel_id, row.until)


def kept_reason(reason: str | None) -> str | None:
    """A reason as it is kept: one line, not long; None where nothing was said."""
    return " ".join(one_line(reason or "").split())[:REASON_LIMIT] or None


# The query of a `JobView`, and its rows.

_stopper = aliased(User, name="stopper")
_approver = aliased(User, name="approver")
_freezer = aliased(User, name="freezer")


def _person(user: User) -> Person:
    return Person(user.slack_user_id, user.slack_team_id, clean_name(user.name))


@cache  # putting it together takes longer than the database does
def view_query(*, all_live: bool = False) -> Select[Any]:
    """The columns of a `JobView`; the caller adds WHERE, ORDER BY and LIMIT over `CopyJob`.

    ``all_live`` where all live jobs are read.
    """
    ahead = jobs_ahead(all_live=all_live).label("ahead")
    told = [said.label(name) for name, said in _columns_of_events().items()]
    now = func.now().label("now")
    window = _window().label("window")
    seen = func.coalesce(Worker.ended_at, Worker.beat_at).label("seen")
    missing, missing_since = is_missing().label("missing"), last_seen().label("missing_since")
    return (
        select(CopyJob, CopyRun, User, _stopper, _approver, CopyFreeze, _freezer, ahead, now)
        .add_columns(seen, missing, missing_since, window, *told)
        .join(User, User.id == CopyJob.user_id)
        .outerjoin(CopyRun, CopyRun.id == CopyJob.run_id)
        .outerjoin(_stopper, _stopper.id == CopyJob.stopped_by)
        .outerjoin(_approver, _approver.id == CopyJob.approval_by)
        .outerjoin(CopyFreeze, frozen_by_hand())
        .outerjoin(_freezer, _freezer.id == CopyFreeze.frozen_by)
        .outerjoin(Worker, holds())
    )


def _columns_of_events() -> dict[str, ColumnElement[Any]]:
    """What a `JobView` has of the job's events: those that are there, and those that were pruned before."""
    kept = CopyJob.kept
    rejection = _detail(CopyJob.approval == Approval.REJECTED, CopyEvent.kind == Rejected.kind)
    asked = _detail(CopyJob.approval.is_not(None), CopyEvent.detail.has_key("approvers"))
    moved = _detail(CopyJob.channel_id.is_not(None), CopyEvent.kind == CardMoved.kind)
    none = literal_column("'[]'::jsonb", JSONB)
    return {
        "marks": func.coalesce(kept["marks"], none).op("||")(func.coalesce(_marks(), none)),
        "asked": func.coalesce(asked, kept["asked"]),
        "moved": func.coalesce(moved, kept["moved"]),
        "rejection": func.coalesce(rejection, kept["rejection"]),
    }


def kept_of_events() -> ColumnElement[Any]:
    """What the job's row has to keep of its events before they are deleted."""
    parts = [part for name, said in _columns_of_events().items() for part in (literal(name), said)]
    return func.jsonb_strip_nulls(func.jsonb_build_object(*parts))


def _window() -> ScalarSelect[Any]:
    """The window of the configuration that is open, as JSON: of several the one that ends last."""
    seconds = [func.extract("epoch", moment) for moment in (FreezeWindow.starts_at, FreezeWindow.ends_at)]
    found = func.jsonb_build_array(FreezeWindow.name, FreezeWindow.reason, *seconds)
    newest = select(found).where(window_is_open()).order_by(FreezeWindow.ends_at.desc(), FreezeWindow.id)
    return newest.limit(1).scalar_subquery()


def _freeze_of(row: Row[Any]) -> Freeze | None:
    """That of a row with the freeze that somebody made, who it was, and the open window."""
    made: CopyFreeze | None = row.CopyFreeze
    if made is None:
        return _open_window(row.window)
    return Freeze(_person(row.freezer), made.reason, made.frozen_at, made.channel_id, made.until)


def _open_window(window: list[Any] | None) -> Freeze | None:
    """The freeze of what `_window` gives."""
    if window is None:
        return None
    name, reason, *seconds = window
    since, until = (datetime.fromtimestamp(each, UTC) for each in seconds)
    return Freeze(None, reason, since, until=until, window=name)


def _marks() -> ScalarSelect[Any]:
    """When attempts of the job began and ended, and when it was let go on: (kind, seconds since 1970)."""
    mark = func.jsonb_build_array(CopyEvent.kind, func.extract("epoch", CopyEvent.created_at))
    kinds = (EventKind.CLAIMED, *SETS_GOING, *ENDS_ATTEMPT)
    return (
        select(func.jsonb_agg(aggregate_order_by(mark, CopyEvent.id)))
        .where(CopyEvent.job_id == CopyJob.id, CopyEvent.kind.in_(kinds))
        .correlate(CopyJob)
        .scalar_subquery()
    )


def _detail(condition: ColumnElement[bool], which: ColumnElement[bool]) -> ScalarSelect[Any]:
    """What the last such event of the job says; NULL without one, and where the condition doesn't hold."""
    found = select(CopyEvent.detail).where(CopyEvent.job_id == CopyJob.id, which, condition)
    return found.correlate(CopyJob).order_by(CopyEvent.id.desc()).limit(1).scalar_subquery()


def view_of(
    row: Row[Any],
    operators: tuple[str, ...] = (),
    titles: Mapping[str, str] | None = None,
    schema: str = SCHEMA,
) -> JobView:
    """The job of a row of `view_query`; ``operators`` and ``titles`` as of `JobRepository`."""
    job: CopyJob = row.CopyJob
    user: User = row.User
    card: CopyJob | CopyRun = row.CopyRun or job
    moved = row.CopyRun.moved if row.CopyRun else row.moved
    return JobView(
        id=job.id,
        copy_name=job.copy_name,
        source_table=job.source_table,
        target_table=job.target_table,
        liquidation_id=job.liquidation_id,
        label=clean_name(job.liquidation_label or "") or None,
        status=Status(job.status),
        phase=Phase(job.phase) if job.phase else None,
        attempt=job.attempt,
        failures=job.failures,
        ahead=row.ahead,
        total=job.total_records,
        copied=job.copied_records,
        verified=job.verified_records,
        inserted=job.inserted_records,
        updated=job.updated_records,
        deleted=job.deleted_records,
        unchanged=job.unchanged_records,
        moved=job.moved_records,
        bytes=job.copied_bytes,
        chunks_done=job.chunks_done,
        target_records=job.target_records,
        source_digest=job.source_digest,
        target_digest=job.target_digest,
        values_job=job.values_job_id,
        lag_mb=float(job.throttle.get("mb", 0)) if job.throttle else None,
        error=Failure.from_json(job.error, job.error_message or "") if job.error else None,
        error_message=job.error_message,
        requester_id=user.slack_user_id,
        requester_team=user.slack_team_id,
        requester_name=clean_name(user.name),
        requester_locale=user.locale,
        channel_id=card.channel_id,
        message_ts=card.message_ts,
        worker=job.worker,
        created_at=job.created_at,
        started_at=job.started_at,
        claimed_at=job.claimed_at,
        copying_since=job.copying_since,
        verifying_since=job.verifying_since,
        finished_at=job.finished_at,
        as_of=job.as_of,
        run_after=job.run_after,
        lease_until=job.lease_until,
        now=row.now,
        terms=AgreedCounts(
            job.previewed_records, job.previewed_target_records, job.removal_confirmed, job.previewed_deletes
        ),
        question=Question.from_json(job.question) if job.question else None,
        stop_requested=StopReason(job.stop_requested) if job.stop_requested else None,
        stopped_by=_person(row.stopper) if row.stopper else None,
        approval=Approval(job.approval) if job.approval else None,
        approval_until=job.approval_until,
        approval_at=job.approval_at,
        approval_by=_person(row.approver) if row.approver else None,
        second_group_at=job.second_group_at,
        request_reason=job.request_reason,
        approval_reason=job.approval_reason,
        rejection_reason=Rejected.from_json(row.rejection or {}).reason,
        approvers=Requested.from_json(row.asked or {}).approvers or (),
        freeze=_freeze_of(row),
        moved_from=CardMoved.from_json(moved).moved if moved else None,
        pinned=card.pinned,
        worker_seen_at=row.seen,
        no_worker=NoWorker(row.missing_since, operators) if row.missing else None,
        copy_title=(titles or {}).get(job.copy_name),
        working=working_of(row.marks or [], job.finished_at or row.now),
        schema=schema,
        schedule=job.schedule,
        start_at=job.start_at,
        run_id=job.run_id,
    )


def _spent(session: Session, attempts: Mapping[int, int]) -> dict[int, float]:
    """The seconds from the first chunk of each of these attempts of jobs to its last one, by the job."""
    if not attempts:
        return {}
    began = func.min(CopyChunk.created_at - func.make_interval(0, 0, 0, 0, 0, 0, CopyChunk.seconds))
    seconds = func.extract("epoch", func.max(CopyChunk.created_at) - began)
    own = tuple_(CopyChunk.job_id, CopyChunk.attempt).in_([*attempts.items()])
    found = session.execute(select(CopyChunk.job_id, seconds).where(own).group_by(CopyChunk.job_id))
    return {job_id: max(0.0, float(length)) for job_id, length in found}


def _run_of(
    row: Row[CopyRun, User, datetime],
    jobs: tuple[JobView, ...],
    *,
    schema: str,
    titles: Mapping[str, str],
    spent: Mapping[int, float],
) -> RunView:
    run: CopyRun = row.CopyRun
    return RunView(
        id=run.id,
        kind=RunKind(run.kind),
        set_name=run.set_name,
        set_title=titles.get(run.set_name or ""),
        liquidations=tuple(run.liquidations),
        jobs=jobs,
        round=run.round,
        requester=_person(row.User),
        channel_id=run.channel_id,
        message_ts=run.message_ts,
        created_at=run.created_at,
        ended_at=run.ended_at,
        now=row.now,
        pinned=run.pinned,
        moved_from=CardMoved.from_json(run.moved).moved if run.moved else None,
        spent={job.id: spent[job.id] for job in jobs if job.id in spent},
        schema=schema,
    )


def read_views(
    engine: Engine,
    statement: Select[*tuple[Any, ...]],
    operators: tuple[str, ...] = (),
    titles: Mapping[str, str] | None = None,
) -> list[JobView]:
    """The jobs of a statement that `view_query` began."""
    with Session(engine) as session:
        return [view_of(row, operators, titles, schema_of(engine)) for row in session.execute(statement)]


# What a job's whole story is made of.


def _happenings(connection: Connection, job_id: int) -> tuple[Happening, ...]:
    statement = (
        select(
            CopyEvent.kind,
            CopyEvent.created_at,
            CopyEvent.attempt,
            CopyEvent.detail,
            User.slack_user_id,
            User.slack_team_id,
            User.name,
        )
        .select_from(CopyEvent)
        .outerjoin(User, User.id == CopyEvent.user_id)
        .where(CopyEvent.job_id == job_id)
        .order_by(CopyEvent.id)
    )
    return tuple(
        Happening(
            event_of(row.kind, row.detail),
            row.created_at,
            row.attempt,
            Person(row.slack_user_id, row.slack_team_id, clean_name(row.name)) if row.slack_user_id else None,
        )
        for row in connection.execute(statement)
    )


def _slowest(connection: Connection, job_id: int) -> tuple[SlowChunk, ...]:
    last = select(func.max(CopyChunk.attempt)).where(CopyChunk.job_id == job_id).scalar_subquery()
    statement = (
        select(CopyChunk.number, CopyChunk.records, CopyChunk.seconds)
        .where(CopyChunk.job_id == job_id, CopyChunk.attempt == last)
        .order_by(CopyChunk.seconds.desc(), CopyChunk.number)
        .limit(SLOWEST)
    )
    return tuple(SlowChunk(*row) for row in connection.execute(statement))


# ----------------------------------------------------------------------------
# How fast an attempt was, over time: the ledger's lines as stretches of seconds, to be drawn.


class Throughput:
    """Reads the ledger of attempts that took at least ``chart_seconds`` to copy and compare."""

    def __init__(self, engine: Engine, *, chart_seconds: float) -> None:
        self._engine = engine
        self._least = timedelta(seconds=chart_seconds)

    def of(self, job: JobView) -> tuple[Stretch, ...]:
        """The chunks of the job's attempt, in the order of their ends; none of one that was too short."""
        began, ended = job.copying_since, job.finished_at
        if began is None or ended is None or ended - began < self._least:
            return ()
        seconds = func.extract("epoch", CopyChunk.created_at - began)
        statement = (
            select(seconds, CopyChunk.seconds, CopyChunk.records)
            .where(CopyChunk.job_id == job.id, CopyChunk.attempt == job.attempt)
            .order_by(CopyChunk.created_at)
        )
        with self._engine.connect() as connection:
            found = [(float(end), length, rows) for end, length, rows in connection.execute(statement)]
        return tuple(Stretch(max(0.0, end - length), max(0.0, end), rows) for end, length, rows in found)

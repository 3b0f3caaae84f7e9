"""Jobs as they are asked for and looked at. What happens to them afterwards is in `lifecycle`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bot.errors import AlreadyRunning, Frozen
from bot.jobs.models import ONE_LIVE_JOB, CopyChunk, CopyEvent, CopyJob, User
from bot.jobs.outbox import Kind, announce
from bot.jobs.reading import view_of, view_query
from bot.jobs.snapshot import JobView, NoWorker
from bot.jobs.statuses import LIVE, Approval, Status
from bot.jobs.terms import NOTHING_SHOWN, AgreedCounts
from bot.jobs.wishes import active_freeze
from bot.jobs.workers import Workers
from copier import CopySpec, Fingerprint


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
    ``approval_seconds``.
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


class JobRepository:
    """Creates and reads jobs. ``operators`` are whom its snapshots name where nobody works."""

    def __init__(self, engine: Engine, operators: tuple[str, ...] = ()) -> None:
        self._engine = engine
        self._operators = operators

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

    def by_key(self, key: str) -> JobView | None:
        return self._first(CopyJob.request_key == key)

    def snapshot(self, job_id: int) -> JobView | None:
        return self._first(CopyJob.id == job_id)

    def live_job(self, target_table: str, liquidation_id: int) -> JobView | None:
        return self._first(
            CopyJob.target_table == target_table,
            CopyJob.liquidation_id == liquidation_id,
            CopyJob.status.in_(LIVE),
        )

    def live(self) -> list[JobView]:
        """What runs, waits or is paused, oldest first."""
        return self._all(view_query().where(CopyJob.status.in_(LIVE)).order_by(CopyJob.id))

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

    def note(self, job_id: int, attempt: int, kind: str, **detail: object) -> None:
        """Adds an event to the job's history; nothing else changes."""
        with self._engine.begin() as connection:
            connection.execute(
                insert(CopyEvent).values(job_id=job_id, attempt=attempt, kind=kind, detail=detail)
            )

    def _insert(self, connection: Connection, request: Request) -> int:
        user_id = ensure_user(connection, request.requester)
        waits = request.approvers is not None
        job_id = connection.execute(
            insert(CopyJob)
            .values(
                user_id=user_id,
                copy_name=request.spec.name,
                source_table=str(request.spec.source_table),
                target_table=str(request.spec.target_table),
                liquidation_id=request.liquidation_id,
                liquidation_label=request.label,
                request_key=request.key,
                channel_id=request.channel_id,
                previewed_records=request.terms.in_prod,
                previewed_target_records=request.terms.in_consulta,
                removal_confirmed=request.terms.removal_confirmed,
                fingerprint=request.fingerprint.as_json() if request.fingerprint else None,
                approval=Approval.WAITING if waits else None,
                approval_until=func.now() + timedelta(seconds=request.approval_seconds) if waits else None,
                status=Status.PENDING,
            )
            .returning(CopyJob.id)
        ).scalar_one()
        connection.execute(
            insert(CopyEvent).values(
                job_id=job_id,
                attempt=0,
                user_id=user_id,
                kind="requested",
                detail={"approvers": list(request.approvers)} if request.approvers is not None else {},
            )
        )
        if request.channel_id:
            announce(connection, job_id, 0, Kind.CARD)
        sys.audit("traspaso.requested", job_id)
        return job_id

    def _first(self, *conditions: object) -> JobView | None:
        rows = self._all(view_query().where(*conditions).order_by(CopyJob.id.desc()).limit(1))  # type: ignore[arg-type]
        return rows[0] if rows else None

    def _all(self, statement: object) -> list[JobView]:
        with Session(self._engine) as session:
            return [view_of(row, self._operators) for row in session.execute(statement)]  # type: ignore[call-overload]


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
        name=requester.name,
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

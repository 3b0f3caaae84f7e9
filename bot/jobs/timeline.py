"""What happened to a job, in order, and its slowest chunks: read once, frozen, to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from bot.jobs.models import CopyChunk, CopyEvent, User
from bot.jobs.snapshot import Person

#: So many chunks are shown.
SLOWEST = 5


@dataclass(frozen=True, slots=True)
class Happening:
    """One event. ``detail`` holds names of things and seconds, never a value of a row."""

    kind: str
    at: datetime
    attempt: int
    person: Person | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SlowChunk:
    """A line of the ledger, without its keys. ``seconds`` from its begin to its commit."""

    number: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """All events of a job, oldest first, and the slowest chunks of its last attempt, slowest first."""

    happenings: tuple[Happening, ...]
    slowest: tuple[SlowChunk, ...]


class Timelines:
    """Reads them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, job_id: int) -> Timeline:
        """Empty where there is no such job."""
        with self._engine.connect() as connection:
            return Timeline(_happenings(connection, job_id), _slowest(connection, job_id))


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
        .outerjoin(User, User.id == CopyEvent.user_id)
        .where(CopyEvent.job_id == job_id)
        .order_by(CopyEvent.id)
    )
    return tuple(
        Happening(
            row.kind,
            row.created_at,
            row.attempt,
            Person(row.slack_user_id, row.slack_team_id, row.name) if row.slack_user_id else None,
            row.detail,
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

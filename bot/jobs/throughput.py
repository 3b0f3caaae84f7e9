"""How fast an attempt was, over time: the ledger's lines as stretches of seconds, to be drawn."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from bot.jobs.models import CopyChunk, CopyJob


@dataclass(frozen=True, slots=True)
class Stretch:
    """One chunk: its rows, and when it was worked on, in seconds since its attempt began to copy.

    Chunks of several lanes overlap.
    """

    began: float
    ended: float
    rows: int


class Throughput:
    """Reads the ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, job_id: int) -> tuple[Stretch, ...]:
        """The chunks of the job's present attempt, in the order of their ends; none before the first."""
        ended = func.extract("epoch", CopyChunk.created_at - CopyJob.copying_since)
        statement = (
            select(ended, CopyChunk.seconds, CopyChunk.records)
            .join(CopyJob, CopyJob.id == CopyChunk.job_id)
            .where(CopyJob.id == job_id, CopyChunk.attempt == CopyJob.attempt)
            .order_by(CopyChunk.created_at)
        )
        with self._engine.connect() as connection:
            found = [(float(end), seconds, rows) for end, seconds, rows in connection.execute(statement)]
        return tuple(Stretch(max(0.0, end - seconds), max(0.0, end), rows) for end, seconds, rows in found)

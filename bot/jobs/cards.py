"""Where a job's card is: posted, deleted by somebody, or moved to a direct message."""

from __future__ import annotations

from sqlalchemy import Engine, func, update
from sqlalchemy.dialects.postgresql import insert

from bot.jobs.approvals import expire
from bot.jobs.models import CopyEvent, CopyJob
from bot.jobs.outbox import Kind, tell
from bot.jobs.snapshot import JobSnapshot


class Cards:
    """Writes it down. Nothing of it needs the job's attempt: the card stays the same from one to the next."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def posted(self, job_id: int, channel_id: str, message_ts: str) -> None:
        """Where the card is now."""
        with self._engine.begin() as connection:
            connection.execute(
                update(CopyJob)
                .where(CopyJob.id == job_id)
                .values(channel_id=channel_id, message_ts=message_ts)
            )

    def gone(self, job_id: int, message_ts: str) -> None:
        """Somebody deleted this card: whoever of several notices it first has it posted anew, once."""
        with self._engine.begin() as connection:
            noticed = connection.execute(
                update(CopyJob)
                .where(CopyJob.id == job_id, CopyJob.message_ts == message_ts)
                .values(message_ts=None)
            )
            if noticed.rowcount:
                tell(connection, Kind.CARD, CopyJob.id == job_id)

    def moved(self, job: JobSnapshot, channel_id: str, reason: str) -> None:
        """The card has to be posted in this direct message, because Slack takes nothing more for its channel.

        Nobody but the requester could approve it there: a job that waits for that ends.
        """
        with self._engine.begin() as connection:
            moved = connection.execute(
                update(CopyJob)
                .where(CopyJob.id == job.id, CopyJob.channel_id == job.channel_id)
                .values(channel_id=channel_id, message_ts=None, updated_at=func.now())
            )
            if not moved.rowcount:
                return
            detail = {"channel": job.channel_id, "reason": reason}
            connection.execute(
                insert(CopyEvent).values(job_id=job.id, attempt=job.attempt, kind="card_moved", detail=detail)
            )
            expire(connection, CopyJob.id == job.id)

"""Where a job's card is, and which edits of it are under way.

An edit is written down before it is sent. One that gets no answer, because Slack took too long or because the
process was killed, leaves an open message in the outbox: whoever delivers brings the card to the newest state
once more, as Slack may still apply the lost edit over a later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import Engine, ScalarSelect, and_, bindparam, case, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from bot.jobs.events import CardMoved
from bot.jobs.models import CopyJob, OutboxMessage
from bot.jobs.outbox import ONE_EACH, POSTING, REFRESHES, Kind, announce, leave
from bot.jobs.status import LIVE
from bot.jobs.transition import add_event, expire
from bot.jobs.view import JobView, Moved


@dataclass(frozen=True, slots=True)
class Edit:
    """A progress edit under way: the line of the outbox that waits for its end, and how much was announced of
    the job by then.
    """

    message_id: int
    version: int
    job_id: int
    announced: int


def _announced() -> ScalarSelect[int]:
    """How much was announced of the job with the parameter's number: it grows with each announcement."""
    line = aliased(OutboxMessage)
    much = func.coalesce(func.sum(line.version + 1), 0)
    return select(much).where(line.job_id == bindparam("job"), line.kind.in_(POSTING)).scalar_subquery()


@cache
def _begin() -> Any:
    """Of the card whose job and ts are the parameters ``job`` and ``ts``."""
    first = func.now() + timedelta(seconds=REFRESHES[0])
    chosen = select(CopyJob.id, CopyJob.attempt, literal(Kind.REFRESH.value), first).where(
        CopyJob.id == bindparam("job"), CopyJob.message_ts == bindparam("ts"), CopyJob.status.in_(LIVE)
    )
    line = insert(OutboxMessage).from_select(["job_id", "attempt", "kind", "next_try_at"], chosen)
    return line.on_conflict_do_update(
        index_elements=ONE_EACH,
        set_={
            "version": OutboxMessage.version + 1,
            "begun": OutboxMessage.done_at.is_(None),
            "done_at": None,
            "announced_at": func.clock_timestamp(),
            "next_try_at": line.excluded.next_try_at,
        },
    ).returning(OutboxMessage.id, OutboxMessage.version, _announced().label("announced"))


@cache
def _answered() -> Any:
    """Of the line and version that are the parameters ``line`` and ``seen``."""
    nothing_new = _announced() == bindparam("announced")
    same = OutboxMessage.version == bindparam("seen")
    over = and_(nothing_new, same, ~OutboxMessage.begun)
    return (
        update(OutboxMessage)
        .where(OutboxMessage.id == bindparam("line"), or_(same, ~nothing_new))
        .values(
            done_at=case((over, func.now())),
            next_try_at=case((nothing_new, OutboxMessage.next_try_at), else_=func.now()),
        )
    )


#: So often a deleted card is posted anew in one attempt.
COMES_BACK = 4


class Cards:
    """Where the card is, and its edits under way. Nothing of it needs the job's attempt: the card stays the
    same from one to the next.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def posted(self, job_id: int, channel_id: str, message_ts: str) -> None:
        """Where the card is now."""
        with self._engine.begin() as connection:
            connection.execute(
                update(CopyJob)
                .where(CopyJob.id == job_id)
                .values(channel_id=channel_id, message_ts=message_ts, pinned=None)
            )

    def pinned(self, job: JobView, pinned: bool) -> None:
        """Slack has pinned the card, or never will."""
        with self._engine.begin() as connection:
            connection.execute(
                update(CopyJob)
                .where(CopyJob.id == job.id, CopyJob.message_ts == job.message_ts)
                .values(pinned=pinned)
            )

    def edit_begins(self, job: JobView) -> Edit | None:
        """Writes down that the card is about to be edited to show progress.

        None where there is nothing to show any more: the job has ended, or its card is elsewhere. What is
        sent then has to be read from the row anew, so that it isn't older than what was announced.
        """
        with self._engine.begin() as connection:
            row = connection.execute(_begin(), {"job": job.id, "ts": job.message_ts}).one_or_none()
        return Edit(row.id, row.version, job.id, int(row.announced)) if row else None

    def edit_answered(self, edit: Edit) -> None:
        """Slack has taken the edit, or refused it.

        What was announced of the job meanwhile may lie under it: then the card is brought to the newest state
        at once.
        """
        values = {
            "line": edit.message_id,
            "seen": edit.version,
            "announced": edit.announced,
            "job": edit.job_id,
        }
        with self._engine.begin() as connection:
            connection.execute(_answered(), values)

    def gone(self, job_id: int, message_ts: str) -> None:
        """Somebody deleted this card: whoever of several notices it first has it posted anew, once.

        Where Slack goes on saying so, or somebody insists, the next card is the final one.
        """
        often = exists().where(
            OutboxMessage.job_id == job_id,
            OutboxMessage.attempt == CopyJob.attempt,
            OutboxMessage.kind == Kind.CARD,
            OutboxMessage.version >= COMES_BACK,
        )
        with self._engine.begin() as connection:
            noticed = connection.execute(
                update(CopyJob)
                .where(CopyJob.id == job_id, CopyJob.message_ts == message_ts)
                .values(message_ts=None)
            )
            if noticed.rowcount:
                announce(connection, Kind.CARD, CopyJob.id == job_id, ~often)

    def moved(self, job: JobView, channel_id: str, reason: str) -> None:
        """The card has to be posted in this direct message, because Slack takes nothing more for its channel.

        Nobody but the requester could approve it there: a job that waits for that ends.
        """
        with self._engine.begin() as connection:
            moved = connection.execute(
                update(CopyJob)
                .where(CopyJob.id == job.id, CopyJob.channel_id == job.channel_id)
                .values(channel_id=channel_id, message_ts=None, pinned=None, updated_at=func.now())
            )
            if not moved.rowcount:
                return
            if job.channel_id is not None:
                add_event(connection, job.id, job.attempt, CardMoved(Moved(job.channel_id, reason)))
                if job.message_ts is not None:
                    leave(connection, job.id, job.attempt, job.channel_id, job.message_ts)
            expire(connection, CopyJob.id == job.id)

"""Where a job's card is, and which edits of it are under way.

An edit is written down before it is sent. One that gets no answer, because Slack took too long or because the
process was killed, leaves an open message in the outbox: whoever delivers brings the card to the newest state
once more, as Slack may still apply the lost edit over a later one.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, exists, func, text, update

from bot.jobs.events import CardMoved
from bot.jobs.models import CopyJob, OutboxMessage
from bot.jobs.outbox import POSTING, REFRESHES, Kind, announce, leave
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


#: How much was announced of a job: it grows with each announcement.
_ANNOUNCED = """
    SELECT coalesce(sum(version + 1), 0) FROM traspaso.outbox
     WHERE job_id = :job AND kind = ANY(CAST(:kinds AS text[]))
"""

_BEGIN = text(f"""
    INSERT INTO traspaso.outbox AS line (job_id, attempt, kind, next_try_at)
    SELECT id, attempt, 'refresh', now() + make_interval(secs => :first)
      FROM traspaso.copy_jobs
     WHERE id = :job AND message_ts = :ts AND status = ANY(CAST(:live AS text[]))
        ON CONFLICT (job_id, kind, attempt) DO UPDATE
       SET version = line.version + 1, begun = line.done_at IS NULL, done_at = NULL,
           announced_at = clock_timestamp(), next_try_at = EXCLUDED.next_try_at
    RETURNING id, version, ({_ANNOUNCED}) AS announced
""")  # noqa: S608 - nothing of it comes from outside

_ANSWERED = text(f"""
    UPDATE traspaso.outbox
       SET done_at = CASE WHEN seen.nothing_new AND version = :version AND NOT begun THEN now() END,
           next_try_at = CASE WHEN seen.nothing_new THEN next_try_at ELSE now() END
      FROM (SELECT ({_ANNOUNCED}) = :announced AS nothing_new) AS seen
     WHERE id = :id AND (version = :version OR NOT seen.nothing_new)
""")  # noqa: S608


#: So often a deleted card is posted anew in one attempt.
COMES_BACK = 4

_POSTING = [kind.value for kind in POSTING]


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
        values = {
            "job": job.id,
            "ts": job.message_ts,
            "live": [status.value for status in LIVE],
            "first": REFRESHES[0],
            "kinds": _POSTING,
        }
        with self._engine.begin() as connection:
            row = connection.execute(_BEGIN, values).one_or_none()
        return Edit(row.id, row.version, job.id, int(row.announced)) if row else None

    def edit_answered(self, edit: Edit) -> None:
        """Slack has taken the edit, or refused it.

        What was announced of the job meanwhile may lie under it: then the card is brought to the newest state
        at once.
        """
        values = {
            "id": edit.message_id,
            "version": edit.version,
            "announced": edit.announced,
            "job": edit.job_id,
            "kinds": _POSTING,
        }
        with self._engine.begin() as connection:
            connection.execute(_ANSWERED, values)

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

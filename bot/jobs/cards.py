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

from sqlalchemy import (
    ColumnElement,
    Engine,
    ScalarSelect,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from bot.jobs.events import CardMoved
from bot.jobs.models import LIVE, CopyJob, CopyRun, OutboxMessage
from bot.jobs.outbox import (
    POSTING,
    REFRESHES,
    MessageKind,
    about_what,
    announce,
    announce_run,
    leave,
    line_of,
    one_each,
)
from bot.jobs.status import add_event, expire, waiting_for_yes
from bot.jobs.view import JobView, Moved, RunView

#: What has a card.
Carded = JobView | RunView


@dataclass(frozen=True, slots=True)
class Edit:
    """A progress edit under way: the line of the outbox that waits for its end, and how much was announced of
    the job, or of the run, by then.
    """

    message_id: int
    version: int
    about_id: int
    of_run: bool
    announced: int


def _row(*, of_run: bool) -> Any:
    """The table with the card's place."""
    return CopyRun if of_run else CopyJob


def _is_about(line: Any, about: Any, *, of_run: bool) -> ColumnElement[bool]:
    """A condition on a line of the outbox."""
    found: ColumnElement[bool] = (line.run_id if of_run else line.job_id) == about
    return found


def _announced(*, of_run: bool) -> ScalarSelect[int]:
    """How much was announced of the job, or the run, with the parameter's number: it grows with each
    announcement.
    """
    line = aliased(OutboxMessage)
    much = func.coalesce(func.sum(line.version + 1), 0)
    same = _is_about(line, bindparam("about"), of_run=of_run)
    return select(much).where(same, about_what(line).in_(POSTING)).scalar_subquery()


@cache
def _begin(*, of_run: bool) -> Any:
    """Of the card whose job, or run, and ts are the parameters ``about`` and ``ts``."""
    row = _row(of_run=of_run)
    first = func.now() + timedelta(seconds=REFRESHES[0])
    is_live = CopyRun.ended_at.is_(None) if of_run else CopyJob.status.in_(LIVE)
    names = line_of(MessageKind.REFRESH, 0, job_id=0, run_id=0 if of_run else None)
    attempt, kind = CopyRun.round if of_run else CopyJob.attempt, literal(names["kind"])
    chosen = select(row.id, attempt, kind, first).where(
        row.id == bindparam("about"), row.message_ts == bindparam("ts"), is_live
    )
    line = insert(OutboxMessage).from_select([*names, "next_try_at"], chosen)
    return line.on_conflict_do_update(
        **one_each(of_run=of_run),
        set_={
            "version": OutboxMessage.version + 1,
            "begun": OutboxMessage.done_at.is_(None),
            "done_at": None,
            "announced_at": func.clock_timestamp(),
            "next_try_at": line.excluded.next_try_at,
        },
    ).returning(OutboxMessage.id, OutboxMessage.version, _announced(of_run=of_run).label("announced"))


@cache
def _answered(*, of_run: bool) -> Any:
    """Of the line and version that are the parameters ``line`` and ``seen``."""
    nothing_new = _announced(of_run=of_run) == bindparam("announced")
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
    """Where the card of a job or a run is, and its edits under way. Nothing of it needs the job's attempt:
    the card stays the same from one to the next.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def posted(self, about_id: int, channel_id: str, message_ts: str, *, of_run: bool = False) -> None:
        """Where the card of the job, or of the run, of this number is now."""
        row = _row(of_run=of_run)
        with self._engine.begin() as connection:
            connection.execute(
                update(row)
                .where(row.id == about_id)
                .values(channel_id=channel_id, message_ts=message_ts, pinned=None)
            )

    def pinned(self, about: Carded, pinned: bool) -> None:
        """Slack has pinned the card, or never will."""
        row = _row(of_run=isinstance(about, RunView))
        with self._engine.begin() as connection:
            connection.execute(
                update(row)
                .where(row.id == about.id, row.message_ts == about.message_ts)
                .values(pinned=pinned)
            )

    def edit_begins(self, about: Carded) -> Edit | None:
        """Writes down that the card is about to be edited to show progress.

        None where there is nothing to show any more: the job has ended, or its card is elsewhere. What is
        sent then has to be read from the row anew, so that it isn't older than what was announced.
        """
        of_run = isinstance(about, RunView)
        with self._engine.begin() as connection:
            begun = _begin(of_run=of_run)
            row = connection.execute(begun, {"about": about.id, "ts": about.message_ts}).one_or_none()
        return Edit(row.id, row.version, about.id, of_run, int(row.announced)) if row else None

    def edit_answered(self, edit: Edit) -> None:
        """Slack has taken the edit, or refused it.

        What was announced of the job meanwhile may lie under it: then the card is brought to the newest state
        at once.
        """
        values = {
            "line": edit.message_id,
            "seen": edit.version,
            "announced": edit.announced,
            "about": edit.about_id,
        }
        with self._engine.begin() as connection:
            connection.execute(_answered(of_run=edit.of_run), values)

    def gone(self, about: Carded, message_ts: str) -> None:
        """Somebody deleted this card: whoever of several notices it first has it posted anew, once.

        Where Slack goes on saying so, or somebody insists, the next card is the final one.
        """
        of_run = isinstance(about, RunView)
        row = _row(of_run=of_run)
        often = exists().where(
            _is_about(OutboxMessage, about.id, of_run=of_run),
            OutboxMessage.attempt == about.attempt,
            about_what() == MessageKind.CARD,
            OutboxMessage.version >= COMES_BACK,
        )
        with self._engine.begin() as connection:
            noticed = connection.execute(
                update(row).where(row.id == about.id, row.message_ts == message_ts).values(message_ts=None)
            )
            if not noticed.rowcount or connection.scalar(select(often)):
                return
            if of_run:
                announce_run(connection, MessageKind.CARD, about.id)
            else:
                announce(connection, MessageKind.CARD, CopyJob.id == about.id)

    def moved(self, about: Carded, channel_id: str, reason: str) -> None:
        """The card has to be posted in this direct message, because Slack takes nothing more for its channel.

        Nobody but the requester could approve it there: a job that waits for that ends.
        """
        of_run = isinstance(about, RunView)
        row = _row(of_run=of_run)
        values: dict[str, Any] = {"channel_id": channel_id, "message_ts": None, "pinned": None}
        moved = Moved(about.channel_id, reason) if about.channel_id is not None else None
        with self._engine.begin() as connection:
            its_jobs = CopyJob.run_id == about.id if of_run else CopyJob.id == about.id
            if of_run:
                values["moved"] = CardMoved(moved).as_json() if moved else None
                lock = (
                    select(CopyJob.id).where(its_jobs).order_by(CopyJob.id)
                )  # before the run, as everywhere
                connection.execute(lock.with_for_update(key_share=True))
            found = connection.execute(
                update(row)
                .where(row.id == about.id, row.channel_id == about.channel_id)
                .values(updated_at=func.now(), **values)
            )
            if not found.rowcount:
                return
            if moved is not None:
                if isinstance(about, JobView):
                    add_event(connection, about.id, about.attempt, CardMoved(moved))
                if about.message_ts is not None:
                    line = line_of(
                        MessageKind.LEFT,
                        about.attempt,
                        job_id=None if of_run else about.id,
                        run_id=about.id if of_run else None,
                    )
                    leave(connection, line, moved.channel, about.message_ts)
            expire(connection, waiting_for_yes(its_jobs))

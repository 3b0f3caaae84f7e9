"""Messages owed to a channel that belong to no job: written in the transaction of the fact, delivered when
Slack can.

Each is about one thing, and is owed once. One relay at a time has it in hand; whoever takes up one whose
post got no answer looks for it before it posts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert

from bot.jobs.models import ChannelNotice, has_come

#: How long a notice is in the hands of one relay: longer than its calls of Slack may take together.
CLAIM = timedelta(seconds=60)


class NoticeKind(StrEnum):
    """What a notice is about; its subject is the row of that thing."""

    FIRING = "firing"  # what became of a due time of a schedule
    FREEZE_OVER = "freeze_over"  # a freeze has ended by itself
    DRIFT = "drift"  # a round of the watch has found that prod has moved on


@dataclass(frozen=True, slots=True)
class Notice:
    """One that this relay has claimed. ``tries`` is its fencing token; ``user_id`` gets it in the place
    of a channel that takes nothing.
    """

    id: int
    kind: str
    subject_id: int
    channel_id: str
    user_id: str | None
    tries: int
    look_first: bool
    created_at: datetime
    seconds: float


def owe(
    connection: Connection, kind: NoticeKind, subject_id: int, channel_id: str, user_id: str | None = None
) -> None:
    """Adds the notice in the caller's transaction, once for each subject."""
    statement = insert(ChannelNotice).values(
        kind=kind, subject_id=subject_id, channel_id=channel_id, user_id=user_id
    )
    connection.execute(statement.on_conflict_do_nothing())


class Notices:
    """The relays' view of the table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self) -> Notice | None:
        """Claims one that is due; of a kind that this release knows."""
        with self._engine.begin() as connection:
            row = connection.execute(_claim()).one_or_none()
        if row is None:
            return None
        return Notice(
            row.id,
            row.kind,
            row.subject_id,
            row.channel_id,
            row.user_id,
            row.tries,
            row.look_first,
            row.created_at,
            float(row.seconds),
        )

    def hold(self, notice: Notice) -> None:
        """Raises ClaimLost where another one has it by now; else keeps it for the next call."""
        self._own(notice, **ChannelNotice.held(CLAIM))

    def done(self, notice: Notice, note: str | None = None) -> None:
        """Delivered, or given up (then ``note`` says why)."""
        self._own(notice, done_at=func.now(), claimed_until=None, last_error=note)

    def later(self, notice: Notice, seconds: float, error: str, *, unsure: bool) -> None:
        """Tried again in so many seconds. ``unsure``: nobody knows whether the post arrived."""
        self._own(
            notice,
            next_try_at=func.now() + timedelta(seconds=seconds),
            claimed_until=None,
            begun=unsure or notice.look_first,
            last_error=error,
        )

    def elsewhere(self, notice: Notice, channel_id: str, error: str) -> None:
        """The channel takes it no more: it is owed to this one, at once."""
        self._own(
            notice,
            channel_id=channel_id,
            user_id=None,
            next_try_at=func.now(),
            claimed_until=None,
            begun=False,
            last_error=error,
        )

    def _own(self, notice: Notice, **values: Any) -> None:
        with self._engine.begin() as connection:
            ChannelNotice.write(connection, notice, **values)


@cache
def _claim() -> Any:
    due = (
        select(ChannelNotice.id, ChannelNotice.begun)
        .where(
            ChannelNotice.done_at.is_(None),
            ChannelNotice.kind.in_([*NoticeKind]),
            has_come(ChannelNotice.next_try_at),
            ChannelNotice.is_free(),
        )
        .order_by(ChannelNotice.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(ChannelNotice)
        .where(ChannelNotice.id == due.c.id)
        .values(begun=True, **ChannelNotice.taken(CLAIM))
        .returning(
            ChannelNotice,
            due.c.begun.label("look_first"),
            func.extract("epoch", func.now() - ChannelNotice.created_at).label("seconds"),
        )
    )

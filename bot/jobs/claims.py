"""Rows that one process at a time works on: messages, notices, firings, and rounds of the watch.

Whoever takes a row counts its ``tries`` up, which is the fencing token, and has it up to ``claimed_until``.
Each later step of it is conditional on that token: a process that was away for too long changes nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, func, or_, update

from bot.jobs.models import ChannelNotice, OutboxMessage, ScheduleFiring, WatchRound, has_come

Claimable = type[OutboxMessage] | type[ChannelNotice] | type[ScheduleFiring] | type[WatchRound]


class ClaimLost(Exception):
    """Another process has taken the row: this one has nothing more to do with it."""


class ClaimedRow(Protocol):
    """A row in the hands of this process; ``tries`` is its fencing token."""

    @property
    def id(self) -> int: ...

    @property
    def tries(self) -> int: ...


def is_free(table: Claimable) -> ColumnElement[bool]:
    """A condition: nobody has the row in hand, or for longer than its claim lasts."""
    return or_(table.claimed_until.is_(None), has_come(table.claimed_until))


def taken(table: Claimable, claim: timedelta) -> dict[str, Any]:
    """What changes in a row that is taken for so long."""
    return {"tries": table.tries + 1, **held(claim)}


def held(claim: timedelta) -> dict[str, Any]:
    """What changes in a row that its process keeps for so long from now on."""
    return {"claimed_until": func.clock_timestamp() + claim}


def write(
    connection: Connection, table: Claimable, row: ClaimedRow, *conditions: ColumnElement[bool], **values: Any
) -> None:
    """Changes a row that this process has taken.

    Raises:
        ClaimLost: another one has it by now, or one of the conditions isn't so any more.
    """
    mine = update(table).where(table.id == row.id, table.tries == row.tries, *conditions)
    if connection.execute(mine.values(**values)).rowcount != 1:
        raise ClaimLost

"""The freeze: while it lasts, no job is created, none is claimed, and running ones stop at a chunk's end."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert

from bot.jobs.models import CopyFreeze, CopyJob
from bot.jobs.outbox import Kind, tell
from bot.jobs.snapshot import Freeze
from bot.jobs.statuses import LIVE, Status
from bot.jobs.store import Requester, ensure_user
from bot.jobs.waiting import waits_for_somebody
from bot.jobs.wishes import active_freeze

#: The longest reason that is kept, in characters.
REASON_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Lifted:
    """The freeze that is over, and the ids of the jobs that wait for a worker now."""

    freeze: Freeze
    waiting: list[int]


class Freezes:
    """At most one freeze is active: the database forbids a second one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def active(self) -> Freeze | None:
        """The freeze of this moment; None where there is none."""
        with self._engine.connect() as connection:
            return active_freeze(connection)

    def freeze(self, requester: Requester, reason: str | None) -> tuple[Freeze, bool]:
        """The active freeze, and whether it is this one: somebody else's stays as it is.

        The card of every live job is to say so.
        """
        words = " ".join((reason or "").replace("\x00", " ").split())[:REASON_LIMIT]
        with self._engine.begin() as connection:
            statement = insert(CopyFreeze).values(
                reason=words or None, frozen_by=ensure_user(connection, requester)
            )
            statement = statement.on_conflict_do_nothing()
            is_new = connection.execute(statement.returning(CopyFreeze.id)).first() is not None
            if is_new:
                tell(connection, Kind.UPDATE, CopyJob.status.in_(LIVE))
            found = active_freeze(connection)
        if found is None:  # lifted between the two statements: what was asked for is still to be done
            return self.freeze(requester, reason)
        return found, is_new

    def lift(self, requester: Requester) -> Lifted | None:
        """Ends the freeze; None where nothing was frozen. What waits is to be put on the queue."""
        with self._engine.begin() as connection:
            freeze = active_freeze(connection)
            lifted = connection.execute(
                update(CopyFreeze)
                .where(CopyFreeze.lifted_at.is_(None))
                .values(lifted_by=ensure_user(connection, requester), lifted_at=func.now())
            )
            if freeze is None or lifted.rowcount != 1:
                return None
            # Messages of the queue may have been taken, and laid aside, while nothing could be claimed.
            connection.execute(
                update(CopyJob).where(CopyJob.status == Status.PENDING).values(enqueued_at=None)
            )
            due = select(CopyJob.id).where(
                CopyJob.status == Status.PENDING, ~waits_for_somebody(), CopyJob.run_after <= func.now()
            )
            waiting = list(connection.scalars(due.order_by(CopyJob.id)))
            tell(connection, Kind.UPDATE, CopyJob.status.in_(LIVE))
        return Lifted(freeze, waiting)

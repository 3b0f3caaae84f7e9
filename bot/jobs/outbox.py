"""What Slack still has to be told. Written in the transaction of the fact, delivered when Slack can.

Messages of one job are delivered in order, each by one courier at a time. A message whose delivery
was begun before may have arrived: whoever takes it up again looks before it posts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    case,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from bot.jobs.models import CopyJob, OutboxMessage

#: How long a courier may take for one message before another one takes it up.
CLAIM = timedelta(seconds=90)


class Kind(StrEnum):
    """What is to be told."""

    CARD = "card"  # post the card and pin it
    UPDATE = "update"  # somebody did something to the job: the card says so, at once
    QUESTION = "question"  # the job asks again: the card, and a threaded reply to whoever has to answer
    ENDING = "ending"  # the final card, unpinned, and the threaded reply
    CHART = "chart"  # after a long copy, its rows per second as a picture in the thread


@dataclass(frozen=True, slots=True)
class Due:
    """A message that this courier has claimed. ``tries`` counts the deliveries begun before."""

    id: int
    job_id: int
    attempt: int
    kind: Kind
    tries: int


def announce(connection: Connection, job_id: int, attempt: int, kind: Kind) -> None:
    """Adds the message within the caller's transaction.

    A job's attempt has one of each kind: where it was told before, it is to be told again.
    """
    _announce(connection, select(literal(job_id), literal(attempt), literal(kind.value)))


def tell(connection: Connection, kind: Kind, *jobs: ColumnElement[bool]) -> None:
    """The same for all jobs that fit these conditions and have a channel to tell it in."""
    chosen = select(CopyJob.id, CopyJob.attempt, literal(kind.value)).where(*jobs)
    _announce(connection, chosen.where(CopyJob.channel_id.is_not(None)).order_by(CopyJob.id))


def _announce(connection: Connection, chosen: Select[int, int, str]) -> None:
    """A courier that has the message in hand keeps it; the next one delivers what is new since."""
    statement = insert(OutboxMessage).from_select(["job_id", "attempt", "kind"], chosen)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[OutboxMessage.job_id, OutboxMessage.kind, OutboxMessage.attempt],
            set_={"done_at": None, "next_try_at": func.now(), "tries": OutboxMessage.tries + 1},
        )
    )


class Outbox:
    """The couriers' view of the table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self) -> Due | None:
        """Claims the oldest due message that is the first undelivered one of its job."""
        other = aliased(OutboxMessage)
        first = ~(
            select(other.id)
            .where(
                other.job_id == OutboxMessage.job_id,
                # An earlier one may be announced again while a later one is in somebody's hands.
                or_(other.id < OutboxMessage.id, other.claimed_until > func.now()),
                other.done_at.is_(None),
                other.kind != Kind.CHART,  # nothing waits for a picture
            )
            .exists()
        )
        chosen = (
            select(OutboxMessage.id)
            .where(
                OutboxMessage.done_at.is_(None),
                OutboxMessage.next_try_at <= func.now(),
                or_(OutboxMessage.claimed_until.is_(None), OutboxMessage.claimed_until < func.now()),
                first,
            )
            .order_by(OutboxMessage.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        statement = (
            update(OutboxMessage)
            .where(OutboxMessage.id == chosen)
            .values(tries=OutboxMessage.tries + 1, claimed_until=func.now() + CLAIM)
            .returning(
                OutboxMessage.id,
                OutboxMessage.job_id,
                OutboxMessage.attempt,
                OutboxMessage.kind,
                OutboxMessage.tries - 1,
            )
        )
        with self._engine.begin() as connection:
            row = connection.execute(statement).one_or_none()
        return Due(row[0], row[1], row[2], Kind(row[3]), row[4]) if row else None

    def done(self, due: Due, *, note: str | None = None) -> None:
        """Delivered, or never deliverable (then ``note`` says why).

        What was announced again in the meantime stays to be told.
        """
        unchanged = OutboxMessage.tries == due.tries + 1
        self._set(due, done_at=case((unchanged, func.now())), claimed_until=None, last_error=note)

    def add(self, job_id: int, attempt: int, kind: Kind) -> None:
        """A message that follows from another one's delivery."""
        with self._engine.begin() as connection:
            announce(connection, job_id, attempt, kind)

    def later(self, due: Due, seconds: float, error: str) -> None:
        """To be tried again."""
        self._set(
            due,
            next_try_at=func.now() + timedelta(seconds=seconds),
            claimed_until=None,
            last_error=error,
        )

    def _set(self, due: Due, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(OutboxMessage).where(OutboxMessage.id == due.id).values(**values))

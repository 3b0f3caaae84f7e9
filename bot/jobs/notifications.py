"""What is told elsewhere than in Slack: by e-mail, to a webhook, to whatever a destination is.

It goes through the outbox. `tell` writes one row in the transaction of the fact, and knows no configuration.
`Notifications.spread` gives it out: one row for each destination, in one transaction. From then on each of
these is claimed, tried and settled by itself, and Slack's messages never wait for it. A delivery that was
begun and whose outcome nobody knows is made again: told at least once, and once unless a process dies between
the server's yes and its own commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    Connection,
    Engine,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    extract,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.sql.dml import ReturningInsert

from bot.config import Occasion
from bot.jobs.events import NotTold
from bot.jobs.models import LONGEST, CopyEvent, CopyJob, OutboxMessage, User, has_come
from bot.jobs.outbox import ClaimLost
from bot.jobs.status import Status, Step

#: How long a delivery is in one process's hands. Longer than one may take
#: (`bot.notify.destinations`).
CLAIM = timedelta(seconds=60)
#: So many rows are given out at once.
AT_ONCE = 100
#: What a step of a job is an occasion for.
OF_STEPS = {
    Status.COMPLETED: Occasion.COMPLETED,
    Status.FAILED: Occasion.FAILED,
    Status.CANCELLED: Occasion.CANCELLED,
}


def tell(
    connection: Connection,
    occasion: Occasion,
    job_id: int | None = None,
    attempt: int = 0,
    *,
    key: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Everybody who is to be told of this occasion will be, once. In the caller's transaction.

    A job's attempt has each occasion once. What concerns no job is told once for each ``key``, such as the
    name of a schedule and its due time. ``detail`` are names and numbers for the words of
    `bot.messages.notification`, never the value of a row: ``copy`` (its name), ``liquidation_id``, or
    ``liquidations`` and how many ``more``, ``schedule``, ``due_at`` and ``since`` (moments in ISO 8601).
    """
    kind = _kind(occasion, key)
    told = insert(OutboxMessage).values(
        job_id=job_id, attempt=attempt, kind=kind, occasion=occasion, detail=dict(detail or {})
    )
    connection.execute(told.on_conflict_do_nothing())


def told_of_step(moved: CTE, step: Step) -> ReturningInsert[Any] | None:
    """The same where a step ends a job, as a part of the statement whose ``moved`` has the job's row; other
    steps are no occasion.
    """
    if (occasion := OF_STEPS.get(step.to)) is None:
        return None
    told = select(
        moved.c.id,
        moved.c.attempt,
        literal(_kind(occasion)),
        cast(occasion.value, Text),
        literal({}, JSONB),
    )
    names = ["job_id", "attempt", "kind", "occasion", "detail"]
    owed = insert(OutboxMessage).from_select(names, told)
    return owed.on_conflict_do_nothing().returning(OutboxMessage.id)


def _kind(occasion: Occasion, key: str = "") -> str:
    return ":".join(part for part in ("notify", occasion, key) if part)


@dataclass(frozen=True, slots=True)
class Fact:
    """What there is to tell. ``copy_name`` is None where it concerns no copy, ``requester_team`` where it
    concerns no job.
    """

    occasion: Occasion
    copy_name: str | None = None
    requester_team: str | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery that this process has claimed. ``tries`` is its fencing token.

    ``key`` names it for the receiver too, the same in each try. ``failures`` in a row, for
    ``failing_seconds``. ``age_seconds`` since the fact, which was at ``at``.
    """

    id: int
    key: str
    occasion: Occasion
    destination: str
    job_id: int | None
    attempt: int
    tries: int
    failures: int
    failing_seconds: float
    at: datetime
    age_seconds: float
    detail: Mapping[str, Any] = field(default_factory=dict)


class Notifications:
    """The deliverers' view of what is told elsewhere."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def spread(self, destinations_of: Callable[[Fact], Sequence[str]]) -> list[str]:
        """Owes each new fact to its destinations; gives the names of those that have something new to tell.

        Safe in several processes at once: rows in another one's hands are skipped.
        """
        names: dict[str, None] = {}
        with self._engine.begin() as connection:
            for row in connection.execute(_new()).all():
                detail: dict[str, Any] = row.detail or {}
                fact = Fact(Occasion(row.occasion), row.copy_name or detail.get("copy"), row.slack_team_id)
                destinations = list(dict.fromkeys(destinations_of(fact)))
                for destination in destinations:
                    owed = insert(OutboxMessage).values(
                        job_id=row.job_id,
                        attempt=row.attempt,
                        kind=f"{row.kind}:{destination}",
                        occasion=row.occasion,
                        destination=destination,
                        detail=row.detail,
                        announced_at=row.announced_at,
                    )
                    connection.execute(owed.on_conflict_do_nothing())
                note = None if destinations else "no destination is told of it"
                connection.execute(
                    update(OutboxMessage)
                    .where(OutboxMessage.id == row.id)
                    .values(done_at=func.now(), last_error=note)
                )
                names |= dict.fromkeys(destinations)
        return list(names)

    def take(self, destination: str) -> Owed | None:
        """Claims the oldest delivery to that destination which is due; None where there is none."""
        with self._engine.begin() as connection:
            row = connection.execute(_claim(), {"to": destination}).one_or_none()
        if row is None:
            return None
        return Owed(
            id=row.id,
            key=row.kind if row.job_id is None else f"{row.kind}:{row.job_id}.{row.attempt}",
            occasion=Occasion(row.occasion),
            destination=row.destination,
            job_id=row.job_id,
            attempt=row.attempt,
            tries=row.tries,
            failures=row.failures,
            failing_seconds=float(row.failing_seconds or 0.0),
            at=row.announced_at,
            age_seconds=float(row.age_seconds),
            detail=row.detail or {},
        )

    def done(self, owed: Owed, *, note: str | None = None) -> None:
        """Delivered, or not to be delivered any more (then ``note`` says why).

        Where it had failed before, the destination is back: what waits for it is due at once.

        Raises:
            ClaimLost: another process has taken it.
        """
        with self._engine.begin() as connection:
            settled = {"done_at": func.now(), "begun": False, "claimed_until": None, "failing_since": None}
            self._own(connection, owed, **settled, last_error=note)
            if owed.failures and note is None:
                waiting = update(OutboxMessage).where(
                    OutboxMessage.destination == owed.destination,
                    OutboxMessage.occasion.is_not(None),
                    OutboxMessage.done_at.is_(None),
                    OutboxMessage.failures > 0,
                )
                connection.execute(waiting.values(next_try_at=func.now()))

    def wait(self, owed: Owed, seconds: float) -> None:
        """Its turn comes in so many seconds; nothing was tried.

        Raises:
            ClaimLost: another process has taken it.
        """
        with self._engine.begin() as connection:
            later = func.now() + timedelta(seconds=seconds)
            self._own(connection, owed, next_try_at=later, claimed_until=None, begun=False)

    def later(self, owed: Owed, seconds: float, error: str) -> None:
        """This try has failed: once more in so many seconds.

        Raises:
            ClaimLost: another process has taken it.
        """
        pause = min(timedelta(seconds=seconds), LONGEST / 2)
        with self._engine.begin() as connection:
            self._own(
                connection,
                owed,
                next_try_at=func.now() + pause,
                claimed_until=None,
                failures=OutboxMessage.failures + 1,
                failing_since=func.coalesce(OutboxMessage.failing_since, func.now()),
                last_error=error,
            )

    def give_up(self, owed: Owed, error: str) -> None:
        """It has failed for too long: the job's history says that the destination was not told.

        Raises:
            ClaimLost: another process has taken it.
        """
        with self._engine.begin() as connection:
            self._own(
                connection, owed, done_at=func.now(), claimed_until=None, last_error=f"given up: {error}"
            )
            if owed.job_id is not None:
                event = NotTold(owed.destination, owed.occasion, error)
                connection.execute(
                    insert(CopyEvent).values(
                        job_id=owed.job_id, attempt=owed.attempt, kind=event.kind, detail=event.as_json()
                    )
                )

    @staticmethod
    def _own(connection: Connection, owed: Owed, **values: Any) -> None:
        mine = update(OutboxMessage).where(OutboxMessage.id == owed.id, OutboxMessage.tries == owed.tries)
        if connection.execute(mine.values(**values)).rowcount != 1:
            raise ClaimLost


@cache
def _new() -> Select[Any]:
    """Facts that aren't given out yet."""
    return (
        select(
            OutboxMessage.id,
            OutboxMessage.kind,
            OutboxMessage.job_id,
            OutboxMessage.attempt,
            OutboxMessage.occasion,
            OutboxMessage.detail,
            OutboxMessage.announced_at,
            CopyJob.copy_name,
            User.slack_team_id,
        )
        .outerjoin(CopyJob, CopyJob.id == OutboxMessage.job_id)
        .outerjoin(User, User.id == CopyJob.user_id)
        .where(
            OutboxMessage.occasion.in_(list(Occasion)),
            OutboxMessage.destination.is_(None),
            OutboxMessage.done_at.is_(None),
        )
        .order_by(OutboxMessage.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, of=OutboxMessage)
    )


@cache
def _claim() -> Any:
    """Of the destination whose name is the parameter ``to``."""
    due = (
        select(OutboxMessage.id)
        .where(
            and_(OutboxMessage.destination == bindparam("to"), OutboxMessage.occasion.in_(list(Occasion))),
            OutboxMessage.done_at.is_(None),
            has_come(OutboxMessage.next_try_at),
            func.coalesce(has_come(OutboxMessage.claimed_until), True),
        )
        .order_by(OutboxMessage.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(OutboxMessage)
        .where(OutboxMessage.id == due)
        .values(tries=OutboxMessage.tries + 1, begun=True, claimed_until=func.clock_timestamp() + CLAIM)
        .returning(
            OutboxMessage,
            extract("epoch", func.now() - OutboxMessage.failing_since).label("failing_seconds"),
            case(
                (OutboxMessage.announced_at > func.now(), 0.0),
                else_=extract("epoch", func.now() - OutboxMessage.announced_at),
            ).label("age_seconds"),
        )
    )

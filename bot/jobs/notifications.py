"""What is told elsewhere than in Slack: by e-mail, to a webhook, to whatever a destination is.

It goes through the outbox. `notify` writes one row in the transaction of the fact, and knows no
configuration. `Notifications.spread` gives it out: one row for each destination, in one transaction. From
then on each of these is claimed, tried and settled by itself, and Slack's messages never wait for it. A
delivery that was begun and whose outcome nobody knows is made again: told at least once, and once unless a
process dies between the server's yes and its own commit.

A job of a run tells nothing by itself: what happens to it is told of its run, once for all of its jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
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
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.sql.dml import ReturningInsert

from bot.config import Occasion
from bot.jobs.events import NotTold
from bot.jobs.models import (
    LONGEST,
    Approval,
    CopyEvent,
    CopyJob,
    CopyRun,
    OutboxMessage,
    Status,
    User,
    has_come,
)
from bot.jobs.outbox import RUN_PREFIX
from bot.jobs.view import NotificationDetail

#: How long a delivery is in one process's hands. Longer than one may take
#: (`bot.notify.destinations`).
CLAIM = timedelta(seconds=60)
#: Of what a job or a run says by itself.
NO_DETAIL = NotificationDetail()
#: So many rows are given out at once.
AT_ONCE = 100
#: What a step of a job is an occasion for.
OF_STEPS = {
    Status.COMPLETED: Occasion.COMPLETED,
    Status.FAILED: Occasion.FAILED,
    Status.CANCELLED: Occasion.CANCELLED,
}
#: How occasions stand in the outbox. Those of a run have a mark: the release before knows no runs, and leaves
#: them alone.
WRITTEN = [*(each.value for each in Occasion), *(f"{RUN_PREFIX}{each}" for each in Occasion)]


def notify(
    connection: Connection,
    occasion: Occasion,
    job_id: int | None = None,
    attempt: int = 0,
    *,
    key: str = "",
    detail: NotificationDetail = NO_DETAIL,
) -> None:
    """Everybody who is to be told of this occasion will be, once. In the caller's transaction.

    A job's attempt has each occasion once. What concerns no job is told once for each ``key``, such as the
    name of a schedule and its due time. ``detail`` is for the words of `bot.messages.notification`.
    """
    kind = _kind(occasion, key)
    told = insert(OutboxMessage).values(
        job_id=job_id, attempt=attempt, kind=kind, occasion=occasion, detail=detail.as_json()
    )
    connection.execute(told.on_conflict_do_nothing())


def notification_of_step(moved: CTE, to: Status) -> ReturningInsert[Any] | None:
    """The same where a step ends a job, as a part of the statement whose ``moved`` has the job's row; other
    steps are no occasion. One of a run is told with the run's end: `notify_of_end_of_run`.
    """
    if (occasion := OF_STEPS.get(to)) is None:
        return None
    told = select(
        moved.c.id,
        moved.c.attempt,
        literal(_kind(occasion)),
        cast(occasion.value, Text),
        literal({}, JSONB),
    ).where(moved.c.run_id.is_(None))
    names = ["job_id", "attempt", "kind", "occasion", "detail"]
    owed = insert(OutboxMessage).from_select(names, told)
    return owed.on_conflict_do_nothing().returning(OutboxMessage.id)


def notify_of_waiting(connection: Connection, job_id: int, attempt: int = 0) -> None:
    """A job begins to wait for somebody's approval; of a run it is told where nothing else of it waits.

    The caller's transaction writes that it waits after this.
    """
    run_id = connection.scalar(select(CopyJob.run_id).where(CopyJob.id == job_id))
    if run_id is None:
        notify(connection, Occasion.APPROVAL, job_id, attempt)
        return
    # Of two that begin to wait at the same moment the second one sees the first.
    connection.execute(select(CopyRun.id).where(CopyRun.id == run_id).with_for_update(key_share=True))
    waits = select(CopyJob.id).where(
        CopyJob.run_id == run_id,
        CopyJob.id != job_id,
        CopyJob.status == Status.PENDING,
        CopyJob.approval == Approval.WAITING,
    )
    if connection.scalar(waits.limit(1)) is None:
        notify_of_run(connection, Occasion.APPROVAL, run_id, key=f"{job_id}.{attempt}")


def notify_of_run(connection: Connection, occasion: Occasion, run_id: int, *, key: str = "") -> None:
    """Everybody who is to be told of this occasion of a run will be: once in each of its rounds and for each
    ``key``. In the caller's transaction.
    """
    _notify_of_run(connection, run_id, literal(occasion.value), key)


def notify_of_end_of_run(connection: Connection, run_id: int) -> None:
    """The same of a run whose last live job has ended, as `result_of` says."""
    _notify_of_run(connection, run_id, result_of(run_id))


def result_of(run_id: int) -> ColumnElement[str]:
    """How a run has ended: failed where one of its jobs failed, else cancelled where one of them was, else
    completed. The occasion has the name of the status.
    """

    def has(status: Status) -> ColumnElement[bool]:
        return select(CopyJob.id).where(CopyJob.run_id == run_id, CopyJob.status == status).exists()

    worst = ((has(status), OF_STEPS[status].value) for status in (Status.FAILED, Status.CANCELLED))
    return case(*worst, else_=Occasion.COMPLETED.value)


def _notify_of_run(connection: Connection, run_id: int, occasion: ColumnElement[str], key: str = "") -> None:
    told = select(
        CopyRun.id,
        CopyRun.round,
        func.concat(f"{RUN_PREFIX}notify:", occasion, f":{key}" if key else ""),
        func.concat(RUN_PREFIX, occasion),
        literal({}, JSONB),
    ).where(CopyRun.id == run_id)
    names = ["run_id", "attempt", "kind", "occasion", "detail"]
    owed = insert(OutboxMessage).from_select(names, told)
    connection.execute(owed.on_conflict_do_nothing())


def _kind(occasion: Occasion, key: str = "") -> str:
    return ":".join(part for part in ("notify", occasion, key) if part)


@dataclass(frozen=True, slots=True)
class Fact:
    """What there is to tell, and of which copies, or of which set of them: none where it concerns none.
    ``requester_team`` is None where it concerns no job.
    """

    occasion: Occasion
    copy_names: tuple[str, ...] = ()
    set_name: str | None = None
    requester_team: str | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery that this process has claimed: about a job, about a run, or about neither.

    ``tries`` is its fencing token. ``attempt`` is the job's, or the run's round. ``key`` names it for the
    receiver too, the same in each try. ``failures`` in a row, for ``failing_seconds``. ``age_seconds`` since
    the fact, which was at ``at``.
    """

    id: int
    key: str
    occasion: Occasion
    destination: str
    job_id: int | None
    run_id: int | None
    attempt: int
    tries: int
    failures: int
    failing_seconds: float
    at: datetime
    age_seconds: float
    detail: NotificationDetail = NO_DETAIL

    @property
    def named(self) -> str:
        """For the log."""
        return f"{self.destination}: {self.key}"


class Notifications:
    """The relays' view of what is told elsewhere."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def spread(self, destinations_of: Callable[[Fact], Sequence[str]]) -> list[str]:
        """Owes each new fact to its destinations; gives the names of those that have something new to tell.

        Safe in several processes at once: rows in another one's hands are skipped.
        """
        names: dict[str, None] = {}
        with self._engine.begin() as connection:
            for row in connection.execute(_new()).all():
                detail = NotificationDetail.from_json(row.detail or {})
                named = [*row.copy_names, *filter(None, [detail.copy])]
                fact = Fact(_read(row.occasion), tuple(named), detail.set_name, row.slack_team_id)
                destinations = list(dict.fromkeys(destinations_of(fact)))
                for destination in destinations:
                    owed = insert(OutboxMessage).values(
                        job_id=row.job_id,
                        run_id=row.run_id,
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
            key=_key(row),
            occasion=_read(row.occasion),
            destination=row.destination,
            job_id=row.job_id,
            run_id=row.run_id,
            attempt=row.attempt,
            tries=row.tries,
            failures=row.failures,
            failing_seconds=float(row.failing_seconds or 0.0),
            at=row.announced_at,
            age_seconds=float(row.age_seconds),
            detail=NotificationDetail.from_json(row.detail or {}),
        )

    def done(self, owed: Owed, *, note: str | None = None) -> None:
        """Delivered, or not to be delivered any more (then ``note`` says why).

        Where it had failed before, the destination is back: what waits for it is due at once.

        Raises:
            ClaimLost: another process has taken it.
        """
        with self._engine.begin() as connection:
            settled = {"done_at": func.now(), "begun": False, "claimed_until": None, "failing_since": None}
            OutboxMessage.write(connection, owed, **settled, last_error=note)
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
            OutboxMessage.write(connection, owed, next_try_at=later, claimed_until=None, begun=False)

    def later(self, owed: Owed, seconds: float, error: str) -> None:
        """This try has failed: once more in so many seconds.

        Raises:
            ClaimLost: another process has taken it.
        """
        pause = min(timedelta(seconds=seconds), LONGEST / 2)
        with self._engine.begin() as connection:
            OutboxMessage.write(
                connection,
                owed,
                next_try_at=func.now() + pause,
                claimed_until=None,
                failures=OutboxMessage.failures + 1,
                failing_since=func.coalesce(OutboxMessage.failing_since, func.now()),
                last_error=error,
            )

    def give_up(self, owed: Owed, error: str) -> None:
        """It has failed for too long: the job's history, or that of each job of the run, says that the
        destination was not told.

        Raises:
            ClaimLost: another process has taken it.
        """
        with self._engine.begin() as connection:
            OutboxMessage.write(
                connection, owed, done_at=func.now(), claimed_until=None, last_error=f"given up: {error}"
            )
            event = NotTold(owed.destination, owed.occasion, error)
            kind, said = literal(event.kind, Text), literal(event.as_json(), JSONB)
            if owed.run_id is None:
                about = select(CopyJob.id, literal(owed.attempt), kind, said).where(CopyJob.id == owed.job_id)
            else:
                about = select(CopyJob.id, CopyJob.attempt, kind, said).where(CopyJob.run_id == owed.run_id)
            names = ["job_id", "attempt", "kind", "detail"]
            connection.execute(insert(CopyEvent).from_select(names, about.order_by(CopyJob.id)))


def _read(occasion: str) -> Occasion:
    return Occasion(occasion.removeprefix(RUN_PREFIX))


def _key(row: Any) -> str:
    """What names the delivery for the receiver."""
    about = row.job_id if row.run_id is None else row.run_id
    return str(row.kind) if about is None else f"{row.kind}:{about}.{row.attempt}"


@cache
def _new() -> Select[Any]:
    """Facts that aren't given out yet, each with the copies of its job, or of the jobs of its run."""
    its_jobs = or_(CopyJob.id == OutboxMessage.job_id, CopyJob.run_id == OutboxMessage.run_id)
    copies = select(CopyJob.copy_name).where(its_jobs).distinct().correlate(OutboxMessage)
    asked = select(CopyJob.user_id).where(its_jobs).limit(1).correlate(OutboxMessage).scalar_subquery()
    return (
        select(
            OutboxMessage.id,
            OutboxMessage.kind,
            OutboxMessage.job_id,
            OutboxMessage.run_id,
            OutboxMessage.attempt,
            OutboxMessage.occasion,
            OutboxMessage.detail,
            OutboxMessage.announced_at,
            func.array(copies.scalar_subquery()).label("copy_names"),
            User.slack_team_id,
        )
        .select_from(OutboxMessage)
        .outerjoin(User, User.id == asked)
        .where(
            OutboxMessage.occasion.in_(WRITTEN),
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
            and_(OutboxMessage.destination == bindparam("to"), OutboxMessage.occasion.in_(WRITTEN)),
            OutboxMessage.done_at.is_(None),
            has_come(OutboxMessage.next_try_at),
            OutboxMessage.is_free(),
        )
        .order_by(OutboxMessage.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(OutboxMessage)
        .where(OutboxMessage.id == due)
        .values(begun=True, **OutboxMessage.taken(CLAIM))
        .returning(
            OutboxMessage,
            extract("epoch", func.now() - OutboxMessage.failing_since).label("failing_seconds"),
            case(
                (OutboxMessage.announced_at > func.now(), 0.0),
                else_=extract("epoch", func.now() - OutboxMessage.announced_at),
            ).label("age_seconds"),
        )
    )

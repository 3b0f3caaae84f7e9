"""The sweep: the jobs that nobody holds. They were lost with their worker, wait without a place on the queue
or longer than any message takes, or for an approval that didn't come in time.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Engine,
    Float,
    Integer,
    Interval,
    Numeric,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    or_,
    select,
    update,
)

from bot.jobs.attempt import broken_attempts
from bot.jobs.events import EventKind, Failed, SecondGroupAsked, WorkerLost
from bot.jobs.failure import Failure
from bot.jobs.models import (
    LONGEST,
    CopyEvent,
    CopyJob,
    Status,
    StopReason,
    StopRequest,
    has_come,
    is_frozen,
    may_begin,
    set_is_held_up,
    waits_for_approval,
    waits_for_somebody,
)
from bot.jobs.outbox import MessageKind, announce, announcement_once
from bot.jobs.status import Step, add_event, end_runs, expire, stop_job, transition, waiting_for_yes
from bot.jobs.workers import UnbrokenBeats, is_lost

#: So long before the end of the time for an approval it is reminded of once more.
LAST_REMINDER = timedelta(hours=1)
#: So far ahead `Sweep` keeps the due time of a job that is for later: a longer one counts as over.
PUT_OFF = LONGEST - timedelta(minutes=1)
#: Of so many jobs that never were on the queue one sweep puts the ids there.
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Swept:
    """Ids of jobs taken from lost workers, of jobs that never were on the queue, of jobs given up, of those
    that nobody has approved in time, and of those that a worker with room should take without the queue.
    """

    lost: list[int]
    to_enqueue: list[int]
    given_up: list[int]
    not_approved: list[int] = field(default_factory=list)
    overdue: list[int] = field(default_factory=list)


class Sweep:
    """Safe to run in every worker at once: the rows are locked, and locked rows are skipped."""

    def __init__(
        self,
        engine: Engine,
        *,
        overdue_seconds: float,
        max_attempts: int,
        second_groups: Mapping[str, str] | None = None,
    ) -> None:
        """``second_groups`` names, as messages show it, who is asked too after a while, by a copy's name."""
        self._engine = engine
        self._second_groups = second_groups or {}
        self._overdue_after = timedelta(seconds=overdue_seconds)
        self._max_attempts = max_attempts

    def run(self, own: UnbrokenBeats | None = None, room: int = 0) -> Swept:
        """``own`` are the beats of the process that sweeps, without which the silence of others doesn't
        count; ``room`` is for how many more jobs it has room.
        """
        with self._engine.begin() as connection:
            given_up = self._give_up(connection, own)
            sys.audit("traspaso.sweep")
            lost = self._take_back(connection, own)
            sys.audit("traspaso.sweep_taken", *lost)
            not_approved = expire(connection, _approval_is_late())
            end_runs(connection)
            self._remind(connection)
            self._put_off(connection)
            waiting, overdue = list(connection.scalars(_waiting())), self._overdue(connection, room)
            return Swept(lost, waiting, given_up, not_approved, overdue)

    def _give_up(self, connection: Connection, own: UnbrokenBeats | None) -> list[int]:
        """A job that was lost with its worker time and again may be what kills the workers."""
        failure = Failure("workers_lost", f"{self._max_attempts} attempts were lost with their workers")
        too_often = _lost(silence_counts=own is not None, too_often=True)
        jobs = connection.execute(too_often, {"attempts": self._max_attempts, **_moments(own)}).all()
        for job in jobs:
            transition(
                connection,
                job.id,
                Step.GIVE_UP,
                event=Failed(failure),
                notify=MessageKind.ENDING,
                error=failure.as_json(),
                error_message=failure.sentence,
            )
        return [job.id for job in jobs]

    def _take_back(self, connection: Connection, own: UnbrokenBeats | None) -> list[int]:
        """Pending again, or paused or cancelled where somebody had asked the lost worker for that."""
        jobs = connection.execute(_lost(silence_counts=own is not None), _moments(own)).all()
        for job in jobs:
            silent = func.round(cast(func.extract("epoch", func.now() - CopyJob.updated_at), Numeric))
            values: dict[str, Any] = {
                "run_after": func.now(),
                "throttle": None,
                "error": func.jsonb_build_object("code", "worker_lost", "seconds", silent),
            }
            event = WorkerLost(job.worker)
            if job.stop_requested:
                add_event(connection, job.id, job.attempt, event)
                request = StopRequest(StopReason(job.stop_requested), job.stopped_by)
                stop_job(connection, job.id, request, ends_attempt=True, **values)
            else:
                transition(
                    connection,
                    job.id,
                    Step.TAKE_BACK,
                    event=event,
                    notify=MessageKind.UPDATE,
                    enqueued_at=None,
                    **values,
                )
        return [job.id for job in jobs]

    def _remind(self, connection: Connection) -> None:
        """Those who may approve a job are told again that it waits, each time once."""
        connection.execute(_reminder())
        connection.execute(_last_reminder())
        for name, group in self._second_groups.items():
            for job_id in connection.scalars(_second_group_is_due(), {"of_copy": name}).all():
                self._ask_second_group(connection, job_id, group)

    @staticmethod
    def _ask_second_group(connection: Connection, job_id: int, group: str) -> None:
        asked = select(CopyEvent.detail["approvers"]).where(
            CopyEvent.job_id == job_id, CopyEvent.detail.has_key("approvers")
        )
        known = connection.execute(asked.order_by(CopyEvent.id.desc()).limit(1)).scalar_one_or_none() or []
        attempt = connection.execute(select(CopyJob.attempt).where(CopyJob.id == job_id)).scalar_one()
        approvers = tuple(dict.fromkeys([*map(str, known), group]))
        add_event(connection, job_id, attempt, SecondGroupAsked(group, approvers))
        announce(connection, MessageKind.UPDATE, CopyJob.id == job_id)

    @staticmethod
    def _put_off(connection: Connection) -> None:
        """What is for later isn't due for a worker of the release before either, which doesn't know that."""
        if jobs := list(connection.scalars(_due_before_its_start())):
            put_off = func.least(CopyJob.start_at, func.now() + PUT_OFF)
            connection.execute(update(CopyJob).where(CopyJob.id.in_(jobs)).values(run_after=put_off))

    def _overdue(self, connection: Connection, room: int) -> list[int]:
        """Due for longer than a message takes: it was lost, or waits behind another worker's copies.

        Nothing is written, because the claim decides who gets a job.
        """
        if room <= 0:
            return []
        return list(connection.scalars(_overdue(), {"after": self._overdue_after, "room": room}))


# The statements of a sweep. Each is built once: to build one takes longer than to send it.


@cache
def _lost(*, silence_counts: bool, too_often: bool = False) -> Select[*tuple[Any, ...]]:
    """Locks the running jobs whose lease is over or whose process is lost; see `is_lost`.

    With ``too_often`` only those that nobody stops and that this is the last of ``attempts`` for.
    """
    gone = or_(CopyJob.lease_until < func.now(), is_lost(silence_counts=silence_counts))
    lost = select(CopyJob.id, CopyJob.attempt, CopyJob.worker, CopyJob.stop_requested, CopyJob.stopped_by)
    lost = lost.where(CopyJob.status == Status.RUNNING, gone).order_by(CopyJob.id)
    if too_often:
        attempts = broken_attempts(EventKind.WORKER_LOST) + 1
        lost = lost.where(attempts >= bindparam("attempts", type_=Integer), CopyJob.stop_requested.is_(None))
    return lost.with_for_update(skip_locked=True, key_share=True)


def _moments(own: UnbrokenBeats | None) -> dict[str, datetime]:
    """The parameters of `is_lost`."""
    return {} if own is None else {"since": own.since, "last": own.last}


@cache
def _approval_is_late() -> Select[int]:
    return waiting_for_yes(CopyJob.approval_until < func.now())


def _half_of_approval_time() -> ColumnElement[datetime]:
    asked_at = func.coalesce(CopyJob.approval_asked_at, CopyJob.created_at)
    seconds = func.extract("epoch", CopyJob.approval_until - asked_at)
    return asked_at + func.make_interval(0, 0, 0, 0, 0, 0, cast(seconds / 2, Float))


@cache
def _reminder() -> CompoundSelect[int]:
    half, last = _half_of_approval_time(), CopyJob.approval_until - LAST_REMINDER
    early = or_(func.now() < last, last <= half)
    return announcement_once(MessageKind.REMINDER, waits_for_approval(), half <= func.now(), early)


@cache
def _last_reminder() -> CompoundSelect[int]:
    half, last = _half_of_approval_time(), CopyJob.approval_until - LAST_REMINDER
    return announcement_once(MessageKind.LAST_REMINDER, waits_for_approval(), half < last, last <= func.now())


@cache
def _second_group_is_due() -> CompoundSelect[int]:
    """Of the copy whose name is the parameter ``of_copy``."""
    of_copy = CopyJob.copy_name == bindparam("of_copy", type_=Text)
    due = and_(waits_for_approval(), of_copy, CopyJob.second_group_at <= func.now())
    return announcement_once(MessageKind.SECOND_GROUP, due)


@cache
def _due_before_its_start() -> Select[int]:
    return (
        select(CopyJob.id)
        .where(
            CopyJob.status == Status.PENDING,
            CopyJob.start_at > CopyJob.run_after,
            CopyJob.start_at > func.now(),
            CopyJob.run_after < func.now() + LONGEST / 2,
        )
        .order_by(CopyJob.id)
        .with_for_update(skip_locked=True, key_share=True)
    )


@cache
def _waiting() -> Select[int]:
    """Due, and never on the queue."""
    return (
        select(CopyJob.id)
        .where(*_due(), CopyJob.enqueued_at.is_(None))
        .order_by(CopyJob.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, key_share=True)
    )


@cache
def _overdue() -> Select[int]:
    """At most ``room`` that have been due for longer than the parameter ``after``."""
    since = func.greatest(CopyJob.run_after, CopyJob.enqueued_at) + bindparam("after", type_=Interval)
    late = select(CopyJob.id).where(*_due(), has_come(since))
    return late.order_by(CopyJob.id).limit(bindparam("room", type_=Integer))


def _due() -> list[ColumnElement[bool]]:
    return [
        CopyJob.status == Status.PENDING,
        ~waits_for_somebody(),
        may_begin(),
        has_come(CopyJob.run_after),
        ~set_is_held_up(),
        ~is_frozen(),
    ]

"""What people do to a job with a button or in the shell: pause, resume, cancel, retry, confirm.

Each is one transaction that holds the job's row, so that it is decided on what is true, and that leaves
an event with who did it. Doing it twice is doing it once. What can't be done any more changes nothing,
and the card is told anew, so that it shows why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from bot.errors import AlreadyRunning, UnknownJob
from bot.jobs.answered import accepted
from bot.jobs.models import CopyEvent, CopyJob, User
from bot.jobs.outbox import Kind, tell
from bot.jobs.snapshot import SHELL, JobView
from bot.jobs.statuses import Approval, Status, Wish
from bot.jobs.store import JobRepository, Requester, ensure_user, is_taken
from bot.jobs.terms import Question, RowCounts
from bot.jobs.wishes import settle

#: What an event says beside who and when.
Detail = Mapping[str, object]
NOTHING: Detail = {}


class Became(StrEnum):
    """What became of a press."""

    DONE = "done"  # at once
    ASKED = "asked"  # the worker does it at its chunk's end
    BEFORE = "before"  # it was so, or on its way, already
    NOT_YOURS = "not_yours"  # only its requester can say it
    STALE = "stale"  # the job asks about other numbers by now
    NOT_NOW = "not_now"  # the job's state has no place for it (any more)


@dataclass(frozen=True, slots=True)
class Effect:
    """What became of it, and the job as it is now. ``to_enqueue``: a worker may take it."""

    became: Became
    job: JobView
    to_enqueue: bool = False


class Control:
    """Every method raises UnknownJob where there is no such job."""

    def __init__(self, engine: Engine, store: JobRepository | None = None) -> None:
        self._engine = engine
        self._store = store or JobRepository(engine)

    def pause(self, job_id: int, requester: Requester) -> Effect:
        """A running job stops at its chunk's end and keeps what is in place; a waiting one at once."""

        def do(held: _Held) -> Became:
            if held.status is Status.RUNNING and held.wish is not Wish.CANCEL:
                return held.ask(Wish.PAUSE)
            if held.status is Status.PENDING and not held.waits_for_somebody:
                return held.settle(Wish.PAUSE)
            return Became.BEFORE if held.status is Status.PAUSED else Became.NOT_NOW

        return self._do(job_id, requester, do)

    def cancel(self, job_id: int, requester: Requester) -> Effect:
        """As `pause`, for good."""

        def do(held: _Held) -> Became:
            if held.status is Status.RUNNING:
                return held.ask(Wish.CANCEL)
            if held.status in {Status.PENDING, Status.PAUSED}:
                return held.settle(Wish.CANCEL)
            return Became.BEFORE if held.status is Status.CANCELLED else Became.NOT_NOW

        return self._do(job_id, requester, do)

    def resume(self, job_id: int, requester: Requester) -> Effect:
        """A paused job waits for a worker again; one that is about to pause doesn't."""

        def do(held: _Held) -> Became:
            if held.status is Status.RUNNING and held.wish is Wish.PAUSE:
                return held.set("resumed", stop_requested=None)
            if held.status is Status.PAUSED:
                return held.wait_again("resumed")
            going = held.status in {Status.PENDING, Status.RUNNING} and held.wish is None
            return Became.BEFORE if going else Became.NOT_NOW

        return self._do(job_id, requester, do)

    def retry(self, job_id: int, requester: Requester) -> Effect:
        """A failed job waits for a worker again, with all its tries before it; its card is pinned again.

        Raises:
            AlreadyRunning: another live job for this target table and liquidation exists.
        """

        def do(held: _Held) -> Became:
            if held.status is not Status.FAILED:
                again = held.status.is_live and held.retried_at > 0
                return Became.BEFORE if again else Became.NOT_NOW
            return held.wait_again(
                "retried",
                kind=Kind.CARD,
                finished_at=None,
                error_message=None,
                retried_at_attempt=CopyJob.attempt,
            )

        while True:
            try:
                return self._do(job_id, requester, do)
            except IntegrityError as refused:
                if not is_taken(refused):
                    raise
                failed = self._store.snapshot(job_id)
                if failed and (live := self._store.live_job(failed.target_table, failed.liquidation_id)):
                    raise AlreadyRunning(live.id) from None

    def confirm(self, job_id: int, requester: Requester, numbers: RowCounts | None) -> Effect:
        """Its requester agrees to the numbers that the job asks about: they are what was shown; it is due.

        In a shell whoever has the settings may say it, as they might copy anew.
        """

        def do(held: _Held) -> Became:
            if held.status is not Status.PENDING or held.approval == Approval.WAITING:
                return Became.BEFORE if held.status is Status.RUNNING else Became.NOT_NOW
            if held.question is None:
                return Became.BEFORE
            if requester.team_id != SHELL and held.requester_id != requester.user_id:
                return Became.NOT_YOURS
            if numbers is None or held.question.numbers != numbers:
                return Became.STALE
            return held.wait_again("confirmed", detail=asdict(numbers), **accepted())

        return self._do(job_id, requester, do)

    def _do(self, job_id: int, requester: Requester, do: Callable[[_Held], Became]) -> Effect:
        with self._held(job_id, requester) as held:
            became = do(held)
            if became not in {Became.DONE, Became.ASKED}:
                tell(held.connection, Kind.UPDATE, CopyJob.id == job_id, CopyJob.message_ts.is_not(None))
        job = self._store.snapshot(job_id)
        if job is None:
            raise UnknownJob(job_id)
        waits = became is Became.DONE and job.status is Status.PENDING and job.freeze is None
        return Effect(became, job, to_enqueue=waits)

    @contextmanager
    def _held(self, job_id: int, requester: Requester) -> Iterator[_Held]:
        statement = (
            select(CopyJob, User.slack_user_id)
            .join(User, User.id == CopyJob.user_id)
            .where(CopyJob.id == job_id)
            .with_for_update(of=CopyJob, key_share=True)
        )
        with self._engine.begin() as connection:
            user_id = ensure_user(connection, requester)  # before the job, as everywhere: no deadlock
            row = connection.execute(statement).one_or_none()
            if row is None:
                raise UnknownJob(job_id)
            yield _Held(connection, row, user_id)


class _Held:
    """A job's row that nobody else can change meanwhile, and what can be done to it."""

    def __init__(self, connection: Connection, row: Any, user_id: int) -> None:
        self.connection = connection
        self.status = Status(row.status)
        self.wish = Wish(row.stop_requested) if row.stop_requested else None
        self.approval: str | None = row.approval
        self.question = Question.from_json(row.question) if row.question else None
        self.requester_id: str = row.slack_user_id
        self.retried_at: int = row.retried_at_attempt
        self._id: int = row.id
        self._attempt: int = row.attempt
        self._user_id = user_id

    @property
    def waits_for_somebody(self) -> bool:
        return self.approval == Approval.WAITING or self.question is not None

    def ask(self, wish: Wish) -> Became:
        """The worker learns it with its next step."""
        if self.wish is wish:
            return Became.BEFORE
        self.set(f"{wish.value}_requested", stop_requested=wish, stopped_by=self._user_id)
        return Became.ASKED

    def settle(self, wish: Wish) -> Became:
        self._update(stopped_by=self._user_id)
        settle(self.connection, self._id, wish)
        return Became.DONE

    def wait_again(
        self, event: str, *, kind: Kind = Kind.UPDATE, detail: Detail = NOTHING, **values: object
    ) -> Became:
        """Pending and due, with nothing held against it."""
        return self.set(
            event,
            kind=kind,
            detail=detail,
            status=Status.PENDING,
            stop_requested=None,
            stopped_by=None,
            failures=0,
            error=None,
            run_after=func.now(),
            enqueued_at=None,
            **values,
        )

    def set(
        self, event: str, *, kind: Kind = Kind.UPDATE, detail: Detail = NOTHING, **values: object
    ) -> Became:
        self._update(**values)
        self.connection.execute(
            insert(CopyEvent).values(
                job_id=self._id, attempt=self._attempt, user_id=self._user_id, kind=event, detail=dict(detail)
            )
        )
        tell(self.connection, kind, CopyJob.id == self._id)
        return Became.DONE

    def _update(self, **values: object) -> None:
        self.connection.execute(
            update(CopyJob).where(CopyJob.id == self._id).values(updated_at=func.now(), **values)
        )

"""The tracking tables, in a schema of consulta.

The models call the schema ``traspaso``. Where an installation has another one, its engine says so
(`migrations.options`), and SQLAlchemy writes that name in its place: no statement here names a schema itself.

They live beside the copied rows so that a chunk and its record commit together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from copier.privileges import Tracking
from migrations import APPLIED, SCHEMA

# What columns hold. The states of a job and the steps between them are drawn in `bot.jobs.status`.


class Status(StrEnum):
    """What a job is, as ``copy_jobs.status`` holds it."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_live(self) -> bool:
        """Still going to write: at most one live job for a target table and liquidation."""
        return self in LIVE


class Phase(StrEnum):
    """What a running job is doing, as ``copy_jobs.phase`` holds it."""

    COUNTING = "counting"
    COPYING = "copying"
    VERIFYING = "verifying"


class Approval(StrEnum):
    """What the second person said, as ``copy_jobs.approval`` holds it; NULL where none is needed."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class RunKind(StrEnum):
    """Which jobs a run has, as ``copy_runs.kind`` holds it."""

    SEVERAL = "several"  # one copy, several liquidations
    SET = "set"  # the copies of a set, of one liquidation or of each of several


class FiringState(StrEnum):
    """What became of a due time of a schedule, as ``schedule_firings.state`` holds it."""

    DUE = "due"  # somebody works on it, or will
    DONE = "done"  # each liquidation has its copy, or a line that says why not
    MISSED = "missed"  # nobody was up
    REFUSED = "refused"  # its user may not run the copy
    FROZEN = "frozen"  # copies were frozen
    FAILED = "failed"  # what it needed couldn't be asked in time


class FreshnessState(StrEnum):
    """What consulta holds of a liquidation, as the view ``freshness`` says it."""

    COMPLETE = "complete"  # all rows of one moment of prod, proven
    MOVED_ON = "prod has moved on"  # the same, and prod holds something else by now
    BEING_COPIED = "being copied"  # a job has it in hand
    INCOMPLETE = "incomplete"  # the last job that wrote ended without a proof


LIVE = frozenset({Status.PENDING, Status.RUNNING, Status.PAUSED})


class StopReason(StrEnum):
    """Why a running copy is to stop at its next chunk's end. The weakest first: of two requests the stronger
    one counts.

    ``copy_jobs.stop_requested`` and ``stopped_by`` hold what somebody pressed. A worker reads them, and
    whether all copies are frozen, in the UPDATE of each step. The process that runs the copy can ask for a
    stop itself.
    """

    RELEASE = "release"  # the worker shuts down: another one goes on
    FREEZE = "freeze"  # nobody goes on until the freeze is lifted
    PAUSE = "pause"  # until somebody resumes it
    CANCEL = "cancel"  # for good


#: Those that ``copy_jobs.stop_requested`` holds.
PRESSED = (StopReason.PAUSE, StopReason.CANCEL)

_STRENGTH = {reason: strength for strength, reason in enumerate(StopReason)}


@dataclass(frozen=True, slots=True)
class StopRequest:
    """``by`` is the row of the user who pressed; None where a freeze or the process itself asks for it."""

    reason: StopReason
    by: int | None = None

    @property
    def is_own_cancel(self) -> bool:
        """Whoever runs the copy in the foreground ends it for good, whatever the row says."""
        return self.reason is StopReason.CANCEL and self.by is None

    def outranks(self, other: StopRequest) -> bool:
        return (_STRENGTH[self.reason], self.is_own_cancel) > (_STRENGTH[other.reason], other.is_own_cancel)


# The tables.


def _one_of(column: str, values: Iterable[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


#: The index by which a target table and liquidation have at most one live job, and its condition.
ONE_LIVE_JOB = "copy_jobs_one_live_job"
IS_LIVE = text(f"status IN ({', '.join(repr(s.value) for s in Status if s in LIVE)})")


class Base(DeclarativeBase):
    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
        },
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own attribute
        datetime: DateTime(timezone=True),
        str: Text(),
        int: BigInteger(),
    }


def tracking_tables(schema: str) -> Tracking:
    """The names of the tracking tables, and of Alembic's own, in this schema."""
    return Tracking(schema, (*(table.name for table in Base.metadata.sorted_tables), APPLIED))


class ClaimLost(Exception):
    """Another process has taken the row: this one has nothing more to do with it."""


class ClaimedRow(Protocol):
    """A row in the hands of this process; ``tries`` is its fencing token."""

    @property
    def id(self) -> int: ...

    @property
    def tries(self) -> int: ...


class Claimable:
    """A table each of whose rows one process at a time works on.

    Whoever takes a row counts its ``tries`` up, which is the fencing token, and has it up to
    ``claimed_until``. Each later step of it is conditional on that token: a process that was away for too
    long changes nothing. Jobs have a lease in the place of that, see `bot.jobs.attempt`.
    """

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    claimed_until: Mapped[datetime | None]

    @classmethod
    def is_free(cls) -> ColumnElement[bool]:
        """A condition: nobody has the row in hand, or for longer than its claim lasts."""
        return or_(cls.claimed_until.is_(None), has_come(cls.claimed_until))

    @classmethod
    def taken(cls, claim: timedelta) -> dict[str, Any]:
        """What changes in a row that is taken for so long."""
        return {"tries": cls.tries + 1, **cls.held(claim)}

    @staticmethod
    def held(claim: timedelta) -> dict[str, Any]:
        """What changes in a row that its process keeps for so long from now on."""
        return {"claimed_until": func.clock_timestamp() + claim}

    @classmethod
    def write(
        cls, connection: Connection, row: ClaimedRow, *conditions: ColumnElement[bool], **values: Any
    ) -> None:
        """Changes a row that this process has taken.

        Raises:
            ClaimLost: another one has it by now, or one of the conditions isn't so any more.
        """
        mine = update(cls).where(cls.id == row.id, cls.tries == row.tries, *conditions)
        if connection.execute(mine.values(**values)).rowcount != 1:
            raise ClaimLost


class User(Base):
    """Somebody who asked for copies. A shell user has the team ``shell`` and the login as id."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("slack_team_id", "slack_user_id"),
        Index("users_slack_user_id_idx", "slack_user_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    slack_team_id: Mapped[str]
    slack_user_id: Mapped[str]
    name: Mapped[str]
    locale: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CopyRun(Base):
    """Several jobs that one press asked for: they share a card, and one reply when the last one has ended.

    ``liquidations`` are those that were asked for, in order; ``set_name`` is that of a set of copies, which
    is copied of each of them.
    ``round`` counts how often it was set going again after it had ended: each round has one reply. ``moved``
    is the channel that its card had to leave, and why. ``ended_at`` is NULL while one of its jobs is live.
    """

    __tablename__ = "copy_runs"
    __table_args__ = (
        CheckConstraint(_one_of("kind", RunKind), name="kind"),
        CheckConstraint("(kind = 'set') = (set_name IS NOT NULL)", name="set_name"),
        Index("copy_runs_user_id_idx", "user_id", "id"),
        Index("copy_runs_ended_at_idx", "ended_at"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    kind: Mapped[str]
    set_name: Mapped[str | None]
    liquidations: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    user_id: Mapped[int] = mapped_column(ForeignKey("traspaso.users.id"))
    request_key: Mapped[str | None] = mapped_column(unique=True)
    round: Mapped[int] = mapped_column(Integer, server_default="0")
    channel_id: Mapped[str | None]
    message_ts: Mapped[str | None]
    pinned: Mapped[bool | None] = mapped_column(Boolean)
    moved: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class CopyJob(Base):
    """One copy of one liquidation, from the request to its end. ``attempt`` is the fencing token."""

    __tablename__ = "copy_jobs"
    __table_args__ = (
        CheckConstraint(_one_of("status", Status), name="status"),
        CheckConstraint(_one_of("phase", Phase), name="phase"),
        CheckConstraint(_one_of("approval", Approval), name="approval"),
        CheckConstraint(_one_of("stop_requested", PRESSED), name="stop_requested"),
        CheckConstraint("liquidation_id > 0", name="liquidation_id"),
        CheckConstraint("question IS NULL OR status IN ('pending', 'cancelled')", name="question"),
        Index(
            ONE_LIVE_JOB,
            "target_table",
            "liquidation_id",
            unique=True,
            postgresql_where=IS_LIVE,
        ),
        Index("copy_jobs_status_idx", "status", "id"),
        Index("copy_jobs_user_id_idx", "user_id", "id"),
        Index("copy_jobs_liquidation_id_idx", "liquidation_id", "id"),
        Index("copy_jobs_run_id_idx", "run_id", "run_position", postgresql_where=text("run_id IS NOT NULL")),
        # A worker of a release that knows no runs of several sets would take all of these together as one.
        Index(
            "copy_jobs_one_set_at_once",
            "run_id",
            "target_table",
            "worker_id",
            "claimed_at",
            unique=True,
            postgresql_where=text("run_id IS NOT NULL AND status = 'running'"),
        ),
        Index("copy_jobs_finished_at_idx", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("copy_jobs_worker_id_idx", "worker_id", postgresql_where=text("worker_id IS NOT NULL")),
        Index(
            "copy_jobs_completed_idx",
            "target_table",
            "liquidation_id",
            "finished_at",
            postgresql_where=text("status = 'completed'"),
        ),
        Index(
            "copy_jobs_rate_idx",
            "copy_name",
            "id",
            # A counter in the condition would have each chunk write anew what all indexes say of the job.
            postgresql_where=text("status = 'completed'"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("traspaso.users.id"))
    source_table: Mapped[str]
    target_table: Mapped[str]
    liquidation_id: Mapped[int]
    total_records: Mapped[int | None]
    copied_records: Mapped[int] = mapped_column(server_default="0")
    status: Mapped[str] = mapped_column(server_default=Status.PENDING.value)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    # The request: which configured copy and what it was made of, which press (one press, one job).
    copy_name: Mapped[str]
    liquidation_label: Mapped[str | None]
    request_key: Mapped[str | None] = mapped_column(unique=True)
    schedule: Mapped[str | None]  # the name of the schedule that asked for it, as its user
    start_at: Mapped[datetime | None]  # nobody takes it before; NULL for at once
    fingerprint: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    # What was shown before the last press, on both sides, which the run has to keep to; and what a worker
    # found instead. A job with a question is pending and not to be claimed.
    previewed_records: Mapped[int | None]
    previewed_target_records: Mapped[int | None]
    previewed_deletes: Mapped[int | None]  # where it was known to the row what would be deleted
    removal_confirmed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    question: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    # What the second person says. A job that waits for it is pending and not to be claimed.
    approval: Mapped[str | None]
    approval_until: Mapped[datetime | None]
    approval_by: Mapped[int | None] = mapped_column(ForeignKey("traspaso.users.id"))
    approval_at: Mapped[datetime | None]
    # Since when it waits for that; and when a second group of people is asked too, NULL for never.
    approval_asked_at: Mapped[datetime | None]
    second_group_at: Mapped[datetime | None]
    # Why it was asked for, and why it was approved, in the words of whoever did.
    request_reason: Mapped[str | None]
    approval_reason: Mapped[str | None]

    # What somebody wants of a running job; the worker does it at a chunk's end. Who did it last.
    stop_requested: Mapped[str | None]
    stopped_by: Mapped[int | None] = mapped_column(ForeignKey("traspaso.users.id"))

    # The work: who holds it until when, and what it is doing.
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    retried_at_attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    worker: Mapped[str | None]
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("traspaso.workers.id", ondelete="SET NULL"))
    lease_until: Mapped[datetime | None]
    run_after: Mapped[datetime] = mapped_column(server_default=func.now())
    enqueued_at: Mapped[datetime | None]
    phase: Mapped[str | None]
    throttle: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    # The counters of the current attempt, and its proof.
    claimed_at: Mapped[datetime | None]
    as_of: Mapped[datetime | None]
    copying_since: Mapped[datetime | None]
    verifying_since: Mapped[datetime | None]
    chunks_done: Mapped[int] = mapped_column(Integer, server_default="0")
    inserted_records: Mapped[int] = mapped_column(server_default="0")
    updated_records: Mapped[int] = mapped_column(server_default="0")
    deleted_records: Mapped[int] = mapped_column(server_default="0")
    unchanged_records: Mapped[int] = mapped_column(server_default="0")
    moved_records: Mapped[int] = mapped_column(server_default="0")
    verified_records: Mapped[int] = mapped_column(server_default="0")
    copied_bytes: Mapped[int] = mapped_column(server_default="0")
    target_records: Mapped[int | None]
    source_digest: Mapped[str | None]
    target_digest: Mapped[str | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The job that compared all values: itself, or an earlier one since which row versions tell the rest.
    values_job_id: Mapped[int | None]

    # What messages still say of its events when these are kept no longer; see `bot.jobs.retention`.
    kept: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    # The run that it belongs to, and its place in it. It has no card of its own then.
    run_id: Mapped[int | None] = mapped_column(ForeignKey("traspaso.copy_runs.id", ondelete="SET NULL"))
    run_position: Mapped[int | None] = mapped_column(Integer)

    # Slack's projection: where the card is, and whether Slack has taken its pin; NULL where nobody knows.
    channel_id: Mapped[str | None]
    message_ts: Mapped[str | None]
    pinned: Mapped[bool | None] = mapped_column(Boolean)


class CopyChunk(Base):
    """The ledger: one line a chunk, committed with the chunk's rows; the proof adds both digests."""

    __tablename__ = "copy_chunks"
    __table_args__ = (Index("copy_chunks_created_at_idx", "created_at"),)

    job_id: Mapped[int] = mapped_column(
        ForeignKey("traspaso.copy_jobs.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    lower_key: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    upper_key: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    outcome: Mapped[str]
    records: Mapped[int]
    inserted_records: Mapped[int]
    updated_records: Mapped[int]
    deleted_records: Mapped[int]
    unchanged_records: Mapped[int]
    moved_records: Mapped[int]
    bytes: Mapped[int]
    seconds: Mapped[float] = mapped_column(Float)
    target_records: Mapped[int | None]
    source_digest: Mapped[str | None]
    target_digest: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class LastProof(Base):
    """What was proven last of a liquidation. All values were compared at ``values_at``.

    It is written in the transaction that completes the job, and goes with the job's row.
    """

    __tablename__ = "proofs"
    __table_args__ = (Index("proofs_job_id_idx", "job_id"),)

    source_table: Mapped[str] = mapped_column(primary_key=True)
    target_table: Mapped[str] = mapped_column(primary_key=True)
    liquidation_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    job_id: Mapped[int] = mapped_column(ForeignKey("traspaso.copy_jobs.id", ondelete="CASCADE"))
    values_job_id: Mapped[int]
    values_at: Mapped[datetime]
    baseline: Mapped[dict[str, Any]] = mapped_column(JSONB)


class KnownColumns(Base):
    """The columns that the last completed copy between two tables carried as they are."""

    __tablename__ = "known_columns"

    source_table: Mapped[str] = mapped_column(primary_key=True)
    target_table: Mapped[str] = mapped_column(primary_key=True)
    names: Mapped[list[str]] = mapped_column(ARRAY(Text))
    job_id: Mapped[int]


class Standing(Base):
    """What consulta holds of a liquidation in a target table; `FRESHNESS` shows it.

    A trigger on ``copy_jobs`` writes it whenever a job's status changes (migration 0014). It outlives the
    jobs that it names. ``proven_job_id`` is the last that was proven, with its counts and moments.
    ``unproven_job_id`` has written since and ended without a proof.
    """

    __tablename__ = "standings"

    liquidation_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    target_table: Mapped[str] = mapped_column(primary_key=True)
    source_table: Mapped[str | None]
    copy_name: Mapped[str | None]
    proven_job_id: Mapped[int | None]
    proven_at: Mapped[datetime | None]
    as_of: Mapped[datetime | None]
    rows: Mapped[int | None]
    unproven_job_id: Mapped[int | None]


class CopyEvent(Base):
    """Who did what when to a job, and every retry and error."""

    __tablename__ = "copy_events"
    __table_args__ = (
        Index("copy_events_job_id_idx", "job_id", "id"),
        Index("copy_events_created_at_idx", "created_at"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("traspaso.copy_jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(Integer)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("traspaso.users.id"))
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class ReceiptRow(Base):
    """What a job that ended leaves as evidence, with the hash of the one before; see `bot.jobs.receipts`.

    It refers to nothing, so that no removal of other rows takes it away.
    """

    __tablename__ = "receipts"
    __table_args__ = (
        CheckConstraint("number > 0", name="number"),
        CheckConstraint("hash ~ '^[0-9a-f]{64}$' AND previous_hash ~ '^[0-9a-f]{64}$'", name="hashes"),
        Index("receipts_job_id_idx", "job_id", "number"),
        Index("receipts_at_idx", "at"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    job_id: Mapped[int]
    attempt: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
    receipt: Mapped[dict[str, Any]] = mapped_column(JSONB)
    previous_hash: Mapped[str] = mapped_column(unique=True)
    hash: Mapped[str] = mapped_column(unique=True)


class JobFollower(Base):
    """Somebody who wants a direct message when the job ends."""

    __tablename__ = "job_followers"

    job_id: Mapped[int] = mapped_column(
        ForeignKey("traspaso.copy_jobs.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(ForeignKey("traspaso.users.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RunFollower(Base):
    """Somebody who wants a direct message when the run ends."""

    __tablename__ = "run_followers"

    run_id: Mapped[int] = mapped_column(
        ForeignKey("traspaso.copy_runs.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(ForeignKey("traspaso.users.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OutboxMessage(Claimable, Base):
    """A message about a job, about a run, or about all of them, that is owed to people, or was.

    ``kind`` names it, once for each attempt of a job; of one that goes to several people or places it ends
    in ``:`` and whom it is for. Of a run it begins with ``run:``, and ``attempt`` is the run's round.
    ``occasion`` is set in what is told elsewhere than in Slack (`bot.jobs.notifications`), with the same mark
    where it is of a run: without a ``destination`` it is still to be given out to them. ``detail`` has what
    the job's row doesn't say. ``destination`` is the name of one, or the Slack id of a person.

    ``version`` counts how often it was announced, ``tries`` how often a relay took it in hand: that is
    the fencing token of whoever delivers. ``failures`` in a row, since ``failing_since``, decide the pause
    before the next try. ``begun`` says that a delivery was begun of which nobody knows the outcome: look
    before posting. ``channel_id`` and ``message_ts`` are of the message that it is about, where that isn't
    the job's card.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("job_id", "kind", "attempt"),
        Index("outbox_due_idx", "next_try_at", postgresql_where=text("done_at IS NULL")),
        Index("outbox_done_at_idx", "done_at", postgresql_where=text("done_at IS NOT NULL")),
        Index(
            "outbox_once_without_job",
            "kind",
            unique=True,
            postgresql_where=text("job_id IS NULL AND run_id IS NULL"),
        ),
        Index(
            "outbox_once_in_a_round",
            "run_id",
            "kind",
            "attempt",
            unique=True,
            postgresql_where=text("run_id IS NOT NULL"),
        ),
    )

    job_id: Mapped[int | None] = mapped_column(ForeignKey("traspaso.copy_jobs.id", ondelete="CASCADE"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("traspaso.copy_runs.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str]
    occasion: Mapped[str | None]
    destination: Mapped[str | None]
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    version: Mapped[int] = mapped_column(Integer, server_default="0")
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    failing_since: Mapped[datetime | None]
    begun: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    announced_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    next_try_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    channel_id: Mapped[str | None]
    message_ts: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Worker(Base):
    """A process that copies, and that it lives. ``takes_jobs`` where it is a worker of the queue, and not a
    shell that runs its own copy. One that stops in order leaves ``ended_at``.
    """

    __tablename__ = "workers"
    __table_args__ = (Index("workers_beat_at_idx", "beat_at"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    host: Mapped[str]
    process: Mapped[int]
    version: Mapped[str]
    takes_jobs: Mapped[bool]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    beat_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class CopyFreeze(Base):
    """A time in which no chunk is written and no job is created. At most one is active.

    One with ``until`` is over then, also where nobody is there to write down that it is lifted.
    """

    __tablename__ = "copy_freezes"
    __table_args__ = (
        Index(
            "copy_freezes_one_active",
            text("(lifted_at IS NULL)"),
            unique=True,
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    reason: Mapped[str | None]
    channel_id: Mapped[str | None]
    frozen_by: Mapped[int] = mapped_column(ForeignKey("traspaso.users.id"))
    frozen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lifted_by: Mapped[int | None] = mapped_column(ForeignKey("traspaso.users.id"))
    lifted_at: Mapped[datetime | None]
    until: Mapped[datetime | None]


class FreezeWindow(Base):
    """A freeze of the configuration, from ``starts_at`` up to ``ends_at``.

    Processes write the next ones ahead, and say every while that they have them in their file (``seen_at``).
    ``begun_at`` and ``ended_at`` are when the cards were told.
    """

    __tablename__ = "freeze_windows"
    __table_args__ = (UniqueConstraint("name", "starts_at"), Index("freeze_windows_ends_at_idx", "ends_at"))

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str | None]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    begun_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Schedule(Base):
    """A schedule that processes have, or had, in their file: up to when its due times have rows.

    ``definition`` is its cron expression and time zone: with others it counts anew. ``retired_at`` is when no
    process that lives had it any more.
    """

    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(primary_key=True)
    definition: Mapped[str] = mapped_column(primary_key=True)
    handled_until: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]


class ScheduleFiring(Claimable, Base):
    """One due time of a schedule, and what became of it.

    ``set_name`` is that of the set which it copies; NULL where it copies one table. ``liquidations`` are the
    chosen ones, from when they are known; ``results`` has a line for each of them that is done. ``tries`` is
    the fencing token of whoever works on it.
    """

    __tablename__ = "schedule_firings"
    __table_args__ = (
        UniqueConstraint("schedule", "due_at"),
        CheckConstraint(_one_of("state", FiringState), name="state"),
        Index("schedule_firings_open_idx", "next_try_at", postgresql_where=text("state = 'due'")),
    )

    schedule: Mapped[str]
    due_at: Mapped[datetime]
    copy_name: Mapped[str]  # or that of the set
    set_name: Mapped[str | None]
    as_user: Mapped[str]
    channel_id: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    missed_before: Mapped[int] = mapped_column(Integer, server_default="0")
    liquidations: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    more_fit: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    results: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    next_try_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class ChannelNotice(Claimable, Base):
    """A message to a channel that belongs to no job: owed, or delivered.

    ``subject_id`` is the firing or the freeze that it is about. ``user_id`` gets it in the place of a channel
    that takes nothing. ``tries`` is the fencing token; ``begun``: a post got no answer, look first.
    """

    __tablename__ = "channel_notices"
    __table_args__ = (
        UniqueConstraint("kind", "subject_id"),
        Index("channel_notices_due_idx", "next_try_at", postgresql_where=text("done_at IS NULL")),
    )

    kind: Mapped[str]
    subject_id: Mapped[int]
    channel_id: Mapped[str]
    user_id: Mapped[str | None]
    begun: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    next_try_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Drift(Base):
    """What the watch has seen of prod since a liquidation was proven by job ``job_id``.

    ``looked_at`` is the last look. ``known_at`` is the last that could tell: whether both sides were
    ``equal`` then, and else how many rows a copy would insert, update and delete. ``equal_at`` is the last
    that found them equal. ``told_at`` is when the channel was told of these numbers.
    """

    __tablename__ = "drift"

    liquidation_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    target_table: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[int]
    looked_at: Mapped[datetime]
    known_at: Mapped[datetime | None]
    equal: Mapped[bool | None] = mapped_column(Boolean)
    equal_at: Mapped[datetime | None]
    inserted_records: Mapped[int | None]
    updated_records: Mapped[int | None]
    deleted_records: Mapped[int | None]
    told_at: Mapped[datetime | None]


class WatchRound(Claimable, Base):
    """One due time of the watch, and how far it got.

    ``tries`` is the fencing token of whoever works on it. It has ``looked`` at so many liquidations, of which
    ``unknown`` had no base by which row versions tell anything; ``left_over`` are for the next round.
    """

    __tablename__ = "watch_rounds"
    __table_args__ = (
        UniqueConstraint("due_at"),
        Index("watch_rounds_open_idx", "due_at", postgresql_where=text("ended_at IS NULL")),
    )

    due_at: Mapped[datetime]
    began_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    looked: Mapped[int] = mapped_column(Integer, server_default="0")
    unknown: Mapped[int] = mapped_column(Integer, server_default="0")
    left_over: Mapped[int | None] = mapped_column(Integer)
    ended_at: Mapped[datetime | None]


class Installation(Base):
    """One row: the name by which these tables' sessions differ from those of other ones.

    ``workers_missing`` is what the cards say by now: that nobody works, or that somebody does. ``pruned_at``
    is when a process last began to delete what is kept no longer.
    """

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("is_the_one", name="is_the_one"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    is_the_one: Mapped[bool] = mapped_column(Boolean, unique=True, server_default=text("true"))
    workers_missing: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    pruned_at: Mapped[datetime | None]


class Total(Base):
    """A line of what jobs of a copy have done: the lines of one ``name`` and ``label`` add up.

    Nothing refers to a job, so that the sum stays when jobs are deleted; see `bot.jobs.totals`.
    """

    __tablename__ = "totals"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    copy_name: Mapped[str]
    name: Mapped[str]
    label: Mapped[str]
    value: Mapped[float] = mapped_column(Float)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


#: The view for reports: what consulta holds of each liquidation. Migrations make it.
FRESHNESS = Table(
    "freshness",
    MetaData(schema=SCHEMA),
    Column("target_table", Text()),
    Column("liquidation_id", BigInteger()),
    Column("state", Text()),
    Column("as_of", DateTime(timezone=True)),
    Column("known_equal_at", DateTime(timezone=True)),
    Column("rows", BigInteger()),
    Column("job_id", BigInteger()),
)


# Conditions that many queries share.

#: Nothing is put off for longer, but for pins in lost channels. Consulta's clock may be set back: a moment
#: that lies further ahead was written before.
LONGEST = timedelta(minutes=10)


def is_of_set(job: Any = CopyJob) -> ColumnElement[bool]:
    """The job is one of a set of copies, which are made together."""
    sets = select(CopyRun.id).where(CopyRun.id == job.run_id, CopyRun.kind == RunKind.SET)
    return sets.correlate(job).exists()


def in_set_of(job_id: int) -> ColumnElement[bool]:
    """A condition on `CopyJob`: it is one of the set to which this job belongs. Where it belongs to none,
    that is so of no job.

    A set is the jobs of one liquidation in a run of that kind: a run may have the sets of several.
    """
    job = aliased(CopyJob)
    its_run = select(job.run_id).where(job.id == job_id, is_of_set(job)).scalar_subquery()
    its_liquidation = select(job.liquidation_id).where(job.id == job_id).scalar_subquery()
    return and_(CopyJob.run_id == its_run, CopyJob.liquidation_id == its_liquidation)


def set_is_held_up() -> ColumnElement[bool]:
    """A condition on `CopyJob`: another job of its set can't begin, so that this one can't either.

    It waits for somebody, or is paused. Of a job that belongs to no set it is never so.
    """
    other = aliased(CopyJob)
    held_up = or_(waits_for_somebody(other), other.status == Status.PAUSED)
    waits = select(other.id).where(
        other.run_id == CopyJob.run_id,
        other.liquidation_id == CopyJob.liquidation_id,
        other.id != CopyJob.id,
        other.status.in_(LIVE),
        held_up,
    )
    return and_(CopyJob.run_id.is_not(None), is_of_set(), waits.correlate(CopyJob).exists())


def card_channel() -> ColumnElement[str | None]:
    """The channel of the job's card, which is its run's where it belongs to one; NULL where it has none."""
    of_run = select(CopyRun.channel_id).where(CopyRun.id == CopyJob.run_id).correlate(CopyJob)
    return func.coalesce(CopyJob.channel_id, of_run.scalar_subquery())


def waits_for_somebody(job: type[CopyJob] = CopyJob) -> ColumnElement[bool]:
    """A condition: of the pending jobs, those that nobody may take before they are approved or confirmed."""
    return or_(job.approval.is_not_distinct_from(Approval.WAITING), job.question.is_not(None))


def waits_for_approval() -> ColumnElement[bool]:
    """A condition on `CopyJob`: nobody may take it before somebody approves it."""
    return and_(CopyJob.status == Status.PENDING, CopyJob.approval == Approval.WAITING)


def may_begin(job: type[CopyJob] = CopyJob) -> ColumnElement[bool]:
    """A condition: the moment for which the job was asked for has come; always, where it was for at once."""
    return or_(job.start_at.is_(None), job.start_at <= func.clock_timestamp())


def frozen_by_hand() -> ColumnElement[bool]:
    """A condition on `CopyFreeze`: somebody froze all copies, and it isn't over."""
    return and_(
        CopyFreeze.lifted_at.is_(None),
        or_(CopyFreeze.until.is_(None), CopyFreeze.until > func.clock_timestamp()),
    )


def window_is_open() -> ColumnElement[bool]:
    """A condition on `FreezeWindow`: it is now."""
    now = func.clock_timestamp()
    return and_(FreezeWindow.starts_at <= now, FreezeWindow.ends_at > now)


def is_frozen() -> ColumnElement[bool]:
    """A condition: a freeze is active, somebody's or a window of the configuration."""
    by_hand = select(CopyFreeze.id).where(frozen_by_hand())
    by_clock = select(FreezeWindow.id).where(window_is_open())
    return or_(by_hand.exists(), by_clock.exists())


def has_come(moment: Any, *, early: timedelta = timedelta()) -> ColumnElement[bool]:
    """A condition: the moment is over, or comes within ``early``.

    One that lies further ahead than `LONGEST` is over too.
    """
    now = func.clock_timestamp()
    return or_(moment <= now + early, moment > now + LONGEST)

"""A job at one moment, frozen: all that a message, a table or a terminal shows comes from here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.engine import Row
from sqlalchemy.orm import aliased

from bot.jobs.models import CopyEvent, CopyFreeze, CopyJob, User
from bot.jobs.statuses import Approval, Phase, Status, Wish


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who did something to a job: a Slack user, or a login of the shell (team ``shell``)."""

    id: str
    team: str
    name: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """Nothing is written while it lasts."""

    by: Person
    reason: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """One job. Times are aware, ``now`` is consulta's clock; rows and bytes are those of the attempt.

    ``total`` is None until the snapshot was counted. ``ahead`` counts the live jobs asked for earlier.
    ``error`` is the failure's code and names (see `bot.jobs.failure`), None where nothing failed.
    ``previewed`` are the rows in prod that the requester saw before the press. ``approvers`` says, as
    messages show them, which groups and users were asked to approve it. ``wish`` is what a running
    job was asked for and hasn't done yet. ``freeze`` is the one that is active now, for every job.
    """

    id: int
    copy_name: str
    source_table: str
    target_table: str
    liquidation_id: int
    label: str | None
    status: Status
    phase: Phase | None
    attempt: int
    failures: int
    ahead: int
    total: int | None
    copied: int
    verified: int
    inserted: int
    updated: int
    deleted: int
    unchanged: int
    moved: int
    bytes: int
    chunks_done: int
    target_records: int | None
    source_digest: str | None
    target_digest: str | None
    throttle: dict[str, Any] | None
    error: dict[str, Any] | None
    error_message: str | None
    requester_id: str
    requester_team: str
    requester_name: str
    requester_locale: str | None
    channel_id: str | None
    message_ts: str | None
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    claimed_at: datetime | None
    copying_since: datetime | None
    verifying_since: datetime | None
    finished_at: datetime | None
    as_of: datetime | None
    run_after: datetime
    lease_until: datetime | None
    now: datetime
    previewed: int | None = None
    wish: Wish | None = None
    stopped_by: Person | None = None
    approval: Approval | None = None
    approval_until: datetime | None = None
    approval_at: datetime | None = None
    approval_by: Person | None = None
    approvers: tuple[str, ...] = ()
    freeze: Freeze | None = None

    @property
    def fraction(self) -> float | None:
        """Rows in place of rows in prod, 0 to 1; None while the total is unknown."""
        if self.total is None:
            return None
        return min(1.0, self.copied / self.total) if self.total else 1.0

    @property
    def seconds(self) -> float | None:
        """From the first claim to the end, or until now."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.finished_at or self.now) - self.started_at).total_seconds())

    @property
    def rate(self) -> float | None:
        """Rows a second while this attempt was copying; None until a chunk is in place."""
        if self.copying_since is None or not self.copied:
            return None
        until = self.verifying_since or self.finished_at or self.now
        seconds = (until - self.copying_since).total_seconds()
        return self.copied / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Until the last row is in place at the present rate; None where that isn't known."""
        if self.total is None or self.rate is None or self.phase is not Phase.COPYING:
            return None
        return max(0.0, (self.total - self.copied) / self.rate)

    def seconds_of(self, phase: Phase) -> float | None:
        """How long the present attempt was, or has been, in that phase; None before it."""
        began, after = {
            Phase.COUNTING: (self.claimed_at, self.copying_since),
            Phase.COPYING: (self.copying_since, self.verifying_since),
            Phase.VERIFYING: (self.verifying_since, self.finished_at),
        }[phase]
        if began is None:
            return None
        return max(0.0, ((after or self.finished_at or self.now) - began).total_seconds())

    @property
    def waits_for_approval(self) -> bool:
        """Nobody may start it before somebody else has approved it."""
        return self.status is Status.PENDING and self.approval is Approval.WAITING

    @property
    def is_from_slack(self) -> bool:
        return self.channel_id is not None


_stopper = aliased(User, name="stopper")
_approver = aliased(User, name="approver")
_freezer = aliased(User, name="freezer")


def person_of(user: User | None) -> Person | None:
    return _person(user) if user else None


def _person(user: User) -> Person:
    return Person(user.slack_user_id, user.slack_team_id, user.name)


def snapshot_query() -> Select[Any]:
    """The columns of a snapshot; the caller adds WHERE, ORDER BY and LIMIT over `CopyJob`."""
    earlier = aliased(CopyJob)
    ahead = (
        select(func.count())
        .where(
            earlier.status.in_([Status.PENDING, Status.RUNNING]),
            earlier.approval.is_distinct_from(Approval.WAITING),
            earlier.id < CopyJob.id,
            CopyJob.status == Status.PENDING,
        )
        .correlate(CopyJob)
        .scalar_subquery()
        .label("ahead")
    )
    approvers = (
        select(CopyEvent.detail["approvers"])
        .where(CopyEvent.job_id == CopyJob.id, CopyEvent.kind == "requested", CopyJob.approval.is_not(None))
        .correlate(CopyJob)
        .limit(1)
        .scalar_subquery()
        .label("approvers")
    )
    now = func.now().label("now")
    return (
        select(CopyJob, User, _stopper, _approver, CopyFreeze, _freezer, ahead, approvers, now)
        .join(User, User.id == CopyJob.user_id)
        .outerjoin(_stopper, _stopper.id == CopyJob.stopped_by)
        .outerjoin(_approver, _approver.id == CopyJob.approval_by)
        .outerjoin(CopyFreeze, CopyFreeze.lifted_at.is_(None))
        .outerjoin(_freezer, _freezer.id == CopyFreeze.frozen_by)
    )


def snapshot_of(row: Row[Any]) -> JobSnapshot:
    job: CopyJob = row.CopyJob
    user: User = row.User
    freeze: CopyFreeze | None = row.CopyFreeze
    return JobSnapshot(
        id=job.id,
        copy_name=job.copy_name,
        source_table=job.source_table,
        target_table=job.target_table,
        liquidation_id=job.liquidation_id,
        label=job.liquidation_label,
        status=Status(job.status),
        phase=Phase(job.phase) if job.phase else None,
        attempt=job.attempt,
        failures=job.failures,
        ahead=row.ahead,
        total=job.total_records,
        copied=job.copied_records,
        verified=job.verified_records,
        inserted=job.inserted_records,
        updated=job.updated_records,
        deleted=job.deleted_records,
        unchanged=job.unchanged_records,
        moved=job.moved_records,
        bytes=job.copied_bytes,
        chunks_done=job.chunks_done,
        target_records=job.target_records,
        source_digest=job.source_digest,
        target_digest=job.target_digest,
        throttle=job.throttle,
        error=job.error,
        error_message=job.error_message,
        requester_id=user.slack_user_id,
        requester_team=user.slack_team_id,
        requester_name=user.name,
        requester_locale=user.locale,
        channel_id=job.channel_id,
        message_ts=job.message_ts,
        worker=job.worker,
        created_at=job.created_at,
        started_at=job.started_at,
        claimed_at=job.claimed_at,
        copying_since=job.copying_since,
        verifying_since=job.verifying_since,
        finished_at=job.finished_at,
        as_of=job.as_of,
        run_after=job.run_after,
        lease_until=job.lease_until,
        now=row.now,
        previewed=job.previewed_records,
        wish=Wish(job.stop_requested) if job.stop_requested else None,
        stopped_by=person_of(row.stopper),
        approval=Approval(job.approval) if job.approval else None,
        approval_until=job.approval_until,
        approval_at=job.approval_at,
        approval_by=person_of(row.approver),
        approvers=tuple(row.approvers or ()),
        freeze=Freeze(_person(row.freezer), freeze.reason, freeze.frozen_at) if freeze else None,
    )

"""Reads jobs as snapshots: the one query, to which callers add what they look for, and its rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, select
from sqlalchemy.engine import Row
from sqlalchemy.orm import aliased

from bot.jobs.models import CopyEvent, CopyFreeze, CopyJob, User, Worker
from bot.jobs.snapshot import Freeze, JobView, Moved, NoWorker, Person
from bot.jobs.statuses import Approval, Phase, Status, Wish
from bot.jobs.terms import AgreedCounts, Question
from bot.jobs.waiting import waits_for_somebody
from bot.jobs.workers import holds, is_missing, last_seen

_stopper = aliased(User, name="stopper")
_approver = aliased(User, name="approver")
_freezer = aliased(User, name="freezer")


def _person(user: User) -> Person:
    return Person(user.slack_user_id, user.slack_team_id, user.name)


def view_query() -> Select[Any]:
    """The columns of a snapshot; the caller adds WHERE, ORDER BY and LIMIT over `CopyJob`."""
    earlier = aliased(CopyJob)
    ahead = (
        select(func.count())
        .where(
            earlier.status.in_([Status.PENDING, Status.RUNNING]),
            ~waits_for_somebody(earlier),
            earlier.id < CopyJob.id,
            CopyJob.status == Status.PENDING,
        )
        .correlate(CopyJob)
        .scalar_subquery()
        .label("ahead")
    )
    asked = _detail(CopyJob.approval.is_not(None), CopyEvent.detail.has_key("approvers")).label("asked")
    moved = _detail(CopyJob.channel_id.is_not(None), CopyEvent.kind == "card_moved").label("moved")
    now = func.now().label("now")
    seen = func.coalesce(Worker.ended_at, Worker.beat_at).label("seen")
    missing, missing_since = is_missing().label("missing"), last_seen().label("missing_since")
    return (
        select(CopyJob, User, _stopper, _approver, CopyFreeze, _freezer, ahead, asked, moved, now)
        .add_columns(seen, missing, missing_since)
        .join(User, User.id == CopyJob.user_id)
        .outerjoin(_stopper, _stopper.id == CopyJob.stopped_by)
        .outerjoin(_approver, _approver.id == CopyJob.approval_by)
        .outerjoin(CopyFreeze, CopyFreeze.lifted_at.is_(None))
        .outerjoin(_freezer, _freezer.id == CopyFreeze.frozen_by)
        .outerjoin(Worker, holds())
    )


def _detail(condition: ColumnElement[bool], which: ColumnElement[bool]) -> ScalarSelect[Any]:
    """What the last such event of the job says; NULL without one, and where the condition doesn't hold."""
    found = select(CopyEvent.detail).where(CopyEvent.job_id == CopyJob.id, which, condition)
    return found.correlate(CopyJob).order_by(CopyEvent.id.desc()).limit(1).scalar_subquery()


def view_of(row: Row[Any], operators: tuple[str, ...] = ()) -> JobView:
    """The job of a row of `view_query`; ``operators`` are to be told where nobody works."""
    job: CopyJob = row.CopyJob
    user: User = row.User
    freeze: CopyFreeze | None = row.CopyFreeze
    return JobView(
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
        terms=AgreedCounts(job.previewed_records, job.previewed_target_records, job.removal_confirmed),
        question=Question.from_json(job.question) if job.question else None,
        wish=Wish(job.stop_requested) if job.stop_requested else None,
        stopped_by=_person(row.stopper) if row.stopper else None,
        approval=Approval(job.approval) if job.approval else None,
        approval_until=job.approval_until,
        approval_at=job.approval_at,
        approval_by=_person(row.approver) if row.approver else None,
        approvers=tuple((row.asked or {}).get("approvers") or ()),
        freeze=Freeze(_person(row.freezer), freeze.reason, freeze.frozen_at) if freeze else None,
        moved_from=Moved(**row.moved) if row.moved else None,
        pinned=job.pinned,
        worker_seen_at=row.seen,
        no_worker=NoWorker(row.missing_since, operators) if row.missing else None,
    )

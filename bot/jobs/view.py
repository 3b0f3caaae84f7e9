"""A job, and App Home, at one moment: all that a message, a table or a terminal shows comes from here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.jobs.proposal import NOTHING_SHOWN, AgreedCounts, Question
from bot.jobs.status import Approval, Phase, Status
from bot.jobs.stop_request import StopReason

#: A process that says nothing for so long is lost.
SILENT = timedelta(seconds=10)

#: The team of those who asked in a shell.
SHELL = "shell"


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
class Moved:
    """The card is in a direct message: Slack took nothing more for ``channel``, for that ``reason``."""

    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class NoWorker:
    """Nobody takes a job, ``since`` the last worker ended or fell silent; None where there never was one.

    ``operators`` are the people and groups to tell, as messages mention them; empty where none are known.
    """

    since: datetime | None
    operators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """One chunk: its rows, and when it was worked on, in seconds since its attempt began to copy.

    Chunks of several lanes overlap.
    """

    began: float
    ended: float
    rows: int


@dataclass(frozen=True, slots=True)
class JobView:
    """One job. Times are aware, ``now`` is consulta's clock; rows and bytes are those of the attempt.

    ``total`` is None until the snapshot was counted. ``ahead`` counts the live jobs asked for earlier.
    ``error`` is the failure's code and names (see `bot.jobs.failure`), None where nothing failed.
    ``terms`` are the rows of both sides that were shown before the last press. ``question`` is what a
    worker found instead: it asks again, and nobody may take it meanwhile. ``approvers`` says, as messages
    show them, which groups and users were asked to approve it. ``stop_requested`` is what a running job
    was asked for and hasn't done yet. ``freeze`` is the one that is active now, for every job.
    ``moved_from`` is the channel that its card had to leave. ``pinned`` is None where nobody knows whether
    Slack has taken the card's pin. ``worker_seen_at`` is when the process that holds it last said that
    it lives; None where it is of a release that doesn't. ``no_worker`` says that nobody works on any job.
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
    terms: AgreedCounts = NOTHING_SHOWN
    question: Question | None = None
    stop_requested: StopReason | None = None
    stopped_by: Person | None = None
    approval: Approval | None = None
    approval_until: datetime | None = None
    approval_at: datetime | None = None
    approval_by: Person | None = None
    approvers: tuple[str, ...] = ()
    freeze: Freeze | None = None
    moved_from: Moved | None = None
    pinned: bool | None = None
    worker_seen_at: datetime | None = None
    no_worker: NoWorker | None = None

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
    def seconds_silent(self) -> float | None:
        """For how long at least nothing has been heard of the worker that runs it; None where it was lately.

        A worker of a release that doesn't say that it lives has the job for as long as its lease.
        """
        if self.status is not Status.RUNNING:
            return None
        if self.worker_seen_at is not None and self.now - self.worker_seen_at >= SILENT:
            return (self.now - self.worker_seen_at).total_seconds()
        if self.lease_until is not None and self.lease_until < self.now:
            return (self.now - self.lease_until).total_seconds()
        return None

    @property
    def waits_for_approval(self) -> bool:
        """Nobody may start it before somebody else has approved it."""
        return self.status is Status.PENDING and self.approval is Approval.WAITING

    @property
    def waits_for_confirmation(self) -> bool:
        """It asks its requester about numbers that aren't those that were shown."""
        return self.status is Status.PENDING and self.question is not None and not self.waits_for_approval

    @property
    def waits_for_somebody(self) -> bool:
        """No worker may take it before somebody has approved or confirmed it."""
        return self.waits_for_approval or self.waits_for_confirmation

    @property
    def waits_for_a_worker(self) -> bool:
        """Nothing else is in its way, but nobody works."""
        return (
            self.status is Status.PENDING
            and self.no_worker is not None
            and self.freeze is None
            and not self.waits_for_somebody
        )

    @property
    def had_nobody_to_ask(self) -> bool:
        """It ended because nobody could approve it where its card had to go."""
        early = self.finished_at and self.approval_until and self.finished_at < self.approval_until
        return self.approval is Approval.EXPIRED and self.moved_from is not None and bool(early)

    @property
    def is_from_slack(self) -> bool:
        return self.channel_id is not None


@dataclass(frozen=True, slots=True)
class HomeFilters:
    """Which jobs a list shows; a field that is None filters nothing.

    ``user_id`` is Slack's id of the requester; ``ended`` leaves out what runs, waits or is paused.
    """

    status: Status | None = None
    user_id: str | None = None
    liquidation_id: int | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class HomeView:
    """``live`` is oldest first, ``latest`` newest first and filtered; ``reader_id`` is Slack's user id."""

    reader_id: str
    live: tuple[JobView, ...]
    latest: tuple[JobView, ...]
    filters: HomeFilters
    freeze: Freeze | None
    no_worker: NoWorker | None = None

    @property
    def waiting_for_approval(self) -> tuple[JobView, ...]:
        return tuple(job for job in self.live if job.waits_for_approval)

    @property
    def under_way(self) -> tuple[JobView, ...]:
        """Live jobs that nobody has to approve first."""
        return tuple(job for job in self.live if not job.waits_for_approval)

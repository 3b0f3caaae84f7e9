"""The states of a copy job, and every step from one to another.

    pending ──── CLAIM ────► running ──── COMPLETE ────────► completed
       ▲                        │ ├────── FAIL, GIVE_UP ───► failed
       ├── RELEASE, TAKE_BACK ──┘ │                             │
       ├── RETRY ─────────────────┼─────────────────────────────┘
       └── RESUME ─── paused ◄────┘ PAUSE

    pending ── PAUSE ──► paused
    pending, running, paused ── CANCEL ──► cancelled
    pending ── REJECT, EXPIRE ──► cancelled

`Step` is the table: `bot.jobs.transition.transition`, which alone writes `copy_jobs.status`, takes its
states from there. A new job is ``pending``.
"""

from __future__ import annotations

from enum import Enum, StrEnum


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


LIVE = frozenset({Status.PENDING, Status.RUNNING, Status.PAUSED})


class Step(Enum):
    """A step that changes a job's status: from which states (``sources``) it goes, and ``to`` which one."""

    #: A worker takes the job: attempt + 1, and a lease.
    CLAIM = "claim", {Status.PENDING}, Status.RUNNING
    #: Counted and compared: both sides agree.
    COMPLETE = "complete", {Status.RUNNING}, Status.COMPLETED
    #: A permanent error, or no tries left.
    FAIL = "fail", {Status.RUNNING}, Status.FAILED
    #: Too many attempts were lost with their workers.
    GIVE_UP = "give_up", {Status.RUNNING}, Status.FAILED
    #: Its worker gives the job back: at a shutdown, for a retry, or because it asks its requester again.
    RELEASE = "release", {Status.RUNNING}, Status.PENDING
    #: The sweep takes the job from a lost worker.
    TAKE_BACK = "take_back", {Status.RUNNING}, Status.PENDING
    #: Somebody asked for it: at once where nobody holds the job, else at a chunk's end.
    PAUSE = "pause", {Status.PENDING, Status.RUNNING}, Status.PAUSED
    #: The same, for good.
    CANCEL = "cancel", {Status.PENDING, Status.RUNNING, Status.PAUSED}, Status.CANCELLED
    #: Somebody lets a paused job go on.
    RESUME = "resume", {Status.PAUSED}, Status.PENDING
    #: Somebody has a failed job tried again.
    RETRY = "retry", {Status.FAILED}, Status.PENDING
    #: The second person said no.
    REJECT = "reject", {Status.PENDING}, Status.CANCELLED
    #: Nobody approved it in time, or nobody can.
    EXPIRE = "expire", {Status.PENDING}, Status.CANCELLED

    def __init__(self, label: str, sources: set[Status], to: Status) -> None:
        self.label = label
        self.sources = frozenset(sources)
        self.to = to


#: The same as a table: what a job of each state can become.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    old: frozenset(step.to for step in Step if old in step.sources) for old in Status
}

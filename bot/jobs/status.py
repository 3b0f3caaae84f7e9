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

from dataclasses import dataclass
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


# ----------------------------------------------------------------------------
# Why a running copy is to stop at its next chunk's end, and who asked for it.
#
# ``copy_jobs.stop_requested`` and ``stopped_by`` hold what somebody pressed. A worker reads them, and whether
# all copies are frozen, in the UPDATE of each step. The process that runs the copy can ask for a stop itself.


class StopReason(StrEnum):
    """The weakest first: of two requests the stronger one counts."""

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

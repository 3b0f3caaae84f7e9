"""The states of a copy job and every way from one to another.

            claim                 proof holds
pending ───────────► running ──────────────────► completed
 ▲  ▲  ▲              │ │ │ │
 │  │  └── release, ──┘ │ │ └──► failed ──┐
 │  │      retry,       │ │               │ retry
 │  │      lost worker  │ └────► cancelled│
 │  └───────────────────┼─────────────────┘
 │        resume        ▼
 └─────────────────── paused ───► cancelled
"""

from __future__ import annotations

from enum import StrEnum


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


class Wish(StrEnum):
    """What somebody wants of a running job, as ``copy_jobs.stop_requested`` holds it until it is done."""

    PAUSE = "pause"
    CANCEL = "cancel"


class Approval(StrEnum):
    """What the second pair of eyes said, as ``copy_jobs.approval`` holds it; NULL where none is needed."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


LIVE = frozenset({Status.PENDING, Status.RUNNING, Status.PAUSED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset(
        {
            Status.RUNNING,  # a worker claims it: attempt + 1, a lease
            Status.PAUSED,  # nobody had started
            Status.CANCELLED,  # nobody had started, or the second person said no
            Status.FAILED,  # too many attempts were lost with their workers
        }
    ),
    Status.RUNNING: frozenset(
        {
            Status.COMPLETED,  # counted and compared: both sides agree
            Status.FAILED,  # a permanent error, or no attempts left
            Status.PAUSED,  # somebody asked; taken at a chunk's end
            Status.CANCELLED,  # somebody asked; taken at a chunk's end
            Status.PENDING,  # shutdown at a chunk's end, a retry later, a question, or the worker was lost
        }
    ),
    Status.PAUSED: frozenset({Status.PENDING, Status.CANCELLED}),
    Status.FAILED: frozenset({Status.PENDING}),  # somebody retries it
    Status.COMPLETED: frozenset(),
    Status.CANCELLED: frozenset(),
}


def may_become(old: Status, new: Status) -> bool:
    return new in TRANSITIONS[old]


def sources_of(new: Status) -> list[Status]:
    """The states from which a job can become ``new``: what an UPDATE has to ask for."""
    return [old for old in Status if may_become(old, new)]

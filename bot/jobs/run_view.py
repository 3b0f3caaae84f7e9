"""A run at one moment: the jobs that one press asked for, which share a card and a reply."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.jobs.status import RunKind, Status
from bot.jobs.view import JobView, Moved, Person


@dataclass(frozen=True, slots=True)
class RunView:
    """``jobs`` are in the order in which they were asked for. ``now`` is consulta's clock.

    ``set_name`` is that of a set of copies, and ``set_title`` what messages call it. ``liquidations`` are
    those that were asked for. ``round`` counts how often it was set going again. ``moved_from`` is the
    channel that its card had to leave. ``pinned`` is None where nobody knows whether Slack has taken the
    card's pin. ``spent`` has the seconds from the first chunk of a set's table to its last, by its job.
    """

    id: int
    kind: RunKind
    set_name: str | None
    liquidations: tuple[int, ...]
    jobs: tuple[JobView, ...]
    round: int
    requester: Person
    channel_id: str | None
    message_ts: str | None
    created_at: datetime
    ended_at: datetime | None
    now: datetime
    pinned: bool | None = None
    moved_from: Moved | None = None
    is_read_outside: bool = False
    set_title: str | None = None
    spent: Mapping[int, float] = field(default_factory=dict)
    schema: str = "traspaso"

    @property
    def is_live(self) -> bool:
        """One of its jobs is still going to write."""
        return self.ended_at is None

    @property
    def attempt(self) -> int:
        """What tells its messages apart, as a job's attempt does: its round."""
        return self.round

    @property
    def requester_id(self) -> str:
        return self.requester.id

    @property
    def named(self) -> str:
        """For the log."""
        return f"run {self.id}"

    @property
    def set_shown(self) -> str | None:
        """What messages call its set; None where it is none."""
        return self.set_title or self.set_name

    @property
    def live(self) -> tuple[JobView, ...]:
        return tuple(job for job in self.jobs if job.is_live)

    @property
    def failed(self) -> tuple[JobView, ...]:
        return self._in(Status.FAILED)

    @property
    def completed(self) -> tuple[JobView, ...]:
        return self._in(Status.COMPLETED)

    @property
    def waiting_for_approval(self) -> tuple[JobView, ...]:
        return tuple(job for job in self.jobs if job.waits_for_approval)

    @property
    def waiting_for_confirmation(self) -> tuple[JobView, ...]:
        return tuple(job for job in self.jobs if job.waits_for_confirmation)

    @property
    def asking(self) -> tuple[JobView, ...]:
        """The jobs that found other numbers than were shown, and wait for somebody's answer."""
        return tuple(job for job in self.jobs if job.waits_for_somebody and job.question is not None)

    @property
    def planned(self) -> tuple[JobView, ...]:
        """The jobs that wait for their time, and for nothing else."""
        return tuple(job for job in self.jobs if job.waits_for_its_time)

    @property
    def begins_at(self) -> datetime | None:
        """The moment before which nobody takes what was asked for later; None where that has come, or it was
        for at once.
        """
        coming = [job.start_at for job in self.live if job.start_at is not None and job.start_at > self.now]
        return min(coming, default=None)

    @property
    def is_from_slack(self) -> bool:
        return self.channel_id is not None

    @property
    def requester_locale(self) -> str | None:
        return self.jobs[0].requester_locale

    @property
    def copy_names(self) -> tuple[str, ...]:
        """The copies of its jobs, each once."""
        return tuple(dict.fromkeys(job.copy_name for job in self.jobs))

    @property
    def total(self) -> int:
        """Rows in prod: counted ones, else those that were shown before the press."""
        return sum(_rows(job) for job in self.jobs)

    @property
    def copied(self) -> int:
        """Rows in place; all of a completed job."""
        return sum(min(job.copied, _rows(job)) for job in self.jobs)

    @property
    def fraction(self) -> float:
        """Rows in place of rows in prod, 0 to 1; 1 only where all jobs are completed.

        A job of which nobody knows yet how many rows it has counts as much as the others on average.
        """
        if len(self.completed) == len(self.jobs):
            return 1.0
        known = [_rows(job) for job in self.jobs if _is_known(job)]
        usual = sum(known) / len(known) if sum(known) else 1.0
        whole = sum(known) + usual * (len(self.jobs) - len(known))
        done = self.copied / whole if whole else len(self.completed) / len(self.jobs)
        return min(done, math.nextafter(1.0, 0.0))

    @property
    def seconds(self) -> float:
        """From the request, or from the last time that it was set going again, to its end."""
        began = min((job.started_at for job in self.jobs if job.started_at), default=self.created_at)
        return max(0.0, ((self.ended_at or self.now) - began).total_seconds())

    def _in(self, status: Status) -> tuple[JobView, ...]:
        return tuple(job for job in self.jobs if job.status is status)


def _is_known(job: JobView) -> bool:
    return job.total is not None or job.terms.in_prod is not None


def _rows(job: JobView) -> int:
    if job.status is Status.COMPLETED or job.total is not None:
        return job.total or 0
    return job.terms.in_prod or 0


def together(jobs: Sequence[JobView], runs: Mapping[int, RunView]) -> list[JobView | RunView]:
    """The same list with each run once, in the place of the first of its jobs."""
    found: list[JobView | RunView] = []
    there = set[int]()
    for job in jobs:
        run = runs.get(job.run_id) if job.run_id is not None else None
        if run is None:
            found.append(job)
        elif run.id not in there:
            there.add(run.id)
            found.append(run)
    return found


def answered(jobs: Sequence[JobView]) -> str:
    """Stands for these jobs and the numbers that each of them shows: an answer counts for these only."""
    parts = []
    for job in jobs:
        counts = job.question.numbers if job.question else None
        parts.append(f"{job.id} {counts}" if counts else f"{job.id}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

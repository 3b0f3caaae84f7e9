"""What the panel on App Home shows at one moment, frozen, and how its reader has filtered it."""

from __future__ import annotations

from dataclasses import dataclass

from bot.jobs.snapshot import Freeze, JobView, NoWorker
from bot.jobs.statuses import Status


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

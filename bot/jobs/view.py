"""What a screen reads of jobs, frozen: their views, and the row counts and questions that they carry.

A job's row keeps what was shown before the last press. Where that no longer holds when a worker has counted
both sides, nothing is written and the job asks again with the numbers of that moment: a `Question`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from bot.jobs.failure import Failure
from bot.jobs.models import Approval, Phase, RunKind, Status, StopReason

if TYPE_CHECKING:
    from bot.jobs.freshness import Watched


class Reason(StrEnum):
    """Why a job asks again, the strongest first."""

    REMOVAL = "removal"  # prod has no rows, and nobody has confirmed that consulta's are to go
    APPROVAL = "approval"  # so many rows need a second person, and none has approved them
    MOVED = "moved"  # prod holds another number of rows than was shown
    SURPLUS = "surplus"  # more of consulta's rows would go than was shown


def apart(shown: int, now: int) -> bool:
    """Whether a number is more than a tenth away from the one that was shown."""
    return abs(now - shown) * 10 > shown


def more(shown: int, now: int) -> bool:
    """Whether a number is more than a tenth above the one that was shown; above 0 any is."""
    return (now - shown) * 10 > shown


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of the liquidation on both sides, as a button shows them: a press of it counts for these only.

    ``deleted`` are those of consulta that would be deleted, where that is known to the row.
    """

    in_prod: int
    in_consulta: int
    deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """The rows of both sides now, and those that had been shown; None for what wasn't known.

    ``deleted`` are the rows of consulta that would be deleted now, and ``shown_deleted`` those that had been
    shown, where these are known to the row.
    """

    reason: Reason
    in_prod: int
    in_consulta: int
    shown_in_prod: int | None
    shown_in_consulta: int | None
    deleted: int | None = None
    shown_deleted: int | None = None

    @property
    def numbers(self) -> RowCounts:
        return RowCounts(self.in_prod, self.in_consulta, self.deleted)

    @property
    def removed(self) -> int:
        """How many rows of consulta would go; at least so many, where that isn't known to the row."""
        return max(0, self.in_consulta - self.in_prod) if self.deleted is None else self.deleted

    @property
    def removes_everything(self) -> bool:
        return self.in_prod == 0 and self.in_consulta > 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        return cls(
            Reason(found["reason"]),
            found["in_prod"],
            found["in_consulta"],
            found["shown_in_prod"],
            found["shown_in_consulta"],
            found.get("deleted"),  # a release before this one wrote none
            found.get("shown_deleted"),
        )


@dataclass(frozen=True, slots=True)
class AgreedCounts:
    """The rows that were shown, None for what wasn't known, and whether a removal of all was confirmed.

    ``deleted`` are the rows of consulta that would be deleted, where they were shown to the row.
    """

    in_prod: int | None
    in_consulta: int | None
    removal_confirmed: bool
    deleted: int | None = None

    def broken_by(
        self,
        total: int,
        held: int,
        *,
        needs_approval: bool,
        approved: bool,
        own_rows: int = 0,
        deleted: int | None = None,
    ) -> Question | None:
        """What to ask where ``total`` rows in prod and ``held`` ones in consulta aren't what was shown.

        Consulta's number alone is not compared: earlier attempts of the job may have put ``own_rows`` there,
        which are no surplus. Where prod has none any more, they would go all the same, and are asked about.
        ``deleted`` are the rows of consulta that would be deleted now, None where that isn't known. Where it
        was shown to the row how many go, a tenth of these may go beside them: none, where none were.
        """
        unseen = self.in_prod is None and (needs_approval or approved)  # nobody has agreed to a number
        unapproved = unseen or (needs_approval and not approved)
        surplus = max(0, max(0, held - own_rows) - total)
        goes = surplus if deleted is None else max(surplus, deleted - max(0, own_rows))
        reason = self._reason(total, held, goes, unapproved=unapproved)
        if reason is None:
            return None
        return Question(
            reason,
            in_prod=total,
            in_consulta=held,
            shown_in_prod=self.in_prod,
            shown_in_consulta=self.in_consulta,
            deleted=deleted,
            shown_deleted=self.deleted,
        )

    def _reason(self, total: int, held: int, goes: int, *, unapproved: bool) -> Reason | None:
        if total == 0 and held > 0 and not self.removal_confirmed:
            return Reason.REMOVAL
        if unapproved:
            return Reason.APPROVAL
        if self.in_prod is not None and apart(self.in_prod, total):
            return Reason.MOVED
        if more(self.deleted, goes) if self.deleted is not None else goes > self._removable:
            return Reason.SURPLUS
        return None

    @property
    def _removable(self) -> float:
        """So many rows of consulta may go by what was shown, and a tenth of the larger side more."""
        prod, consulta = self.in_prod or 0, self.in_consulta or 0
        surplus = 0 if self.in_prod is None else max(0, consulta - prod)
        return surplus + max(prod, consulta) / 10


#: Of a job of which nobody was shown anything.
NOTHING_SHOWN = AgreedCounts(None, None, removal_confirmed=False)


# ----------------------------------------------------------------------------
# A job, and App Home, at one moment: all that a message, a table or a terminal shows comes from here.


#: A process that says nothing for so long is lost.
SILENT = timedelta(seconds=10)

#: Seconds below which a time is shown as less than a second, and no rate is told by it.
SHORTEST = 0.05

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
    """Nothing is written while it lasts: somebody's, or a ``window`` of the configuration by its name.

    ``channel_id`` is where it was made; None for a shell. It is over at ``until``; None for when somebody
    lifts it.
    """

    by: Person | None
    reason: str | None
    since: datetime
    channel_id: str | None = None
    until: datetime | None = None
    window: str | None = None


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
class NotificationDetail:
    """Names and numbers for the words of a notification, never the value of a row.

    ``copy`` or ``set_name`` is what it is about, with one liquidation, or several and so many ``more``.
    ``schedule`` and ``due_at`` are those of a scheduled copy, ``since`` when what is told began.
    """

    copy: str | None = None
    set_name: str | None = None
    liquidation_id: int | None = None
    liquidations: tuple[int, ...] = ()
    more: int = 0
    schedule: str | None = None
    due_at: datetime | None = None
    since: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """As the outbox keeps it: what isn't there is left out."""
        moments = {"due_at": self.due_at, "since": self.since}
        found: dict[str, Any] = {
            "copy": self.copy,
            "set": self.set_name,
            "liquidation_id": self.liquidation_id,
            "liquidations": list(self.liquidations),
            "more": self.more,
            "schedule": self.schedule,
            **{name: moment.isoformat() for name, moment in moments.items() if moment is not None},
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            copy=value.get("copy"),
            set_name=value.get("set"),
            liquidation_id=value.get("liquidation_id"),
            liquidations=tuple(value.get("liquidations") or ()),
            more=value.get("more") or 0,
            schedule=value.get("schedule"),
            due_at=_moment(value.get("due_at")),
            since=_moment(value.get("since")),
        )


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


@dataclass(frozen=True, slots=True)
class Working:
    """What became of the time since a job's first claim, in seconds: all its attempts together.

    ``paused`` is from a pause or a freeze until it was let go on, ``waited`` the rest in which nobody worked.
    ``until`` is when the last attempt ended, None while one runs. ``broken`` counts attempts that failed in
    passing or lost their worker.
    """

    worked: float
    paused: float
    waited: float
    until: datetime | None = None
    broken: int = 0


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
    """One job. ``copy_title`` is what messages call its copy, None where the configuration has none.

    Times are aware, ``now`` is consulta's clock; rows and bytes are those of the attempt.

    ``total`` is None until the snapshot was counted. ``ahead`` counts the live jobs asked for earlier.
    ``error`` is what failed last, None where nothing did. ``lag_mb``: the copy waits for a standby of
    consulta that is so far behind.
    ``terms`` are the rows of both sides that were shown before the last press. ``question`` is what a
    worker found instead: it asks again, and nobody may take it meanwhile. ``approvers`` says, as messages
    show them, which groups and users were asked to approve it. ``stop_requested`` is what a running job
    was asked for and hasn't done yet. ``freeze`` is the one that is active now, for every job.
    ``second_group_at`` is when a second group is asked to approve it too. ``request_reason`` and
    ``approval_reason`` are in the words of whoever asked for it, and approved it.
    ``moved_from`` is the channel that its card had to leave. ``pinned`` is None where nobody knows whether
    Slack has taken the card's pin. ``worker_seen_at`` is when the process that holds it last said that
    it lives; None where it is of a release that doesn't. ``no_worker`` says that nobody works on any job.
    ``working`` is None before the first claim. ``values_job`` is the completed job that compared all values:
    another one where this one's proof builds on it by row versions. ``schema`` is where its tracking
    tables are: installations beside each other have jobs of the same number.
    ``schedule`` is the name of the schedule that asked for it. ``start_at`` is before when nobody takes it;
    None for a job that was for at once. ``run_id`` is the run that it belongs to: then ``channel_id``,
    ``message_ts``, ``pinned`` and ``moved_from`` are those of the run's card.
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
    lag_mb: float | None
    error: Failure | None
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
    second_group_at: datetime | None = None
    request_reason: str | None = None
    approval_reason: str | None = None
    rejection_reason: str | None = None
    is_read_outside: bool = False
    approvers: tuple[str, ...] = ()
    freeze: Freeze | None = None
    moved_from: Moved | None = None
    pinned: bool | None = None
    worker_seen_at: datetime | None = None
    no_worker: NoWorker | None = None
    copy_title: str | None = None
    working: Working | None = None
    values_job: int | None = None
    schema: str = "traspaso"
    schedule: str | None = None
    start_at: datetime | None = None
    run_id: int | None = None

    @property
    def is_live(self) -> bool:
        """Still going to write."""
        return self.status.is_live

    @property
    def named(self) -> str:
        """For the log."""
        return f"job {self.id}"

    @property
    def copy_shown(self) -> str:
        """What messages call the copy: a liquidation may have several."""
        return self.copy_title or self.copy_name

    @property
    def fraction(self) -> float | None:
        """Rows in place of rows in prod, 0 to 1; None while the total is unknown."""
        if self.total is None:
            return None
        return min(1.0, self.copied / self.total) if self.total else 1.0

    @property
    def seconds(self) -> float | None:
        """How long it was worked on, in all attempts, without pauses and waiting; None before the first."""
        if self.working is not None:
            return self.working.worked
        if self.started_at is None:
            return None
        return max(0.0, ((self.finished_at or self.now) - self.started_at).total_seconds())

    @property
    def rate(self) -> float | None:
        """Rows a second: of a completed job those of prod by `seconds`, else those of this attempt's copying.

        None until a chunk is in place, and where the time is too short to say.
        """
        if self.status is Status.COMPLETED:
            rows, seconds = self.total or 0, self.seconds
        else:
            rows, seconds = self.copied, self.seconds_of(Phase.COPYING)
        if not rows or seconds is None or seconds < SHORTEST:
            return None
        return rows / seconds

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
        until = self.working.until if self.working else None
        return max(0.0, ((after or until or self.finished_at or self.now) - began).total_seconds())

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
    def waits_for_its_time(self) -> bool:
        """It was asked for later, and nothing else is in its way."""
        return (
            self.status is Status.PENDING
            and self.start_at is not None
            and self.start_at > self.now
            and not self.waits_for_somebody
        )

    @property
    def waits_for_a_worker(self) -> bool:
        """Nothing else is in its way, but nobody works."""
        return (
            self.status is Status.PENDING
            and self.no_worker is not None
            and self.freeze is None
            and not self.waits_for_somebody
            and not self.waits_for_its_time
        )

    @property
    def second_group_is_asked(self) -> bool:
        """It has waited for so long that the second group may approve it."""
        return (
            self.waits_for_approval and self.second_group_at is not None and self.second_group_at <= self.now
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
class NextFiring:
    """When a schedule is due next, and which copy or set it is of, as messages call it."""

    schedule: str
    copy_shown: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NextWindow:
    """A window of the configuration, open or to come."""

    name: str
    begin: datetime
    end: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class HomeView:
    """``live`` is oldest first, ``latest`` newest first and filtered; ``reader_id`` is Slack's user id.

    ``coming`` are the next due times of the schedules, ``window`` is the freeze window that begins next.
    ``watched`` is what the watch knows, with the ``titles`` of the copies. ``runs`` are those to which any of
    the jobs belongs, by their numbers.
    """

    reader_id: str
    live: tuple[JobView, ...]
    latest: tuple[JobView, ...]
    filters: HomeFilters
    freeze: Freeze | None
    no_worker: NoWorker | None = None
    coming: tuple[NextFiring, ...] = ()
    window: NextWindow | None = None
    watched: Watched | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[int, RunView] = field(default_factory=dict)

    @property
    def waiting_for_approval(self) -> tuple[JobView, ...]:
        return tuple(job for job in self.live if job.waits_for_approval)

    @property
    def under_way(self) -> tuple[JobView, ...]:
        """Live jobs that nobody has to approve first."""
        return tuple(job for job in self.live if not job.waits_for_approval)


# ----------------------------------------------------------------------------
# Runs
#
# A run at one moment: the jobs that one press asked for, which share a card and a reply.


#: Of the states of several jobs the first that is there says most of them all.
MOST_TELLING = (
    Status.RUNNING,
    Status.FAILED,
    Status.PAUSED,
    Status.PENDING,
    Status.CANCELLED,
    Status.COMPLETED,
)


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
    def is_one_set(self) -> bool:
        """It copies the set of one liquidation."""
        return self.kind is RunKind.SET and len(self.liquidations) == 1

    @property
    def sets(self) -> tuple[RunView, ...]:
        """The set of each liquidation, as if it were a run alone; none where it copies no set."""
        if self.kind is not RunKind.SET:
            return ()
        own: dict[int, list[JobView]] = {number: [] for number in self.liquidations}
        for job in self.jobs:
            own.setdefault(job.liquidation_id, []).append(job)
        return tuple(self._of(number, tuple(jobs)) for number, jobs in own.items() if jobs)

    def _of(self, liquidation_id: int, jobs: tuple[JobView, ...]) -> RunView:
        is_live = any(job.is_live for job in jobs)
        ended = None if is_live else max((job.finished_at for job in jobs if job.finished_at), default=None)
        return replace(self, liquidations=(liquidation_id,), jobs=jobs, ended_at=ended or self.ended_at)

    @property
    def parts(self) -> tuple[JobView, ...] | tuple[RunView, ...]:
        """What its card has a line for: its jobs, or the sets of several liquidations."""
        return self.sets if len(self.liquidations) > 1 and self.sets else self.jobs

    def count(self, jobs: Iterable[JobView]) -> int:
        """How many copies these of its jobs are: a set is one."""
        if self.kind is not RunKind.SET:
            return len({job.id for job in jobs})
        return len({job.liquidation_id for job in jobs})

    @property
    def status(self) -> Status:
        """The one that says most of its jobs: of a set, whose jobs begin and end together, that of all."""
        return min((job.status for job in self.jobs), key=MOST_TELLING.index)

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

"""What happened to a job: the kinds of ``copy_events.kind``, and the details that each has as JSON.

Rows of older releases stay readable: a detail that is missing there has a default. An event of a newer
release is a `Plain` one, with the kind that the row has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self

from bot.jobs.failure import Failure
from bot.jobs.view import Moved, Question, RowCounts, Working

Detail = Mapping[str, Any]


class EventKind(StrEnum):
    """What happened."""

    REQUESTED = "requested"
    CLAIMED = "claimed"
    RELEASED = "released"
    FROZEN = "frozen"
    WORKER_LOST = "worker_lost"
    RETRY = "retry"
    FAILED = "failed"
    COMPLETED = "completed"
    CARD_MOVED = "card_moved"
    PERMISSION_NOT_KNOWN = "permission_not_known"
    ASKED_AGAIN = "asked_again"
    CONFIRMED = "confirmed"
    APPROVED = "approved"
    REJECTED = "rejected"
    APPROVAL_EXPIRED = "approval_expired"
    SECOND_GROUP_ASKED = "second_group_asked"
    PAUSE_REQUESTED = "pause_requested"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    NOT_TOLD = "not_told"
    STARTED_NOW = "started_now"


#: Presses that set a job going again.
SETS_GOING = (EventKind.RESUMED, EventKind.RETRIED, EventKind.CONFIRMED)
#: What a person or a freeze has ended: until the job is let go on it is paused.
PAUSES = (EventKind.PAUSED, EventKind.FROZEN)
#: What ends an attempt, whatever becomes of the job.
ENDS_ATTEMPT = (
    *PAUSES,
    EventKind.RELEASED,
    EventKind.WORKER_LOST,
    EventKind.RETRY,
    EventKind.FAILED,
    EventKind.COMPLETED,
    EventKind.ASKED_AGAIN,
    EventKind.CANCELLED,
)
#: What ends an attempt that counts as broken.
BREAKS_ATTEMPT = (EventKind.RETRY, EventKind.WORKER_LOST)


class Event(Protocol):
    """One event; `event_of` reads it back."""

    @property
    def kind(self) -> str: ...

    def as_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Plain:
    """An event without details."""

    kind: str

    def as_json(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Requested:
    """``approvers``, as messages show them, were asked to approve it; None where nobody has to.

    ``reason`` is why it was asked for, where that was said. ``schedule`` is the name of the one that asked;
    ``start_at`` is before when it doesn't begin.
    """

    kind: ClassVar[str] = EventKind.REQUESTED
    approvers: tuple[str, ...] | None = None
    reason: str | None = None
    schedule: str | None = None
    start_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {} if self.approvers is None else {"approvers": list(self.approvers)}
        if self.reason:
            found["reason"] = self.reason
        if self.schedule is not None:
            found["schedule"] = self.schedule
        if self.start_at is not None:
            found["start_at"] = self.start_at.timestamp()
        return found

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        start = detail.get("start_at")
        start_at = None if start is None else datetime.fromtimestamp(start, UTC)
        return cls(_approvers(detail), detail.get("reason"), detail.get("schedule"), start_at)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt began, in this worker."""

    kind: ClassVar[str] = EventKind.CLAIMED
    worker: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(str(detail.get("worker", "?")))


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The attempt was lost with this worker; None where the row didn't name it."""

    kind: ClassVar[str] = EventKind.WORKER_LOST
    worker: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(detail.get("worker", "?"))


@dataclass(frozen=True, slots=True)
class Retry:
    """A passing failure: the next attempt is due in ``seconds``."""

    kind: ClassVar[str] = EventKind.RETRY
    failure: Failure
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "message": self.failure.sentence, **self.failure.as_json()}

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(_failure(detail), float(detail.get("seconds", 0)))


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with this failure."""

    kind: ClassVar[str] = EventKind.FAILED
    failure: Failure

    def as_json(self) -> dict[str, Any]:
        return {"message": self.failure.sentence, **self.failure.as_json()}

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(_failure(detail))


@dataclass(frozen=True, slots=True)
class Completed:
    """Both sides have so many rows, and this digest."""

    kind: ClassVar[str] = EventKind.COMPLETED
    rows: int
    digest: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(int(detail.get("rows", 0)), detail.get("digest"))


@dataclass(frozen=True, slots=True)
class CardMoved:
    """The card had to leave its channel."""

    kind: ClassVar[str] = EventKind.CARD_MOVED
    moved: Moved

    def as_json(self) -> dict[str, Any]:
        return asdict(self.moved)

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(Moved(detail["channel"], detail["reason"]))


@dataclass(frozen=True, slots=True)
class PermissionNotKnown:
    """Slack didn't say whether the requester still may copy."""

    kind: ClassVar[str] = EventKind.PERMISSION_NOT_KNOWN
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(detail.get("reason"))


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """The job asks; ``approvers`` as in `Requested`."""

    kind: ClassVar[str] = EventKind.ASKED_AGAIN
    question: Question
    approvers: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        return self.question.as_json() | Requested(self.approvers).as_json()

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(Question.from_json(detail), _approvers(detail))


@dataclass(frozen=True, slots=True)
class SecondGroupAsked:
    """It had waited for long: ``group`` may approve it too; ``approvers`` are all who may by now."""

    kind: ClassVar[str] = EventKind.SECOND_GROUP_ASKED
    group: str
    approvers: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"group": self.group, "approvers": list(self.approvers)}

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(str(detail.get("group", "?")), _approvers(detail) or ())


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Its requester agreed to these numbers."""

    kind: ClassVar[str] = EventKind.CONFIRMED
    numbers: RowCounts

    def as_json(self) -> dict[str, Any]:
        return {name: number for name, number in asdict(self.numbers).items() if number is not None}

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(RowCounts(detail["in_prod"], detail["in_consulta"], detail.get("deleted")))


@dataclass(frozen=True, slots=True)
class Approved:
    """A second person agreed to these numbers, None for what wasn't known; and why where they said that."""

    kind: ClassVar[str] = EventKind.APPROVED
    in_prod: int | None
    in_consulta: int | None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "reason" or value}

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(detail.get("in_prod"), detail.get("in_consulta"), detail.get("reason"))


@dataclass(frozen=True, slots=True)
class Rejected:
    """A second person said no, and why if they wanted to."""

    kind: ClassVar[str] = EventKind.REJECTED
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {} if self.reason is None else {"reason": self.reason}

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(detail.get("reason"))


@dataclass(frozen=True, slots=True)
class NotTold:
    """A destination was never told of an occasion; ``reason`` is of the last try."""

    kind: ClassVar[str] = EventKind.NOT_TOLD
    destination: str
    occasion: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, detail: Detail) -> Self:
        return cls(*(str(detail.get(name, "?")) for name in ("destination", "occasion", "reason")))


DETAILED = (
    Requested,
    Claimed,
    WorkerLost,
    Retry,
    Failed,
    Completed,
    CardMoved,
    PermissionNotKnown,
    AskedAgain,
    SecondGroupAsked,
    Confirmed,
    Approved,
    Rejected,
    NotTold,
)


def event_of(kind: str, detail: Detail) -> Event:
    """The event that a row of ``copy_events`` holds."""
    for found in DETAILED:
        if found.kind == kind:
            return found.from_json(detail)
    return Plain(kind)


def _failure(detail: Detail) -> Failure:
    # The event's own seconds aren't the failure's: they say how long until the next try.
    names = {name: value for name, value in detail.items() if name != "seconds"}
    return Failure.from_json(names, detail.get("message", ""))


def _approvers(detail: Detail) -> tuple[str, ...] | None:
    found = detail.get("approvers")
    return None if found is None else tuple(found)


def working_of(marks: Sequence[tuple[str, float]], end: datetime) -> Working | None:
    """What became of the time from a job's first claim until ``end``; None where it was never claimed.

    ``marks`` are its events that begin or end an attempt, or let it go on, in their order: each with its kind
    and its seconds since 1970.
    """
    times: dict[str, float] = defaultdict(float)
    doing, since, broken, until = "", 0.0, 0, None
    for kind, at in [*marks, ("", end.timestamp())]:
        if doing == EventKind.CLAIMED and kind in SETS_GOING:
            continue  # it was to pause, and went on before it had stopped
        times[doing] += max(0.0, at - since)
        if kind in ENDS_ATTEMPT and doing == EventKind.CLAIMED:
            until, broken = at, broken + (kind in BREAKS_ATTEMPT)
        elif kind == EventKind.CLAIMED:
            until = None
        doing, since = (kind if doing or kind == EventKind.CLAIMED else ""), at
    if not any(kind == EventKind.CLAIMED for kind, _ in marks):
        return None
    times.pop("")
    worked, paused = times.pop(EventKind.CLAIMED), sum(times.pop(kind, 0.0) for kind in PAUSES)
    ended = datetime.fromtimestamp(until, UTC) if until is not None else None
    return Working(worked, paused, sum(times.values()), ended, broken)

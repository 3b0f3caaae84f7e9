"""The transition table is what the design draws, and closed."""

from __future__ import annotations

from bot.jobs.models import LIVE, Status
from bot.jobs.status import TRANSITIONS

P, R, Z, C, F, X = (
    Status.PENDING,
    Status.RUNNING,
    Status.PAUSED,
    Status.COMPLETED,
    Status.FAILED,
    Status.CANCELLED,
)


def may_become(old: Status, new: Status) -> bool:
    return new in TRANSITIONS[old]


def sources_of(new: Status) -> list[Status]:
    """The states from which a job can become ``new``."""
    return [old for old in Status if may_become(old, new)]


def test_only_a_running_job_can_complete() -> None:
    assert sources_of(C) == [R]


def test_what_has_ended_well_stays_so() -> None:
    assert not TRANSITIONS[C]
    assert not TRANSITIONS[X]


def test_a_failed_job_can_only_be_tried_again() -> None:
    assert TRANSITIONS[F] == {P}


def test_a_paused_job_doesn_t_run_without_waiting_first() -> None:
    assert not may_become(Z, R)
    assert may_become(Z, P)


def test_no_state_becomes_itself_and_every_one_can_be_left_or_is_an_end() -> None:
    assert not any(may_become(status, status) for status in Status)
    assert {status for status in Status if not TRANSITIONS[status]} == {C, X}


def test_every_live_job_can_come_to_an_end() -> None:
    def reaches_an_end(status: Status, seen: frozenset[Status] = frozenset()) -> bool:
        return status not in LIVE or any(
            reaches_an_end(after, seen | {status}) for after in TRANSITIONS[status] - seen
        )

    assert all(reaches_an_end(status) for status in LIVE)

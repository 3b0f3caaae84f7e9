"""What happened to a job is read back as it was written, also from rows of older and newer releases."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from bot.jobs.events import (
    DETAILED,
    Approved,
    AskedAgain,
    CardMoved,
    Claimed,
    Completed,
    Confirmed,
    Event,
    EventKind,
    Failed,
    PermissionNotKnown,
    Plain,
    Requested,
    Retry,
    WorkerLost,
    event_of,
    working_of,
)
from bot.jobs.failure import Failure
from bot.jobs.view import Moved, Question, Reason, RowCounts

FAILURE = Failure(
    "unique", "a sentence", side="consulta", table="items", constraint="items_pkey", lines=["x"]
)
QUESTION = Question(Reason.MOVED, 9, 4, 5, None)

WRITTEN: list[tuple[Event, dict[str, object]]] = [
    (Requested(), {}),
    (Requested(("<@U0BOB>",)), {"approvers": ["<@U0BOB>"]}),
    (Claimed("host:1"), {"worker": "host:1"}),
    (WorkerLost("host:1"), {"worker": "host:1"}),
    (Retry(FAILURE, 5.0), {"seconds": 5.0, "message": "a sentence", **FAILURE.as_json()}),
    (Failed(FAILURE), {"message": "a sentence", **FAILURE.as_json()}),
    (Completed(7, "c0ffee"), {"rows": 7, "digest": "c0ffee"}),
    (CardMoved(Moved("C0", "is_archived")), {"channel": "C0", "reason": "is_archived"}),
    (PermissionNotKnown("ratelimited"), {"reason": "ratelimited"}),
    (AskedAgain(QUESTION), QUESTION.as_json()),
    (AskedAgain(QUESTION, ("<@U0BOB>",)), {**QUESTION.as_json(), "approvers": ["<@U0BOB>"]}),
    (Confirmed(RowCounts(9, 4)), {"in_prod": 9, "in_consulta": 4}),
    (Approved(9, None), {"in_prod": 9, "in_consulta": None}),
    (Plain(EventKind.PAUSED), {}),
]


@pytest.mark.parametrize(("event", "detail"), WRITTEN, ids=[str(event.kind) for event, _ in WRITTEN])
def test_an_event_is_kept_as_ever_and_read_back_as_it_was(event: Event, detail: dict[str, object]) -> None:
    kept = json.loads(json.dumps(event.as_json()))
    assert kept == detail
    assert event_of(str(event.kind), kept) == event


def test_an_event_of_a_newer_release_is_read_without_its_details() -> None:
    assert event_of("teleported", {"where": "elsewhere"}) == Plain("teleported")


def test_every_kind_with_details_is_written_by_one_class() -> None:
    kinds = [found.kind for found in DETAILED]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) <= set(EventKind)


@pytest.mark.parametrize(
    ("marks", "worked", "paused", "waited", "broken"),
    [
        ([("claimed", 10)], 90, 0, 0, 0),
        ([("claimed", 10), ("completed", 12)], 2, 0, 88, 0),
        (
            [("claimed", 10), ("paused", 11), ("resumed", 71), ("claimed", 72), ("completed", 100)],
            29,
            60,
            1,
            0,
        ),
        ([("claimed", 10), ("frozen", 20), ("claimed", 90)], 20, 70, 0, 0),
        ([("claimed", 10), ("worker_lost", 20), ("claimed", 60)], 50, 0, 40, 1),
        ([("claimed", 10), ("retry", 20), ("claimed", 25), ("retry", 30), ("claimed", 60)], 55, 0, 35, 2),
        ([("claimed", 10), ("failed", 20), ("retried", 90), ("claimed", 95)], 15, 0, 75, 0),
        ([("claimed", 10), ("asked_again", 11), ("confirmed", 91), ("claimed", 92)], 9, 0, 81, 0),
        ([("claimed", 10), ("paused", 40)], 30, 60, 0, 0),
        # It was to pause, twice, and went on before it had stopped.
        ([("claimed", 10), ("resumed", 20), ("resumed", 30), ("completed", 100)], 90, 0, 0, 0),
        # What was before the first claim isn't told.
        ([("paused", 1), ("resumed", 5), ("claimed", 10), ("completed", 100)], 90, 0, 0, 0),
    ],
)
def test_a_job_s_time_is_work_pauses_and_waiting(
    marks: list[tuple[str, float]], worked: float, paused: float, waited: float, broken: int
) -> None:
    found = working_of(marks, datetime.fromtimestamp(100, UTC))
    assert found is not None
    assert (found.worked, found.paused, found.waited, found.broken) == (worked, paused, waited, broken)
    running = marks[-1][0] in {"claimed", "resumed"}
    assert (found.until is None) == running


def test_a_job_that_was_never_claimed_has_no_time() -> None:
    assert working_of([], datetime.fromtimestamp(100, UTC)) is None
    assert working_of([("paused", 10), ("cancelled", 20)], datetime.fromtimestamp(100, UTC)) is None

"""What happened to a job is read back as it was written, also from rows of older and newer releases."""

from __future__ import annotations

import json

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

"""The details of a job fit into a modal, however long its story is."""

from __future__ import annotations

from typing import Any

import pytest

from bot.jobs.events import Claimed, event_of
from bot.jobs.repository import Happening, Timeline
from bot.messages import answers
from bot.messages.status import answer, details, loading
from dev.local_slack.plain import plain
from tests.shown import BOB, DETAILS, EN, ES, EVENTS, NOW, SHAPES, check_view, job


@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
def test_the_details_of_every_state_fit_into_a_modal(t: Any) -> None:
    for shape in SHAPES:
        events = tuple(
            Happening(event_of(kind, DETAILS.get(kind, {"seconds": 5, "rows": 7})), NOW, 1, BOB)
            for kind in EVENTS
        )
        check_view(details(job(**shape), Timeline(events, ()), t))
        check_view(details(job(**shape), Timeline((), ()), t))
    check_view(loading(t))
    check_view(answer(answers.unknown_job(17, t), t))


def test_a_long_story_shows_its_end_and_counts_the_rest() -> None:
    events = tuple(Happening(Claimed("w"), NOW, number, None) for number in range(1, 201))
    said = plain(details(job(), Timeline(events, ()), EN)["blocks"])
    assert "160 earlier events" in said
    assert "attempt 160 began" not in said
    assert "attempt 161 began" in said
    assert "attempt 200 began" in said

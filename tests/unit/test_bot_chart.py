"""The picture in the thread of a long copy, and the sentence that says the same."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.i18n import translator
from bot.jobs.repository import Stretch
from bot.messages.chart import CELLS, DPI, SIZE, chart, rates
from tests.shown import job

EN, ES = translator("en"), translator("es")
STEADY = [Stretch(second, second + 1.0, 2_000) for second in range(400)]


def stretch(began: float, length: float, rows: int) -> Stretch:
    return Stretch(began, began + length, rows)


def seconds(most: int) -> st.SearchStrategy[float]:
    """Whole microseconds, as the database tells times."""
    return st.integers(0, most * 10**6).map(lambda microseconds: microseconds / 1e6)


stretches = st.lists(
    st.builds(stretch, seconds(10**6), seconds(10**5), st.integers(0, 10**9)), min_size=1, max_size=50
)


def test_a_steady_copy_is_a_flat_line() -> None:
    assert rates(STEADY, 400.0) == pytest.approx([2_000] * CELLS)


def test_lanes_that_work_at_the_same_time_add_up() -> None:
    assert rates([*STEADY, *STEADY], 400.0) == pytest.approx([4_000] * CELLS)


def test_a_pause_is_a_gap_and_a_slow_part_is_low() -> None:
    curve = rates([stretch(0, 100, 100_000), stretch(200, 400, 100_000)], 600.0)
    assert curve[:10] == pytest.approx([1_000] * 10)
    assert curve[10:20] == pytest.approx([0] * 10)
    assert curve[20:] == pytest.approx([250] * 40)


@given(stretches)
def test_no_row_is_lost_in_the_curve(found: list[Stretch]) -> None:
    span = max(each.ended for each in found) or 1.0
    curve = rates(found, span)
    assert min(curve) >= 0
    assert sum(curve) * span / CELLS == pytest.approx(sum(each.rows for each in found), rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
@pytest.mark.parametrize("seconds", [0.5, 400.0, 5 * 3600.0, 9 * 86400.0])
def test_the_picture_is_small_and_its_words_say_what_it_shows(t: Any, seconds: float) -> None:
    steady = [stretch(seconds * n / 50, seconds / 50, 3_000_000) for n in range(50)]
    drawn = chart(job(), steady, t)
    assert drawn is not None
    assert drawn.png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", drawn.png[16:24]) == tuple(round(inches * DPI) for inches in SIZE)
    assert len(drawn.png) < 60_000
    mean = t.number(50 * 3_000_000 / seconds)
    assert drawn.words.count(mean) == 3  # on average, from, to: a flat line
    assert "17" in drawn.words


def test_of_less_than_two_chunks_there_is_nothing_to_draw() -> None:
    assert chart(job(), [], EN) is None
    assert chart(job(), STEADY[:1], EN) is None


def test_each_attempt_has_its_own_picture() -> None:
    first, second = (chart(job(attempt=n), STEADY, ES) for n in (1, 2))
    assert first is not None
    assert second is not None
    assert first.filename != second.filename
    assert first.words != second.words

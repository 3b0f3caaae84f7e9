"""The chart in the ending of a long copy, and the sentence that says the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.i18n import translator
from bot.jobs.view import Stretch
from bot.messages.blocks import CHART_POINTS, line_chart
from bot.messages.card import chart, moments, rates
from dev.local_slack.blocks import check_message_blocks
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
    assert rates(STEADY, 400.0, 60) == pytest.approx([2_000] * 60)


def test_lanes_that_work_at_the_same_time_add_up() -> None:
    assert rates([*STEADY, *STEADY], 400.0, 60) == pytest.approx([4_000] * 60)


def test_a_pause_is_a_gap_and_a_slow_part_is_low() -> None:
    curve = rates([stretch(0, 100, 100_000), stretch(200, 400, 100_000)], 600.0, 60)
    assert curve[:10] == pytest.approx([1_000] * 10)
    assert curve[10:20] == pytest.approx([0] * 10)
    assert curve[20:] == pytest.approx([250] * 40)


@given(stretches, st.integers(1, 60))
def test_no_row_is_lost_in_the_curve(found: list[Stretch], parts: int) -> None:
    span = max(each.ended for each in found) or 1.0
    curve = rates(found, span, parts)
    assert min(curve) >= 0
    assert sum(curve) * span / parts == pytest.approx(sum(each.rows for each in found), rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("t", [EN, ES], ids=["en", "es"])
@pytest.mark.parametrize("seconds", [0.5, 12.0, 400.0, 5 * 3600.0, 9 * 86400.0])
def test_slack_takes_the_block_and_its_words_say_what_it_shows(t: Any, seconds: float) -> None:
    steady = [stretch(seconds * n / 50, seconds / 50, 3_000_000) for n in range(50)]
    drawn = chart(job(), steady, t)
    assert drawn is not None
    check_message_blocks([drawn.block])
    [line] = drawn.block["chart"]["series"]
    assert drawn.block["chart"]["type"] == "line"
    assert [point["label"] for point in line["data"]][-1] == t.duration(seconds)
    mean = t.number(50 * 3_000_000 / seconds)
    assert {t.number(point["value"]) for point in line["data"]} == {mean}
    assert drawn.words.count(mean) == 2  # from, to: a flat line
    assert "17" in drawn.words


@given(stretches, st.sampled_from([EN, ES]))
def test_slack_takes_the_chart_of_any_copy(found: list[Stretch], t: Any) -> None:
    drawn = chart(job(), found, t)
    if drawn is not None:
        check_message_blocks([drawn.block])


@given(st.floats(1e-3, 1e7), st.sampled_from([EN, ES]))
def test_the_labels_all_differ_and_the_last_one_is_the_end(span: float, t: Any) -> None:
    labels = moments(span, t)
    assert 1 <= len(labels) <= CHART_POINTS
    assert len(set(labels)) == len(labels)
    assert labels[-1] == t.duration(span)


def test_a_copy_of_the_usual_length_has_as_many_points_as_slack_takes() -> None:
    for span in (300.0, 3_599.0, 7_201.0, 86_399.0, 90_000.0):
        assert len(moments(span, EN)) == CHART_POINTS


def test_of_less_than_two_chunks_there_is_nothing_to_draw() -> None:
    assert chart(job(), [], EN) is None
    assert chart(job(), STEADY[:1], EN) is None


@pytest.mark.parametrize("ended", [float("inf"), float("nan"), 0.0])
def test_of_times_that_can_t_be_there_is_nothing_to_draw(ended: float) -> None:
    assert chart(job(), [Stretch(0.0, ended, 1)] * 2, EN) is None


def test_each_attempt_has_words_of_its_own() -> None:
    first, second = (chart(job(attempt=n), STEADY, ES) for n in (1, 2))
    assert first is not None
    assert second is not None
    assert first.words != second.words
    assert first.block == second.block


def test_a_chart_is_cut_to_what_slack_takes_and_never_has_too_many_lines_or_points() -> None:
    long = "x" * 60
    check_message_blocks([line_chart(long, {long: [(str(n).rjust(20), 1.5) for n in range(20)]})])
    check_message_blocks([line_chart("t", {str(n): [("a", n)] for n in range(6)})])
    points = [(str(n), 1.0) for n in range(21)]
    wrong: list[dict[str, list[tuple[str, float]]]] = [
        {},
        {"a": []},
        {"a": points},
        {str(n): points[:1] for n in range(7)},
        {"a": points[:2], "b": points[1:3]},
        {"a": points[:1] * 2},
    ]
    for series in wrong:
        with pytest.raises(ValueError, match=r"lines|label"):
            line_chart("t", series)

"""Cron expressions, lengths and times of the day mean one moment, also where the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from bot.time_expressions import Cron, length, next_time, time_of_day, until

NEW_YORK, BUENOS_AIRES = "America/New_York", "America/Argentina/Buenos_Aires"


def there(written: str, zone: str = NEW_YORK, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def times(expression: str, after: datetime, number: int, zone: str = NEW_YORK) -> list[datetime]:
    found = Cron(expression, zone).after(after)
    return [next(found) for _ in range(number)]


def test_a_fixed_time_is_the_same_on_the_clocks_there_in_summer_and_in_winter() -> None:
    assert times("0 2 * * *", there("2026-07-01 03:00"), 1) == [there("2026-07-02 02:00")]
    assert times("0 2 * * *", there("2026-12-01 03:00"), 1) == [there("2026-12-02 02:00")]
    assert there("2026-07-02 02:00").hour != there("2026-12-02 02:00").hour


def test_a_time_that_a_spring_day_doesn_t_have_comes_at_the_next_one_that_it_has() -> None:
    # On 8 March 2026 clocks in New York go from 02:00 to 03:00.
    found = times("30 2 * * *", there("2026-03-07 03:00"), 2)
    assert found == [there("2026-03-08 03:00"), there("2026-03-09 02:30")]


def test_a_time_that_an_autumn_day_has_twice_comes_once() -> None:
    # On 1 November 2026 clocks in New York go from 02:00 back to 01:00.
    found = times("30 1 * * *", there("2026-10-31 12:00"), 2)
    assert found == [there("2026-11-01 01:30"), there("2026-11-02 01:30")]
    after_the_first = there("2026-11-01 01:10", fold=1)
    assert times("30 1 * * *", after_the_first, 1) == [there("2026-11-02 01:30")]


def test_each_hour_is_each_hour_that_passes_on_both_days() -> None:
    spring = times("0 * * * *", there("2026-03-08 00:00"), 4)
    autumn = times("0 * * * *", there("2026-11-01 00:00"), 4)
    for found in (spring, autumn):
        assert {b - a for a, b in pairwise(found)} == {timedelta(hours=1)}


def test_the_times_up_to_a_moment_include_it_and_leave_out_the_one_before() -> None:
    two, three = there("2026-05-01 02:00"), there("2026-05-02 02:00")
    cron = Cron("0 2 * * *", NEW_YORK)
    assert cron.between(two, three) == [three]
    assert cron.between(two, three - timedelta(seconds=1)) == []


@pytest.mark.parametrize("wrong", ["0 2 * *", "0 2 * * * *", "61 2 * * *", "0 0 30 2 *", "daily", ""])
def test_an_expression_that_is_none_or_never_comes_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="write"):
        Cron(wrong, "UTC").check()


@pytest.mark.parametrize(
    ("written", "minutes"), [("90m", 90), ("2h", 120), ("1h30m", 90), ("1d", 1440), ("45min", 45)]
)
def test_a_length_is_read(written: str, minutes: int) -> None:
    assert length(written) == timedelta(minutes=minutes)


@pytest.mark.parametrize("wrong", ["", "0h", "2", "h", "32d", "two hours", "-1h", "٢h"])
def test_what_is_no_length_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="31 days"):
        length(wrong)


NOW = there("2026-11-27 16:00", BUENOS_AIRES)


@pytest.mark.parametrize(
    ("written", "moment", "rest"),
    [
        ("until 18:00", "2026-11-27 18:00", ""),
        ("until 18:00 closing of the month", "2026-11-27 18:00", "closing of the month"),
        ("hasta las 18:00 cierre", "2026-11-27 18:00", "cierre"),
        ("until 15:00", "2026-11-28 15:00", ""),  # over today
        ("until tomorrow 06:00", "2026-11-28 06:00", ""),
        ("hasta mañana 06:00", "2026-11-28 06:00", ""),
        ("hasta mañana a las 6.30", "2026-11-28 06:30", ""),
        ("until 2026-12-01 09:00 audit", "2026-12-01 09:00", "audit"),
        ("for 2h", "2026-11-27 18:00", ""),
        ("por 90m mantenimiento", "2026-11-27 17:30", "mantenimiento"),
        ("durante 1d", "2026-11-28 16:00", ""),
    ],
)
def test_an_end_is_read_as_people_write_it(written: str, moment: str, rest: str) -> None:
    found = until(written.split(), NOW, BUENOS_AIRES)
    assert found is not None
    assert (found.at, found.rest) == (there(moment, BUENOS_AIRES), rest)


@pytest.mark.parametrize("written", ["mantenimiento de consulta", "for maintenance", "for", "", "off"])
def test_words_that_name_no_end_are_left_to_be_a_reason(written: str) -> None:
    assert until(written.split(), NOW, BUENOS_AIRES) is None


@pytest.mark.parametrize(
    "written",
    ["until", "until late", "until 25:00", "until 2026-11-26 09:00", "until 2027-03-01 09:00", "for 40d"],
)
def test_an_end_that_is_no_moment_or_over_or_far_away_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="write"):
        until(written.split(), NOW, BUENOS_AIRES)


def test_an_end_that_a_spring_night_doesn_t_have_is_the_next_moment() -> None:
    assert next_time(time_of_day("02:30"), there("2026-03-08 00:00"), NEW_YORK) == there("2026-03-08 03:00")

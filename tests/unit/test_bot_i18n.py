"""Numbers, percents and durations as people read them, in both languages."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.i18n import translator
from bot.messages.blocks import bar

EN, ES = translator("en"), translator("es")


@given(st.integers(1, 10**12), st.data())
@example(100, None)
def test_a_percent_is_never_more_than_what_is_there(total: int, data: st.DataObject | None) -> None:
    parts = range(total + 1) if data is None else [data.draw(st.integers(0, total)), total, total - 1, 0]
    for done in parts:
        shown = int(EN.percent(done / total).removesuffix("%"))
        assert shown == done * 100 // total
        assert (shown == 100) == (done == total)
        assert ("░" not in bar(done / total)) == (done == total)
        assert len(bar(done / total)) == 20


@pytest.mark.parametrize(
    ("seconds", "english", "spanish"),
    [
        (0, "less than a second", "menos de un segundo"),
        (0.04, "less than a second", "menos de un segundo"),
        (0.06, "0.1 s", "0,1 s"),
        (0.84, "0.8 s", "0,8 s"),
        (9.94, "9.9 s", "9,9 s"),
        (9.97, "10 s", "10 s"),
        (12.4, "12 s", "12 s"),
        (59.6, "1 min", "1 min"),
        (60, "1 min", "1 min"),
        (185, "3 min 5 s", "3 min 5 s"),
        (3599.7, "1 h", "1 h"),
        (7800, "2 h 10 min", "2 h 10 min"),
        (86400 + 7205, "1 d 2 h", "1 d 2 h"),
        (86400 + 65, "1 d 1 min", "1 d 1 min"),
    ],
)
def test_a_duration_is_said_with_its_two_largest_parts(seconds: float, english: str, spanish: str) -> None:
    assert EN.duration(seconds) == english
    assert ES.duration(seconds) == spanish


def test_numbers_and_plurals_follow_the_language() -> None:
    assert (EN.number(1234567), ES.number(1234567)) == ("1,234,567", "1.234.567")
    assert [EN.rows(n) for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [ES.rows(n) for n in (0, 1, 2)] == ["0 filas", "1 fila", "2 filas"]


@pytest.mark.parametrize(
    ("written", "english", "spanish"),
    [
        ("2026-10-01", "October 2026", "octubre de 2026"),
        ("2026-12-15", "Dec 15, 2026", "15 dic 2026"),
        ("2026/10", "2026/10", "2026/10"),
        ("Octubre", "Octubre", "Octubre"),
        ("", "", ""),
    ],
)
def test_a_period_is_a_month_a_day_or_what_prod_calls_it(written: str, english: str, spanish: str) -> None:
    assert (EN.period(written), ES.period(written)) == (english, spanish)


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("es-ES", "es"),
        ("es-AR", "es"),
        ("es_AR.UTF-8", "es"),
        ("es.UTF-8", "es"),
        ("ES", "es"),
        ("en-GB", "en"),
        ("fr-FR", "en"),
        ("C.UTF-8", "en"),
        ("POSIX", "en"),
        ("", "en"),
    ],
)
def test_a_locale_that_nobody_speaks_here_reads_english(locale: str, language: str) -> None:
    assert translator(locale).language == language


def test_braces_in_a_name_stay_as_they_are() -> None:
    assert (
        EN("There is no copy named “{word}”.", word="{0} {x!r} %s")
        == "There is no copy named “{0} {x!r} %s”."
    )

"""What was nearly right is answered with exactly the command that would work, and never taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import parsing
from bot.commands.suggesting import copy_meant, number_meant, status_meant, word_meant

NAMES = ["items", "notes", "payment-orders"]


@pytest.mark.parametrize(
    "word", ["#42", "42,", "42.", '"42"', "«42»", "(42)", "`42`", "*42*", "٤٢", "４２", "+42"]
)
def test_a_number_in_other_clothes_is_recognised_but_not_accepted(word: str) -> None:
    assert parsing.number(word) is None
    assert copy_meant([word], NAMES) == "/copy-liquidation 42"
    assert status_meant([word]) == "/copy-status 42"


@pytest.mark.parametrize(("word", "number"), [("1.234", 1234), ("1,234,567", 1234567), ("1.23", None)])
def test_thousands_may_be_separated(word: str, number: int | None) -> None:
    assert number_meant(word) == number


@pytest.mark.parametrize("word", ["-1", "42x", "4_2", "4e1", "0", "²", "½", "9" * 20, "9" * 3000, "", "#"])
def test_what_is_no_number_is_not_made_into_one(word: str) -> None:
    assert number_meant(word) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("42 itmes", "/copy-liquidation 42 items"),
        ("42 Items", "/copy-liquidation 42 items"),
        ("42 paymentorders", "/copy-liquidation 42 payment-orders"),
        ("items 42", "/copy-liquidation 42 items"),
        ("#42, nots", "/copy-liquidation 42 notes"),
        ("42 items extra", "/copy-liquidation 42 items"),
        ("liquidación 42 items", "/copy-liquidation 42 items"),
        ("hlep", "/copy-liquidation help"),
        ("ayuda!", "/copy-liquidation help"),
        ("status", "/copy-status"),
        ("stauts", "/copy-status"),
        ("status 17", "/copy-status 17"),
        ("estado", "/copy-status"),
        ("42 nosuch", None),
        ("42 43", None),
        ("xyzzy", None),
        ("items", None),
        ("", None),
    ],
)
def test_the_command_that_was_meant(text: str, meant: str | None) -> None:
    assert copy_meant(text.split(), NAMES) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("17,", "/copy-status 17"),
        ("job 17", "/copy-status 17"),
        ("hlep", "/copy-status help"),
        ("status", "/copy-status"),
        ("1 2", None),
        ("x", None),
    ],
)
def test_the_question_that_was_meant(text: str, meant: str | None) -> None:
    assert status_meant(text.split()) == meant


@given(st.lists(st.text(max_size=60), max_size=8))
def test_what_is_proposed_would_work(words: list[str]) -> None:
    proposed = copy_meant(words, NAMES)
    if proposed is not None and proposed.startswith("/copy-liquidation "):
        _, first, *more = proposed.split(" ")
        assert parsing.asks_for_help(first) or parsing.number(first) is not None
        assert more in ([], *([name] for name in NAMES))


def test_a_misspelt_word_is_found_among_the_known_ones() -> None:
    assert word_meant("itmes", NAMES) == "items"
    assert word_meant("x" * 3000, NAMES) is None

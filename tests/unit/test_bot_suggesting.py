"""What was nearly right is answered with exactly the command that would work, and never taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import parsing
from bot.commands.parsing import closest_word, is_reason, number_in, suggestion
from bot.messages.blocks import COPY_COMMAND, FREEZE_COMMAND, STATUS_COMMAND, VERIFY_COMMAND

NAMES = ["items", "notes", "payment-orders"]


@pytest.mark.parametrize(
    "word", ["#42", "42,", "42.", '"42"', "«42»", "(42)", "`42`", "*42*", "٤٢", "４２", "+42"]
)
def test_a_number_in_other_clothes_is_recognised_but_not_accepted(word: str) -> None:
    assert parsing.number(word) is None
    assert suggestion([word], NAMES, COPY_COMMAND) == "/copy-liquidation 42"
    assert suggestion([word], NAMES, STATUS_COMMAND) == "/copy-status 42"


@pytest.mark.parametrize(("word", "number"), [("1.234", 1234), ("1,234,567", 1234567), ("1.23", None)])
def test_thousands_may_be_separated(word: str, number: int | None) -> None:
    assert number_in(word) == number


@pytest.mark.parametrize("word", ["-1", "42x", "4_2", "4e1", "0", "²", "½", "9" * 20, "9" * 3000, "", "#"])
def test_what_is_no_number_is_not_made_into_one(word: str) -> None:
    assert number_in(word) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
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
def test_the_command_that_was_meant(text: str, wanted: str | None) -> None:
    assert suggestion(text.split(), NAMES, COPY_COMMAND) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("17,", "/copy-status 17"),
        ("job 17", "/copy-status 17"),
        ("hlep", "/copy-status help"),
        ("status", "/copy-status"),
        ("1 2", None),
        ("x", None),
    ],
)
def test_the_question_that_was_meant(text: str, wanted: str | None) -> None:
    assert suggestion(text.split(), NAMES, STATUS_COMMAND) == wanted


@given(st.lists(st.text(max_size=60), max_size=8))
def test_what_is_proposed_would_work(words: list[str]) -> None:
    proposed = suggestion(words, NAMES, COPY_COMMAND)
    if proposed is not None and proposed.startswith("/copy-liquidation "):
        _, first, *more = proposed.split(" ")
        assert parsing.asks_for_help(first) or parsing.number(first) is not None
        assert more in ([], *([name] for name in NAMES))


@pytest.mark.parametrize(
    ("command", "text", "wanted"),
    [
        (COPY_COMMAND, "verify 42", "/copy-verify 42"),
        (COPY_COMMAND, "verficar 42 itmes", "/copy-verify 42 items"),
        (COPY_COMMAND, "verify", "/copy-verify 42"),
        (COPY_COMMAND, "frezee", "/copy-freeze"),
        (COPY_COMMAND, "unfreeze", "/copy-freeze off"),
        (COPY_COMMAND, "off", "/copy-freeze off"),
        (COPY_COMMAND, "mine", "/copy-status mine"),
        (COPY_COMMAND, "mais", "/copy-status mías"),
        (COPY_COMMAND, "liquidatoin 42", "/copy-liquidation 42"),
        (COPY_COMMAND, "status liquidación 42", "/copy-status liquidación 42"),
        (VERIFY_COMMAND, "42 itmes", "/copy-verify 42 items"),
        (VERIFY_COMMAND, "#42", "/copy-verify 42"),
        (VERIFY_COMMAND, "stauts", "/copy-status"),
        (VERIFY_COMMAND, "ayda", "/copy-verify help"),
        (VERIFY_COMMAND, "42 nosuch", None),
        (STATUS_COMMAND, "liqudation 42", "/copy-status liquidation 42"),
        (STATUS_COMMAND, "minne", "/copy-status mine"),
        (STATUS_COMMAND, "copy 42 items", "/copy-liquidation 42 items"),
        (STATUS_COMMAND, "verify 42", "/copy-verify 42"),
        (STATUS_COMMAND, "liquidation", None),
        (FREEZE_COMMAND, "of", "/copy-freeze off"),
        (FREEZE_COMMAND, "hlep", "/copy-freeze help"),
        (FREEZE_COMMAND, "stauts", "/copy-status"),
        (FREEZE_COMMAND, "42", None),
        (FREEZE_COMMAND, "items", None),
    ],
)
def test_every_command_and_every_word_is_known_to_every_command(
    command: str, text: str, wanted: str | None
) -> None:
    assert suggestion(text.split(), NAMES, command) == wanted


@pytest.mark.parametrize(
    "text", ["mantenimiento", "cierre de mes", "liquidación de octubre", "¡urgente!", "42 veces ya"]
)
def test_words_of_their_own_are_a_reason(text: str) -> None:
    assert is_reason(text.split(), NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "42",
        "on",
        "of",
        "off now please",
        "hlep",
        "stauts 17",
        "items 42",
        "itmes",
        "<!channel>",
        "!!!",
        "x" * 41,
    ],
)
def test_what_may_be_a_mistake_is_no_reason_to_freeze_everything(text: str) -> None:
    assert not is_reason(text.split(), NAMES)


def test_a_misspelt_word_is_found_among_the_known_ones() -> None:
    assert closest_word("itmes", NAMES) == "items"
    assert closest_word("x" * 3000, NAMES) is None

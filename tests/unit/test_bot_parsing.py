"""What is typed after a command is read strictly, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.commands.parsing import asks_for_help, number, numbers_in, words

LARGEST = 2**63 - 1
texts = st.text() | st.text(st.sampled_from("0123456789٤２²½+-_.eExX \u00a0\t<>@!"), max_size=25)


@given(texts)
@example("٤٢")
@example("４２")
@example("4_2")
@example("+42")
@example("42\n")
@example("9223372036854775808")
@example("0")
@example("9" * 5000)
def test_any_text_is_read_and_only_ascii_digits_up_to_the_largest_bigint_are_a_number(text: str) -> None:
    asks_for_help(text)
    for word in [text, *words(text)]:
        read = number(word)
        digits_only = word != "" and set(word) <= set("0123456789") and len(word) <= 19
        if digits_only and 1 <= int(word) <= LARGEST:
            assert read == int(word)
        else:
            assert read is None


@given(st.integers(1, LARGEST))
@example(1)
@example(LARGEST)
def test_every_number_of_a_liquidation_can_be_written(value: int) -> None:
    assert number(str(value)) == value


@given(st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), max_size=4))
def test_words_may_be_parted_by_any_white_space(parts: list[str]) -> None:
    assert words("\u00a0 ".join(parts)) == parts


def test_help_is_asked_for_in_both_languages() -> None:
    assert [
        text for text in ("help", " HELP ", "ayuda", "?", "-h", "--help") if not asks_for_help(text)
    ] == []
    assert [text for text in ("", "help 42", "42", "helper") if asks_for_help(text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("42,43", [42, 43]),
        ("42, 43", [42, 43]),
        ("42 43", [42, 43]),
        ("42;43 y 44", [42, 43, 44]),
        ("42 items", [42]),
        ("1.234", [1234]),
        ("1,234", [1234]),
        ("#42,", [42]),
        ("42,x", []),
        ("2026-10-01", []),
        ("10/2026", []),
        ("", []),
    ],
)
def test_several_numbers_are_told_from_one_with_marks_around_or_inside(text: str, found: list[int]) -> None:
    assert numbers_in(words(text)) == found

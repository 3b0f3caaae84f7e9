"""What others have written is shown, and does nothing: no line of its own, no command to a terminal."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.messages.blocks import code, header, option, plain_section, sanitized
from bot.untrusted_text import clean_name, one_line, visible

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m"
TURNED = "\u202egnp.exe\u2066\u2069\u200f\u061c"
#: Letters and marks that show nothing either, though their category says nothing of it.
BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0" + "".join(
    map(chr, [*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)])
)
UNSEEN = "a\u200bn\u00ada\u2060\ufeff\u3164\U000e0041\u034f"


@given(st.text())
def test_whatever_is_written_is_one_line_that_steers_nothing(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert not [each for each in shown if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert len(visible(text).splitlines()) <= text.count("\n") + 1


def test_no_character_that_steers_or_shows_nothing_is_left_in_any_text() -> None:
    """Of all that Unicode has; some of them are no characters yet in an older Python."""
    for code_point in range(sys.maxunicode + 1):
        each = chr(code_point)
        unseen = unicodedata.category(each) in {"Cc", "Cf", "Cs"}
        assert not unseen or visible(f"a{each}b") in {"ab", "a b", "a\nb", "a\tb"}, ascii(each)
        assert not unseen or one_line(f"a{each}b") in {"ab", "a b"}, ascii(each)
        if not unseen and one_line(f"a{each}b") == "ab":
            assert unicodedata.category(each) == "Cn" or each in BLANK, ascii(each)


def test_a_name_that_cant_be_seen_is_no_name() -> None:
    assert clean_name(UNSEEN) == "ana"
    assert clean_name("\u200b \u3164\u2028") == ""


@pytest.mark.parametrize("text", ["Liquidación de María Núñez ñandú", "日本語", "⚠️ 🟩⬜ ½", "שלום عليكم"])
def test_what_can_be_read_stays_as_it_is(text: str) -> None:
    assert (one_line(text), visible(text), clean_name(f" {text}\n")) == (text, text, text)


@pytest.mark.parametrize("foreign", [ESCAPES, TURNED, UNSEEN, "a\u2028b\u2029c\x85d\ve"])
def test_slack_is_given_no_character_that_cant_be_seen(foreign: str) -> None:
    for shown in (
        sanitized(foreign),
        code(foreign),
        header(foreign)["text"]["text"],
        plain_section(foreign)["text"]["text"],
        option(foreign, "1")["text"]["text"],
    ):
        assert shown.isprintable(), shown

"""Text that others have written, made fit to stand beside our own: in a terminal, in a log, in Slack.

A liquidation's name, a person's name or a reason may hold anything. Control characters steer a terminal,
bidirectional ones turn round what follows, line separators forge a line, and what can't be seen makes two
names look alike.
"""

from __future__ import annotations

import re

#: What ends or divides a line somewhere: as `str.splitlines` has it, and the tab.
_SEPARATORS = re.compile("\r\n|[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
#: The same but the two that our own texts use.
_FOREIGN_SEPARATORS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")
#: Letters and marks that show nothing. The selectors of emoji, U+FE0E and U+FE0F, belong to what they follow.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
#: The categories Cc, Cf and Cs of Unicode 16 but for line feed and tab: control, format (bidirectional
#: and of no width among them), half of a surrogate pair. Written out, because it is done again and again to a
#: name of 3,000 characters; a test compares it with what Python knows.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
_NOT_IN_A_TEXT, _NOT_IN_A_LINE = re.compile(f"[{_UNSEEN}]"), re.compile(f"[{_UNSEEN}\n\t]")


def visible(text: str) -> str:
    """Without what can't be seen and what steers; line feeds and tabs stay."""
    return _without(_NOT_IN_A_TEXT, _FOREIGN_SEPARATORS.sub(" ", text))


def one_line(text: str) -> str:
    """The same in one line: whatever ends or divides a line is a space."""
    return _without(_NOT_IN_A_LINE, _SEPARATORS.sub(" ", text))


def clean_name(text: str) -> str:
    """Somebody's or something's name: one line, without spaces around it."""
    return one_line(text).strip()


def _without(unseen: re.Pattern[str], text: str) -> str:
    if not text.isprintable():
        text = unseen.sub("", text)
    return text if text.isascii() else _BLANK.sub("", text)

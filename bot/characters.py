"""Text that others have written, made fit to stand beside our own: in a terminal, in a log, in Slack.

A liquidation's name, a person's name or a reason may hold anything. Control characters steer a terminal,
bidirectional ones turn round what follows, line separators forge a line, and what can't be seen makes two
names look alike.
"""

from __future__ import annotations

import re
import unicodedata

#: What ends or divides a line somewhere: as `str.splitlines` has it, and the tab.
_SEPARATORS = re.compile("\r\n|[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
#: The same but the two that our own texts use.
_FOREIGN_SEPARATORS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")
#: Letters and marks that show nothing. The selectors of emoji, U+FE0E and U+FE0F, belong to what they follow.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
#: Categories: control, format (bidirectional and of no width among them), half of a surrogate pair.
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})


def visible(text: str) -> str:
    """Without what can't be seen and what steers; line feeds and tabs stay."""
    return _without_unseen(_FOREIGN_SEPARATORS.sub(" ", text), keep="\n\t")


def one_line(text: str) -> str:
    """The same in one line: whatever ends or divides a line is a space."""
    return _without_unseen(_SEPARATORS.sub(" ", text))


def clean_name(text: str) -> str:
    """Somebody's or something's name: one line, without spaces around it."""
    return one_line(text).strip()


def _without_unseen(text: str, keep: str = "") -> str:
    if not text.isprintable():
        text = "".join(each for each in text if each in keep or unicodedata.category(each) not in _UNSEEN)
    return text if text.isascii() else _BLANK.sub("", text)

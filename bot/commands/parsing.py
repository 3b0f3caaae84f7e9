"""Reads the text after a command, strictly: what isn't exactly a number is not a number."""

from __future__ import annotations

import re

from copier import MAX_LIQUIDATION_ID

#: ASCII only: int() would also take ٤٢, ４２, 4_2 and +42.
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)

HELP_WORDS = frozenset({"help", "ayuda", "?", "-h", "--help"})


def words(text: str) -> list[str]:
    """The words of a command's text; Slack sends non-breaking spaces when people paste."""
    return text.split()


def number(word: str) -> int | None:
    """The number from 1 to 2^63 - 1 that the word is; None for anything else."""
    if not _NUMBER.fullmatch(word):
        return None
    value = int(word)
    return value if 1 <= value <= MAX_LIQUIDATION_ID else None


def asks_for_help(text: str) -> bool:
    return text.strip().lower() in HELP_WORDS

"""Reads the text after a command, strictly, and proposes the command that was probably meant.

What isn't exactly a number is not a number. A proposal is only shown, never taken for what was typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from bot.commands import registry
from bot.commands.registry import Arguments
from copier import MAX_LIQUIDATION_ID

HELP, OFF = "help", "off"
HELP_WORDS = frozenset({HELP, "ayuda", "?", "-h", "--help"})
LIQUIDATION_WORDS = ("liquidation", "liquidación", "liquidacion")

#: ASCII only: int() would also take ٤٢, ４２, 4_2 and +42.
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
#: What people write around a number, and between its thousands.
_AROUND = "#\"'`“”‘’«»‹›.,;:!?¿¡()[]{}<>*~_+ºª°"
_GROUPED = re.compile(r"[0-9]{1,3}(?:([.,'’])[0-9]{3})(?:\1[0-9]{3})*")
#: What people write between several numbers.
_BETWEEN = re.compile(r"[,;&+|]")
#: Nothing longer is looked at: it is no misspelt word.
LONGEST = 40


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


def number_in(word: str) -> int | None:
    """The number inside of ``#42``, ``42,``, ``"42"``, ``1.234`` or ``４２``; None where there is none."""
    if len(word) > LONGEST:
        return None
    bare = word.strip(_AROUND)
    if _GROUPED.fullmatch(bare):
        bare = re.sub(r"[^0-9]", "", bare)
    # Digits of any script; what is no digit at all, such as a fraction, is no number here.
    return number(str(int(bare))) if bare.isdecimal() else None


def numbers_in(words: list[str]) -> list[int]:
    """All numbers that were typed, also those of ``42,43``; ``1,234`` is one of them."""
    found: list[int] = []
    for word in words:
        one = number_in(word)
        parts = (
            [one] if one is not None else [number_in(part) for part in _BETWEEN.split(word[:LONGEST]) if part]
        )
        if None not in parts:
            found += [part for part in parts if part is not None]
    return found


# -- Several liquidations: 40-45, or 42,43, or both


_ONE = r"[0-9]{1,19}(?:-[0-9]{1,19})?"
#: Exactly as several are written; after a comma there may be a space.
_SEVERAL = re.compile(rf"{_ONE}(?:, ?{_ONE})*", re.ASCII)
#: What people write for a hyphen and for a comma, between two numbers.
_TO = re.compile(r"(?<=[0-9])\s*(?:[-‐‑–—−]|\.\.+|\b(?:to|a|al|hasta)\b)\s*(?=[0-9])", re.IGNORECASE)
_AND = re.compile(r"(?<=[0-9])\s*(?:[,;&+|]|\b(?:and|y|e)\b|\s)\s*(?=[0-9])", re.IGNORECASE)
_RANGE = re.compile(r"[0-9]{1,19}\s*[-‐‑–—−]\s*[0-9]{1,19}(?=[\s,;]|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Several liquidations as they were typed. ``values`` are in order, each once; none where ``count``, how
    many there are, is more than `LISTED`.
    """

    written: str
    values: tuple[int, ...]
    count: int


#: More numbers than this are only counted.
LISTED = 1000


def several(words: list[str]) -> tuple[Numbers, list[str]] | None:
    """The numbers that begin these words, and the words after them; None where they aren't written exactly.

    One number alone is none of these.
    """
    text = " ".join(words)
    found = _SEVERAL.match(text)
    if found is None or found[0].isdigit() or not (found.end() == len(text) or text[found.end()] == " "):
        return None
    ranges = []
    for part in re.split(", ?", found[0]):
        first, _, last = part.partition("-")
        begin, end = number(first), number(last or first)
        if begin is None or end is None or end < begin:
            return None
        ranges.append((begin, end))
    count = sum(end - begin + 1 for begin, end in ranges)
    values: tuple[int, ...] = ()
    if count <= LISTED:
        values = tuple(sorted({each for begin, end in ranges for each in range(begin, end + 1)}))
        count = len(values)
    written = found[0].replace(" ", "")
    return Numbers(written, values, count), text[found.end() :].split()


def looks_like_several(words: list[str]) -> bool:
    """Whether they begin with two numbers and something like a hyphen between them."""
    return _RANGE.match(" ".join(words)[: 2 * LONGEST]) is not None


def several_meant(words: list[str], names: list[str], command: str, most: int) -> str | None:
    """The whole command that several liquidations after ``command`` probably stand for; None where it can't
    be said, or where there are more than ``most``.
    """
    text = " ".join(words)[: 8 * LONGEST]
    text = _AND.sub(",", _TO.sub("-", text))
    text = re.sub(r"[0-9]+-[0-9]+", _upwards, text)
    found = several(text.split())
    if found is None or not found[0].values or found[0].count > most:
        return None
    named = [each for word in found[1] if (each := closest_word(word, names))][:1]
    return " ".join([command, found[0].written, *named])


def _upwards(found: re.Match[str]) -> str:
    """``40-45`` for ``45-40``."""
    first, _, last = found[0].partition("-")
    return found[0] if int(first[:20]) <= int(last[:20]) else f"{last}-{first}"


def grouped(word: str) -> int | None:
    """The number that ``1,234`` may be, beside two of them."""
    return number_in(word) if "," in word and _GROUPED.fullmatch(word) else None


def closest_word(word: str, known: list[str]) -> str | None:
    """The known word that this one is a misspelling of."""
    if len(word) > LONGEST:
        return None
    found = get_close_matches(word.strip(_AROUND).lower(), known, n=1, cutoff=0.7)
    return found[0] if found else None


def suggestion(words: list[str], names: list[str], command: str) -> str | None:
    """The whole command that these words after ``command`` probably stand for; None where it can't be said.

    ``names`` are those of the configured copies. What is proposed would work as it is.
    """
    numbers = [str(number) for word in words if (number := number_in(word)) is not None]
    others = [word for word in words if number_in(word) is None]
    if len(numbers) > 1 or len(words) > 5:
        return None
    meanings = _meanings()
    known = [closest_word(word, [*names, *meanings, *LIQUIDATION_WORDS]) for word in others]
    named = [each for each in known if each in names][:1]
    liquidation = [each for each in known if each in LIQUIDATION_WORDS][:1]
    other = next((meanings[each] for each in known if each in meanings and each not in names), None)
    wanted = other or command
    if wanted == HELP:
        return f"{command} {HELP}"
    found = next((each for each in registry.commands() if each.name == wanted), None)
    if found is not None and found.arguments is Arguments.JOB and (numbers or other):
        return " ".join([wanted, *(liquidation if numbers else []), *numbers])
    if found is not None and found.arguments is Arguments.LIQUIDATION:
        unheard_of = not other and not named and not liquidation and len(words) == 2
        if unheard_of or not (numbers or other):
            return None  # a copy that nobody has heard of, or nothing at all
        return " ".join([wanted, *(numbers or [found.example]), *named])
    return other


def is_reason(words: list[str], names: list[str]) -> bool:
    """Whether they say why: at least one word of their own, that no command has a meaning for."""
    known = [*names, *_meanings(), *LIQUIDATION_WORDS]
    return words[0].lower() != OFF and any(
        3 <= len(word) <= LONGEST and word.isalpha() and not closest_word(word, known)
        for word in (each.strip(_AROUND) for each in words if not each.startswith("<"))
    )


def _meanings() -> dict[str, str]:
    """Words after a command that mean another one, or its help."""
    return {HELP: HELP, "ayuda": HELP, **registry.meanings()}

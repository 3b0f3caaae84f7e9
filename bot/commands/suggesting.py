"""Did you mean: the command that somebody probably meant, and that would work as it is proposed.

Nothing here is ever accepted in the place of what was typed; it is only proposed.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from bot.commands import parsing
from bot.messages.naming import COPY_COMMAND, STATUS_COMMAND

#: Words after a command that mean another command, or its help.
COMMANDS = {
    "help": f"{COPY_COMMAND} help",
    "ayuda": f"{COPY_COMMAND} help",
    "status": STATUS_COMMAND,
    "estado": STATUS_COMMAND,
}
#: What people write around a number, and between its thousands.
_AROUND = "#\"'`“”‘’«»‹›.,;:!?¿¡()[]{}<>*~_+ºª°"
_GROUPED = re.compile(r"[0-9]{1,3}(?:([.,'’])[0-9]{3})(?:\1[0-9]{3})*")
#: Nothing longer is looked at: it is no misspelt word.
LONGEST = 40


def number_meant(word: str) -> int | None:
    """The number inside of ``#42``, ``42,``, ``"42"``, ``1.234`` or ``４２``; None where there is none."""
    if len(word) > LONGEST:
        return None
    bare = word.strip(_AROUND)
    if _GROUPED.fullmatch(bare):
        bare = re.sub(r"[^0-9]", "", bare)
    # Digits of any script; what is no digit at all, such as a fraction, is no number here.
    return parsing.number(str(int(bare))) if bare.isdecimal() else None


def word_meant(word: str, known: list[str]) -> str | None:
    """The known word that this one is a misspelling of."""
    if len(word) > LONGEST:
        return None
    found = get_close_matches(word.strip(_AROUND).lower(), known, n=1, cutoff=0.7)
    return found[0] if found else None


def copy_meant(words: list[str], names: list[str]) -> str | None:
    """The ``/copy-liquidation …`` or other command that these words probably stand for."""
    numbers = [number for word in words if (number := number_meant(word)) is not None]
    others = [word for word in words if number_meant(word) is None]
    if len(numbers) > 1 or len(words) > 5:
        return None
    if others and (command := _command_meant(others[0])):
        is_status = command == STATUS_COMMAND and numbers
        return f"{command} {numbers[0]}" if is_status else command
    if not numbers:
        return None
    named = [name for word in others if (name := word_meant(word, names))]
    if others and not named and len(words) <= 2:
        return None  # a copy that nobody has heard of: there is no telling which one was meant
    return " ".join([COPY_COMMAND, str(numbers[0]), *named[:1]])


def status_meant(words: list[str]) -> str | None:
    """The ``/copy-status …`` that these words probably stand for."""
    numbers = [number for word in words if (number := number_meant(word)) is not None]
    if len(numbers) == 1:
        return f"{STATUS_COMMAND} {numbers[0]}"
    if len(words) == 1 and (command := _command_meant(words[0])):
        return STATUS_COMMAND if command == STATUS_COMMAND else f"{STATUS_COMMAND} help"
    return None


def _command_meant(word: str) -> str | None:
    found = word_meant(word, list(COMMANDS))
    return COMMANDS[found] if found else None

"""The slash commands: each module that answers one registers it here, with everything that is said of it.

Help, did-you-mean, the Bolt app and the test of the manifest read what was registered. A new command is a
module in this package that calls `register`, an entry in manifest.yml, and its sentences in the catalog.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

import bot.commands
from bot.i18n import Translator

if TYPE_CHECKING:
    from slack_bolt import App

    from bot.commands.conversation import BotParts

#: Lines of the help text: what to type, and what it does.
HelpLines = list[tuple[str, str]]


class Arguments(Enum):
    """What a number after the command stands for, so that did-you-mean proposes only what would work."""

    LIQUIDATION = "a liquidation, and perhaps the name of a copy after it"
    JOB = "a job; or a liquidation, after the word for it"
    NONE = "nothing"


@dataclass(frozen=True)
class SlashCommand:
    """``name`` as it is typed; ``example`` is what to write after it.

    ``help`` makes its lines of the help text from the names of the configured copies, and ``help_of_sets``
    those from the names of the configured sets, where there are any. ``aliases`` are words
    that mean this command, each with what to write after the name. ``connect`` adds its handlers to the app.
    ``place`` orders the help text; a new command comes last.
    """

    name: str
    example: str
    arguments: Arguments
    help: Callable[[list[str], Translator], HelpLines]
    connect: Callable[[App, BotParts], None]
    aliases: Mapping[str, str] = field(default_factory=dict)
    place: int = 100
    help_of_sets: Callable[[list[str], Translator], HelpLines] | None = None


_registered: dict[str, SlashCommand] = {}


def register(command: SlashCommand) -> None:
    """Makes a command known; called when its module is imported.

    Raises:
        ValueError: one of its words stands for another command already.
    """
    for other in _registered.values():
        if taken := other.aliases.keys() & command.aliases.keys():
            raise ValueError(f"{sorted(taken)} of {command.name} mean {other.name} already")
    _registered[command.name] = command


def commands() -> list[SlashCommand]:
    """All commands, in the order of the help text."""
    _import_all()
    return sorted(_registered.values(), key=lambda command: (command.place, command.name))


def meanings() -> dict[str, str]:
    """Each word that means a command, with the whole command."""
    return {
        word: f"{command.name} {after}".rstrip()
        for command in commands()
        for word, after in command.aliases.items()
    }


def help_lines(names: list[str], t: Translator, sets: list[str] | None = None) -> HelpLines:
    """The lines of all commands; ``names`` are those of the configured copies, ``sets`` those of the sets."""
    found: HelpLines = []
    for command in commands():
        found += command.help(names, t)
        if sets and command.help_of_sets is not None:
            found += command.help_of_sets(sets, t)
    return found


@cache
def _import_all() -> None:
    for module in pkgutil.iter_modules(bot.commands.__path__, "bot.commands."):
        importlib.import_module(module.name)

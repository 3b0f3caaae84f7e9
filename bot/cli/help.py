"""The help of `traspaso`, in the shell's language, and without the modules of the commands it lists.

A command's module loads the drivers of both databases; whoever asks what there is doesn't wait for them.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import click

from bot.i18n import N_, Translator, translator

#: Click's own sentences about its own options.
CLICKS = (N_("Show the version and exit."), N_("Show this message and exit."))

Made = TypeVar("Made")


def shell_translator() -> Translator:
    """The language of the terminal."""
    return translator(
        os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or "en"
    )


class _Help(click.HelpFormatter):
    """Click's own words of a help text in the shell's language."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        t = shell_translator()
        args = args.replace("[OPTIONS]", t("[OPTIONS]")).replace("COMMAND [ARGS]...", t("COMMAND [ARGS]..."))
        super().write_usage(prog, args, t("Usage: ") if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        t = shell_translator()
        super().write_heading({"Options": t("Options"), "Commands": t("Commands")}.get(heading, heading))


class _Context(click.Context):
    formatter_class = _Help


class Command(click.Command):
    """A command whose help is in the shell's language; the English sentences are the keys, as everywhere."""

    context_class = _Context

    def get_short_help_str(self, limit: int = 45) -> str:
        return _in_shell_language(self, super().get_short_help_str, limit)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _in_shell_language(self, super().format_help_text, ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        t = shell_translator()
        english = {each: each.help for each in self.get_params(ctx) if isinstance(each, click.Option)}
        try:
            for option, words in english.items():
                option.help = t(words) if words else words
            super().format_options(ctx, formatter)
        finally:
            for option, words in english.items():
                option.help = words


def _in_shell_language(command: click.Command, make: Callable[..., Made], *args: Any) -> Made:
    """What ``make`` gives while the command's help is in the shell's language."""
    english = command.help
    try:
        command.help = shell_translator()(english) if english else english
        return make(*args)
    finally:
        command.help = english


#: The line of a command that isn't in the list: somebody else's program calls it.
HIDDEN = ""


@dataclass(frozen=True)
class Listed:
    """A command of a group: the ``module`` that has it under its own name, and its ``line`` in the list."""

    module: str
    line: str


class Group(Command, click.Group):
    """Commands that are imported when they are called. The list of them needs none of their modules.

    ``listed`` has them by their names; what `add_command` adds is there too.
    """

    def __init__(self, *args: Any, listed: Mapping[str, Listed] | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._listed = dict(listed or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._listed, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (listed := self._listed.get(cmd_name)) is None:
            return super().get_command(ctx, cmd_name)
        found = getattr(_imported(listed.module), cmd_name.replace("-", "_"))
        if not isinstance(found, click.Command):
            raise TypeError(f"{listed.module}.{cmd_name} is no command of click")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        t = shell_translator()
        lines = {name: t(listed.line) for name, listed in self._listed.items() if listed.line != HIDDEN}
        for name, command in self.commands.items():
            if not command.hidden:
                lines[name] = command.get_short_help_str(formatter.width)
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))


def _imported(name: str) -> ModuleType:
    """The module. What it loads stays to the end, so no collection of garbage goes through it on the way."""
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()

"""``traspaso``: the shell's commands, for whoever has no Slack or doesn't want to wait for it.

Exit codes: 0 completed, 1 failed, 2 wrong usage or settings, 130 cancelled with Ctrl-C.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from bot import logs
from bot.characters import one_line
from bot.cli import commands
from bot.cli.init import init
from bot.cli.slack_app import hook, manifest
from bot.messages.failures import N_


@contextmanager
def _harmless() -> Iterator[None]:
    """What click says of a wrong argument repeats it: in one line, with nothing that a terminal acts on."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = one_line(error.message)  # click calls it final
        raise


class Commands(commands.Group):
    """A group whose errors repeat an argument without acting on the terminal."""

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        with _harmless():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        with _harmless():
            return super().invoke(ctx)


@click.group(
    cls=Commands,
    help=N_("Copies one liquidation from prod to consulta, and proves it."),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="traspaso")
@click.option("-v", "--verbose", is_flag=True, help=N_("Log to stderr, with the servers' own words."))
def main(verbose: bool) -> None:
    logs.set_up(logging.INFO if verbose else logging.CRITICAL)


for command in (init, manifest, hook, *commands.COMMANDS):
    main.add_command(command)

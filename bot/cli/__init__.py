"""``traspaso``: the shell's commands, for whoever has no Slack or doesn't want to wait for it.

Exit codes: 0 completed, 1 failed, 2 wrong usage or settings, 130 cancelled with Ctrl-C.
"""

from __future__ import annotations

import logging

import click

from bot import logs
from bot.cli import commands
from bot.messages.failures import N_


@click.group(
    cls=commands.Group,
    help=N_("Copies one liquidation from prod to consulta, and proves it."),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="traspaso")
@click.option("-v", "--verbose", is_flag=True, help=N_("Log to stderr, with the servers' own words."))
def main(verbose: bool) -> None:
    logs.set_up(logging.INFO if verbose else logging.CRITICAL)


for command in commands.COMMANDS:
    main.add_command(command)

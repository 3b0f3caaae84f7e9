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
from bot.cli.help import HIDDEN, Group, Listed
from bot.i18n import N_
from bot.untrusted_text import one_line

COPIES, JOBS, OPERATOR = "bot.cli.copy_commands", "bot.cli.job_commands", "bot.cli.operator_commands"
#: Each command, by its name; test_start_up.py says what may not be loaded for the list of them.
LISTED = {
    "audit": Listed(OPERATOR, N_("Writes what the receipts of copies say.")),
    "cancel": Listed(JOBS, N_("Cancels a job; what is in place stays.")),
    "confirm": Listed(JOBS, N_("Agrees to the rows that a job asks about.")),
    "copy": Listed(COPIES, N_("Copies a liquidation now, in the foreground.")),
    "doctor": Listed(OPERATOR, N_("Checks all that an installation depends on.")),
    "explain": Listed(COPIES, N_("Draws how the tables of a set are copied.")),
    "freeze": Listed(OPERATOR, N_("Stops all copies, and refuses new ones.")),
    "hook": Listed("bot.cli.slack_app", HIDDEN),
    "init": Listed("bot.cli.init_command", N_("Writes the files of a new installation.")),
    "manifest": Listed("bot.cli.slack_app", N_("Prints the manifest of the Slack app.")),
    "migrate": Listed(OPERATOR, N_("Brings the tracking tables to this release's version.")),
    "pause": Listed(JOBS, N_("Pauses a job; what is in place stays.")),
    "preview": Listed(COPIES, N_("Shows what both sides hold of a liquidation.")),
    "prune": Listed(OPERATOR, N_("Deletes old rows of the tracking tables.")),
    "resume": Listed(JOBS, N_("Lets a paused job go on in a worker.")),
    "retry": Listed(JOBS, N_("Lets a worker try a failed job again.")),
    "schedules": Listed(OPERATOR, N_("Lists what begins by the clock.")),
    "status": Listed(JOBS, N_("Shows the jobs and the workers, or one job.")),
    "unfreeze": Listed(OPERATOR, N_("Lets copies run again.")),
    "verify": Listed(COPIES, N_("Compares both sides of a liquidation; writes nothing.")),
}


@contextmanager
def _harmless() -> Iterator[None]:
    """What click says of a wrong argument repeats it: in one line, with nothing that a terminal acts on."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = one_line(error.message)  # click calls it final
        raise


class Commands(Group):
    """A group whose errors repeat an argument without acting on the terminal."""

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        with _harmless():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        with _harmless():
            return super().invoke(ctx)


@click.group(
    cls=Commands,
    listed=LISTED,
    help=N_("Copies one liquidation from prod to consulta, and proves it."),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="traspaso")
@click.option("-v", "--verbose", is_flag=True, help=N_("Log to stderr, with the servers' own words."))
def main(verbose: bool) -> None:
    logs.set_up(logging.INFO if verbose else logging.CRITICAL)

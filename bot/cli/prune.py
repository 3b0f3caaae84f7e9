"""``traspaso prune``: deletes at once what is kept no longer; workers do the same by themselves, in steps."""

from __future__ import annotations

import click

from bot import app
from bot.cli.commands import checked, settings_for, stop_on_errors
from bot.cli.help import Command, shell_translator
from bot.cli.output import print_pruned
from bot.config import Need
from bot.i18n import N_


@click.command(
    cls=Command,
    help=N_(
        "Deletes what [keep] keeps no longer of jobs that have ended: lines of the ledger, events, messages. "
        "Workers do it by themselves."
    ),
)
@click.option("--dry-run", is_flag=True, help=N_("Only say what would go."))
def prune(dry_run: bool) -> None:
    parts = checked(app.databases(settings_for(Need.DATABASES)))
    with stop_on_errors():
        gone = parts.pruning.count() if dry_run else parts.pruning.run()
    print_pruned(gone, shell_translator(), dry_run=dry_run)

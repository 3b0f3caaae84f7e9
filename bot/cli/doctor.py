"""``traspaso doctor``: all that `bot.doctor` finds, as a table for a person or as JSON for a program."""

from __future__ import annotations

import os
import sys

import click

from bot import config
from bot.cli.commands import COMPLETED, FAILED
from bot.cli.help import Command, shell_translator
from bot.cli.output import print_findings, print_findings_json
from bot.doctor.findings import Status
from bot.i18n import N_


@click.command(
    cls=Command,
    help=N_(
        "Looks at everything that Traspaso needs, and says the next step for whatever is wrong. Changes "
        "nothing. Exits 1 where something failed."
    ),
)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object a check."))
@click.option("--send", is_flag=True, help=N_("Send a message to each notification target."))
def doctor(as_json: bool, send: bool) -> None:
    from bot.doctor.examination import Facts, examine

    lines = config.read_env_file()
    settings, wrong = config.read(os.environ)
    found = examine(Facts(settings, [*lines, *wrong], sends=send))
    if as_json:
        print_findings_json(found)
    else:
        print_findings(found, shell_translator())
    sys.exit(FAILED if any(each.status is Status.FAILED for each in found) else COMPLETED)

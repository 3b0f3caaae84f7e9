"""``traspaso schedules``: when copies begin by the clock, and what became of the last times."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import click

from bot import app
from bot.cli import commands
from bot.cli.help import Command, shell_translator
from bot.cli.output import ScheduleLine, print_schedules, print_schedules_json
from bot.config import Need
from bot.i18n import N_

#: So many of the next and of the last times are shown.
NEXT, LAST = 3, 5


@click.command(
    cls=Command,
    help=N_("Shows the schedules and freeze windows, when they are next, and what became of the last times."),
)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object a line."))
def schedules(as_json: bool) -> None:
    from bot.jobs.schedules import Calendar, Schedules
    from bot.jobs.windows import windows_of

    settings = commands.settings_for(Need.DATABASES | Need.COPIES)
    parts = commands.checked(app.databases(settings))
    file, now = settings.file, datetime.now(UTC)
    with commands.stop_on_errors():
        rows = Schedules(parts.tracking, file.schedules)
        configured = {each.name: each for each in file.schedules}
        names = [*configured, *(name for name in rows.names() if name not in configured)]
        lines = [
            ScheduleLine(
                name=name,
                section=configured.get(name),
                coming=[*islice(configured[name].begins.after(now), NEXT)] if name in configured else [],
                last=rows.latest(name, LAST),
            )
            for name in names
        ]
    upcoming = Calendar(file).next_window(now)
    windows = [*windows_of(file.freezes, now, now), *([upcoming] if upcoming else [])]
    show = print_schedules_json if as_json else print_schedules
    show(lines, windows, shell_translator())

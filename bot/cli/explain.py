"""``traspaso explain``: how a set would be copied, by both catalogues; it reads no row and writes nothing."""

from __future__ import annotations

import sys

import click

from bot import app
from bot.cli.commands import COMPLETED, FAILED, settings_for, stop_on_errors
from bot.cli.help import Command, shell_translator
from bot.cli.output import print_explanation, print_json_document, print_mermaid
from bot.config import SIDES, CopySection, Need, Settings
from bot.i18n import N_
from bot.jobs.known_columns import spec_of
from copier import explain as explained


@click.command(
    cls=Command,
    help=N_(
        "Draws SET, or the default set, or else all copies: the tables in the order in which they are "
        "written, how their rows belong to a liquidation, indexes, foreign keys, and what would be refused. "
        "Exits 1 where anything would be."
    ),
)
@click.argument("set_name", metavar="[SET]", required=False)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object."))
@click.option("--mermaid", "as_mermaid", is_flag=True, help=N_("A diagram for Markdown pages."))
def explain(set_name: str | None, as_json: bool, as_mermaid: bool) -> None:
    settings = settings_for(Need.DATABASES | Need.COPIES)
    title, copies = _chosen(settings, set_name)
    parts = app.databases(settings)
    with stop_on_errors():
        found = explained(
            parts.prod,
            parts.consulta,
            [spec_of(parts.consulta, copy) for copy in copies],
            names=SIDES,
            timeout_seconds=settings.file.work.preview_timeout_seconds,
        )
    if as_json:
        print_json_document({"set": title, **found.as_json()})
    elif as_mermaid:
        print_mermaid(found)
    else:
        print_explanation(title, found, shell_translator())
    sys.exit(FAILED if found.is_refused else COMPLETED)


def _chosen(settings: Settings, name: str | None) -> tuple[str | None, tuple[CopySection, ...]]:
    """The set's title and its copies; None and all copies where there is no set."""
    file = settings.file
    chosen = settings.set_named(name) if name is not None else file.default_set
    if name is not None and chosen is None:
        names = ", ".join(each.name for each in file.sets) or "none"
        raise click.UsageError(f"there is no set named {name!r}; configured: {names}")
    return (chosen.shown, file.copies_of(chosen)) if chosen is not None else (None, file.copies)

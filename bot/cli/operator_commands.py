"""What an operator runs: migrate, doctor, freeze and unfreeze, schedules, prune, audit."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click

from bot import app, config, time_expressions
from bot.cli.help import Command, shell_translator
from bot.cli.invocation import (
    COMPLETED,
    FAILED,
    Number,
    Stopped,
    checked,
    settings_for,
    stop_on_errors,
    tracked,
    who,
)
from bot.cli.output import (
    ScheduleLine,
    json_line,
    print_entries,
    print_findings,
    print_findings_json,
    print_pruned,
    print_schedules,
    print_schedules_json,
    say,
)
from bot.config import Need
from bot.i18n import N_
from bot.jobs.receipts import DateRange, Entry, Receipts, Wanted, WrongDateRange
from bot.messages.blocks import bare_name, frozen_by, plain
from bot.messages.receipts import csv_file

# ----------------------------------------------------------------------------
# traspaso migrate


@click.command(
    cls=Command,
    help=N_(
        "Brings the tracking tables in consulta to this release's version, once a release, before its "
        "processes start. What only newer versions keep is lost on the way back."
    ),
)
@click.option(
    "--to",
    "version",
    metavar="VERSION",
    help=N_(
        "Go to this version of the tables, such as 0004: back too, before an older release is installed."
    ),
)
def migrate(version: str | None) -> None:
    import migrations  # loads Alembic, which no other command needs before its tables are checked

    parts = app.databases(settings_for(Need.DATABASES))
    wanted = version or migrations.newest()
    if wanted not in migrations.versions():
        known = ", ".join(migrations.versions())
        raise click.UsageError(f"this release has no version {wanted!r} of the tables; it has {known}")
    with stop_on_errors():
        parts.move_schema(wanted)
    say(f"The tracking tables are at version {wanted}.")


# ----------------------------------------------------------------------------
# traspaso doctor


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
    from bot.doctor import CHECKS
    from bot.doctor.checks import Context, FindingStatus, run_checks

    lines = config.read_env_file()
    settings, wrong = config.read(os.environ)
    found = run_checks(Context(settings, [*lines, *wrong], sends=send), CHECKS)
    if as_json:
        print_findings_json(found)
    else:
        print_findings(found, shell_translator())
    sys.exit(FAILED if any(each.status is FindingStatus.FAILED for each in found) else COMPLETED)


# ----------------------------------------------------------------------------
# traspaso freeze, unfreeze


@click.command(
    cls=Command,
    help=N_("Stops all copies at the end of their chunk and refuses new ones, until `traspaso unfreeze`."),
)
@click.argument("reason", nargs=-1)
@click.option(
    "--until",
    "end",
    metavar="TIME",
    help=N_("It ends by itself then: 18:00, or “tomorrow 06:00”, by this machine's clock; or for 2h."),
)
def freeze(reason: tuple[str, ...], end: str | None) -> None:
    from bot.jobs.freezes import Freezes

    until = _end_of_freeze(end)
    parts = tracked()
    with stop_on_errors():
        found, is_new = Freezes(parts.tracking).freeze(who(), " ".join(reason), until=until)
    words = plain(frozen_by(found, shell_translator(), bare_name))
    if not is_new:
        raise Stopped(f"frozen before this: {words}; `traspaso unfreeze` lets copies run again", FAILED)
    say(f"{words}. `traspaso unfreeze` lets copies run again.")


def _end_of_freeze(written: str | None) -> datetime | None:
    if written is None:
        return None
    words = written.split()
    if words[:1] and words[0].lower() not in time_expressions.UNTIL_WORDS | time_expressions.FOR_WORDS:
        is_length = words[0][-1:].lower() in "dhm" and not words[1:]
        words.insert(0, "for" if is_length else "until")
    try:
        found = time_expressions.until(words, datetime.now(UTC), time_expressions.here())
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="--until") from None
    if found is None or found.rest:
        raise click.BadParameter("write a time such as 18:00, or a length such as 2h", param_hint="--until")
    return found.at


@click.command(cls=Command, help=N_("Lets copies run again."))
def unfreeze() -> None:
    from bot.jobs.freezes import Freezes

    parts = tracked()
    with stop_on_errors():
        freezes = Freezes(parts.tracking)
        lifted, still = freezes.lift(who()), freezes.active()
    if lifted is None and still is not None:
        words = plain(frozen_by(still, shell_translator(), bare_name))
        raise Stopped(f"{words}: it is in the configuration, and ends by itself", FAILED)
    if lifted is None:
        raise Stopped("nothing is frozen", FAILED)
    if still is not None:
        say(f"Lifted. {plain(frozen_by(still, shell_translator(), bare_name))}: copies go on after that.")
        return
    say(f"Copies run again; {len(lifted.waiting)} of them waited.")


# ----------------------------------------------------------------------------
# traspaso schedules


#: So many of the next and of the last times are shown.
NEXT, LAST = 3, 5


@click.command(
    cls=Command,
    help=N_("Shows the schedules and freeze windows, when they are next, and what became of the last times."),
)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object a line."))
def schedules(as_json: bool) -> None:
    from bot.jobs.freezes import windows_of
    from bot.jobs.schedules import Calendar, Schedules

    settings = settings_for(Need.DATABASES | Need.COPIES)
    parts = checked(app.databases(settings))
    file, now = settings.file, datetime.now(UTC)
    with stop_on_errors():
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


# ----------------------------------------------------------------------------
# traspaso prune


@click.command(
    cls=Command,
    help=N_(
        "Deletes what [keep] keeps no longer of jobs that have ended: lines of the ledger, events, messages. "
        "Workers do it by themselves."
    ),
)
@click.option("--dry-run", is_flag=True, help=N_("Only say what would go."))
def prune(dry_run: bool) -> None:
    parts = tracked()
    with stop_on_errors():
        gone = parts.pruning.count() if dry_run else parts.pruning.run()
    print_pruned(gone, shell_translator(), dry_run=dry_run)


# ----------------------------------------------------------------------------
# traspaso audit


@click.command(
    cls=Command,
    help=N_(
        "Lists who asked for what ended in PERIOD, who approved it and why, what changed, and both digests. "
        "PERIOD is 2026, 2026-11 or 2026-11-05, or two of them with .. between, in UTC. With --verify it "
        "looks at the chain of all receipts instead, and exits 1 where it is broken."
    ),
)
@click.argument("period", required=False)
@click.option("--job", type=Number(), help=N_("Only the receipts of this job."))
@click.option("--liquidation", type=Number(), help=N_("Only those of this liquidation."))
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json"]),
    default="csv",
    help=N_("csv for a spreadsheet, or json: one object a line."),
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help=N_("Writes to this file, not to stdout."),
)
@click.option("--verify", is_flag=True, help=N_("Looks at the whole chain, and names its newest hash."))
@click.option(
    "--noted", multiple=True, help=N_("With --verify: a hash noted earlier, which has to be there.")
)
def audit(
    *,
    period: str | None,
    job: int | None,
    liquidation: int | None,
    form: str,
    output: Path | None,
    verify: bool,
    noted: tuple[str, ...],
) -> None:
    try:
        chosen = DateRange.parse(period) if period else None
    except WrongDateRange as wrong:
        raise click.UsageError(str(wrong)) from None
    if verify and (period or job or liquidation or output):
        raise click.UsageError(
            "--verify looks at all receipts: leave out PERIOD, --job, --liquidation, --output"
        )
    if noted and not verify:
        raise click.UsageError("--noted is for --verify")
    receipts = Receipts(tracked().tracking)
    if verify:
        sys.exit(_verify(receipts, noted))
    with stop_on_errors():
        entries = receipts.entries(Wanted(chosen, job, liquidation))
        newest = receipts.newest()
    if output is None:
        print_entries(entries, form)
    else:
        _write(output, entries, form)
    if newest is not None:
        t = shell_translator()
        say(t("The newest hash of the chain: {hash}", hash=newest.hash), err=True)


def _write(path: Path, entries: list[Entry], form: str) -> None:
    content = (
        csv_file(entries) if form == "csv" else "".join(f"{json_line(entry)}\n" for entry in entries).encode()
    )
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Stopped(f"{path} can't be written: {error.strerror}", FAILED) from error


def _verify(receipts: Receipts, noted: tuple[str, ...]) -> int:
    """Says what the walk has found; gives the exit code."""
    with stop_on_errors():
        chain = receipts.verify(noted)
    t = shell_translator()
    if chain.broken is not None:
        raise Stopped(
            f"the chain is broken: {chain.broken}. The {chain.receipts} before it are as they were written: "
            "compare the rest with a backup, or with files of `traspaso audit` from before",
            FAILED,
        )
    if chain.missing:
        raise Stopped(
            f"the chain has no receipt with the hash {', '.join(chain.missing)}: the newest receipts were "
            "removed, or written anew, after it was noted",
            FAILED,
        )
    if chain.newest is None:
        say(t("There is no receipt yet."))
        return COMPLETED
    say(
        t.plural(
            "{n} receipt, and the chain holds. The newest is of job {job}, {at}:",
            "{n} receipts, and the chain holds. The newest is of job {job}, {at}:",
            chain.receipts,
            job=chain.newest.job_id,
            at=chain.newest.content["at"],
        )
    )
    say(chain.newest.hash)
    return COMPLETED

"""Several liquidations and sets in this terminal: copied, looked at, compared and drawn, a line for each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import click

from bot import app
from bot.app import Databases
from bot.cli.copy_commands import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    Stopped,
    broken_off_by_signals,
    checked,
    follow,
    look_at_both_sides,
    look_at_windows,
    refuse_without_reason,
    request_by,
    request_for,
    settings_for,
    stop_on_errors,
    who,
)
from bot.cli.help import Command, shell_translator
from bot.cli.output import (
    Display,
    JsonLines,
    SetLines,
    TablePreview,
    print_explanation,
    print_json_document,
    print_mermaid,
    print_range,
    print_set,
    print_set_json,
    print_set_preview,
    print_set_preview_json,
    print_set_verification,
    print_set_verification_json,
    refusal_of_preview,
    say,
)
from bot.config import SIDES, CopySection, Need, SetSection, Settings
from bot.i18n import N_
from bot.jobs.actions import RunControl
from bot.jobs.baseline import spec_of
from bot.jobs.models import RunKind, Status
from bot.jobs.repository import CreatedRun, Request, RunRequest
from bot.messages.verification import SetVerificationResult
from bot.work.cancellation import StopSwitch
from copier import Comparison, Count, Preview, compare_set, is_known
from copier import explain as explained
from copier.errors import CopierError, concerns_one_table

# ----------------------------------------------------------------------------
# Several liquidations


def copy_several(
    parts: Databases,
    settings: Settings,
    chosen: CopySection,
    liquidations: Sequence[int],
    display: Callable[[], Display],
    *,
    remove: bool,
    reason: str,
) -> int:
    """Copies those that can be, as one run; gives the exit code: 0 only where each of them is proven.

    What can't be copied is named, and the others are. Ctrl-C cancels the one in hand and all after it.
    """
    requests = []
    for each in liquidations:
        try:
            requests.append(request_for(parts, settings, chosen, each, remove=remove, reason=reason))
        except Stopped as refused:
            say(f"❌ {each}: {refused.message}", err=True)
    job_ids = _asked_for(parts, settings, requests) if requests else []
    stop, completed, interrupted = StopSwitch(), 0, False
    parts.liveness.start(takes_jobs=False)
    try:
        for job_id in job_ids:
            try:
                shown = display()
                job = follow(parts, job_id, shown, stop)
            except Stopped as left:
                say(f"❌ {left.message}", err=True)
                interrupted = left.exit_code == INTERRUPTED
            else:
                shown.finish(job)
                completed += job.status is Status.COMPLETED
                interrupted = stop.requested is not None
            if interrupted:
                _cancel_the_rest(parts, job_id)
                break
    finally:
        parts.liveness.stop()
    say(f"{completed} of {len(liquidations)} copied and proven", err=True)
    if interrupted:
        return INTERRUPTED
    return COMPLETED if completed == len(liquidations) else FAILED


def _asked_for(parts: Databases, settings: Settings, requests: Sequence[Request]) -> list[int]:
    """The jobs of the run, in their order; what is under way already is named."""
    created = _begun(parts, settings, RunRequest(RunKind.SEVERAL, tuple(requests), who()))
    for job_id in created.taken:
        say(f"❌ job {job_id} copies it already: `traspaso status {job_id}` shows it", err=True)
    with stop_on_errors():
        run = parts.store.run(created.run_id) if created.run_id is not None else None
    return [job.id for job in run.jobs] if run is not None else []


def _begun(parts: Databases, settings: Settings, wanted: RunRequest) -> CreatedRun:
    """What became of the request. Raises Stopped while copies are frozen."""
    look_at_windows(parts, settings)
    with stop_on_errors():
        return parts.store.create_run(wanted)


def _cancel_the_rest(parts: Databases, job_id: int) -> None:
    with stop_on_errors():
        job = parts.store.job(job_id)
        if job is not None and job.run_id is not None:
            RunControl(parts.tracking, parts.store).cancel(job.run_id, who())


# ----------------------------------------------------------------------------
# Copying a set


def copy_whole(
    settings: Settings,
    chosen: SetSection,
    liquidations: Sequence[int],
    *,
    as_json: bool,
    remove: bool,
    reason: str,
) -> int:
    """Copies the set of each liquidation, one after the other; gives the exit code.

    A set that can't be copied ends the command where it is the only one; else it is named, and the others
    are copied.
    """
    copies = settings.file.copies_of(chosen)
    refuse_without_reason(copies, reason)
    parts = checked(app.databases(settings, brief=True))
    stop, failed = StopSwitch(), 0
    parts.liveness.start(takes_jobs=False)
    try:
        for liquidation in liquidations:
            try:
                requests = _requests(parts, settings, copies, liquidation, remove=remove, reason=reason)
                failed += not _copied(parts, settings, chosen, requests, stop, as_json=as_json)
            except Stopped as refused:
                if len(liquidations) == 1 or refused.exit_code == INTERRUPTED:
                    raise
                say(f"❌ {liquidation}: {refused.message}", err=True)
                failed += 1
            if stop.requested is not None:
                return INTERRUPTED
    finally:
        parts.liveness.stop()
    return FAILED if failed else COMPLETED


def _requests(
    parts: Databases,
    settings: Settings,
    copies: Sequence[CopySection],
    liquidation: int,
    *,
    remove: bool,
    reason: str,
) -> list[Request]:
    """What is asked for, by what both sides hold now. Raises Stopped where it can't be copied so."""
    seen = {each.name: look_at_both_sides(parts, settings, each, liquidation, copies) for each in copies}
    if all(_is_nothing(each) for each in seen.values()):
        raise Stopped(
            f"liquidation {liquidation} has no rows in prod, and none in consulta: nothing to copy", FAILED
        )
    for name, each in seen.items():
        words = refusal_of_preview(each, liquidation, remove=remove)
        if words and not _is_nothing(each):
            raise Stopped(f"{name}: {words}", FAILED)
    return [request_by(each, liquidation, seen[each.name], remove=remove, reason=reason) for each in copies]


def _is_nothing(seen: Preview) -> bool:
    """Neither side holds a row of the table: that is as it may be in a set."""
    nothing = Count(0, exact=True)
    return seen.exists is not False and seen.in_source == nothing == seen.in_target


def _copied(
    parts: Databases,
    settings: Settings,
    chosen: SetSection,
    requests: Sequence[Request],
    stop: StopSwitch,
    *,
    as_json: bool,
) -> bool:
    """Copies the set, and says how it ended; whether it is completed."""
    wanted = RunRequest(RunKind.SET, tuple(requests), who(), set_name=chosen.name)
    created = _begun(parts, settings, wanted)
    if created.run_id is None:
        [taken, *_] = created.taken
        raise Stopped(f"job {taken} copies a table of it already: `traspaso status {taken}` shows it", FAILED)
    t = shell_translator()
    shown: Display = JsonLines() if as_json else SetLines(t)
    job = follow(parts, created.job_ids[0], shown, stop)
    with stop_on_errors():
        run = parts.store.run(created.run_id)
    if run is None:
        raise Stopped(f"job {job.id} has been deleted", FAILED)
    if as_json:
        print_set_json(run)
    else:
        shown.finish(job)
        again = f"traspaso copy {job.liquidation_id} --set {chosen.name}"
        print_set(run, chosen.shown, again, t)
    return len(run.completed) == len(run.jobs)


# ----------------------------------------------------------------------------
# Both sides of a set


def preview_whole(settings: Settings, chosen: SetSection, liquidation: int, *, as_json: bool) -> int:
    """Shows what both sides hold of each table; gives the exit code.

    A table that can't be looked at is named, and the others are shown.
    """
    parts = app.databases(settings)
    copies = settings.file.copies_of(chosen)
    tables = [_previewed(parts, settings, copy, liquidation, copies) for copy in copies]
    if as_json:
        print_set_preview_json(chosen.name, liquidation, tables)
    else:
        print_set_preview(chosen.shown, liquidation, tables, shell_translator())
    return FAILED if any(each.problem for each in tables) else COMPLETED


def _previewed(
    parts: Databases,
    settings: Settings,
    copy: CopySection,
    liquidation: int,
    copies: Sequence[CopySection],
) -> TablePreview:
    try:
        seen = look_at_both_sides(parts, settings, copy, liquidation, copies, counts_lacking=True)
        return TablePreview(copy, seen)
    except Stopped as stopped:
        reason = stopped.__cause__
        if not isinstance(reason, CopierError) or not concerns_one_table(reason):
            raise
        return TablePreview(copy, None, stopped.message)


def verify_whole(settings: Settings, chosen: SetSection, liquidation: int, *, as_json: bool) -> int:
    """Compares all tables at one moment of each side; gives the exit code."""
    copies = settings.file.copies_of(chosen)
    parts, began = app.databases(settings), time.monotonic()
    go_on = broken_off_by_signals()

    def show(name: str, comparison: Comparison) -> None:
        go_on()
        print_range(name, comparison, as_json=as_json)

    with stop_on_errors():
        found = compare_set(
            parts.prod,
            parts.consulta,
            [spec_of(parts.consulta, copy) for copy in copies],
            liquidation,
            names=SIDES,
            limits=settings.file.work.limits,
            label="traspaso verify",
            on_silence=go_on,
            on_comparison=show,
        )
        listed, known = settings.file.liquidations, None
        if found is None:
            return FAILED
        if listed and found.is_empty:
            known = is_known(parts.prod, listed.catalogue, liquidation, names=SIDES)
    result = SetVerificationResult.of(
        chosen, copies, liquidation, found, seconds=time.monotonic() - began, known=known
    )
    if as_json:
        print_set_verification_json(result)
    else:
        print_set_verification(result, shell_translator())
    return COMPLETED if result.holds and (known or not result.is_empty) else FAILED


# ----------------------------------------------------------------------------
# Explaining a set


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

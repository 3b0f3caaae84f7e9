"""``traspaso copy 42 --set completa``: a whole liquidation in this terminal, a line for each table."""

from __future__ import annotations

from collections.abc import Sequence

from bot import app
from bot.app import Databases
from bot.cli.commands import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    USAGE,
    Stopped,
    checked,
    follow,
    look_at_both_sides,
    look_at_windows,
    request_by,
    stop_on_errors,
    who,
)
from bot.cli.help import shell_translator
from bot.cli.output import (
    Display,
    JsonLines,
    SetLines,
    print_set,
    print_set_json,
    refusal_of_preview,
    say,
)
from bot.config import CopySection, SetSection, Settings
from bot.errors import Frozen
from bot.jobs.repository import Request, RunRequest
from bot.jobs.status import RunKind
from bot.work.cancellation import StopSwitch
from copier import Count, Preview


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
    for each in copies:
        if each.require_reason and not reason.strip():
            raise Stopped(f"copying {each.name} needs a reason: add --reason 'why it is copied'", USAGE)
    parts = checked(app.databases(settings))
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
    seen = {
        each.name: look_at_both_sides(parts, settings, each, liquidation, parents_too=each.parent in copies)
        for each in copies
    }
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
    look_at_windows(parts, settings)
    wanted = RunRequest(RunKind.SET, tuple(requests), who(), set_name=chosen.name)
    try:
        with stop_on_errors():
            created = parts.store.create_run(wanted)
    except Frozen as frozen:
        raise Stopped(str(frozen), FAILED) from None
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

"""``traspaso copy``, ``preview``, ``verify`` and ``explain``: without Slack and Redis, in this terminal.

What they are about is a liquidation, or several, of a configured copy; or of a set, all tables of which are
copied and compared at one moment.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

import click
from sqlalchemy.exc import SQLAlchemyError

from bot import app
from bot.app import Databases
from bot.cli.help import Command, shell_translator
from bot.cli.invocation import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    USAGE,
    Liquidations,
    Number,
    Stopped,
    checked,
    settings_for,
    stop_on_errors,
    who,
)
from bot.cli.output import (
    Bar,
    Display,
    JsonLines,
    SetLines,
    TablePreview,
    VerificationOutput,
    asks,
    print_explanation,
    print_json_document,
    print_mermaid,
    print_preview,
    print_preview_json,
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
from bot.errors import AlreadyRunning
from bot.i18n import N_
from bot.jobs import baseline
from bot.jobs.baseline import spec_of
from bot.jobs.models import RunKind, Status, StopReason, StopRequest
from bot.jobs.repository import CreatedRun, Request, RunRequest
from bot.jobs.view import AgreedCounts, JobView
from bot.messages.blocks import WORKER_COMMAND
from bot.messages.proposal import removes_everything
from bot.work.background import ProgressTicker
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from copier import Baseline, Copy, Count, Preview, RangeComparison, compare_set, is_known
from copier.errors import CopierError, concerns_one_table

log = logging.getLogger(__name__)

T = TypeVar("T")


def chosen_copy(settings: Settings, name: str | None) -> CopySection:
    """The configured copy of that name, the first one for None."""
    chosen = settings.copy_named(name)
    if chosen is None:
        names = ", ".join(each.name for each in settings.file.copies)
        raise click.UsageError(f"there is no copy named {name!r}; configured: {names}")
    return chosen


def chosen_set(settings: Settings, copy_name: str | None, set_name: str | None) -> SetSection | None:
    """The set that is meant: named as one or in a copy's place, or else the default; None for a copy."""
    if set_name is None:
        return settings.set_named(copy_name) if copy_name else settings.file.default_set
    if copy_name is not None:
        raise click.UsageError(f"name either a copy or a set: {copy_name!r} and --set {set_name} are two")
    return _set_named(settings, set_name)


def _set_named(settings: Settings, name: str) -> SetSection:
    chosen = settings.set_named(name)
    if chosen is None:
        names = ", ".join(each.name for each in settings.file.sets) or "none"
        raise click.UsageError(f"there is no set named {name!r}; configured: {names}")
    return chosen


def look_at_both_sides(
    parts: Databases,
    settings: Settings,
    chosen: CopySection,
    liquidation: int,
    together: Collection[CopySection] = (),
    *,
    counts_lacking: bool = False,
) -> Preview:
    """The preview, as Slack shows it before a copy; see `bot.jobs.baseline` for the settings."""
    with stop_on_errors():
        return baseline.look_at_both_sides(
            parts.prod,
            parts.consulta,
            settings.file,
            chosen,
            liquidation,
            baseline=_proven(parts, chosen, liquidation),
            together=together,
            counts_lacking=counts_lacking,
        )


def _proven(parts: Databases, chosen: CopySection, liquidation: int) -> Baseline | None:
    """What was proven last of it; None where nothing was, or the tracking tables can't be read."""
    try:
        return parts.history.baseline(chosen.spec, liquidation)
    except SQLAlchemyError as error:
        log.info("what was proven last is not known: %s", type(error).__name__)
        return None


# ----------------------------------------------------------------------------
# traspaso copy


@click.command(
    cls=Command,
    help=N_(
        "Copies LIQUIDATION in the foreground; COPY is one of the configured copies or sets (by default the "
        "default set, or else the first copy). Several liquidations, as 40-45 or 42,43, are copied one after "
        "the other, with a line for each."
    ),
)
@click.argument("liquidations", metavar="LIQUIDATION", type=Liquidations())
@click.argument("copy_name", metavar="[COPY]", required=False)
@click.option("--set", "set_name", metavar="SET", help=N_("Copy all tables of this set, at one moment."))
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object a line on stdout."))
@click.option("--remove", is_flag=True, help=N_("Go on where prod has no rows: consulta's are removed."))
@click.option("--reason", default="", help=N_("Why it is copied; some copies ask for that."))
def copy(
    liquidations: tuple[int, ...],
    copy_name: str | None,
    *,
    set_name: str | None,
    as_json: bool,
    remove: bool,
    reason: str,
) -> None:
    settings = settings_for(Need.DATABASES | Need.COPIES)
    wanted_set = chosen_set(settings, copy_name, set_name)
    if wanted_set is None:
        copies: Sequence[CopySection] = [chosen_copy(settings, copy_name)]
    else:
        copies = settings.file.copies_of(wanted_set)
    refuse_without_reason(copies, reason)
    parts = checked(app.databases(settings, brief=True))
    copying = _Copying(parts, settings, copies, as_json=as_json, remove=remove, reason=reason)
    if wanted_set is not None:
        sys.exit(copying.of_set(wanted_set, liquidations))
    if len(liquidations) > 1:
        sys.exit(copying.of_several(liquidations))
    sys.exit(copying.of_one(liquidations[0]))


def refuse_without_reason(copies: Sequence[CopySection], reason: str) -> None:
    """Raises Stopped where one of them asks why it is copied, and that wasn't said."""
    for each in copies:
        if each.require_reason and not reason.strip():
            raise Stopped(f"copying {each.name} needs a reason: add --reason 'why it is copied'", USAGE)


@dataclass(frozen=True)
class _Copying:
    """What is copied in this terminal, and how it was asked for. `of_one`, `of_several` and `of_set` copy,
    and give the exit code.
    """

    parts: Databases
    settings: Settings
    copies: Sequence[CopySection]
    as_json: bool
    remove: bool
    reason: str

    def of_one(self, liquidation: int) -> int:
        request = self._request(liquidation)
        self._note_freezes()
        with stop_on_errors():
            try:
                job_id, _ = self.parts.store.create(request)
            except AlreadyRunning as running:
                raise Stopped(f"{running}: `traspaso status {running.job_id}` shows it", FAILED) from None
        with self._alive():
            job = self._followed(job_id, StopSwitch())
        return {Status.COMPLETED: COMPLETED, Status.CANCELLED: INTERRUPTED}.get(job.status, FAILED)

    def of_several(self, liquidations: Sequence[int]) -> int:
        """Copies those that can be, as one run: 0 only where each of them is proven.

        What can't be copied is named, and the others are. Ctrl-C cancels the one in hand and all after it.
        """
        requests = []
        for each in liquidations:
            try:
                requests.append(self._request(each))
            except Stopped as why:
                say(f"❌ {each}: {why.message}", err=True)
        run_id, job_ids = self._begun_run(requests) if requests else (None, [])

        def copied(job_id: int, stop: StopSwitch) -> bool:
            return self._followed(job_id, stop).status is Status.COMPLETED

        def refused(job_id: int, why: Stopped) -> None:
            say(f"❌ {why.message}", err=True)

        with self._alive():
            completed, interrupted = self._one_by_one(job_ids, copied, refused)
            if interrupted and run_id is not None:
                from bot.jobs.actions import RunControl

                with stop_on_errors():
                    RunControl(self.parts.tracking, self.parts.store).cancel(run_id, who())
        say(f"{completed} of {len(liquidations)} copied and proven", err=True)
        return _exit_code(completed, len(liquidations), interrupted=interrupted)

    def of_set(self, chosen: SetSection, liquidations: Sequence[int]) -> int:
        """Copies the set of each liquidation, one after the other.

        A set that can't be copied ends the command where it is the only one; else it is named, and the others
        are copied.
        """

        def copied(liquidation: int, stop: StopSwitch) -> bool:
            return self._copied_set(chosen, self._requests_of_set(liquidation), stop)

        def refused(liquidation: int, why: Stopped) -> None:
            if len(liquidations) == 1 or why.exit_code == INTERRUPTED:
                raise why
            say(f"❌ {liquidation}: {why.message}", err=True)

        with self._alive():
            completed, interrupted = self._one_by_one(liquidations, copied, refused)
        return _exit_code(completed, len(liquidations), interrupted=interrupted)

    @staticmethod
    def _one_by_one(
        what: Sequence[T],
        copied: Callable[[T, StopSwitch], bool],
        refused: Callable[[T, Stopped], None],
    ) -> tuple[int, bool]:
        """Copies one after the other: how many are completed, and whether Ctrl-C ended it.

        ``copied`` says whether one is completed; ``refused`` is called with what ended it otherwise.
        """
        stop, completed = StopSwitch(), 0
        for each in what:
            try:
                completed += copied(each, stop)
            except Stopped as why:
                refused(each, why)
                if why.exit_code == INTERRUPTED:
                    return completed, True
            if stop.requested is not None:
                return completed, True
        return completed, False

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """The others see that this process lives, and works on what it has begun."""
        self.parts.liveness.start(takes_jobs=False)
        try:
            yield
        finally:
            self.parts.liveness.stop()

    def _followed(self, job_id: int, stop: StopSwitch) -> JobView:
        shown: Display = JsonLines() if self.as_json else Bar(shell_translator())
        job = follow(self.parts, job_id, shown, stop)
        shown.finish(job)
        return job

    # ------------------------------------------------------------------------------- what is asked for

    def _request(self, liquidation: int) -> Request:
        """By what both sides hold now. Raises Stopped where it can't be copied so."""
        [chosen] = self.copies
        seen = look_at_both_sides(self.parts, self.settings, chosen, liquidation)
        if words := refusal_of_preview(seen, liquidation, remove=self.remove):
            raise Stopped(words, FAILED)
        return self._request_by(chosen, liquidation, seen)

    def _requests_of_set(self, liquidation: int) -> list[Request]:
        """The same of each table. One without rows on both sides is as it may be, but not all of them."""
        seen = {
            each.name: look_at_both_sides(self.parts, self.settings, each, liquidation, self.copies)
            for each in self.copies
        }
        if all(_is_nothing(each) for each in seen.values()):
            raise Stopped(
                f"liquidation {liquidation} has no rows in prod, and none in consulta: nothing to copy",
                FAILED,
            )
        for name, each in seen.items():
            words = refusal_of_preview(each, liquidation, remove=self.remove)
            if words and not _is_nothing(each):
                raise Stopped(f"{name}: {words}", FAILED)
        return [self._request_by(each, liquidation, seen[each.name]) for each in self.copies]

    def _request_by(self, chosen: CopySection, liquidation: int, seen: Preview) -> Request:
        """By what was seen of both sides."""
        if chosen.needs_approval(seen.in_source.known, seen.in_target.known):
            raise Stopped(
                f"copying liquidation {liquidation} needs the approval of a second person, which only Slack "
                f"can ask for: write `/copy-liquidation {liquidation} {chosen.name}` there",
                FAILED,
            )
        return Request(
            spec=chosen.spec,
            liquidation_id=liquidation,
            label=seen.label,
            terms=AgreedCounts(
                seen.in_source.rows,
                seen.in_target.known,
                removal_confirmed=self.remove and removes_everything(seen),
            ),
            fingerprint=seen.fingerprint,
            reason=self.reason,
            requester=who(),
        )

    # ------------------------------------------------------------------------------- runs

    def _begun_run(self, requests: Sequence[Request]) -> tuple[int | None, list[int]]:
        """The run and its jobs, in their order; what is under way already is named."""
        created = self._created(RunRequest(RunKind.SEVERAL, tuple(requests), who()))
        for job_id in created.taken:
            say(f"❌ job {job_id} copies it already: `traspaso status {job_id}` shows it", err=True)
        with stop_on_errors():
            run = self.parts.store.run(created.run_id) if created.run_id is not None else None
        return created.run_id, [job.id for job in run.jobs] if run is not None else []

    def _copied_set(self, chosen: SetSection, requests: Sequence[Request], stop: StopSwitch) -> bool:
        """Copies the set, and says how it ended; whether it is completed."""
        created = self._created(RunRequest(RunKind.SET, tuple(requests), who(), set_name=chosen.name))
        if created.run_id is None:
            [taken, *_] = created.taken
            raise Stopped(
                f"job {taken} copies a table of it already: `traspaso status {taken}` shows it", FAILED
            )
        t = shell_translator()
        shown: Display = JsonLines() if self.as_json else SetLines(t)
        job = follow(self.parts, created.job_ids[0], shown, stop)
        with stop_on_errors():
            run = self.parts.store.run(created.run_id)
        if run is None:
            raise Stopped(f"job {job.id} has been deleted", FAILED)
        if self.as_json:
            print_set_json(run)
        else:
            shown.finish(job)
            again = f"traspaso copy {job.liquidation_id} --set {chosen.name}"
            print_set(run, chosen.shown, again, t)
        return len(run.completed) == len(run.jobs)

    def _created(self, wanted: RunRequest) -> CreatedRun:
        """What became of the request. Raises Stopped while copies are frozen."""
        self._note_freezes()
        with stop_on_errors():
            return self.parts.store.create_run(wanted)

    def _note_freezes(self) -> None:
        """Writes down the freezes of the configuration that have begun: no other process may be up."""
        if self.settings.file.freezes:
            from bot.jobs.freezes import FreezeWindows

            with stop_on_errors():
                FreezeWindows(self.parts.tracking, self.settings.file.freezes).look()


def _is_nothing(seen: Preview) -> bool:
    """Neither side holds a row of the table: that is as it may be in a set."""
    nothing = Count(0, exact=True)
    return seen.exists is not False and seen.in_source == nothing == seen.in_target


def _exit_code(completed: int, wanted: int, *, interrupted: bool) -> int:
    if interrupted:
        return INTERRUPTED
    return COMPLETED if completed == wanted else FAILED


def follow(parts: Databases, job_id: int, display: Display, stop: StopSwitch) -> JobView:
    """Works on the job until it has ended; where a worker took it over, watches that one.

    Ctrl-C asks ``stop`` for the job's end.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        # Who presses twice doesn't wait for a side that stands still.
        stop.request(StopRequest(StopReason.CANCEL), at_once=stop.requested is not None)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    while True:
        with stop_on_errors(f"; job {job_id} is there: `traspaso status {job_id}` shows it"):
            ended = parts.runner.run(
                job_id,
                stop,
                show_progress=lambda job: ProgressTicker(parts.store, job, display.show, every_seconds=0.5),
            )
            job = parts.store.job(job_id)
            if ended.outcome is AttemptOutcome.ASKED and job is not None and job.run_id is not None:
                run = parts.store.run(job.run_id)  # another job of its set may ask
                job = next((each for each in run.jobs if each.waits_for_somebody), job) if run else job
        if job is None or not job.status.is_live:
            break
        if job.waits_for_somebody:
            display.finish(job)
            raise Stopped(asks(job), FAILED)
        display.show(job)
        if ended.outcome is AttemptOutcome.RETRY and stop.wait(ended.seconds):
            raise Stopped(f"job {job_id} stays pending: {_a_worker(job)}", INTERRUPTED)
        if ended.outcome in {
            AttemptOutcome.NOT_OURS,
            AttemptOutcome.STALE,
            AttemptOutcome.PAUSED,
            AttemptOutcome.FROZEN,
        } and stop.wait(1.0):
            raise Stopped(_left(job), INTERRUPTED)
    if job is None:
        raise Stopped(f"job {job_id} has been deleted", FAILED)
    return job


def _left(job: JobView) -> str:
    """What becomes of a job that this terminal watched and didn't run."""
    if job.status is Status.PAUSED:
        return f"job {job.id} stays paused: `traspaso resume {job.id}` lets it go on"
    if job.freeze is not None:
        return f"job {job.id} goes on in a worker when the freeze is lifted: `traspaso unfreeze`"
    if job.status is Status.PENDING:
        return f"job {job.id} is pending: {_a_worker(job)}"
    return f"job {job.id} goes on in a worker"


def _a_worker(job: JobView) -> str:
    """Who takes what this terminal leaves."""
    if job.no_worker is not None:
        return f"no worker is alive; one that is started takes it: `{WORKER_COMMAND}`"
    return "a worker will take it"


# ----------------------------------------------------------------------------
# traspaso preview


@click.command(
    cls=Command,
    help=N_(
        "Shows what both sides hold of LIQUIDATION, and what would make copying it faster. COPY is a copy or "
        "a set, as in `traspaso copy`. Exits 1 where a table of a set can't be looked at."
    ),
)
@click.argument("liquidation", type=Number())
@click.argument("copy_name", metavar="[COPY]", required=False)
@click.option("--set", "set_name", metavar="SET", help=N_("Look at all tables of this set."))
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object; of a set one a table more."))
def preview(liquidation: int, copy_name: str | None, *, set_name: str | None, as_json: bool) -> None:
    settings = settings_for(Need.DATABASES | Need.COPIES)
    if (wanted_set := chosen_set(settings, copy_name, set_name)) is not None:
        sys.exit(_preview_set(settings, wanted_set, liquidation, as_json=as_json))
    chosen = chosen_copy(settings, copy_name)
    seen = look_at_both_sides(app.databases(settings), settings, chosen, liquidation)
    if as_json:
        print_preview_json(seen)
    else:
        print_preview(seen, chosen, liquidation, shell_translator())


def _preview_set(settings: Settings, chosen: SetSection, liquidation: int, *, as_json: bool) -> int:
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


# ----------------------------------------------------------------------------
# traspaso verify


@click.command(
    cls=Command,
    help=N_(
        "Compares both sides of LIQUIDATION now, and writes nothing. COPY is a copy or a set, as in "
        "`traspaso copy`. Exits 1 where they differ, or a table of a set can't be compared."
    ),
)
@click.argument("liquidation", type=Number())
@click.argument("copy_name", metavar="[COPY]", required=False)
@click.option(
    "--set", "set_name", metavar="SET", help=N_("Compare all tables of this set, at one moment of each side.")
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help=N_("One JSON object a range, of a set one a table, and one for the whole."),
)
def verify(liquidation: int, copy_name: str | None, *, set_name: str | None, as_json: bool) -> None:
    settings = settings_for(Need.DATABASES | Need.COPIES)
    if (wanted_set := chosen_set(settings, copy_name, set_name)) is not None:
        sys.exit(_verify_set(settings, wanted_set, liquidation, as_json=as_json))
    chosen = chosen_copy(settings, copy_name)
    parts = app.databases(settings)
    output = VerificationOutput(as_json, shell_translator())
    limits = settings.file.work.limits
    go_on = broken_off_by_signals()

    def show(comparison: RangeComparison) -> None:
        go_on()
        output.add(comparison)

    with (
        stop_on_errors(),
        Copy(
            parts.prod,
            parts.consulta,
            spec_of(parts.consulta, chosen),
            liquidation,
            names=SIDES,
            limits=limits,
            label="traspaso verify",
            on_silence=go_on,
        ) as both,
    ):
        output.begin(both.plan())
        proof = both.verify(on_comparison=show)
        known = _known_to_prod(parts, settings, liquidation) if proof.is_empty else None
    sys.exit(COMPLETED if output.finish(proof, known) else FAILED)


def _verify_set(settings: Settings, chosen: SetSection, liquidation: int, *, as_json: bool) -> int:
    """Compares all tables at one moment of each side; gives the exit code."""
    from bot.messages.verification import SetVerificationResult

    copies = settings.file.copies_of(chosen)
    parts, began = app.databases(settings), time.monotonic()
    go_on = broken_off_by_signals()

    def show(name: str, comparison: RangeComparison) -> None:
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
        if found is None:
            return FAILED
        known = _known_to_prod(parts, settings, liquidation) if found.is_empty else None
    result = SetVerificationResult.of(
        chosen, copies, liquidation, found, seconds=time.monotonic() - began, known=known
    )
    if as_json:
        print_set_verification_json(result)
    else:
        print_set_verification(result, shell_translator())
    return COMPLETED if result.holds and (known or not result.is_empty) else FAILED


def _known_to_prod(parts: Databases, settings: Settings, liquidation: int) -> bool | None:
    """Whether prod's catalogue has it; None where there is no catalogue."""
    listed = settings.file.liquidations
    return is_known(parts.prod, listed.catalogue, liquidation, names=SIDES) if listed else None


def broken_off_by_signals() -> Callable[..., None]:
    """From now on Ctrl-C ends a comparison; gives what is to be asked often, and then raises Stopped."""
    over = threading.Event()

    def go_on(silent: float = 0.0) -> None:
        if over.is_set():
            raise Stopped("the comparison was broken off; nothing was written", INTERRUPTED)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: over.set())
    return go_on


# ----------------------------------------------------------------------------
# traspaso explain


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
    from copier import explain as explain_set

    settings = settings_for(Need.DATABASES | Need.COPIES)
    chosen = _set_named(settings, set_name) if set_name is not None else settings.file.default_set
    title = chosen.shown if chosen is not None else None
    copies = settings.file.copies_of(chosen) if chosen is not None else settings.file.copies
    parts = app.databases(settings)
    with stop_on_errors():
        found = explain_set(
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

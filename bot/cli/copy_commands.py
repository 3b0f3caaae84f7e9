"""The commands of the shell: copies, previews and comparisons without Slack and Redis; buttons; the freeze.

Errors end a command with a sentence and an exit code, never with a traceback. What pauses or resumes a job
shows on its card in Slack as well, and a worker's sweep finds what is to go on within seconds.
"""

from __future__ import annotations

import getpass
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING

import click
from sqlalchemy.exc import SQLAlchemyError

from bot import app, config, time_expressions
from bot.app import Databases
from bot.cli.help import Command, shell_translator
from bot.cli.output import (
    Bar,
    Display,
    JsonLines,
    VerificationOutput,
    approval_line,
    asks,
    job_name,
    print_json,
    print_preview,
    print_preview_json,
    print_table,
    print_workers,
    question_line,
    refusal_of_preview,
    say,
)
from bot.commands.parsing import number, numbers_in, several
from bot.config import SIDES, CopySection, Need, SetSection, Settings, sentence_of
from bot.errors import AlreadyRunning, BotError, ConfigError, UnknownJob
from bot.i18n import N_, Translator, translator
from bot.jobs import baseline
from bot.jobs.baseline import spec_of
from bot.jobs.models import RunKind, Status, StopReason, StopRequest
from bot.jobs.repository import Request, Requester
from bot.jobs.view import SHELL, AgreedCounts, JobView, RowCounts
from bot.messages.answers import wrong_number
from bot.messages.blocks import WORKER_COMMAND, bare_name, frozen_by, nobody_works, plain
from bot.messages.card import activity, state
from bot.messages.proposal import removes_everything
from bot.work.background import ProgressTicker
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from copier import Baseline, Comparison, Copy, Preview, is_known
from copier.errors import CopierError, failures_of

if TYPE_CHECKING:
    from bot.jobs.actions import Control, Effect

log = logging.getLogger(__name__)

#: Exit codes.
COMPLETED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Number(click.ParamType[int]):
    """A liquidation's or a job's number, as strict as in Slack."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = value if isinstance(value, int) else number(str(value))
        if found is None:
            if len(several := numbers_in(str(value).split())) > 1:
                self.fail(f"one at a time: begin with {several[0]}", param, ctx)
            self.fail(f"{value!r} is not a number: {wrong_number(str(value), translator('en'))}", param, ctx)
        return found


class Liquidations(click.ParamType[tuple[int, ...]]):
    """A liquidation's number, or several as in Slack: 40-45, or 42,43."""

    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        found = several(str(value).split())
        if found is None or found[1]:
            return (Number().convert(value, param, ctx),)
        from bot.messages.run_proposal import MOST

        if found[0].count > MOST:
            self.fail(f"at most {MOST} liquidations at a time: that would be {found[0].count}", param, ctx)
        return found[0].values


class Stopped(click.ClickException):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, message: str, exit_code: int, lines: Sequence[str] = ()) -> None:
        """``lines`` are said below the message, each on a line of its own."""
        super().__init__(message)
        self._exit_code = exit_code
        self._lines = lines

    def show(self, file: object = None) -> None:
        say(f"Error: {self.message}", err=True)
        for line in self._lines:
            say(f"  - {line}", err=True)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self._exit_code


class stop_on_errors:  # noqa: N801 - a context manager that reads as a sentence
    """Errors of databases end the command with a sentence, not with a traceback; ``more`` is added to it."""

    def __init__(self, more: str = "") -> None:
        self._more = more

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CopierError | BotError):
            raise _stopped(error, FAILED, self._more) from error
        if isinstance(error, SQLAlchemyError):
            # Whatever is asked of prod says so itself; without that it is a question to the tracking tables.
            raise _stopped(_classified(error), FAILED, self._more) from error


def _classified(error: SQLAlchemyError) -> Exception:
    try:
        with failures_of(SIDES.target):
            raise error
    except CopierError as found:
        return found
    except SQLAlchemyError as misuse:
        return Exception(f"the database driver gave up ({type(misuse).__name__}): -v shows where")


def _stopped(error: Exception, exit_code: int, more: str = "") -> Stopped:
    """Its sentence; with -v the log has the server's own words too."""
    log.info("%s", error, exc_info=error)
    return Stopped(f"{sentence_of(error)}{more}", exit_code)


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
    chosen = settings.set_named(set_name)
    if chosen is None:
        names = ", ".join(each.name for each in settings.file.sets) or "none"
        raise click.UsageError(f"there is no set named {set_name!r}; configured: {names}")
    return chosen


def settings_for(need: Need) -> Settings:
    """The settings; what is missing or wrong ends the command."""
    lines = config.read_env_file()
    settings, wrong = config.read(os.environ, need)
    if lines or wrong:
        raise Stopped(ConfigError.summary, USAGE, [*lines, *wrong])
    return settings


def checked(parts: Databases) -> Databases:
    """The same, with tracking tables of this release; others end the command."""
    try:
        parts.check_schema()
    except (BotError, CopierError) as error:
        raise _stopped(error, USAGE if isinstance(error, BotError) else FAILED) from error
    return parts


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
# Copy, preview, verify, status, migrate


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
    if (whole := chosen_set(settings, copy_name, set_name)) is not None:
        from bot.cli.run_commands import copy_whole

        sys.exit(copy_whole(settings, whole, liquidations, as_json=as_json, remove=remove, reason=reason))
    chosen = chosen_copy(settings, copy_name)
    refuse_without_reason([chosen], reason)
    parts = checked(app.databases(settings, brief=True))

    def display() -> Display:
        return JsonLines() if as_json else Bar(shell_translator())

    if len(liquidations) > 1:
        from bot.cli.run_commands import copy_several

        sys.exit(copy_several(parts, settings, chosen, liquidations, display, remove=remove, reason=reason))
    request = request_for(parts, settings, chosen, liquidations[0], remove=remove, reason=reason)
    look_at_windows(parts, settings)
    with stop_on_errors():
        try:
            job_id, _ = parts.store.create(request)
        except AlreadyRunning as running:
            raise Stopped(f"{running}: `traspaso status {running.job_id}` shows it", FAILED) from None
    parts.liveness.start(takes_jobs=False)
    shown = display()
    try:
        job = follow(parts, job_id, shown, StopSwitch())
    finally:
        parts.liveness.stop()
    shown.finish(job)
    sys.exit({Status.COMPLETED: COMPLETED, Status.CANCELLED: INTERRUPTED}.get(job.status, FAILED))


def refuse_without_reason(copies: Sequence[CopySection], reason: str) -> None:
    """Raises Stopped where one of them asks why it is copied, and that wasn't said."""
    for each in copies:
        if each.require_reason and not reason.strip():
            raise Stopped(f"copying {each.name} needs a reason: add --reason 'why it is copied'", USAGE)


def request_for(
    parts: Databases,
    settings: Settings,
    chosen: CopySection,
    liquidation: int,
    *,
    remove: bool,
    reason: str,
) -> Request:
    """What is asked for, by what both sides hold now. Raises Stopped where it can't be copied so."""
    seen = look_at_both_sides(parts, settings, chosen, liquidation)
    if words := refusal_of_preview(seen, liquidation, remove=remove):
        raise Stopped(words, FAILED)
    return request_by(chosen, liquidation, seen, remove=remove, reason=reason)


def request_by(chosen: CopySection, liquidation: int, seen: Preview, *, remove: bool, reason: str) -> Request:
    """The same, by what was seen of both sides."""
    if chosen.needs_approval(seen.in_source.known, seen.in_target.known):
        raise Stopped(
            f"copying liquidation {liquidation} needs the approval of a second person, which only Slack can "
            f"ask for: write `/copy-liquidation {liquidation} {chosen.name}` there",
            FAILED,
        )
    return Request(
        spec=chosen.spec,
        liquidation_id=liquidation,
        label=seen.label,
        terms=AgreedCounts(
            seen.in_source.rows, seen.in_target.known, removal_confirmed=remove and removes_everything(seen)
        ),
        fingerprint=seen.fingerprint,
        reason=reason,
        requester=who(),
    )


def look_at_windows(parts: Databases, settings: Settings) -> None:
    """The freezes of the configuration are written down: no other process may be up."""
    if settings.file.freezes:
        from bot.jobs.freezes import FreezeWindows

        with stop_on_errors():
            FreezeWindows(parts.tracking, settings.file.freezes).look()


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
    if (whole := chosen_set(settings, copy_name, set_name)) is not None:
        from bot.cli.run_commands import preview_whole

        sys.exit(preview_whole(settings, whole, liquidation, as_json=as_json))
    chosen = chosen_copy(settings, copy_name)
    seen = look_at_both_sides(app.databases(settings), settings, chosen, liquidation)
    if as_json:
        print_preview_json(seen)
    else:
        print_preview(seen, chosen, liquidation, shell_translator())


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
    if (whole := chosen_set(settings, copy_name, set_name)) is not None:
        from bot.cli.run_commands import verify_whole

        sys.exit(verify_whole(settings, whole, liquidation, as_json=as_json))
    chosen = chosen_copy(settings, copy_name)
    parts = app.databases(settings)
    output = VerificationOutput(as_json, shell_translator())
    limits = settings.file.work.limits
    go_on = broken_off_by_signals()

    def show(comparison: Comparison) -> None:
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
        listed = settings.file.liquidations
        known = None
        if listed and proof.is_empty:
            known = is_known(parts.prod, listed.catalogue, liquidation, names=SIDES)
    sys.exit(COMPLETED if output.finish(proof, known) else FAILED)


def broken_off_by_signals() -> Callable[..., None]:
    """From now on Ctrl-C ends a comparison; gives what is to be asked often, and then raises Stopped."""
    over = threading.Event()

    def go_on(silent: float = 0.0) -> None:
        if over.is_set():
            raise Stopped("the comparison was broken off; nothing was written", INTERRUPTED)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: over.set())
    return go_on


@click.command(
    cls=Command, help=N_("Shows what runs, the latest jobs and the workers that are alive, or one JOB.")
)
@click.argument("job", type=Number(), required=False)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object a line."))
def status(job: int | None, as_json: bool) -> None:
    parts = checked(app.databases(settings_for(Need.DATABASES)))
    if job is None:
        jobs = [*parts.store.live(), *parts.store.latest()]
    else:
        found = parts.store.job(job)
        if found is None:
            raise Stopped(f"there is no job {job}", FAILED)
        jobs = [found]
    runs = {each: run for each, run in parts.store.runs_of(jobs).items() if run.kind is RunKind.SET}
    if as_json:
        for each in jobs:
            whole = runs.get(each.run_id) if each.run_id is not None else None
            chunks = parts.store.chunks(each.id) if job is not None else None
            print_json(each, chunks, set_name=whole.set_name if whole is not None else None)
        return
    t = shell_translator()
    print_table(jobs, t, runs)
    if job is None:
        alive = parts.workers.alive()
        if alive:
            say()
            print_workers(alive, t)
        _say_what_the_watch_knows(parts, t)
        if none := parts.workers.missing():
            say()
            say(plain(nobody_works(none, t)))
    else:
        none = jobs[0].no_worker if jobs[0].waits_for_a_worker else None
        waits = nobody_works(none, t) if none else None
        for line in (approval_line(jobs[0], t), question_line(jobs[0], t), waits, jobs[0].error_message):
            if line:
                say(plain(line))


def _say_what_the_watch_knows(parts: Databases, t: Translator) -> None:
    from bot.jobs.freshness import FreshnessReader
    from bot.messages import freshness

    seen = FreshnessReader(parts.tracking).watched(freshness.LISTED)
    if not seen:
        return
    say()
    for line in (*freshness.of_watch(seen, parts.store.titles, t), freshness.summary(seen, t)):
        if line:
            say(plain(line))


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
# Pause, resume, cancel, retry, confirm, freeze, unfreeze


JOB = click.argument("job", type=Number())


@click.command(cls=Command, help=N_("Pauses JOB at the end of its chunk; what is in place stays."))
@JOB
def pause(job: int) -> None:
    _do(job, lambda control, who: control.pause(job, who))


@click.command(cls=Command, help=N_("Lets a paused JOB go on in a worker."))
@JOB
def resume(job: int) -> None:
    _do(job, lambda control, who: control.resume(job, who))


@click.command(cls=Command, help=N_("Cancels JOB at the end of its chunk; what is in place stays."))
@JOB
def cancel(job: int) -> None:
    _do(job, lambda control, who: control.cancel(job, who))


@click.command(cls=Command, help=N_("Lets a worker try a failed JOB again."))
@JOB
def retry(job: int) -> None:
    _do(job, lambda control, who: control.retry(job, who))


@click.command(
    cls=Command,
    help=N_(
        "Agrees to the rows IN_PROD and IN_CONSULTA that JOB asks about, and to the DELETED ones of consulta "
        "where it names them, so that a worker copies."
    ),
)
@JOB
@click.argument("in_prod", type=click.IntRange(min=0))
@click.argument("in_consulta", type=click.IntRange(min=0))
@click.argument("deleted", type=click.IntRange(min=0), required=False)
@click.option(
    "--remove", is_flag=True, help=N_("Where more rows are in consulta than in prod: these are removed.")
)
def confirm(job: int, in_prod: int, in_consulta: int, deleted: int | None, remove: bool) -> None:
    parts = _parts()
    with stop_on_errors():
        found = parts.store.job(job)
        if found is None:
            raise UnknownJob(job)
    if found.waits_for_approval:
        raise Stopped(asks(found), FAILED)
    if found.question is None or not found.waits_for_confirmation:
        raise Stopped(f"job {job} is {state(found, shell_translator())} and asks nothing", FAILED)
    numbers = RowCounts(in_prod, in_consulta, deleted)
    if numbers != found.question.numbers or (found.question.removed and not remove):
        raise Stopped(asks(found), FAILED)
    _do(job, lambda control, who: control.confirm(job, who, numbers))


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
    parts = _parts()
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

    parts = _parts()
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


def who() -> Requester:
    """The login that runs this shell."""
    return Requester(SHELL, getpass.getuser(), getpass.getuser())


def _do(job_id: int, action: Callable[[Control, Requester], Effect[JobView]]) -> None:
    from bot.jobs.actions import Became, Control

    parts = _parts()
    try:
        with stop_on_errors():
            effect = action(Control(parts.tracking, parts.store), who())
    except AlreadyRunning as running:
        raise Stopped(f"{running}: `traspaso status {running.job_id}` shows it", FAILED) from None
    t = shell_translator()
    if effect.became in {Became.NOT_NOW, Became.NOT_YOURS, Became.STALE}:
        raise Stopped(f"job {job_id} is {state(effect.after, t)}: nothing was changed", FAILED)
    say(f"{job_name(effect.after, t)}: {plain(activity(effect.after, t, bare_name))}")


def _parts() -> Databases:
    return checked(app.databases(settings_for(Need.DATABASES)))

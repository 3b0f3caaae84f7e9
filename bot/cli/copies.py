"""``traspaso copy | preview | verify | status | migrate``: without Slack and without Redis."""

from __future__ import annotations

import getpass
import json
import signal
import sys
import threading
from types import FrameType

import click

from bot import app
from bot.app import Databases
from bot.cli.output import (
    Bar,
    Display,
    JsonLines,
    VerificationOutput,
    approval_line,
    asks,
    plain,
    preview_as_json,
    print_json,
    print_preview,
    print_table,
    print_workers,
    question_line,
    refusal_of_preview,
)
from bot.cli.setup import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    Number,
    Stopped,
    checked,
    chosen_copy,
    look_at_both_sides,
    settings_for,
    shell_translator,
    stop_on_errors,
)
from bot.config import SIDES, Need, Settings
from bot.errors import AlreadyRunning, Frozen
from bot.jobs.repository import Request, Requester
from bot.jobs.status import Status, StopReason, StopRequest
from bot.jobs.view import SHELL, AgreedCounts, JobView
from bot.messages.naming import WORKER_COMMAND, nobody_works
from bot.messages.proposal import removes_everything
from bot.work.background import ProgressTicker
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from copier import Comparison, Copy, is_known


@click.command()
@click.argument("liquidation", type=Number())
@click.argument("copy_name", metavar="[COPY]", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
@click.option("--remove", is_flag=True, help="Go on where prod has no rows: consulta's are removed.")
def copy(liquidation: int, copy_name: str | None, as_json: bool, remove: bool) -> None:
    """Copies LIQUIDATION in the foreground; COPY is one of the configured copies (the first one)."""
    settings = settings_for(Need.DATABASES | Need.COPIES)
    chosen = chosen_copy(settings, copy_name)
    parts = checked(app.databases(settings))
    seen = look_at_both_sides(parts, settings, chosen, liquidation)
    if words := refusal_of_preview(seen, liquidation, remove=remove):
        raise Stopped(words, FAILED)
    if chosen.needs_approval(seen.in_source.known, seen.in_target.known):
        raise Stopped(
            f"copying liquidation {liquidation} needs the approval of a second person, which only Slack can "
            f"ask for: write `/copy-liquidation {liquidation} {chosen.name}` there",
            FAILED,
        )
    request = Request(
        spec=chosen.spec,
        liquidation_id=liquidation,
        label=seen.label,
        terms=AgreedCounts(
            seen.in_source.rows, seen.in_target.known, removal_confirmed=remove and removes_everything(seen)
        ),
        fingerprint=seen.fingerprint,
        requester=Requester(SHELL, getpass.getuser(), getpass.getuser()),
    )
    try:
        job_id, _ = parts.store.create(request)
    except AlreadyRunning as running:
        raise Stopped(f"{running}: `traspaso status {running.job_id}` shows it", FAILED) from None
    except Frozen as frozen:
        raise Stopped(str(frozen), FAILED) from None
    display: Display = JsonLines() if as_json else Bar(shell_translator())
    parts.liveness.start(takes_jobs=False)
    try:
        job = _follow(parts, job_id, display, settings)
    finally:
        parts.liveness.stop()
    display.finish(job)
    sys.exit({Status.COMPLETED: COMPLETED, Status.CANCELLED: INTERRUPTED}.get(job.status, FAILED))


@click.command()
@click.argument("liquidation", type=Number())
@click.argument("copy_name", metavar="[COPY]", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def preview(liquidation: int, copy_name: str | None, as_json: bool) -> None:
    """Shows what both sides hold of LIQUIDATION, and what would make copying it faster."""
    settings = settings_for(Need.DATABASES | Need.COPIES)
    chosen = chosen_copy(settings, copy_name)
    seen = look_at_both_sides(app.databases(settings), settings, chosen, liquidation)
    if as_json:
        click.echo(json.dumps(preview_as_json(seen), ensure_ascii=False, default=str))
    else:
        print_preview(seen, chosen.spec, shell_translator())


@click.command()
@click.argument("liquidation", type=Number())
@click.argument("copy_name", metavar="[COPY]", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a range, and one for the whole.")
def verify(liquidation: int, copy_name: str | None, as_json: bool) -> None:
    """Compares both sides of LIQUIDATION now, and writes nothing. Exits 1 where they differ."""
    settings = settings_for(Need.DATABASES | Need.COPIES)
    chosen = chosen_copy(settings, copy_name)
    parts = app.databases(settings)
    output = VerificationOutput(as_json, shell_translator())
    limits = settings.file.work.limits
    over = threading.Event()

    def go_on(silent: float = 0.0) -> None:
        if over.is_set():
            raise Stopped("the comparison was broken off; nothing was written", INTERRUPTED)

    def show(comparison: Comparison) -> None:
        go_on()
        output.add(comparison)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with (
        stop_on_errors(),
        Copy(
            parts.prod,
            parts.consulta,
            chosen.spec,
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


@click.command()
@click.argument("job", type=Number(), required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def status(job: int | None, as_json: bool) -> None:
    """Shows what runs, the latest jobs and the workers that are alive, or one JOB."""
    parts = checked(app.databases(settings_for(Need.DATABASES)))
    if job is None:
        jobs = [*parts.store.live(), *parts.store.latest()]
    else:
        found = parts.store.job(job)
        if found is None:
            raise Stopped(f"there is no job {job}", FAILED)
        jobs = [found]
    if as_json:
        for each in jobs:
            print_json(each, parts.store.chunks(each.id) if job is not None else None)
        return
    t = shell_translator()
    print_table(jobs, t)
    if job is None:
        alive = parts.workers.alive()
        if alive:
            click.echo()
            print_workers(alive, t)
        if none := parts.workers.missing():
            click.echo()
            click.echo(plain(nobody_works(none, t)))
    else:
        none = jobs[0].no_worker if jobs[0].waits_for_a_worker else None
        waits = nobody_works(none, t) if none else None
        for line in (approval_line(jobs[0], t), question_line(jobs[0], t), waits, jobs[0].error_message):
            if line:
                click.echo(plain(line))


@click.command()
def migrate() -> None:
    """Brings the tracking tables in consulta to this release's version."""
    import migrations  # loads Alembic, which no other command needs before its tables are checked

    parts = app.databases(settings_for(Need.DATABASES))
    with stop_on_errors():
        migrations.upgrade(parts.consulta)
    click.echo(f"The tracking tables are at version {migrations.newest()}.")


COMMANDS = (copy, preview, verify, status, migrate)


def _follow(parts: Databases, job_id: int, display: Display, settings: Settings) -> JobView:
    """Works on the job until it has ended; where a worker took it over, watches that one."""
    stop = StopSwitch()

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
                watch=lambda job: ProgressTicker(parts.store, job, display.show, every_seconds=0.5),
            )
            job = parts.store.job(job_id)
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

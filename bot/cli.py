"""``traspaso``: the same operations without Slack and without Redis.

Exit codes: 0 completed, 1 failed, 2 wrong usage or settings, 130 cancelled with Ctrl-C.
"""

from __future__ import annotations

import getpass
import logging
import os
import signal
import sys
from types import FrameType

import click
from sqlalchemy.exc import SQLAlchemyError

import migrations
from bot import config, logs, services
from bot.commands.parsing import number
from bot.config import Need, Settings
from bot.errors import AlreadyRunning, BotError
from bot.i18n import Translator, translator
from bot.jobs.snapshot import JobSnapshot
from bot.jobs.statuses import Status
from bot.jobs.store import Request, Requester
from bot.services import Databases
from bot.terminal import Bar, Display, JsonLines, print_json, print_table
from bot.work.runner import Outcome
from bot.work.stopping import Stop, StopSwitch
from bot.work.ticker import Ticker
from copier.errors import CopierError

COMPLETED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Number(click.ParamType[int]):
    """A liquidation's or a job's number, as strict as in Slack."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = value if isinstance(value, int) else number(str(value))
        if found is None:
            self.fail(f"{value!r} is not digits only, from 1 to 9223372036854775807", param, ctx)
        return found


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="traspaso")
def main() -> None:
    """Copies one liquidation from prod to consulta, and proves it."""
    logs.set_up(logging.WARNING)


@main.command()
@click.argument("liquidation", type=Number())
@click.argument("copy_name", metavar="[COPY]", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def copy(liquidation: int, copy_name: str | None, as_json: bool) -> None:
    """Copies LIQUIDATION in the foreground; COPY is one of the configured copies (the first one)."""
    settings = _settings(Need.DATABASES | Need.COPIES)
    parts = _checked(services.databases(settings))
    chosen = settings.copy_named(copy_name)
    if chosen is None:
        names = ", ".join(each.name for each in settings.file.copies)
        raise click.UsageError(f"there is no copy named {copy_name!r}; configured: {names}")
    request = Request(
        spec=chosen.spec,
        liquidation_id=liquidation,
        label=None,
        requester=Requester("shell", getpass.getuser(), getpass.getuser()),
    )
    try:
        job_id, _ = parts.store.create(request)
    except AlreadyRunning as running:
        raise _Stopped(f"{running}: `traspaso status {running.job_id}` shows it", FAILED) from None
    display: Display = JsonLines() if as_json else Bar(_translator())
    job = _follow(parts, job_id, display, settings)
    display.finish(job)
    sys.exit({Status.COMPLETED: COMPLETED, Status.CANCELLED: INTERRUPTED}.get(job.status, FAILED))


@main.command()
@click.argument("job", type=Number(), required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def status(job: int | None, as_json: bool) -> None:
    """Shows what runs and the latest jobs, or one JOB."""
    parts = _checked(services.databases(_settings(Need.DATABASES)))
    if job is None:
        jobs = [*parts.store.live(), *parts.store.latest()]
    else:
        found = parts.store.snapshot(job)
        if found is None:
            raise _Stopped(f"there is no job {job}", FAILED)
        jobs = [found]
    if as_json:
        for each in jobs:
            print_json(each)
        return
    print_table(jobs, _translator())
    if job is not None and jobs[0].error_message:
        click.echo(jobs[0].error_message)


@main.command()
def migrate() -> None:
    """Brings the tracking tables in consulta to this release's version."""
    parts = services.databases(_settings(Need.DATABASES))
    with _told():
        migrations.upgrade(parts.consulta)
    click.echo(f"The tracking tables are at version {migrations.newest()}.")


def _follow(parts: Databases, job_id: int, display: Display, settings: Settings) -> JobSnapshot:
    """Works on the job until it has ended; where a worker took it over, watches that one."""
    stop = StopSwitch()

    def interrupt(number: int, frame: FrameType | None) -> None:
        stop.request(Stop.CANCEL)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    while True:
        with _told():
            ended = parts.runner.run(
                job_id,
                stop,
                watch=lambda job: Ticker(parts.store, job, display.show, every_seconds=0.5),
            )
            job = parts.store.snapshot(job_id)
        if job is None or not job.status.is_live:
            break
        display.show(job)
        if ended.outcome is Outcome.RETRY and stop.wait(ended.seconds):
            raise _Stopped(f"job {job_id} stays pending: a worker will take it", INTERRUPTED)
        if ended.outcome in {Outcome.NOT_OURS, Outcome.STALE} and stop.wait(1.0):
            raise _Stopped(f"job {job_id} goes on in a worker", INTERRUPTED)
    if job is None:
        raise _Stopped(f"job {job_id} has been deleted", FAILED)
    return job


class _Stopped(click.ClickException):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self._exit_code


class _told:  # noqa: N801 - a context manager that reads as a sentence
    """Errors of databases end the command with a sentence, not with a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CopierError | BotError):
            raise _Stopped(str(error), FAILED) from error
        if isinstance(error, SQLAlchemyError):
            raise _Stopped(f"consulta failed: {type(error).__name__}", FAILED) from error


def _settings(need: Need) -> Settings:
    try:
        return config.load(os.environ, need)
    except BotError as error:
        raise _Stopped(str(error), USAGE) from None


def _checked(parts: Databases) -> Databases:
    try:
        parts.check_schema()
    except (BotError, CopierError) as error:
        raise _Stopped(str(error), USAGE if isinstance(error, BotError) else FAILED) from error
    return parts


def _translator() -> Translator:
    return translator(
        os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or "en"
    )

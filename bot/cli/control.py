"""``traspaso pause | resume | cancel | retry | confirm | freeze | unfreeze``: buttons and freeze, in a shell.

A worker takes what is to go on within seconds: its sweep finds it. Cards in Slack show it as well.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable

import click

from bot import app
from bot.app import Databases
from bot.cli.output import asks, bare_name, plain
from bot.cli.setup import FAILED, Number, Stopped, checked, settings_for, shell_translator, stop_on_errors
from bot.config import Need
from bot.errors import AlreadyRunning, UnknownJob
from bot.jobs.actions import Became, Control, Effect, Freezes
from bot.jobs.repository import Requester
from bot.jobs.view import SHELL, RowCounts
from bot.messages.card import activity, state
from bot.messages.naming import frozen_by

JOB = click.argument("job", type=Number())


@click.command()
@JOB
def pause(job: int) -> None:
    """Pauses JOB at the end of its chunk; what is in place stays."""
    _do(job, lambda control, who: control.pause(job, who))


@click.command()
@JOB
def resume(job: int) -> None:
    """Lets a paused JOB go on in a worker."""
    _do(job, lambda control, who: control.resume(job, who))


@click.command()
@JOB
def cancel(job: int) -> None:
    """Cancels JOB at the end of its chunk; what is in place stays."""
    _do(job, lambda control, who: control.cancel(job, who))


@click.command()
@JOB
def retry(job: int) -> None:
    """Lets a worker try a failed JOB again."""
    _do(job, lambda control, who: control.retry(job, who))


@click.command()
@JOB
@click.argument("in_prod", type=click.IntRange(min=0))
@click.argument("in_consulta", type=click.IntRange(min=0))
@click.option(
    "--remove", is_flag=True, help="Where more rows are in consulta than in prod: these are removed."
)
def confirm(job: int, in_prod: int, in_consulta: int, remove: bool) -> None:
    """Agrees to the rows IN_PROD and IN_CONSULTA that JOB asks about, so that a worker copies them."""
    parts = _parts()
    with stop_on_errors():
        found = parts.store.job(job)
        if found is None:
            raise UnknownJob(job)
    if found.waits_for_approval:
        raise Stopped(asks(found), FAILED)
    if found.question is None or not found.waits_for_confirmation:
        raise Stopped(f"job {job} is {state(found, shell_translator())} and asks nothing", FAILED)
    numbers = RowCounts(in_prod, in_consulta)
    if numbers != found.question.numbers or (found.question.removed and not remove):
        raise Stopped(asks(found), FAILED)
    _do(job, lambda control, who: control.confirm(job, who, numbers))


@click.command()
@click.argument("reason", nargs=-1)
def freeze(reason: tuple[str, ...]) -> None:
    """Stops all copies at the end of their chunk and refuses new ones, until `traspaso unfreeze`."""
    parts = _parts()
    with stop_on_errors():
        found, is_new = Freezes(parts.tracking).freeze(who(), " ".join(reason))
    words = plain(frozen_by(found, shell_translator(), bare_name))
    if not is_new:
        raise Stopped(f"frozen before this: {words}; `traspaso unfreeze` lets copies run again", FAILED)
    click.echo(f"{words}. `traspaso unfreeze` lets copies run again.")


@click.command()
def unfreeze() -> None:
    """Lets copies run again."""
    parts = _parts()
    with stop_on_errors():
        lifted = Freezes(parts.tracking).lift(who())
    if lifted is None:
        raise Stopped("nothing is frozen", FAILED)
    click.echo(f"Copies run again; {len(lifted.waiting)} of them waited.")


COMMANDS = (pause, resume, cancel, retry, confirm, freeze, unfreeze)


def who() -> Requester:
    """The login that runs this shell."""
    return Requester(SHELL, getpass.getuser(), getpass.getuser())


def _do(job_id: int, action: Callable[[Control, Requester], Effect]) -> None:
    parts = _parts()
    try:
        with stop_on_errors():
            effect = action(Control(parts.tracking), who())
    except AlreadyRunning as running:
        raise Stopped(f"{running}: `traspaso status {running.job_id}` shows it", FAILED) from None
    t = shell_translator()
    if effect.became in {Became.NOT_NOW, Became.NOT_YOURS, Became.STALE}:
        raise Stopped(f"job {job_id} is {state(effect.job, t)}: nothing was changed", FAILED)
    name = t("Job {id}", id=job_id)
    click.echo(f"{name}: {plain(activity(effect.job, t, bare_name))}")


def _parts() -> Databases:
    return checked(app.databases(settings_for(Need.DATABASES)))

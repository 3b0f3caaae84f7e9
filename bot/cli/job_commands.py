"""``traspaso status``, and the buttons of a card: ``pause``, ``resume``, ``cancel``, ``retry``, ``confirm``.

What pauses or resumes a job shows on its card in Slack as well, and a worker's sweep finds what is to go on
within seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from bot.app import Databases
from bot.cli.help import Command, shell_translator
from bot.cli.invocation import FAILED, Number, Stopped, stop_on_errors, tracked, who
from bot.cli.output import (
    approval_line,
    asks,
    job_name,
    print_json,
    print_table,
    print_workers,
    question_line,
    say,
)
from bot.errors import AlreadyRunning, UnknownJob
from bot.i18n import N_, Translator
from bot.jobs.models import RunKind
from bot.jobs.repository import Requester
from bot.jobs.view import JobView, RowCounts
from bot.messages.blocks import bare_name, nobody_works, plain
from bot.messages.card import activity, state

if TYPE_CHECKING:
    from bot.jobs.actions import Control, Effect

# ----------------------------------------------------------------------------
# traspaso status


@click.command(
    cls=Command, help=N_("Shows what runs, the latest jobs and the workers that are alive, or one JOB.")
)
@click.argument("job", type=Number(), required=False)
@click.option("--json", "as_json", is_flag=True, help=N_("One JSON object a line."))
def status(job: int | None, as_json: bool) -> None:
    parts = tracked()
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
            run = runs.get(each.run_id) if each.run_id is not None else None
            chunks = parts.store.chunks(each.id) if job is not None else None
            print_json(each, chunks, set_name=run.set_name if run is not None else None)
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


# ----------------------------------------------------------------------------
# The buttons of a card


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
    parts = tracked()
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


def _do(job_id: int, action: Callable[[Control, Requester], Effect[JobView]]) -> None:
    from bot.jobs.actions import Became, Control

    parts = tracked()
    try:
        with stop_on_errors():
            effect = action(Control(parts.tracking, parts.store), who())
    except AlreadyRunning as running:
        raise Stopped(f"{running}: `traspaso status {running.job_id}` shows it", FAILED) from None
    t = shell_translator()
    if effect.became in {Became.NOT_NOW, Became.NOT_YOURS, Became.STALE}:
        raise Stopped(f"job {job_id} is {state(effect.after, t)}: nothing was changed", FAILED)
    say(f"{job_name(effect.after, t)}: {plain(activity(effect.after, t, bare_name))}")

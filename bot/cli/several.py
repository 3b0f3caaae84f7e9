"""``traspaso copy 40-45``: several liquidations, one after the other in this terminal, a line for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.app import Databases
from bot.cli.commands import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    Stopped,
    follow,
    look_at_windows,
    request_for,
    stop_on_errors,
    who,
)
from bot.cli.output import Display, say
from bot.config import CopySection, Settings
from bot.errors import Frozen
from bot.jobs.repository import Request, RunRequest
from bot.jobs.run_actions import RunControl
from bot.jobs.status import RunKind, Status
from bot.work.cancellation import StopSwitch


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
    look_at_windows(parts, settings)
    try:
        with stop_on_errors():
            created = parts.store.create_run(
                RunRequest(RunKind.SEVERAL, tuple(requests), requests[0].requester)
            )
            for job_id in created.taken:
                say(f"❌ job {job_id} copies it already: `traspaso status {job_id}` shows it", err=True)
            run = parts.store.run(created.run_id) if created.run_id is not None else None
    except Frozen as frozen:
        raise Stopped(str(frozen), FAILED) from None
    return [job.id for job in run.jobs] if run is not None else []


def _cancel_the_rest(parts: Databases, job_id: int) -> None:
    with stop_on_errors():
        job = parts.store.job(job_id)
        if job is not None and job.run_id is not None:
            RunControl(parts.tracking, parts.store).cancel(job.run_id, who())

"""The contender: jobs through the product's own runner, or its engine without the proof.

Run as a process of its own, so that its memory and CPU are its own; prints one JSON object. The clock
starts when everything is imported, as in a worker that has been up for a while.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Sequence

from bot import app, config
from bot.app import Databases
from bot.config import SIDES, Need
from bot.jobs.attempt import AttemptLedger, Attempts
from bot.jobs.models import Phase, RunKind, Status
from bot.jobs.repository import Request, Requester, RunRequest
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from copier import Copy, CopySpec, Limits
from dev.memory import peak_kb

Extra = dict[str, object]


def main(mode: str, liquidation_id: int) -> None:
    settings = config.load(os.environ, Need.DATABASES | Need.COPIES)
    parts = app.databases(settings)
    requests = [
        Request(copy.spec, liquidation_id, None, Requester("shell", "bench", "bench"))
        for copy in settings.file.copies
    ]
    if mode == "set":
        name = settings.file.sets[0].name
        run = RunRequest(RunKind.SET, tuple(requests), requests[0].requester, set_name=name)
        job_ids = parts.store.create_run(run).job_ids
    else:
        job_ids = tuple(parts.store.create(request)[0] for request in requests)
    parts.prod.connect().close()
    gc.freeze()  # as the worker does
    began, cpu = time.perf_counter(), time.process_time()
    if mode == "proven":
        extra = proven(parts, job_ids[0])
    elif mode == "unproven":
        extra = unproven(parts, job_ids[0], requests[0].spec, settings.file.work.limits)
    else:
        extra = whole(parts, job_ids, at_once=mode == "set")
    figures: Extra = {
        "seconds": time.perf_counter() - began,
        "client_cpu": time.process_time() - cpu,
        "peak_mb": peak_kb() / 1024,
        **extra,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def proven(parts: Databases, job_id: int) -> Extra:
    """With everything on: count, chunks, ledger, fencing, digests of both sides."""
    ended = parts.runner.run(job_id, StopSwitch())
    job = parts.store.job(job_id)
    if ended.outcome is not AttemptOutcome.COMPLETED or job is None:
        raise SystemExit(f"the copy ended as {ended.outcome}: {job and job.error_message}")
    return {"rows": job.copied, "chunks": job.chunks_done, "plan_seconds": job.seconds_of(Phase.COUNTING)}


def whole(parts: Databases, job_ids: Sequence[int], *, at_once: bool) -> Extra:
    """Several tables: as one set, or one after the other."""
    for job_id in job_ids[:1] if at_once else job_ids:
        parts.runner.run(job_id, StopSwitch())
    jobs = [parts.store.job(job_id) for job_id in job_ids]
    for job in jobs:
        if job is None or job.status is not Status.COMPLETED:
            raise SystemExit(f"the copy ended as {job and job.status}: {job and job.error_message}")
    return {
        "rows": sum(job.copied for job in jobs if job),
        "chunks": sum(job.chunks_done for job in jobs if job),
    }


def unproven(parts: Databases, job_id: int, spec: CopySpec, limits: Limits) -> Extra:
    """The same without the comparison at the end. No job of the product can do that."""
    attempt = parts.executions.claim(job_id, "bench")
    if attempt is None:
        raise SystemExit("the job was not there to be claimed")

    liquidation_id = attempt.claim.liquidation_id
    with Copy(parts.prod, parts.consulta, spec, liquidation_id, names=SIDES, limits=limits) as copy:
        attempt.planned(copy.plan())
        result = copy.run(AttemptLedger(attempt, lambda request: None), hashed=False)
    Attempts([attempt]).cancelled()
    return {"rows": sum(chunk.rows for chunk in result.chunks)}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""Shows a job in a terminal: a progress bar for a person, one JSON object a line for a program."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from bot.i18n import Translator
from bot.jobs.models import CopyChunk
from bot.jobs.snapshot import JobView, Person
from bot.jobs.statuses import Approval, Phase, Status
from bot.jobs.workers import Alive
from bot.messages.blocks import escaped
from bot.messages.card import doing, progress, state
from bot.messages.ending import receipt
from bot.messages.failures import explained
from bot.messages.terms import asked, confirmation


class Display(Protocol):
    """What shows a job as it goes."""

    def show(self, job: JobView) -> None: ...
    def finish(self, job: JobView) -> None: ...


class Bar:
    """A progress bar on stderr; a plain line where stderr is no terminal."""

    def __init__(self, t: Translator) -> None:
        self._t = t
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            BarColumn(40), TextColumn("{task.description}", markup=False), console=self._console
        )
        self._task = self._bar.add_task("", total=None)
        if self._console.is_terminal:
            self._bar.start()

    def show(self, job: JobView) -> None:
        words = f"{progress(job, self._t)} · {plain(doing(job, self._t, bare_name))}"
        self._bar.update(self._task, total=job.total, completed=job.copied, description=words)
        if not self._console.is_terminal:
            self._console.print(words, markup=False)

    def finish(self, job: JobView) -> None:
        if self._console.is_terminal:
            self._bar.update(self._task, total=job.total or 1, completed=job.copied or 1, description="")
            self._bar.stop()
        sign = "✅" if job.status is Status.COMPLETED else "❌"
        name = self._t("Job {id}", id=job.id)
        lines = [f"{sign} {name}: {plain(doing(job, self._t, bare_name))}"]
        if job.status is Status.COMPLETED:
            lines.append(plain(receipt(job, self._t)))
        elif job.error and job.status is Status.FAILED:
            lines.append(plain(explained(job.error, self._t).step))
        for line in lines:
            self._console.print(line, markup=False, soft_wrap=True)


class JsonLines:
    """One JSON object a line on stdout: the job, each time it was looked at, and once at its end."""

    def show(self, job: JobView) -> None:
        print_json(job)

    def finish(self, job: JobView) -> None:
        print_json(job)


def print_json(job: JobView, chunks: Sequence[CopyChunk] | None = None) -> None:
    """The job, with the lines of its ledger if they are given."""
    found = as_json(job)
    if chunks is not None:
        found["chunks"] = [chunk_as_json(chunk) for chunk in chunks]
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def as_json(job: JobView) -> dict[str, Any]:
    """The job with the names of the tracking table's columns; times in ISO 8601, rates in rows a second."""

    def moment(when: datetime | None) -> str | None:
        return when.isoformat() if when else None

    return {
        "id": job.id,
        "copy": job.copy_name,
        "liquidation_id": job.liquidation_id,
        "source_table": job.source_table,
        "target_table": job.target_table,
        "status": job.status,
        "phase": job.phase,
        "attempt": job.attempt,
        "total_records": job.total,
        "copied_records": job.copied,
        "verified_records": job.verified,
        "inserted_records": job.inserted,
        "updated_records": job.updated,
        "deleted_records": job.deleted,
        "unchanged_records": job.unchanged,
        "moved_records": job.moved,
        "copied_bytes": job.bytes,
        "chunks_done": job.chunks_done,
        "target_records": job.target_records,
        "source_digest": job.source_digest,
        "target_digest": job.target_digest,
        "error": job.error,
        "error_message": job.error_message,
        "requested_by": job.requester_name,
        "previewed_records": job.terms.in_prod,
        "previewed_target_records": job.terms.in_consulta,
        "removal_confirmed": job.terms.removal_confirmed,
        "question": job.question.as_json() if job.question else None,
        "approval": job.approval,
        "approval_by": job.approval_by.name if job.approval_by else None,
        "approval_at": moment(job.approval_at),
        "approval_until": moment(job.approval_until),
        "as_of": moment(job.as_of),
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "seconds": round(job.seconds, 3) if job.seconds is not None else None,
        "seconds_by_phase": {
            phase.value: round(seconds, 3)
            for phase in Phase
            if (seconds := job.seconds_of(phase)) is not None
        },
        "rows_per_second": round(job.rate) if job.rate is not None else None,
    }


def chunk_as_json(chunk: CopyChunk) -> dict[str, Any]:
    """A line of the ledger; the bounds are keys of rows, so they belong in a shell and in no chat."""
    return {
        "number": chunk.number,
        "lower_key": chunk.lower_key,
        "upper_key": chunk.upper_key,
        "outcome": chunk.outcome,
        "records": chunk.records,
        "target_records": chunk.target_records,
        "inserted_records": chunk.inserted_records,
        "updated_records": chunk.updated_records,
        "deleted_records": chunk.deleted_records,
        "unchanged_records": chunk.unchanged_records,
        "moved_records": chunk.moved_records,
        "bytes": chunk.bytes,
        "seconds": round(chunk.seconds, 3),
        "source_digest": chunk.source_digest,
        "target_digest": chunk.target_digest,
    }


def print_table(jobs: list[JobView], t: Translator) -> None:
    """Jobs for a person to read."""
    table = Table(box=None, pad_edge=False)
    for heading in (
        t("Job"),
        t("Liquidation"),
        t("Copy"),
        t("State"),
        t("Progress"),
        t("Asked for by"),
        t("Asked at"),
    ):
        table.add_column(heading)
    for job in jobs:
        table.add_row(
            str(job.id),
            str(job.liquidation_id),
            job.copy_name,
            state(job, t),
            progress(job, t),
            job.requester_name,
            t.moment(job.created_at),
        )
    Console(highlight=False).print(table)


def print_workers(workers: list[Alive], t: Translator) -> None:
    """The processes that live, and what each of them has in hand."""
    table = Table(box=None, pad_edge=False)
    for heading in (t("Worker"), t("Version"), t("Since"), t("Last heard of"), t("Jobs in hand")):
        table.add_column(heading)
    for worker in workers:
        name = f"{worker.host}:{worker.process}"
        table.add_row(
            name if worker.takes_jobs else t("{worker} (a shell)", worker=name),
            worker.version,
            t.moment(worker.started_at),
            t.moment(worker.beat_at),
            ", ".join(str(job_id) for job_id in worker.jobs) or "–",
        )
    Console(highlight=False).print(table)


def approval_line(job: JobView, t: Translator) -> str | None:
    """What the second person said, or until when they may; None for a job that needs no approval."""
    if job.approval is None:
        return None
    by = job.approval_by.name if job.approval_by else "–"
    when = t.moment(job.approval_at or job.approval_until or job.created_at)
    match job.approval:
        case Approval.WAITING:
            return t("Waiting for approval until {moment}.", moment=when)
        case Approval.APPROVED:
            return t("Approved by {name}, {moment}.", name=by, moment=when)
        case Approval.REJECTED:
            return t("Rejected by {name}, {moment}.", name=by, moment=when)
        case Approval.EXPIRED:
            return t("Nobody approved it until {moment}.", moment=when)


def question_line(job: JobView, t: Translator) -> str | None:
    """Why a job asks again, and how to answer in a shell; None for one that asks nothing."""
    if job.question is None or not job.waits_for_somebody:
        return None
    words = asked(job.question, t)
    if job.waits_for_approval:
        return words
    return f"{words} " + t("`{command}` confirms it.", command=confirmation(job.id, job.question))


def bare_name(person: Person) -> str:
    """Somebody, where there are no mentions."""
    return escaped(person.name)


def plain(mrkdwn: str) -> str:
    """Our own mrkdwn without its marks, moments in UTC."""
    return (
        re.sub(r"<!date\^[^|>]*\|([^>]*)>", r"\1", mrkdwn)
        .replace("`", "")
        .replace("*", "")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )

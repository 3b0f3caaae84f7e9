"""What all jobs have done together, by copy: it stays when the jobs themselves are deleted.

Whoever ends an attempt, or a job, adds lines with what came of it, in the same statement as the step. Lines
are only added, so that two ends never wait for each other; `fold` makes one line of each from time to time.
What a running attempt has done so far is in its job's row, and is a line at its end.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Executable,
    Float,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.sql.dml import ReturningInsert

from bot.jobs.models import CopyChunk, CopyJob, CopyRun, Status, Total

#: The upper bounds of the histogram of chunks, in seconds.
CHUNK_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: As they are written: the last one has no bound.
CHUNK_LABELS = (*(f"{bound:g}" for bound in CHUNK_BUCKETS), "+Inf")


#: The name of how runs have ended, and jobs that belong to none; the label is the kind and the result.
RUNS, ALONE = "runs", "single"


def chunk_label() -> Any:
    """The bucket of a row of `CopyChunk`, as its label."""
    bounds = cast(array(CHUNK_BUCKETS), ARRAY(Float))
    return array(CHUNK_LABELS)[func.width_bucket(CopyChunk.seconds, bounds) + 1]


def lines(
    moved: CTE, to: Status, *, ends_attempt: bool, is_retry: bool, is_takeover: bool
) -> ReturningInsert[Any]:
    """Adds what came of the job, whose row as it is after the step ``to`` this status is in ``moved``.

    ``is_takeover``: its worker was lost.
    """
    job = moved.c
    found = []

    def line(name: str, label: Any, value: Any) -> None:
        found.append(select(job.copy_name, literal(name), label, cast(value, Float)))

    if ends_attempt:
        for label in ("inserted", "updated", "deleted", "unchanged"):
            line("rows", literal(label), job[f"{label}_records"])
        line("bytes", literal(""), job.copied_bytes)
        chunks = (CopyChunk.job_id == job.id, CopyChunk.attempt == job.attempt)
        bucket = chunk_label()
        found.append(
            select(job.copy_name, literal("chunks"), bucket, cast(func.count(), Float))
            .where(*chunks)
            .group_by(job.copy_name, bucket)
        )
        found.append(
            select(job.copy_name, literal("chunk_seconds"), literal(""), func.sum(CopyChunk.seconds))
            .where(*chunks)
            .group_by(job.copy_name)
        )
    if not to.is_live:
        line("ended", literal(to.value), literal(1))
        line(RUNS, literal(f"{ALONE} {to.value}"), case((job.run_id.is_(None), 1), else_=0))
    code = func.coalesce(job.error["code"].astext, literal("unknown"))
    if to is Status.FAILED:
        line("failures", code, literal(1))
    if is_retry:
        line("retries", code, literal(1))
    if is_takeover:
        line("takeovers", literal(""), literal(1))
    every = union_all(*found).subquery()
    names = ["copy_name", "name", "label", "value"]
    columns = list(every.c)
    chosen = select(*columns).where(columns[-1] > 0)
    return insert(Total).from_select(names, chosen).returning(Total.id)


def line_of_run(run_id: int, result: ColumnElement[str]) -> Executable:
    """Adds that a run has ended, and how, under the name of its set, or of its copy."""
    its_copy = select(func.min(CopyJob.copy_name)).where(CopyJob.run_id == run_id).scalar_subquery()
    chosen = select(
        func.coalesce(CopyRun.set_name, its_copy),
        literal(RUNS),
        func.concat(CopyRun.kind, " ", result),
        cast(literal(1), Float),
    )
    names = ["copy_name", "name", "label", "value"]
    return insert(Total).from_select(names, chosen.where(CopyRun.id == run_id))


def counts(to: Status, *, ends_attempt: bool) -> bool:
    """Whether a step to this status leaves a line."""
    return ends_attempt or not to.is_live


def fold(connection: Connection) -> None:
    """Makes one line of all lines of the same name, within the caller's transaction."""
    names = (Total.copy_name, Total.name, Total.label)
    gone = delete(Total).returning(*names, Total.value, Total.at).cte("gone")
    keys = (gone.c.copy_name, gone.c.name, gone.c.label)
    folded = select(*keys, func.sum(gone.c.value), func.max(gone.c.at)).group_by(*keys)
    connection.execute(insert(Total).from_select([*names, Total.value, Total.at], folded))

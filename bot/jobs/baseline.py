"""What the last copy of a liquidation left: its proof, on which the next one builds, and its columns.

A proof is kept for a pair of tables and a liquidation. Which columns were copied as they are, without a rule,
is kept for a pair of tables. Where rules stand, a column that isn't among them leaves prod only when a rule
says so: one that came since, and one whose rule was taken away. Both are kept whatever the copy is called.
They are written in the transaction that completes a job, and stay when the job's row goes.

Whoever looks at both sides of a configured copy builds on them: `look_at_both_sides`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Executable, Select, and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from bot.config import SIDES, CopySection, File
from bot.jobs.models import CopyChunk, CopyJob, KnownColumns, LastProof
from copier import Baseline, CopySpec, Fingerprint, NewColumns, Preview, preview
from copier.errors import DatabaseFailed, failures_of

#: What a server says where there are no tracking tables yet: then nothing was copied.
NO_TABLES = frozenset({"42P01", "3F000"})


@dataclass(frozen=True, slots=True)
class KnownProof:
    """What was proven last of a liquidation. All its values were compared by this job, at this time."""

    values_job_id: int
    values_at: datetime
    baseline: Baseline


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was there before an attempt.

    ``rows`` that earlier attempts of the job have brought to consulta, less those that they removed; and
    what was ``proven`` last of the liquidation, None where all its values weren't compared for too long.
    ``baseline`` is that of the last proof, however long ago.
    """

    rows: int
    proven: KnownProof | None
    baseline: Baseline | None = None


def earlier(before: Any, full_proof_days: float) -> Earlier:
    """What an attempt finds, by the row of `left_before`. After so many days all values are compared anew."""
    if before.baseline is None:
        return Earlier(int(before.rows), None)
    baseline = Baseline.from_json(before.baseline)
    is_due = before.age >= timedelta(days=full_proof_days)
    known = None if is_due else KnownProof(before.values_job_id, before.values_at, baseline)
    return Earlier(int(before.rows), known, baseline)


def left_before(job_id: int) -> Select[Any]:
    """What earlier attempts of the job have brought, and what was proven last of its liquidation: one row."""
    brought = func.coalesce(func.sum(CopyChunk.inserted_records - CopyChunk.deleted_records), 0)
    return (
        select(
            select(brought).where(CopyChunk.job_id == job_id).scalar_subquery().label("rows"),
            LastProof.values_job_id,
            LastProof.values_at,
            LastProof.baseline,
            (func.now() - LastProof.values_at).label("age"),
        )
        .select_from(CopyJob)
        .outerjoin(LastProof, is_proof_of(CopyJob.source_table, CopyJob.target_table, CopyJob.liquidation_id))
        .where(CopyJob.id == job_id)
    )


def is_proof_of(source_table: Any, target_table: Any, liquidation_id: Any) -> ColumnElement[bool]:
    """A condition: the proof is of these tables and this liquidation."""
    return and_(
        LastProof.source_table == source_table,
        LastProof.target_table == target_table,
        LastProof.liquidation_id == liquidation_id,
    )


def proof_kept(
    job_id: int,
    source_table: str,
    target_table: str,
    liquidation_id: int,
    *,
    baseline: Baseline | None,
    since: KnownProof | None,
) -> Executable:
    """The statement that puts what this job has proven in the place of what was proven last.

    Without a ``baseline`` nothing is known any more. ``since`` is the earlier proof on which this one builds;
    without it this job has compared all values.
    """
    if baseline is None:
        return delete(LastProof).where(is_proof_of(source_table, target_table, liquidation_id))
    values: dict[str, Any] = {
        "job_id": job_id,
        "values_job_id": job_id if since is None else since.values_job_id,
        "values_at": func.now() if since is None else since.values_at,
        "baseline": baseline.as_json(),
    }
    key = {"source_table": source_table, "target_table": target_table, "liquidation_id": liquidation_id}
    return (
        insert(LastProof)
        .values(**key, **values)
        .on_conflict_do_update(index_elements=LastProof.__table__.primary_key, set_=values)
    )


def spec_of(consulta: Engine, copy: CopySection) -> CopySpec:
    """The copy as the engine takes it, with the columns that are known. It is asked only where that matters.

    Raises:
        DatabaseFailed: consulta can't be asked.
    """
    if copy.for_new_columns is NewColumns.COPY:
        return copy.spec
    try:
        with failures_of(SIDES.target), consulta.connect() as connection:
            return with_known(connection, copy)
    except DatabaseFailed as failed:
        if failed.sqlstate not in NO_TABLES:
            raise
        return replace(copy.spec, known_columns=None)


def with_known(connection: Connection, copy: CopySection) -> CopySpec:
    """The same, over a connection to consulta that knows the schema of the tracking tables."""
    names = connection.scalar(
        select(KnownColumns.names).where(
            KnownColumns.source_table == str(copy.source_table),
            KnownColumns.target_table == str(copy.target_table),
        )
    )
    return replace(copy.spec, known_columns=None if names is None else frozenset(names))


def columns_kept(job_id: int, made_of: Fingerprint) -> Executable:
    """The statement that keeps which columns were copied; the job of this number is completed with it."""
    values = {"names": sorted(made_of.as_they_are), "job_id": job_id}
    tables = {"source_table": made_of.source_table, "target_table": made_of.target_table}
    return (
        insert(KnownColumns)
        .values(**tables, **values)
        .on_conflict_do_update(index_elements=KnownColumns.__table__.primary_key, set_=values)
    )


def look_at_both_sides(
    prod: Engine,
    consulta: Engine,
    file: File,
    copy: CopySection,
    liquidation_id: int,
    *,
    baseline: Baseline | None = None,
    together: Collection[CopySection] = (),
    counts_lacking: bool = False,
) -> Preview:
    """The preview of a configured copy; errors are those of `copier.preview` and `spec_of`.

    ``baseline`` is what was proven last of the liquidation. ``together`` are all copies of its set: what they
    bring needn't be in consulta before. ``counts_lacking``: what consulta lacks of other tables is counted.
    """
    return preview(
        prod,
        consulta,
        spec_of(consulta, copy),
        liquidation_id,
        names=SIDES,
        catalogue=file.catalogue,
        baseline=baseline,
        timeout_seconds=file.work.preview_timeout_seconds,
        parents_too=copy.parent in together,
        brought=[each.target_table for each in together] if counts_lacking else None,
    )

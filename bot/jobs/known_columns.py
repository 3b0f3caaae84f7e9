"""Which columns of a copy's tables were copied last as they are, without a rule.

Where rules stand, a column that isn't among them leaves prod only when a rule says so: one that came since,
and one whose rule was taken away. What is known is kept for a pair of tables, whatever the copy is called. It
is written in the transaction that completes a job, and stays when the job's row goes.

So whoever looks at both sides of a configured copy asks for it first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection, Engine, Executable, select
from sqlalchemy.dialects.postgresql import insert

from bot.config import SIDES, CopySection, File
from bot.jobs.models import KnownColumns
from copier import Baseline, CopySpec, Fingerprint, NewColumns, Preview, preview
from copier.errors import DatabaseFailed, failures_of

#: What a server says where there are no tracking tables yet: then nothing was copied.
NO_TABLES = frozenset({"42P01", "3F000"})


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


def with_known(connection: Connection, copy: CopySection) -> CopySpec:
    """The same, over a connection to consulta that knows the schema of the tracking tables."""
    names = connection.scalar(
        select(KnownColumns.names).where(
            KnownColumns.source_table == str(copy.source_table),
            KnownColumns.target_table == str(copy.target_table),
        )
    )
    return replace(copy.spec, known_columns=None if names is None else frozenset(names))


def kept(job_id: int, made_of: Fingerprint) -> Executable:
    """The statement that keeps them: the job of this number is completed, and was made of this."""
    values = {"names": sorted(made_of.as_they_are), "job_id": job_id}
    tables = {"source_table": made_of.source_table, "target_table": made_of.target_table}
    return (
        insert(KnownColumns)
        .values(**tables, **values)
        .on_conflict_do_update(index_elements=KnownColumns.__table__.primary_key, set_=values)
    )

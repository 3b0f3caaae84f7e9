"""A look at both sides before a copy: bounded in time, writes nothing.

A count that would take too long becomes the planner's estimate, and is said to be one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, Engine

from copier import statements
from copier.catalog import Column, Table, read_table, refuse_same_table
from copier.chunk_writer import refuse_shared_keys
from copier.columns import Number
from copier.connections import BoundedTransaction, rows_as_text, run, until_timeout
from copier.errors import DEFAULT_NAMES, SideNames, failures_of
from copier.missing_parents import refuse_missing_parents
from copier.model import Catalogue, CopySpec, Fingerprint, TableName
from copier.table_slice import TableSlice, refuse_null_keys, slices

#: How long rows of other liquidations with the same keys are looked for, and for so many keys at once.
TAKEN_SECONDS, TAKEN_ROWS = 0.5, 5_000
#: What the servers' activity views show of a look.
LABEL = "traspaso preview"
#: The type that the extension lo makes of oid, as `copier.catalog` names it.
LARGE_OBJECT = "lo of extension lo"


@dataclass(frozen=True, slots=True)
class Count:
    """Rows of one side; not ``exact`` where counting took too long and the planner was asked instead.

    ``rows`` is None where not even the planner could be asked, because somebody holds the table.
    """

    rows: int | None
    exact: bool

    @property
    def known(self) -> int | None:
        """The rows where they were counted; an estimate says nothing for certain."""
        return self.rows if self.exact else None


@dataclass(frozen=True, slots=True)
class Advice:
    """A statement that would make the copy faster on that side, which is named as `SideNames` say."""

    side: str
    statement: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What both sides hold. ``exists``, ``label`` and ``changed_at`` are the catalogue's, or None.

    ``taken`` are the rows of other liquidations in the target that have a key of this one: the source no
    longer holds them there. ``triggers`` of the target fire before each row that is written, and may alter
    it. ``large_object_columns`` point to large objects of the source, or seem to: what they point to isn't
    copied. ``fingerprint`` is what a copy would be made of.
    """

    exists: bool | None
    label: str | None
    in_source: Count
    in_target: Count
    advice: tuple[Advice, ...]
    changed_at: datetime | None = None
    taken: Count = Count(0, exact=True)
    triggers: tuple[str, ...] = ()
    large_object_columns: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None


def preview(
    source: Engine,
    target: Engine,
    spec: CopySpec,
    liquidation_id: int,
    *,
    names: SideNames = DEFAULT_NAMES,
    catalogue: Catalogue | None = None,
    timeout_seconds: float = 10.0,
    parents_too: bool = False,
) -> Preview:
    """Looks at both sides at once. ``names`` are what errors call the two sides.

    ``parents_too``: the rows through which these belong are copied before, in the same run.

    Raises:
        SchemaError: the tables don't fit.
        ParentsMissing: the rows belong through others that the target lacks.
        KeySharedInSource: copying would take rows of another liquidation that the source still holds there.
        DatabaseFailed: a side can't be reached.
    """
    with (
        _look(source, names.source, timeout_seconds) as source_look,
        _look(target, names.target, timeout_seconds) as target_look,
        ThreadPoolExecutor(1) as other_side,
    ):
        source_table = _table(source_look, *(each.source_table for each in spec.line))
        target_table = _table(target_look, *(each.target_table for each in spec.line))
        refuse_same_table(source_look.connection, target_look.connection, source_table, target_table, names)
        source_rows, target_rows = slices(spec, source_table, target_table, liquidation_id)
        target_table.refuse_unwritable(updates=target_rows.in_place)
        if not parents_too:
            refuse_missing_parents(source_rows, target_rows, source_look.rows, target_look.rows)
        held = other_side.submit(_count, target_look, target_rows)
        exists, label, changed_at = (
            (None, None, None) if catalogue is None else _in_catalogue(source_look, catalogue, liquidation_id)
        )
        in_source, in_target = _count(source_look, source_rows), held.result()
        with failures_of(names.source):
            large_objects = _large_object_columns(source_look.connection, source_table)
        return Preview(
            exists=exists,
            label=label,
            in_source=in_source,
            in_target=in_target,
            advice=(*missing_index(source_table, source_rows), *missing_index(target_table, target_rows)),
            changed_at=changed_at,
            taken=_taken(source_look, target_look, source_rows, target_rows)
            if in_source.exact
            else Count(0, exact=False),
            triggers=tuple(each.name for each in target_rows.triggers if each.before),
            large_object_columns=large_objects,
            fingerprint=Fingerprint.of(source_rows, target_rows),
        )


def is_known(
    source: Engine,
    catalogue: Catalogue,
    liquidation_id: int,
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
) -> bool:
    """Whether the source's catalogue has the liquidation.

    Raises:
        SchemaError: the catalogue's table or a column is missing.
        DatabaseFailed: the source can't be reached.
    """
    with _look(source, names.source, timeout_seconds) as look:
        return _in_catalogue(look, catalogue, liquidation_id)[0]


def _look(engine: Engine, side: str, timeout_seconds: float) -> BoundedTransaction:
    return BoundedTransaction(
        engine, side, LABEL, timeout_seconds, settings=f"{statements.of_lane(by_index=False)}, "
    )


def _table(look: BoundedTransaction, *names: TableName) -> Table:
    with failures_of(look.side):
        return read_table(look.connection, look.side, *names)


def _taken(
    source_look: BoundedTransaction,
    target_look: BoundedTransaction,
    source: TableSlice,
    target: TableSlice,
) -> Count:
    """Rows of other liquidations in the target with a key of this one in the source, until the time is over.

    Raises:
        KeySharedInSource: the source holds one of them in the other liquidation too.
    """
    if not target.keys.across_liquidations:
        return Count(0, exact=True)
    reader = source_look.connection
    until, found = time.monotonic() + TAKEN_SECONDS, 0
    with until_timeout(), reader.begin_nested(), target_look.connection.begin_nested():
        with failures_of(source.side):
            if source.key_may_be_null:
                refuse_null_keys(source, int(run(reader, statements.count_without_key(source)).scalar_one()))
            run(reader, statements.declare(source))
        while time.monotonic() < until:
            with failures_of(source.side):
                keys = rows_as_text(reader, statements.fetch(TAKEN_ROWS))
            if not keys:
                return Count(found, exact=True)
            with failures_of(target.side):
                others = run(target_look.connection, statements.others_with_keys(target, keys)).all()
            taken: list[statements.Held] = [(row.place, row.key) for row in others]
            refuse_shared_keys(reader, source, target, taken)
            found += len(others)
    return Count(found, exact=False)


def missing_index(table: Table, rows: TableSlice) -> Iterator[Advice]:
    """The indexes that every range is read by, where they are missing."""
    for statement in rows.missing_indexes:
        yield Advice(table.side, statement)


def _large_object_columns(connection: Connection, table: Table) -> tuple[str, ...]:
    """Those of type lo; and those of type oid, where the database has any large object."""
    names = {column.name: {each.name for each in column.type.kind.all()} for column in table.columns}
    wanted = {LARGE_OBJECT}
    if (
        any("oid" in held for held in names.values())
        and run(connection, statements.ANY_LARGE_OBJECT).scalar()
    ):
        wanted.add("oid")
    return tuple(name for name, held in names.items() if wanted & held)


def _count(side: BoundedTransaction, rows: TableSlice) -> Count:
    """Exact; or the planner's estimate where the statement timeout ended the count; or not known."""
    if (counted := side.rows(statements.count(rows))) is not None:
        return Count(int(counted[0][0]), exact=True)
    plan = side.rows(statements.estimate(rows))
    return Count(None if plan is None else int(plan[0][0][0]["Plan"]["Plan Rows"]), exact=False)


def _in_catalogue(
    source: BoundedTransaction, catalogue: Catalogue, liquidation_id: int
) -> tuple[bool, str | None, datetime | None]:
    """Whether the liquidation is in the catalogue, its name, and when it last changed."""
    with failures_of(source.side):
        table = read_table(source.connection, source.side, catalogue.table)
        table.refuse_unreadable()
        changed = catalogue.changed_column
        statement = _entry(
            catalogue.table,
            table.column(catalogue.label_column),
            table.column(changed) if changed else None,
            table.column(catalogue.id_column),
            liquidation_id,
        )
        row: Sequence[Any] | None = run(source.connection, statement).one_or_none()
    return (False, None, None) if row is None else (True, row[0], row[1])


def _entry(
    table: TableName, label: Column, changed: Column | None, number: Column, liquidation_id: int
) -> sql.Composable:
    """A liquidation's name, and when it last changed: NULL where no column says that."""
    return sql.SQL("SELECT {}::text, {} FROM {} WHERE {} LIMIT 1").format(
        sql.Identifier(label.name),
        sql.SQL("NULL") if changed is None else _moment(changed),
        table.identifier,
        Number.of(number).is_exactly(liquidation_id),
    )


def _moment(column: Column) -> sql.Composable:
    """As timestamptz. A time without a zone is one of the server's own zone: the session's is UTC here."""
    name = sql.Identifier(column.name)
    if column.type.base == "timestamp with time zone":
        moment: sql.Composable = name
    elif column.type.base in {"timestamp without time zone", "date"}:
        zone = sql.SQL("(SELECT reset_val FROM pg_catalog.pg_settings WHERE pg_settings.name = 'TimeZone')")
        moment = sql.SQL("({}::timestamp AT TIME ZONE {})").format(name, zone)
    else:
        return sql.SQL("NULL")
    # Python's years, and a day to spare for the time zone.
    return sql.SQL("CASE WHEN {} BETWEEN '0001-01-02' AND '9999-12-30' THEN {} END").format(name, moment)

"""A look at both sides before a copy: bounded in time, writes nothing.

A count that would take too long becomes the planner's estimate, and is said to be one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg import sql
from psycopg.sql import Composable
from sqlalchemy import Connection, Engine, text

from copier import statements
from copier.catalog import Column, Table, read_table, refuse_same_table
from copier.chunk_writer import refuse_shared_keys
from copier.columns import Number
from copier.connections import Sessions, look_limit, rows_as_text, run
from copier.errors import Side, Transient, failures_of
from copier.model import Catalogue, CopySpec, Fingerprint, TableName, quoted
from copier.statements import milliseconds
from copier.table_slice import TableSlice, refuse_null_keys, slices

T = TypeVar("T")

QUERY_CANCELED = "57014"
#: How long rows of other liquidations with the same keys are looked for, and for so many keys at once.
TAKEN_SECONDS, TAKEN_ROWS = 0.5, 5_000
#: What the servers' activity views show of a look.
LABEL = "traspaso preview"
_LOOK = text(f"{statements.of_lane(by_index=False)}, {statements.LOST}")
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
    """A statement that would make the copy faster on that side."""

    side: Side
    statement: str


@dataclass(frozen=True, slots=True)
class Preview:
    """``exists``, ``label`` and ``changed_at`` come from the catalogue, None where it doesn't tell.

    ``taken`` are the rows of other liquidations in consulta that have a key of this one: prod no longer holds
    them there. ``triggers`` of consulta fire before each row that is written, and may alter it.
    ``large_object_columns`` point to large objects of prod, or seem to: what they point to isn't copied.
    ``fingerprint`` is what a copy would be made of.
    """

    exists: bool | None
    label: str | None
    in_prod: Count
    in_consulta: Count
    advice: tuple[Advice, ...]
    changed_at: datetime | None = None
    taken: Count = Count(0, exact=True)
    triggers: tuple[str, ...] = ()
    large_object_columns: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None


def preview(
    prod: Engine,
    consulta: Engine,
    spec: CopySpec,
    liquidation_id: int,
    *,
    catalogue: Catalogue | None = None,
    timeout_seconds: float = 10.0,
) -> Preview:
    """Looks at both sides at once.

    Raises:
        SchemaError: the tables don't fit.
        KeySharedInProd: copying would take rows of another liquidation that prod still holds there.
        DatabaseFailed: a side can't be reached.
    """
    with (
        _Look(prod, "prod", timeout_seconds) as ours,
        _Look(consulta, "consulta", timeout_seconds) as theirs,
        ThreadPoolExecutor(1) as other_side,
    ):
        source = ours.read(lambda connection: read_table(connection, "prod", spec.source_table))
        target = theirs.read(lambda connection: read_table(connection, "consulta", spec.target_table))
        refuse_same_table(ours.connection, theirs.connection, source, target)
        rows, held_rows = slices(spec, source, target, liquidation_id)
        held = other_side.submit(theirs.count, held_rows)
        entry = (None, None, None) if catalogue is None else ours.entry(catalogue, liquidation_id)
        exists, label, changed_at = entry
        in_prod, in_consulta = ours.count(rows), held.result()
        return Preview(
            exists=exists,
            label=label,
            in_prod=in_prod,
            in_consulta=in_consulta,
            advice=tuple(
                advice
                for table, side in ((source, rows), (target, held_rows))
                for advice in _advice(table, side)
            ),
            changed_at=changed_at,
            taken=_taken(ours, theirs, rows, held_rows) if in_prod.exact else Count(0, exact=False),
            triggers=tuple(each.name for each in held_rows.triggers if each.before),
            large_object_columns=ours.read(lambda connection: _large_object_columns(connection, source)),
            fingerprint=Fingerprint.of(rows, held_rows),
        )


def is_known(
    prod: Engine, catalogue: Catalogue, liquidation_id: int, *, timeout_seconds: float = 10.0
) -> bool:
    """Whether prod's catalogue has the liquidation.

    Raises:
        SchemaError: the catalogue's table or a column is missing.
        DatabaseFailed: prod can't be reached.
    """
    with _Look(prod, "prod", timeout_seconds) as ours:
        return bool(ours.entry(catalogue, liquidation_id)[0])


def _taken(ours: _Look, theirs: _Look, rows: TableSlice, held: TableSlice) -> Count:
    """Rows of other liquidations in consulta with a key of this one in prod, until the time is over.

    Raises:
        KeySharedInProd: prod holds one of them in the other liquidation too.
    """
    if not held.keys.across_liquidations:
        return Count(0, exact=True)
    until, found = time.monotonic() + TAKEN_SECONDS, 0
    try:
        with ours.connection.begin_nested(), theirs.connection.begin_nested():
            with failures_of("prod"):
                if rows.key_may_be_null:
                    without = run(ours.connection, statements.count_without_key(rows)).scalar_one()
                    refuse_null_keys(rows, int(without))
                run(ours.connection, statements.declare(rows))
            while time.monotonic() < until:
                with failures_of("prod"):
                    keys = rows_as_text(ours.connection, statements.fetch(TAKEN_ROWS))
                if not keys:
                    return Count(found, exact=True)
                with failures_of("consulta"):
                    others = run(theirs.connection, statements.others_with_keys(held, keys)).all()
                taken: list[statements.Held] = [(row.liquidation, row.key) for row in others]
                refuse_shared_keys(ours.connection, rows, held, taken)
                found += len(others)
    except Transient as error:
        if error.sqlstate != QUERY_CANCELED:
            raise
    return Count(found, exact=False)


def _advice(table: Table, rows: TableSlice) -> Iterator[Advice]:
    """The index that every range is read by, where it is missing."""
    if table.can_be_indexed and not rows.has_index:
        # Of a partitioned table PostgreSQL builds no index concurrently.
        how = "" if table.is_partitioned else " CONCURRENTLY"
        names = [quoted(rows.keys.liquidation_column)]
        names += [quoted(key.name) + (' COLLATE "C"' if key.by_bytes else "") for key in rows.keys.columns]
        yield Advice(table.side, f"CREATE INDEX{how} ON {table.name} ({', '.join(names)})")


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


class _Look:
    """One read-only transaction with a statement timeout. READ COMMITTED: each statement sees what is there
    when its locks are taken, also after a table was rewritten.
    """

    def __init__(self, engine: Engine, side: Side, timeout_seconds: float) -> None:
        self._engine = engine
        self._side: Side = side
        self._timeout = milliseconds(timeout_seconds)
        self._sessions = Sessions(LABEL, waiting=look_limit(timeout_seconds))

    def __enter__(self) -> _Look:
        with failures_of(self._side):
            try:
                self.connection = self._sessions.open(self._engine, self._side, read_only=True)
                self.connection.execute(_LOOK, self._sessions.values)
                self.connection.execute(
                    text("SELECT set_config('statement_timeout', :timeout, true)"), {"timeout": self._timeout}
                )
            except BaseException:
                self._sessions.close()
                raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._sessions.close()

    def read(self, ask: Callable[[Connection], T]) -> T:
        with failures_of(self._side):
            return ask(self.connection)

    def count(self, rows: TableSlice) -> Count:
        """Exact; or the planner's estimate where the statement timeout ended the count; or not known."""
        counted = self._bounded(statements.count(rows))
        if counted is not None:
            return Count(int(counted), exact=True)
        plan = self._bounded(statements.estimate(rows))
        return Count(None if plan is None else int(plan[0]["Plan"]["Plan Rows"]), exact=False)

    def _bounded(self, statement: Composable) -> Any:
        """The value; None where the statement timeout ended it."""
        try:
            with failures_of(self._side), self.connection.begin_nested():
                return run(self.connection, statement).scalar_one()
        except Transient as error:
            if error.sqlstate == QUERY_CANCELED:
                return None
            raise

    def entry(
        self, catalogue: Catalogue, liquidation_id: int
    ) -> tuple[bool | None, str | None, datetime | None]:
        with failures_of(self._side):
            table = read_table(self.connection, self._side, catalogue.table)
            changed = catalogue.changed_column
            statement = _entry(
                catalogue.table,
                table.column(catalogue.label_column),
                table.column(changed) if changed else None,
                table.column(catalogue.id_column),
                liquidation_id,
            )
            row = run(self.connection, statement).one_or_none()
        return (False, None, None) if row is None else (True, row[0], row[1])


def _entry(
    table: TableName, label: Column, changed: Column | None, number: Column, liquidation_id: int
) -> sql.Composable:
    """A liquidation's name, and when it last changed: NULL where no column tells."""
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

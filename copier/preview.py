"""A look at both sides before a copy: bounded in time, writes nothing.

A count that would take too long becomes the planner's estimate, and is said to be one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg import sql
from psycopg.sql import Composable
from sqlalchemy import Connection, Engine, text

from copier import settings, statements
from copier.catalog import Column, Table, read_table
from copier.errors import Side, Transient
from copier.failure import failures_of
from copier.fingerprint import Fingerprint
from copier.keyset import number_literal
from copier.names import TableName, quoted
from copier.session import milliseconds, open_read_only, run, shut
from copier.slices import Slice, slices
from copier.spec import Catalogue, CopySpec

T = TypeVar("T")

QUERY_CANCELED = "57014"


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

    ``fingerprint`` is what a copy would be made of.
    """

    exists: bool | None
    label: str | None
    in_prod: Count
    in_consulta: Count
    advice: tuple[Advice, ...]
    changed_at: datetime | None = None
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
        DatabaseFailed: a side can't be reached.
    """
    with (
        _Look(prod, "prod", timeout_seconds) as ours,
        _Look(consulta, "consulta", timeout_seconds) as theirs,
        ThreadPoolExecutor(1) as other_side,
    ):
        source = ours.read(lambda connection: read_table(connection, "prod", spec.source_table))
        target = theirs.read(lambda connection: read_table(connection, "consulta", spec.target_table))
        rows, held_rows = slices(spec, source, target, liquidation_id)
        held = other_side.submit(theirs.count, held_rows)
        entry = (None, None, None) if catalogue is None else ours.entry(catalogue, liquidation_id)
        exists, label, changed_at = entry
        return Preview(
            exists=exists,
            label=label,
            in_prod=ours.count(rows),
            in_consulta=held.result(),
            advice=tuple(
                advice
                for table, side in ((source, rows), (target, held_rows))
                for advice in _advice(table, side)
            ),
            changed_at=changed_at,
            fingerprint=Fingerprint.of(rows, held_rows),
        )


def _advice(table: Table, rows: Slice) -> Iterator[Advice]:
    """The index that every range is read by, where it is missing."""
    if table.can_be_indexed and not rows.has_index:
        # Of a partitioned table PostgreSQL builds no index concurrently.
        how = "" if table.is_partitioned else " CONCURRENTLY"
        names = [quoted(rows.keys.liquidation_column)]
        names += [quoted(key.name) + (' COLLATE "C"' if key.by_bytes else "") for key in rows.keys.columns]
        yield Advice(table.side, f"CREATE INDEX{how} ON {table.name} ({', '.join(names)})")


class _Look:
    """One read-only transaction with a statement timeout."""

    def __init__(self, engine: Engine, side: Side, timeout_seconds: float) -> None:
        self._engine = engine
        self._side: Side = side
        self._timeout = milliseconds(timeout_seconds)

    def __enter__(self) -> _Look:
        with failures_of(self._side):
            self._connection = open_read_only(self._engine, self._side)
            try:
                self._connection.exec_driver_sql(settings.of_lane(by_index=False))
                self._connection.execute(
                    text("SELECT set_config('statement_timeout', :timeout, true)"), {"timeout": self._timeout}
                )
            except BaseException:
                shut(self._connection)
                raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        shut(self._connection)

    def read(self, ask: Callable[[Connection], T]) -> T:
        with failures_of(self._side):
            return ask(self._connection)

    def count(self, rows: Slice) -> Count:
        """Exact; or the planner's estimate where the statement timeout ended the count; or not known."""
        counted = self._bounded(statements.count(rows))
        if counted is not None:
            return Count(int(counted), exact=True)
        plan = self._bounded(statements.estimate(rows))
        return Count(None if plan is None else int(plan[0]["Plan"]["Plan Rows"]), exact=False)

    def _bounded(self, statement: Composable) -> Any:
        """The value; None where the statement timeout ended it."""
        try:
            with failures_of(self._side), self._connection.begin_nested():
                return run(self._connection, statement).scalar_one()
        except Transient as error:
            if error.sqlstate == QUERY_CANCELED:
                return None
            raise

    def entry(
        self, catalogue: Catalogue, liquidation_id: int
    ) -> tuple[bool | None, str | None, datetime | None]:
        with failures_of(self._side):
            table = read_table(self._connection, self._side, catalogue.table)
            changed = catalogue.changed_column
            statement = _entry(
                catalogue.table,
                table.column(catalogue.label_column),
                table.column(changed) if changed else None,
                table.column(catalogue.id_column),
                liquidation_id,
            )
            row = run(self._connection, statement).one_or_none()
        return (False, None, None) if row is None else (True, row[0], row[1])


def _entry(
    table: TableName, label: Column, changed: Column | None, number: Column, liquidation_id: int
) -> sql.Composable:
    """A liquidation's name, and when it last changed: NULL where no column tells."""
    return sql.SQL("SELECT {}::text, {} FROM {} WHERE {} = {} LIMIT 1").format(
        sql.Identifier(label.name),
        sql.SQL("NULL") if changed is None else _moment(changed),
        table.identifier,
        sql.Identifier(number.name),
        number_literal(liquidation_id, number.type.base),
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
    return sql.SQL("CASE WHEN isfinite({}) THEN {} END").format(name, moment)

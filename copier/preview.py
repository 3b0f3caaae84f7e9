"""A look at both sides before a copy: bounded in time, writes nothing.

A count that would take too long is None: not known is an answer, and no reason to keep prod busy.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from psycopg import sql
from sqlalchemy import Connection, Engine, text

from copier import statements
from copier.catalog import key_columns, read_table
from copier.errors import Side, Transient
from copier.failure import failures_of
from copier.keyset import keyset_of
from copier.match import match_columns
from copier.names import TableName
from copier.session import milliseconds, open_read_only, run, shut
from copier.spec import CopySpec

T = TypeVar("T")

QUERY_CANCELED = "57014"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Prod's table of liquidations: which exist, and what people call them."""

    table: TableName
    id_column: str
    label_column: str


@dataclass(frozen=True, slots=True)
class Preview:
    """``exists`` and ``label`` come from the catalogue, None without one.

    The counts are None where they took too long.
    """

    exists: bool | None
    label: str | None
    in_prod: int | None
    in_consulta: int | None


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
        names = key_columns(spec, source, target)
        match_columns(source, target)
        source_keys, target_keys = (
            keyset_of(
                table.column(spec.liquidation_column),
                [table.column(name) for name in names],
                [other.column(name) for name in names],
            )
            for table, other in ((source, target), (target, source))
        )
        held = other_side.submit(
            theirs.bounded, statements.count(spec.target_table, target_keys, liquidation_id)
        )
        exists, label = (None, None) if catalogue is None else ours.entry(catalogue, liquidation_id)
        total = ours.bounded(statements.count(spec.source_table, source_keys, liquidation_id))
        return Preview(exists, label, total, held.result())


class _Look:
    """One read-only transaction with a statement timeout."""

    def __init__(self, engine: Engine, side: Side, timeout_seconds: float) -> None:
        self._engine = engine
        self._side: Side = side
        self._timeout = milliseconds(timeout_seconds)

    def __enter__(self) -> _Look:
        with failures_of(self._side):
            self._connection = open_read_only(self._engine)
            try:
                self._connection.exec_driver_sql(statements.SETTINGS)
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

    def bounded(self, statement: sql.Composable) -> int | None:
        """The count, or None where the statement timeout ended it."""
        try:
            with failures_of(self._side), self._connection.begin_nested():
                return int(run(self._connection, statement).scalar_one())
        except Transient as error:
            if error.sqlstate == QUERY_CANCELED:
                return None
            raise

    def entry(self, catalogue: Catalogue, liquidation_id: int) -> tuple[bool, str | None]:
        with failures_of(self._side):
            table = read_table(self._connection, self._side, catalogue.table)
            statement = statements.catalogue_label(
                catalogue.table,
                table.column(catalogue.label_column),
                table.column(catalogue.id_column),
                liquidation_id,
            )
            row = run(self._connection, statement).one_or_none()
        return (False, None) if row is None else (True, row[0])

"""Consulta's side: one transaction a chunk, in which the range becomes what prod holds.

The caller's record of the chunk is written in the same transaction, just before the commit: both
are there or neither is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, text

from copier import statements
from copier.catalog import Table, read_table
from copier.digest import Digest
from copier.failure import failures_of
from copier.names import TableName
from copier.session import driver_of, milliseconds, open_read_only, run, shut

_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :lock_timeout, true)")
_LOCAL = text(
    "SELECT set_config('lock_timeout', :lock_timeout, true), "
    "set_config('idle_in_transaction_session_timeout', :idle_timeout, true), "
    "set_config('application_name', :label, true)"
)


class Target:
    """One connection to consulta for one copy."""

    def __init__(self, engine: Engine, *, lock_timeout_seconds: float, label: str) -> None:
        """Connects. ``label`` is what ``pg_stat_activity`` shows while a chunk is being written.

        Raises:
            DatabaseFailed: consulta can't be reached.
        """
        self._engine = engine
        self._settings = {
            "lock_timeout": milliseconds(lock_timeout_seconds),
            "idle_timeout": "60s",
            "label": label,
        }
        with failures_of("consulta"):
            self.connection = engine.connect()

    @property
    def driver(self) -> psycopg.Connection:
        return driver_of(self.connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A READ COMMITTED transaction with the engine's settings, for that transaction only."""
        with failures_of("consulta"), self.connection.begin():
            self.connection.exec_driver_sql(statements.SETTINGS)
            self.connection.execute(_LOCAL, self._settings)
            yield self.connection

    @contextmanager
    def one_moment(self) -> Iterator[Connection]:
        """A read-only transaction in which all statements see one moment of consulta."""
        with failures_of("consulta"):
            connection = open_read_only(self._engine)
            try:
                connection.exec_driver_sql(statements.SETTINGS)
                connection.execute(_LOCK_TIMEOUT, {"lock_timeout": self._settings["lock_timeout"]})
                yield connection
            finally:
                shut(connection)

    def table(self, name: TableName) -> Table:
        with self.transaction() as connection:
            return read_table(connection, "consulta", name)

    def count(self, statement: sql.Composable) -> int:
        with self.transaction() as connection:
            return int(run(connection, statement).scalar_one())

    def close(self) -> None:
        shut(self.connection)


def digest_of(connection: Connection, statement: sql.Composable) -> Digest:
    return Digest(*run(connection, statement).one())

"""Prod's side: one read-only snapshot, from which everything about a copy is read.

The transaction is REPEATABLE READ, READ ONLY, and its snapshot is exported, so that what several
readers see is one moment. Nothing is set for longer than the transaction: behind PgBouncer in
transaction mode a session's settings would leak to its next user.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine

from copier import statements
from copier.catalog import Table, read_table
from copier.digest import Digest
from copier.failure import failures_of
from copier.names import TableName


class Source:
    """An open snapshot of prod. Close it as soon as the copy is over: it holds back vacuum."""

    def __init__(self, engine: Engine) -> None:
        """Connects and takes the snapshot.

        Raises:
            DatabaseFailed: prod can't be reached.
        """
        with failures_of("prod"):
            self.connection = open_read_only(engine)
            try:
                self.connection.exec_driver_sql(statements.SETTINGS)
                row = self.connection.exec_driver_sql(statements.SNAPSHOT).one()
            except BaseException:
                self.connection.invalidate()
                self.connection.close()
                raise
        self.snapshot: str = row[0]
        self.as_of: datetime = row[1]

    @property
    def driver(self) -> psycopg.Connection:
        return driver_of(self.connection)

    def table(self, name: TableName) -> Table:
        with failures_of("prod"):
            return read_table(self.connection, "prod", name)

    def count(self, statement: sql.Composable) -> int:
        with failures_of("prod"):
            return int(run(self.connection, statement).scalar_one())

    def bounds(self, statement: sql.Composable) -> list[tuple[str, ...]]:
        with failures_of("prod"):
            return [tuple(row[0]) for row in run(self.connection, statement)]

    def digest(self, statement: sql.Composable) -> Digest:
        with failures_of("prod"):
            return Digest(*run(self.connection, statement).one())

    def close(self) -> None:
        shut(self.connection)


def open_read_only(engine: Engine) -> Connection:
    """A connection whose transaction is REPEATABLE READ, READ ONLY."""
    return engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def run(connection: Connection, statement: sql.Composable) -> Any:
    """Executes a composed statement. SQLAlchemy always passes parameters, so percent signs are doubled."""
    return connection.exec_driver_sql(rendered(statement, connection).replace("%", "%%"))


def rendered(statement: sql.Composable, connection: Connection) -> str:
    return statement.as_string(driver_of(connection))


def driver_of(connection: Connection) -> psycopg.Connection:
    """psycopg's connection below SQLAlchemy's, sharing its transaction."""
    return cast(psycopg.Connection, connection.connection.driver_connection)


def shut(connection: Connection) -> None:
    """Gives the connection back, or throws it away where it can't be rolled back any more."""
    if connection.closed:
        return
    try:
        driver = driver_of(connection)
        usable = driver.info.transaction_status in {
            psycopg.pq.TransactionStatus.IDLE,
            psycopg.pq.TransactionStatus.INTRANS,
            psycopg.pq.TransactionStatus.INERROR,
        }
        if not usable:
            connection.invalidate()
        connection.close()
    except Exception:
        connection.invalidate()
        connection.close()

"""Prod's side: one read-only snapshot, from which everything about a copy is read.

The transaction is REPEATABLE READ, READ ONLY, and its snapshot is exported, so that what several
readers see is one moment. Nothing is set for longer than the transaction: behind PgBouncer in
transaction mode a session's settings would leak to its next user.
"""

from __future__ import annotations

from datetime import datetime

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from copier import statements
from copier.catalog import Table, read_table
from copier.digest import Digest
from copier.failure import failures_of
from copier.names import TableName
from copier.session import driver_of, open_read_only, run, shut


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
                row = self.connection.exec_driver_sql(statements.SNAPSHOT).one()
            except BaseException:
                self.connection.invalidate()
                self.connection.close()
                raise
        self.snapshot: str = row[-2]
        self.as_of: datetime = row[-1]

    @property
    def driver(self) -> psycopg.Connection:
        return driver_of(self.connection)

    def table(self, name: TableName) -> Table:
        """The table, which nobody can truncate or rewrite from now on: a snapshot would see it empty."""
        with failures_of("prod"):
            table = read_table(self.connection, "prod", name)
            run(self.connection, statements.hold(name))
            return table

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

"""Consulta's side: one transaction a chunk, in which the range becomes what prod holds.

The caller's record of the chunk is written in the same transaction, just before the commit: both
are there or neither is. Those commits don't wait for the disk: a server that crashes loses the rows
and their record together, and whoever says that the copy is completed does so in a commit that waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from copier import settings
from copier.failure import failures_of
from copier.names import TableName
from copier.sessions import Sessions
from copier.slices import TableSlice

#: A connection that was idle for so many seconds is asked whether it still lives.
IDLE_SECONDS = 0.1
IDLE_SESSION_TIMEOUT = "57P05"

_CHUNK = f"{settings.LOST}, set_config('synchronous_commit', 'off', true)"


class Target:
    """One connection to consulta for one lane of a copy."""

    def __init__(self, engine: Engine, sessions: Sessions, rows: TableSlice | None = None) -> None:
        """Connects, for chunks of ``rows``.

        Raises:
            DatabaseFailed: consulta can't be reached.
        """
        self._engine = engine
        self._sessions = sessions
        by_index, holds_names = (rows.has_index, rows.holds_names) if rows else (False, False)
        self._write = text(f"{settings.of_lane(by_index=by_index)}, {_CHUNK}")
        self._look = text(f"{settings.of_lane(by_index=by_index, qualified=holds_names)}, {_CHUNK}")
        with failures_of("consulta"):
            self.connection = self._connected()
        self._used = time.monotonic()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A READ COMMITTED transaction with the engine's settings, for that transaction only."""
        with self._begun() as connection:
            connection.execute(self._write, self._sessions.values)
            yield connection

    @contextmanager
    def moment(self, table: TableName) -> Iterator[Connection]:
        """The same, but REPEATABLE READ and READ ONLY: all that is read in it is one snapshot.

        The table is locked before that is taken, as in `copier.snapshot`.
        """
        with self._begun() as connection:
            connection.exec_driver_sql(settings.ONE_MOMENT)
            self._sessions.lock_for_reading(connection, "consulta", table)
            connection.execute(self._look, self._sessions.values)
            yield connection

    def close(self) -> None:
        self._sessions.shut(self.connection)

    def _connected(self) -> Connection:
        """Whatever the role's default isolation is: lanes that share the job's row would fail each other."""
        return self._sessions.open(self._engine, "consulta")

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with failures_of("consulta"):
            if time.monotonic() - self._used > IDLE_SECONDS:
                self._revive()
            with self.connection.begin():
                yield self.connection
            self._used = time.monotonic()

    def _revive(self) -> None:
        """A lane waits between two chunks, to keep a cap or for a standby: where the server has ended its
        idle session for that, it gets another one. A server that was restarted is another matter: it may have
        lost chunks.
        """
        try:
            self.connection.exec_driver_sql("SELECT 1")
            self.connection.rollback()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != IDLE_SESSION_TIMEOUT:
                raise
            self._sessions.shut(self.connection)
            self.connection = self._connected()

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
from copier.session import connected, lock_for_reading, milliseconds, shut
from copier.slices import Slice

#: A connection that was idle for so many seconds is asked whether it still lives.
IDLE_SECONDS = 0.1
IDLE_SESSION_TIMEOUT = "57P05"

_CHUNK = (
    "set_config('lock_timeout', :lock_timeout, true), "
    "set_config('idle_in_transaction_session_timeout', :idle_timeout, true), "
    "set_config('synchronous_commit', 'off', true), "
    "set_config('application_name', :label, true)"
)


class Target:
    """One connection to consulta for one lane of a copy."""

    def __init__(
        self,
        engine: Engine,
        *,
        lock_timeout_seconds: float,
        label: str,
        rows: Slice | None = None,
    ) -> None:
        """Connects. ``label`` is what ``pg_stat_activity`` shows while a chunk of ``rows`` is being written.

        Raises:
            DatabaseFailed: consulta can't be reached.
        """
        self._engine = engine
        by_index, holds_names = (rows.has_index, rows.holds_names) if rows else (False, False)
        self._write = text(f"{settings.of_lane(by_index=by_index)}, {_CHUNK}")
        self._look = text(f"{settings.of_lane(by_index=by_index, qualified=holds_names)}, {_CHUNK}")
        self._lock_timeout = lock_timeout_seconds
        self._values = {
            "lock_timeout": milliseconds(lock_timeout_seconds),
            "idle_timeout": "15min",  # longer than any wait for prod between two statements
            "label": label,
        }
        with failures_of("consulta"):
            self.connection = self._connected()
        self._used = time.monotonic()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A READ COMMITTED transaction with the engine's settings, for that transaction only."""
        with self._begun() as connection:
            connection.execute(self._write, self._values)
            yield connection

    @contextmanager
    def moment(self, table: TableName) -> Iterator[Connection]:
        """The same, but REPEATABLE READ and READ ONLY: all that is read in it is one snapshot.

        The table is locked before that is taken, as in `copier.snapshot`.
        """
        with self._begun() as connection:
            connection.exec_driver_sql(settings.ONE_MOMENT)
            lock_for_reading(connection, "consulta", table, lock_timeout_seconds=self._lock_timeout)
            connection.execute(self._look, self._values)
            yield connection

    def close(self) -> None:
        shut(self.connection)

    def _connected(self) -> Connection:
        """Whatever the role's default isolation is: lanes that share the job's row would fail each other."""
        connection = connected(self._engine, "consulta")
        return connection.execution_options(isolation_level="READ COMMITTED")

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
            self.connection.close()
            self.connection = self._connected()

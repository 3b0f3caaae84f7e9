"""Consulta's side: one transaction a chunk, in which the range becomes what prod holds.

The caller's record of the chunk is written in the same transaction, just before the commit: both
are there or neither is. Those commits don't wait for the disk: a server that crashes loses the rows
and their record together, and whoever says that the copy is completed does so in a commit that waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, Engine, text

from copier import settings, statements
from copier.failure import failures_of
from copier.session import connected, driver_of, milliseconds, run, shut
from copier.slices import Slice

_CHUNK = (
    "set_config('lock_timeout', :lock_timeout, true), "
    "set_config('idle_in_transaction_session_timeout', :idle_timeout, true), "
    "set_config('synchronous_commit', 'off', true), "
    "set_config('application_name', :label, true)"
)


class Target:
    """One connection to consulta for one lane of a copy."""

    def __init__(
        self, engine: Engine, *, lock_timeout_seconds: float, label: str, by_index: bool = False
    ) -> None:
        """Connects. ``label`` is what ``pg_stat_activity`` shows while a chunk is being written.

        Raises:
            DatabaseFailed: consulta can't be reached.
        """
        self._begin = text(f"{settings.of_lane(by_index=by_index)}, {_CHUNK}")
        self._values = {
            "lock_timeout": milliseconds(lock_timeout_seconds),
            "idle_timeout": "15min",  # longer than any wait for prod between two statements
            "label": label,
        }
        with failures_of("consulta"):
            self.connection = connected(engine, "consulta")

    @property
    def driver(self) -> psycopg.Connection:
        return driver_of(self.connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A READ COMMITTED transaction with the engine's settings, for that transaction only."""
        with failures_of("consulta"), self.connection.begin():
            self._settle()
            yield self.connection

    @contextmanager
    def moment(self) -> Iterator[Connection]:
        """The same, but REPEATABLE READ and READ ONLY: all that is read in it is one snapshot."""
        with failures_of("consulta"), self.connection.begin():
            self.connection.exec_driver_sql(settings.ONE_MOMENT)
            self._settle()
            yield self.connection

    def count(self, rows: Slice) -> int:
        with self.transaction() as connection:
            return int(run(connection, statements.count(rows)).scalar_one())

    def _settle(self) -> None:
        self.connection.execute(self._begin, self._values)

    def close(self) -> None:
        shut(self.connection)

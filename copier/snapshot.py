"""One moment of one side, shared by several readers.

The transaction is REPEATABLE READ, READ ONLY, and its snapshot is exported, so that what the readers see
is one moment. Nothing is set for longer than a transaction: behind PgBouncer in transaction mode a
session's settings would leak to its next user.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine, text

from copier import settings, statements
from copier.errors import Permanent, Side, Transient
from copier.failure import failures_of
from copier.session import milliseconds, open_read_only, run, shut
from copier.slices import Slice

#: What a server says of a snapshot whose session has ended, and what older versions say.
NO_SNAPSHOT = frozenset({"42704", "22023"})


class Snapshot:
    """An open snapshot. Close it as soon as the work is over: it holds back vacuum."""

    def __init__(self, engine: Engine, side: Side, *, lock_timeout_seconds: float = 10.0) -> None:
        """Connects and takes the snapshot.

        Raises:
            DatabaseFailed: the side can't be reached.
        """
        self._engine = engine
        self._values = {"lock_timeout": milliseconds(lock_timeout_seconds)}
        self.side: Side = side
        self._connections: list[Connection] = []
        with failures_of(side):
            try:
                self.connection = self._open()
                row = self.connection.execute(text(settings.SNAPSHOT), self._values).one()
            except BaseException:
                self.close()
                raise
        self.name: str = row[-2]
        self.as_of: datetime = row[-1]

    def reader(self, rows: Slice, *, in_order: bool = True) -> Connection:
        """Another connection that sees the same moment of these rows; closed with the snapshot.

        It reads ranges by their index where there is one, and ``in_order`` of the key where that matters.

        Raises:
            Transient: the session that holds the snapshot is gone.
        """
        with failures_of(self.side):
            connection = self._open()
            self._join(connection)
            lane = settings.of_lane(by_index=rows.has_index, in_order=in_order, qualified=rows.holds_names)
            connection.execute(text(f"{lane}, {settings.HELD}"), self._values)
            return connection

    def _join(self, connection: Connection) -> None:
        try:
            with failures_of(self.side):
                run(connection, statements.snapshot(self.name))
        except Permanent as refusal:
            if refusal.sqlstate not in NO_SNAPSHOT:
                raise
            raise Transient(
                f"the session of {self.side} that held the snapshot is gone",
                side=self.side,
                condition="SnapshotGone",
            ) from refusal

    def close(self) -> None:
        for connection in self._connections:
            shut(connection)
        self._connections.clear()

    def _open(self) -> Connection:
        connection = open_read_only(self._engine, self.side)
        self._connections.append(connection)
        return connection

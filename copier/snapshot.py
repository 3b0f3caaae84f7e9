"""One moment of one side, of one table or of several, shared by several readers where they can see the same.

The transaction is REPEATABLE READ, READ ONLY. The table is locked before the snapshot is taken, and the
snapshot is exported, so that what the readers see is one moment. A standby's snapshot isn't exported, of a
foreign table each session would have a remote snapshot of its own, and a view may read when its transaction
began: there the session that holds the snapshot is the only reader. Nothing is set for longer than a
transaction: behind PgBouncer in transaction mode a session's settings would leak to its next user.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, text

from copier import statements
from copier.batch import Rows, Statement, run_batch, with_values
from copier.column_rules import PAD
from copier.connections import Sessions, in_transaction, run
from copier.errors import Permanent, TableMissing, Transient, failures_of
from copier.model import TableName
from copier.system_catalog import Table, names_in, questions, read_table, tables_of
from copier.table_slice import TableSlice

#: What a server says of a snapshot whose session has ended, and what older versions say.
NO_SNAPSHOT = frozenset({"42704", "22023"})
#: Snapshots that may turn out to be older than a rewrite of the table, until the copy is tried again later.
TRIES = 5


def give_hash_key(ask: Callable[..., list[Rows]], rows: TableSlice) -> None:
    """Has the rest of a transaction hash values of ``rows`` by their key, where any are to be hashed.

    ``ask`` sends it a statement, and gives the rows. The key itself is in none: see `copier.column_rules`.
    """
    if (key := rows.hash_key) is not None:
        [[[pad]]] = ask(PAD)
        ask(key.statement(pad))


class Snapshot:
    """An open snapshot. Close it as soon as the work is over: it holds back vacuum.

    ``table`` is what the side has under that name, ``tables`` are all that were locked before it, and
    ``as_of`` is when the snapshot was taken. ``answers`` are the rows of what was asked beside that.
    """

    table: Table
    tables: dict[TableName, Table]
    as_of: datetime
    answers: list[Rows]

    def __init__(
        self,
        engine: Engine,
        side: str,
        tables: Sequence[TableName],
        sessions: Sessions,
        *,
        beside: Sequence[Sequence[TableName]] = (),
        also: Sequence[Statement] = (),
        reads: TableSlice | None = None,
    ) -> None:
        """Connects, locks the tables for reading and takes the snapshot.

        The first of them is read; its rows belong to a liquidation through those behind it. So it is with
        each of the lines ``beside`` it, whose first tables are for `of`.

        ``also`` is asked in the same message. With ``reads`` the session that holds the snapshot is the first
        of the `readers` of these rows, in any order.

        Raises:
            TableMissing: there is no such table.
            DatabaseFailed: the side can't be reached, a table may not be read, or somebody alters one.
        """
        self._engine = engine
        self._sessions = sessions
        self.side = side
        self._connections: list[Connection] = []
        self._readers: list[Connection] = []
        self._may_rest = False
        own = [sql.SQL(statements.lane_of(reads, reads=True, in_order=False))] if reads is not None else []
        try:
            with failures_of(side):
                self._connection: Connection | None = self._taken((tables, *beside), also, own)
            if reads is not None:
                self._readers.append(self.connection)
        except BaseException:
            self.close()
            raise

    @property
    def is_shared(self) -> bool:
        """Whether other sessions can see the same moment."""
        return self.table.is_shareable

    @property
    def connection(self) -> Connection:
        """The session that looks at this moment; another one after a `rest`."""
        if self._connection is None:
            with failures_of(self.side):
                self._connection = self._beside()
        return self._connection

    def ask(self, *statements: Statement) -> list[Rows]:
        """The rows of each of the statements at this moment; they are sent in one message."""
        return run_batch(self.connection, *statements)

    def readers(
        self, count: int, rows: TableSlice, *, in_order: bool = True, alone: bool = False
    ) -> list[Connection]:
        """So many connections that see the same moment of these rows, or one where it can't be shared.

        With ``alone`` it is the one that looks at this moment: who asks for that asks it nothing meanwhile.
        They read ranges by their index where there is one, and ``in_order`` of the key where that matters.
        Those of an earlier call are given again while their transactions are open. All are closed with the
        snapshot.

        Raises:
            Transient: the session that holds the snapshot is gone.
        """
        lane = statements.lane_of(rows, reads=True, in_order=in_order)
        self._readers = [reader for reader in self._readers if in_transaction(reader)]
        with failures_of(self.side):
            if alone or not self.is_shared:
                if self._readers != [self.connection]:
                    if len(self.tables) > 1 and not self.is_shared:
                        run_batch(self.connection, statements.ANY_PLAN)
                    run_batch(self.connection, sql.SQL(lane))
                    give_hash_key(partial(run_batch, self.connection), rows)
                    self._readers = [self.connection]
                return [self.connection]
            if (missing := count - len(self._readers)) > 0:
                with ThreadPoolExecutor(missing) as at_once:
                    self._readers += at_once.map(self._reader, [lane] * missing, [rows] * missing)
            return self._readers[:count]

    def of(
        self,
        table: TableName,
        sessions: Sessions,
        *,
        also: Sequence[Statement] = (),
        reads: TableSlice | None = None,
    ) -> Snapshot:
        """The same moment, for the readers of another one of its ``tables``, with a session of its own.

        ``also`` and ``reads`` are those of a snapshot that is taken. Where the moment can't be shared, it is
        this session too: then one table is read after the other. It is of use while this one is open, and
        closed before it.

        Raises:
            Transient: the session that holds the snapshot is gone.
        """
        seen = copy.copy(self)
        seen._sessions, seen._connections, seen._readers = sessions, [], []
        seen.table = self.tables[table]
        seen._may_rest = seen.is_shared
        try:
            with failures_of(self.side):
                if seen.is_shared:
                    seen._connection = seen._beside()
                seen.answers = run_batch(seen.connection, *also) if also else []
                if reads is not None and seen.is_shared:
                    seen.ask(sql.SQL(statements.lane_of(reads, reads=True, in_order=False)))
                    seen._readers.append(seen.connection)
        except BaseException:
            seen.close()
            raise
        return seen

    def rest(self) -> None:
        """Gives the sessions back of a moment that is `of` another; what is asked next takes some again."""
        if self._may_rest:
            self.close()
            self._connection = None

    def close(self) -> None:
        self._sessions.shut_all(self._connections)
        self._connections.clear()
        self._readers.clear()

    def _taken(
        self, lines: Sequence[Sequence[TableName]], also: Sequence[Statement], own: Sequence[Statement]
    ) -> Connection:
        names = names_in(lines)
        asked = questions(*names)
        for _ in range(TRIES):
            connection = self._open()
            take = with_values(connection, statements.SNAPSHOT, self._sessions.values)
            then = [take, *asked, *also, *own]
            try:
                locked, ([row], *found) = self._sessions.lock_for_reading(
                    connection, self.side, names, [statements.BEGIN_MOMENT], then
                )
            except psycopg.errors.UndefinedTable as error:  # one of the other questions needs it
                raise TableMissing(self.side, str(names[0])) from error
            self._name, self.as_of = row.name, row.as_of
            sys.audit("traspaso.snapshot", self.side, row.name)
            self.tables = tables_of(self.side, lines, found[: len(asked)])
            self.answers = found[len(asked) : len(asked) + len(also)]
            if not locked:
                for table in self.tables.values():
                    table.refuse_unreadable()
                # The lock came too late: what was read is read again, to see whether it was rewritten.
                for name in names:
                    run(connection, statements.hold(name))
                self.tables = {line[0]: read_table(connection, self.side, *line) for line in lines}
            self.table = self.tables[lines[0][0]]
            self._begin_remotely(connection)
            read = [each for table in self.tables.values() for each in table.line]
            if not any(table.relations.rewritten for table in read):
                return connection
            self.close()
        raise Transient(
            f"table {' or '.join(map(str, names))} of {self.side} is being rewritten again and again",
            side=self.side,
            condition="TableAltered",
            table=names[0].name,
        )

    def _begin_remotely(self, connection: Connection) -> None:
        """The remote transaction takes its snapshot with its first row."""
        for table in self.tables.values():
            if any(each.relations.foreign for each in table.line) and table.several_moments is None:
                run(connection, statements.hold(table.name, rows=1))
                self.as_of = connection.execute(text("SELECT pg_catalog.clock_timestamp()")).scalar_one()

    def _beside(self) -> Connection:
        """A session of its own that sees the moment of another one."""
        connection = self._open()
        self._join(connection, with_values(connection, statements.BESIDE, self._sessions.values))
        return connection

    def _reader(self, lane: str, rows: TableSlice) -> Connection:
        connection = self._open()
        settings = with_values(connection, f"{lane}, {statements.HELD}", self._sessions.values)
        self._join(connection, settings)
        give_hash_key(partial(run_batch, connection), rows)
        return connection

    def _join(self, connection: Connection, settings: Statement) -> None:
        try:
            with failures_of(self.side):
                run_batch(connection, statements.BEGIN_MOMENT, statements.snapshot(self._name), settings)
        except Permanent as refusal:
            if refusal.sqlstate not in NO_SNAPSHOT:
                raise
            raise Transient(
                f"the session of {self.side} that held the snapshot is gone",
                side=self.side,
                condition="SnapshotGone",
            ) from refusal

    def _open(self) -> Connection:
        connection = self._sessions.open(self._engine, self.side, isolation="REPEATABLE READ", read_only=True)
        self._connections.append(connection)
        return connection

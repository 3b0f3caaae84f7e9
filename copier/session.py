"""Connections as the engine uses them: SQLAlchemy's for transactions, psycopg's below it for COPY."""

from __future__ import annotations

from typing import Any, cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine

from copier.errors import EncodingUnknown, Side, Transient
from copier.names import TableName
from copier.settings import milliseconds

#: What a server says of what can't be locked: a materialized view or a foreign table, a table of which the
#: role may read only some columns, or one that isn't there.
NOT_LOCKABLE = frozenset({"42809", "42501", "42P01", "3F000"})
LOCK_NOT_AVAILABLE = "55P03"


def connected(engine: Engine, side: Side) -> Connection:
    """Raises EncodingUnknown where the side's answers are bytes that SQLAlchemy can't even begin with."""
    try:
        return engine.connect()
    except TypeError as error:
        raise EncodingUnknown(side) from error


def lock_for_reading(
    connection: Connection,
    side: Side,
    table: TableName,
    *,
    label: str,
    lost_after: str,
    lock_timeout_seconds: float,
) -> bool:
    """Takes a reader's lock on the table, its partitions, and what a view reads, until the transaction ends.

    Neither this nor what is sent with it takes a snapshot, so that the snapshot can be taken afterwards: one
    that is older than a rewrite that isn't MVCC-safe would see the table empty
    (https://www.postgresql.org/docs/current/mvcc-caveats.html). False where the server doesn't lock it. The
    session has its ``label`` meanwhile, and is ``lost_after`` so long without a word of its client.

    Raises:
        Transient: somebody alters the table.
    """
    driver = driver_of(connection)
    statement = sql.SQL(
        "SAVEPOINT traspaso_lock; SET LOCAL statement_timeout = 0; SET LOCAL application_name = {}; "
        "SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL lock_timeout = {}; "
        "LOCK TABLE {} IN ACCESS SHARE MODE; RELEASE SAVEPOINT traspaso_lock"
    ).format(
        sql.Literal(label),
        sql.Literal(lost_after),
        sql.Literal(milliseconds(lock_timeout_seconds)),
        table.identifier,
    )
    try:
        driver.execute(statement)
    except psycopg.Error as error:
        if error.sqlstate == LOCK_NOT_AVAILABLE:
            raise Transient(
                f"table {table} of {side} is being altered: its lock was not to be had in "
                f"{lock_timeout_seconds:g} s",
                side=side,
                condition="TableAltered",
                table=table.name,
            ) from error
        if error.sqlstate not in NOT_LOCKABLE:
            raise
        driver.execute("ROLLBACK TO SAVEPOINT traspaso_lock; RELEASE SAVEPOINT traspaso_lock")
        return False
    return True


def run(connection: Connection, statement: sql.Composable) -> Any:
    """Executes a composed statement. SQLAlchemy always passes parameters, so percent signs are doubled."""
    return connection.exec_driver_sql(rendered(statement, connection).replace("%", "%%"))


def one_as_text(connection: Connection, statement: sql.Composable) -> tuple[str, ...]:
    """The one row that comes back, each value as the server writes it. None of them may be NULL."""
    return rows_as_text(connection, statement)[0]


def rows_as_text(connection: Connection, statement: sql.Composable) -> list[tuple[str, ...]]:
    """The rows that come back, each value as the server writes it. None of them may be NULL."""
    result = run(connection, statement).cursor.pgresult
    return [
        tuple(result.get_value(row, place).decode() for place in range(result.nfields))
        for row in range(result.ntuples)
    ]


def rendered(statement: sql.Composable, connection: Connection) -> str:
    return statement.as_string(driver_of(connection))


def driver_of(connection: Connection) -> psycopg.Connection:
    """psycopg's connection below SQLAlchemy's, sharing its transaction."""
    return cast(psycopg.Connection, connection.connection.driver_connection)


def drop_if_unusable(connection: Connection) -> None:
    """Throws the connection away where it can't be rolled back any more: lost, or inside a COPY.

    SQLAlchemy then lets it be, and the error that led here isn't replaced by that of a rollback.
    """
    if driver_of(connection).info.transaction_status not in {
        psycopg.pq.TransactionStatus.IDLE,
        psycopg.pq.TransactionStatus.INTRANS,
        psycopg.pq.TransactionStatus.INERROR,
    }:
        connection.invalidate()


def shut(connection: Connection) -> None:
    """Gives the connection back, or throws it away where it can't be rolled back any more."""
    if connection.closed:
        return
    try:
        drop_if_unusable(connection)
        connection.close()
    except Exception:  # the line broke unnoticed, and the rollback found out
        if not connection.closed:
            connection.invalidate()
            connection.close()

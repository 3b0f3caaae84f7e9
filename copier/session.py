"""Connections as the engine uses them: SQLAlchemy's for transactions, psycopg's below it for COPY."""

from __future__ import annotations

from typing import Any, cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine

from copier.errors import EncodingUnknown, Side


def connected(engine: Engine, side: Side) -> Connection:
    """Raises EncodingUnknown where the side's answers are bytes that SQLAlchemy can't even begin with."""
    try:
        return engine.connect()
    except TypeError as error:
        raise EncodingUnknown(side) from error


def open_read_only(engine: Engine, side: Side) -> Connection:
    """A connection whose transaction is REPEATABLE READ, READ ONLY."""
    connection = connected(engine, side)
    return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def run(connection: Connection, statement: sql.Composable) -> Any:
    """Executes a composed statement. SQLAlchemy always passes parameters, so percent signs are doubled."""
    return connection.exec_driver_sql(rendered(statement, connection).replace("%", "%%"))


def one_as_text(connection: Connection, statement: sql.Composable) -> tuple[str, ...]:
    """The one row that comes back, each value as the server writes it. None of them may be NULL."""
    result = run(connection, statement).cursor.pgresult
    values = (result.get_value(0, place) for place in range(result.nfields))
    return tuple(value.decode() for value in values)


def milliseconds(seconds: float) -> str:
    """A timeout as PostgreSQL writes it; never zero, which would mean no timeout."""
    return f"{max(1, round(seconds * 1000))}ms"


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

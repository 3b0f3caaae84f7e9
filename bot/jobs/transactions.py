"""The transactions of the tracking tables, and the connections that they go over.

No transaction waits for ever, whatever holds a row or the server. Copies share the connections and set limits
of their own, because a count or a merge may take minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Executable, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import LRUCache

from copier import statements
from copier.batch import COMMIT, Rows, Statement, begin_of, driver_of, literal, run_batch, with_values
from copier.connections import LOST_SECONDS, ask_while_waiting, at_most, readable

#: Seconds that a transaction of the tracking tables waits for a lock, and that a statement of it may take.
LOCK_SECONDS, STATEMENT_SECONDS = 5.0, 10.0
#: A server that should have ended a statement and says nothing counts as lost after so many seconds.
SILENT_SECONDS = 12.0
#: A connection that was idle for so many seconds is asked whether it still lives; and where that is noted.
IDLE_SECONDS, USED = 5.0, "traspaso_used"
#: The execution option that names a session, and the name of those without.
LABEL, NOBODYS = "traspaso_label", "traspaso"
#: Where a connection keeps how its transaction begins, until that is sent.
BEGIN = "traspaso_begin"

_LIMITS = f"SELECT {statements.LOST}, set_config('statement_timeout', :statement, true)"
#: The same with its values, by the session's name and encoding: each transaction begins with it.
_written: LRUCache[tuple[str, str], Statement] = LRUCache(100)


def with_limits(engine: Engine) -> Engine:
    """The same connections, for the tracking tables: each transaction begins with its limits.

    They are sent with its first statement, in one message where that goes through `execute_batch`.
    """
    limited = engine.execution_options()
    event.listen(limited, "begin", _begun)
    event.listen(limited, "before_cursor_execute", _begins)
    return limited


def execute_batch(connection: Connection, *statements: Executable, commit: bool = False) -> list[Rows]:
    """The rows of each of these statements: all of them go in one message.

    It begins the transaction where that has yet to begin. With ``commit`` the message ends it, and nothing
    more is done in it.

    Raises:
        DBAPIError: of the first statement that failed; nothing behind it was done, nor was it committed.
    """
    with _as_sqlalchemy_raises(connection):
        begin = connection.info.pop(BEGIN, None) or begin_of(driver_of(connection))
        written = [literal(connection, each) for each in statements]
        end: list[Statement] = [COMMIT] if commit else []
        return run_batch(connection, *begin, *written, *end)[len(begin) : len(begin) + len(written)]


def give_up_silent_servers(engine: Engine) -> None:
    """Each new connection counts as lost where its server is silent for too long.

    Who asks for what may take longer, as a copy does, says so: `copier.connections.ask_while_waiting`.
    """

    @event.listens_for(engine, "connect")
    def connected(driver: psycopg.Connection, record: object) -> None:
        ask_while_waiting(driver, at_most(SILENT_SECONDS))


def ask_before_use(engine: Engine) -> None:
    """A connection of the pool is asked whether it lives where that isn't known: it was idle for long.

    In the place of ``pool_pre_ping``, which asks each time. A server that has ended a session, or has
    restarted, has said so, and nothing else comes while a session is idle.
    """

    @event.listens_for(engine, "checkin")
    def given_back(driver: psycopg.Connection | None, record: ConnectionPoolEntry) -> None:
        record.info[USED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(driver: psycopg.Connection, record: ConnectionPoolEntry, proxy: object) -> None:
        used = record.info.get(USED)
        if used is None:
            return
        if driver.closed or readable(driver.pgconn.socket, 0):
            raise DisconnectionError("the server has ended the session")
        if time.monotonic() - used > IDLE_SECONDS:
            try:
                engine.dialect.do_ping(driver)  # type: ignore[arg-type]
            except psycopg.Error as error:
                raise DisconnectionError("the line is lost") from error


@contextmanager
def transaction(engine: Engine, label: str) -> Iterator[Connection]:
    """One whose session has this name on the server."""
    with engine.connect() as session:
        connection = session.execution_options(**{LABEL: label})
        with connection.begin():
            yield connection


def _begun(connection: Connection) -> None:
    """How the transaction begins waits for its first statement."""
    options: dict[str, Any] = dict(connection.get_execution_options())
    driver = driver_of(connection)
    named = options.get(LABEL, NOBODYS), driver.info.encoding
    if (limits := _written.get(named)) is None:
        values = statements.lost_after(LOST_SECONDS, named[0], LOCK_SECONDS)
        values["statement"] = statements.milliseconds(STATEMENT_SECONDS)
        limits = _written[named] = with_values(connection, _LIMITS, values)
    connection.info[BEGIN] = [*begin_of(driver), limits]


def _begins(connection: Connection, *_: object) -> None:
    """Before a statement of SQLAlchemy's own."""
    if (begin := connection.info.pop(BEGIN, None)) is not None:
        with _as_sqlalchemy_raises(connection):
            run_batch(connection, *begin)


@contextmanager
def _as_sqlalchemy_raises(connection: Connection) -> Iterator[None]:
    driver = driver_of(connection)
    try:
        yield
    except psycopg.Error as error:
        if broken := driver.closed:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, connection_invalidated=broken, dialect=connection.dialect
        ) from error

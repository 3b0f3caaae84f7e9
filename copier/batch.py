"""A batch: several statements in one message to a server, and their answers. It costs one round trip.

A simple query may hold several statements, while psycopg sends BEGIN, each statement and COMMIT one by one.
What is composed here is sent by psycopg's connection below SQLAlchemy's. Both see the transaction as the
server does: one that was begun here isn't begun again, and one that was committed here is over. The server
does one statement after the other, each with a snapshot of its own where the isolation says so; after one
that fails it does nothing more of the message, so a COMMIT behind it isn't reached.

libpq's pipeline mode allows neither COPY nor several statements in one query; a simple query has both, and
PgBouncer carries it like any other.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import Any, LiteralString, TypeVar, cast

import psycopg
from psycopg import pq, sql
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.waiting import Ready, Wait
from sqlalchemy import Connection, Executable, text
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.util import LRUCache

T = TypeVar("T")

#: A statement, or several that were joined.
Statement = sql.Composable | LiteralString
#: Ends a transaction: behind the last of its statements in a message, it costs nothing.
COMMIT: Statement = "COMMIT"
#: The rows of one statement, whose values have names and are Python's; none where it gives no rows.
Rows = list[Any]

#: What `literal` has compiled, as SQLAlchemy keeps what it executes by itself.
_COMPILED: LRUCache[Any, SQLCompiler] = LRUCache(500)

_MOVES_DATA = {pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH}


def driver_of(connection: Connection) -> psycopg.Connection:
    """psycopg's connection below SQLAlchemy's, sharing its transaction."""
    return cast(psycopg.Connection, connection.connection.driver_connection)


def run_batch(connection: Connection, *statements: Statement) -> list[Rows]:
    """Sends the statements in one message; the rows of each.

    Raises:
        psycopg.Error: of the first statement that failed; those behind it were not done.
    """
    answers, error = try_batch(connection, *statements)
    if error is not None:
        raise error
    return answers


def try_batch(connection: Connection, *statements: Statement) -> tuple[list[Rows], psycopg.Error | None]:
    """The same, for who goes on after a statement that failed: the rows of those before it, and its error."""
    driver = driver_of(connection)
    results = _sent(driver, statements)
    answers: list[Rows] = []
    for result in results:
        if result.status not in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
            return answers, failure(driver, result)
        answers.append(_rows(driver, result))
    return answers, None


def all_as_text(connection: Connection, *statements: Statement) -> list[tuple[str, ...]]:
    """The rows that all the statements give, each value as the server writes it; none of them may be NULL."""
    driver = driver_of(connection)
    rows = []
    for result in _sent(driver, statements):
        if result.status not in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
            raise failure(driver, result)
        columns = range(result.nfields)
        rows += [
            tuple((result.get_value(row, place) or b"").decode() for place in columns)
            for row in range(result.ntuples)
        ]
    return rows


def _sent(driver: psycopg.Connection, statements: Sequence[Statement]) -> list[pq.abc.PGresult]:
    message = joined(driver, statements)
    with driver.lock:
        driver.pgconn.send_query(message)
        return driver.wait(_results(driver.pgconn))


def joined(driver: psycopg.Connection, statements: Sequence[Statement]) -> bytes:
    """The message that holds these statements."""
    parts = (each if isinstance(each, str) else each.as_string(driver) for each in statements)
    return "; ".join(parts).encode(driver.info.encoding)


def speaks_utf8(driver: psycopg.Connection) -> bool:
    """Whether any text can be sent already; else the settings of the transaction have to say so first."""
    return driver.info.encoding == "utf-8"


def failure(driver: psycopg.Connection, result: pq.abc.PGresult | None) -> psycopg.Error:
    if result is None or not result.error_field(pq.DiagnosticField.SQLSTATE):
        return psycopg.OperationalError(driver.pgconn.get_error_message())
    return error_from_result(result, encoding=driver.info.encoding)


def begin_of(driver: psycopg.Connection) -> list[Statement]:
    """What psycopg would begin a transaction with; nothing where it wouldn't."""
    if driver.autocommit or driver.info.transaction_status != pq.TransactionStatus.IDLE:
        return []
    level = driver.isolation_level
    isolation = f" ISOLATION LEVEL {level.name.replace('_', ' ')}" if level is not None else ""
    access = {None: "", True: " READ ONLY", False: " READ WRITE"}[driver.read_only]
    return [sql.SQL(f"BEGIN{isolation}{access}")]


def literal(connection: Connection, statement: Executable) -> sql.Composable:
    """A statement of SQLAlchemy's with its values in it: converted by their types, and quoted by psycopg."""
    compiled, found = _compiled(connection, statement)
    values = compiled.construct_params(extracted_parameters=found, escape_names=False)
    expanded = compiled.construct_expanded_state(values, escape_names=False)
    convert = {**compiled._bind_processors, **expanded.processors}
    names = compiled.escaped_bind_names
    written = {
        names.get(name, name): convert[name](value) if name in convert else value  # type: ignore[operator]
        for name, value in expanded.parameters.items()
    }
    # Every value is quoted.
    return sql.SQL(psycopg.ClientCursor(driver_of(connection)).mogrify(expanded.statement, written))


def _compiled(
    connection: Connection, statement: Executable
) -> tuple[SQLCompiler, Sequence[BindParameter[Any]] | None]:
    """The statement as it was compiled when one of its shape was first asked for, which takes longer than to
    send it; and its own values, where that was another one.
    """
    schemas = connection.get_execution_options().get("schema_translate_map")
    translated = {"schema_translate_map": schemas, "render_schema_translate": True} if schemas else {}
    key = statement._generate_cache_key()  # type: ignore[attr-defined]
    if key is None:
        return statement.compile(dialect=connection.dialect, **translated), None  # type: ignore[attr-defined]
    shape = (connection.dialect, key.key, tuple((schemas or {}).items()))
    compiled = _COMPILED.get(shape)
    if compiled is None:
        compiled = statement.compile(  # type: ignore[attr-defined]
            dialect=connection.dialect, cache_key=key, **translated
        )
        _COMPILED[shape] = compiled
    return compiled, key.bindparams


def with_values(connection: Connection, statement: str, values: dict[str, str]) -> sql.Composable:
    """The statement with texts in the place of its ``:names``."""
    return literal(connection, text(statement).bindparams(**values))


class Transaction:
    """One whose first statements wait for the next message, so that they cost no round trip of their own."""

    def __init__(self, connection: Connection, *first: Statement) -> None:
        """``first`` begins it, and makes its settings."""
        self.connection = connection
        #: Whether it was committed by a message that goes on with another one.
        self.is_over = False
        self._waiting: list[Statement] = [*first]
        if not speaks_utf8(driver_of(connection)):
            self.flush()

    def later(self, *statements: Statement) -> None:
        """Has the statements sent with the next message. Nobody wants their rows."""
        self._waiting += statements

    def ask(self, *statements: Statement) -> list[Rows]:
        """Sends what waits and the statements; the rows of the latter."""
        before = self.take()
        return run_batch(self.connection, *before, *statements)[len(before) :]

    def flush(self) -> None:
        """Sends what waits: the connection is then in the transaction, for whoever uses it directly."""
        if before := self.take():
            run_batch(self.connection, *before)

    def take(self) -> list[Statement]:
        """What waits, for who sends it."""
        before, self._waiting = self._waiting, []
        return before


def _results(pgconn: pq.abc.PGconn) -> Generator[Wait, Ready | int, list[pq.abc.PGresult]]:
    """Sends what libpq holds, and reads the results up to the end of the message, or a COPY.

    Where the line breaks, what the server has said before is among the results: often it is why.
    """
    is_open = True
    while is_open:
        if (yield Wait.RW) & Ready.R:
            is_open = _read(pgconn)
        if is_open and pgconn.flush() == 0:
            break
    results: list[pq.abc.PGresult] = []
    while True:
        while is_open and pgconn.is_busy():
            yield Wait.R
            is_open = _read(pgconn)
        result = pgconn.get_result()
        if result is None:
            return results
        results.append(result)
        if result.status in _MOVES_DATA:
            return results


def rows_of(connection: Connection, result: pq.abc.PGresult) -> Rows:
    """Those that one statement has given."""
    return _rows(driver_of(connection), result)


def _read(pgconn: pq.abc.PGconn) -> bool:
    """Takes what has arrived; False where the line is broken."""
    try:
        pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return True


def _rows(driver: psycopg.Connection, result: pq.abc.PGresult) -> Rows:
    if result.status != pq.ExecStatus.TUPLES_OK or not result.ntuples:
        return []
    read = Transformer(driver)
    read.set_pgresult(result)
    names = tuple((result.fname(place) or b"").decode() for place in range(result.nfields))
    return read.load_rows(0, result.ntuples, _maker(names))


@lru_cache(maxsize=256)
def _maker(names: tuple[str, ...]) -> Callable[[Sequence[Any]], Any]:
    row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
    return cast(Callable[[Sequence[Any]], Any], row._make)  # the names are the server's

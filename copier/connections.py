"""Connections to both sides: their waits can be broken off, and their sessions are kept alive and then ended.

psycopg's own wait ends only when the server answers, and a server may never answer although its connection
is open: its process is stopped, or it waits for a lock. Here the caller is asked every second whether to go
on waiting. If not, the server is asked to cancel the statement; where that doesn't help, the connection is
closed.

A client may disappear without closing its connections: it is killed while the network is down, or loses
power. Its sessions would keep their locks, and hold back the source's vacuum, until the server notices. So
each transaction has its server end it when the client, or the network, is silent for ``lost_seconds``.
Sessions that have to wait between two statements are kept alive by one thread, which sends each of them an
empty query in time. That takes no snapshot, and isn't sent while a statement runs.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import Any, Literal, Self, TypeVar, cast

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.waiting import Ready, Wait
from sqlalchemy import Connection, CursorResult, Engine, text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from copier import statements
from copier.batch import (
    Rows,
    Statement,
    begin_of,
    driver_of,
    run_batch,
    speaks_utf8,
    try_batch,
    with_values,
)
from copier.errors import QUERY_CANCELED, EncodingUnknown, GivenUp, Transient, failures_of
from copier.model import TableName
from copier.parallel import asking_while_waiting
from copier.statements import milliseconds

#: How long a server may stay silent before `OnSilence` is called, in seconds.
PATIENCE_SECONDS = 1.0
#: How long a request to cancel, and then the end of the cancelled statement, are waited for, in seconds.
CANCEL_SECONDS = 2.0
#: How much later than its own timeout a server may end a statement before it counts as lost, in seconds.
LATE_SECONDS = 5.0
#: How soon a server ends a session of ours in which it hears nothing, in seconds.
LOST_SECONDS = 60.0
#: How long an answer to an empty query may take before other sessions are seen to, in seconds.
AT_ONCE, SOON = 0.02, 0.05
#: How long one that is still missing is waited for where its session is given back, in seconds.
ANSWER_SECONDS = 1.0

#: What a server says of what can't be locked: a materialized view or a foreign table, a table of which the
#: role may read only some columns, or one that isn't there.
NOT_LOCKABLE = frozenset({"42809", "42501", "42P01", "3F000"})
LOCK_NOT_AVAILABLE = "55P03"

T = TypeVar("T")

#: A wait of psycopg's: it yields what it waits for, is sent what is ready, and returns its result.
Steps = Generator[Wait, Ready, T]

#: Called with the seconds in which a side has been silent. What it raises ends the wait.
OnSilence = Callable[[float], None]

_EVENTS = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}
_IDENTIFY = text(f"SELECT {statements.LOST}")
_STATEMENT_TIMEOUT = "SELECT set_config('statement_timeout', :timeout, true)"


# ------------------------------------------------------------------------------ waits that can be broken off


def at_most(seconds: float) -> OnSilence:
    """For connections whose statements are short: a server that is silent for so long counts as lost."""

    def on_silence(silent: float) -> None:
        if silent >= seconds:
            raise psycopg.OperationalError(f"the server has not answered for {seconds:g} s")

    return on_silence


def ask_while_waiting(driver: psycopg.Connection, on_silence: OnSilence | None) -> OnSilence | None:
    """From now on each wait of this connection calls ``on_silence``. Gives what it called before.

    psycopg does all its waiting in one method; a connection that somebody else has made gets another one.
    """
    before: _Waiter | None = vars(driver).pop("wait", None)
    if on_silence is not None:
        vars(driver)["wait"] = _Waiter(driver, on_silence)
    return before.on_silence if before else None


@contextmanager
def alone_with(driver: psycopg.Connection, on_silence: OnSilence) -> Iterator[None]:
    """Keeps other threads off the connection, as psycopg does for each statement of its own."""
    began = time.monotonic()
    while not driver.lock.acquire(timeout=PATIENCE_SECONDS):
        on_silence(time.monotonic() - began)
    try:
        yield
    finally:
        driver.lock.release()


def cancel(driver: psycopg.Connection) -> bool:
    """Asks the server to end the running statement. False where it can't be asked."""
    try:
        driver.cancel_safe(timeout=CANCEL_SECONDS)
    except (psycopg.Error, OSError):
        return False
    return True


class _Waiter:
    """Stands for the ``wait`` of one connection."""

    def __init__(self, driver: psycopg.Connection, on_silence: OnSilence) -> None:
        self._driver = driver
        self.on_silence = on_silence

    def __call__(self, steps: Steps[T], *_: object, **__: object) -> T:
        """Carries psycopg's steps out, as psycopg's own does, and asks in between."""
        place = self._driver.pgconn.socket
        poll = select.poll()
        try:
            wanted = next(steps)
            poll.register(place, _EVENTS[wanted])
            heard = time.monotonic()
            while True:
                ready = self._ready(steps, poll, place, heard)
                if ready != Ready.NONE:
                    heard = time.monotonic()
                if (now_wanted := steps.send(ready)) != wanted:
                    wanted = now_wanted
                    poll.modify(place, _EVENTS[wanted])
        except StopIteration as end:
            return cast(T, end.value)

    def _ready(self, steps: Steps[Any], poll: select.poll, place: int, heard: float) -> Ready:
        """What the socket is ready for; nothing, where it was silent and it is to be waited on."""
        try:
            ready = _ready(poll, PATIENCE_SECONDS)
            if ready == Ready.NONE:
                self.on_silence(time.monotonic() - heard)
        except psycopg.Error:
            self._break_off(steps, poll, place)
            raise
        except Exception as reason:
            self._break_off(steps, poll, place)
            raise GivenUp(reason) from None  # whose own cause this error is going to be
        except BaseException:  # Ctrl-C
            self._break_off(steps, poll, place)
            raise
        return ready

    def _break_off(self, steps: Steps[Any], poll: select.poll, place: int) -> None:
        """The statement ends, or its connection does."""
        if not (cancel(self._driver) and _ends(steps, poll, place)):
            steps.close()
            self._driver.close()


def _ends(steps: Steps[Any], poll: select.poll, place: int) -> bool:
    """Whether the statement ends in time. How it ends doesn't matter any more."""
    until = time.monotonic() + CANCEL_SECONDS
    try:
        while (left := until - time.monotonic()) > 0:
            poll.modify(place, _EVENTS[steps.send(_ready(poll, left))])
    except StopIteration:
        return True
    except (psycopg.Error, OSError):
        return True
    return False


def _ready(poll: select.poll, seconds: float) -> Ready:
    found = poll.poll(seconds * 1000)
    if not found:
        return Ready.NONE
    events = found[0][1]
    readable = events & ~select.POLLOUT  # or broken: reading tells
    writable = events & (select.POLLOUT | select.POLLERR | select.POLLHUP)
    return Ready.RW if readable and writable else Ready.R if readable else Ready.W


# ------------------------------------------------ SQLAlchemy's connections, and psycopg's below them for COPY


class AsGreeted(PGDialect_psycopg):
    """SQLAlchemy's dialect, which asks nothing of a server that it has said by itself.

    SQLAlchemy's own asks each server for its version and more, one by one, before the first statement of an
    engine: six round trips of a process that may make one copy.
    """

    supports_statement_cache = True

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:
        """Raises TypeError where texts come as bytes, as SQLAlchemy does when it reads one."""
        driver = driver_of(connection)
        if driver.pgconn.parameter_status(b"client_encoding") == b"SQL_ASCII":
            raise TypeError("texts come as bytes")
        number = driver.info.server_version
        return (number // 10_000, number % 10_000)

    def _get_default_schema_name(self, connection: Connection) -> str:
        raise NotImplementedError  # it is for reading tables' definitions, which nothing here leaves to it

    def get_default_isolation_level(self, dbapi_conn: object) -> Literal["READ COMMITTED"]:
        """Each engine sets its own, and each transaction of a copy too."""
        return "READ COMMITTED"

    def _set_backslash_escapes(self, connection: Connection) -> None:
        said = driver_of(connection).pgconn.parameter_status(b"standard_conforming_strings")
        self._backslash_escapes = said == b"off"


#: The name of that dialect in the URL of an engine.
AS_GREETED = "postgresql+traspaso"
registry.register("postgresql.traspaso", __name__, "AsGreeted")


def run(connection: Connection, statement: sql.Composable) -> CursorResult[Any]:
    """Executes a composed statement. SQLAlchemy always passes parameters, so percent signs are doubled."""
    return connection.exec_driver_sql(rendered(statement, connection).replace("%", "%%"))


def rendered(statement: sql.Composable, connection: Connection) -> str:
    return statement.as_string(driver_of(connection))


def in_transaction(connection: Connection) -> bool:
    """Whether its transaction is open and can go on, as far as the client knows."""
    if connection.closed or connection.invalidated:
        return False
    return driver_of(connection).info.transaction_status == TransactionStatus.INTRANS


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


def give_back(connection: Connection) -> None:
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


# ------------------------------------------------------------------------------ the sessions of one operation


class Sessions:
    """Opens sessions and gives them back; a thread keeps those alive that are idle in a transaction.

    ``label`` is their name on both servers. ``on_silence`` is called in each of their waits.
    """

    def __init__(
        self,
        label: str,
        *,
        on_silence: OnSilence = lambda silent: None,
        lock_timeout_seconds: float = 10.0,
        lost_seconds: float = LOST_SECONDS,
    ) -> None:
        self.label = label
        self.lock_timeout_seconds = lock_timeout_seconds
        #: The parameters of `statements.LOST`, which every transaction sets for itself.
        self.values = statements.lost_after(lost_seconds, label, lock_timeout_seconds)
        self._on_silence = on_silence
        self._reason: BaseException | None = None
        self._every = lost_seconds / 4
        self._open: dict[Connection, _Session] = {}
        self._unreachable: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def open(
        self, engine: Engine, side: str, *, isolation: str = "READ COMMITTED", read_only: bool = False
    ) -> Connection:
        """A session with transactions of this isolation; `on_silence` is called while it waits.

        Raises:
            EncodingUnknown: the side's answers are bytes that can't be read.
        """
        connection = _connect_in_thread(engine, side, self.ask)
        session = _Session(connection, side, self.ask)
        options = {"postgresql_readonly": True} if read_only else {}
        connection = connection.execution_options(isolation_level=isolation, **options)
        with self._lock:
            self._open[connection] = session
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(target=self._run, name="sessions", daemon=True)
                self._thread.start()
        return connection

    def identify(self, connection: Connection) -> None:
        """For a transaction without other settings: sets whose it is, and when it counts as lost."""
        connection.execute(_IDENTIFY, self.values)

    def lock_for_reading(
        self,
        connection: Connection,
        side: str,
        tables: Sequence[TableName],
        first: Sequence[Statement],
        then: Sequence[Statement],
    ) -> tuple[bool, list[Rows]]:
        """Takes a reader's lock on the tables, their partitions, and what a view reads, for the transaction.

        ``first`` begins the transaction, and ``then`` is what is asked under the lock: all in one message.
        Neither the lock nor what is sent before it takes a snapshot, so that the snapshot is taken
        afterwards: one that is older than a rewrite that isn't MVCC-safe would see a table empty
        (https://www.postgresql.org/docs/current/mvcc-caveats.html). Gives False where the server doesn't
        lock one, and the rows of each of the statements in ``then``.

        Raises:
            Transient: somebody alters a table.
        """
        if not speaks_utf8(driver_of(connection)):
            run_batch(connection, *first, "SET LOCAL client_encoding = 'UTF8'")
            first = []
        before: list[Statement] = [
            *first,
            "SAVEPOINT traspaso_lock",
            "SET LOCAL statement_timeout = 0",
            sql.SQL("SET LOCAL application_name = {}").format(sql.Literal(self.label)),
            sql.SQL("SET LOCAL idle_in_transaction_session_timeout = {}").format(
                sql.Literal(self.values["lost"])
            ),
            sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(self.values["lock_timeout"])),
        ]
        lock = sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(
            sql.SQL(", ").join(table.identifier for table in tables)
        )
        locked = [*before, lock, "RELEASE SAVEPOINT traspaso_lock"]
        answers, error = try_batch(connection, *locked, *then)
        if error is None:
            return True, answers[len(locked) :]
        if len(answers) != len(before):  # it wasn't the lock that failed
            raise error
        if error.sqlstate == LOCK_NOT_AVAILABLE:
            raise Transient(
                f"table {' or '.join(map(str, tables))} of {side} is being altered: its lock was not to be "
                f"had in {self.lock_timeout_seconds:g} s",
                side=side,
                condition="TableAltered",
                table=tables[0].name,
            ) from error
        if error.sqlstate not in NOT_LOCKABLE:
            raise error
        undone = ["ROLLBACK TO SAVEPOINT traspaso_lock", "RELEASE SAVEPOINT traspaso_lock"]
        return False, run_batch(connection, *undone, *then)[len(undone) :]

    def ask(self, silent: float) -> None:
        """Called while a side is silent. Once the work was given up, nothing is waited for any more."""
        if self._reason is not None:
            raise self._reason
        try:
            self._on_silence(silent)
        except BaseException as reason:
            self._reason = reason
            raise

    def shut(self, connection: Connection) -> None:
        """Gives the session back; or ends it, where it can't be rolled back or there is no time for that."""
        with self._lock:
            session = self._open.pop(connection, None)
            if session is not None:
                session.release()
        if session is None or connection.closed:
            return
        ask_while_waiting(session.driver, session.asked_before)
        if self._reason is None and not session.is_busy:
            give_back(connection)
            return
        if session.is_busy and session.side not in self._unreachable and not cancel(session.driver):
            self._unreachable.add(session.side)
        with suppress(Exception):
            connection.invalidate()
        connection.close()

    def shut_all(self, connections: Sequence[Connection]) -> None:
        """The same with several, side by side: each waits for an answer."""
        if len(connections) > 1:
            with ThreadPoolExecutor(len(connections)) as at_once:
                list(at_once.map(self.shut, connections))
        else:
            for connection in connections:
                self.shut(connection)

    def close(self) -> None:
        """Ends what is still open, and the thread."""
        self._over.set()
        self.shut_all(list(self._open))
        if self._thread is not None:
            self._thread.join(ANSWER_SECONDS)

    def _run(self) -> None:
        pause = self._every
        while not self._over.wait(pause):
            with self._lock:
                for session in self._open.values():
                    session.keep_alive()
                    self._give_up_if_wanted(session)
                pause = SOON if any(session.unanswered for session in self._open.values()) else self._every

    def _give_up_if_wanted(self, session: _Session) -> None:
        """The thread that owns the session can't ask: it waits for the answer too."""
        if session.unanswered > ANSWER_SECONDS:
            try:
                self.ask(session.unanswered)
            except BaseException:
                session.end()


def check_connection(engine: Engine, side: str) -> None:
    """Connects once, and lets go.

    Raises:
        DatabaseFailed: the side lets nobody in.
        EncodingUnknown: its answers are bytes that can't be read.
    """
    with failures_of(side):
        _connect(engine, side).close()


def _connect_in_thread(engine: Engine, side: str, on_silence: OnSilence) -> Connection:
    """A server that lets nobody in, or is one of several that don't answer, isn't waited for either."""
    return asking_while_waiting(
        lambda: _connect(engine, side),
        on_silence,
        every_seconds=PATIENCE_SECONDS,
        name="connect",
        too_late=Connection.close,
    )


def _connect(engine: Engine, side: str) -> Connection:
    """Raises EncodingUnknown where the side's answers are bytes that SQLAlchemy can't even begin with."""
    try:
        return engine.connect()
    except TypeError as error:
        raise EncodingUnknown(side) from error


class _Session:
    """One session, and the empty query that it has yet to answer."""

    def __init__(self, connection: Connection, side: str, on_silence: OnSilence) -> None:
        self.driver = driver = driver_of(connection)
        self.side = side
        self.asked_before = ask_while_waiting(driver, on_silence)
        self._sent: float | None = None

    @property
    def unanswered(self) -> float:
        """For how many seconds; zero where nothing was asked."""
        return 0.0 if self._sent is None else max(1e-9, time.monotonic() - self._sent)

    @property
    def is_busy(self) -> bool:
        return self.driver.info.transaction_status == TransactionStatus.ACTIVE

    def keep_alive(self) -> None:
        """Sends an empty query where the session is idle in a transaction and nobody uses it."""
        driver = self.driver
        if self._sent is None:
            if not self._is_idle or not driver.lock.acquire(blocking=False):
                return
            self._sent = time.monotonic()
            try:
                if not self._is_idle:
                    self._answered()
                    return
                driver.pgconn.send_query(b"")
            except psycopg.Error:
                self._answered()  # whoever uses it next finds out
                return
        self._read_answer(AT_ONCE)

    def release(self) -> None:
        """Leaves the session to whoever gives it back; without an answer it is closed."""
        until = time.monotonic() + ANSWER_SECONDS
        while self._sent is not None and time.monotonic() < until:
            self._read_answer(AT_ONCE)
        if self._sent is not None:
            self.end()

    def end(self) -> None:
        self.driver.close()
        self._answered()

    @property
    def _is_idle(self) -> bool:
        return self.driver.info.transaction_status == TransactionStatus.INTRANS

    def _read_answer(self, seconds: float) -> None:
        pgconn = self.driver.pgconn
        try:
            pgconn.flush()
            if not readable(pgconn.socket, seconds):
                return
            pgconn.consume_input()
            while not pgconn.is_busy():
                if pgconn.get_result() is None:
                    self._answered()
                    return
        except (psycopg.Error, OSError, ValueError):  # whoever uses it next finds out
            self._answered()

    def _answered(self) -> None:
        self._sent = None
        self.driver.lock.release()


def readable(place: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(place, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


# ------------------------------------------------------------------------------------------ bounded questions


class Aborted(Exception):
    """Somebody has called `Abort.now`."""


class Abort:
    """Ends bounded questions from another thread: what their servers do for them, and what comes after it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_over = False
        self._drivers: list[psycopg.Connection] = []

    def now(self) -> None:
        """Asks each server to end the statement; the next one isn't sent any more. Takes a moment."""
        with self._lock:
            self._is_over = True
            drivers = [*self._drivers]
        for driver in drivers:
            if driver.info.transaction_status == TransactionStatus.ACTIVE:
                cancel(driver)

    def check(self, silent: float = 0.0) -> None:
        """An `OnSilence`.

        Raises:
            Aborted: it is over.
        """
        if self._is_over:
            raise Aborted

    @contextmanager
    def watching(self, driver: psycopg.Connection) -> Iterator[None]:
        """Statements of this connection end too, from now on and until the end of the block."""
        with self._lock:
            self._drivers.append(driver)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._drivers.remove(driver)


class BoundedTransaction:
    """One read-only transaction of one side, whose statements the server ends after a time.

    READ COMMITTED: each statement sees what is there when its locks are taken, also after a table was
    rewritten. Use it as a context manager.
    """

    connection: Connection
    _isolation = "READ COMMITTED"
    _lock_timeout = 10.0

    def __init__(
        self,
        engine: Engine,
        side: str,
        label: str,
        timeout_seconds: float,
        *,
        statement_seconds: float | None = None,
        settings: str = "SELECT ",
        abort: Abort | None = None,
    ) -> None:
        """``label`` is the session's name. ``settings`` begins the statement that sets up the transaction.
        What ``abort`` ends raises `Aborted`.

        A server that is silent for much longer than ``timeout_seconds`` counts as lost. Each statement may
        take as long, or ``statement_seconds``.
        """
        self.side = side
        self._engine = engine
        self._settings = f"{settings}{statements.LOST}, set_config('statement_timeout', :timeout, true)"
        self._timeout = milliseconds(statement_seconds or timeout_seconds)
        self._abort = abort or Abort()
        self._lost_after = at_most(timeout_seconds + LATE_SECONDS)
        self._sessions = Sessions(label, on_silence=self._on_silence, lock_timeout_seconds=self._lock_timeout)
        self._watched = ExitStack()

    def __enter__(self) -> Self:
        with failures_of(self.side):
            try:
                self.connection = self._sessions.open(
                    self._engine, self.side, isolation=self._isolation, read_only=True
                )
                self._watched.enter_context(self._abort.watching(driver_of(self.connection)))
                self._begin()
            except BaseException:
                self._close()
                raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    def rows(self, statement: sql.Composable, seconds: float | None = None) -> list[Sequence[Any]] | None:
        """The rows; None where the timeout ended the statement. ``seconds`` sets another timeout.

        Raises:
            Aborted: it was ended by `Abort.now`.
        """
        self._abort.check()
        before: list[Statement] = ["SAVEPOINT traspaso_question"]
        if seconds is not None:
            before.append(
                with_values(self.connection, _STATEMENT_TIMEOUT, {"timeout": milliseconds(seconds)})
            )
        release: Statement = "RELEASE SAVEPOINT traspaso_question"
        with until_timeout(), failures_of(self.side):
            answers, error = try_batch(self.connection, *before, statement, release)
            if error is None:
                return answers[len(before)]
            if driver_of(self.connection).info.transaction_status == TransactionStatus.INERROR:
                run_batch(self.connection, "ROLLBACK TO SAVEPOINT traspaso_question", release)
            raise error
        self._abort.check()
        return None

    def ask(self, *statements: Statement, seconds: float) -> list[Rows]:
        """The rows of each of the statements, which are sent in one message; each may take ``seconds``.

        Raises:
            Transient: the timeout ended one. The transaction goes on, as after any error of a server's; see
                `until_timeout`.
            Aborted: it was ended by `Abort.now`.
        """
        self._abort.check()
        first: list[Statement] = ["SAVEPOINT traspaso_ask", _until(milliseconds(seconds))]
        last: list[Statement] = [_until(self._timeout), "RELEASE SAVEPOINT traspaso_ask"]
        with failures_of(self.side):
            answers, error = try_batch(self.connection, *first, *statements, *last)
            if error is None:
                return answers[len(first) : -len(last)]
            if driver_of(self.connection).info.transaction_status == TransactionStatus.INERROR:
                run_batch(
                    self.connection, "ROLLBACK TO SAVEPOINT traspaso_ask", "RELEASE SAVEPOINT traspaso_ask"
                )
            self._abort.check()
            raise error

    def _begin(self) -> None:
        settings = with_values(self.connection, self._settings, self._values)
        run_batch(self.connection, *begin_of(driver_of(self.connection)), settings)

    @property
    def _values(self) -> dict[str, str]:
        """What the transaction is set to; a short wait for a first lock isn't one for later ones."""
        lock_timeout = milliseconds(BoundedTransaction._lock_timeout)
        return {**self._sessions.values, "timeout": self._timeout, "lock_timeout": lock_timeout}

    def _on_silence(self, silent: float) -> None:
        self._abort.check()
        self._lost_after(silent)

    def _close(self) -> None:
        self._watched.close()
        self._sessions.close()


class BoundedMoment(BoundedTransaction):
    """The same of one moment: REPEATABLE READ, its snapshot taken under a reader's lock on the tables.

    ``as_of`` is when that was; ``is_locked`` is False where the server doesn't lock one. ``answers``
    has the rows of what was ``asked`` together with it.
    """

    as_of: datetime
    is_locked: bool
    answers: list[Rows]
    _isolation = "REPEATABLE READ"

    def __init__(
        self,
        engine: Engine,
        side: str,
        label: str,
        timeout_seconds: float,
        *,
        tables: Sequence[TableName],
        asked: Sequence[Statement],
        lock_seconds: float,
        settings: str = "SELECT ",
        abort: Abort | None = None,
    ) -> None:
        """As of `BoundedTransaction`; the lock is waited for ``lock_seconds``.

        Raises, as a context manager:
            Transient: somebody alters a table.
        """
        self._lock_timeout = lock_seconds
        self._tables = tables
        self._asked = asked
        super().__init__(engine, side, label, timeout_seconds, settings=settings, abort=abort)

    def _begin(self) -> None:
        settings = f"{self._settings}, pg_catalog.clock_timestamp() AS as_of"
        then = [with_values(self.connection, settings, self._values), *self._asked]
        self.is_locked, answers = self._sessions.lock_for_reading(
            self.connection, self.side, self._tables, [statements.BEGIN_MOMENT], then
        )
        [row], *self.answers = answers
        self.as_of = row.as_of


def _until(timeout: str) -> sql.Composable:
    return sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(timeout))


@contextmanager
def until_timeout() -> Iterator[None]:
    """Goes on after the block where a statement in it ran into its timeout."""
    try:
        yield
    except Transient as error:
        if error.sqlstate != QUERY_CANCELED:
            raise

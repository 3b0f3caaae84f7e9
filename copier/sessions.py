"""All sessions of one operation, on both sides: they carry its name, outlive its pauses, and end with it.

A worker may be gone without a goodbye: killed behind a line that is dead, or without power. Its sessions
would hold their locks, and prod's vacuum, for as long as the server believes in them. So each transaction
tells its server to end it when nothing is heard for ``lost_seconds``: in the middle of a transaction, or
of the line itself. Sessions that have to wait between two statements are heard all the same: one thread
sends each of them an empty query in time. That takes no snapshot, and is not sent to a session that works.
"""

from __future__ import annotations

import select
import threading
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, text

from copier import settings
from copier.errors import Side
from copier.interruptible import PATIENCE_SECONDS, Waiting, ask_while_waiting, cancel
from copier.names import TableName
from copier.session import connected, driver_of, lock_for_reading, shut

#: How soon a server ends a session of ours in which it hears nothing, in seconds.
LOST_SECONDS = 60.0
#: How long an answer to an empty query may take before other sessions are seen to, in seconds.
AT_ONCE, SOON = 0.02, 0.05
#: How long one that is still missing is waited for where its session is given back, in seconds.
ANSWER_SECONDS = 1.0

TOLD = text(f"SELECT {settings.LOST}")


class Sessions:
    """Opens sessions and gives them back; a thread keeps those alive that are idle in a transaction.

    ``label`` is their name on both servers. ``waiting`` is asked in each of their waits.
    """

    def __init__(
        self,
        label: str,
        *,
        waiting: Waiting = lambda silent: None,
        lock_timeout_seconds: float = 10.0,
        lost_seconds: float = LOST_SECONDS,
    ) -> None:
        self.label = label
        self.lock_timeout_seconds = lock_timeout_seconds
        #: The parameters of `settings.LOST`, which every transaction sets for itself.
        self.values = settings.lost_after(lost_seconds, label, lock_timeout_seconds)
        self._waiting = waiting
        self._reason: BaseException | None = None
        self._every = lost_seconds / 4
        self._kept: dict[Connection, _Kept] = {}
        self._deaf: set[Side] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def open(
        self, engine: Engine, side: Side, *, isolation: str = "READ COMMITTED", read_only: bool = False
    ) -> Connection:
        """A session whose transactions are so, and whose waits are asked about.

        Raises:
            EncodingUnknown: the side's answers are bytes that can't be read.
        """
        connection = _connected(engine, side, self.ask)
        kept = _Kept(connection, side, self.ask)
        options = {"postgresql_readonly": True} if read_only else {}
        connection = connection.execution_options(isolation_level=isolation, **options)
        with self._lock:
            self._kept[connection] = kept
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(target=self._run, name="sessions", daemon=True)
                self._thread.start()
        return connection

    def tell(self, connection: Connection) -> None:
        """What has no other settings says at least whose it is, and when it counts as lost."""
        connection.execute(TOLD, self.values)

    def lock_for_reading(self, connection: Connection, side: Side, table: TableName) -> bool:
        """As `copier.session.lock_for_reading`, with the name and the limits of these sessions."""
        return lock_for_reading(
            connection,
            side,
            table,
            label=self.label,
            lost_after=self.values["lost"],
            lock_timeout_seconds=self.lock_timeout_seconds,
        )

    def ask(self, silent: float) -> None:
        """Called while a side is silent. Once the work was given up, nothing is waited for any more."""
        if self._reason is not None:
            raise self._reason
        try:
            self._waiting(silent)
        except BaseException as reason:
            self._reason = reason
            raise

    def shut(self, connection: Connection) -> None:
        """Gives the session back; or ends it, where it can't be rolled back or there is no time for that."""
        with self._lock:
            kept = self._kept.pop(connection, None)
            if kept is not None:
                kept.let_go()
        if kept is None or connection.closed:
            return
        ask_while_waiting(kept.driver, kept.before)
        if self._reason is None and not kept.is_busy:
            shut(connection)
            return
        if kept.is_busy and kept.side not in self._deaf and not cancel(kept.driver):
            self._deaf.add(kept.side)
        with suppress(Exception):
            connection.invalidate()
        connection.close()

    def close(self) -> None:
        """Ends what is still open, and the thread."""
        self._over.set()
        for connection in list(self._kept):
            self.shut(connection)
        if self._thread is not None:
            self._thread.join(ANSWER_SECONDS)

    def _run(self) -> None:
        pause = self._every
        while not self._over.wait(pause):
            with self._lock:
                for kept in self._kept.values():
                    kept.beat()
                    self._give_up_if_wanted(kept)
                pause = SOON if any(kept.unanswered for kept in self._kept.values()) else self._every

    def _give_up_if_wanted(self, kept: _Kept) -> None:
        """The thread that owns the session can't ask: it waits for the answer too."""
        if kept.unanswered > ANSWER_SECONDS:
            try:
                self.ask(kept.unanswered)
            except BaseException:
                kept.end()


def _connected(engine: Engine, side: Side, waiting: Waiting) -> Connection:
    """A server that lets nobody in, or is one of several that don't answer, isn't waited for either."""
    box: Future[Connection] = Future()

    def connect() -> None:
        try:
            connection = connected(engine, side)
        except BaseException as error:
            with suppress(InvalidStateError):
                box.set_exception(error)
            return
        try:
            box.set_result(connection)
        except InvalidStateError:  # nobody waits for it any more
            connection.close()

    began = time.monotonic()
    threading.Thread(target=connect, name="connect", daemon=True).start()
    while True:
        try:
            return box.result(timeout=PATIENCE_SECONDS)
        except TimeoutError:
            if box.done():
                return box.result()
            try:
                waiting(time.monotonic() - began)
            except BaseException:
                if not box.cancel() and box.exception() is None:
                    box.result().close()
                raise


class _Kept:
    """One session, and the empty query that it has yet to answer."""

    def __init__(self, connection: Connection, side: Side, waiting: Waiting) -> None:
        self.driver = driver = driver_of(connection)
        self.side: Side = side
        self.before = ask_while_waiting(driver, waiting)
        self._sent: float | None = None

    @property
    def unanswered(self) -> float:
        """For how many seconds; zero where nothing was asked."""
        return 0.0 if self._sent is None else max(1e-9, time.monotonic() - self._sent)

    @property
    def is_busy(self) -> bool:
        return self.driver.info.transaction_status == TransactionStatus.ACTIVE

    def beat(self) -> None:
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
        self._hear(AT_ONCE)

    def let_go(self) -> None:
        """Leaves the session to whoever gives it back; without an answer it is closed."""
        until = time.monotonic() + ANSWER_SECONDS
        while self._sent is not None and time.monotonic() < until:
            self._hear(AT_ONCE)
        if self._sent is not None:
            self.end()

    def end(self) -> None:
        self.driver.close()
        self._answered()

    @property
    def _is_idle(self) -> bool:
        return self.driver.info.transaction_status == TransactionStatus.INTRANS

    def _hear(self, seconds: float) -> None:
        pgconn = self.driver.pgconn
        try:
            pgconn.flush()
            if not _readable(pgconn.socket, seconds):
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


def _readable(place: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(place, select.POLLIN)
    return bool(poll.poll(seconds * 1000))

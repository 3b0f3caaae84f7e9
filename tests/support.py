"""What the fixtures hand to the tests: two clusters, fresh databases, a clock of its own; and how to wait."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from select import select
from typing import Any, TypeVar

import psycopg

from dev.postgres import PostgresServer

T = TypeVar("T")

_NUMBERS = itertools.count(1)
#: What depends on its session, or changes it, has one of its own; so has what looks at the sessions of all.
NEEDS_OWN_SESSION = re.compile(
    r"(?:\A|;)\s*(?:SET|RESET|SHOW|DO|BEGIN|START|LOCK|LOAD|LISTEN|PREPARE|CREATE\s+TEMP)\b"
    r"|ALTER\s+(?:DATABASE|ROLE|SYSTEM)\b"
    r"|current_setting|set_config|advisory|pg_temp|backend|pg_stat|pg_locks|pg_cancel|session",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Database:
    """A database of one test. Both methods commit what they did."""

    server: PostgresServer
    name: str
    #: Sessions that wait to be used again: a server takes longer to begin one than for most statements. Where
    #: it is None, each call has a session of its own.
    idle: list[psycopg.Connection] | None = field(default=None, repr=False, compare=False)

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def execute(self, statements: str) -> None:
        """One statement, or several with semicolons between them."""
        with self._session(statements) as session:
            session.execute(statements.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._session(query) as session:
            return session.execute(query.encode()).fetchall()

    def close(self) -> None:
        """Ends the sessions that wait."""
        while self.idle:
            self.idle.pop().close()

    def _alone(self) -> psycopg.Connection:
        """A session of its own, which finds none of those that waited."""
        waited = [session.info.backend_pid for session in self.idle or []]
        self.close()
        session = psycopg.connect(self.url)
        while (
            waited and session.execute("SELECT FROM pg_stat_activity WHERE pid = ANY(%s)", [waited]).rowcount
        ):
            session.rollback()
        session.rollback()
        return session

    @contextmanager
    def _session(self, statements: str) -> Iterator[psycopg.Connection]:
        if self.idle is None or NEEDS_OWN_SESSION.search(statements):
            with self._alone() as session:
                yield session
            return
        session = self._waiting() or psycopg.connect(self.url, autocommit=True)
        try:
            yield session
        except BaseException:
            session.close()
            raise
        self.idle.append(session)

    def _waiting(self) -> psycopg.Connection | None:
        """One that the server hasn't ended: it would have said so."""
        while self.idle:
            session = self.idle.pop()
            if not select([session], [], [], 0)[0]:
                return session
            session.close()
        return None


class Databases:
    """Databases of one cluster, each like the ``template``, which nobody is connected to; empty without one.

    The next one is made, and the last one dropped, while a test runs.
    """

    def __init__(self, server: PostgresServer, template: str | None = None) -> None:
        self._server = server
        self._template = template or f"blank_{next(_NUMBERS)}"
        self._helper = ThreadPoolExecutor(max_workers=1)
        self._admin = self._helper.submit(psycopg.connect, server.url(), autocommit=True)
        if template is None:
            self._helper.submit(self._make_blank).result()
        self._next = self._helper.submit(self._create)
        self._drops: list[Future[None]] = []

    def take(self) -> Database:
        ready, self._next = self._next, self._helper.submit(self._create)
        return ready.result()

    def give_back(self, database: Database) -> None:
        self._drops.append(self._helper.submit(self._drop, database))

    def settle(self) -> None:
        """Returns when no database is being made or dropped any more; the next `take` begins anew."""
        self._helper.submit(int).result()

    def close(self) -> None:
        self._helper.shutdown(wait=True)
        self._admin.result().close()
        for drop in self._drops:
            drop.result()

    # -------------------------------------------------------------------------- in the helper's thread

    def _make_blank(self) -> None:
        self._server.create_database(self._template, template="template0")
        psycopg.connect(self._server.url(self._template)).close()  # leaves files that spare others a search

    def _create(self) -> Database:
        name = f"test_{next(_NUMBERS)}"
        self._server.create_database(name, template=self._template, over=self._admin.result())
        return Database(self._server, name, [])

    def _drop(self, database: Database) -> None:
        database.close()
        self._server.drop_database(database.name, over=self._admin.result())


def until(
    look: Callable[[], T], timeout: float = 60.0, what: str = "what was waited for", *, every: float = 0.03
) -> T:
    """The first truthy result of `look`. The timeout is for a busy machine, and no promise of the product.

    It looks ``every`` so many seconds; what is so for a moment only is found by looking all the time, with 0.
    """
    deadline = time.monotonic() + timeout
    while not (result := look()):
        assert time.monotonic() < deadline, f"{what} did not come about in {timeout:g} s"
        time.sleep(every)
    return result


@dataclass(frozen=True)
class Servers:
    """Both clusters, up for the whole session; a test that stops or crashes one must bring up its own."""

    prod: PostgresServer
    consulta: PostgresServer


class Clock:
    """Time, in seconds, that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

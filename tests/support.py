"""What the fixtures hand to the tests: two clusters, fresh databases on them, and a clock of its own."""

from __future__ import annotations

import itertools
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg

from dev.postgres import PostgresServer


@dataclass(frozen=True)
class Database:
    """A database of one test. Both methods use a connection of their own and commit."""

    server: PostgresServer
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def execute(self, statements: str) -> None:
        """One statement, or several with semicolons between them."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statements.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()


class Databases:
    """Empty databases of one cluster. The next one is made, and the last one dropped, while a test runs."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._helper = ThreadPoolExecutor(max_workers=1)
        self._next = self._helper.submit(self._create)
        self._drops: list[Future[None]] = []

    def take(self) -> Database:
        ready, self._next = self._next, self._helper.submit(self._create)
        return ready.result()

    def give_back(self, database: Database) -> None:
        self._drops.append(self._helper.submit(database.server.drop_database, database.name))

    def settle(self) -> None:
        """Returns when no database is being made or dropped any more; the next `take` begins anew."""
        self._helper.submit(int).result()

    def close(self) -> None:
        self._helper.shutdown(wait=True)
        for drop in self._drops:
            drop.result()

    def _create(self) -> Database:
        name = f"test_{next(self._numbers)}"
        self._server.create_database(name, template="template0")
        return Database(self._server, name)


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

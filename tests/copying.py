"""Both sides of a copy for the tests of the engine, and an oracle that knows nothing of the engine.

The oracle reads both tables by COPY in the order of a key, as text and in PostgreSQL's binary format, and
compares what the servers sent. It never asks for a digest.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

import copier
from bot.config import SIDES
from bot.jobs.transactions import ask_before_use
from copier import Baseline, Chunk, Copy, CopyResult, CopySpec, Counts, Limits, Plan, Proof, TableName
from tests.support import Database

ITEMS = """
    CREATE TABLE items (
        id bigint PRIMARY KEY,
        liquidation_id bigint NOT NULL,
        amount numeric,
        note text
    );
    CREATE INDEX items_liquidation_id_id_idx ON items (liquidation_id, id);
"""
preview = functools.partial(copier.preview, names=SIDES)
search = functools.partial(copier.search, names=SIDES)
SESSION = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3"


@functools.lru_cache(64)
def engine(url: str) -> Engine:
    """As bot/app.py makes it, but that a refused connection is noticed sooner. One for each URL, as there: it
    asks the server what it is, and compiles its statements, once. It keeps no connection.
    """
    return _engine(url, poolclass=NullPool)


def _engine(url: str, **pool: Any) -> Engine:
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        connect_args={"connect_timeout": 5, "prepare_threshold": None, "application_name": "traspaso"},
        **pool,
    )


def spec(table: str = "items", *, column: str = "liquidation_id", key: tuple[str, ...] = ()) -> CopySpec:
    name = TableName.parse(table)
    return CopySpec("test", name, name, column, key)


@dataclass(frozen=True)
class Done:
    """A copy that went through."""

    plan: Plan
    chunks: list[Chunk]
    proof: Proof

    @property
    def outcomes(self) -> list[str]:
        return [chunk.outcome for chunk in self.chunks]

    @property
    def counts(self) -> Counts:
        return sum((chunk.counts for chunk in self.chunks), Counts())


@dataclass(frozen=True)
class Sides:
    """An empty database on either side. `prod_url` and `consulta_url` may name another role or a proxy."""

    prod: Database
    consulta: Database
    #: Engines over connections that are used again, by the URLs of both sides; of no other URL.
    kept: Mapping[str, Engine] = field(default_factory=dict, compare=False)

    @contextmanager
    def keeping(self) -> Iterator[Sides]:
        """The same sides, for many copies: sessions are kept, as bot/app.py keeps those of consulta.

        A server reads its system catalog anew for each session, which takes it longer than a small copy.
        """
        kept = {url: _engine(url, pool_size=5, max_overflow=-1) for url in (self.prod.url, self.consulta.url)}
        for each in kept.values():
            ask_before_use(each)
        yield replace(self, kept=kept)
        for each in kept.values():
            each.dispose()

    def engine(self, url: str) -> Engine:
        return self.kept.get(url) or engine(url)

    def both(self, statements: str) -> None:
        self.prod.execute(statements)
        self.consulta.execute(statements)

    @contextmanager
    def open(
        self,
        spec: CopySpec,
        liquidation: int = 42,
        *,
        prod_url: str | None = None,
        consulta_url: str | None = None,
        on_silence: Callable[[float], None] = lambda silent: None,
        sleep: Callable[[float], object] = time.sleep,
        throttled: Callable[[float | None], None] = lambda lag_mb: None,
        baseline: Baseline | None = None,
        **limits: Any,
    ) -> Iterator[Copy]:
        """A copy in one lane and of chunks that a slow moment doesn't shrink, unless asked otherwise."""
        with Copy(
            self.engine(prod_url or self.prod.url),
            self.engine(consulta_url or self.consulta.url),
            spec,
            liquidation,
            names=SIDES,
            limits=Limits(**{"parallel": 1, "chunk_seconds": 60.0, **limits}),
            on_silence=on_silence,
            sleep=sleep,
            throttled=throttled,
            baseline=baseline,
        ) as copy:
            yield copy

    def copy(
        self,
        spec: CopySpec,
        liquidation: int = 42,
        *,
        record: Callable[[Connection, Chunk], None] = lambda connection, chunk: None,
        **options: Any,
    ) -> Done:
        with self.open(spec, liquidation, **options) as copy:
            result = copy.run(record)
            return Done(result.plan, list(result.chunks), copy.verify(result))

    def copy_proven(self, spec: CopySpec, liquidation: int = 42, **options: Any) -> Done:
        done = self.copy(spec, liquidation, **options)
        assert done.proof.holds, done.proof.reasons(SIDES)
        return done

    def assert_same(
        self,
        table: str = "items",
        where: str = "liquidation_id = 42",
        order: str = "id",
        *,
        columns: str = "*",
        formats: tuple[str, ...] = ("text", "binary"),
    ) -> None:
        """Both sides hold the same rows, byte by byte."""
        with ThreadPoolExecutor(2) as pool:
            for form in formats:
                ours, theirs = (
                    pool.submit(stream, side.url, table, where, order, columns, form)
                    for side in (self.prod, self.consulta)
                )
                assert theirs.result() == ours.result(), f"the sides differ as {form}"

    def others(self, table: str = "items", where: str = "liquidation_id <> 42", order: str = "id") -> bytes:
        """Consulta's other rows, with the place and the transaction that each was written in."""
        return stream(self.consulta.url, table, where, order, "ctid, xmin, *", "text")

    def wal_of_consulta(self) -> int:
        return int(self.consulta.rows("SELECT pg_current_wal_insert_lsn() - '0/0'")[0][0])


class Begun:
    """A run in another thread, which waits after its first chunk until it may `finish`."""

    def __init__(
        self, copy: Copy, record: Callable[[Connection, Chunk], None] = lambda connection, chunk: None
    ) -> None:
        """Returns when the first chunk is in place."""
        self._first, self._go_on = threading.Event(), threading.Event()
        pool = ThreadPoolExecutor(1)
        self._result = pool.submit(copy.run, record, on_chunk=self._wait)
        pool.shutdown(wait=False)
        self._result.add_done_callback(lambda result: self._first.set())
        assert self._first.wait(30)

    def _wait(self, chunk: Chunk) -> None:
        self._first.set()
        assert self._go_on.wait(30)

    def finish(self) -> CopyResult:
        """The result, or what the run raises."""
        self._go_on.set()
        return self._result.result(60)


def stream(url: str, table: str, where: str, order: str, columns: str = "*", form: str = "text") -> bytes:
    """What the server sends for the table's rows in this order."""
    statement = (
        f"COPY (SELECT {columns} FROM {table} WHERE {where} ORDER BY {order}) TO STDOUT (FORMAT {form})"
    )
    with (
        psycopg.connect(url, options=SESSION, client_encoding="UTF8") as connection,
        connection.cursor() as cursor,
        cursor.copy(sql.SQL(statement)) as copy,
    ):
        return b"".join(bytes(block) for block in copy)


def sessions_end(database: Database, timeout_seconds: float = 5.0) -> bool:
    """Whether the last other session of the database ends in this time. A server needs a moment for it."""
    others = """
        SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    """
    deadline = time.monotonic() + timeout_seconds
    while database.rows(others) != [(0,)]:
        if time.monotonic() > deadline:
            return False
    return True

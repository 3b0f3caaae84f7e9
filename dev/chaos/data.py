"""The data of a run: tables, rows of every kind on both sides, and the people who write in prod meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from dev.compare import SESSION

#: Stands in each row, and may stand nowhere else. Plain letters, so that no way of writing hides it.
CANARY = "sueldo-de-Nunez-4f1c"
#: Part of the URLs of both databases, and nowhere else.
PASSWORD = "hunter2-very-secret"

COLUMNS = "id, liquidation_id, code, description, amount, extra, changed_at"
TABLES = """
CREATE TABLE items (
    id bigint PRIMARY KEY,
    liquidation_id bigint NOT NULL,
    code text NOT NULL,
    description text,
    amount numeric(14, 2),
    extra jsonb,
    changed_at timestamptz NOT NULL
);
CREATE INDEX ON items (liquidation_id, id);
CREATE TABLE bystanders (id int PRIMARY KEY, words text);
INSERT INTO bystanders SELECT g, 'stays ' || g FROM generate_series(1, 50) g;
"""
ONLY_PROD = """
CREATE TABLE liquidations (id bigint PRIMARY KEY, name text NOT NULL, period date NOT NULL);
CREATE TABLE history (tx xid8 PRIMARY KEY DEFAULT pg_current_xact_id(), begun timestamptz NOT NULL);
"""
EMPTY = "TRUNCATE items"

#: Characters that break careless copies.
ODD = """ARRAY['', E'tab\\there',
     E'line\\nbreak\\r\\n', E'back\\\\slash \\\\N \\\\.', 'ñandú ¿¡ 日本語 👩‍👩‍👧', '"''$$%%s']"""
ROWS = f"""
INSERT INTO items
SELECT %(base)s::bigint + g, %(liquidation)s, 'C' || g %% 40,
    CASE WHEN g %% 17 = 0 THEN NULL ELSE '{CANARY} ' || g || ({ODD})[1 + g %% 6] END,
    CASE WHEN g %% 13 = 0 THEN 'NaN' ELSE (g * 7919 %% 1000003)::numeric / 100 END,
    CASE WHEN g %% 11 = 0 THEN NULL ELSE jsonb_build_object('nota', '{CANARY}', 'n', g) END,
    timestamptz '2026-10-01 00:00Z' + g * interval '1.000001 s'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS g
"""

#: How far the ids of a liquidation's own rows, of its neighbour's and of surplus ones lie apart.
SPAN, NEIGHBOUR, SURPLUS = 1_000_000, 400_000, 800_000

Lines = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Shape:
    """What is there before a run: rows in prod, and in what state consulta holds them."""

    rows: int
    held: str  # "nothing", "all", "stale", "moved"
    writes_per_second: float


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The liquidation of a run, and another one whose rows come and go between the two."""

    liquidation: int

    @property
    def other(self) -> int:
        return self.liquidation + 1

    @property
    def base(self) -> int:
        return self.liquidation * SPAN


def seed(prod: psycopg.Connection, consulta: psycopg.Connection, numbers: RowCounts, shape: Shape) -> None:
    """Both sides as they are when somebody asks for the copy."""
    for side in (prod, consulta):
        side.execute(EMPTY)
    prod.execute("TRUNCATE history, liquidations")
    prod.execute(
        "INSERT INTO liquidations VALUES (%s, %s, '2026-10-01'), (%s, 'otra', '2026-10-01')",
        [numbers.liquidation, f"Liquidación {numbers.liquidation}", numbers.other],
    )
    own = {"base": numbers.base, "liquidation": numbers.liquidation}
    theirs = {"base": numbers.base + NEIGHBOUR, "liquidation": numbers.other, "first": 1, "last": 300}
    prod.execute(ROWS, {**own, "first": 1, "last": shape.rows})
    prod.execute(ROWS, theirs)
    consulta.execute(ROWS, theirs)
    if shape.held == "nothing":
        return
    consulta.execute(ROWS, {**own, "first": 1, "last": shape.rows})
    if shape.held == "all":
        return
    consulta.execute("DELETE FROM items WHERE liquidation_id = %s AND id %% 5 = 0", [numbers.liquidation])
    consulta.execute(
        "UPDATE items SET amount = 1, description = %s WHERE liquidation_id = %s AND id %% 5 = 1",
        [f"{CANARY} old", numbers.liquidation],
    )
    surplus = max(1, shape.rows // 20)
    consulta.execute(ROWS, {**own, "base": numbers.base + SURPLUS, "first": 1, "last": surplus})
    if shape.held == "moved":
        consulta.execute(
            "UPDATE items SET liquidation_id = %s WHERE liquidation_id = %s AND id %% 5 = 2",
            [numbers.other, numbers.liquidation],
        )


def lines(side: psycopg.Connection, where: str = "true") -> Lines:
    """The rows as text by key, in whichever transaction the connection is."""
    statement = f"COPY (SELECT {COLUMNS} FROM items WHERE {where}) TO STDOUT"
    found: Lines = {}
    with side.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in copy:
            line = bytes(row)
            found[int(line.split(b"\t", 1)[0])] = line
    return found


def liquidation_of(line: bytes) -> int:
    return int(line.split(b"\t", 2)[1])


# ------------------------------------------------------------------------------------------------- the truth


@dataclass(frozen=True, slots=True)
class Truth:
    """What prod held at a snapshot: the rows, which writers' transactions it sees, when it was read."""

    rows: Lines
    seen: frozenset[int]
    read_at: datetime


def truth_at(prod_url: str, snapshot: str, liquidation: int) -> Truth:
    """Reads at an exported snapshot, in a session of its own, with none of the product's code."""
    with psycopg.connect(prod_url, options=SESSION, client_encoding="UTF8") as prod:
        prod.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        prod.execute(psycopg.sql.SQL("SET TRANSACTION SNAPSHOT {}").format(psycopg.sql.Literal(snapshot)))
        rows = lines(prod, f"liquidation_id = {liquidation}")
        seen = frozenset(int(str(tx)) for (tx,) in prod.execute("SELECT tx::text FROM history"))
        return Truth(rows, seen, datetime.now(UTC))


# ----------------------------------------------------------------------------------------------- the writers


@dataclass(frozen=True, slots=True)
class Written:
    """A writer's transaction: when it began, and when it was known to be committed, if it was."""

    tx: int
    begun: datetime
    committed: datetime | None


@dataclass
class Writer:
    """Somebody who works in prod all the while: rows come, change, go, and move between liquidations."""

    url: Callable[[], str]
    numbers: RowCounts
    shape: Shape
    rng: random.Random
    written: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._next = SURPLUS // 2 + self.rng.randrange(1000) * 10

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with psycopg.connect(self.url(), options=SESSION) as prod:
                    prod.execute("SET lock_timeout = '2s'")
                    prod.commit()
                    while not self._over.wait(self.rng.expovariate(self.shape.writes_per_second)):
                        self._write(prod)
            except psycopg.Error:
                self._over.wait(0.1)

    def _write(self, prod: psycopg.Connection) -> None:
        row = prod.execute(
            "INSERT INTO history (begun) VALUES (clock_timestamp()) RETURNING tx::text, begun"
        ).fetchone()
        assert row is not None
        tx, begun = int(row[0]), row[1]
        committed = None
        try:
            for statement, parameters in self._work():
                prod.execute(statement.encode(), parameters)
            prod.commit()
            committed = datetime.now(UTC)
        except psycopg.errors.LockNotAvailable:
            prod.rollback()
            return
        finally:
            self.written.append(Written(tx, begun, committed))

    def _work(self) -> Iterator[tuple[str, list[object]]]:
        """A few statements of one transaction; about as many rows come as go."""
        rng, liquidation = self.rng, self.numbers.liquidation
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            key = self.numbers.base + rng.randrange(1, self.shape.rows + 1)
            match rng.choice(["update", "update", "insert", "delete", "move", "back"]):
                case "update":
                    yield (
                        "UPDATE items SET amount = %s, changed_at = clock_timestamp() WHERE id = %s",
                        [
                            rng.randrange(10**6),
                            key,
                        ],
                    )
                case "insert":
                    self._next += 1
                    yield (
                        "INSERT INTO items VALUES (%s, %s, 'new', %s, %s, NULL, clock_timestamp())",
                        [self.numbers.base + self._next, liquidation, f"{CANARY} new\t", rng.randrange(99)],
                    )
                case "delete":
                    yield "DELETE FROM items WHERE id = %s AND liquidation_id = %s", [key, liquidation]
                case "move":
                    yield "UPDATE items SET liquidation_id = %s WHERE id = %s", [self.numbers.other, key]
                case _:
                    neighbour = self.numbers.base + NEIGHBOUR + rng.randrange(1, 301)
                    yield "UPDATE items SET liquidation_id = %s WHERE id = %s", [liquidation, neighbour]

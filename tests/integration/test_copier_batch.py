"""A chunk's commit and the begin of the next one travel together: nothing of what each guarantees changes.

So does the look at what a chunk has left in consulta, which the proof at the end then need not repeat.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from psycopg.sql import Composable
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, select

from bot.config import SIDES
from copier import Chunk, Proof
from copier.batch import Rows, literal, run_batch
from copier.errors import DatabaseFailed, Transient
from copier.model import Written
from dev.proxy import Proxy
from tests.copying import ITEMS, Sides, engine, sessions_end, spec

ROWS, CHUNK = 600, 20
LEDGER = "CREATE TABLE ledger (number int PRIMARY KEY CHECK (number <> 0), low bigint, high bigint, rows int)"
LANES = pytest.mark.parametrize("lanes", [1, 3])


class Stale(Exception):
    """What it means that a line was refused."""


class Lines:
    """A ledger that a table in consulta is. The line of chunk ``refuse`` is refused."""

    def __init__(self, refuse: int | None = None) -> None:
        self.refuse = refuse
        self.known: list[int] = []

    def line(self, connection: Connection, chunk: Chunk) -> Composable:
        low, high = (
            (None if bound is None else int(bound[0])) for bound in (chunk.range.lower, chunk.range.upper)
        )
        number = 0 if chunk.range.number == self.refuse else chunk.range.number
        return sql.SQL("INSERT INTO ledger VALUES ({}, {}, {}, {}) RETURNING number").format(
            *map(sql.Literal, (number, low, high, chunk.rows))
        )

    def written(self, chunk: Chunk, rows: Rows) -> None:
        assert [tuple(row) for row in rows] == [(chunk.range.number,)]
        self.known.append(chunk.range.number)

    def refused(self, error: psycopg.Error) -> BaseException | None:
        return Stale() if error.diag.table_name == "ledger" else None


@pytest.fixture
def empty(sides: Sides) -> Sides:
    """Thirty chunks in prod, none of their rows in consulta, and somebody else's row there."""
    sides.both(ITEMS)
    sides.prod.execute(f"""
        INSERT INTO items SELECT g, 42, g, repeat(md5(g::text), 20) FROM generate_series(1, {ROWS}) g
    """)
    sides.consulta.execute(f"INSERT INTO items VALUES (0, 7, 0, 'other'); {LEDGER}")
    return sides


def test_a_statement_that_was_sent_before_is_sent_with_its_own_values(sides: Sides) -> None:
    shared = Table("names", MetaData(), Column("id", BigInteger), Column("name", Text))
    connections = [
        engine(sides.consulta.url).execution_options(schema_translate_map={None: schema}).connect()
        for schema in ("one", "two")
    ]
    sides.consulta.execute("".join(
        f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.names AS "
        f"SELECT g AS id, '{schema} %' || g AS name FROM generate_series(1, 9) g;"
        for schema in ("one", "two")
    ))  # fmt: skip
    for wanted in ([1], [2, 3, 4], [5], []):
        for schema, connection in zip(("one", "two"), connections, strict=True):
            asked = select(shared.c.name).where(shared.c.id.in_(wanted), shared.c.name.like(f"{schema} %"))
            [rows] = run_batch(connection, literal(connection, asked.order_by(shared.c.id)))
            assert [row.name for row in rows] == [f"{schema} %{number}" for number in wanted]
    for connection in connections:
        connection.close()


def assert_rows_and_lines_agree(sides: Sides) -> list[int]:
    """A row is in consulta where a line of the ledger says so, and nowhere else. Gives the lines' numbers."""
    found = sides.consulta.rows(f"""
        SELECT g, i.id IS NOT NULL, l.number IS NOT NULL
          FROM generate_series(1, {ROWS}) g LEFT JOIN items i ON i.id = g AND i.liquidation_id = 42
          LEFT JOIN ledger l ON (l.low IS NULL OR g > l.low) AND (l.high IS NULL OR g <= l.high)
    """)
    assert len(found) == ROWS
    assert [key for key, is_there, is_recorded in found if is_there != is_recorded] == []
    assert sides.consulta.rows("SELECT id, note FROM items WHERE liquidation_id <> 42") == [(0, "other")]
    return [number for (number,) in sides.consulta.rows("SELECT number FROM ledger ORDER BY number")]


def ends_right(sides: Sides, lanes: int) -> None:
    sides.consulta.execute("TRUNCATE ledger")
    sides.copy_proven(spec(), chunk_rows=CHUNK, parallel=lanes)
    sides.assert_same()


@LANES
def test_every_chunk_has_its_line_and_is_told_once(empty: Sides, lanes: int) -> None:
    lines, told = Lines(), []
    with empty.open(spec(), chunk_rows=CHUNK, parallel=lanes) as copy:
        result = copy.run(lines, on_chunk=lambda chunk: told.append(chunk.range.number))
        assert copy.verify(result).holds
    empty.assert_same()
    assert assert_rows_and_lines_agree(empty) == sorted(lines.known) == sorted(told) == list(range(1, 31))
    assert [chunk.rows for chunk in result.chunks] == [CHUNK] * 30


@LANES
@pytest.mark.parametrize("refuse", [1, 7, 30])
def test_a_line_that_is_refused_leaves_nothing_of_its_chunk_and_the_next(
    empty: Sides, lanes: int, refuse: int
) -> None:
    lines = Lines(refuse)
    with empty.open(spec(), chunk_rows=CHUNK, parallel=lanes) as copy:
        with pytest.raises(Stale):
            copy.run(lines)
        there = assert_rows_and_lines_agree(empty)
    assert refuse not in there
    assert there == sorted(lines.known)
    if lanes == 1:
        assert there == list(range(1, refuse))
    assert sessions_end(empty.prod)
    assert sessions_end(empty.consulta)
    ends_right(empty, lanes)


@LANES
def test_a_chunk_that_the_commit_refuses_leaves_nothing_of_it_and_the_next(empty: Sides, lanes: int) -> None:
    empty.consulta.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.id = 130 THEN RAISE check_violation; END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse()
    """)
    lines = Lines()
    with empty.open(spec(), chunk_rows=CHUNK, parallel=lanes) as copy:
        with pytest.raises(DatabaseFailed) as failed:
            copy.run(lines)
        assert failed.value.sqlstate == "23514"
        there = assert_rows_and_lines_agree(empty)
    assert 7 not in there
    assert there == sorted(lines.known)
    empty.consulta.execute("DROP TRIGGER late ON items")
    ends_right(empty, lanes)


@LANES
def test_a_row_that_the_next_chunk_may_not_bring_leaves_the_chunk_before_it_in_place(
    empty: Sides, lanes: int
) -> None:
    empty.consulta.execute("ALTER TABLE items ADD CONSTRAINT small CHECK (id <> 130)")
    lines = Lines()
    with empty.open(spec(), chunk_rows=CHUNK, parallel=lanes) as copy:
        with pytest.raises(DatabaseFailed) as failed:
            copy.run(lines)
        assert failed.value.constraint == "small"
        there = assert_rows_and_lines_agree(empty)
    assert 7 not in there
    assert there == sorted(lines.known)
    empty.consulta.execute("ALTER TABLE items DROP CONSTRAINT small")
    ends_right(empty, lanes)


@LANES
@pytest.mark.parametrize("side", ["prod", "consulta"])
@pytest.mark.parametrize("count", [3_000, 60_000, 200_000])
def test_a_line_that_is_cut_leaves_whole_chunks(empty: Sides, lanes: int, side: str, count: int) -> None:
    database = empty.prod if side == "prod" else empty.consulta
    with Proxy(database.server.port) as way:
        url = f"postgresql://postgres@127.0.0.1:{way.port}/{database.name}"
        options = {f"{side}_url": url, "chunk_rows": CHUNK, "parallel": lanes}
        with empty.open(spec(), **options) as copy:
            copy.plan()
            way.cut_after(count, "received" if side == "prod" else "sent")
            with pytest.raises(Transient) as failed:
                copy.run(Lines())
    assert failed.value.side == side
    assert sessions_end(empty.consulta)
    assert_rows_and_lines_agree(empty)
    ends_right(empty, lanes)


@LANES
def test_who_stops_finds_what_was_in_hand_finished_with_its_line(empty: Sides, lanes: int) -> None:
    lines = Lines()
    with empty.open(spec(), chunk_rows=CHUNK, parallel=lanes) as copy:
        result = copy.run(lines, should_stop=lambda: True)
        there = assert_rows_and_lines_agree(empty)
        assert [chunk.range.number for chunk in result.chunks] == there == sorted(lines.known)
        assert 1 <= len(there) <= 10
        assert not result.is_whole
    assert sessions_end(empty.prod)
    assert sessions_end(empty.consulta)
    ends_right(empty, lanes)


def test_a_stop_that_is_known_by_the_commit_takes_back_what_began_with_it(empty: Sides) -> None:
    lines = Lines()
    with empty.open(spec(), chunk_rows=CHUNK, parallel=1) as copy:
        result = copy.run(lines, should_stop=lambda: len(lines.known) >= 3)
        assert assert_rows_and_lines_agree(empty) == sorted(lines.known)
        assert len(result.chunks) == len(lines.known) == 3
    assert sessions_end(empty.prod)
    assert sessions_end(empty.consulta)
    ends_right(empty, 1)


def test_rows_that_refer_to_later_ranges_arrive_all_the_same(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, parent bigint)")
    sides.prod.execute(
        "INSERT INTO items SELECT g, 42, CASE WHEN g % 50 = 0 THEN 601 - g END FROM generate_series(1, 600) g"
    )
    sides.consulta.execute("""
        CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, parent bigint REFERENCES items)
    """)
    sides.consulta.execute(LEDGER)
    lines = Lines()
    with sides.open(spec(), chunk_rows=CHUNK, parallel=2) as copy:
        result = copy.run(lines)
        assert copy.verify(result).holds
    assert sorted(lines.known) == list(range(1, 31))
    sides.assert_same()


# ------------------------------------------------------------------ compared once, right after the commit


def proof_after(sides: Sides, statement: str, lanes: int = 2) -> Proof:
    """Of a first copy after which somebody has done this in consulta, before the proof."""
    with sides.open(spec(), chunk_rows=CHUNK, parallel=lanes) as copy:
        result = copy.run(Lines())
        seen = [chunk for chunk in result.chunks if isinstance(chunk.seen, Written)]
        assert len(seen) >= 20  # all but the first ones and the last one of each lane
        if statement:
            sides.consulta.execute(statement)
        return copy.verify(result)


def test_what_was_compared_after_its_commit_is_proven_without_its_values(empty: Sides) -> None:
    assert proof_after(empty, "").holds
    empty.assert_same()


@pytest.mark.parametrize(
    ("statement", "ranges"),
    [
        ("UPDATE items SET amount = amount + 1 WHERE id = 250", [13]),
        ("DELETE FROM items WHERE id = 250", [13]),
        ("INSERT INTO items VALUES (-5, 42, 0, 'surplus')", [1]),
        ("UPDATE items SET liquidation_id = 7 WHERE id IN (250, 255)", [13]),
        ("UPDATE items SET id = 10000 + id WHERE id = 250", [13, 30]),
        ("UPDATE items SET amount = -1 WHERE id % 100 = 50", [3, 8, 13, 18, 23, 28]),
    ],
)
def test_what_somebody_does_to_it_afterwards_is_found(
    empty: Sides, statement: str, ranges: list[int]
) -> None:
    proof = proof_after(empty, statement)
    assert not proof.holds
    assert sorted(each.range.number for each in proof.differences) == ranges
    assert proof.reasons(SIDES)


def test_what_somebody_does_and_takes_back_is_compared_by_value(empty: Sides) -> None:
    proof = proof_after(empty, "UPDATE items SET amount = -id; UPDATE items SET amount = id")
    assert proof.holds


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE items ALTER amount TYPE numeric USING amount + 1",
        "ALTER TABLE items RENAME TO old; CREATE TABLE items (LIKE old INCLUDING ALL);"
        "INSERT INTO items SELECT id, liquidation_id, amount + 1, note FROM old",
        "ALTER TABLE items RENAME amount TO a; ALTER TABLE items RENAME note TO amount_as_text;"
        "ALTER TABLE items ADD amount numeric DEFAULT 5; ALTER TABLE items RENAME amount_as_text TO note",
    ],
)
def test_a_table_that_is_another_one_by_then_is_compared_by_value(empty: Sides, statement: str) -> None:
    assert not proof_after(empty, statement).holds


def test_an_enum_whose_label_is_renamed_meanwhile_is_compared_by_value(sides: Sides) -> None:
    sides.both("CREATE TYPE state AS ENUM ('open', 'shut')")
    sides.both("CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, state state)")
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'open' FROM generate_series(1, 600) g")
    sides.consulta.execute(LEDGER)
    proof = proof_after(sides, "ALTER TYPE state RENAME VALUE 'open' TO 'ajar'")
    assert len(proof.differences) == 30


def test_a_trigger_that_alters_rows_is_found_in_the_chunks_that_it_altered(empty: Sides) -> None:
    empty.consulta.execute("""
        CREATE FUNCTION alters() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.id % 200 = 10 THEN NEW.amount := -1; END IF; RETURN NEW; END $$;
        CREATE TRIGGER alters BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION alters()
    """)
    with empty.open(spec(), chunk_rows=CHUNK, parallel=2) as copy:
        result = copy.run(Lines())
        proof = copy.verify(result)
        assert copy.blamed_triggers(result, proof) == ["alters on public.items"]
    assert sorted(each.range.number for each in proof.differences) == [1, 11, 21]


def test_a_row_that_a_trigger_adds_elsewhere_does_not_stand_for_one_that_is_gone(empty: Sides) -> None:
    """The trigger's row bears the number of the same transaction, and so makes the sum add up."""
    empty.consulta.execute("""
        CREATE FUNCTION adds() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            IF NEW.id = 250 THEN INSERT INTO items VALUES (100000, 42, 0, 'added'); END IF; RETURN NULL;
        END $$;
        CREATE TRIGGER adds AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION adds()
    """)
    proof = proof_after(empty, "DELETE FROM items WHERE id = 255")
    assert sorted(each.range.number for each in proof.differences) == [13, 30]


def test_a_writer_who_changes_a_chunk_while_others_are_copied_is_found(empty: Sides) -> None:
    first, go_on = threading.Event(), threading.Event()

    def on_chunk(chunk: Chunk) -> None:
        if chunk.range.number == 10:
            first.set()
            assert go_on.wait(30)

    with empty.open(spec(), chunk_rows=CHUNK) as copy, ThreadPoolExecutor(1) as pool:
        running = pool.submit(copy.run, Lines(), on_chunk=on_chunk)
        assert first.wait(30)
        empty.consulta.execute("UPDATE items SET note = 'other' WHERE id IN (5, 95)")
        go_on.set()
        proof = copy.verify(running.result(30))
    assert sorted(each.range.number for each in proof.differences) == [1, 5]

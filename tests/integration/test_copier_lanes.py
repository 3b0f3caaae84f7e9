"""Several ranges at once: one moment, nothing lost, the first error is told, nothing hangs."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from copier import Chunk
from copier.chunker import RangeCursor
from copier.errors import DatabaseFailed, Transient
from copier.model import KeyRange
from copier.parallel import run_lanes
from dev.proxy import Proxy
from tests.copying import ITEMS, Sides, sessions_end, spec

ROWS = 600
LANES = {"parallel": 3, "chunk_rows": 20}
LEDGER = "CREATE TABLE ledger (number int PRIMARY KEY, low bigint, high bigint, rows int)"
PATIENCE = 30.0


@pytest.fixture
def full(sides: Sides) -> Sides:
    """Thirty chunks in prod; consulta holds half of the rows, outdated, and somebody else's."""
    sides.both(ITEMS)
    sides.prod.execute(f"""
        INSERT INTO items SELECT g, 42, g, repeat(md5(g::text), 20) FROM generate_series(1, {ROWS}) g
    """)
    sides.consulta.execute(f"""
        INSERT INTO items SELECT g, 42, -1, 'old' FROM generate_series(2, {ROWS}, 2) g;
        INSERT INTO items VALUES (0, 7, 0, 'other');
    """)
    sides.consulta.execute(LEDGER)
    return sides


def record(connection: Connection, chunk: Chunk) -> None:
    low, high = ((None if bound is None else bound[0]) for bound in (chunk.range.lower, chunk.range.upper))
    values = {"number": chunk.range.number, "low": low, "high": high, "rows": chunk.rows}
    connection.execute(text("INSERT INTO ledger VALUES (:number, :low, :high, :rows)"), values)


def recorded(sides: Sides) -> list[int]:
    return [number for (number,) in sides.consulta.rows("SELECT number FROM ledger ORDER BY number")]


def assert_rows_and_records_agree(sides: Sides) -> None:
    """A range of the ledger holds prod's rows and no old one; all others hold the old ones only."""
    found = sides.consulta.rows(f"""
        SELECT g, i.note, l.number IS NOT NULL
          FROM generate_series(1, {ROWS}) g LEFT JOIN items i ON i.id = g AND i.liquidation_id = 42
          LEFT JOIN ledger l ON (l.low IS NULL OR g > l.low) AND (l.high IS NULL OR g <= l.high)
    """)
    assert len(found) == ROWS
    for key, note, is_recorded in found:
        if is_recorded:
            assert note not in {None, "old"}, key
        else:
            assert note == (None if key % 2 else "old"), key


def assert_all_ended(sides: Sides) -> None:
    assert [thread.name for thread in threading.enumerate() if thread.name == "copy-lane"] == []
    assert sessions_end(sides.prod)
    assert sessions_end(sides.consulta)


def ends_right(sides: Sides) -> None:
    sides.copy_proven(spec(), **LANES)
    sides.assert_same()
    assert sides.consulta.rows("SELECT id, note FROM items WHERE liquidation_id <> 42") == [(0, "other")]


def test_three_ranges_are_in_hand_at_once_and_all_are_of_one_moment(full: Sides) -> None:
    full.prod.execute("CREATE TABLE as_it_was AS SELECT * FROM items")
    three = threading.Barrier(3)

    def together(connection: Connection, chunk: Chunk) -> None:
        if chunk.range.number <= 3 and three.wait(PATIENCE) == 0:
            full.prod.execute("UPDATE items SET note = 'later'; DELETE FROM items WHERE id > 300")
        record(connection, chunk)

    done = full.copy_proven(spec(), record=together, **LANES)
    assert recorded(full) == list(range(1, 31))
    assert [chunk.range.number for chunk in done.chunks] == list(range(1, 31))
    rows = "SELECT * FROM {} WHERE liquidation_id = 42 ORDER BY id"
    assert full.consulta.rows(rows.format("items")) == full.prod.rows(rows.format("as_it_was"))
    full.consulta.execute("TRUNCATE ledger")
    ends_right(full)


class StaleAttempt(Exception):
    """What the record raises where another worker has taken over."""


def test_a_record_that_raises_in_one_lane_stops_the_others_after_the_range_in_hand(full: Sides) -> None:
    three = threading.Barrier(3)

    def second_is_stale(connection: Connection, chunk: Chunk) -> None:
        if chunk.range.number <= 3:
            three.wait(PATIENCE)
        record(connection, chunk)
        if chunk.range.number == 2:
            raise StaleAttempt

    with full.open(spec(), **LANES) as copy:
        with pytest.raises(StaleAttempt):
            copy.run(second_is_stale)
        assert {1, 3} <= set(recorded(full)) < set(range(1, 31)) - {2}
        assert_rows_and_records_agree(full)
    assert_all_ended(full)
    full.consulta.execute("TRUNCATE ledger")
    ends_right(full)


def test_of_two_lanes_that_fail_the_first_error_is_raised(full: Sides) -> None:
    lanes: dict[int, threading.Thread] = {}
    both = threading.Barrier(2)

    def fail(connection: Connection, chunk: Chunk) -> None:
        lanes[chunk.range.number] = threading.current_thread()
        both.wait(PATIENCE)
        if chunk.range.number == 2:
            lanes[1].join(PATIENCE)
            raise ValueError("the second one")
        raise StaleAttempt

    with full.open(spec(), chunk_rows=20, parallel=2) as copy, pytest.raises(StaleAttempt):
        copy.run(fail)
    assert full.consulta.rows("SELECT count(*) FROM items WHERE note <> 'old' AND id > 0") == [(0,)]
    assert_all_ended(full)


class Enough(Exception):
    """What a caller raises that wants no more chunks."""


@pytest.mark.parametrize("way", ["it says so", "it raises"])
def test_a_caller_that_stops_finds_the_ranges_in_hand_finished_and_recorded(full: Sides, way: str) -> None:
    others, stops, go_on = threading.Semaphore(0), threading.Event(), threading.Event()
    seen: list[int] = []

    def on_chunk(chunk: Chunk) -> None:
        seen.append(chunk.range.number)
        for _ in range(3):
            assert others.acquire(timeout=PATIENCE)
        stops.set()
        if way == "it raises":
            raise Enough

    def held(connection: Connection, chunk: Chunk) -> None:
        if chunk.range.number > 1:
            others.release()
            assert go_on.wait(PATIENCE)
        record(connection, chunk)

    with full.open(spec(), **LANES) as copy, ThreadPoolExecutor(1) as pool:
        running = pool.submit(copy.run, held, on_chunk=on_chunk, should_stop=lambda: True)
        assert stops.wait(PATIENCE)
        with pytest.raises(TimeoutError):
            running.result(0.1)  # it waits for the ranges in hand
        assert seen == [1]
        go_on.set()
        if way == "it says so":
            result = running.result(PATIENCE)
            assert [chunk.range.number for chunk in result.chunks] == [1, 2, 3, 4]
            assert not result.is_whole
        else:
            with pytest.raises(Enough):
                running.result(PATIENCE)
        assert seen == [1]
        assert recorded(full) == [1, 2, 3, 4]
        assert_rows_and_records_agree(full)
    assert_all_ended(full)


def test_a_copy_that_is_left_in_the_middle_leaves_no_lane_behind(full: Sides) -> None:
    def enough(chunk: Chunk) -> None:
        raise Enough

    with full.open(spec(), **LANES) as copy, pytest.raises(Enough):
        copy.run(record, on_chunk=enough)
    assert_all_ended(full)
    assert 0 < len(recorded(full)) < 30
    assert_rows_and_records_agree(full)


def test_a_copy_that_was_stopped_half_way_proves_nothing_but_what_is_there(full: Sides) -> None:
    with full.open(spec(), **LANES) as copy:
        half = copy.run(record, should_stop=lambda: True)
        assert not copy.verify(half).holds
        full.consulta.execute("TRUNCATE ledger")
        result = copy.run(record)  # the same copy may be begun again, under the same snapshot
        assert copy.verify(result).holds
        assert copy.verify(result).holds
        assert copy.verify().holds
    assert recorded(full) == list(range(1, 31))


@pytest.mark.parametrize("side", ["prod", "consulta"])
@pytest.mark.parametrize("count", [2_000, 30_000, 100_000])
def test_a_line_that_is_cut_fails_all_lanes_and_leaves_whole_chunks(
    full: Sides, side: str, count: int
) -> None:
    database = full.prod if side == "prod" else full.consulta
    with Proxy(database.server.port) as line:
        url = f"postgresql://postgres@127.0.0.1:{line.port}/{database.name}"
        with full.open(spec(), **{f"{side}_url": url}, **LANES) as copy:
            copy.plan()
            line.cut_after(count, "received" if side == "prod" else "sent")
            with pytest.raises(Transient) as failed:
                copy.run(record)
    assert failed.value.side == side
    assert_rows_and_records_agree(full)
    assert_all_ended(full)
    full.consulta.execute("TRUNCATE ledger")
    ends_right(full)


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_sessions_that_an_administrator_ends_fail_all_lanes_and_leave_whole_chunks(
    full: Sides, side: str
) -> None:
    database = full.prod if side == "prod" else full.consulta

    def ended_at_the_tenth(connection: Connection, chunk: Chunk) -> None:
        record(connection, chunk)
        if chunk.range.number == 10:
            database.execute("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)

    with full.open(spec(), **LANES) as copy, pytest.raises(Transient) as failed:
        copy.run(ended_at_the_tenth)
    assert failed.value.side == side
    assert len(recorded(full)) < 30
    assert_rows_and_records_agree(full)
    full.consulta.execute("TRUNCATE ledger")
    ends_right(full)


def test_a_row_that_another_writer_holds_fails_one_lane_and_all_end(full: Sides) -> None:
    with psycopg.connect(full.consulta.url) as somebody:
        somebody.execute("UPDATE items SET amount = 0 WHERE id = 300")
        with (
            full.open(spec(), lock_timeout_seconds=0.05, **LANES) as copy,
            pytest.raises(Transient, match="LockNotAvailable"),
        ):
            copy.run(record)
    assert_rows_and_records_agree(full)
    assert_all_ended(full)


def test_a_constraint_that_one_lane_breaks_is_the_error_and_whole_chunks_stay(full: Sides) -> None:
    full.consulta.execute("ALTER TABLE items ADD CONSTRAINT small CHECK (amount < 500)")
    with full.open(spec(), **LANES) as copy, pytest.raises(DatabaseFailed) as failed:
        copy.run(record)
    assert failed.value.constraint == "small"
    assert_rows_and_records_agree(full)
    assert_all_ended(full)


def lanes_become(number: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while [thread.name for thread in threading.enumerate()].count("copy-lane") != number:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_a_row_that_refers_to_one_of_a_range_before_it_is_put_in_place_after_it(sides: Sides) -> None:
    """The second range is refused, because the first one isn't committed yet."""
    sides.prod.execute("CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, parent bigint)")
    sides.prod.execute("INSERT INTO items SELECT g, 42, nullif(g - 1, 0) FROM generate_series(1, 40) g")
    sides.consulta.execute("""
        CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, parent bigint REFERENCES items)
    """)

    def first_waits(connection: Connection, chunk: Chunk) -> None:
        if chunk.range.number == 1:
            assert lanes_become(1)

    done = sides.copy_proven(spec(), record=first_waits, chunk_rows=10, parallel=2)
    assert [chunk.range.number for chunk in done.chunks] == [1, 2, 3, 4]
    sides.assert_same()


def test_a_unique_value_that_a_row_of_a_range_before_gives_up_is_taken_after_it(sides: Sides) -> None:
    """The second range is refused, because the first one waits for a row that somebody holds."""
    sides.both("CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, code bigint UNIQUE)")
    sides.prod.execute("INSERT INTO items SELECT g, 42, g FROM generate_series(1, 40) g")
    sides.consulta.execute("INSERT INTO items VALUES (4, 42, 400), (5, 42, 15)")
    with psycopg.connect(sides.consulta.url) as somebody, ThreadPoolExecutor(1) as pool:
        somebody.execute("SELECT FROM items WHERE id = 4 FOR UPDATE")
        copied = pool.submit(sides.copy_proven, spec(), chunk_rows=10, parallel=2)
        while not sides.consulta.rows("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            assert not copied.done()
        assert lanes_become(1)
        somebody.rollback()
        assert [chunk.range.number for chunk in copied.result(PATIENCE).chunks] == [1, 2, 3, 4]
    sides.assert_same()


def test_a_comparison_in_lanes_finds_what_differs(full: Sides) -> None:
    with full.open(spec(), **LANES) as copy:
        result = copy.run(record)
        assert copy.verify(result).holds
        full.consulta.execute("UPDATE items SET amount = 0 WHERE id IN (5, 333)")
        proof = copy.verify(result)
        assert sorted(each.range.number for each in proof.differences) == [1, 17]
    with full.open(spec(), **LANES) as later:
        assert sorted(each.range.number for each in later.verify().differences) == [1, 17]


def test_an_error_while_the_work_is_dealt_out_is_raised_and_ends_the_lanes() -> None:
    numbers = iter(range(5))

    def take(lane: str) -> int:
        if (number := next(numbers)) == 4:
            raise StaleAttempt
        return number

    done: list[int] = []
    with pytest.raises(StaleAttempt):
        done.extend(run_lanes(["a", "b"], take, lambda lane, number: number, threading.Event()))
    assert set(done) <= {0, 1, 2, 3}


def holds(part: KeyRange, key: int) -> bool:
    return (part.lower is None or int(part.lower[0]) < key) and (
        part.upper is None or key <= int(part.upper[0])
    )


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(st.sets(st.integers(-50, 50)), st.lists(st.integers(1, 12), min_size=1), st.sets(st.integers(-60, 60)))
def test_every_key_of_either_side_lies_in_exactly_one_range_however_long_each_is(
    sides: Sides, ours: set[int], sizes: list[int], theirs: set[int]
) -> None:
    sides.both("DROP TABLE IF EXISTS items;" + ITEMS)
    if ours:
        sides.prod.execute(f"INSERT INTO items VALUES {', '.join(f'({key}, 42)' for key in ours)}")
    with sides.open(spec()) as copy:
        cursor = RangeCursor(copy._snapshot.connection, copy._source, len(ours))
        wanted = iter(sizes * 60)
        ranges = list(iter(lambda: cursor.next(next(wanted)), None))
    for key in ours | theirs:
        assert len([part for part in ranges if holds(part, key)]) == 1
    assert [part.rows for part in ranges] == [sum(holds(part, key) for key in ours) for part in ranges]
    assert [part.number for part in ranges] == list(range(1, len(ranges) + 1))
    assert (ranges[0].lower, ranges[-1].upper) == (None, None)
    lengths = [part.rows for part in ranges]
    assert lengths[:-1] == (sizes * 60)[: len(lengths) - 1]

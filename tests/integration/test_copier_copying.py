"""What a copy leaves in consulta: exactly what prod held at one moment, and nothing else touched."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text

from bot.config import SIDES
from copier import Chunk, Copy, Counts, Fingerprint
from tests.copying import ITEMS, Begun, Sides, engine, sessions_end, spec

ROWS = """
    INSERT INTO items
    SELECT g, CASE WHEN g % 3 = 0 THEN 7 ELSE 42 END, g * 1.10, 'línea ' || g
      FROM generate_series(1, 150) g
"""


#: What citext is: text whose equality ignores case.
CASELESS = """
    CREATE TYPE ci;
    CREATE FUNCTION ci_in(cstring) RETURNS ci LANGUAGE internal IMMUTABLE STRICT AS 'textin';
    CREATE FUNCTION ci_out(ci) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
    CREATE FUNCTION ci_receive(internal) RETURNS ci LANGUAGE internal IMMUTABLE STRICT AS 'textrecv';
    CREATE FUNCTION ci_send(ci) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'textsend';
    CREATE TYPE ci (INPUT = ci_in, OUTPUT = ci_out, RECEIVE = ci_receive, SEND = ci_send, LIKE = text);
    CREATE FUNCTION ci_hash(ci, int8) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT
        RETURN hashtextextended(lower($1::text), $2);
    CREATE FUNCTION ci_equal(ci, ci) RETURNS bool LANGUAGE sql IMMUTABLE STRICT
        RETURN lower($1::text) = lower($2::text);
    CREATE OPERATOR = (LEFTARG = ci, RIGHTARG = ci, FUNCTION = ci_equal, HASHES);
    CREATE FUNCTION ci_hash(ci) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT RETURN hashtext(lower($1::text));
    CREATE OPERATOR CLASS ci_ops DEFAULT FOR TYPE ci USING hash AS
        OPERATOR 1 =, FUNCTION 1 ci_hash(ci), FUNCTION 2 ci_hash(ci, int8);
"""


@pytest.fixture
def full(sides: Sides) -> Sides:
    """100 rows of liquidation 42 in prod, among 50 of another; none in consulta."""
    sides.both(ITEMS)
    sides.prod.execute(ROWS)
    return sides


@pytest.fixture
def copied(full: Sides) -> Sides:
    """Both liquidations are in consulta already, copied by plain SQL's own means."""
    full.consulta.execute(ROWS)
    return full


def test_a_first_copy_brings_the_liquidation_and_only_that(full: Sides) -> None:
    done = full.copy_proven(spec(), chunk_rows=30)
    full.assert_same()
    assert full.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id <> 42") == [(0,)]
    assert (done.plan.total, done.plan.held, done.plan.holds) == (100, 0, False)
    assert [chunk.rows for chunk in done.chunks] == [30, 30, 30, 10]
    assert done.outcomes == ["copied"] * 4
    assert [chunk.range.rows for chunk in done.chunks] == [30, 30, 30, 10]
    assert sum(chunk.bytes for chunk in done.chunks) > 0
    assert done.proof.source == done.proof.target
    assert done.proof.source.rows == 100


@pytest.mark.parametrize("chunk_rows", [1, 99, 100, 101])
def test_any_chunk_size_brings_each_row_once(full: Sides, chunk_rows: int) -> None:
    done = full.copy_proven(spec(), chunk_rows=chunk_rows)
    full.assert_same()
    assert len(done.chunks) == -(-100 // chunk_rows)
    assert sum(chunk.rows for chunk in done.chunks) == sum(chunk.range.rows for chunk in done.chunks) == 100


def test_a_second_copy_of_unchanged_rows_writes_nothing(copied: Sides) -> None:
    rows = "SELECT ctid::text, xmin::text, xmax::text, id FROM items ORDER BY id"
    before = copied.consulta.rows(rows)
    done = copied.copy_proven(spec(), chunk_rows=30)
    assert done.outcomes == ["unchanged"] * 4
    assert [chunk.rows for chunk in done.chunks] == [30, 30, 30, 10]
    assert copied.consulta.rows(rows) == before


@pytest.mark.usefixtures("still")
def test_a_second_copy_of_unchanged_rows_costs_no_wal_for_the_table(copied: Sides) -> None:
    copied.copy_proven(spec())  # the first reader of new rows may have to note that they are committed
    start = copied.wal_of_consulta()
    copied.copy_proven(spec())
    assert copied.wal_of_consulta() - start < 4096  # the server's own noise; 100 rows take 20,000


def test_rows_changed_deleted_and_inserted_in_prod_are_so_in_consulta(copied: Sides) -> None:
    others = copied.others()
    copied.prod.execute("""
        UPDATE items SET amount = -1 WHERE id = 10;
        DELETE FROM items WHERE id IN (1, 50, 149);
        INSERT INTO items VALUES (-5, 42, 0, 'before the first'), (9000, 42, 0, NULL);
    """)
    copied.copy_proven(spec(), chunk_rows=30)
    copied.assert_same()
    assert copied.others() == others


def test_only_the_ranges_that_changed_are_written(copied: Sides) -> None:
    copied.prod.execute("UPDATE items SET note = 'changed' WHERE id = 80")
    done = copied.copy_proven(spec(), chunk_rows=30)
    assert done.outcomes == ["unchanged", "updated", "unchanged", "unchanged"]
    assert [chunk.counts.updated for chunk in done.chunks] == [0, 1, 0, 0]
    assert done.counts == Counts(updated=1, unchanged=99)
    copied.assert_same()


def test_a_row_that_moved_here_in_prod_moves_in_consulta(copied: Sides) -> None:
    copied.prod.execute("UPDATE items SET liquidation_id = 42 WHERE id IN (3, 60, 150)")
    others = copied.others(where="liquidation_id <> 42 AND id NOT IN (3, 60, 150)")
    done = copied.copy_proven(spec(), chunk_rows=30)
    copied.assert_same()
    assert sum(chunk.moved for chunk in done.chunks) == 3
    assert copied.others() == others


def test_a_row_that_moved_away_in_prod_is_gone_until_its_own_liquidation_is_copied(copied: Sides) -> None:
    copied.prod.execute("UPDATE items SET liquidation_id = 7 WHERE id IN (1, 40)")
    others = copied.others()
    copied.copy_proven(spec(), chunk_rows=30)
    copied.assert_same()
    assert copied.others() == others
    copied.copy_proven(spec(), 7)
    copied.assert_same(where="true")


def test_a_first_copy_takes_over_rows_that_consulta_holds_under_another_liquidation(full: Sides) -> None:
    full.consulta.execute("INSERT INTO items VALUES (10, 7, 0, 'stale'), (3, 7, 0, 'mine'), (149, 9, 1, '')")
    others = full.others(where="id = 3")
    done = full.copy_proven(spec(), chunk_rows=30)
    full.assert_same()
    assert [chunk.moved for chunk in done.chunks] == [1, 0, 0, 1]
    assert full.others() == others


def test_surplus_rows_below_the_first_and_above_the_last_key_go(copied: Sides) -> None:
    copied.consulta.execute("""
        INSERT INTO items VALUES (-9223372036854775808, 42, 0, ''), (9223372036854775807, 42, 0, ''),
                                 (0, 42, 0, ''), (151, 42, 0, ''), (-1, 8, 0, 'not ours')
    """)
    others = copied.others()
    copied.copy_proven(spec(), chunk_rows=30)
    copied.assert_same()
    assert copied.others() == others


def test_a_liquidation_that_is_empty_in_prod_is_empty_in_consulta_afterwards(copied: Sides) -> None:
    copied.prod.execute("DELETE FROM items WHERE liquidation_id = 42")
    others = copied.others()
    done = copied.copy_proven(spec(), chunk_rows=30)
    assert copied.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 42") == [(0,)]
    assert [(chunk.rows, chunk.counts) for chunk in done.chunks] == [(0, Counts(deleted=100))]
    assert copied.others() == others


def test_the_plan_counts_both_sides_and_the_copy_tells_what_it_is_made_of(copied: Sides) -> None:
    copied.consulta.execute("DELETE FROM items WHERE liquidation_id = 42 AND id % 2 = 0")
    [(held,)] = copied.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 42")
    with copied.open(spec()) as copy:
        assert (copy.plan().total, copy.plan().held, copy.plan().holds) == (100, held, True)
        columns = ("amount", "id", "liquidation_id", "note")
        assert copy.fingerprint == Fingerprint(
            "public.items", "public.items", "liquidation_id", ("id",), columns
        )


def test_a_liquidation_that_nobody_has_is_copied_as_no_rows(full: Sides) -> None:
    done = full.copy_proven(spec(), 999)
    assert (done.plan.total, done.plan.holds, len(done.chunks)) == (0, False, 1)
    assert done.chunks[0].rows == 0


REPRESENTATIONS = [
    ("numeric", "1.0", "1.00"),
    ("float8", "-0.0", "0.0"),
    ("float4", "-0.0", "0.0"),
    ("jsonb", '{"a": 1}', '{"a": 1.0}'),
    ("interval", "1 day", "24 hours"),
    ("interval", "1 month", "30 days"),
    ("ci", "Año", "AÑO"),
    ("timetz", "10:00+00", "12:00+02"),
    ("numeric[]", "{1.0}", "{1.00}"),
    ("numrange", "[1.0,2)", "[1.00,2)"),
    ("pair", "(1.0,x)", "(1.00,x)"),
    ("inet", "10.0.0.1/24", "10.0.0.1/25"),
    ("cidr", "10.0.0.0/24", "10.0.0.0/25"),
    ("box", "(1,1),(0,0)", "(1,-0),(0,-1)"),
]


def test_a_difference_in_representation_alone_is_found_and_repaired(sides: Sides) -> None:
    sides.both(CASELESS + "CREATE TYPE pair AS (a numeric, b text)")
    for type_name, ours, theirs in REPRESENTATIONS:
        sides.both(f"""
            DROP TABLE IF EXISTS items;
            CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v {type_name})
        """)
        sides.prod.execute(f"INSERT INTO items VALUES (1, 42, '{ours}'), (2, 42, NULL)")
        sides.consulta.execute(f"INSERT INTO items VALUES (1, 42, '{theirs}'), (2, 42, NULL)")
        done = sides.copy_proven(spec())
        assert (type_name, done.outcomes, done.counts) == (type_name, ["updated"], Counts(0, 1, 0, 1))
        sides.assert_same(columns="id, liquidation_id, v::text", formats=("text",))


def test_a_copy_is_one_moment_of_prod_whatever_happens_there_meanwhile(full: Sides) -> None:
    full.prod.execute("CREATE TABLE as_it_was AS SELECT * FROM items")
    with full.open(spec(), chunk_rows=30) as copy:
        run = Begun(copy)
        full.prod.execute("""
            UPDATE items SET amount = 0, note = 'later' WHERE id % 2 = 0;
            UPDATE items SET liquidation_id = 8 WHERE id IN (2, 100);
            DELETE FROM items WHERE id IN (4, 110);
            INSERT INTO items SELECT 1000 + g, 42, g, 'later' FROM generate_series(1, 50) g;
        """)
        result = run.finish()
        assert copy.verify(result).holds
    assert sum(chunk.rows for chunk in result.chunks[1:]) == 70
    order = "SELECT * FROM {} WHERE liquidation_id = 42 ORDER BY id"
    assert full.consulta.rows(order.format("items")) == full.prod.rows(order.format("as_it_was"))
    full.copy_proven(spec(), chunk_rows=30)
    full.assert_same()


def test_a_table_truncated_in_prod_after_the_snapshot_is_not_mistaken_for_an_empty_one(copied: Sides) -> None:
    with copied.open(spec(), chunk_rows=30) as copy:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            copied.prod.execute("SET lock_timeout = 50; TRUNCATE items")
        assert copy.plan().total == 100


def test_everything_committed_before_as_of_is_in_the_copy(full: Sides) -> None:
    """Somebody commits between any two statements of the engine; `as_of` has to tell on which side."""
    prod = engine(full.prod.url)
    marks = iter(range(1000, 2000))

    @event.listens_for(prod, "after_cursor_execute")
    def commit_a_row(*_: object) -> None:
        full.prod.execute(f"INSERT INTO items VALUES ({next(marks)}, 42, 0, clock_timestamp()::text)")

    with Copy(prod, engine(full.consulta.url), spec(), 42) as copy:
        copy.run()
        as_of = copy.plan().as_of
    before = full.prod.rows(f"SELECT id FROM items WHERE id >= 1000 AND note::timestamptz < '{as_of}'")
    assert full.consulta.rows("SELECT id FROM items WHERE id >= 1000") == before


def note(connection: Connection, chunk: Chunk) -> None:
    connection.execute(
        text("INSERT INTO ledger VALUES (:number, :rows)"),
        {"number": chunk.range.number, "rows": chunk.rows},
    )


def test_rows_and_their_record_are_committed_together(full: Sides) -> None:
    full.consulta.execute("CREATE TABLE ledger (number int PRIMARY KEY, rows int)")
    both = """SELECT (SELECT count(*) FROM items), (SELECT coalesce(sum(rows), 0)::int FROM ledger)"""
    with full.open(spec(), chunk_rows=30) as copy:
        seen: list[tuple[int, int]] = []
        copy.run(note, on_chunk=lambda chunk: seen.extend(full.consulta.rows(both)))
    assert seen == [(30, 30), (60, 60), (90, 90), (100, 100)]


def test_a_record_that_raises_leaves_neither_rows_nor_record(full: Sides) -> None:
    full.consulta.execute("CREATE TABLE ledger (number int PRIMARY KEY, rows int)")

    class LostLease(Exception):
        pass

    def second_raises(connection: Connection, chunk: Chunk) -> None:
        note(connection, chunk)
        if chunk.range.number == 2:
            raise LostLease

    with full.open(spec(), chunk_rows=30) as copy, pytest.raises(LostLease):
        copy.run(second_raises)
    assert full.consulta.rows("SELECT count(*) FROM items") == [(30,)]
    assert full.consulta.rows("SELECT * FROM ledger") == [(1, 30)]
    done = full.copy_proven(spec(), chunk_rows=30)
    assert done.outcomes == ["unchanged", "copied", "copied", "copied"]
    full.assert_same()


def test_nobody_sees_half_a_chunk(copied: Sides) -> None:
    copied.prod.execute("UPDATE items SET note = 'new'")
    seen = []

    def look(connection: Connection, chunk: Chunk) -> None:
        seen.append(copied.consulta.rows("SELECT count(*), count(*) FILTER (WHERE note = 'new') FROM items"))

    copied.copy_proven(spec(), record=look, chunk_rows=50)
    assert seen == [[(150, 0)], [(150, 50)]]


def test_the_proof_does_not_hold_where_somebody_changed_consulta_and_names_the_chunk(full: Sides) -> None:
    with full.open(spec(), chunk_rows=30) as copy:
        result = copy.run()
        full.consulta.execute("UPDATE items SET amount = amount + 1 WHERE id = 52")
        changed = copy.verify(result)
        full.consulta.execute("DELETE FROM items WHERE id = 149")
        full.consulta.execute("INSERT INTO items VALUES (-7, 42, 0, ''), (99999, 42, 0, '')")
        worse = copy.verify(result)
    assert not changed.holds
    assert [each.sentence(SIDES) for each in changed.differences] == [
        "chunk 2: 30 rows on both sides, column values differ"
    ]
    assert [each.sentence(SIDES) for each in worse.differences] == [
        "chunk 1: 30 rows in prod, 31 in consulta",
        "chunk 2: 30 rows on both sides, column values differ",
        "chunk 4: 10 rows on both sides, column values differ",
    ]


def test_a_row_moved_to_another_liquidation_in_consulta_breaks_the_proof(full: Sides) -> None:
    with full.open(spec()) as copy:
        result = copy.run()
        full.consulta.execute("UPDATE items SET liquidation_id = 8 WHERE id = 1")
        assert not copy.verify(result).holds


def test_the_proof_compares_prod_as_it_was_and_not_as_it_is_now(full: Sides) -> None:
    with full.open(spec(), chunk_rows=30) as copy:
        result = copy.run()
        full.prod.execute("UPDATE items SET amount = 0")
        assert copy.verify(result).holds


def test_rows_that_somebody_adds_in_consulta_after_the_plan_do_not_stop_the_copy(full: Sides) -> None:
    with full.open(spec(), chunk_rows=30) as copy:
        copy.plan()
        full.consulta.execute("INSERT INTO items VALUES (10, 42, 0, 'theirs'), (99999, 42, 0, 'surplus')")
        result = copy.run()
        assert not copy.verify(result).holds
    full.copy_proven(spec(), chunk_rows=30)
    full.assert_same()


def test_a_copy_that_was_closed_leaves_no_session_and_so_no_snapshot(full: Sides) -> None:
    with full.open(spec(), chunk_rows=30) as copy:
        copy.run(should_stop=lambda: True)
        assert full.prod.rows("""
            SELECT count(*) FROM pg_stat_activity
             WHERE backend_xmin IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid()
        """) == [(2,)]  # the one that cuts the ranges, and the lane's
    assert sessions_end(full.prod)
    assert sessions_end(full.consulta)


tables = st.dictionaries(
    st.integers(-3, 12), st.tuples(st.sampled_from([7, 42]), st.sampled_from(["1", "1.0", "NaN", None]))
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(tables, tables, st.integers(1, 6), st.sampled_from([1, 3]))
def test_whatever_the_sides_held_consulta_holds_prods_rows_afterwards_and_all_its_own_others(
    sides: Sides,
    ours: dict[int, tuple[int, str | None]],
    theirs: dict[int, tuple[int, str | None]],
    chunk_rows: int,
    parallel: int,
) -> None:
    sides.both("DROP TABLE IF EXISTS items;" + ITEMS)
    for side, rows in ((sides.prod, ours), (sides.consulta, theirs)):
        values = [f"({key}, {number}, {repr(v) if v else 'NULL'})" for key, (number, v) in rows.items()]
        if values:
            side.execute(f"INSERT INTO items VALUES {', '.join(values)}")
    taken = [key for key, (number, _) in ours.items() if number == 42]
    untouched = "liquidation_id <> 42 AND NOT id = ANY('{" + ", ".join(map(str, taken)) + "}')"
    others = sides.others(where=untouched)
    sides.copy_proven(spec(), chunk_rows=chunk_rows, parallel=parallel)
    sides.assert_same()
    assert sides.others(where="liquidation_id <> 42") == others

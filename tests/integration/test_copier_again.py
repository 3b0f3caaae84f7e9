"""Copying again writes what differs, counts it rightly, and no more."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copier import Counts
from tests.copying import ITEMS, Sides, spec

ROWS = 20_000
SCATTERED = "id % 1000 = 7"  # 0.1 % of the rows
FILL = f"""
    INSERT INTO items SELECT g, 42, g / 100.0, md5(g::text) FROM generate_series(1, {ROWS}) g;
    INSERT INTO items SELECT -g, 7, 0, 'other' FROM generate_series(1, 100) g;
    ANALYZE items
"""


@dataclass(frozen=True)
class Written:
    """Two databases that agree, and what it cost to write all of consulta's rows by a copy."""

    sides: Sides
    wal_of_all: int


@pytest.fixture
def copied(sides: Sides) -> Written:
    sides.both(ITEMS)
    sides.prod.execute(FILL)
    start = sides.wal_of_consulta()
    sides.copy_proven(spec(), chunk_rows=2_000)
    wal = sides.wal_of_consulta() - start
    sides.consulta.execute("INSERT INTO items SELECT -g, 7, 0, 'other' FROM generate_series(1, 100) g")
    sides.copy_proven(spec())  # the first reader of new rows notes that they are committed
    return Written(sides, wal)


def versions(sides: Sides) -> dict[int, tuple[str, str]]:
    """Place and transaction of each row's version."""
    rows = sides.consulta.rows("SELECT id, ctid::text, xmin::text FROM items")
    return {key: (ctid, xmin) for key, ctid, xmin in rows}


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_thousandth_of_the_rows_changed_and_scattered_writes_only_those(
    copied: Written, parallel: int
) -> None:
    sides = copied.sides
    sides.prod.execute(f"UPDATE items SET note = 'changed' WHERE {SCATTERED}")
    before, start = versions(sides), sides.wal_of_consulta()
    done = sides.copy_proven(spec(), chunk_rows=2_000, parallel=parallel)
    wal = sides.wal_of_consulta() - start
    after = versions(sides)
    assert {key for key in after if after[key] != before.get(key)} == {
        key for (key,) in sides.prod.rows(f"SELECT id FROM items WHERE {SCATTERED} AND liquidation_id = 42")
    }
    assert done.counts == Counts(updated=20, unchanged=ROWS - 20)
    assert set(done.outcomes) == {"updated"}
    assert wal < copied.wal_of_all / 50, f"{wal:,} bytes of WAL, {copied.wal_of_all:,} for all rows"
    sides.assert_same()


def test_rows_inserted_and_deleted_here_and_there_are_all_that_is_written(copied: Written) -> None:
    sides = copied.sides
    sides.prod.execute("""
        DELETE FROM items WHERE id % 2000 = 9;
        INSERT INTO items SELECT 30000 + g, 42, 0, 'new' FROM generate_series(1, 5) g;
        UPDATE items SET amount = amount + 1 WHERE id % 4000 = 11;
    """)
    before = versions(sides)
    done = sides.copy_proven(spec(), chunk_rows=2_000)
    after = versions(sides)
    assert done.counts == Counts(inserted=5, updated=5, deleted=10, unchanged=ROWS - 15)
    assert len([key for key in after if after[key] != before.get(key)]) == 10
    assert len(before.keys() - after.keys()) == 10
    sides.assert_same()


@pytest.mark.parametrize("parallel", [1, 3])
def test_everything_changed_is_right_and_counted_as_updated(copied: Written, parallel: int) -> None:
    sides = copied.sides
    sides.prod.execute("UPDATE items SET amount = amount + 1")
    others = sides.others()
    done = sides.copy_proven(spec(), chunk_rows=2_000, parallel=parallel)
    assert set(done.outcomes) == {"replaced"}
    assert done.counts == Counts(updated=ROWS)
    assert sides.others() == others
    sides.assert_same()


def test_a_range_that_hardly_differs_after_one_that_differs_wholly_is_right(copied: Written) -> None:
    """The engine guesses from the range before how the next one will be; the guess may be wrong."""
    sides = copied.sides
    sides.prod.execute("""
        UPDATE items SET amount = -1 WHERE id <= 4000 OR id = 5000;
        DELETE FROM items WHERE id BETWEEN 8001 AND 12000 AND id % 2 = 0;
        UPDATE items SET amount = -1 WHERE id BETWEEN 14001 AND 18000
    """)
    done = sides.copy_proven(spec(), chunk_rows=2_000)
    assert done.counts.inserted == 0
    assert done.counts.deleted == 2000
    assert done.counts.updated + done.counts.unchanged == ROWS - 2000
    assert done.counts.updated >= 8001
    sides.assert_same()


FOLDED = {
    "bigint": ("(1::bigint << 32) | 2", "(2::bigint << 32) | 1"),
    "timestamp": ("timestamp '2000-01-01 00:00:00.000001'", "timestamp '2000-01-01 01:11:34.967296'"),
    "timestamptz": ("timestamptz '2000-01-01 00:00:00.000001+00'",
                    "timestamptz '2000-01-01 01:11:34.967296+00'"),
    "time": ("time '00:00:00.000001'", "time '01:11:34.967296'"),
}  # fmt: skip


@pytest.mark.parametrize(("type_name", "values"), FOLDED.items(), ids=FOLDED.keys())
def test_values_that_postgresql_hashes_alike_are_told_apart(
    sides: Sides, type_name: str, values: tuple[str, str]
) -> None:
    """PostgreSQL folds 64 bits to 32 before it hashes them."""
    sides.both(f"CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v {type_name})")
    for side, value in zip((sides.prod, sides.consulta), values, strict=True):
        side.execute(f"INSERT INTO items VALUES (1, 42, {value})")
    assert sides.copy_proven(spec()).counts == Counts(updated=1)
    sides.assert_same()


def test_keys_that_postgresql_hashes_alike_are_told_apart(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items VALUES ((1::bigint << 32) | 2, 42), ((2::bigint << 32) | 1, 42)")
    sides.consulta.execute("INSERT INTO items VALUES (4, 42), ((4::bigint << 32), 42)")
    assert sides.copy_proven(spec()).counts == Counts(inserted=2, deleted=2)
    sides.assert_same()


VALUES = st.sampled_from([None, "1", "1.0", "2", "NaN"])
TABLES = st.dictionaries(st.integers(0, 40), VALUES)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(TABLES, TABLES, st.integers(1, 15), st.integers(1, 3))
def test_the_counts_are_those_that_sql_counts(
    sides: Sides, ours: dict[int, str | None], theirs: dict[int, str | None], chunk_rows: int, parallel: int
) -> None:
    sides.both("DROP TABLE IF EXISTS items, source;" + ITEMS)
    sides.consulta.execute("CREATE TABLE source (id bigint PRIMARY KEY, amount numeric)")
    for rows, database, table, number in (
        (ours, sides.prod, "items (id, liquidation_id, amount)", "42, "),
        (theirs, sides.consulta, "items (id, liquidation_id, amount)", "42, "),
        (ours, sides.consulta, "source (id, amount)", ""),
    ):
        values = [f"({key}, {number}{repr(value) if value else 'NULL'})" for key, value in rows.items()]
        if values:
            database.execute(f"INSERT INTO {table} VALUES {', '.join(values)}")
    (counted,) = sides.consulta.rows("""
        SELECT count(*) FILTER (WHERE i.id IS NULL),
               count(*) FILTER (WHERE i.amount::text IS DISTINCT FROM s.amount::text AND s.id = i.id),
               count(*) FILTER (WHERE s.id IS NULL),
               count(*) FILTER (WHERE i.amount::text IS NOT DISTINCT FROM s.amount::text AND s.id = i.id)
          FROM source s FULL JOIN items i USING (id)
    """)
    done = sides.copy_proven(spec(), chunk_rows=chunk_rows, parallel=parallel)
    oracle = Counts(*counted)
    assert (done.counts.inserted, done.counts.deleted) == (oracle.inserted, oracle.deleted)
    assert done.counts.updated + done.counts.unchanged == oracle.updated + oracle.unchanged
    if done.outcomes.count("replaced") < 2:  # only after one such range a sample may decide for the next
        assert done.counts == oracle
    sides.assert_same()


def test_a_value_that_somebody_changes_after_it_was_found_unchanged_breaks_the_proof(copied: Written) -> None:
    with copied.sides.open(spec(), chunk_rows=1_000) as copy:
        result = copy.run()
        assert {chunk.outcome for chunk in result.chunks} == {"unchanged"}
        copied.sides.consulta.execute("UPDATE items SET amount = amount + 1 WHERE id = 1500")
        proof = copy.verify(result)
    assert [each.range.number for each in proof.differences] == [2]


def test_rows_that_somebody_writes_again_with_the_same_values_are_looked_at_and_hold(copied: Written) -> None:
    with copied.sides.open(spec(), chunk_rows=1_000) as copy:
        result = copy.run()
        copied.sides.consulta.execute("UPDATE items SET amount = amount WHERE liquidation_id = 42")
        assert copy.verify(result).holds

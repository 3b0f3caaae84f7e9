"""Rows of other liquidations and tables stay as they are; rows that refer to each other are copied."""

from __future__ import annotations

import re

import pytest

from copier.errors import (
    CascadeRefused,
    KeySharedInSource,
    NoUsableKey,
    Permanent,
    PointsNowhere,
    RulesRewrite,
    StillReferenced,
)
from tests.copying import ITEMS, Sides, engine, preview, spec

# ------------------------------------------------------------------------------ keys of several liquidations

PER_LIQUIDATION = """
    CREATE TABLE items (id int NOT NULL, liquidation_id int NOT NULL, v text, UNIQUE (liquidation_id, id));
    INSERT INTO items
    SELECT g, l, 'v' || l || '-' || g FROM generate_series(1, 40) g, generate_series(41, 43) l;
"""
ALONE = "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v text)"


@pytest.fixture
def shared(sides: Sides) -> Sides:
    """Prod numbers its rows in each of three liquidations, consulta has room for each number once."""
    sides.prod.execute(PER_LIQUIDATION)
    sides.consulta.execute(ALONE)
    return sides


def test_a_key_that_prod_uses_in_several_liquidations_takes_no_rows_from_them(shared: Sides) -> None:
    shared.copy_proven(spec(), 41, chunk_rows=10)
    before = shared.others(where="liquidation_id = 41")
    for parallel in (1, 2):
        with pytest.raises(
            KeySharedInSource, match=r"key \(id\) of table public\.items in consulta"
        ) as refused:
            shared.copy(spec(), 42, chunk_rows=10, parallel=parallel)
        assert "v42" not in str(refused.value)
        assert shared.others(where="liquidation_id = 41") == before
    assert shared.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 42") == [(0,)]


def test_the_preview_refuses_such_a_key_before_anybody_presses(shared: Sides) -> None:
    look = (engine(shared.prod.url), engine(shared.consulta.url), spec())
    assert preview(*look, 41).taken.rows == 0
    shared.copy_proven(spec(), 41)
    with pytest.raises(KeySharedInSource):
        preview(*look, 42)


def test_rows_that_have_moved_in_prod_are_taken_from_the_other_liquidation_and_counted_before(
    sides: Sides,
) -> None:
    sides.both(ITEMS)
    sides.both("INSERT INTO items SELECT g, 41 + g % 2, g, 'n' FROM generate_series(1, 100) g")
    sides.prod.execute("UPDATE items SET liquidation_id = 42 WHERE id <= 20")
    seen = preview(engine(sides.prod.url), engine(sides.consulta.url), spec(), 42)
    assert (seen.taken.rows, seen.taken.exact) == (10, True)
    done = sides.copy_proven(spec(), chunk_rows=10)
    assert sum(chunk.moved for chunk in done.chunks) == 10
    sides.assert_same()
    assert sides.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 41") == [(40,)]


def test_a_row_without_a_liquidation_is_taken_only_where_prod_has_it_no_more(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id int, liquidation_id int, v text)")
    sides.consulta.execute(ALONE)
    sides.consulta.execute("INSERT INTO items VALUES (1, NULL, 'lost')")
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'found')")
    sides.copy_proven(spec())
    sides.assert_same()
    sides.consulta.execute("UPDATE items SET liquidation_id = NULL")
    sides.prod.execute("INSERT INTO items VALUES (1, NULL, 'there too')")
    with pytest.raises(KeySharedInSource):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT id, liquidation_id FROM items") == [(1, None)]


def test_a_wider_key_and_liquidation_of_consulta_are_compared_by_value(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id int, liquidation_id int, v text)")
    sides.consulta.execute(
        "CREATE TABLE items (id numeric PRIMARY KEY, liquidation_id numeric, v text); "
        "INSERT INTO items VALUES (1.00, 41.0, 'mine'), (2.0, 41, 'moved'), (3, 41.5, 'odd')"
    )
    sides.prod.execute("INSERT INTO items VALUES (2, 42, 'x'), (3, 42, 'y')")
    assert sum(chunk.moved for chunk in sides.copy_proven(spec()).chunks) == 2
    sides.prod.execute("INSERT INTO items VALUES (1, 41, 'mine'), (1, 42, 'z')")
    with pytest.raises(KeySharedInSource):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT v FROM items WHERE liquidation_id = 41") == [("mine",)]


# ------------------------------------------------------------------------------------------ other tables

CASCADES = {
    "a foreign key to a partition": (
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v text) PARTITION BY RANGE (id); "
        "CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (100); "
        "CREATE TABLE remarks (item int CONSTRAINT of_item REFERENCES low ON DELETE CASCADE)",
        r"of_item of public\.remarks",
    ),
    "a foreign key to an inheritance child": (
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v text); "
        "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (items); "
        "CREATE TABLE remarks (item int CONSTRAINT of_item REFERENCES child ON DELETE SET NULL)",
        r"of_item of public\.remarks",
    ),
    "a foreign key to the table of which it is a partition": (
        "CREATE TABLE parent (id int PRIMARY KEY, liquidation_id int, v text) PARTITION BY RANGE (id); "
        "CREATE TABLE items PARTITION OF parent FOR VALUES FROM (0) TO (100); "
        "CREATE TABLE remarks (item int CONSTRAINT of_item REFERENCES parent ON DELETE CASCADE)",
        r"of public\.remarks",
    ),
}


@pytest.mark.parametrize(("tables", "named"), CASCADES.values(), ids=CASCADES.keys())
def test_a_delete_is_carried_on_to_no_other_table_wherever_the_key_points(
    sides: Sides, tables: str, named: str
) -> None:
    sides.prod.execute(ALONE)
    [into] = re.findall(r"REFERENCES (\w+)", tables)
    sides.consulta.execute(f"""
        {tables}; INSERT INTO {into} VALUES (1, 42, 'of nobody'); INSERT INTO remarks VALUES (1)""")
    with pytest.raises(CascadeRefused, match=named):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT id, item FROM items, remarks") == [(1, 1)]
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'changed')")
    sides.copy_proven(spec())
    assert sides.consulta.rows("SELECT v, item FROM items, remarks") == [("changed", 1)]


def test_through_a_view_of_consulta_nothing_is_deleted_that_a_foreign_key_would_carry_on(
    sides: Sides,
) -> None:
    sides.prod.execute(ALONE)
    sides.consulta.execute("""
        CREATE TABLE base (id int PRIMARY KEY, liquidation_id int, v text);
        INSERT INTO base VALUES (1, 42, 'v');
        CREATE TABLE remarks (item int REFERENCES base ON DELETE CASCADE); INSERT INTO remarks VALUES (1);
        CREATE VIEW items AS SELECT * FROM base""")
    with pytest.raises(NoUsableKey):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT item FROM remarks") == [(1,)]


RULES = {
    "beside a delete": "ON DELETE TO items DO ALSO DELETE FROM remarks WHERE item = OLD.id",
    "in the place of a delete": "ON DELETE TO items DO INSTEAD NOTHING",
    "beside an insert": "ON INSERT TO items DO ALSO INSERT INTO remarks VALUES (NEW.id)",
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_of_consulta_is_named_and_refused(sides: Sides, rule: str) -> None:
    sides.both(ALONE)
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'new')")
    sides.consulta.execute(
        "CREATE TABLE remarks (item int); INSERT INTO remarks VALUES (1); "
        f"INSERT INTO items VALUES (1, 42, 'old'); CREATE RULE also AS {rule}"
    )
    with pytest.raises(RulesRewrite, match=r"also on public\.items"):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT v, item FROM items, remarks") == [("old", 1)]
    sides.consulta.execute("ALTER TABLE items DISABLE RULE also")
    sides.copy_proven(spec())


# ------------------------------------------------------------------------- rows that refer to each other

REVERSES = """
    CREATE TABLE items (
        id bigint PRIMARY KEY, liquidation_id bigint, reverses bigint REFERENCES items (id){}, a int)
"""


@pytest.mark.parametrize("action", ["", " ON DELETE RESTRICT", " DEFERRABLE INITIALLY DEFERRED"])
def test_a_row_that_others_of_the_liquidation_refer_to_is_updated_in_place(sides: Sides, action: str) -> None:
    sides.both(REVERSES.format(action))
    sides.prod.execute(
        "INSERT INTO items SELECT g, 42, CASE WHEN g > 1 THEN 1 END, g FROM generate_series(1, 10) g"
    )
    sides.copy_proven(spec())
    sides.prod.execute("UPDATE items SET a = 100 WHERE id = 1; DELETE FROM items WHERE id = 7")
    done = sides.copy_proven(spec())
    assert (done.counts.updated, done.counts.deleted, done.counts.unchanged) == (1, 1, 8)
    sides.prod.execute("UPDATE items SET a = a + 1")
    assert sides.copy_proven(spec()).counts.updated == 9
    sides.assert_same()


def test_a_column_that_only_consulta_has_is_kept_where_rows_are_updated_in_place(sides: Sides) -> None:
    sides.both(REVERSES.format(""))
    sides.consulta.execute("ALTER TABLE items ADD seen text DEFAULT 'new'")
    sides.prod.execute("INSERT INTO items VALUES (1, 42, NULL, 1)")
    sides.copy_proven(spec())
    sides.consulta.execute("UPDATE items SET seen = 'kept'")
    sides.prod.execute("UPDATE items SET a = 2")
    sides.copy_proven(spec())
    assert sides.consulta.rows("SELECT a, seen FROM items") == [(2, "kept")]


def test_a_row_that_moved_while_other_tables_refer_to_it_is_moved_in_place(sides: Sides) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' FROM generate_series(1, 20) g")
    sides.consulta.execute("""
        INSERT INTO items SELECT g, 41, g, 'old' FROM generate_series(1, 5) g;
        CREATE TABLE payments (item bigint REFERENCES items ON DELETE RESTRICT);
        INSERT INTO payments SELECT id FROM items;
    """)
    done = sides.copy_proven(spec(), chunk_rows=6)
    assert sum(chunk.moved for chunk in done.chunks) == 5
    sides.assert_same()
    assert sides.consulta.rows("SELECT count(*) FROM payments") == [(5,)]


def test_an_identity_column_beside_the_key_is_no_hindrance(sides: Sides) -> None:
    sides.both(
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, n int GENERATED ALWAYS AS IDENTITY)"
    )
    sides.consulta.execute("CREATE TABLE remarks (item int REFERENCES items)")
    insert = "INSERT INTO items OVERRIDING SYSTEM VALUE VALUES (1, 42, {})"
    sides.prod.execute(insert.format(7))
    sides.consulta.execute(insert.format(8) + "; INSERT INTO remarks VALUES (1)")
    sides.copy_proven(spec())
    sides.assert_same()


TO = {
    "the last row": "40",
    "the next row": "CASE WHEN id < 40 THEN id + 1 END",
    "each other": "41 - id",
    "the row before": "CASE WHEN id > 1 THEN id - 1 END",
}


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("other", TO.values(), ids=TO.keys())
def test_rows_that_refer_to_rows_of_later_ranges_are_put_in_place(
    sides: Sides, other: str, parallel: int
) -> None:
    sides.both(REVERSES.format(""))
    sides.prod.execute(
        "INSERT INTO items SELECT g, 42, NULL, g FROM generate_series(1, 40) g; UPDATE items SET reverses = "
        + other
    )
    recorded: list[int] = []
    done = sides.copy_proven(
        spec(), chunk_rows=5, parallel=parallel, record=lambda _, chunk: recorded.append(chunk.range.number)
    )
    assert sorted(recorded) == list(range(1, 9))
    assert sum(chunk.rows for chunk in done.chunks) == 40
    sides.assert_same()
    # All refer to other rows now, and some are gone.
    sides.prod.execute(
        "UPDATE items SET reverses = NULL; DELETE FROM items WHERE id % 4 = 0; "
        "UPDATE items SET reverses = CASE WHEN id < 39 THEN 39 ELSE 1 END"
    )
    sides.copy_proven(spec(), chunk_rows=5, parallel=parallel)
    sides.assert_same()


def test_a_row_that_refers_to_one_that_prod_has_in_no_range_is_refused_and_named(sides: Sides) -> None:
    sides.prod.execute(
        "CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, reverses bigint, a int)"
    )
    sides.consulta.execute(REVERSES.format(""))
    sides.prod.execute("INSERT INTO items SELECT g, 42, 99, g FROM generate_series(1, 20) g")
    with pytest.raises(PointsNowhere, match="items_reverses_fkey"):
        sides.copy(spec(), chunk_rows=5)
    assert sides.consulta.rows("SELECT count(*) FROM items") == [(0,)]


#: Who in consulta points to a row that prod has no more, by which key, and whether that is of the same copy.
STILL_POINTING = {
    "another table": (
        "CREATE TABLE items_of (item bigint CONSTRAINT of_items REFERENCES items); "
        "INSERT INTO items_of VALUES (7)",
        ("of_items", "public.items_of", False),
    ),
    "a partition of another schema": (
        "CREATE SCHEMA other; "
        "CREATE TABLE other.parts (item bigint CONSTRAINT in_parts REFERENCES items, no int)"
        " PARTITION BY LIST (no); CREATE TABLE other.part_1 PARTITION OF other.parts FOR VALUES IN (1); "
        "INSERT INTO other.parts VALUES (7, 1)",
        ("in_parts", "other.parts", False),
    ),
    "another liquidation": (
        "ALTER TABLE items ADD COLUMN reverses bigint CONSTRAINT items_items REFERENCES items; "
        "INSERT INTO items (id, liquidation_id, reverses) VALUES (100, 43, 7)",
        ("items_items", "public.items", True),
    ),
}


@pytest.mark.parametrize(("ddl", "found"), STILL_POINTING.values(), ids=STILL_POINTING.keys())
def test_what_still_points_to_a_row_that_has_to_go_is_named_and_stays(
    sides: Sides, ddl: str, found: tuple[str, str, bool]
) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' FROM generate_series(1, 20) g")
    sides.copy_proven(spec())
    if "reverses" in ddl:
        sides.prod.execute("ALTER TABLE items ADD COLUMN reverses bigint")
    sides.consulta.execute(ddl)
    sides.prod.execute("DELETE FROM items WHERE id = 7")
    with pytest.raises(StillReferenced) as refused:
        sides.copy(spec())
    assert refused.value.table == "public.items"
    assert (refused.value.constraint, *refused.value.lines, refused.value.is_copied) == found
    assert sides.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 42") == [(20,)]


@pytest.mark.parametrize("referenced", [False, True])
@pytest.mark.parametrize("chunk_rows", [5, 100])
def test_rows_may_exchange_unique_values_wherever_they_are(
    sides: Sides, chunk_rows: int, referenced: bool
) -> None:
    sides.both("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, receipt text UNIQUE)")
    if referenced:
        sides.consulta.execute("CREATE TABLE remarks (item int REFERENCES items); ")
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'R' || g FROM generate_series(1, 20) g")
    sides.copy_proven(spec(), chunk_rows=chunk_rows)
    sides.prod.execute(
        "UPDATE items SET receipt = 'X' || id; UPDATE items SET receipt = 'R' || 21 - id; "
        "DELETE FROM items WHERE id = 3"
    )
    sides.copy_proven(spec(), chunk_rows=chunk_rows)
    sides.assert_same()


def test_a_unique_value_that_another_liquidation_keeps_is_refused(sides: Sides) -> None:
    sides.both("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, receipt text UNIQUE)")
    sides.prod.execute("INSERT INTO items VALUES (9, 42, 'R-1')")
    sides.consulta.execute("INSERT INTO items VALUES (5, 41, 'R-1')")
    with pytest.raises(Permanent, match="items_receipt_key"):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT id FROM items") == [(5,)]


# ----------------------------------------------------------------------------- exclusion constraints

PERIODS = {
    "the exclusion first": "exclude using gist (p with &&)); ALTER TABLE items ADD PRIMARY KEY (id)",
    "the key first": "PRIMARY KEY (id)); ALTER TABLE items ADD EXCLUDE USING gist (p WITH &&)",
}


@pytest.mark.parametrize("constraints", PERIODS.values(), ids=PERIODS.keys())
def test_rows_that_moved_are_taken_also_where_an_exclusion_constraint_notices_them(
    sides: Sides, constraints: str
) -> None:
    sides.both("CREATE TABLE items (id bigint, liquidation_id bigint, p int4range, " + constraints)
    sides.prod.execute("INSERT INTO items SELECT g, 42, int4range(g, g + 1) FROM generate_series(1, 10) g")
    sides.consulta.execute("INSERT INTO items SELECT g, 41, int4range(g, g + 1) FROM generate_series(1, 3) g")
    done = sides.copy_proven(spec())
    assert sum(chunk.moved for chunk in done.chunks) == 3
    sides.assert_same()


def test_periods_that_were_exchanged_between_ranges_are_put_in_place(sides: Sides) -> None:
    sides.both(
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, p int4range, "
        "EXCLUDE USING gist (p WITH &&) DEFERRABLE)"
    )
    sides.consulta.execute(
        "ALTER TABLE items DROP CONSTRAINT items_p_excl, ADD EXCLUDE USING gist (p WITH &&)"
    )
    sides.prod.execute("INSERT INTO items SELECT g, 42, int4range(g, g + 1) FROM generate_series(1, 20) g")
    sides.copy_proven(spec(), chunk_rows=5)
    sides.prod.execute(
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE items SET p = int4range(21 - id, 22 - id); COMMIT"
    )
    sides.copy_proven(spec(), chunk_rows=5)
    sides.assert_same()


def test_a_period_of_another_liquidation_that_overlaps_is_refused_and_kept(sides: Sides) -> None:
    sides.both(
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, p int4range, "
        "EXCLUDE USING gist (p WITH &&))"
    )
    sides.prod.execute("INSERT INTO items VALUES (1, 42, '[1,5)')")
    sides.consulta.execute("INSERT INTO items VALUES (9, 41, '[3,4)')")
    with pytest.raises(Permanent, match="items_p_excl"):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT id FROM items") == [(9,)]

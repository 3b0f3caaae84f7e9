"""Whatever others do to consulta's or prod's table during a copy, nothing is proven that isn't the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from copier.errors import KeySharedInSource, NoUsableKey, Permanent, Transient
from tests.copying import Begun, Sides, spec
from tests.support import Database

TABLE = "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v text)"
ROWS = "INSERT INTO items SELECT g, 42, 'v' || g FROM generate_series(1, 10) g"
OTHER = "SELECT id, liquidation_id, 'OTHER' AS v FROM items"

# ------------------------------------------------------------ DDL between the look and the comparison

DDL = {
    "the table is exchanged": (
        f"{TABLE};{ROWS}",
        f"CREATE TABLE other AS {OTHER}; ALTER TABLE other ADD PRIMARY KEY (id)",
        "ALTER TABLE items RENAME TO old; ALTER TABLE other RENAME TO items",
    ),
    "a partition is exchanged": (
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v text) PARTITION BY RANGE (id); "
        f"CREATE TABLE p PARTITION OF items FOR VALUES FROM (0) TO (100);{ROWS}",
        f"CREATE TABLE q AS {OTHER}; ALTER TABLE q ALTER id SET NOT NULL, ADD PRIMARY KEY (id)",
        "ALTER TABLE items DETACH PARTITION p; "
        "ALTER TABLE items ATTACH PARTITION q FOR VALUES FROM (0) TO (100)",
    ),
    "a column is made anew": (
        f"{TABLE};{ROWS}",
        "",
        "ALTER TABLE items DROP v, ADD v text DEFAULT 'x'",
    ),
    "two columns change their names": (
        f"{TABLE};{ROWS}; ALTER TABLE items ADD w text; UPDATE items SET w = 'w' || id",
        "",
        "ALTER TABLE items RENAME v TO x; ALTER TABLE items RENAME w TO v; ALTER TABLE items RENAME x TO w",
    ),
    "an enum's label is renamed": (
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); "
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v mood); "
        "INSERT INTO items SELECT g, 42, 'sad' FROM generate_series(1, 10) g",
        "",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'gloomy'",
    ),
}


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize(("table", "before", "ddl"), DDL.values(), ids=DDL.keys())
def test_a_table_that_is_altered_after_it_was_looked_at_is_compared_anew(
    sides: Sides, table: str, before: str, ddl: str, changed: bool
) -> None:
    sides.both(table)
    if before:
        sides.consulta.execute(before)
    if changed:
        sides.prod.execute("DELETE FROM items WHERE id = 3")
    with sides.open(spec(), chunk_rows=5) as copy:
        result = copy.run()
        sides.consulta.execute(ddl)
        assert not copy.verify(result).holds


def test_an_enum_of_prod_that_is_altered_during_the_copy_is_noticed(sides: Sides) -> None:
    sides.both(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); "
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v mood)"
    )
    sides.consulta.execute("ALTER TYPE mood ADD VALUE 'glad'")
    sides.prod.execute("INSERT INTO items SELECT g, 42, 'sad' FROM generate_series(1, 10) g")
    with sides.open(spec(), chunk_rows=5) as copy:
        run = Begun(copy)
        sides.prod.execute("ALTER TYPE mood RENAME VALUE 'sad' TO 'glad'")
        result = run.finish()
        with pytest.raises(Transient, match=r"an enum of table public\.items of prod was altered"):
            copy.verify(result)


def test_a_view_that_tells_the_time_is_read_at_one_time(sides: Sides) -> None:
    sides.prod.execute(
        f"{TABLE.replace('items', 'base')}; INSERT INTO base SELECT g, 42 FROM generate_series(1, 40) g; "
        "CREATE VIEW items AS SELECT id, liquidation_id, now()::text AS v FROM base"
    )
    sides.consulta.execute(TABLE)
    sides.copy_proven(spec(), chunk_rows=5, parallel=3)
    assert sides.consulta.rows("SELECT count(DISTINCT v) FROM items") == [(1,)]


# ------------------------------------------------------------------------- writers at the same time

PER_LIQUIDATION = "CREATE TABLE items (id int, liquidation_id int, v text, PRIMARY KEY (liquidation_id, id))"
REFERENCED = "CREATE TABLE remarks (item int REFERENCES items)"


def meanwhile(sides: Sides, statement: str, copied: Callable[[], object]) -> object:
    """What the copy gives when somebody has done this uncommitted, and commits as soon as it waits for it."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND datname = current_database()
    """
    with ThreadPoolExecutor(1) as pool, psycopg.connect(sides.consulta.url) as somebody:
        somebody.execute(statement.encode())
        copying = pool.submit(copied)
        ticks = threading.Event()
        while not copying.done() and sides.consulta.rows(waiting) == [(0,)]:
            ticks.wait(0.01)
        somebody.commit()
        return copying.result(20)


@pytest.mark.parametrize("referenced", [True, False])
def test_a_row_that_somebody_moves_to_another_liquidation_meanwhile_is_not_taken(
    sides: Sides, referenced: bool
) -> None:
    sides.prod.execute(PER_LIQUIDATION)
    sides.prod.execute("INSERT INTO items VALUES (2, 42, 'b2'), (2, 41, 'mine'), (3, 42, 'c')")
    sides.consulta.execute(TABLE + "; INSERT INTO items VALUES (2, 42, 'b'), (3, 42, 'c')")
    if referenced:
        sides.consulta.execute(REFERENCED)
    with pytest.raises((KeySharedInSource, Transient)):
        meanwhile(
            sides, "UPDATE items SET liquidation_id = 41, v = 'mine' WHERE id = 2", lambda: sides.copy(spec())
        )
    assert sides.consulta.rows("SELECT liquidation_id, v FROM items WHERE id = 2") == [(41, "mine")]


def test_a_row_that_somebody_deletes_meanwhile_is_tried_again_later(sides: Sides) -> None:
    sides.both(TABLE + ";" + ROWS)
    sides.consulta.execute(REFERENCED + "; UPDATE items SET v = 'old' WHERE id = 2")
    with pytest.raises(Transient, match="were changed by somebody else at the same time"):
        meanwhile(sides, "DELETE FROM items WHERE id = 2", lambda: sides.copy(spec()))
    sides.copy_proven(spec())
    sides.assert_same()


def test_two_rows_of_prod_with_one_key_are_named_as_such(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id int, liquidation_id int, v text)")
    sides.consulta.execute(
        TABLE + "; " + REFERENCED + "; INSERT INTO items VALUES (1, 42, 'x'), (2, 42, 'y')"
    )
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'a'), (1, 42, 'b'), (2, 42, 'c')")
    with pytest.raises(
        NoUsableKey, match=r"key \(id\) names more than one row of table public\.items of prod"
    ):
        sides.copy(spec())


# ---------------------------------------------------------------- what an update in place would carry on

ON_UPDATE = {
    "another table's copy of the value": (
        "CREATE TABLE remarks (code text REFERENCES items (code) ON UPDATE CASCADE); "
        "INSERT INTO remarks VALUES ('OLD')",
        "SELECT code FROM remarks",
        [("OLD",)],
    ),
    "another table's reference": (
        "CREATE TABLE remarks (code text REFERENCES items (code) ON UPDATE SET NULL); "
        "INSERT INTO remarks VALUES ('OLD')",
        "SELECT code FROM remarks",
        [("OLD",)],
    ),
    "a row of another liquidation": (
        "ALTER TABLE items ADD refers text REFERENCES items (code) ON UPDATE SET NULL; "
        "INSERT INTO items VALUES (2, 41, 'TWO', 'OLD')",
        "SELECT refers FROM items WHERE id = 2",
        [("OLD",)],
    ),
}


@pytest.mark.parametrize(("ddl", "others", "kept"), ON_UPDATE.values(), ids=ON_UPDATE.keys())
def test_an_update_that_a_foreign_key_would_carry_on_is_not_made(
    sides: Sides, ddl: str, others: str, kept: list[tuple[str]]
) -> None:
    sides.both("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, code text UNIQUE)")
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'NEW')")
    sides.consulta.execute("INSERT INTO items VALUES (1, 42, 'OLD');" + ddl)
    if "refers" in ddl:
        sides.prod.execute("ALTER TABLE items ADD refers text")
    with pytest.raises(Permanent, match="fkey"):
        sides.copy(spec())
    assert sides.consulta.rows(others) == kept


def test_a_foreign_key_that_follows_the_primary_key_is_no_hindrance(sides: Sides) -> None:
    sides.both(TABLE + ";" + ROWS)
    sides.consulta.execute(
        "CREATE TABLE remarks (item int REFERENCES items ON UPDATE CASCADE); INSERT INTO remarks VALUES (1); "
        "UPDATE items SET v = 'old'"
    )
    sides.copy_proven(spec())
    sides.assert_same()


def test_a_foreign_key_that_is_not_enforced_hinders_nothing(sides: Sides) -> None:
    sides.both(TABLE + ";" + ROWS)
    sides.consulta.execute(
        "CREATE TABLE remarks (item int, "
        "FOREIGN KEY (item) REFERENCES items ON DELETE CASCADE NOT ENFORCED); "
        "INSERT INTO remarks VALUES (1); UPDATE items SET v = 'old'"
    )
    sides.copy_proven(spec())
    assert sides.consulta.rows("SELECT item FROM remarks") == [(1,)]


SPELLINGS = {
    "numeric": ("id numeric PRIMARY KEY, liquidation_id int", "1.00, 42", "1.0, 42"),
    "float8": ("id float8 PRIMARY KEY, liquidation_id int", "0, 42", "'-0', 42"),
    "liquidation": ("id int, liquidation_id numeric, PRIMARY KEY (liquidation_id, id)", "1, 42.0", "1, 42"),
}


@pytest.mark.parametrize("referenced", [True, False])
@pytest.mark.parametrize(("columns", "ours", "theirs"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_key_that_is_equal_but_spelled_otherwise_becomes_prods(
    sides: Sides, columns: str, ours: str, theirs: str, referenced: bool
) -> None:
    sides.both(f"CREATE TABLE items ({columns}, v text)")
    sides.prod.execute(f"INSERT INTO items VALUES ({ours}, 'new')")
    sides.consulta.execute(f"INSERT INTO items VALUES ({theirs}, 'old')")
    if referenced:
        key = "liquidation_id, id" if columns.startswith("id int") else "id"
        sides.consulta.execute(
            f"CREATE TABLE remarks AS SELECT {key} FROM items; "
            f"ALTER TABLE remarks ADD FOREIGN KEY ({key}) REFERENCES items"
        )
    sides.copy_proven(spec())
    sides.assert_same()


def test_values_that_others_refer_to_may_move_between_ranges(sides: Sides) -> None:
    for chunk_rows in (1, 100):
        sides.both(
            "DROP TABLE IF EXISTS remarks; DROP TABLE IF EXISTS items; "
            "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, code text UNIQUE)"
        )
        sides.prod.execute("INSERT INTO items VALUES (1, 42, 'X'), (20, 42, 'R1')")
        sides.consulta.execute(
            "INSERT INTO items VALUES (1, 42, 'R1'), (20, 42, 'R20'); "
            "CREATE TABLE remarks (code text REFERENCES items (code)); INSERT INTO remarks VALUES ('R1')"
        )
        sides.copy_proven(spec(), chunk_rows=chunk_rows)
        sides.assert_same()


def test_references_that_restrict_may_lie_in_another_range(sides: Sides) -> None:
    sides.both(
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, "
        "r int REFERENCES items ON DELETE RESTRICT)"
    )
    sides.prod.execute("INSERT INTO items SELECT g, 42, 2 FROM generate_series(2, 20) g")
    sides.consulta.execute("INSERT INTO items SELECT g, 42, 1 FROM generate_series(1, 20) g")
    sides.copy_proven(spec(), chunk_rows=5)
    sides.assert_same()


def test_a_missing_row_of_another_table_ends_the_copy_at_once(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, kind int)")
    sides.consulta.execute(
        "CREATE TABLE kinds (id int PRIMARY KEY); "
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, kind int REFERENCES kinds, "
        "parent int REFERENCES items)"
    )
    sides.prod.execute(
        "ALTER TABLE items ADD parent int; INSERT INTO items SELECT g, 42, 7 FROM generate_series(1, 20) g"
    )
    seen: list[object] = []
    with pytest.raises(Permanent, match="items_kind_fkey"):
        sides.copy(spec(), chunk_rows=5, record=lambda connection, chunk: seen.append(chunk))
    assert not seen


TRIGGERS = {"INSERT": False, "UPDATE": True, "DELETE": True}


@pytest.mark.parametrize("event", TRIGGERS)
def test_a_trigger_that_fires_on_what_the_copy_does_is_blamed(sides: Sides, event: str) -> None:
    sides.both(TABLE + ";" + ROWS)
    sides.consulta.execute(f"""
        CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF TG_OP = 'DELETE' THEN RETURN NULL; END IF; NEW.v = 'x'; RETURN NEW; END $$;
        UPDATE items SET v = 'old';
        {REFERENCED.replace("items", "items ON DELETE RESTRICT") if event == "UPDATE" else ""};
        CREATE TRIGGER change BEFORE {event} ON items FOR EACH ROW EXECUTE FUNCTION change();
    """)
    if event == "DELETE":
        sides.prod.execute("DELETE FROM items WHERE id = 3")
        sides.consulta.execute("UPDATE items SET v = 'v' || id")
    with sides.open(spec()) as copy:
        result = copy.run()
        proof = copy.verify(result)
        assert not proof.holds
        assert copy.blamed_triggers(result, proof) == ["change on public.items"]
    assert isinstance(sides.consulta, Database)

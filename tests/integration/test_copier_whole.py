"""A proof overlooks no row: what lies in no key range is counted, and one table is never its own proof."""

from __future__ import annotations

from typing import NamedTuple

import psycopg
import pytest

from bot.config import SIDES
from copier.errors import NoUsableKey, SameTable
from tests.copying import ITEMS, Sides, engine, preview, spec

# Since version 18 NOT NULL may be declared without looking at the rows that are there.
NOT_VALID = """
    CREATE TABLE items (id int, liquidation_id int, v text);
    {}
    CREATE UNIQUE INDEX ON items (id);
    ALTER TABLE items ADD CONSTRAINT id_there NOT NULL id NOT VALID;
"""
NO_INHERIT = """
    CREATE TABLE items (id int CONSTRAINT id_there NOT NULL NO INHERIT, liquidation_id int, v text);
    CREATE UNIQUE INDEX ON items (id);
    CREATE TABLE child () INHERITS (items);
    {}
"""
PLAIN = "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v text)"
THREE = "INSERT INTO {} SELECT g, 42, 'v' FROM generate_series(1, 3) g;"
HIDDEN = "INSERT INTO {} VALUES (NULL, 42, 'hidden'), (NULL, 42, 'hidden too');"


class Hiding(NamedTuple):
    """A table with a key that may be NULL although it says NOT NULL, and where such rows would be."""

    table: str
    place: str


HIDINGS = {"not validated": Hiding(NOT_VALID, "items"), "not inherited": Hiding(NO_INHERIT, "child")}


@pytest.mark.parametrize("side", ["prod", "consulta"])
@pytest.mark.parametrize("hiding", HIDINGS.values(), ids=HIDINGS.keys())
def test_rows_whose_key_is_null_though_it_says_not_null_are_refused_and_counted(
    sides: Sides, hiding: Hiding, side: str
) -> None:
    filled = hiding.table.format(THREE.format("items") + HIDDEN.format(hiding.place))
    sides.prod.execute(filled if side == "prod" else PLAIN + ";" + THREE.format("items"))
    sides.consulta.execute(PLAIN if side == "prod" else filled)
    words = rf"key \(id\) is NULL in 2 rows of table public\.items of {side}"
    with pytest.raises(NoUsableKey, match=words):
        sides.copy(spec())
    with sides.open(spec()) as verify, pytest.raises(NoUsableKey, match=words):
        verify.verify()


@pytest.mark.parametrize("hiding", HIDINGS.values(), ids=HIDINGS.keys())
def test_a_key_that_could_be_null_and_is_not_is_copied(sides: Sides, hiding: Hiding) -> None:
    sides.prod.execute(PLAIN + ";" + THREE.format("items"))
    sides.consulta.execute(hiding.table.format(""))
    sides.copy_proven(spec())
    sides.assert_same()


def test_a_row_with_no_key_that_comes_to_consulta_during_the_copy_breaks_the_proof(sides: Sides) -> None:
    sides.prod.execute(PLAIN + ";" + THREE.format("items"))
    sides.consulta.execute(NO_INHERIT.format(""))
    with sides.open(spec(), chunk_rows=2) as copy:
        result = copy.run()
        sides.consulta.execute(HIDDEN.format("child"))
        proof = copy.verify(result)
    assert not proof.holds
    assert not proof.differences
    assert proof.reasons(SIDES) == ["consulta: 5 rows in all, 3 in the key ranges"]


def test_a_foreign_table_of_prod_is_not_believed_that_its_key_is_there(sides: Sides) -> None:
    server = sides.prod.server
    far = f"{sides.prod.name}_far"
    server.create_database(far, template="template0")
    try:
        with psycopg.connect(server.url(far)) as connection:
            connection.execute("CREATE TABLE items (id int, liquidation_id int, v text)")
            connection.execute((THREE + HIDDEN).format("items", "items"))
        sides.consulta.execute(PLAIN)
        sides.prod.execute(f"""
            CREATE EXTENSION postgres_fdw;
            CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
                OPTIONS (host '127.0.0.1', port '{server.port}', dbname '{far}');
            CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'postgres');
            CREATE FOREIGN TABLE items (id int NOT NULL, liquidation_id int, v text) SERVER far;
        """)
        with pytest.raises(NoUsableKey, match=r"key \(id\) is NULL in 2 rows of table public\.items of prod"):
            sides.copy(spec())
    finally:
        sides.prod.execute("DROP EXTENSION postgres_fdw CASCADE")
        server.drop_database(far)


def test_rows_that_share_a_key_on_both_sides_can_not_cancel_out(sides: Sides) -> None:
    """Two equal rows have equal hashes; consulta's unique index doesn't hold for inheritance children."""
    sides.prod.execute("CREATE TABLE items (id int, liquidation_id int, v text)")
    sides.consulta.execute(PLAIN + "; CREATE TABLE child () INHERITS (items)")
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'right'), (1, 42, 'right')")
    sides.consulta.execute("INSERT INTO child VALUES (2, 42, 'wrong'), (2, 42, 'wrong')")
    with pytest.raises(
        NoUsableKey, match=r"key \(id\) names more than one row of table public\.items of prod"
    ):
        sides.copy(spec())


# ------------------------------------------------------------------------------------- one table, two URLs


def test_both_urls_to_one_table_are_refused(sides: Sides) -> None:
    one = Sides(sides.prod, sides.prod)
    sides.prod.execute(ITEMS)
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 1, 'kept')")
    with pytest.raises(SameTable, match=r"prod and consulta are the same table public\.items"):
        one.copy(spec())
    with pytest.raises(SameTable), one.open(spec()) as verify:
        verify.verify()
    with pytest.raises(SameTable):
        preview(engine(one.prod.url), engine(one.consulta.url), spec(), 42)
    assert sides.prod.rows("SELECT note FROM items") == [("kept",)]


def test_a_view_of_the_target_is_the_target(sides: Sides) -> None:
    one = Sides(sides.prod, sides.prod)
    sides.prod.execute(ITEMS + "CREATE VIEW seen AS SELECT * FROM items")
    both = spec("items")
    with pytest.raises(SameTable):
        one.copy(type(both)("test", spec("seen").source_table, both.target_table, "liquidation_id"))


def test_two_tables_of_one_database_can_be_copied(sides: Sides) -> None:
    one = Sides(sides.prod, sides.prod)
    sides.prod.execute(ITEMS + "CREATE SCHEMA query; CREATE TABLE query.items (LIKE items INCLUDING ALL)")
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 1, 'x')")
    wanted = spec("items")
    wanted = type(wanted)("test", wanted.source_table, spec("query.items").target_table, "liquidation_id")
    one.copy_proven(wanted)
    assert sides.prod.rows("SELECT note FROM query.items") == [("x",)]

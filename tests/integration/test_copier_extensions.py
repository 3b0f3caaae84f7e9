"""One extension's types are the same types, whatever schema each side has put the extension into."""

from __future__ import annotations

import pytest

from copier.errors import ColumnsDiffer, NoUsableKey
from tests.copying import Sides, spec
from tests.support import Database

#: A type of an extension, and values of it.
TYPES = {
    "citext": ("citext", "citext", "('ñ' || g || 'X')::{type}"),
    "an array": ("citext", "citext[]", "ARRAY['ñ' || g, NULL, 'x']::{type}"),
    "hstore": ("hstore", "hstore", "('k=>' || g)::{type}"),
    "an array of hstore": ("hstore", "hstore[]", "ARRAY['k=>' || g]::{type}"),
    "with a modifier": ("vector", "vector(3)", "('[1,2,' || g || ']')::{type}"),
    "an array with a modifier": ("vector", "vector(2)[]", "ARRAY['[1,' || g || ']']::{type}"),
    "without a binary form": ("cube", "cube", "cube(ARRAY[g, 1.5])"),
    "a domain of an extension": ("lo", "lo", "g::{type}"),
}


@pytest.fixture
def elsewhere(sides: Sides) -> Sides:
    """Prod has its extensions in public; consulta in a schema that its search_path doesn't name."""
    sides.consulta.execute('CREATE SCHEMA "the extensions"; CREATE TYPE shifts_the_oids AS (a int)')
    for name in ("citext", "hstore", "vector", "cube", "lo", "ltree"):
        sides.prod.execute(f"CREATE EXTENSION {name}")
        sides.consulta.execute(f'CREATE EXTENSION {name} SCHEMA "the extensions"')
    return sides


def create(sides: Sides, statements: str) -> None:
    """``{x}`` stands for the schema of the extensions."""
    sides.prod.execute(statements.replace("{x}", "public"))
    sides.consulta.execute(statements.replace("{x}", '"the extensions"'))


@pytest.mark.parametrize(("extension", "type_name", "value"), TYPES.values(), ids=TYPES.keys())
def test_a_type_of_an_extension_in_another_schema_is_the_same_type(
    elsewhere: Sides, extension: str, type_name: str, value: str
) -> None:
    create(elsewhere, f"CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v {{x}}.{type_name})")
    value = value.replace("{type}", type_name)
    elsewhere.prod.execute(f"INSERT INTO items SELECT g, 42, {value} FROM generate_series(1, 20) g")
    elsewhere.copy_proven(spec(), chunk_rows=7)
    elsewhere.assert_same(formats=("text",))
    again = elsewhere.copy_proven(spec(), chunk_rows=7)
    assert set(again.outcomes) == {"unchanged"}
    elsewhere.prod.execute("UPDATE items SET v = NULL WHERE id IN (3, 11)")
    assert elsewhere.copy_proven(spec(), chunk_rows=7).counts.updated == 2
    elsewhere.assert_same(formats=("text",))


def test_what_is_made_of_an_extension_s_type_is_the_same_too(elsewhere: Sides) -> None:
    create(
        elsewhere,
        """
        CREATE DOMAIN mail AS {x}.citext CHECK (VALUE::text LIKE '%@%');
        CREATE TYPE pair AS (a {x}.citext, b {x}.hstore);
        CREATE TYPE mails AS RANGE (subtype = {x}.citext);
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, a mail, b mail[], c pair, d mails);
        """,
    )
    elsewhere.prod.execute("""
        INSERT INTO items SELECT g, 42, 'Ana@' || g, ARRAY['Bob@' || g]::mail[], ('Eva', 'k=>1')::pair,
                                 mails('a', ('b' || g)::citext)
          FROM generate_series(1, 9) g
    """)
    elsewhere.copy_proven(spec(), chunk_rows=4)
    elsewhere.assert_same(formats=("text",))
    assert set(elsewhere.copy_proven(spec(), chunk_rows=4).outcomes) == {"unchanged"}


KEYS = {
    "citext": ("k {x}.citext", "k", "chr(64 + g % 32 + 32 * (g % 2)) || g"),
    "ltree": ("k {x}.ltree", "k", "('a' || g || '.b')::ltree"),
    "a domain": ("k mail", "k", "(chr(64 + g % 32 + 32 * (g % 2)) || g)::mail"),
    "an array": ("k {x}.citext[]", "k", "ARRAY[chr(64 + g % 32 + 32 * (g % 2)), g::text]::citext[]"),
    "several columns": ("a int, k {x}.citext, b date", "a, k, b",
                        "g / 20, chr(64 + g % 4 + 32 * (g % 2)), date '2024-01-01' + g"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "key", "values"), KEYS.values(), ids=KEYS.keys())
def test_a_key_of_an_extension_s_type_cuts_both_sides_alike(
    elsewhere: Sides, columns: str, key: str, values: str
) -> None:
    create(
        elsewhere,
        f"""
        CREATE DOMAIN mail AS {{x}}.citext;
        CREATE TABLE items ({columns}, liquidation_id int, v int, PRIMARY KEY ({key}));
        CREATE INDEX ON items (liquidation_id, {key});
        """,
    )
    elsewhere.prod.execute(f"INSERT INTO items SELECT {values}, 42, g FROM generate_series(1, 60) g")
    first = elsewhere.copy_proven(spec(), chunk_rows=7)
    assert len(first.chunks) == 9
    elsewhere.assert_same(order="v", formats=("text",))
    assert set(elsewhere.copy_proven(spec(), chunk_rows=7).outcomes) == {"unchanged"}
    elsewhere.prod.execute("DELETE FROM items WHERE v % 10 = 0; UPDATE items SET v = -v WHERE v % 7 = 0")
    elsewhere.consulta.execute("UPDATE items SET liquidation_id = 7 WHERE v = 30 OR v = 31")
    again = elsewhere.copy_proven(spec(), chunk_rows=7)
    assert (again.counts.updated, again.counts.inserted) == (8, 1)
    assert sum(chunk.moved for chunk in again.chunks) == 1
    elsewhere.assert_same(order="v", formats=("text",))


def test_a_modifier_that_only_its_extension_understands_has_to_be_the_same(elsewhere: Sides) -> None:
    elsewhere.prod.execute(
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v vector(3), w vector(3))"
    )
    elsewhere.consulta.execute("""
        SET search_path = public, "the extensions";
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v vector(5), w vector)
    """)
    with pytest.raises(ColumnsDiffer) as refused:
        elsewhere.copy(spec())
    assert refused.value.lines == [
        'v is public.vector(3) in prod and "the extensions".vector(5) in consulta: '
        "make consulta's column public.vector(3)"
    ]


def test_types_of_two_extensions_are_two_types(elsewhere: Sides) -> None:
    elsewhere.prod.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v citext)")
    elsewhere.consulta.execute(
        "CREATE TYPE citext AS (a text); "
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v citext)"
    )
    with pytest.raises(ColumnsDiffer, match="two types of one name, the type is citext of extension citext"):
        elsewhere.copy(spec())


def test_a_citext_key_whose_databases_fold_letters_otherwise_is_refused(sides: Sides) -> None:
    """citext goes by the database's locale, whatever collation its column has."""
    name = f"{sides.prod.name}_c"
    sides.prod.server.create_database(name, locale="C.UTF-8")
    other = Sides(Database(sides.prod.server, name), sides.consulta)
    try:
        other.both("CREATE EXTENSION citext; CREATE TABLE items (id citext PRIMARY KEY, liquidation_id int)")
        folds = "SELECT datcollate, datctype FROM pg_database WHERE datname = current_database()"
        assert other.prod.rows(folds) != other.consulta.rows(folds)
        with pytest.raises(NoUsableKey, match="sorts otherwise"):
            other.copy(spec())
    finally:
        sides.prod.server.drop_database(name)

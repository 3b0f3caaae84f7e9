"""Any ordered key cuts a liquidation into ranges, the same on both sides."""

from __future__ import annotations

import pytest

from copier.errors import ColumnMissing, NoUsableKey, Permanent
from tests.copying import Sides, spec

KEYS = {
    "bigint with negatives and gaps": ("bigint", "(g - 30) * 1000003"),
    "smallint": ("smallint", "g - 30"),
    "uuid": ("uuid", "md5(g::text)::uuid"),
    "text": ("text", "chr(64 + g) || 'ñ''\"\\%{}' || g"),
    "varchar": ("varchar(20)", "'k' || g"),
    "char": ("char(8)", "'k' || lpad(g::text, 3, '0')"),
    "bit": ("bit(8)", "g::bit(8)"),
    "date": ("date", "date '0044-03-15 BC' + g * 100000"),
    "timestamptz": ("timestamptz", "timestamptz '2024-03-10 01:59:59.999999+00' + g * interval '1.000001 s'"),
    "numeric": ("numeric", "(g - 30) / 7.0"),
    "float": ("float8", "(g - 30) / 7.0::float8"),
    "interval": ("interval", "g * interval '25 hours 1 month'"),
    "bytea": ("bytea", "decode(md5(g::text), 'hex')"),
    "boolean array": ("bool[]", "ARRAY[g % 2 = 0, NULL, g % 3 = 0, g > 30]"),
    "inet": ("inet", "inet '10.0.0.0' + g"),
    "range": ("int4range", "int4range(g, g + 5)"),
    "enum": ("size", "(enum_range(NULL::size))[g]"),
    "domain": ("code", "'c' || g"),
    "boolean and name": ("name", "'n' || g"),
}


@pytest.mark.parametrize(("type_name", "value"), KEYS.values(), ids=KEYS.keys())
def test_a_key_of_any_ordered_type_cuts_both_sides_alike(sides: Sides, type_name: str, value: str) -> None:
    labels = ", ".join(f"'s{n * 37 % 61:02}'" for n in range(1, 61))
    sides.both(f"""
        CREATE TYPE size AS ENUM ({labels});
        CREATE DOMAIN code AS text CHECK (VALUE LIKE 'c%');
        CREATE TABLE items (k {type_name} PRIMARY KEY, liquidation_id int NOT NULL, v int);
        CREATE FUNCTION fill(changed int) RETURNS void LANGUAGE sql AS $$
            INSERT INTO items SELECT {value}, CASE WHEN g % 3 = 0 THEN 7 ELSE 42 END, g * changed
              FROM generate_series(1, 60) g ON CONFLICT DO NOTHING $$;
    """)
    sides.prod.execute("SELECT fill(1)")
    first = sides.copy_proven(spec(), chunk_rows=7)
    assert len(first.chunks) > 1 or type_name == "bool[]"
    sides.assert_same(order="k")
    assert set(sides.copy_proven(spec(), chunk_rows=7).outcomes) == {"unchanged"}
    sides.consulta.execute("DELETE FROM items; SELECT fill(2)")
    sides.prod.execute("DELETE FROM items WHERE v % 4 = 0")
    sides.copy_proven(spec(), chunk_rows=7)
    sides.assert_same(order="k")
    assert sides.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 7") == [
        (sides.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 7 AND v % 2 = 0")[0][0],)
    ]


def test_a_composite_key_is_compared_as_a_whole(sides: Sides) -> None:
    sides.both("""
        CREATE TABLE items (b text, a int, "C c" date, liquidation_id int NOT NULL, v int,
                            PRIMARY KEY ("C c", a, b))
    """)
    sides.prod.execute("""
        INSERT INTO items SELECT chr(97 + x), y, date '2024-01-01' + z, 40 + (x + y + z) % 3, x * y * z
          FROM generate_series(0, 4) x, generate_series(-2, 2) y, generate_series(0, 5) z
    """)
    done = sides.copy_proven(spec(), chunk_rows=7)
    assert len(done.chunks) == 7
    sides.assert_same(order='"C c", a, b')
    sides.prod.execute("DELETE FROM items WHERE a = 0; UPDATE items SET liquidation_id = 42 WHERE b = 'c'")
    sides.copy_proven(spec(), chunk_rows=7)
    sides.assert_same(order='"C c", a, b')


COLLATIONS = [("C", "pg_c_utf8"), ("pg_c_utf8", "pg_unicode_fast"), ("C", "pg_unicode_fast")]


@pytest.mark.parametrize(("ours", "theirs"), COLLATIONS)
def test_a_text_key_of_other_collations_is_cut_alike_on_both_sides(
    sides: Sides, ours: str, theirs: str
) -> None:
    for side, collation in ((sides.prod, ours), (sides.consulta, theirs)):
        side.execute(f"""
            CREATE TABLE items (k text COLLATE "{collation}" PRIMARY KEY, liquidation_id int, v int)
        """)
    sides.prod.execute(
        "INSERT INTO items SELECT chr(60 + g) || chr(300 - g), 42, g FROM generate_series(1, 99) g"
    )
    sides.copy_proven(spec(), chunk_rows=10)
    sides.assert_same(order='k COLLATE "C"')


def test_a_unique_index_named_in_the_configuration_is_the_key(sides: Sides) -> None:
    sides.both("""
        CREATE TABLE items (id int PRIMARY KEY, code text NOT NULL, part int NOT NULL, liquidation_id int);
        CREATE UNIQUE INDEX items_code_part ON items (part, code) INCLUDE (liquidation_id);
    """)
    sides.prod.execute("INSERT INTO items SELECT g, 'c' || g % 10, g / 10, 42 FROM generate_series(1, 50) g")
    with sides.open(spec(key=("code", "part")), chunk_rows=10) as copy:
        result = copy.run()
        ranges = [chunk.range for chunk in result.chunks]
        assert copy.verify(result).holds
    assert ranges[0].upper == ("c1", "4")
    sides.assert_same()


def test_a_table_without_primary_key_is_copied_by_its_unique_index(sides: Sides) -> None:
    sides.both("CREATE TABLE items (id int NOT NULL UNIQUE, liquidation_id int)")
    sides.prod.execute("INSERT INTO items SELECT g, 42 FROM generate_series(1, 50) g")
    sides.copy_proven(spec(), chunk_rows=10)
    sides.assert_same()


def test_a_key_with_the_liquidation_in_it_leaves_the_same_numbers_of_others_alone(sides: Sides) -> None:
    sides.both(
        "CREATE TABLE items (liquidation_id int, line int, v text, PRIMARY KEY (liquidation_id, line))"
    )
    fill = "INSERT INTO items SELECT l, g, '{}' || l FROM generate_series(1, 50) g, unnest(ARRAY[7, 42]) l"
    sides.prod.execute(fill.format("new"))
    sides.consulta.execute(fill.format("old"))
    others = sides.others(order="line")
    sides.copy_proven(spec(), chunk_rows=10)
    sides.assert_same(order="line")
    assert sides.others(order="line") == others


def test_a_key_that_is_the_liquidation_alone_is_one_row(sides: Sides) -> None:
    sides.both("CREATE TABLE items (liquidation_id int PRIMARY KEY, v text)")
    sides.prod.execute("INSERT INTO items VALUES (42, 'a'), (43, 'b')")
    sides.consulta.execute("INSERT INTO items VALUES (42, 'old')")
    sides.copy_proven(spec(), chunk_rows=1)
    sides.assert_same(order="1")


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TABLE items (id int, liquidation_id int)",
        "CREATE TABLE items (id int UNIQUE, liquidation_id int)",
        "CREATE TABLE items (id int NOT NULL, liquidation_id int); CREATE INDEX ON items (id)",
        "CREATE TABLE items (id int NOT NULL, liquidation_id int);"
        " CREATE UNIQUE INDEX ON items (id) WHERE id > 0",
        "CREATE TABLE items (id int NOT NULL, liquidation_id int); CREATE UNIQUE INDEX ON items ((id + 0))",
    ],
)
def test_a_table_without_a_usable_key_is_refused_with_the_fix(sides: Sides, ddl: str) -> None:
    sides.both(ddl)
    with pytest.raises(
        NoUsableKey, match=r"public\.items of consulta has no primary key .* create one there"
    ):
        sides.copy(spec())


def test_a_table_whose_only_key_is_deferrable_is_refused_with_the_fix(sides: Sides) -> None:
    sides.both("CREATE TABLE items (id int NOT NULL UNIQUE DEFERRABLE, liquidation_id int)")
    with pytest.raises(
        NoUsableKey,
        match=r"key items_id_key of table public\.items of consulta is DEFERRABLE.* create a unique",
    ):
        sides.copy(spec())


def test_a_configured_key_that_is_not_unique_is_refused_with_the_fix(sides: Sides) -> None:
    sides.both("CREATE TABLE items (id int PRIMARY KEY, code text NOT NULL, liquidation_id int)")
    with pytest.raises(
        NoUsableKey, match=r"key \(code\) is not a unique index .* create one, or name another"
    ):
        sides.copy(spec(key=("code",)))
    with pytest.raises(ColumnMissing, match=r"column nothing not found in table public\.items of prod"):
        sides.copy(spec(key=("nothing",)))


def test_rows_without_a_key_in_prod_are_refused_and_never_left_out(sides: Sides) -> None:
    """A view has no NOT NULL; a row whose key is NULL lies in no range."""
    sides.prod.execute("""
        CREATE TABLE base (id int, liquidation_id int);
        INSERT INTO base SELECT nullif(g, 25), 42 FROM generate_series(1, 50) g;
        CREATE VIEW items AS SELECT * FROM base;
    """)
    sides.consulta.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int)")
    with pytest.raises(NoUsableKey, match=r"key \(id\) is NULL in 1 row"):
        sides.copy(spec(), chunk_rows=10)
    sides.prod.execute("DELETE FROM base WHERE id IS NULL")
    sides.copy_proven(spec(), chunk_rows=10)
    sides.assert_same()


def test_a_key_that_prod_holds_twice_fails_and_names_the_index(sides: Sides) -> None:
    sides.prod.execute("""
        CREATE TABLE items (id int, liquidation_id int);
        INSERT INTO items SELECT g % 49, 42 FROM generate_series(1, 50) g
    """)
    sides.consulta.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int)")
    with pytest.raises(Permanent, match="items_pkey") as failed:
        sides.copy(spec(), chunk_rows=10)
    assert failed.value.constraint == "items_pkey"


NUMBERS = {
    "integer": ("integer", "42", "43"),
    "smallint": ("smallint", "42", "43"),
    "numeric": ("numeric(12,0)", "42", "43"),
    "text": ("text", "'42'", "'4'"),
    "varchar": ("varchar(10)", "'42'", "'4'"),
    "char": ("char(10)", "'42'", "'4'"),
    "domain": ("number", "42", "43"),
}


@pytest.mark.parametrize(("type_name", "ours", "other"), NUMBERS.values(), ids=NUMBERS.keys())
def test_the_liquidation_column_may_be_of_any_type_that_holds_its_number(
    sides: Sides, type_name: str, ours: str, other: str
) -> None:
    sides.both(f"""
        CREATE DOMAIN number AS int CHECK (VALUE > 0);
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id {type_name} NOT NULL);
        CREATE INDEX ON items (liquidation_id, id);
    """)
    sides.prod.execute(f"""
        INSERT INTO items SELECT g, CASE WHEN g % 2 = 0 THEN {ours}::{type_name} ELSE {other}::{type_name} END
          FROM generate_series(1, 60) g
    """)
    done = sides.copy_proven(spec(), chunk_rows=7)
    assert done.plan.total == 30
    sides.assert_same(where=f"liquidation_id = {ours}::{type_name}")
    assert sides.consulta.rows("SELECT count(*) FROM items") == [(30,)]


def test_a_number_beyond_the_column_is_a_liquidation_without_rows(sides: Sides) -> None:
    sides.both("CREATE TABLE items (id int PRIMARY KEY, liquidation_id integer)")
    sides.prod.execute("INSERT INTO items VALUES (1, 42), (2, 2147483647)")
    assert sides.copy_proven(spec(), 2**31).plan.total == 0
    assert sides.copy_proven(spec(), 2**63 - 1).plan.total == 0
    assert sides.copy_proven(spec(), 2**31 - 1).plan.total == 1


def test_the_liquidation_column_may_be_wider_in_consulta(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id integer)")
    sides.consulta.execute("CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id numeric)")
    sides.prod.execute("INSERT INTO items SELECT g, 42 FROM generate_series(1, 30) g")
    sides.copy_proven(spec(), chunk_rows=7)
    sides.assert_same(formats=("text",))

"""What PostgreSQL can store arrives identical."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from copier.columns import match_columns
from copier.errors import ColumnsDiffer, NoUsableKey, Permanent
from copier.system_catalog import read_table
from tests.copying import Sides, engine, spec
from tests.support import Database

#: A type, and values that break careless copies.
VALUES: dict[str, list[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "numeric": ["NaN", "Infinity", "-Infinity", "0.000", "-1e-40", "1" + "0" * 400 + ".5", "1.0", "1.00"],
    "numeric(14,2)": ["999999999999.99", "-0.01", "NaN"],
    "numeric(3,-2)": ["99900", "-100"],
    "real": ["NaN", "Infinity", "-Infinity", "-0.0", "1e-45", "3.4028235e38", "0.1"],
    "double precision": ["NaN", "Infinity", "-Infinity", "-0.0", "5e-324", "1.7976931348623157e308", "0.1"],
    "money": ["-92233720368547758.08", "0.01"],
    "text": ["", " ", "NULL", "\\N", "\\.", 'a\tb\nc\r\\d"e', "ñandú 😀 \u0301", "%s %% {0} ${x}",
             "a" * 3000],
    "varchar(5)": ["", "ñandú", "a    "],
    "varchar": ["x"],
    "char(3)": ["", "a", "ñañ"],
    "bpchar": ["a  ", ""],
    '"char"': ["x", "\\377", ""],
    "name": ["n" * 63],
    "bytea": ["\\x", "\\x00ff80c328fe0a0d5c2e", "\\x" + "00" * 5000],
    "date": ["0001-01-01 BC", "4713-01-01 BC", "infinity", "-infinity", "5874897-12-31", "2024-02-29"],
    "time": ["00:00", "24:00", "23:59:59.999999"],
    "timetz": ["00:00+15:59:59", "24:00-15:59:59", "12:34:56.789012-03"],
    "timestamp": ["4713-01-01 00:00 BC", "infinity", "-infinity", "294276-12-31 23:59:59.999999"],
    "timestamptz": ["4714-11-24 00:00+00 BC", "infinity", "-infinity", "294276-12-31 23:59:59.999999+00"],
    "timestamp(0)": ["2024-01-01 12:00:00.6"],
    "interval": ["178000000 years", "-178000000 years", "1 mon -1 day 00:00:00.000001", "24:00", "1 day",
                 "infinity", "-infinity"],
    "interval year to month": ["1 year 2 months"],
    "interval(3)": ["1.2345 s"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "json": ['{"b": 1, "a":  [1.0, null], "b": "\\u00f1\\n"}', "null", ' "x" ', "1e5"],
    "jsonb": ['{"b": 1.00, "a": [1.0, null, "\\u00f1\\"\\\\"]}', "null", '"x"', "-0.0", "1e400", "[]"],
    "jsonpath": ['$."a"[*] ? (@ > 1)'],
    "xml": ["<a>ñ</a>", "", "text &amp; <b/>", '<?xml version="1.0" encoding="UTF-8"?><a>ñ</a>',
            '<?xml version="1.0"?><a/>', '<?xml version="1.0" standalone="yes"?><a/>'],
    "bit(5)": ["10101", "00000"],
    "bit varying": ["", "1", "0101010101010101"],
    "bit varying(9)": ["101010101"],
    "inet": ["10.0.0.1/24", "::ffff:1.2.3.4", "fe80::1/10"],
    "cidr": ["10.0.0.0/8", "::/0"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "point": ["(NaN,-0)", "(Infinity,1e-300)"],
    "line": ["{1,-1,0}"],
    "lseg": ["[(0,0),(1,-1)]"],
    "box": ["(1,1),(0,0)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"],
    "polygon": ["((0,0),(1,1),(2,0))"],
    "circle": ["<(1,2),3>"],
    "tsvector": ["'a':1A,2B 'ñ':3", "", "'it''s' 'back\\\\slash'"],
    "tsquery": ["'a' & !('b' | 'c':*A) <2> 'd'"],
    "int4range": ["empty", "[1,5)", "(,)", "[3,)"],
    "numrange": ["[1.0,1.00]", "(NaN,)", "empty"],
    "daterange": ["[-infinity,infinity]", "[2024-01-01,2024-01-02)"],
    "tstzrange": ['["2024-01-01 00:00+00",infinity)'],
    "nummultirange": ["{}", "{[1.0,2.00),[5,)}"],
    "int4[]": ["{}", "{1,NULL,3}", "[-2:0]={1,2,3}", "[0:1][5:6]={{1,2},{3,NULL}}"],
    "text[]": ['{"","NULL",NULL,"a,b","\\"q\\"","\\\\"}', "{{a,b},{c,d}}"],
    "numeric(6,2)[]": ["{1.00,NaN,NULL}"],
    "bytea[]": ['{"\\\\x00",NULL}'],
    "tsrange[]": ['{"[2024-01-01 00:00:00,infinity)"}'],
    "oid": ["4294967295"],
    "xid8": ["18446744073709551615"],
    "pg_lsn": ["FFFFFFFF/FFFFFFFF"],
    "tid": ["(4294967295,65535)"],
    "pg_snapshot": ["10:20:10,14,15"],
    "aclitem": ["postgres=arwdDxt/postgres"],
    "aclitem[]": ["{postgres=r/postgres,NULL}"],
    "granted": ["(1,postgres=r/postgres)"],
    "information_schema.yes_or_no[]": ["{YES,NO}"],
    "regtype": ["numeric(14,2)", "integer[]", "mood"],
    "regclass": ["items", "pg_catalog.pg_class"],
    "regclass[]": ["{items,NULL}"],
    "mood": ["happy", "it's 50% {sad}"],
    "mood[]": ["{happy,NULL}", "[3:3]={happy}"],
    "pos_int": ["1"],
    "pos_int[]": ["{1,2}"],
    "moods": ["{happy}"],
    "nested_moods": ["{happy}"],
    "pair": ["(1.0,\"a,b\"\"c\")", "(,)", "(NaN,happy)"],
    "pair[]": ['{"(1.0,x)",NULL}'],
    "deep": ['("(1.0,x)","{happy}")'],
    "nested_pair": ["(1.0,x)"],
    "mood_range": ["[happy,)", "empty"],
    "mood_multirange": ["{[happy,happy]}"],
    "pair_range": ['["(1,a)","(2,b)")'],
}  # fmt: skip

TYPES = """
    CREATE TYPE mood AS ENUM ('happy', 'it''s 50% {sad}');
    CREATE DOMAIN pos_int AS int CHECK (VALUE > 0);
    CREATE DOMAIN moods AS mood[];
    CREATE DOMAIN nested_moods AS moods;
    CREATE TYPE pair AS (a numeric, b text);
    CREATE TYPE deep AS (p pair, m mood[]);
    CREATE TYPE granted AS (a int, b aclitem);
    CREATE DOMAIN base_pair AS pair;
    CREATE DOMAIN nested_pair AS base_pair;
    CREATE TYPE mood_range AS RANGE (SUBTYPE = mood);
    CREATE TYPE pair_range AS RANGE (SUBTYPE = pair);
"""


def quote(value: str) -> str:
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def has_xml(sides: Sides) -> bool:
    return bool(sides.prod.rows("SELECT 1 FROM pg_settings WHERE name = 'xmlbinary'")) and "libxml" in str(
        sides.prod.rows("SELECT string_agg(setting, ' ') FROM pg_config()")[0][0]
    )


def test_every_built_in_type_arrives_identical_with_its_extremes(sides: Sides) -> None:
    """One table a type, so that each crosses in the format that it would take by itself."""
    sides.consulta.execute("CREATE TABLE shifts_the_oids (a int); CREATE TYPE and_more AS (a int)")
    wanted = {kind: values for kind, values in VALUES.items() if kind != "xml" or has_xml(sides)}
    ddl, rows = [TYPES, "CREATE TABLE items (id int);"], []
    for number, (kind, values) in enumerate(wanted.items()):
        ddl.append(f"CREATE TABLE t{number} (id int PRIMARY KEY, liquidation_id int, v {kind});")
        every = ", ".join(f"({row}, 42, {quote(value)})" for row, value in enumerate(values))
        rows.append(f"INSERT INTO t{number} VALUES {every}, (99, 42, NULL);")
    sides.both("".join(ddl))
    sides.prod.execute("".join(rows))

    def check(numbered: tuple[int, str]) -> str | None:
        number, kind = numbered
        try:
            done = sides.copy_proven(spec(f"t{number}"))
            assert done.outcomes == ["copied"]
            again = sides.copy_proven(spec(f"t{number}"))
            assert again.outcomes == ["unchanged"]
            assert again.proof.source == done.proof.source
            binary = kind not in OIDS_INSIDE
            sides.assert_same(f"t{number}", formats=("text", "binary") if binary else ("text",))
        except Exception as error:
            return f"{kind}: {type(error).__name__} {error} {error.__cause__}"
        return None

    with ThreadPoolExecutor(4) as pool:
        wrong = [each for each in pool.map(check, enumerate(wanted)) if each]
    assert not wrong, "\n".join(wrong)


#: Their binary form holds numbers that each server gave, so it can't be compared; or there is none.
OIDS_INSIDE = {"mood[]", "pos_int[]", "moods", "nested_moods", "pair", "pair[]", "deep", "nested_pair",
               "pair_range", "aclitem", "aclitem[]", "granted", "regtype", "regclass",
               "regclass[]"}  # fmt: skip


CROSSES_IN_BINARY = {
    True: ["numeric[]", "mood", "pos_int", "mood_range"],
    False: [
        "mood[]",
        "nested_moods",
        "pair",
        "nested_pair",
        "pair_range",
        "regclass",
        "aclitem",
        "aclitem[]",
        # PostgreSQL's own, but each version gives it another number
        "information_schema.yes_or_no[]",
    ],
}


def test_bytes_are_passed_through_unless_they_hold_what_only_one_server_knows(sides: Sides) -> None:
    sides.both(TYPES)
    for crosses_in_binary, kinds in CROSSES_IN_BINARY.items():
        for kind in kinds:
            sides.both(f"""
                DROP TABLE IF EXISTS items;
                CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v {kind})
            """)
            with engine(sides.prod.url).connect() as prod, engine(sides.consulta.url).connect() as consulta:
                matched = match_columns(
                    read_table(prod, "prod", spec().source_table),
                    read_table(consulta, "consulta", spec().target_table),
                )
            assert (kind, matched.binary) == (kind, crosses_in_binary)


def test_widened_columns_keep_every_value(sides: Sides) -> None:
    sides.prod.execute("""
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, a smallint, b real, c varchar(9), d date,
                            e numeric(10,2), f timestamp(3), g text, h bigint);
        INSERT INTO items VALUES
            (1, 42, -32768, 0.1, 'ñ\\"%', '-infinity', 1.10, '2024-01-01 00:00:00.123', '', 1),
            (2, 42, NULL, 'NaN', NULL, '0001-01-01 BC', 'NaN', NULL, NULL, NULL)
    """)
    sides.consulta.execute("""
        CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, a integer, b float8, c text,
                            d timestamp, e numeric(14,4), f timestamp, g varchar, h numeric)
    """)
    sides.copy_proven(spec())
    assert sides.copy_proven(spec()).outcomes == ["unchanged"]
    cast = "id, liquidation_id, a::int, b::float8, c, d::timestamp, e::numeric(14,4), f, g, h::numeric"
    sides.assert_same(columns=cast, formats=("text",))


def test_columns_in_another_order_dropped_generated_and_identity_ones_find_each_other(sides: Sides) -> None:
    sides.prod.execute("""
        CREATE TABLE items (gone int, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text,
                            liquidation_id int, b int, total int GENERATED ALWAYS AS (b * 2) STORED,
                            virtual int GENERATED ALWAYS AS (b * 3) VIRTUAL,
                            plain int GENERATED ALWAYS AS (b) STORED);
        ALTER TABLE items DROP COLUMN gone;
        INSERT INTO items (a, liquidation_id, b) SELECT 'x' || g, 42, g FROM generate_series(1, 40) g;
    """)
    sides.consulta.execute("""
        CREATE TABLE items (b int, gone text, liquidation_id int,
                            total int GENERATED ALWAYS AS (b * 2) STORED, plain int,
                            virtual int GENERATED ALWAYS AS (b * 3) VIRTUAL, a text,
                            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                            extra text DEFAULT 'filled', more int,
                            numbered int GENERATED BY DEFAULT AS IDENTITY);
        ALTER TABLE items DROP COLUMN gone;
        INSERT INTO items (id, liquidation_id, b) OVERRIDING SYSTEM VALUE VALUES (3, 7, 0), (50, 42, 0);
    """)
    done = sides.copy_proven(spec(), chunk_rows=9)
    assert sum(chunk.moved for chunk in done.chunks) == 1
    sides.assert_same(columns="id, a, b, total, virtual, plain, liquidation_id")
    assert sides.consulta.rows("SELECT DISTINCT extra, more FROM items") == [("filled", None)]


def test_a_column_that_consulta_computes_otherwise_than_prod_breaks_the_proof(sides: Sides) -> None:
    sides.prod.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, total int)")
    sides.consulta.execute("""
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id int,
                            total int GENERATED ALWAYS AS (id * 2) STORED)
    """)
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 2), (2, 42, 4)")
    sides.copy_proven(spec())
    sides.prod.execute("UPDATE items SET total = 5 WHERE id = 2")
    assert not sides.copy(spec()).proof.holds


def test_columns_that_differ_are_refused_before_the_first_row(sides: Sides) -> None:
    sides.prod.execute("""
        CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id int, a text, b interval, c int)
    """)
    sides.consulta.execute("""
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, a char(9), b interval hour to minute,
                            must int NOT NULL);
        INSERT INTO items VALUES (1, 42, 'x', NULL, 1);
    """)
    with pytest.raises(ColumnsDiffer) as refused:
        sides.copy(spec())
    assert refused.value.lines == [
        "id is bigint in prod and integer in consulta: make consulta's column bigint",
        "a is text in prod and character(9) in consulta: make consulta's column text",
        "b is interval in prod and interval hour to minute in consulta: make consulta's column interval",
        "must is NOT NULL without a default in consulta and missing in prod: "
        "give it a default, or drop NOT NULL",
        "c (integer) is missing in consulta: add it there",
    ]
    assert sides.consulta.rows("SELECT id FROM items") == [(1,)]


AWKWARD = [
    "order",
    "50% {off}",
    'a"b',
    "back\\slash",
    "it's",
    "%s",
    "%(x)s",
    "ñ" * 31,
    "a" * 63,
    " ",
    "$1",
    ":x",
]


def amounts(sides: Sides, ours: str, theirs: str, value: str) -> None:
    """A domain ``amount`` that each side makes of another type, and one row of prod."""
    for side, base in ((sides.prod, ours), (sides.consulta, theirs)):
        side.execute(f"CREATE DOMAIN amount AS {base}")
        side.execute("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v amount)")
    sides.prod.execute(f"INSERT INTO items VALUES (1, 42, {value})")


@pytest.mark.parametrize(
    ("ours", "theirs", "value"),
    [
        ("numeric", "float8", "0.12345678901234567890123"),
        ("bigint", "float8", "9007199254740993"),
        ("char(5)", "text", "'ab'"),
    ],
)
def test_two_types_of_one_name_are_refused_before_the_first_row(
    sides: Sides, ours: str, theirs: str, value: str
) -> None:
    amounts(sides, ours, theirs, value)
    with pytest.raises(ColumnsDiffer, match="these are two types of one name"):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT * FROM items") == []


def test_two_types_of_one_name_that_both_hold_any_text_are_copied(sides: Sides) -> None:
    amounts(sides, "varchar(9)", "text", "'ab  '")
    sides.copy_proven(spec())
    sides.assert_same()


def test_awkward_names_of_schema_table_and_columns_are_only_names(sides: Sides) -> None:
    def q(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    table = f"{q('50% of {x} %s')}.{q('We' + chr(34) + 'ird %(x)s ' + chr(92) + ' :y')}"
    columns = ", ".join(f"{q(name)} text" for name in AWKWARD)
    sides.both(f"""
        CREATE SCHEMA {q("50% of {x} %s")};
        CREATE TABLE {table} ({q("Key %s")} text PRIMARY KEY, {q("Liq %s {0}")} int, {columns})
    """)
    values = ", ".join(quote(name) for name in AWKWARD)
    sides.prod.execute(f"INSERT INTO {table} SELECT 'k%s' || g, 42, {values} FROM generate_series(1, 30) g")
    sides.consulta.execute(
        f"INSERT INTO {table} ({q('Key %s')}, {q('Liq %s {0}')}) VALUES ('k%s7', 9), ('zz', 42)"
    )
    wanted = spec(table, column="Liq %s {0}", key=("Key %s",))
    assert sum(chunk.moved for chunk in sides.copy_proven(wanted, chunk_rows=7).chunks) == 1
    sides.assert_same(table, f"{q('Liq %s {0}')} = 42", q("Key %s"))
    assert sides.copy_proven(wanted, chunk_rows=7).outcomes == ["unchanged"] * 5


def test_narrow_and_300_column_tables_and_null_everywhere(sides: Sides) -> None:
    wide = ", ".join(f"c{n} {('int', 'text', 'numeric')[n % 3]}" for n in range(300))
    sides.both(f"""
        CREATE TABLE narrow (id int PRIMARY KEY, liquidation_id int);
        CREATE TABLE wide (id int PRIMARY KEY, liquidation_id int, {wide});
    """)
    sides.prod.execute(f"""
        INSERT INTO narrow SELECT g, 42 FROM generate_series(1, 20) g;
        INSERT INTO wide (id, liquidation_id) SELECT g, 42 FROM generate_series(1, 20) g;
        INSERT INTO wide SELECT 21, 42, {", ".join(map(str, range(300)))};
    """)
    for table in ("narrow", "wide"):
        sides.copy_proven(spec(table), chunk_rows=7)
        sides.assert_same(table)


def test_very_wide_rows_arrive_whole(sides: Sides) -> None:
    sides.both("CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, t text, b bytea)")
    sides.prod.execute("""
        INSERT INTO items
        SELECT g, 42, repeat('ñandú' || g, 900000), convert_to(repeat('x' || g, 500000), 'UTF8')
          FROM generate_series(1, 4) g
    """)
    done = sides.copy_proven(spec(), chunk_rows=2)
    assert sum(chunk.bytes for chunk in done.chunks) > 4 * 6_000_000
    sides.assert_same()


def test_partitioned_tables_and_a_view_are_tables_too(sides: Sides) -> None:
    sides.prod.execute("""
        CREATE TABLE base (id int PRIMARY KEY, liquidation_id int, v text);
        INSERT INTO base SELECT g, 40 + g % 4, 'v' || g FROM generate_series(1, 200) g;
        CREATE VIEW items AS SELECT id, liquidation_id, upper(v) AS v FROM base;
    """)
    sides.consulta.execute("""
        CREATE TABLE items (id int, liquidation_id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF items FOR VALUES FROM (MINVALUE) TO (100);
        CREATE TABLE high (v text, id int NOT NULL, liquidation_id int);
        ALTER TABLE items ATTACH PARTITION high FOR VALUES FROM (100) TO (MAXVALUE);
        INSERT INTO items VALUES (2, 7, 'moves'), (202, 42, 'surplus');
    """)
    sides.copy_proven(spec(), chunk_rows=9)
    sides.assert_same()


def test_a_consulta_of_another_encoding_gets_the_same_characters(sides: Sides) -> None:
    name = sides.consulta.name + "_latin1"
    sides.consulta.server.create_database(name, encoding="LATIN1", locale="C")
    latin = Sides(sides.prod, Database(sides.consulta.server, name))
    for side in (latin.prod, latin.consulta):
        with psycopg.connect(side.url, client_encoding="UTF8") as connection:
            connection.execute("""
                CREATE TYPE mood AS ENUM ('año');
                CREATE TABLE items (k text PRIMARY KEY, liquidation_id int, t varchar(9), j jsonb, c char(3),
                                    m mood[])
            """)
    latin.prod.execute("""
        INSERT INTO items SELECT chr(200 + g) || g, 42, 'ñandú ' || g, '{"é": "ü"}', 'ñ', '{año}'
          FROM generate_series(1, 30) g
    """)
    latin.copy_proven(spec(), chunk_rows=7)
    assert latin.copy_proven(spec(), chunk_rows=7).outcomes == ["unchanged"] * 5
    latin.assert_same(order='k COLLATE "C"', formats=("text",))
    latin.prod.execute("UPDATE items SET t = '😀' WHERE t = 'ñandú 30'")
    with pytest.raises(Permanent, match="UntranslatableCharacter") as failed:
        latin.copy(spec(), chunk_rows=7)
    assert failed.value.side == "consulta"
    sides.consulta.server.drop_database(name)


DOMAINS = {
    "one": "CREATE DOMAIN felt AS mood",
    "two": "CREATE DOMAIN once AS mood; CREATE DOMAIN felt AS once",
}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS.keys())
def test_a_domain_over_an_enum_is_copied_and_refused_as_a_key(sides: Sides, domain: str) -> None:
    sides.both(
        f"CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad'); {domain}; "
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v felt); "
        "CREATE TABLE keyed (id felt PRIMARY KEY, liquidation_id int)"
    )
    sides.prod.execute("INSERT INTO items VALUES (1, 42, 'sad'), (2, 42, 'glad'), (3, 42, NULL)")
    sides.copy_proven(spec(), chunk_rows=1)
    assert set(sides.copy_proven(spec(), chunk_rows=1).outcomes) == {"unchanged"}
    sides.assert_same()
    with pytest.raises(NoUsableKey, match="a domain over an enum"):
        sides.copy(spec("keyed"))

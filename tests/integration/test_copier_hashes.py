"""Two rows have one hash only where their bytes are the same, by the functions of each version."""

from __future__ import annotations

from itertools import combinations

import pytest

from copier import TableName, statements
from copier.columns import match_columns
from copier.model import Digest
from copier.row_hash import hashed, row_hash
from copier.system_catalog import read_table
from tests.copying import Sides, engine, spec

#: Before 18 some types can be hashed within a record only; 14 is the oldest version that is supported.
VERSIONS = (14, 18)

#: Columns, and rows of which no two are the same to the bit, though some are equal or nearly so to SQL.
ALIKE: dict[str, tuple[str, list[str]]] = {
    "values of two columns exchanged": ("a int, b int", ["1, 2", "2, 1"]),
    "texts of two columns exchanged": ("a text, b text", ["'x', 'y'", "'y', 'x'", "'xy', ''", "'', 'xy'"]),
    "NULL in one column or in another": ("a int, b text, c date, d bigint, e boolean", [
        "NULL, '', '2000-01-01', 0, false", "0, NULL, '2000-01-01', 0, false", "0, '', NULL, 0, false",
        "0, '', '2000-01-01', NULL, false", "0, '', '2000-01-01', 0, NULL", "0, '', '2000-01-01', 0, false",
        "NULL, NULL, NULL, NULL, NULL",
    ]),
    "the sign of two numbers": ("a numeric(9,2), b numeric(9,2)", ["1, 2", "-1, -2", "-1, 2", "1, -2"]),
    "two numbers ten thousand times as large": ("a numeric(9,2), b numeric(9,2)", ["1, 2", "10000, 20000"]),
    "the halves of a bigint": ("a bigint, b bigint", [
        "1, 0", "1::bigint << 32, 0", "0, 1", "0, 1::bigint << 32", "-1, 0", "(-1)::bigint << 32, 0",
        "(1::bigint << 32) | 1, 0", "9223372036854775807, 0", "(-9223372036854775808), 0",
    ]),
    "numbers that move from one bigint to the next": ("a bigint, b bigint", ["5, 7", "7, 5", "5, 5", "7, 7"]),
    "true and false of two columns": ("a boolean, b boolean", ["true, false", "false, true", "true, true"]),
    "bytes of two columns exchanged": ("a bytea, b bytea", [r"'\x00', '\x'", r"'\x', '\x00'", r"'\x', NULL"]),
    "dates": ("a date, b date", ["'infinity', '-infinity'", "'-infinity', 'infinity'", "'2000-01-01', NULL"]),
    "moments that are folded alike": ("a timestamptz", [
        "'2000-01-01 00:00:00.000001+00'", "'2000-01-01 01:11:34.967296+00'",
    ]),
    "the scale of a number within jsonb": ("a jsonb", ["'[1.0]'", "'[1.00]'", "'[[1.0]]'"]),
    "a key that moves to the object around it": ("a jsonb", [
        """'{"a": {"b": 1}, "c": 2}'""", """'{"a": {"b": 1, "c": 2}}'""",
    ]),
    "a blank at the end": ("a varchar(5), b char(5)", ["'x', 'y'", "'x ', 'y'", "'x', 'z'"]),
}  # fmt: skip


def hash_of(sides: Sides, table: str, version: int) -> str:
    with engine(sides.prod.url).connect() as connection:
        found = read_table(connection, "prod", TableName("public", table))
        pairs = match_columns(found, found).pairs
        expression = row_hash([hashed(pair, of_source=True) for pair in pairs], version=version)
        return expression.as_string(connection.connection.driver_connection)


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_that_differ_in_a_bit_have_different_hashes(sides: Sides, version: int) -> None:
    for name, (columns, rows) in ALIKE.items():
        sides.prod.execute(f"DROP TABLE IF EXISTS items; CREATE TABLE items ({columns})")
        for row in rows:
            sides.prod.execute(f"INSERT INTO items VALUES ({row})")
        hashes = [
            each[0] for each in sides.prod.rows(f"SELECT {hash_of(sides, 'items', version)} FROM items")
        ]
        assert None not in hashes, name
        alike = [(rows[i], rows[j]) for i, j in combinations(range(len(rows)), 2) if hashes[i] == hashes[j]]
        assert not alike, name


@pytest.mark.parametrize("version", VERSIONS)
def test_a_value_that_two_rows_exchange_changes_the_digest(sides: Sides, version: int) -> None:
    for columns, ours, theirs in (
        ("id int, v text", "(1, 'a'), (2, 'b')", "(1, 'b'), (2, 'a')"),
        ("id bigint, v date", "(1, '2000-01-01'), (2, NULL)", "(1, NULL), (2, '2000-01-01')"),
        ("id text, v numeric", "('x', 1.0), ('y', 1.00)", "('x', 1.00), ('y', 1.0)"),
    ):
        digests = []
        for rows in (ours, theirs):
            sides.prod.execute(
                f"DROP TABLE IF EXISTS items; CREATE TABLE items ({columns}); INSERT INTO items VALUES {rows}"
            )
            digests += sides.prod.rows(f"SELECT bit_xor({hash_of(sides, 'items', version)}) FROM items")
        assert digests[0] != digests[1], columns


COLUMNS = """
    id bigint PRIMARY KEY, liquidation_id numeric, amount numeric(9,2), paid_at timestamptz, metadata jsonb,
    code char(3), label text, is_final boolean, day date,
    twice numeric GENERATED ALWAYS AS (amount * 2) STORED
"""
ROWS = """
    INSERT INTO items
    SELECT g, 42.0, nullif(g % 7, 3) / 2.0, timestamptz '2024-03-10 02:30+00' + g * interval '1 s',
           jsonb_build_object('line', g, 'tags', ARRAY['a', 'ñ']), 'ARS', nullif('n' || g % 5, 'n3'),
           g % 2 = 0, date '2024-01-31' - g::int
      FROM generate_series(1, 50) g
"""
ALTER = "UPDATE items SET amount = coalesce(amount, 0) + 1"


@pytest.mark.parametrize("before", ["nothing", "all otherwise"])
def test_rows_bring_the_hashes_that_prod_gives_when_it_is_asked(sides: Sides, before: str) -> None:
    sides.both(f"CREATE TABLE items ({COLUMNS})")
    sides.prod.execute(ROWS)
    if before == "all otherwise":
        sides.consulta.execute(f"{ROWS}; {ALTER}")
    with sides.open(spec(), chunk_rows=20) as copy:
        result = copy.run()
        chunks = result.chunks
        asked = [
            sides.prod.rows(statements.digest(copy._source, chunk.range).as_string())[0] for chunk in chunks
        ]
        assert [chunk.source for chunk in chunks] == [Digest(*each) for each in asked]
        assert copy.verify(result).holds
    sides.assert_same()


def test_who_compares_nothing_pays_for_no_hashes(sides: Sides) -> None:
    sides.both(f"CREATE TABLE items ({COLUMNS})")
    sides.prod.execute(ROWS)
    with sides.open(spec(), chunk_rows=20) as copy:
        result = copy.run(hashed=False)
        assert [chunk.source for chunk in result.chunks] == [None] * 3
        assert copy.verify(result).holds
    sides.assert_same()

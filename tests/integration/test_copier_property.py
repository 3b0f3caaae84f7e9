"""Whatever table, rows and edits: both sides are equal afterwards, and nothing else in consulta changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from copier import Counts
from tests.copying import Sides, spec
from tests.support import Database

#: Values of each type as SQL writes them; equal ones that are not identical are neighbours.
VALUES: dict[str, list[str]] = {
    "smallint": ["0", "-32768", "32767"],
    "bigint": ["1", "4294967296", "-9223372036854775808"],
    "numeric": ["1", "1.0", "'NaN'", "-0.00001"],
    "numeric(8,2)": ["0", "-999999.99"],
    "float8": ["0.0", "'-0.0'", "'NaN'", "1e-300"],
    "boolean": ["true", "false"],
    "text": ["''", "'ñandú'", "E'a\\tb\\\\N'", "repeat('x', 3000)"],
    "varchar(5)": ["'a'", "'a '"],
    "char(3)": ["''", "'ab'"],
    "bytea": ["''", "'\\x00ff'"],
    "date": ["'infinity'", "'0044-03-15 BC'", "'2024-02-29'"],
    "timestamptz": ["'2024-01-01 00:00:00.000001+00'", "'-infinity'"],
    "interval": ["'1 day'", "'24:00'", "'1 mon'", "'30 days'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "jsonb": ["'null'", """'{"a": 1.0}'""", """'{"a": 1.00}'""", "'[]'"],
    "int[]": ["'{}'", "'{1,NULL}'", "'[0:1]={1,2}'"],
    "numrange": ["'[1,2)'", "'[1.0,2)'", "'empty'"],
    "inet": ["'10.0.0.1/24'", "'10.0.0.1'"],
}
#: Columns of the key, and the key of row n.
KEYS = {
    "a bigint": "{n}",
    "a text": "'k' || {n}",
    "a uuid": "md5({n}::text)::uuid",
    "a date": "date '2024-01-01' - {n}",
    "a numeric": "{n} / 7.0",
    "a int, b text": "{n} / 3, 'b' || ({n} % 3)",
    "liquidation_id int, a int": "{liquidation}, {n}",
}


@dataclass(frozen=True)
class Shape:
    key: str
    types: tuple[str, ...]
    index: bool

    @property
    def names(self) -> list[str]:
        return [column.split()[0] for column in self.key.split(", ")]

    @property
    def ddl(self) -> str:
        own = "" if "liquidation_id" in self.names else ", liquidation_id int"
        columns = "".join(f", c{number} {kind}" for number, kind in enumerate(self.types))
        index = "; CREATE INDEX ON items (liquidation_id, a)" if self.index else ""
        return f"CREATE TABLE items ({self.key}{own}{columns}, PRIMARY KEY ({', '.join(self.names)})){index};"

    def insert(self, number: int, row: Row) -> str:
        key = KEYS[self.key].format(n=number, liquidation=row[0])
        own = "" if "liquidation_id" in self.names else f", {row[0]}"
        values = "".join(
            ", " + (VALUES[kind][choice % len(VALUES[kind])] if choice is not None else "NULL")
            for kind, choice in zip(self.types, row[1], strict=False)
        )
        return f"INSERT INTO items VALUES ({key}{own}{values});"


#: The liquidation, and which value each column has.
Row = tuple[int, list[int | None]]

shapes = st.builds(
    Shape,
    st.sampled_from(sorted(KEYS)),
    st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5).map(tuple),
    st.booleans(),
)
rows = st.tuples(
    st.sampled_from([42, 42, 42, 7]),
    st.lists(st.none() | st.integers(0, 3), min_size=5, max_size=5),
)
tables = st.dictionaries(st.integers(0, 30), rows, max_size=25)
#: Rows that prod gets, or loses (None), between the first copy and the second.
edits = st.dictionaries(st.integers(0, 35), st.none() | rows, max_size=8)


def fill(database: Database, shape: Shape, wanted: dict[int, Row]) -> None:
    database.execute("DELETE FROM items;" + "".join(shape.insert(key, row) for key, row in wanted.items()))


@settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],  # what fails is small as it is, and to shrink it takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(shapes, tables, tables, edits, st.integers(1, 12), st.integers(1, 3))
def test_both_sides_are_equal_after_a_copy_and_after_edits_and_another_copy(
    sides: Sides,
    shape: Shape,
    ours: dict[int, Row],
    theirs: dict[int, Row],
    changes: dict[int, Row | None],
    chunk_rows: int,
    parallel: int,
) -> None:
    sides.both("DROP TABLE IF EXISTS items;" + shape.ddl)
    fill(sides.prod, shape, ours)
    fill(sides.consulta, shape, theirs)
    copied_and_nothing_else(sides, shape, chunk_rows=chunk_rows, parallel=parallel)
    edited = {key: row for key, row in (ours | changes).items() if row is not None}
    fill(sides.prod, shape, edited)
    copied_and_nothing_else(sides, shape, chunk_rows=chunk_rows, parallel=parallel)
    before = sides.others(where="true", order=order(shape))
    done = sides.copy_proven(spec(), chunk_rows=chunk_rows, parallel=parallel)
    assert done.counts == Counts(unchanged=done.plan.total)
    assert sides.others(where="true", order=order(shape)) == before


def copied_and_nothing_else(sides: Sides, shape: Shape, **options: Any) -> None:
    names = ", ".join(shape.names)
    keys = sides.prod.rows(f"SELECT ({names})::text FROM items WHERE liquidation_id = 42")
    moved = ", ".join("'" + key.replace("'", "''") + "'" for (key,) in keys) or "''"
    elsewhere = f"liquidation_id <> 42 AND ({names})::text NOT IN ({moved})"
    others = sides.others(where=elsewhere, order=order(shape))
    sides.copy_proven(spec(), **options)
    sides.assert_same(order=order(shape))
    assert sides.others(order=order(shape)) == others


def order(shape: Shape) -> str:
    return ", ".join(shape.names)


LINKED = """
    CREATE TABLE items (
        id int PRIMARY KEY, liquidation_id int, refers int REFERENCES items{}, u int UNIQUE, v int);
    INSERT INTO items VALUES (1000, 7, 1001, 1000, 0), (1001, 7, 1000, 1001, 0);
"""


@st.composite
def linked(draw: st.DrawFn) -> list[tuple[int, int | None, int, int]]:
    """Rows that refer to each other, each with a unique value of its own: key, reference, and two values."""
    keys = draw(st.lists(st.integers(0, 20), unique=True, max_size=15))
    values = draw(st.permutations(range(15)))
    refers = [draw(st.none() | st.sampled_from(keys)) for _ in keys]
    others = [draw(st.integers(0, 2)) for _ in keys]
    return list(zip(keys, refers, values, others, strict=False))


def fill_linked(database: Database, found: list[tuple[int, int | None, int, int]]) -> None:
    database.execute("DELETE FROM items WHERE liquidation_id = 42")
    if found:
        values = ", ".join(f"({key}, 42, {refers or 'NULL'}, {u}, {v})" for key, refers, u, v in found)
        database.execute(f"INSERT INTO items VALUES {values}")


@settings(
    max_examples=60,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(
    linked(),
    linked(),
    st.sampled_from(["", " ON DELETE RESTRICT", " DEFERRABLE INITIALLY DEFERRED"]),
    st.integers(1, 8),
    st.integers(1, 3),
)
def test_rows_that_refer_to_each_other_and_exchange_unique_values_end_as_in_prod(
    sides: Sides,
    ours: list[tuple[int, int | None, int, int]],
    theirs: list[tuple[int, int | None, int, int]],
    action: str,
    chunk_rows: int,
    parallel: int,
) -> None:
    sides.both("DROP TABLE IF EXISTS items;" + LINKED.format(action))
    if "RESTRICT" in action:  # such rows can't be replaced, and so can't exchange a unique value
        ours, theirs = ([(key, refers, key, v) for key, refers, _, v in rows] for rows in (ours, theirs))
    ours = [(key, refers if refers in {row[0] for row in ours} else None, u, v) for key, refers, u, v in ours]
    fill_linked(sides.prod, ours)
    fill_linked(sides.consulta, theirs)
    others = sides.others()
    done = sides.copy_proven(spec(), chunk_rows=chunk_rows, parallel=parallel)
    assert sum(chunk.rows for chunk in done.chunks) == len(ours)
    sides.assert_same()
    assert sides.others() == others

"""Key ranges cover everything exactly once, and their WHERE says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copier.catalog import Column, ColumnType
from copier.keyset import KeyColumn, KeyRange, Keyset, cut, keyset_of, number_literal


def column(name: str, type_sql: str = "bigint", collation: str | None = None, exact: bool = True) -> Column:
    return Column(
        name=name,
        type=ColumnType(type_sql, type_sql, ("pg_catalog", "int8send"), True),
        not_null=True,
        has_default=False,
        is_generated=False,
        is_identity=False,
        collation=collation,
        deterministic=exact,
        encoding="UTF8",
    )


def boundaries(keys: list[int], chunk_rows: int) -> list[tuple[str, ...]]:
    """What the server answers: every chunk_rows-th key in order."""
    return [(str(key),) for key in sorted(keys)[chunk_rows - 1 :: chunk_rows]]


def holds(part: KeyRange, key: int) -> bool:
    return (part.lower is None or int(part.lower[0]) < key) and (
        part.upper is None or key <= int(part.upper[0])
    )


@given(st.sets(st.integers(-50, 50)), st.integers(1, 12), st.sets(st.integers(-60, 60)))
def test_every_key_of_either_side_lies_in_exactly_one_range(
    ours: set[int], chunk_rows: int, theirs: set[int]
) -> None:
    ranges = cut(boundaries(list(ours), chunk_rows), len(ours), chunk_rows)
    for key in ours | theirs:
        assert len([part for part in ranges if holds(part, key)]) == 1
    assert [part.rows for part in ranges] == [sum(holds(part, key) for key in ours) for part in ranges]
    assert [part.number for part in ranges] == list(range(1, len(ranges) + 1))
    assert len(ranges) == max(1, -(-len(ours) // chunk_rows))


@pytest.mark.parametrize(
    ("total", "rows"),
    [(0, [0]), (1, [1]), (9, [9]), (10, [10]), (11, [10, 1]), (20, [10, 10]), (25, [10, 10, 5])],
)
def test_the_last_range_takes_what_is_left(total: int, rows: list[int]) -> None:
    ranges = cut(boundaries(list(range(total)), 10), total, 10)
    assert [part.rows for part in ranges] == rows


def test_the_first_range_has_no_lower_and_the_last_no_upper_bound() -> None:
    first, last = cut([("a",), ("b",)], 4, 2)
    assert (first.lower, first.upper, last.lower, last.upper) == (None, ("a",), ("a",), None)


def keyset(*columns: KeyColumn, liquidation_type: str = "bigint") -> Keyset:
    return Keyset("liq", liquidation_type, columns)


def test_a_range_of_a_composite_key_compares_whole_rows() -> None:
    keys = keyset(KeyColumn("a", "bigint"), KeyColumn('b"', "text", by_bytes=True))
    part = KeyRange(2, ("1", "x'y"), ("2", "back\\slash"), 10)
    assert keys.within(42, part).as_string() == (
        '"liq" = 42::bigint'
        """ AND ("liq", "a", "b\"\"" COLLATE "C") > (42::bigint, '1'::bigint, 'x''y'::text)"""
        """ AND ("liq", "a", "b\"\"" COLLATE "C") <= (42::bigint, '2'::bigint,  E'back\\\\slash'::text)"""
    )


def test_the_open_ends_carry_no_condition_on_the_key() -> None:
    keys = keyset(KeyColumn("id", "bigint"))
    assert keys.within(42, KeyRange(1, None, None, 0)).as_string() == '"liq" = 42::bigint'
    assert "<=" not in keys.within(42, KeyRange(1, ("1",), None, 0)).as_string()
    assert ">" not in keys.within(42, KeyRange(1, None, ("1",), 0)).as_string()


@pytest.mark.parametrize(
    ("type_sql", "written"),
    [
        ("integer", "9223372036854775807::bigint"),
        ("smallint", "9223372036854775807::bigint"),
        ("numeric", "'9223372036854775807'::numeric"),
        ("text", "'9223372036854775807'::text"),
    ],
)
def test_a_liquidation_number_never_overflows_the_type_of_its_column(type_sql: str, written: str) -> None:
    assert number_literal(2**63 - 1, type_sql).as_string() == written


def test_a_text_key_that_the_sides_order_differently_is_compared_by_its_bytes() -> None:
    liquidation = column("liq")
    same, other = column("code", "text", "c:en"), column("code", "text", "c:es")
    fuzzy = column("code", "text", "i:und", exact=False)
    assert not keyset_of(liquidation, [same], [same]).columns[0].by_bytes
    assert keyset_of(liquidation, [same], [other]).columns[0].by_bytes
    assert keyset_of(liquidation, [fuzzy], [fuzzy]).columns[0].by_bytes
    assert not keyset_of(liquidation, [column("id")], [column("id")]).columns[0].by_bytes


def test_a_key_with_the_liquidation_in_it_names_rows_within_the_liquidation_only() -> None:
    liquidation, number = column("liq"), column("n")
    keys = keyset_of(liquidation, [liquidation, number], [liquidation, number])
    assert [each.name for each in keys.columns] == ["n"]
    assert not keys.across_liquidations
    assert keyset_of(liquidation, [number], [number]).across_liquidations

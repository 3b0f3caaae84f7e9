"""Key ranges cover everything exactly once, and their WHERE says so."""

from __future__ import annotations

import pytest

from copier.keys import KeyColumn, Keyset, keyset_of, number_literal
from copier.model import KeyRange
from tests.columns import column


def keyset(*columns: KeyColumn, liquidation_type: str = "bigint") -> Keyset:
    return Keyset("liq", liquidation_type, columns)


def test_a_range_of_a_composite_key_compares_whole_rows() -> None:
    keys = keyset(KeyColumn("a", "bigint"), KeyColumn('b"', "text", by_bytes=True))
    part = KeyRange(2, ("1", "x'y"), ("2", "back\\slash"), 10)
    assert keys.within(42, part).as_string() == (
        """("liq", "a", "b\"\"" COLLATE "C") > (42::bigint, '1'::bigint, 'x''y'::text)"""
        """ AND ("liq", "a", "b\"\"" COLLATE "C") <= (42::bigint, '2'::bigint,  E'back\\\\slash'::text)"""
    )


def test_the_open_ends_carry_no_condition_on_the_key() -> None:
    keys = keyset(KeyColumn("id", "bigint"))
    assert keys.within(42, KeyRange(1, None, None, 0)).as_string() == '"liq" = 42::bigint'
    assert keys.within(42, KeyRange(1, ("1",), None, 0)).as_string() == (
        """("liq", "id") > (42::bigint, '1'::bigint) AND "liq" <= 42::bigint"""
    )
    assert keys.within(42, KeyRange(1, None, ("1",), 0)).as_string() == (
        """"liq" >= 42::bigint AND ("liq", "id") <= (42::bigint, '1'::bigint)"""
    )


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
    liquidation = column("liq", "bigint")
    same, other = column("code", "text", collation="c:en"), column("code", "text", collation="c:es")
    fuzzy = column("code", "text", collation="i:und", exact=False)
    assert not keyset_of(liquidation, [same], [same]).columns[0].by_bytes
    assert keyset_of(liquidation, [same], [other]).columns[0].by_bytes
    assert keyset_of(liquidation, [fuzzy], [fuzzy]).columns[0].by_bytes
    assert not keyset_of(liquidation, [column("id", "bigint")], [column("id", "bigint")]).columns[0].by_bytes


def test_a_key_with_the_liquidation_in_it_names_rows_within_the_liquidation_only() -> None:
    liquidation, number = column("liq", "bigint"), column("n", "bigint")
    keys = keyset_of(liquidation, [liquidation, number], [liquidation, number])
    assert [each.name for each in keys.columns] == ["n"]
    assert not keys.across_liquidations
    assert keyset_of(liquidation, [number], [number]).across_liquidations


def test_a_key_whose_type_has_operators_of_its_own_is_compared_by_these_column_by_column() -> None:
    keys = keyset(
        KeyColumn("a", "bigint"),
        KeyColumn("b", "x.citext", by_bytes=True, operators='the "x"'),
        KeyColumn("c", "date"),
    )
    own = 'OPERATOR("the ""x""".{})'
    more, at_least = (own.format(sign) for sign in (">", ">="))
    assert keys.within(42, KeyRange(2, ("1", "y", "2024-01-01"), None, 10)).as_string() == (
        '"liq" = 42::bigint'
        """ AND "a" OPERATOR("pg_catalog".>=) '1'::bigint"""
        """ AND ("a" OPERATOR("pg_catalog".>) '1'::bigint OR"""
        f""" ("b" COLLATE "C" {at_least} 'y'::x.citext AND ("b" COLLATE "C" {more} 'y'::x.citext OR"""
        """ ("c" OPERATOR("pg_catalog".>) '2024-01-01'::date)))) AND "liq" <= 42::bigint"""
    )
    assert keys.one_of([("1", "y", "2024-01-01")]).as_string() == (
        """EXISTS (SELECT FROM unnest('{1}'::text[], '{y}'::text[], '{2024-01-01}'::text[])"""
        """ AS wanted("traspaso_key_0", "traspaso_key_1", "traspaso_key_2")"""
        """ WHERE "a" OPERATOR("pg_catalog".=) "traspaso_key_0"::bigint"""
        f""" AND "b" COLLATE "C" {own.format("=")} "traspaso_key_1"::x.citext"""
        """ AND "c" OPERATOR("pg_catalog".=) "traspaso_key_2"::date)"""
    )

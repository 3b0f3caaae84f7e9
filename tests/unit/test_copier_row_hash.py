"""By which functions a value is hashed."""

from __future__ import annotations

import pytest

from copier.columns import match_columns
from copier.row_hash import hashed, row_hash
from copier.system_catalog import Column
from tests.columns import column, table


def hash_of(each: Column) -> str:
    matched = match_columns(table("prod", each), table("consulta", each))
    whole = row_hash([hashed(pair, of_source=False) for pair in matched.pairs], version=18).as_string()
    return whole.removeprefix("pg_catalog.hashint4extended(0, ").removesuffix(")")


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (column("v", "integer"), 'coalesce(pg_catalog.hashint4extended("v", 1), 0)'),
        (column("v", "text"), 'coalesce(pg_catalog.hashtextextended("v", 1), 0)'),
        (column("v", "character(3)"), 'coalesce(pg_catalog.hashbpcharextended("v", 1), 0)'),
    ],
)
def test_a_type_whose_equal_values_are_identical_is_hashed_by_its_own_function(
    each: Column, expected: str
) -> None:
    assert hash_of(each) == expected


def test_a_bigint_is_hashed_in_two_halves() -> None:
    assert hash_of(column("v", "bigint")) == (
        'coalesce(pg_catalog.hashint8extended("v", 1), 0) # '
        'coalesce(pg_catalog.hashint8extended("v" >> 32, -1), 0)'
    )


@pytest.mark.parametrize(
    "each",
    [
        column("v", "numeric(14,2)"),
        column("v", "jsonb"),
        column("v", "character"),
        column("v", "text", exact=False),
    ],
)
def test_any_other_value_is_hashed_by_the_bytes_that_the_server_sends(each: Column) -> None:
    sent = '"pg_catalog"."a_send"("v")'
    assert hash_of(each) == f"coalesce(pg_catalog.hashbyteaextended({sent}, 1), 0)"


def test_types_whose_binary_form_carries_oids_are_hashed_as_text() -> None:
    each = column("mood", "mood[]", portable=False)
    sent = 'pg_catalog.textsend(("mood")::text)'
    assert hash_of(each) == f"coalesce(pg_catalog.hashbyteaextended({sent}, 1), 0)"


def test_before_version_18_what_sql_cant_hash_is_hashed_within_one_record() -> None:
    matched = match_columns(
        table("prod", column("a", "date"), column("b", "integer"), column("c", "numeric")),
        table("consulta", column("a", "date"), column("b", "integer"), column("c", "numeric")),
    )
    values = [hashed(pair, of_source=True) for pair in matched.pairs]
    assert row_hash(values, version=17).as_string() == (
        'pg_catalog.hashint4extended(0, coalesce(pg_catalog.hashint4extended("b", 2), 0) # '
        'pg_catalog.hash_record_extended(ROW("a", "pg_catalog"."a_send"("c")), 0))'
    )


def test_a_row_of_no_other_columns_has_a_hash_too() -> None:
    assert row_hash([], version=18).as_string() == "pg_catalog.hashint4extended(0, 0)"

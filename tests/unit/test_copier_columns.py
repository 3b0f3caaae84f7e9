"""Columns are matched without loss, or refused with what to do."""

from __future__ import annotations

import pytest

from bot.config import SIDES
from copier.columns import loss, match_columns
from copier.errors import ColumnsDiffer
from tests.columns import column, kind, table

LOSSLESS = [
    ("bigint", "bigint"),
    ("integer", "bigint"),
    ("smallint", "integer"),
    ("bigint", "numeric"),
    ("real", "double precision"),
    ("character varying(20)", "text"),
    ("character varying(20)", "character varying(20)"),
    ("character varying(20)", "character varying(30)"),
    ("character varying(20)", "character varying"),
    ("text", "character varying"),
    ("date", "timestamp without time zone"),
    ("numeric(10,2)", "numeric"),
    ("numeric(10,2)", "numeric(12,4)"),
    ("numeric(10,0)", "numeric(12,2)"),
    ("numeric(10,2)[]", "numeric(12,4)[]"),
    ("timestamp(3) without time zone", "timestamp without time zone"),
    ("timestamp(3) without time zone", "timestamp(5) without time zone"),
    ("timestamp without time zone", "timestamp(6) without time zone"),
    ("interval(3)", "interval"),
    ("interval year to month", "interval"),
    ("bit varying(5)", "bit varying(9)"),
]

LOSSY = [
    ("bigint", "integer", "make consulta's column bigint"),
    ("text", "character varying(20)", "make consulta's column text"),
    ("character varying", "character varying(20)", "make consulta's column character varying"),
    ("character varying(20)", "character varying(10)",
     "make consulta's column character varying(20) or wider"),
    ("character(5)", "character(9)", "make consulta's column character(5)"),
    ("character(5)[]", "character(9)[]", "make consulta's column character(5)[]"),
    ("bit(5)", "bit(9)", "make consulta's column bit(5)"),
    ("bit(5)[]", "bit(9)[]", "make consulta's column bit(5)[]"),
    ("numeric", "numeric(10,2)", "make consulta's column numeric"),
    ("numeric(10,2)", "numeric(10,4)", "make consulta's column numeric(10,2) or wider"),
    ("numeric(10,2)", "numeric(12,0)", "make consulta's column numeric(10,2) or wider"),
    ("numeric(10,2)[]", "numeric(11,0)[]", "make consulta's column numeric(10,2)[] or wider"),
    ("integer", "numeric(10,0)", "make consulta's column numeric without precision"),
    ("double precision", "real", "make consulta's column double precision"),
    ("timestamp without time zone", "timestamp(3) without time zone",
     "make consulta's column timestamp without time zone"),
    ("timestamp(3) without time zone", "timestamp(0) without time zone",
     "make consulta's column timestamp(3) without time zone or wider"),
    ("timestamp without time zone", "timestamp with time zone",
     "make consulta's column timestamp without time zone"),
    ("interval", "interval year to month", "make consulta's column interval"),
    ("interval day to second", "interval year to month", "make consulta's column interval day to second"),
    ("interval(6)", "interval day to second(3)", "make consulta's column interval(6)"),
    ("json", "jsonb", "make consulta's column json"),
    ("text", "uuid", "make consulta's column text"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target"), LOSSLESS)
def test_a_type_that_keeps_every_value_is_taken(source: str, target: str) -> None:
    assert loss(kind(source), kind(target), SIDES) is None


@pytest.mark.parametrize(("source", "target", "advice"), LOSSY)
def test_a_type_that_may_lose_a_value_is_refused_with_the_type_to_use(
    source: str, target: str, advice: str
) -> None:
    assert loss(kind(source), kind(target), SIDES) == advice


def test_columns_are_paired_by_name_in_the_order_of_consulta() -> None:
    matched = match_columns(
        table("prod", column("a"), column("b", "integer")),
        table("consulta", column("b", "bigint"), column("a")),
    )
    assert [pair.name for pair in matched.pairs] == ["b", "a"]
    assert [pair.selected.as_string() for pair in matched.pairs] == ['"b"::bigint', '"a"']
    assert matched.binary


def test_all_columns_that_differ_are_named_at_once_each_with_what_to_do() -> None:
    with pytest.raises(ColumnsDiffer) as refused:
        match_columns(
            table("prod", column("a", "bigint"), column("only_prod", "date")),
            table("consulta", column("a", "integer"), column("only_consulta", not_null=True)),
        )
    assert refused.value.lines == [
        "a is bigint in prod and integer in consulta: make consulta's column bigint",
        "only_consulta is NOT NULL without a default in consulta and missing in prod: "
        "give it a default, or drop NOT NULL",
        "only_prod (date) is missing in consulta: add it there",
    ]


def test_consulta_may_have_columns_more_that_fill_themselves() -> None:
    matched = match_columns(
        table("prod", column("a")),
        table(
            "consulta",
            column("a"),
            column("nullable"),
            column("defaulted", not_null=True, has_default=True),
            column("numbered", not_null=True, is_identity=True),
            column("computed", is_generated=True),
        ),
    )
    assert [pair.name for pair in matched.pairs] == ["a"]


def test_types_whose_binary_form_carries_oids_go_as_text() -> None:
    matched = match_columns(
        table("prod", column("a"), column("mood", "mood[]", portable=False)),
        table("consulta", column("a"), column("mood", "mood[]", portable=False)),
    )
    assert not matched.binary

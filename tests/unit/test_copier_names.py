"""Table names are read as SQL reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copier import TableName
from copier.errors import BadName


@pytest.mark.parametrize(
    ("written", "schema", "name"),
    [
        ("items", "public", "items"),
        ("  public.items ", "public", "items"),
        ("Public.ITEMS", "public", "items"),
        ('"Weird Schema"."Items"', "Weird Schema", "Items"),
        ('pay."a""b.c"', "pay", 'a"b.c'),
        ('"select"."from"', "select", "from"),
        ('"50% {off}\\n"', "public", "50% {off}\\n"),
        ("_a$1.b$", "_a$1", "b$"),
        ("año.líneas", "año", "líneas"),
        ("a" * 63, "public", "a" * 63),
        (f'"{"ñ" * 31}"', "public", "ñ" * 31),
    ],
)
def test_a_table_name_means_what_it_means_in_sql(written: str, schema: str, name: str) -> None:
    assert TableName.parse(written) == TableName(schema, name)


def test_only_ascii_letters_are_folded_as_a_server_with_utf8_does() -> None:
    assert TableName.parse("LIQUIDACIÓN") == TableName("public", "liquidaciÓn")


@pytest.mark.parametrize(
    "written",
    [
        "", " ", ".", "a.", ".a", "a..b", "a.b.c", "1a", "a-b", "a b", '"a', 'a"', '""', '"".a', '"a"b',
        'a"b"', "a;drop table b", "a--", "a'b", '"a\x00b"', "a.*", "$a",
    ],
)  # fmt: skip
def test_what_is_no_table_name_is_refused_with_how_to_write_one(written: str) -> None:
    with pytest.raises(BadName, match=r"write schema\.table"):
        TableName.parse(written)


@pytest.mark.parametrize("written", ["a" * 64, "x." + "a" * 64, f'"{"ñ" * 32}"', "a" * 64 + ".x"])
def test_a_name_that_the_server_would_cut_is_refused(written: str) -> None:
    with pytest.raises(BadName, match="63 bytes"):
        TableName.parse(written)


parts = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1).filter(
    lambda part: len(part.encode()) <= 63
)


@given(parts, parts)
def test_every_name_can_be_written_down_and_read_back(schema: str, name: str) -> None:
    table = TableName(schema, name)
    assert TableName.parse(str(table)) == table
    assert table.identifier.as_string() == ".".join(
        '"' + part.replace('"', '""') + '"' for part in (schema, name)
    )

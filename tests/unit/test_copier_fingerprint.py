"""A fingerprint tells in words what a copy was made of and isn't any more."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.config import SIDES
from copier import ColumnRule, CopySpec, Fingerprint, HashKey, TableName, Treatment

ITEMS, OTHERS = TableName.parse("public.items"), TableName.parse("public.others")
SPEC = CopySpec("items", ITEMS, ITEMS, "liquidation_id")
MADE_OF = Fingerprint("public.items", "public.items", "liquidation_id", ("id",), ("amount", "id"))


def test_it_comes_back_from_a_row_as_it_was() -> None:
    assert Fingerprint.from_json(json.loads(json.dumps(MADE_OF.as_json()))) == MADE_OF
    assert MADE_OF.differences(MADE_OF, SIDES) == []


def test_each_difference_names_what_was_and_what_is() -> None:
    now = Fingerprint("public.items", "public.others", "settlement", ("id", "line"), ("id", "note"))
    assert MADE_OF.differences(now, SIDES) == [
        "table of consulta was public.items, is public.others",
        "liquidation column was liquidation_id, is settlement",
        "key was (id), is (id, line)",
        "column amount is not copied any more",
        "column note is copied since",
    ]


def test_a_configuration_alone_tells_the_tables_the_column_and_a_key_that_it_names() -> None:
    assert MADE_OF.configured(SPEC) == MADE_OF
    assert MADE_OF.configured(replace(SPEC, key=("id",))) == MADE_OF
    for other in (
        replace(SPEC, source_table=OTHERS),
        replace(SPEC, target_table=OTHERS),
        replace(SPEC, liquidation_column="settlement"),
        replace(SPEC, key=("id", "line")),
    ):
        assert len(MADE_OF.differences(MADE_OF.configured(other), SIDES)) == 1


def test_another_copy_has_another_digest() -> None:
    others = [
        replace(MADE_OF, target_table="public.others"),
        replace(MADE_OF, key=("line",)),
        replace(MADE_OF, columns=("id",)),
    ]
    assert len({each.digest for each in (MADE_OF, *others)}) == 4


KEY = HashKey.of("a secret of the tests, which is long enough")
RULED = replace(
    SPEC,
    rules=(
        ColumnRule("dni", Treatment.HASH),
        ColumnRule("cbu", Treatment.OMIT),
        ColumnRule("x", Treatment.COPY),
    ),
    hash_key=KEY,
)


def test_rules_are_part_of_it_and_a_column_that_is_copied_as_it_is_has_none() -> None:
    ruled = MADE_OF.configured(RULED)
    assert ruled.as_json()["rules"] == {"cbu": "omit", "dni": "hash"}
    assert ruled.as_json()["hash_check"] == KEY.check
    assert Fingerprint.from_json(json.loads(json.dumps(ruled.as_json()))) == ruled
    assert ruled.digest != MADE_OF.digest


def test_without_rules_it_is_written_as_releases_without_rules_did() -> None:
    assert set(MADE_OF.as_json()) == {"source_table", "target_table", "liquidation_column", "key", "columns"}


def test_another_rule_and_another_secret_are_differences_in_words() -> None:
    ruled = MADE_OF.configured(RULED)
    masked = replace(RULED, rules=(ColumnRule("dni", Treatment.MASK), ColumnRule("cbu", Treatment.OMIT)))
    assert MADE_OF.differences(ruled, SIDES) == [
        "rule of column cbu was copy, is omit",
        "rule of column dni was copy, is hash",
    ]
    assert ruled.differences(MADE_OF.configured(masked), SIDES) == ["rule of column dni was hash, is mask"]
    other = replace(RULED, hash_key=HashKey.of("another secret of the tests, as long as it"))
    assert ruled.differences(MADE_OF.configured(other), SIDES) == ["the secret of the hashes is another one"]


def test_the_key_of_the_hashes_tells_nothing_of_itself_or_of_its_secret() -> None:
    assert repr(KEY) == "HashKey()"
    assert len(KEY.check) == 12
    with pytest.raises(ValueError, match="32 characters"):
        HashKey.of("short")

"""A fingerprint tells in words what a copy was made of and isn't any more."""

from __future__ import annotations

import json
from dataclasses import replace

from bot.config import SIDES
from copier import CopySpec, Fingerprint, TableName

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

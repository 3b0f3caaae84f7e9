"""The key that names a row on both sides, and cuts both into the same ranges."""

from __future__ import annotations

from collections.abc import Iterator

from copier.catalog import Column, Table
from copier.errors import NoUsableKey
from copier.kinds import Kind
from copier.spec import CopySpec


def key_columns(spec: CopySpec, source: Table, target: Table) -> tuple[str, ...]:
    """The columns that name a row: the configured key, else the target's first unique key.

    The primary key sorts first. The key must be unique and NOT NULL in the target, where a row
    of another liquidation may hold the same key and has to be found.

    Raises:
        ColumnMissing: a configured key column isn't in both tables.
        NoUsableKey: no unique index of NOT NULL columns covers it, or the sides sort it differently.
    """
    names = _chosen(spec, source, target)
    for name in names:
        _refuse_another_order(source.column(name), target.column(name))
    return names


def _chosen(spec: CopySpec, source: Table, target: Table) -> tuple[str, ...]:
    for name in spec.key:
        source.column(name)
        target.column(name)
    usable = [
        key
        for key in target.unique_keys
        if all(source.has(name) and _names_a_row(target.column(name)) for name in key)
    ]
    if not spec.key:
        if usable:
            return usable[0]
        raise NoUsableKey(
            f"table {target.name} of consulta has no primary key or unique index of NOT NULL columns "
            f"that prod has too: create one there and, if it isn't the primary key, name it as key"
        )
    if not any(set(key) == set(spec.key) for key in usable):
        raise NoUsableKey(
            f"key ({', '.join(spec.key)}) is not a unique index of NOT NULL columns on table "
            f"{target.name} of consulta: create one, or name another key"
        )
    return spec.key


def _names_a_row(column: Column) -> bool:
    """What consulta generates itself is never written, and so can't find a row that has to move."""
    return column.not_null and not column.is_generated


def _refuse_another_order(ours: Column, theirs: Column) -> None:
    """Ranges cut in prod must be the same rows in consulta. (Collations are evened out, see `keyset`.)"""
    if (ours.type.base, theirs.type.base) == ("real", "double precision"):
        raise NoUsableKey(
            f"key column {ours.name} is real in prod and double precision in consulta, where its bounds "
            f"would fall between other rows: make consulta's column real, or name another key"
        )
    for side in (ours, theirs):
        if side.type.kind.form == "domain" and side.type.kind.base.form == "enum":
            raise NoUsableKey(
                f"key column {side.name} is {side.type.sql}, a domain over an enum, which PostgreSQL doesn't "
                f"compare: make it the enum, or name another key"
            )
        if side.type.kind.names_objects:
            raise NoUsableKey(
                f"key column {side.name} is {side.type.sql}, which is sorted by numbers that each server "
                f"gives for itself: name another key"
            )
    if ours.type.kind.spellings != theirs.type.kind.spellings:
        raise NoUsableKey(
            f"key column {ours.name} is {ours.type.sql}, whose bounds the lc_monetary of each database "
            f"writes otherwise: set it alike on both, or name another key"
        )
    here, there = ([*_labels(side.type.kind)] for side in (ours, theirs))
    common = {*here} & {*there}
    if [each for each in here if each in common] != [each for each in there if each in common]:
        raise NoUsableKey(
            f"key column {ours.name} is an enum whose labels are in another order in consulta than in "
            f"prod: create the type there with its labels in prod's order, or name another key"
        )
    if _collations(ours.type.kind) != _collations(theirs.type.kind):
        raise NoUsableKey(
            f"key column {ours.name} is {ours.type.sql}, which holds text that consulta sorts otherwise than "
            f"prod: name another key"
        )


def _labels(kind: Kind) -> Iterator[tuple[str, str]]:
    """Each with its enum: a composite may hold several."""
    for each in kind.all():
        for label in each.labels:
            yield each.name, label


def _collations(kind: Kind) -> list[tuple[str, ...]]:
    """What is compared by which locale within a value; the column's own is evened out."""
    return [each.collations for each in kind.all()]

"""Rows that belong through a parent can't be copied before it: the parents of both sides are compared first.

A row whose parent the target doesn't hold, or holds under another liquidation, would be refused by a foreign
key, or it would be there and belong to no liquidation, so that no comparison finds it.

Foreign keys of the target may also point to tables that no copy brings, such as concepts. How many of their
rows the target lacks is counted before a copy, where there is time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import Composable

from copier import statements
from copier.connections import BoundedTransaction
from copier.errors import ParentsMissing, SideNames
from copier.model import TableName, quoted
from copier.parallel import both_sides
from copier.row_hash import unpacked
from copier.system_catalog import Table
from copier.table_slice import TableSlice

#: How many seconds are spent on rows of other tables that the target lacks, and how many rows of each
#: foreign key are looked up.
LACKING_SECONDS, LACKING_ROWS = 2.0, 10_000

#: Asks a side for the rows of a statement; None where that took too long.
Ask = Callable[[Composable], Sequence[Any] | None]


def refuse_missing_parents(source: TableSlice, target: TableSlice, ask_source: Ask, ask_target: Ask) -> None:
    """Asks both sides at the same time, for all keys only where their digests differ. Does nothing where
    there are no parents, or a side doesn't answer.

    Parents that no row points to are no obstacle, nor are those that only the target still has: their rows
    are surplus.

    Raises:
        ParentsMissing: the target lacks parents of the liquidation to which rows of the source point.
    """
    if source.parent is None or target.parent is None:
        return
    of_source, of_target = source.parent, target.parent
    wanted, held = both_sides(
        lambda: ask_source(statements.parent_digest(of_source)),
        lambda: ask_target(statements.parent_digest(of_target)),
    )
    if held is None or wanted is None or tuple(held[0]) == tuple(wanted[0]):
        return
    wanted, held = both_sides(
        lambda: ask_source(statements.parent_keys(of_source)),
        lambda: ask_target(statements.parent_keys(of_target)),
    )
    if held is None or wanted is None:
        return
    there = {*unpacked(held[0][0])}
    if there.issuperset(unpacked(wanted[0][0])):
        return
    wanted = ask_source(statements.parent_keys(source.parent, used_by=source))
    if wanted is not None and (missing := len({*unpacked(wanted[0][0])} - there)):
        raise ParentsMissing(
            str(target.table),
            str(target.parent.table),
            target.parent.copy,
            missing,
            SideNames(source.side, target.side),
        )


@dataclass(frozen=True, slots=True)
class Lacking:
    """So many rows of ``table`` that the target lacks, to which rows of the source point by a foreign key of
    the target; ``exact`` where that was looked for of all rows, else there may be more.
    """

    constraint: str
    table: str
    rows: int
    exact: bool


def lacking(
    sides: tuple[BoundedTransaction, BoundedTransaction],
    tables: tuple[Table, Table],
    rows: TableSlice,
    brought: Collection[TableName],
) -> tuple[Lacking, ...]:
    """What the target lacks for the rows of the source, of tables that aren't among those ``brought``.

    Source first. A foreign key is passed over whose columns a rule alters, or which have another type on the
    other side; and where there is no time.
    """
    (source, target), (here, there), until = sides, tables, time.monotonic() + LACKING_SECONDS
    altered = {rule.column for rule in rows.spec.altering} | {*rows.matched.left}
    found = []
    for key in there.relations.references:
        if not key.can_be_followed or key.table in brought or altered & {*key.columns}:
            continue
        types, left = _types(here, there, key.columns), until - time.monotonic()
        if types is None or left <= 0:
            continue
        wanted = source.rows(statements.pointed_to(rows, key.columns, LACKING_ROWS + 1), left)
        if wanted is None:
            continue
        some = wanted[:LACKING_ROWS]
        counted = target.rows(statements.not_there(key.table, key.referenced, types, some), LACKING_SECONDS)
        if counted is not None and (n := int(counted[0][0])):
            found.append(Lacking(quoted(key.name), str(key.table), n, exact=len(some) == len(wanted)))
    return tuple(found)


def _types(here: Table, there: Table, columns: Sequence[str]) -> list[str] | None:
    """Their types in the target; None where the source has others."""
    of_source = {column.name: column.type.sql for column in here.columns}
    of_target = {column.name: column.type.sql for column in there.columns}
    if any(of_source.get(name) != of_target.get(name) for name in columns):
        return None
    return [of_target[name] for name in columns]

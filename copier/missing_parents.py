"""Rows that belong through a parent can't be copied before that: it is looked for first, on both sides.

A row whose parent the target doesn't hold, or holds under another liquidation, would be refused by a foreign
key, or it would be there and belong to no liquidation, so that no comparison finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from psycopg.sql import Composable

from copier import statements
from copier.errors import ParentsMissing, SideNames
from copier.row_hash import unpacked
from copier.table_slice import TableSlice

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
    with ThreadPoolExecutor(1) as other_side:
        asked = other_side.submit(ask_source, statements.parent_digest(source.parent))
        held, wanted = ask_target(statements.parent_digest(target.parent)), asked.result()
        if held is None or wanted is None or tuple(held[0]) == tuple(wanted[0]):
            return
        asked = other_side.submit(ask_source, statements.parent_keys(source.parent))
        held, wanted = ask_target(statements.parent_keys(target.parent)), asked.result()
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

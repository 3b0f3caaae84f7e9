"""Sees that no foreign key with an action has changed a row that refers to one that is deleted or updated.

ON DELETE CASCADE, SET NULL or SET DEFAULT, and the like of ON UPDATE, change rows that nobody has compared:
of another liquidation, of a table that isn't copied, or of one that is copied next. So they may have nothing
to do: what refers to a row that goes has to be gone before. Whether that was so is known afterwards, within
the same transaction: the server counts the rows that a transaction updates and deletes in each table, those
of a foreign key's action too, and those that no query of this transaction could have seen before. Where a
table that refers has more of them than the statement itself has changed, the transaction is rolled back.

A question before, such as a NOT EXISTS, wouldn't do: a row that comes in between, and one that row-level
security or a missing SELECT privilege hides, would be changed all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg.sql import Composable

from copier import statements
from copier.catalog import Action
from copier.errors import CarriedOn, Permanent, failures_of
from copier.exchange import Rows
from copier.table_slice import TableSlice

#: Refusals of a value that a foreign key's action has set: NOT NULL, and CHECK.
NOT_TAKEN = frozenset({"23502", "23514"})


def unless_carried_on(rows: TableSlice, ask: Callable[[Composable], Rows], write: Callable[[], int]) -> None:
    """Calls ``write``, which gives how many of the rows it has updated and deleted itself.

    ``ask`` gives the rows of a statement, within the same transaction. Where no foreign key acts on a DELETE
    nothing is asked.

    Raises:
        CarriedOn: a foreign key, or a trigger, has changed rows that refer to these.
    """
    if not rows.actions:
        write()
        return
    before = ask(statements.touched(rows))
    try:
        with failures_of(rows.side):
            own = write()
    except Permanent as refusal:
        # A column of another table, if over several steps, is set NULL or to a default, and doesn't take it.
        if refusal.sqlstate in NOT_TAKEN and refusal.table not in {None, rows.table.name}:
            named = [each for each in rows.actions if each.table == refusal.table]
            raise _carried_on(rows, named or [each for each in rows.actions if each.on_delete]) from refusal
        raise
    after = ask(statements.touched(rows))
    children = list(dict.fromkeys(each.child for each in rows.actions))
    changed = {
        child
        for child, (_, was), (_, now) in zip(children, before, after, strict=True)
        if now - was != (own if child in rows.relations else 0)
    }
    if found := [each for each in rows.actions if each.child in changed]:
        raise _carried_on(rows, found)


def _carried_on(rows: TableSlice, found: Sequence[Action]) -> CarriedOn:
    """Those of other tables first: rows of one table that refer to each other may go together later."""
    found = sorted(found, key=lambda each: each.child in rows.relations)
    return CarriedOn(
        rows.side,
        str(rows.table),
        [each.name for each in found],
        constraint=found[0].constraint,
        of=found[0].table,
    )

"""What the foreign keys of the target do to a write: they refuse it, or change rows that refer to it.

`explained` and what follows it say which way a key points that has refused a write, and between which
tables. `write_without_cascade` sees that no key with an action has changed a row that refers to one that is
deleted or updated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import psycopg
from psycopg import sql
from psycopg.sql import Composable
from sqlalchemy.exc import DBAPIError

from copier import statements
from copier.batch import Rows
from copier.errors import (
    FOREIGN_KEYS,
    CascadeRefused,
    Permanent,
    PointsNowhere,
    StillReferenced,
    failures_of,
    names_in,
)
from copier.system_catalog import Action, Table
from copier.table_slice import TableSlice

#: Asks the target; gives the rows.
Ask = Callable[[sql.Composable], Rows]

_QUESTION = """
    SELECT c.conrelid AS child, c.confrelid AS parent,
           pg_catalog.format('%I.%I', m.nspname, t.relname) AS child_name,
           pg_catalog.format('%I.%I', n.nspname, p.relname) AS parent_name
      FROM pg_catalog.pg_constraint c
      JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
      JOIN pg_catalog.pg_namespace m ON m.oid = t.relnamespace
      JOIN pg_catalog.pg_class p ON p.oid = c.confrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
     WHERE c.contype = 'f' AND c.conname = {constraint}
       AND t.relname = {table}
       AND (c.conrelid = ANY({oids}::oid[]) OR c.confrelid = ANY({oids}::oid[]))
     LIMIT 2
"""


def explained(refusal: Permanent, ask: Ask, written: Table, copied: Iterable[Table]) -> Permanent:
    """The refusal with what it means; itself, where it isn't a foreign key's or the key isn't found.

    ``written`` is the table that was written to, and ``copied`` are those that are copied together.
    """
    if isinstance(refusal, CascadeRefused):  # says it itself
        return refusal
    if refusal.sqlstate not in FOREIGN_KEYS or not refusal.constraint or not refusal.table:
        return refusal
    own = {each.oid for each in written.relations.all}
    together = {each.oid for table in copied for each in table.relations.all} | own
    found = ask(
        sql.SQL(_QUESTION).format(
            constraint=sql.Literal(refusal.constraint),
            table=sql.Literal(refusal.table),
            oids=sql.Literal("{" + ",".join(map(str, sorted(own))) + "}"),
        )
    )
    if len(found) != 1:  # it is gone by now, or two schemas have such a table
        return refusal
    [key] = found
    if key.child in own and not (key.parent in own and _keeps_a_row(refusal)):
        meaning: Permanent = PointsNowhere(
            refusal, key.child_name, key.parent_name, is_copied=key.parent in together
        )
    else:
        meaning = StillReferenced(refusal, str(written.name), key.child_name, is_copied=key.child in together)
    return meaning


def _keeps_a_row(refusal: Permanent) -> bool:
    """Of a key from a table to itself: whether it keeps a row from being removed. Else one points to nothing.

    In any language a server names the table once where a row points to nothing, and twice else: as what was
    written to, and as what has the key.
    """
    error = refusal.__cause__
    if isinstance(error, DBAPIError):
        error = error.orig
    if not isinstance(error, psycopg.Error) or "table" not in (names := names_in(error)):
        return True
    words = (error.diag.message_primary or "").replace(names.get("constraint") or "\0", "")
    return words.count(names["table"]) > 1


# ----------------------------------------------------------------------------
# Actions of foreign keys
#
# ON DELETE CASCADE, SET NULL or SET DEFAULT, and the like of ON UPDATE, change rows that nobody has
# compared: of another liquidation, of a table that isn't copied, or of one that is copied next. So they
# may have nothing to do: what refers to a row that goes has to be gone before. Whether that was so is
# known afterwards, within the same transaction: the server counts the rows that a transaction updates and
# deletes in each table, those of a foreign key's action too, and those that no query of this transaction
# could have seen before. Where a table that refers has more of them than the statement itself has changed,
# the transaction is rolled back.
#
# A question before, such as a NOT EXISTS, wouldn't do: a row that comes in between, and one that row-level
# security or a missing SELECT privilege hides, would be changed all the same.


#: Refusals of a value that a foreign key's action has set: NOT NULL, and CHECK.
NOT_TAKEN = frozenset({"23502", "23514"})


def write_without_cascade(
    rows: TableSlice, ask: Callable[[Composable], Rows], write: Callable[[], int]
) -> None:
    """Calls ``write``, which gives how many of the rows it has updated and deleted itself.

    ``ask`` gives the rows of a statement, within the same transaction. Where no foreign key acts on a DELETE
    nothing is asked.

    Raises:
        CascadeRefused: a foreign key, or a trigger, has changed rows that refer to these.
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
            raise _cascade_refused(
                rows, named or [each for each in rows.actions if each.on_delete]
            ) from refusal
        raise
    after = ask(statements.touched(rows))
    children = list(dict.fromkeys(each.child for each in rows.actions))
    changed = {
        child
        for child, (_, was), (_, now) in zip(children, before, after, strict=True)
        if now - was != (own if child in rows.relations else 0)
    }
    if found := [each for each in rows.actions if each.child in changed]:
        raise _cascade_refused(rows, found)


def _cascade_refused(rows: TableSlice, found: Sequence[Action]) -> CascadeRefused:
    """Those of other tables first: rows of one table that refer to each other may go together later."""
    found = sorted(found, key=lambda each: each.child in rows.relations)
    return CascadeRefused(
        rows.side,
        str(rows.table),
        [each.name for each in found],
        constraint=found[0].constraint,
        of=found[0].table,
    )

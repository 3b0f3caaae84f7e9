"""Says of a foreign key that has refused a write which way it points, and between which tables.

A server's error names the key and the table that has it, whether a row of that points to nothing or keeps a
row of another table from being removed. The catalogue has the rest. It is asked when a write was refused, so
that no other copy pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import psycopg
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from copier.catalog import Table
from copier.errors import FOREIGN_KEYS, CarriedOn, Permanent, PointsNowhere, StillReferenced, names_in
from copier.exchange import Rows

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
    if isinstance(refusal, CarriedOn):  # says it itself
        return refusal
    if refusal.sqlstate not in FOREIGN_KEYS or not refusal.constraint or not refusal.table:
        return refusal
    if isinstance(refusal, CarriedOn):  # it says so itself
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

"""What can go wrong between two databases, as one tree.

    CopierError
    ├── BadName               a table or column name that SQL would not read
    ├── SchemaError           the two tables don't fit; nothing was written
    │   ├── TableMissing
    │   ├── ColumnMissing
    │   ├── EncodingUnknown       a database that doesn't know what its bytes mean
    │   ├── ReferencesCascade     replacing a row would change rows of other tables
    │   ├── RulesRewrite          so would a rule of consulta
    │   ├── SeveralMoments        rows of prod that no one snapshot holds
    │   ├── SameTable             both sides are one table
    │   ├── NoUsableKey
    │   └── ColumnsDiffer     carries one line per column that differs
    ├── DatabaseFailed        a server said no, or went away
    │   ├── Transient         the same work may succeed later: retry it
    │   └── Permanent         it will fail again until somebody acts
    ├── KeySharedInProd       consulta's key is one that prod uses for several liquidations
    └── NotProven             both sides were compared and differ

Messages of this tree may be shown in a chat: they name tables, columns, constraints and error
classes, and never carry the value of a row. PostgreSQL's own DETAIL, which does, stays in the
chained cause: log that through `copier.failure.without_values`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Side = Literal["prod", "consulta"]


class CopierError(Exception):
    """Base of everything the copier raises on purpose.

    ``side``, ``table`` and ``column`` name where it happened, as far as that is known; ``lines`` are what
    else there is to say, such as names of constraints or what differs.
    """

    side: Side | None = None
    table: str | None = None
    column: str | None = None
    lines: Sequence[str] = ()


class BadName(CopierError):
    """A table or column name can't be read as SQL reads names."""


class SchemaError(CopierError):
    """The tables of the two sides can't be matched. Raised before the first row is written."""


class TableMissing(SchemaError):
    """The table doesn't exist, or the role may not see it."""

    def __init__(self, side: Side, table: str) -> None:
        super().__init__(f"table {table} not found in {side}")
        self.side = side
        self.table = table


class ColumnMissing(SchemaError):
    """A column that the configuration names isn't in the table."""

    def __init__(self, side: Side, table: str, column: str) -> None:
        super().__init__(f"column {column} not found in table {table} of {side}")
        self.side = side
        self.table = table
        self.column = column


class ReferencesCascade(SchemaError):
    """Foreign keys of other tables would delete or blank rows there when a row is replaced."""

    def __init__(self, table: str, constraints: list[str]) -> None:
        super().__init__(
            f"rows of {table} can't be replaced in consulta without changing other tables: "
            f"{', '.join(constraints)} cascade, or set NULL or a default, on DELETE; "
            "make them NO ACTION there"
        )
        self.table = table
        self.lines = constraints


class RulesRewrite(SchemaError):
    """Rules of the table do something beside, or in the place of, what the copy asks for."""

    def __init__(self, table: str, rules: list[str]) -> None:
        super().__init__(
            f"rows of {table} can't be written in consulta as they are: its rules {', '.join(rules)} would "
            "change what is written, or other tables; drop them there, or copy into another table"
        )
        self.table = table
        self.lines = rules


class SeveralMoments(SchemaError):
    """Rows of prod come from foreign tables in a way that no one snapshot holds all of them."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(
            f"rows of {table} in prod can't be read at one moment: {reason}; "
            "copy from the server that holds the rows, or from a table that holds all of them"
        )
        self.table = table
        self.lines = [reason]


class SameTable(SchemaError):
    """Both URLs lead to the same table of the same database: comparing it with itself proves nothing."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"prod and consulta are the same table {table} of the same database: "
            "set PROD_DATABASE_URL and CONSULTA_DATABASE_URL to two databases"
        )
        self.table = table


class KeySharedInProd(CopierError):
    """Consulta's key leaves out the liquidation, and prod has the same key in several of them.

    To put the rows of one in place would take those of another, which prod still holds there.
    """

    def __init__(self, table: str, key: list[str], liquidation_column: str) -> None:
        names = ", ".join(key)
        super().__init__(
            f"key ({names}) of table {table} in consulta leaves out {liquidation_column}, and prod has rows "
            f"of other liquidations with the same key: copying would take them from those. Make consulta's "
            f"key ({liquidation_column}, {names}), or copy into another table"
        )
        self.table = table
        self.lines = [names]


class EncodingUnknown(SchemaError):
    """The database is SQL_ASCII: its bytes are of no known encoding, and can't be checked or converted."""

    def __init__(self, side: Side) -> None:
        super().__init__(
            f"the database of {side} has the encoding SQL_ASCII, which doesn't say what its bytes mean: "
            f"only a database that knows its encoding, such as UTF8, can be copied without loss"
        )
        self.side = side


class NoUsableKey(SchemaError):
    """No primary key, nor a configured unique key of NOT NULL columns, that both sides sort alike."""


class ColumnsDiffer(SchemaError):
    """Columns that can't be matched without loss: one line each, with what to do."""

    def __init__(self, table: str, lines: list[str]) -> None:
        super().__init__(f"the columns of {table} can't be matched without loss: " + "; ".join(lines))
        self.table = table
        self.lines = lines


class DatabaseFailed(CopierError):
    """A statement or a connection failed.

    ``sqlstate`` is PostgreSQL's five-character code, or None when the connection itself was lost.
    ``condition`` is the code's name as psycopg knows it, such as ``UniqueViolation``.
    """

    def __init__(
        self,
        message: str,
        *,
        side: Side,
        sqlstate: str | None = None,
        condition: str = "",
        table: str | None = None,
        column: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.side = side
        self.sqlstate = sqlstate
        self.condition = condition
        self.table = table
        self.column = column
        self.constraint = constraint


class Transient(DatabaseFailed):
    """Worth another try: a lost connection, a deadlock, a lock timeout, a server that restarts."""


class Permanent(DatabaseFailed):
    """Will fail again: a constraint, a privilege, a missing object, a value that doesn't fit."""


class NotProven(CopierError):
    """The comparison of both sides found differences. Nothing may be called completed.

    ``lines`` are the triggers and the reasons. ``triggers`` of consulta fire on the rows that the copy
    writes, where just such rows differ.
    """

    def __init__(self, reasons: list[str], triggers: list[str] | None = None) -> None:
        super().__init__(f"{len(reasons)} key ranges differ between prod and consulta")
        self.triggers = triggers or []
        self.lines = [*self.triggers, *reasons]

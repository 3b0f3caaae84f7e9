"""What can go wrong between two databases, as one tree.

    CopierError
    ├── BadName               a table or column name that SQL would not read
    ├── SchemaError           the two tables don't fit; nothing was written
    │   ├── TableMissing
    │   ├── ColumnMissing
    │   ├── EncodingUnknown       a database that doesn't know what its bytes mean
    │   ├── ReferencesCascade     replacing a row would change rows of other tables
    │   ├── NoUsableKey
    │   └── ColumnsDiffer     carries one line per column that differs
    ├── DatabaseFailed        a server said no, or went away
    │   ├── Transient         the same work may succeed later: retry it
    │   └── Permanent         it will fail again until somebody acts
    └── NotProven             both sides were compared and differ

Messages of this tree may be shown in a chat: they name tables, columns, constraints and error
classes, and never carry the value of a row. PostgreSQL's own DETAIL, which does, stays in the
chained cause: log that through `copier.failure.without_values`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from copier.digest import Comparison

Side = Literal["prod", "consulta"]


class CopierError(Exception):
    """Base of everything the copier raises on purpose."""


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
        self.constraints = constraints


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
    """The comparison of both sides found differences. Nothing may be called completed."""

    def __init__(self, differences: list[Comparison]) -> None:
        super().__init__(f"{len(differences)} key ranges differ between prod and consulta")
        self.differences = differences

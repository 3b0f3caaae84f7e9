"""What can go wrong between two databases, as one tree.

    CopierError
    ├── BadName               a table or column name that SQL would not read
    ├── SchemaError           the two tables don't fit; nothing was written
    │   ├── TableMissing
    │   ├── ColumnMissing
    │   ├── EncodingUnknown       a database that doesn't know what its bytes mean
    │   ├── ReferencesCascade     it couldn't be seen whether rows of other tables change
    │   ├── RulesRewrite          so would a rule of the target
    │   ├── SeveralMoments        rows of the source that no one snapshot holds
    │   ├── CircularReferences    tables of a set that can be written in no order
    │   ├── SameTable             both sides are one table
    │   ├── NoUsableKey
    │   └── ColumnsDiffer     carries one line per column that differs
    │       ├── RulesDontFit      a rule of a column can't be kept
    │       └── ColumnsAreNew     nobody has said whether they may leave the source
    ├── DatabaseFailed        a server said no, or went away
    │   ├── Transient         the same work may succeed later: retry it
    │   └── Permanent         it will fail again until somebody acts
    │       ├── PointsNowhere     rows refer to others that the target lacks
    │       ├── StillReferenced   rows that have to go are referred to
    │       ├── PrivilegeMissing  and a GRANT is what it needs
    │       ├── CascadeRefused    a foreign key would have changed rows that refer to those written
    │       ├── RowsHidden        and BYPASSRLS is
    │       └── ReadOnly          and a setting is
    ├── KeySharedInSource     the target's key is one that the source uses for several liquidations
    ├── ParentsMissing        rows belong through others, which the target has to hold first
    └── NotProven             both sides were compared and differ

Messages of this tree may be shown in a chat: they name tables, columns, constraints and error classes, and
never carry the value of a row. PostgreSQL's own DETAIL, which does, stays in the chained cause: log that
through `without_values`. They call the two sides what the caller calls them, see `SideNames`.

`failures_of` turns what a driver raises into this tree: one place decides what is worth a retry. The codes
are PostgreSQL's, https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from sqlalchemy.exc import DBAPIError

from copier.login_failures import login_failure

#: Classes (first two characters) whose errors pass by themselves.
TRANSIENT_CLASSES = frozenset({"08", "40", "53", "57", "58"})
#: Single codes outside of those classes that pass by themselves.
TRANSIENT_CODES = frozenset({"55P03", "55006", "25006", "25P03", "25P04"})
#: Codes inside of those classes that don't: the database was dropped.
PERMANENT_CODES = frozenset({"57P04"})
#: Classes whose primary messages name objects and conditions, never data.
KNOWN_CLASSES = frozenset(
    {"08", "23", "25", "26", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"}
)
#: Classes whose messages are what a person needs: a state of the server, or a limit of it.
SAID_CLASSES = frozenset({"54", "55"})
#: "COPY items, line 1, column v: …"; nothing of the value, which comes after the colon.
_COPIED = re.compile(r"COPY [^,]+, \w+ \d+, \w+ ([^\s:,\"]+)(?:: |$)")
#: The server's own source files that name a constraint, a table, a column or a type with an error: those read
#: the name from its system catalog. RAISE … USING CONSTRAINT = …, and the like in other procedural languages,
#: put any text there, the value of a row too.
NAMING_FILES = frozenset(
    {
        "domains.c",
        "execExprInterp.c",
        "execIndexing.c",
        "execMain.c",
        "execPartition.c",
        "index.c",
        "nbtinsert.c",
        "nbtsort.c",
        "partbounds.c",
        "ri_triggers.c",
        "tablecmds.c",
        "tuplesort.c",
        "tuplesortvariants.c",
        "typecmds.c",
    }
)
#: What a server answers to a statement that was cancelled, or that ran into its timeout.
QUERY_CANCELED = "57014"
#: Refusals of a row because another one has the same value: a unique or an exclusion constraint.
TAKEN = frozenset({"23505", "23P01"})
#: Refusals of a row because the one that a foreign key points to is missing, or another one points to it.
FOREIGN_KEYS = frozenset({"23503", "23001"})


@dataclass(frozen=True, slots=True)
class SideNames:
    """What sentences and errors call the two sides.

    ``apart`` says what to do where both turn out to be one and the same table.
    """

    source: str = "source"
    target: str = "target"
    apart: str = "give it two databases"


DEFAULT_NAMES = SideNames()


class CopierError(Exception):
    """Base of everything the copier raises on purpose.

    ``side``, ``table`` and ``column`` name where it happened, as far as that is known, the side by its name
    (see `SideNames`); ``lines`` are what else there is to say, such as names of constraints or what differs.
    """

    side: str | None = None
    table: str | None = None
    column: str | None = None
    lines: Sequence[str] = ()


class BadName(CopierError):
    """A table or column name can't be read as SQL reads names."""


class SchemaError(CopierError):
    """The tables of the two sides can't be matched. Raised before the first row is written."""


class TableMissing(SchemaError):
    """The table doesn't exist, or the role may not see it."""

    def __init__(self, side: str, table: str) -> None:
        super().__init__(f"table {table} not found in {side}")
        self.side = side
        self.table = table


class ColumnMissing(SchemaError):
    """A column that the configuration names isn't in the table."""

    def __init__(self, side: str, table: str, column: str) -> None:
        super().__init__(f"column {column} not found in table {table} of {side}")
        self.side = side
        self.table = table
        self.column = column


class ReferencesCascade(SchemaError):
    """Foreign keys have an action on DELETE, and the server doesn't count what they change.

    Where it does, a copy sees whether they act, and then raises `CascadeRefused`.
    """

    def __init__(self, target: str, table: str, constraints: list[str]) -> None:
        super().__init__(
            f"rows of {table} can't be deleted in {target}, because it couldn't be seen whether rows that "
            f"refer to them change: {', '.join(constraints)} cascade, or set NULL or a default, on DELETE, "
            "and track_counts is off; set track_counts on there, or make them NO ACTION"
        )
        self.table = table
        self.lines = constraints


class RulesRewrite(SchemaError):
    """Rules of the table do something beside, or in the place of, what the copy asks for."""

    def __init__(self, target: str, table: str, rules: list[str]) -> None:
        super().__init__(
            f"rows of {table} can't be written in {target} as they are: its rules {', '.join(rules)} would "
            "change what is written, or other tables; drop them there, or copy into another table"
        )
        self.table = table
        self.lines = rules


class SeveralMoments(SchemaError):
    """Rows of the source come from foreign tables in a way that no one snapshot holds all of them."""

    def __init__(self, source: str, table: str, reason: str) -> None:
        super().__init__(
            f"rows of {table} in {source} can't be read at one moment: {reason}; "
            "copy from the server that holds the rows, or from a table that holds all of them"
        )
        self.table = table
        self.lines = [reason]


class CircularReferences(SchemaError):
    """Foreign keys of the target form a circle, and none of them lets its columns be NULL for a while."""

    def __init__(self, circle: Sequence[str], constraints: Sequence[str]) -> None:
        """``circle`` are the tables, each of which refers to the next one."""
        super().__init__(
            f"no table of {' -> '.join(circle)} can be written first: the foreign keys "
            f"{', '.join(constraints)} form a circle, and none of their columns may be NULL; "
            "let one of them be NULL, or leave one of the tables out of the set"
        )
        self.lines = list(constraints)


class SameTable(SchemaError):
    """Both sides are the same table of the same database: comparing it with itself proves nothing."""

    def __init__(self, table: str, names: SideNames) -> None:
        super().__init__(
            f"{names.source} and {names.target} are the same table {table} of the same database: "
            f"{names.apart}"
        )
        self.table = table


class KeySharedInSource(CopierError):
    """The target's key leaves out the liquidation, and the source has the same key in several of them.

    To put the rows of one in place would take those of another, which the source still holds there.
    """

    def __init__(self, table: str, key: list[str], liquidation_column: str, names: SideNames) -> None:
        columns = ", ".join(key)
        super().__init__(
            f"key ({columns}) of table {table} in {names.target} leaves out {liquidation_column}, and "
            f"{names.source} has rows of other liquidations with the same key: copying would take them from "
            f"those. Make {names.target}'s key ({liquidation_column}, {columns}), or copy into another table"
        )
        self.table = table
        self.lines = [columns]


class ParentsMissing(CopierError):
    """Rows belong to the liquidation through rows of another table, and the target lacks some of those.

    ``copy`` is the name of the copy that brings them, and ``rows`` how many are missing.
    """

    def __init__(self, table: str, parent: str, copy: str, rows: int, names: SideNames) -> None:
        super().__init__(
            f"rows of {table} belong to the liquidation through {parent}, and {names.target} lacks {rows} of "
            f"the rows that {names.source} has there: copy {copy} first, then this"
        )
        self.table = table
        self.copy = copy
        self.rows = rows
        self.lines = [copy]


class EncodingUnknown(SchemaError):
    """The database is SQL_ASCII: its bytes are of no known encoding, and can't be checked or converted."""

    def __init__(self, side: str) -> None:
        super().__init__(
            f"the database of {side} has the encoding SQL_ASCII, which doesn't say what its bytes mean: "
            f"only a database that knows its encoding, such as UTF8, can be copied without loss"
        )
        self.side = side


class NoUsableKey(SchemaError):
    """No primary key, nor a configured unique key of NOT NULL columns, that both sides sort alike."""


class ColumnsDiffer(SchemaError):
    """Columns that can't be matched without loss: one line each, with what to do."""

    words = "the columns of {table} can't be matched without loss"

    def __init__(self, table: str, lines: list[str]) -> None:
        super().__init__(f"{self.words.format(table=table)}: " + "; ".join(lines))
        self.table = table
        self.lines = lines


class RulesDontFit(ColumnsDiffer):
    """A rule of the copy can't be kept; carries one line per column, also for those that only differ."""

    words = "the rules for the columns of {table} can't be kept"


class ColumnsAreNew(ColumnsDiffer):
    """Columns that no rule of the copy names, and that the last completed copy didn't have as they are."""

    words = "columns of {table} are new, and no rule says whether they may be copied"

    def __init__(self, table: str, lines: list[str], names: list[str]) -> None:
        """``names`` are the new columns; ``lines`` may also be of others that differ."""
        super().__init__(table, lines)
        self.names = names


class DatabaseFailed(CopierError):
    """A statement or a connection failed.

    ``sqlstate`` is PostgreSQL's five-character code, or None when there was no connection, or it was lost.
    ``condition`` is the code's name as psycopg knows it, such as ``UniqueViolation``, or that of a
    `copier.login_failures.LoginFailure`, whose words are in ``lines``.
    """

    def __init__(
        self,
        message: str,
        *,
        side: str,
        sqlstate: str | None = None,
        condition: str = "",
        table: str | None = None,
        column: str | None = None,
        constraint: str | None = None,
        lines: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.lines = lines
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


class _OfForeignKey(Permanent):
    """A foreign key of the target has refused a write.

    ``lines`` is the other table, ``is_copied`` whether that is copied together with this one.
    """

    def __init__(self, words: str, refusal: Permanent, table: str, other: str, *, is_copied: bool) -> None:
        super().__init__(
            words,
            side=refusal.side or "",
            sqlstate=refusal.sqlstate,
            condition=refusal.condition,
            table=table,
            constraint=refusal.constraint,
            lines=[other],
        )
        self.is_copied = is_copied


class PointsNowhere(_OfForeignKey):
    """Rows of the source point to rows of another table that the target doesn't hold.

    Where that table is copied together with this one, the source has no such rows of this liquidation.
    """

    def __init__(self, refusal: Permanent, table: str, parent: str, *, is_copied: bool) -> None:
        step = "they are of another liquidation" if is_copied else "copy or create those first"
        words = (
            f"rows of {table} point to rows of {parent} that are not in {refusal.side}, and its foreign key "
            f"{refusal.constraint} refuses them: {step}"
        )
        super().__init__(words, refusal, table, parent, is_copied=is_copied)


class StillReferenced(_OfForeignKey):
    """Rows of another table, which the target holds, point to rows that are to be removed or changed there.

    Where that table is copied together with this one, or is this one, its rows are of other liquidations.
    """

    def __init__(self, refusal: Permanent, table: str, child: str, *, is_copied: bool) -> None:
        of = " of other liquidations" if is_copied else ""
        words = (
            f"rows of {table} can't be removed or changed in {refusal.side}: rows of {child}{of} point to "
            f"them by the foreign key {refusal.constraint}"
        )
        super().__init__(words, refusal, table, child, is_copied=is_copied)


def grant(privileges: Sequence[str], what: str, role: str) -> str:
    """The statement that grants them on this object; a role that is to be a member of another one has no ON.

    ``what`` and ``role`` are written as SQL writes them.
    """
    if list(privileges) == [what]:
        return f"GRANT {what} TO {role}"
    return f"GRANT {', '.join(privileges)} ON {what} TO {role}"


class CascadeRefused(Permanent):
    """Foreign keys of the target, by ON DELETE or ON UPDATE, have changed rows that refer to written ones.

    The transaction is rolled back. What may not be done is what a key without an action refuses, so it has
    the same SQLSTATE.
    """

    def __init__(
        self, side: str, table: str, constraints: Sequence[str], *, constraint: str, of: str
    ) -> None:
        """``constraint`` is the plain name of the first of them, and ``of`` that of its table."""
        super().__init__(
            f"rows of {table} in {side} can't be deleted or replaced, because foreign keys would then delete "
            f"or change rows that still refer to them: {', '.join(constraints)}; nothing of that was kept. "
            "Copy those tables together with this one as a set, or first",
            side=side,
            sqlstate="23503",
            condition="ForeignKeyViolation",
            table=of,
            constraint=constraint,
            lines=constraints,
        )


class PrivilegeMissing(Permanent):
    """The role lacks privileges; ``lines`` has the statements that grant them.

    ``role`` is written as SQL writes it, and so are the things of which it lacks something, such as
    ``TABLE public.items``: ``missing`` has each with the privileges.
    """

    def __init__(
        self, side: str, role: str, missing: Sequence[tuple[str, Sequence[str]]], table: str | None = None
    ) -> None:
        statements = [grant(names, what, role) for what, names in missing]
        lacks = ", ".join(f"{' and '.join(names)} on {what}" for what, names in missing)
        super().__init__(
            f"the user {role} of {side} lacks {lacks}: run there {'; '.join(statements)}",
            side=side,
            sqlstate="42501",
            condition="InsufficientPrivilege",
            table=table,
            lines=statements,
        )


class RowsHidden(Permanent):
    """Row-level security hides rows of the table from the role: what it sees may not be all."""

    def __init__(self, side: str, role: str, table: str) -> None:
        statement = f"ALTER ROLE {role} BYPASSRLS"
        super().__init__(
            f"row-level security of table {table} hides rows from the user {role} of {side}: it needs "
            f"BYPASSRLS; run there {statement}",
            side=side,
            condition="RowsHidden",
            table=table,
            lines=[statement],
        )


class ReadOnly(Permanent):
    """Nothing may be written there: the database or the role has default_transaction_read_only."""

    def __init__(self, side: str, role: str, database: str) -> None:
        super().__init__(
            f"{side} is read-only for the user {role}: default_transaction_read_only is on there; run "
            f"ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = off",
            side=side,
            condition="ReadOnly",
            lines=[f"ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = off"],
        )


class NotProven(CopierError):
    """The comparison of both sides found differences. Nothing may be called completed.

    ``lines`` are the triggers and the reasons. ``triggers`` of the target fire on the rows that the copy
    writes, where just such rows differ.
    """

    def __init__(self, reasons: list[str], triggers: list[str], names: SideNames) -> None:
        super().__init__(f"{len(reasons)} key ranges differ between {names.source} and {names.target}")
        self.triggers = triggers
        self.lines = [*self.triggers, *reasons]


class GivenUp(psycopg.OperationalError):
    """A statement was broken off, for this ``reason``. The connection is closed or can be rolled back."""

    def __init__(self, reason: Exception) -> None:
        super().__init__("the statement was broken off")
        self.reason = reason


#: Somebody else holds a lock on the table; the class of what is said of missing objects and privileges.
LOCKED, REFUSED = "55P03", "42"


def concerns_one_table(error: CopierError) -> bool:
    """Whether other tables may be looked at all the same."""
    if not isinstance(error, DatabaseFailed):
        return True
    state = error.sqlstate or ""
    return error.table is not None or state == LOCKED or state.startswith(REFUSED)


@contextmanager
def failures_of(side: str) -> Iterator[None]:
    """What a server or a connection does wrong inside is raised as `Transient` or `Permanent`.

    ``side`` is its name. A misuse of the driver, which has no SQLSTATE and is no lost connection, is raised
    as it is; and what a statement was broken off for is raised itself.
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, GivenUp):
            raise error.orig.reason from error
        if isinstance(error.orig, psycopg.Error) and _is_failure(error.orig):
            raise classify(error.orig, side) from error
        raise
    except GivenUp as error:
        raise error.reason from error
    except psycopg.Error as error:
        if _is_failure(error):
            raise classify(error, side) from error
        raise


def _is_failure(error: psycopg.Error) -> bool:
    """Whether it is the database's word, or a line that was lost.

    psycopg says so in several ways: an answer that breaks off in the middle is an InternalError.
    """
    lost = psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError
    return error.sqlstate is not None or isinstance(error, lost)


def classify(error: psycopg.Error, side: str) -> DatabaseFailed:
    """The error as the copier's own, its message free of any value of a row."""
    sqlstate = error.sqlstate
    condition = type(error).__name__
    if sqlstate is None:
        return _connection_failure(error, side, condition)
    kind = Transient if _passes(sqlstate) else Permanent
    names = names_in(error)
    return kind(
        f"{condition} in {side}{_place(error)}: {_harmless(error)}",
        side=side,
        sqlstate=sqlstate,
        condition=condition,
        table=names.get("table"),
        column=names.get("column"),
        constraint=names.get("constraint"),
        lines=[_harmless(error)] if sqlstate[:2] in SAID_CLASSES and _may_be_said(error) else [],
    )


def names_in(error: psycopg.Error) -> dict[str, str]:
    """What the error names, by "table", "column" and "constraint", where the server's system catalog has it.

    Empty for an error that a function raised: the fields of its diagnostic are the function's own words.
    """
    diag = error.diag
    found = {"table": None, "column": _copied_column(error), "constraint": None}
    if (diag.source_file or "").rpartition("/")[2] in NAMING_FILES:
        found["table"], found["constraint"] = diag.table_name, diag.constraint_name
        found["column"] = diag.column_name or found["column"]
    return {what: name for what, name in found.items() if name}


def _copied_column(error: psycopg.Error) -> str | None:
    """The column that COPY was about to fill: the context has it before the value, in any language."""
    found = _COPIED.match(error.diag.context or "")
    return found[1] if found else None


def _passes(sqlstate: str) -> bool:
    if sqlstate in PERMANENT_CODES:
        return False
    return sqlstate[:2] in TRANSIENT_CLASSES or sqlstate in TRANSIENT_CODES


def without_values(error: psycopg.Error) -> str:
    """What a server or a connection said, for a log: without DETAIL, HINT and CONTEXT, which quote rows."""
    if error.sqlstate is not None:
        return f"{error.sqlstate}{_place(error)}: {_harmless(error)}"
    return str(error) if isinstance(error, psycopg.OperationalError) else "misuse of the driver"


def _place(error: psycopg.Error) -> str:
    place = [f"{word} {name}" for word, name in names_in(error).items()]
    return f" ({', '.join(place)})" if place else ""


def _harmless(error: psycopg.Error) -> str:
    """A sentence for the condition that quotes no data.

    The primary message of class 22 errors quotes the offending value ("invalid input syntax for
    type integer: "secret""); a trigger or another function may raise any code with any words, and
    its name and language ("PL/pgSQL function …") then stand in the context. All else names objects.
    """
    if not _may_be_said(error):
        return f"error {error.sqlstate}; that server's log has its own words"
    return error.diag.message_primary or f"error {error.sqlstate}"


def _may_be_said(error: psycopg.Error) -> bool:
    sqlstate, context = error.sqlstate or "", error.diag.context or ""
    read_by_copy = context.startswith("COPY ") and sqlstate[:2] not in {
        "23",
        "54",
    }  # a regclass is read as a name
    return not (sqlstate[:2] not in KNOWN_CLASSES or "PL/" in context or read_by_copy)


def _connection_failure(error: psycopg.Error, side: str, condition: str) -> DatabaseFailed:
    refused = login_failure(error, side)
    if refused is None:
        return Transient(f"the connection to {side} was lost", side=side, condition=condition)
    return (Transient if refused.passes else Permanent)(
        refused.sentence,
        side=side,
        condition=refused.condition,
        lines=[refused.said],
    )

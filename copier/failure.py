"""Turns what a driver raises into the copier's tree: one place decides what is worth a retry.

The codes are PostgreSQL's, https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError

from copier.errors import DatabaseFailed, Permanent, Side, Transient
from copier.given_up import GivenUp

#: Classes (first two characters) whose errors pass by themselves.
TRANSIENT_CLASSES = frozenset({"08", "40", "53", "57", "58"})
#: Single codes outside of those classes that pass by themselves.
TRANSIENT_CODES = frozenset({"55P03", "55006", "25006", "25P03", "25P04"})
#: Codes inside of those classes that don't: the database was dropped.
PERMANENT_CODES = frozenset({"57P04"})
#: How a server words a refused login. libpq gives no code for a failed connection attempt.
REFUSED_LOGIN = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "is not permitted to log in",
    "permission denied for database",
)


@contextmanager
def failures_of(side: Side) -> Iterator[None]:
    """What a server or a connection does wrong inside is raised as `Transient` or `Permanent`.

    A misuse of the driver, which has no SQLSTATE and is no lost connection, is raised as it is; and what a
    statement was broken off for is raised itself.
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


def classify(error: psycopg.Error, side: Side) -> DatabaseFailed:
    """The error as the copier's own, its message free of any value of a row."""
    sqlstate = error.sqlstate
    condition = type(error).__name__
    if sqlstate is None:
        return _connection_failure(error, side, condition)
    kind = Transient if _passes(sqlstate) else Permanent
    diag = error.diag
    return kind(
        f"{condition} in {side}{_place(error)}: {_harmless(error)}",
        side=side,
        sqlstate=sqlstate,
        condition=condition,
        table=diag.table_name,
        column=diag.column_name,
        constraint=diag.constraint_name,
    )


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
    diag = error.diag
    names = {"table": diag.table_name, "column": diag.column_name, "constraint": diag.constraint_name}
    place = [f"{word} {name}" for word, name in names.items() if name]
    return f" ({', '.join(place)})" if place else ""


def _harmless(error: psycopg.Error) -> str:
    """A sentence for the condition that quotes no data.

    The primary message of class 22 errors quotes the offending value ("invalid input syntax for
    type integer: "secret""); a trigger or another function may raise any code with any words, and
    its name and language ("PL/pgSQL function …") then stand in the context. All else names objects.
    """
    sqlstate, context = error.sqlstate or "", error.diag.context or ""
    read_by_copy = context.startswith("COPY ") and sqlstate[:2] != "23"  # a regclass is read as a name
    if sqlstate[:2] not in KNOWN_CLASSES or "PL/" in context or read_by_copy:
        return f"error {sqlstate}; that server's log has its own words"
    return error.diag.message_primary or f"error {sqlstate}"


#: Classes whose primary messages name objects and conditions, never data.
KNOWN_CLASSES = frozenset({"08", "23", "25", "26", "28", "3D", "3F", "40", "42", "53", "55", "57", "58"})


def _connection_failure(error: psycopg.Error, side: Side, condition: str) -> DatabaseFailed:
    text = str(error)
    if any(words in text for words in REFUSED_LOGIN):
        return Permanent(
            f"{side} refused the login: check user, password and database name",
            side=side,
            condition="LoginRefused",
        )
    return Transient(f"the connection to {side} failed or was lost", side=side, condition=condition)

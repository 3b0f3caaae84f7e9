"""Finds liquidations in the source's catalogue, newest first, within a bounded time however many there are.

By the beginning of the number, and by parts of the name and the period, whatever the case and the accents.
A catalogue that numbers in integers is read down from the newest in parts; when the time is over, what was
found is the answer. One that numbers in text, or in any other type, has no order that an index could know:
it is read as a whole, and what isn't a number there is no liquidation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from sqlalchemy import Engine

from copier.columns import Number
from copier.connections import Abort, BoundedTransaction, run
from copier.errors import DEFAULT_NAMES, SideNames, failures_of
from copier.model import MAX_LIQUIDATION_ID, Catalogue, Choice
from copier.system_catalog import read_table

#: Rows of the first part, and by how much each part is longer than the one before, up to the longest.
FIRST_ROWS, GROWTH, MOST_ROWS = 5_000, 4, 200_000
#: How much longer the entry of exactly the wanted number may take to be found.
EXACTLY_SECONDS = 1.0
#: What the source's activity view shows of a search.
LABEL = "traspaso search"

#: What a letter may look like in a name.
_VARIANTS = {"a": "aáàâäã", "e": "eéèêë", "i": "iíìîï", "o": "oóòôöõ", "u": "uúùûü", "n": "nñ", "c": "cç"}
_BARE = {variant: letter for letter, variants in _VARIANTS.items() for variant in variants}


@dataclass(frozen=True, slots=True)
class Entry:
    """One liquidation; ``period`` as the server writes it, such as ``2026-10-01``."""

    id: int
    label: str | None
    period: str | None


def search(
    source: Engine,
    catalogue: Catalogue,
    wanted: str,
    *,
    names: SideNames = DEFAULT_NAMES,
    limit: int = 100,
    timeout_seconds: float = 2.0,
    abort: Abort | None = None,
) -> list[Entry]:
    """The newest entries that fit each word of ``wanted``; the one of exactly that number comes first.

    Errors call the source as ``names`` do. Another thread can end it by ``abort``.

    Raises:
        Aborted: it was ended so.
        SchemaError: the catalogue's table or a column is missing.
        DatabaseFailed: the source can't be reached.
    """
    deadline = time.monotonic() + timeout_seconds
    words = wanted.split()
    look = BoundedTransaction(
        source,
        names.source,
        LABEL,
        timeout_seconds,
        # That very number is looked for all the same, be the time however short.
        statement_seconds=timeout_seconds + EXACTLY_SECONDS,
        abort=abort,
    )
    with look, failures_of(names.source):
        columns = _columns(look, catalogue)
        found = _exactly(look, columns, wanted.strip())
        known = {entry.id for entry in found}
        reading = _Reading(look, columns, words, limit, deadline)
        return [*found, *(each for each in reading.entries() if each.id not in known)][:limit]


def choose(
    source: Engine,
    catalogue: Catalogue,
    choice: Choice,
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
) -> list[Entry]:
    """The entries that fit the choice, newest first, in one read-only statement.

    Errors call the source as ``names`` do.

    Raises:
        CopierError: the condition can't be read, took longer than ``timeout_seconds``, or the source or a
            column is missing.
    """
    look = BoundedTransaction(source, names.source, LABEL, timeout_seconds)
    with look, failures_of(names.source):
        columns = _columns(look, catalogue)
        conditions = [columns.number.is_number]
        if choice.period is not None:
            # A date begins so as text, too, and so does a text such as 2026-10.
            month = choice.period.of(choice.day)
            conditions.append(
                sql.SQL("{}::text LIKE {}").format(columns.period, sql.Literal(f"{month:%Y-%m}%"))
            )
        if choice.where is not None:
            conditions.append(sql.SQL("({})").format(sql.SQL(choice.where)))
        statement = sql.Composed(
            [
                sql.SQL("SELECT {id}, {label}::text, {period}::text FROM {table} WHERE ").format(
                    id=columns.number.id, label=columns.label, period=columns.period, table=columns.table
                ),
                sql.SQL(" AND ").join(conditions),
                sql.SQL(" ORDER BY {} LIMIT {}").format(
                    columns.number.newest_first, sql.SQL(str(choice.limit))
                ),
            ]
        )
        return [_entry(row) for row in run(look.connection, statement)]


@dataclass(frozen=True, slots=True)
class _Columns:
    """The parts of the statements, quoted."""

    table: sql.Composable
    number: Number
    label: sql.Composable
    period: sql.Composable


def _columns(look: BoundedTransaction, catalogue: Catalogue) -> _Columns:
    table = read_table(look.connection, look.side, catalogue.table)
    table.refuse_unreadable()
    number, label = table.column(catalogue.id_column), table.column(catalogue.label_column)
    period = table.column(catalogue.period_column) if catalogue.period_column else None
    return _Columns(
        table=catalogue.table.identifier,
        number=Number.of(number),
        label=sql.Identifier(label.name),
        period=sql.Identifier(period.name) if period else sql.SQL("NULL"),
    )


def _exactly(look: BoundedTransaction, columns: _Columns, wanted: str) -> list[Entry]:
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 19 and int(wanted) > 0):
        return []
    if int(wanted) > MAX_LIQUIDATION_ID:
        return []
    statement = sql.SQL(
        "SELECT {id}, {label}::text, {period}::text FROM {table} WHERE {same} AND {is_number}"
    ).format(
        id=columns.number.id,
        label=columns.label,
        period=columns.period,
        table=columns.table,
        same=columns.number.is_exactly(int(wanted)),
        is_number=columns.number.is_number,
    )
    return [_entry(row) for row in run(look.connection, statement)]


class _Reading:
    """Reads the catalogue from the newest entry down, part by part, or at once where no index helps."""

    def __init__(
        self, look: BoundedTransaction, columns: _Columns, words: list[str], limit: int, deadline: float
    ) -> None:
        self._look = look
        self._columns = columns
        self._words = words
        self._limit = limit
        self._deadline = deadline

    def entries(self) -> list[Entry]:
        if not self._columns.number.is_ordered:
            return [_entry(row) for row in self._ask(self._hits(None, None, self._limit)) or []]
        found: list[Entry] = []
        rows, below = FIRST_ROWS, None
        while len(found) < self._limit:
            lowest = self._ask(self._lowest(rows, below))
            if lowest is None:
                break
            last = not lowest  # fewer rows are left than a part has
            down_to = None if last else lowest[0][0]
            hits = self._ask(self._hits(below, down_to, self._limit - len(found)))
            if hits is None:
                break
            found += map(_entry, hits)
            if last:
                break
            rows, below = min(rows * GROWTH, MOST_ROWS), down_to
        return found

    def _ask(self, statement: sql.Composable) -> list[Sequence[Any]] | None:
        """The rows; None when the time is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return None
        return self._look.rows(statement, left)

    def _lowest(self, rows: int, below: int | None) -> sql.Composable:
        """The last id of a part of so many rows."""
        return sql.SQL(
            "SELECT {id} FROM {table} WHERE {older} AND {is_number} ORDER BY {newest_first} "
            "OFFSET {rows} LIMIT 1"
        ).format(
            id=self._columns.number.id,
            table=self._columns.table,
            older=self._bound("<", below),
            is_number=self._columns.number.is_number,
            newest_first=self._columns.number.newest_first,
            rows=sql.SQL(str(rows - 1)),
        )

    def _hits(self, below: int | None, down_to: int | None, limit: int) -> sql.Composable:
        columns = self._columns
        return sql.SQL(
            "SELECT {id}, {label}::text, {period}::text FROM {table} WHERE {conditions} "
            "ORDER BY {newest_first} LIMIT {limit}"
        ).format(
            id=columns.number.id,
            label=columns.label,
            period=columns.period,
            table=columns.table,
            conditions=sql.SQL(" AND ").join(
                [
                    self._bound("<", below),
                    self._bound(">=", down_to),
                    columns.number.is_number,
                    *(_fits(word, columns) for word in self._words),
                ]
            ),
            newest_first=columns.number.newest_first,
            limit=sql.SQL(str(limit)),
        )

    def _bound(self, operator: str, number: int | None) -> sql.Composable:
        if number is None:
            return sql.SQL("true")
        return sql.SQL(f"{{}} {operator} {{}}").format(self._columns.number.id, sql.Literal(number))


def _fits(word: str, columns: _Columns) -> sql.Composable:
    """Whether an entry's number begins so, or its name or period holds this."""
    word = word.replace("\x00", "\ufffd")  # no text of PostgreSQL holds it
    conditions = [
        sql.SQL("{}::text ~* {}").format(columns.label, sql.Literal("".join(map(_any_form, word)))),
        sql.SQL("{}::text ILIKE {}").format(columns.period, sql.Literal(f"%{_escaped(word)}%")),
    ]
    if word.isascii() and word.isdigit():
        conditions.insert(0, sql.SQL("{} LIKE {}").format(columns.number.written, sql.Literal(f"{word}%")))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(conditions))


def _any_form(letter: str) -> str:
    """A regular expression for the letter in either case, with any accent; other signs are themselves."""
    bare = _BARE.get(letter.lower())
    if bare is not None:
        return f"[{_VARIANTS[bare]}{_VARIANTS[bare].upper()}]"
    return f"\\{letter}" if letter in r".^$*+?()[]{}|\-" else letter


def _escaped(word: str) -> str:
    """What LIKE takes literally."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(int(row[0]), row[1], row[2])

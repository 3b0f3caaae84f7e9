"""Removes the rows of the target whose keys the source doesn't have, beside the ranges of a copy.

A copy removes such rows range by range, together with what it writes there. In a set of tables that isn't
enough: a row to which others refer goes after those, and a row that is to be written may need a value that
only a surplus row has. Here they are found by the hashes of their keys, and removed a range a transaction,
each with its record.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from psycopg.sql import Composable
from sqlalchemy import Connection

from copier import statements
from copier.carried import unless_carried_on
from copier.chunk_writer import Ledger, Record, Target, recorded
from copier.chunker import RangeCursor
from copier.errors import Permanent, failures_of
from copier.exchange import COMMIT, Rows, Transaction, exchange
from copier.model import WHOLE, Bound, Chunk, Counts, KeyRange
from copier.row_hash import unpacked
from copier.table_slice import TableSlice


class Surplus:
    """The surplus rows of one table."""

    def __init__(
        self,
        reader: Connection,
        connection: Target,
        source: TableSlice,
        target: TableSlice,
        *,
        cut: Callable[[], RangeCursor],
        rows: int,
    ) -> None:
        """``reader`` is in the source's snapshot. ``cut`` gives the ranges, of at most so many ``rows``."""
        self._reader = reader
        self._connection = connection
        self._source = source
        self._target = target
        self._cut = cut
        self._rows = rows

    def is_there(self) -> bool:
        """Whether the target has any. Where both sides have the same keys, that takes one look at each."""
        with ThreadPoolExecutor(1) as other_side:
            asked = other_side.submit(self._ask_source, statements.key_digest(self._source, WHOLE))
            [held] = self._ask_target(statements.key_digest(self._target, WHOLE))
            if held == asked.result()[0]:
                return False
        return next(self._found(), None) is not None

    def loosen(self, record: Record | Ledger, columns: Sequence[str], number: Callable[[], int]) -> None:
        """Has them refer to nothing by these columns any more. ``number`` gives each record its own."""
        for part, keys in self._found():
            with self._connection.transaction() as begun:
                self._write(begun, statements.loosen(self._target, part, keys, columns))
                recorded(begun, [_removed(part, number(), 0, 0.0)], record)

    def remove(
        self,
        record: Record | Ledger,
        number: Callable[[], int],
        *,
        of_each_other: Callable[[Permanent], bool],
    ) -> None:
        """Deletes those that may go. ``number`` gives each record its own.

        Rows that are refused because such rows refer to each other, as ``of_each_other`` tells, are deleted
        together at the end.

        Raises:
            Permanent: something refers to one of them; `CarriedOn` where a foreign key would have changed it.
        """
        refused: list[Bound] = []
        for part, keys in self._found():
            try:
                self._remove(part, keys, record, number)
            except Permanent as refusal:
                if not of_each_other(refusal):
                    raise
                refused += keys
        if refused:
            self._remove(WHOLE, refused, record, number)

    def _remove(
        self, part: KeyRange, keys: Sequence[Bound], record: Record | Ledger, number: Callable[[], int]
    ) -> None:
        started = time.monotonic()
        with self._connection.transaction() as begun:
            gone = self._write(begun, statements.remove(self._target, part, keys))
            if gone:
                seconds = time.monotonic() - started
                recorded(begun, [_removed(part, number(), gone, seconds)], record)

    def _write(self, begun: Transaction, statement: Composable) -> int:
        """Gives how many rows the statement, which says so, has changed."""
        rows = 0

        def write() -> int:
            nonlocal rows
            [[found]] = begun.ask(statement)[0]
            rows = int(found)
            return rows

        unless_carried_on(self._target, lambda question: begun.ask(question)[0], write)
        return rows

    def _found(self) -> Iterator[tuple[KeyRange, list[Bound]]]:
        """The ranges that have any, and their keys as the target writes them."""
        ranges = self._cut()
        while (part := ranges.next(self._rows)) is not None:
            with ThreadPoolExecutor(1) as other_side:
                asked = other_side.submit(
                    self._ask_source, statements.key_hashes_in_order(self._source, part)
                )
                [[held]] = self._ask_target(statements.key_hashes_in_order(self._target, part))
                [[wanted]] = asked.result()
            places = _places(unpacked(held), unpacked(wanted))
            if places:
                found = self._ask_target(statements.keys_at(self._target, part, places))
                yield part, [tuple(key) for (key,) in found]

    def _ask_source(self, question: Composable) -> Rows:
        with failures_of(self._source.side):
            return exchange(self._reader, question)[0]

    def _ask_target(self, question: Composable) -> Rows:
        with self._connection.moment(self._target.tables) as moment:
            return moment.ask(question, COMMIT)[0]


def _places(held: array[int], wanted: array[int]) -> list[int]:
    known = frozenset(wanted)
    return [place for place, each in enumerate(held) if each not in known]


def _removed(part: KeyRange, number: int, rows: int, seconds: float) -> Chunk:
    return Chunk(replace(part, number=number, rows=0), "removed", 0, Counts(deleted=rows), seconds=seconds)

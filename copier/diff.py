"""Which rows of a range differ: told from 64-bit hashes, without a row leaving its server.

Both sides send the hashes of their rows in the order of the keys, joined into one byte string each (see
`copier.model` for what is hashed). The rows that only one side has are named by their place in that
order; their keys are asked for afterwards, in the same snapshot.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from psycopg.sql import Composable
from sqlalchemy import Connection

from copier import statements
from copier.connections import run
from copier.errors import Side, failures_of
from copier.model import EMPTY, Bound, Counts, Digest, KeyRange, Seen
from copier.row_hash import digest_of, unpacked
from copier.table_slice import TableSlice

#: Rows that are compared at once.
STRETCH = 64


@dataclass(frozen=True, slots=True)
class Difference:
    """The places, from 0, of the rows that only prod has and of those that only consulta has."""

    missing: list[int]
    surplus: list[int]

    @classmethod
    def between(cls, source: array[int], target: array[int]) -> Difference:
        """Of the rows' hashes on both sides, in the order of the keys.

        Stretches that are equal, place by place, are passed over: few rows of a range differ as a rule.
        """
        length = max(len(source), len(target))
        starts = [
            at for at in range(0, length, STRETCH) if source[at : at + STRETCH] != target[at : at + STRETCH]
        ]
        return cls(_places(source, target, starts), _places(target, source, starts))


def _places(hashes: array[int], others: array[int], starts: list[int]) -> list[int]:
    """Where in these stretches a hash stands that is in none of the others'."""
    known = frozenset(each for at in starts for each in others[at : at + STRETCH])
    return [
        place
        for at in starts
        for place, each in enumerate(hashes[at : at + STRETCH], at)
        if each not in known
    ]


# ----------------------------------------------------------------------------
# Finds out what of a range differs, by asking both sides at the same time.
#
# The hashes of all rows cost hardly more than their digest, and tell at once whether anything differs and
# what. Where most rows of a range differed, the first rows of the next one decide whether it is looked at
# at all, or replaced as a whole.


#: After a range of which most differed, so many rows at the start of the next one speak for it.
FIRST_ROWS = 250
#: From this share of differing rows on, a range is replaced as a whole.
MOST = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be done with a range: nothing, all, or some rows.

    ``missing`` are the keys of the rows to copy and ``surplus`` those of the rows to delete before, both
    None where the range is to be replaced as a whole. ``source`` is prod's digest, where the look has given
    it; ``seen`` what the other rows of consulta were found to be.
    """

    counts: Counts
    source: Digest | None = None
    missing: list[Bound] | None = None
    surplus: list[Bound] | None = None
    seen: Seen | None = None

    @property
    def nothing(self) -> bool:
        return self.missing == [] and self.surplus == []


class RangeDiff:
    """One lane's eyes: a reader of prod's snapshot, and one moment of consulta for each range."""

    def __init__(self, reader: Connection, source: TableSlice, target: TableSlice) -> None:
        self._reader = reader
        self._source = source
        self._target = target
        self._mostly = False

    def look(self, connection: Connection, part: KeyRange) -> Found:
        """Compares prod's range with consulta's, as the one snapshot of ``connection`` shows it."""
        if self._mostly and self._starts_otherwise(connection, part):
            return self._to_replace(connection, part)
        definition = self._defined(connection)
        (packed, _), (other, base) = self._both(
            connection, lambda side: statements.hashes(side, part), lambda result: tuple(result.one())
        )
        ours, theirs = unpacked(packed), unpacked(other)
        source = digest_of(ours)
        if packed == other:
            return Found(Counts(unchanged=len(ours)), source, [], [], self._seen(base, EMPTY, definition))
        difference = Difference.between(ours, theirs)
        missing, surplus = difference.missing, difference.surplus
        unchanged = len(ours) - len(missing)
        if not theirs:
            return Found(Counts(inserted=len(ours)), source)
        self._mostly = max(len(missing), len(surplus)) > MOST * max(len(ours), len(theirs))
        if len(theirs) - len(surplus) != unchanged:
            # Two rows share a hash: it doesn't tell them apart, so it doesn't decide.
            return self._to_replace(connection, part, source)
        if self._mostly:
            return self._to_replace(connection, part, source, unchanged)
        missing_keys = self._keys("prod", self._reader, self._source, part, missing)
        surplus_keys = self._keys("consulta", connection, self._target, part, surplus)
        counts = Counts.of(missing_keys, surplus_keys, unchanged)
        written = digest_of(array("q", (ours[place] for place in missing)))
        return Found(counts, source, missing_keys, surplus_keys, self._seen(base, written, definition))

    def _seen(self, base: str, written: Digest, definition: str) -> Seen | None:
        """None for a view, which has no xmin."""
        return Seen(base, written, definition) if self._target.has_versions else None

    def _defined(self, connection: Connection) -> str:
        with failures_of("consulta"):
            return str(run(connection, statements.definition(self._target.table)).scalar_one())

    def _starts_otherwise(self, connection: Connection, part: KeyRange) -> bool:
        """Whether most of the range's first rows differ."""
        ours, theirs = self._both(
            connection,
            lambda side: statements.hashes(side, part, FIRST_ROWS),
            lambda result: unpacked(result.one()[0]),
        )
        difference = Difference.between(ours, theirs)
        return len(difference.missing) > MOST * len(ours) and len(difference.surplus) > MOST * len(theirs)

    def _to_replace(
        self, connection: Connection, part: KeyRange, source: Digest | None = None, unchanged: int = 0
    ) -> Found:
        """Of a range that is replaced as a whole: but for the unchanged, a common key counts as updated.

        ``source`` is prod's digest where the look has given it.
        """
        ours, theirs = self._both(
            connection, lambda side: statements.key_digest(side, part), lambda result: tuple(result.one())
        )
        if ours == theirs:
            return Found(Counts(updated=ours[0] - unchanged, unchanged=unchanged), source)
        keys = self._both(
            connection,
            lambda side: statements.key_hashes(side, part),
            lambda result: unpacked(result.scalar_one()),
        )
        counts = Counts.of(*keys, unchanged)
        return Found(replace(counts, updated=counts.updated - unchanged), source)

    @staticmethod
    def _keys(
        side: Side, connection: Connection, rows: TableSlice, part: KeyRange, places: list[int]
    ) -> list[Bound]:
        if not places:
            return []
        with failures_of(side):
            return [tuple(key) for key in run(connection, statements.keys_at(rows, part, places)).scalars()]

    def _both(
        self,
        connection: Connection,
        question: Callable[[TableSlice], Composable],
        read: Callable[[Any], T],
    ) -> tuple[T, T]:
        """Asks prod and consulta at the same time."""
        with ThreadPoolExecutor(1) as other_side:
            ours = other_side.submit(_asked, "prod", self._reader, question(self._source), read)
            theirs = _asked("consulta", connection, question(self._target), read)
            return ours.result(), theirs


def _asked(side: Side, connection: Connection, statement: Composable, read: Callable[[Any], T]) -> T:
    with failures_of(side):
        return read(run(connection, statement))

"""Which rows of a key range differ between both sides, found by 64-bit hashes. No row leaves its server.

    1. Each side sends the hashes of its rows in the order of the keys, joined into one byte string (see
       `copier.row_hash`). Where both strings are equal, so are the rows: `Unchanged`.
    2. A hash that only one side has is a row that differs. Its place in that order is known now, and the side
       is asked for the key at this place, in the same snapshot: `Patch`.
    3. Where most rows differ, the range is replaced as a whole: `Replace`.

An example. A range has 10 rows on both sides, and the fourth was changed in the source. Each side sends 80
bytes. The hash at place 3 (they count from 0) of each side is one that the other side doesn't have. Both are
asked for their key at place 3. It is the same key: 1 row is updated, 9 are unchanged.

To send the hashes of all rows costs hardly more than to compute their digest. After a range of which most
rows differed, only the first `FIRST_ROWS` rows of the next one are compared; where most of these differ too,
it is replaced as a whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from psycopg.sql import Composable
from sqlalchemy import Connection

from copier import statements
from copier.batch import Rows, run_batch
from copier.connections import run
from copier.errors import failures_of
from copier.model import EMPTY, Bound, Counts, Digest, KeyRange, RangeComparison, Seen
from copier.parallel import both_sides
from copier.row_hash import digest_of, unpacked
from copier.table_slice import TableSlice

#: Rows that are compared at once.
STRETCH = 64
#: After a range of which most rows differed, so many rows at the start of the next one decide for it.
FIRST_ROWS = 250
#: From this share of differing rows on, a range is replaced as a whole.
MOST = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Both sides hold the same ``rows``. ``seen`` is what the target's were found to be."""

    rows: int
    source: Digest
    seen: Seen | None


@dataclass(frozen=True, slots=True)
class Replace:
    """The range is to be replaced as a whole. ``source`` is the source's digest where it is known already."""

    counts: Counts
    source: Digest | None = None

    @property
    def is_new(self) -> bool:
        """Whether the target holds none of its rows."""
        return self.counts == Counts(inserted=self.counts.inserted)


@dataclass(frozen=True, slots=True)
class Patch:
    """Some rows differ: those of the keys ``missing`` are to be copied, those of ``surplus`` deleted before.

    ``source`` is the source's digest; ``seen`` is what the other rows of the target were found to be.
    """

    counts: Counts
    source: Digest
    missing: tuple[Bound, ...]
    surplus: tuple[Bound, ...]
    seen: Seen | None


Difference = Unchanged | Replace | Patch


@dataclass(frozen=True, slots=True)
class Places:
    """The places, from 0, of the rows that only the source has and of those that only the target has."""

    missing: list[int]
    surplus: list[int]

    @classmethod
    def between(cls, source: array[int], target: array[int]) -> Places:
        """Of the rows' hashes on both sides, in the order of the keys.

        Stretches that are equal, place by place, are passed over: few rows of a range differ as a rule.
        """
        length = max(len(source), len(target))
        starts = [
            at for at in range(0, length, STRETCH) if source[at : at + STRETCH] != target[at : at + STRETCH]
        ]
        return cls(_only_in(source, target, starts), _only_in(target, source, starts))


def _only_in(hashes: array[int], others: array[int], starts: list[int]) -> list[int]:
    """Where in these stretches a hash stands that is in none of the others'."""
    known = frozenset(each for at in starts for each in others[at : at + STRETCH])
    return [
        place
        for at in starts
        for place, each in enumerate(hashes[at : at + STRETCH], at)
        if each not in known
    ]


class Look(Protocol):
    """One moment of the target: all that is asked of it is one snapshot."""

    def ask(self, *statements: Composable) -> list[Rows]:
        """The rows of each of the statements, which are sent in one message."""


class RangeDiff:
    """Compares the ranges of one lane: the source's snapshot with one moment of the target for each."""

    def __init__(
        self, reader: Connection, source: TableSlice, target: TableSlice, *, anew: bool = False
    ) -> None:
        """``anew``: each range is to be replaced as a whole, whatever it holds."""
        self._reader = reader
        self._source = source
        self._target = target
        self._anew = anew
        self._most_differed = False

    def of(self, look: Look, key_range: KeyRange) -> Difference:
        """Compares the source's range with the target's, as the target shows it at this moment."""
        if self._anew or (self._most_differed and self._first_rows_differ(look, key_range)):
            return self._replace(look, key_range)
        [[source_packed, _]], ([[definition]], [[target_packed, base]]) = both_sides(
            lambda: self._ask_source(statements.hashes(self._source, key_range)),
            lambda: self._ask_target(
                look, statements.definition(self._target.tables), statements.hashes(self._target, key_range)
            ),
        )
        source, target = unpacked(source_packed), unpacked(target_packed)
        digest = digest_of(source)
        if source_packed == target_packed:
            return Unchanged(len(source), digest, self._seen(base, EMPTY, definition))
        places = Places.between(source, target)
        unchanged = len(source) - len(places.missing)
        if not target:
            return Replace(Counts(inserted=len(source)), digest)
        most = MOST * max(len(source), len(target))
        self._most_differed = max(len(places.missing), len(places.surplus)) > most
        if len(target) - len(places.surplus) != unchanged:
            # Two rows share a hash: it doesn't tell them apart, so it doesn't decide.
            return self._replace(look, key_range, digest)
        if self._most_differed:
            return self._replace(look, key_range, digest, unchanged)
        if not (places.missing or places.surplus):
            return Unchanged(unchanged, digest, self._seen(base, EMPTY, definition))
        missing = _keys(self._reader, self._source, key_range, places.missing)
        surplus = self._keys_of_target(look, key_range, places.surplus)
        written = digest_of(array("q", (source[place] for place in places.missing)))
        return Patch(
            Counts.of(missing, surplus, unchanged),
            digest,
            missing,
            surplus,
            self._seen(base, written, definition),
        )

    def _seen(self, base: str, written: Digest, definition: str) -> Seen | None:
        """None for a view, which has no xmin."""
        return Seen(base, written, definition) if self._target.has_versions else None

    def _keys_of_target(self, look: Look, key_range: KeyRange, places: list[int]) -> tuple[Bound, ...]:
        if not places:
            return ()
        [rows] = self._ask_target(look, statements.keys_at(self._target, key_range, places))
        return tuple(tuple(key) for (key,) in rows)

    def _first_rows_differ(self, look: Look, key_range: KeyRange) -> bool:
        """Whether most of the range's first rows differ."""
        source, target = self._both(
            look,
            lambda side: statements.hashes(side, key_range, FIRST_ROWS),
            lambda rows: unpacked(rows[0][0]),
        )
        places = Places.between(source, target)
        return len(places.missing) > MOST * len(source) and len(places.surplus) > MOST * len(target)

    def _replace(
        self, look: Look, key_range: KeyRange, digest: Digest | None = None, unchanged: int = 0
    ) -> Replace:
        """Of a range that is replaced as a whole: but for the unchanged, a common key counts as updated."""
        source, target = self._both(
            look, lambda side: statements.key_digest(side, key_range), lambda rows: tuple(rows[0])
        )
        if source == target:
            return Replace(Counts(updated=source[0] - unchanged, unchanged=unchanged), digest)
        keys = self._both(
            look,
            lambda side: statements.key_hashes(side, key_range),
            lambda rows: unpacked(rows[0][0]),
        )
        counts = Counts.of(*keys, unchanged)
        return Replace(replace(counts, updated=counts.updated - unchanged), digest)

    def _both(
        self,
        look: Look,
        question: Callable[[TableSlice], Composable],
        read: Callable[[Rows], T],
    ) -> tuple[T, T]:
        """What ``read`` makes of both sides' rows."""
        source, [target] = both_sides(
            lambda: self._ask_source(question(self._source)),
            lambda: self._ask_target(look, question(self._target)),
        )
        return read(source), read(target)

    def _ask_source(self, statement: Composable) -> Rows:
        with failures_of(self._source.side):
            return run_batch(self._reader, statement)[0]

    def _ask_target(self, look: Look, *statements: Composable) -> list[Rows]:
        with failures_of(self._target.side):
            return look.ask(*statements)


def counts_of(
    comparison: RangeComparison, reader: Connection, source: TableSlice, look: Look, target: TableSlice
) -> Counts:
    """By how many rows the range differs: what a copy would do to it, at the moments of both."""
    if not comparison.source.rows or not comparison.target.rows:
        return Counts(inserted=comparison.source.rows, deleted=comparison.target.rows)
    match RangeDiff(reader, source, target).of(look, comparison.range):
        case Unchanged(rows):
            return Counts(unchanged=rows)
        case found:
            return found.counts


def _keys(
    connection: Connection, rows: TableSlice, key_range: KeyRange, places: list[int]
) -> tuple[Bound, ...]:
    if not places:
        return ()
    with failures_of(rows.side):
        return tuple(
            tuple(key) for key in run(connection, statements.keys_at(rows, key_range, places)).scalars()
        )

"""Compares both sides range by range: the source's snapshot with one moment of the target.

What is read of a range depends on what is known of it from the copy:

    - It was copied as a whole: the source's digest came with its rows. Only the target's rows are hashed.
    - Its rows were compared while it was put in place (`Seen`). Only the rows that were written there since
      are hashed: they have to be those that the copy wrote, and there have to be as many rows in all.
    - Its rows were compared after its commit, and one transaction had written all of them (`Written`). Two
      numbers are asked: how many rows there are, and how many of them that transaction wrote (by ``xmin``).
    - Every other range is hashed on both sides.

An example of `Written`. Transaction 507 wrote the 10 rows of a range. If there are 10 rows now, and 10 with
the xmin 507, they are the same ones, since a version of a row is never altered. If one was changed since,
there are 10 rows, and 9 with the xmin 507: then the target's rows are hashed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from psycopg.sql import Composable
from sqlalchemy import Connection

from copier import statements
from copier.batch import run_batch
from copier.errors import failures_of
from copier.model import EMPTY, Chunk, Digest, KeyRange, RangeComparison, Seen, Written
from copier.parallel import both_sides, run_lanes
from copier.table_slice import TableSlice

#: At most so many ranges are asked about in one message, and no further one after so many rows: they come as
#: one step of the progress.
MOST_RANGES, ROWS_AT_ONCE = 8, 150_000
#: A row whose value isn't read counts for so much of one.
UNREAD = 0.1

#: One lane: a reader of the source and a reader of the target.
Readers = tuple[Connection, Connection]


@dataclass(frozen=True, slots=True)
class SeenTogether:
    """Ranges that were seen from one base: whether they are still so is one question about all their rows.

    Of the rows that were written since, there have to be exactly those that the copy wrote; and as many rows
    in all. Then each range holds what it has to, as it would by its own question.
    """

    base: str
    definition: str
    rows: int
    written: Digest
    chunks: tuple[Chunk, ...]

    @classmethod
    def of(cls, chunks: Sequence[Chunk]) -> Self | None:
        """None where the ranges weren't seen so, or weren't all seen."""
        seen = [each.seen for each in chunks if each.source is not None and isinstance(each.seen, Seen)]
        bases = {(each.base, each.definition) for each in seen}
        if not chunks or len(seen) < len(chunks) or len(bases) > 1:
            return None
        [(base, definition)] = bases
        rows = sum(each.source.rows for each in chunks if each.source is not None)
        return cls(base, definition, rows, sum((each.written for each in seen), EMPTY), tuple(chunks))

    def is_still(self, found: Sequence[int], definition: str) -> bool:
        """By the rows of the target, and number and digest of those since, as `statements.arrivals` has them.

        ``definition`` is what the target's table is made of at the moment of that.
        """
        rows, arrived, value = found
        return (rows, Digest(arrived, value), definition) == (self.rows, self.written, self.definition)

    def comparisons(self) -> Generator[RangeComparison, None, None]:
        """Of all ranges, where they are still as they were seen."""
        for each in self.chunks:
            if each.source is not None:
                yield RangeComparison(each.range, each.source, each.source)


def compared(
    lanes: list[Readers],
    take: Callable[[], KeyRange | None],
    source: TableSlice,
    target: TableSlice,
    known: Mapping[int, Chunk],
    *,
    definition: str,
    is_same: bool,
) -> Generator[RangeComparison, None, None]:
    """Yields a comparison a range; ``known`` are the chunks by which the ranges were put in place.

    ``definition`` is what the target's table is made of at the moment that is compared. ``is_same``: that is
    a moment of the same server and table as before the first range, so that a `Written` says something.
    """
    seen = {
        number: chunk.seen
        for number, chunk in known.items()
        if chunk.source
        and chunk.seen
        and (is_same if isinstance(chunk.seen, Written) else chunk.seen.definition == definition)
    }

    def weight(key_range: KeyRange) -> float:
        return UNREAD if isinstance(seen.get(key_range.number), Written) else 1.0

    most = min(MOST_RANGES, len(known) // (2 * len(lanes)))
    whole = sum(weight(chunk.range) * chunk.rows for chunk in known.values())
    enough = min(ROWS_AT_ONCE, whole / len(lanes)) if known else ROWS_AT_ONCE

    def take_some() -> list[KeyRange] | None:
        """Ranges for one message: short ones together, so that a way to the servers isn't made for each."""
        key_ranges: list[KeyRange] = []
        while key_range := take():
            key_ranges.append(key_range)
            if (
                sum(map(weight, key_ranges)) >= most
                or sum(weight(each) * each.rows for each in key_ranges) >= enough
            ):
                break
        return key_ranges or None

    def compare(readers: Readers, key_ranges: list[KeyRange]) -> list[RangeComparison]:
        source_reader, target_reader = readers
        chunks = {key_range: known.get(key_range.number) for key_range in key_ranges}
        known_already = {
            key_range: chunk.source for key_range, chunk in chunks.items() if chunk and chunk.source
        }
        # What was compared by value before, and is to be there still.
        seen_there = {
            key_range: seen[key_range.number] for key_range in key_ranges if key_range.number in seen
        }
        hashed, held = both_sides(
            lambda: _digests(
                source_reader,
                source,
                [each for each in key_ranges if each not in known_already],
            ),
            lambda: _held(target_reader, target, key_ranges, seen_there, known_already),
        )
        of_source = known_already | hashed
        return [RangeComparison(key_range, of_source[key_range], held[key_range]) for key_range in key_ranges]

    for some in run_lanes(lanes, lambda readers: take_some(), compare, threading.Event()):
        yield from some


def _held(
    connection: Connection,
    target: TableSlice,
    key_ranges: Sequence[KeyRange],
    seen: Mapping[KeyRange, Seen | Written],
    source: Mapping[KeyRange, Digest],
) -> dict[KeyRange, Digest]:
    """What the target holds of these ranges: the source's rows, where what was ``seen`` of them is so still.

    All that has to be hashed in any case is asked in one message with that.
    """
    unseen = [each for each in key_ranges if each not in seen]
    with failures_of(target.side):
        answers = run_batch(
            connection,
            *(_still(target, key_range, each) for key_range, each in seen.items()),
            *(statements.digest(target, key_range) for key_range in unseen),
        )
    as_seen = {
        key_range: source[key_range]
        for (key_range, each), [found] in zip(seen.items(), answers, strict=False)
        if _holds(each, source[key_range], found)
    }
    hashed = {
        key_range: Digest(*found) for key_range, [found] in zip(unseen, answers[len(seen) :], strict=True)
    }
    return as_seen | hashed | _digests(connection, target, [each for each in seen if each not in as_seen])


def _still(target: TableSlice, key_range: KeyRange, seen: Seen | Written) -> Composable:
    """What is asked to know whether the range's rows are still what was seen of them."""
    if isinstance(seen, Written):
        return statements.written_by(target, key_range, seen.xid)
    return statements.arrivals(target, key_range, seen.base)


def _holds(seen: Seen | Written, source: Digest, found: Sequence[int]) -> bool:
    if isinstance(seen, Written):
        return tuple(found) == (source.rows, source.rows)
    rows, arrived, value = found
    return rows == source.rows and Digest(arrived, value) == seen.written


def _digests(connection: Connection, rows: TableSlice, key_ranges: list[KeyRange]) -> dict[KeyRange, Digest]:
    if not key_ranges:
        return {}
    with failures_of(rows.side):
        answers = run_batch(connection, *(statements.digest(rows, key_range) for key_range in key_ranges))
    return {key_range: Digest(*answer) for key_range, [answer] in zip(key_ranges, answers, strict=True)}

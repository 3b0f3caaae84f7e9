"""Compares both sides range by range: the source's snapshot with one moment of the target.

Of a range that was copied as a whole, the source's digest has come with its rows, and only the target is
asked. A range whose values were compared while it was put in place isn't hashed again as long as nobody has
written there since, which the rows' xmin shows without reading a value; only the rows that the copy wrote
into it are. Every other range is hashed on both sides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from copier import statements
from copier.connections import run
from copier.errors import failures_of
from copier.lanes import run_lanes
from copier.model import Chunk, Comparison, Digest, KeyRange, Seen
from copier.table_slice import TableSlice

#: One lane: a reader of the source and a reader of the target.
Readers = tuple[Connection, Connection]


def compared(
    lanes: list[Readers],
    take: Callable[[], KeyRange | None],
    source: TableSlice,
    target: TableSlice,
    known: Mapping[int, Chunk],
    *,
    definition: str,
) -> Generator[Comparison, None, None]:
    """Yields a comparison a range; ``known`` are the chunks by which the ranges were put in place.

    ``definition`` is what the target's table is made of at the moment that is compared.
    """
    with ThreadPoolExecutor(len(lanes)) as other_side:

        def compare(readers: Readers, part: KeyRange) -> Comparison:
            source_reader, target_reader = readers
            chunk = known.get(part.number)
            digest = chunk.source if chunk else None
            if (
                chunk
                and digest is not None
                and chunk.seen
                and chunk.seen.definition == definition
                and _is_as_seen(target_reader, target, part, digest, chunk.seen)
            ):
                return Comparison(part, digest, digest)
            if digest is not None:
                return Comparison(part, digest, _digest(target_reader, target, part))
            asked = other_side.submit(_digest, source_reader, source, part)
            held = _digest(target_reader, target, part)
            return Comparison(part, asked.result(), held)

        yield from run_lanes(lanes, take, compare, threading.Event())


def _is_as_seen(
    connection: Connection, target: TableSlice, part: KeyRange, source: Digest, seen: Seen
) -> bool:
    """Whether the rows that agreed are all there, and beside them what was written in this copy."""
    with failures_of(target.side):
        rows, arrived, value = tuple(run(connection, statements.arrivals(target, part, seen.base)).one())
    return bool(rows == source.rows and Digest(arrived, value) == seen.written)


def _digest(connection: Connection, rows: TableSlice, part: KeyRange) -> Digest:
    with failures_of(rows.side):
        return Digest(*tuple(run(connection, statements.digest(rows, part)).one()))

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
from copier.errors import failures_of
from copier.exchange import exchange
from copier.lanes import run_lanes
from copier.model import Chunk, Comparison, Digest, KeyRange, Seen
from copier.table_slice import TableSlice

#: At most so many ranges are asked about in one message, and no further one after so many rows: they come as
#: one step of the progress.
MOST_RANGES, ROWS_AT_ONCE = 8, 150_000

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
    most = min(MOST_RANGES, len(known) // (2 * len(lanes)))

    def take_some() -> list[KeyRange] | None:
        """Ranges for one message: short ones together, so that a way to the servers isn't made for each."""
        parts: list[KeyRange] = []
        while part := take():
            parts.append(part)
            if len(parts) >= most or sum(each.rows for each in parts) >= ROWS_AT_ONCE:
                break
        return parts or None

    with ThreadPoolExecutor(len(lanes)) as other_side:

        def compare(readers: Readers, parts: list[KeyRange]) -> list[Comparison]:
            source_reader, target_reader = readers
            chunks = {part: known.get(part.number) for part in parts}
            known_already = {part: chunk.source for part, chunk in chunks.items() if chunk and chunk.source}
            asked = other_side.submit(
                _digests, source_reader, source, [part for part in parts if part not in known_already]
            )
            # What was compared by value when the range was put in place, and is to be there still.
            seen = {
                part: chunk.seen
                for part, chunk in chunks.items()
                if part in known_already and chunk and chunk.seen and chunk.seen.definition == definition
            }
            as_seen = _are_as_seen(target_reader, target, seen, known_already)
            held = _digests(target_reader, target, [part for part in parts if part not in as_seen])
            held |= {part: known_already[part] for part in as_seen}
            of_source = known_already | asked.result()
            return [Comparison(part, of_source[part], held[part]) for part in parts]

        for some in run_lanes(lanes, take_some, compare, threading.Event()):
            yield from some


def _are_as_seen(
    connection: Connection,
    target: TableSlice,
    seen: Mapping[KeyRange, Seen],
    source: Mapping[KeyRange, Digest],
) -> list[KeyRange]:
    """In which ranges the rows that agreed are all there, and beside them what was written in this copy."""
    if not seen:
        return []
    with failures_of(target.side):
        answers = exchange(
            connection, *(statements.arrivals(target, part, each.base) for part, each in seen.items())
        )
    return [
        part
        for (part, each), [(rows, arrived, value)] in zip(seen.items(), answers, strict=True)
        if rows == source[part].rows and Digest(arrived, value) == each.written
    ]


def _digests(connection: Connection, rows: TableSlice, parts: list[KeyRange]) -> dict[KeyRange, Digest]:
    if not parts:
        return {}
    with failures_of(rows.side):
        answers = exchange(connection, *(statements.digest(rows, part) for part in parts))
    return {part: Digest(*answer) for part, [answer] in zip(parts, answers, strict=True)}

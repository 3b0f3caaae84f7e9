"""Compares both sides range by range: prod's snapshot with one moment of consulta.

Of a range that was copied as a whole, prod's digest has come with its rows, and only consulta is asked. A
range whose values were compared while it was put in place isn't hashed again as long as nobody has written
there since, which the rows' xmin tells without reading a value; only the rows that the copy wrote into it
are. Every other range is hashed on both sides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor

from psycopg.sql import Composable
from sqlalchemy import Connection

from copier import statements
from copier.connections import run
from copier.errors import Side, failures_of
from copier.lanes import run_lanes
from copier.model import Chunk, Comparison, Digest, KeyRange, Seen
from copier.table_slice import TableSlice

#: Both readers of one lane.
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

    ``definition`` is what consulta's table is made of at the moment that is compared.
    """
    with ThreadPoolExecutor(len(lanes)) as other_side:

        def work(readers: Readers, part: KeyRange) -> Comparison:
            chunk = known.get(part.number)
            ours = chunk.source if chunk else None
            if (
                chunk
                and ours is not None
                and chunk.seen
                and chunk.seen.definition == definition
                and _still(readers[1], target, part, ours, chunk.seen)
            ):
                return Comparison(part, ours, ours)
            theirs_of = statements.digest(target, part)
            if ours is not None:
                return Comparison(part, ours, _digest("consulta", readers[1], theirs_of))
            asked = other_side.submit(_digest, "prod", readers[0], statements.digest(source, part))
            theirs = _digest("consulta", readers[1], theirs_of)
            return Comparison(part, asked.result(), theirs)

        yield from run_lanes(lanes, take, work, threading.Event())


def _still(connection: Connection, target: TableSlice, part: KeyRange, ours: Digest, seen: Seen) -> bool:
    """Whether the rows that agreed are all there, and beside them what was written in this copy."""
    with failures_of("consulta"):
        rows, arrived, value = run(connection, statements.arrivals(target, part, seen.base)).one()
    return bool(rows == ours.rows and Digest(arrived, value) == seen.written)


def _digest(side: Side, connection: Connection, statement: Composable) -> Digest:
    with failures_of(side):
        return Digest(*run(connection, statement).one())

"""Cuts a liquidation into key ranges while it is copied, and hands them to the lanes within the limits.

A server-side cursor goes through the keys in the source's snapshot: an index-only scan where there is an
index on (liquidation column, key), one sort where there is none. Only the bounds travel. The first range
reaches down to minus infinity and the last up to infinity, so surplus rows of the target fall into one.

A chunk should take about a second, so that progress moves for narrow rows and for rows of megabytes alike:
the size follows what the last chunks took, between bounds. An optional cap in rows a second is kept by
waiting before a chunk until its rows are due: it holds from the first second, for all lanes together.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from copier import statements
from copier.connections import run
from copier.errors import failures_of
from copier.exchange import last_as_text
from copier.model import Bound, Chunk, KeyRange, Limits
from copier.table_slice import TableSlice
from copier.throttle import Throttle

#: The bytes that a first chunk should have, while nothing is known but the table's average row.
FIRST_CHUNK_BYTES = 8 * 2**20
#: The rows that it should have where not even that is known, as of a view.
FIRST_CHUNK_ROWS = 100
#: A chunk may grow or shrink by so much from one to the next.
STEP = 4.0
#: No range is cut shorter than that for the sake of the lanes' ending at once.
LAST_ROWS = 10_000


class Pace:
    """How many rows the next chunk should have, and how long to wait before it; for all lanes of one copy."""

    def __init__(
        self, limits: Limits, row_bytes: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``row_bytes`` is the table's average; 0 where nothing is known."""
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        first = FIRST_CHUNK_BYTES / row_bytes if row_bytes > 0 else FIRST_CHUNK_ROWS
        self._rows = self._bounded(first)
        self._due: float | None = None

    @property
    def rows(self) -> int:
        """The size of the next chunk."""
        return self._rows

    def pause_before(self, rows: int) -> float:
        """How long to wait before a chunk of so many rows, for the cap's sake; asked once for each chunk.

        Rows become due at the cap's rate from the first call on. What was due and not taken for more than a
        second is lost, so that a copy which was slow may not catch up by a rush.
        """
        if self._limits.rows_per_second is None:
            return 0.0
        with self._lock:
            now = self._clock()
            begin = now if self._due is None else max(self._due, now - 1.0)
            self._due = begin + rows / self._limits.rows_per_second
            return max(0.0, self._due - now)

    def took(self, rows: int, seconds: float) -> None:
        """A chunk is in place."""
        with self._lock:
            if rows:
                ideal = rows * self._limits.chunk_seconds / max(seconds, 1e-6)
                self._rows = self._bounded(min(max(ideal, self._rows / STEP), self._rows * STEP))

    def _bounded(self, rows: float) -> int:
        most = float(self._limits.chunk_rows)
        if self._limits.rows_per_second is not None:
            most = min(most, max(1.0, self._limits.rows_per_second))
        return max(1, round(min(rows, most)))


class Ranges(Protocol):
    """Gives one range after another; several threads may ask."""

    @property
    def ended(self) -> bool:
        """Whether the last range was given."""

    def next(self, rows: int, lanes: int = 1) -> KeyRange | None:
        """The next range, of at most so many ``rows`` where it is cut now; None after the last one."""


class KnownRanges:
    """`Ranges` that were cut before."""

    def __init__(self, parts: Sequence[KeyRange]) -> None:
        self._left = deque(parts)
        self._lock = threading.Lock()

    @property
    def ended(self) -> bool:
        return not self._left

    def next(self, rows: int, lanes: int = 1) -> KeyRange | None:
        with self._lock:
            return self._left.popleft() if self._left else None


class RangeCursor:
    """Gives one range after another; several threads may ask."""

    def __init__(self, connection: Connection, rows: TableSlice, total: int) -> None:
        """Opens a cursor over the keys of these rows, of which there are ``total``."""
        self._connection = connection
        self._side = rows.side
        self._total = total
        self._given = 0
        self._number = 0
        self._lower: Bound | None = None
        self._lock = threading.Lock()
        if total:
            with failures_of(self._side):
                run(connection, statements.CLOSE)
                run(connection, statements.declare(rows))

    @property
    def ended(self) -> bool:
        """Whether the last range was given."""
        return self._number > 0 and self._given >= self._total

    def next(self, rows: int, lanes: int = 1) -> KeyRange | None:
        """The next range, of ``rows`` rows or what is left; None after the last one.

        Several ``lanes`` share what is left: ranges grow short towards the end, so that all end at once.
        """
        with self._lock:
            if self.ended:
                return None
            left = self._total - self._given
            share = left if lanes == 1 else max(LAST_ROWS, -(-left // (2 * lanes)))
            rows = min(rows, left, share)
            upper = self._bound_after(rows) if rows < left else None
            self._number += 1
            given = KeyRange(self._number, self._lower, upper, rows)
            self._given += rows
            self._lower = upper
            return given

    def _bound_after(self, rows: int) -> Bound:
        with failures_of(self._side):
            passed = [statements.move(rows - 1)] if rows > 1 else []
            return last_as_text(self._connection, *passed, statements.FETCH)


class Chunker:
    """Shared by all lanes. ``done`` are the ranges that are in place, by their numbers."""

    def __init__(
        self,
        cursor: Ranges,
        pace: Pace,
        throttle: Throttle,
        *,
        lanes: int,
        sleep: Callable[[float], object],
        over: threading.Event,
    ) -> None:
        """``over`` ends the waiting, as ``sleep`` does by returning something true."""
        self.done: dict[int, KeyRange] = {}
        self._cursor = cursor
        self._pace = pace
        self._throttle = throttle
        self._lanes = lanes
        self._sleep = sleep
        self._over = over
        self._taken: dict[int, KeyRange] = {}
        self._left: list[KeyRange] = []

    @property
    def ended(self) -> bool:
        """Whether every range was taken."""
        return self._cursor.ended and not self._left

    def take(self) -> KeyRange | None:
        """The next range, when it may be begun; None where there is none, or no more is wanted."""
        if self._left:
            part: KeyRange | None = self._left.pop(0)
        elif self._cursor.ended or not self._throttle.hold(self._over):
            return None
        else:
            part = self._cursor.next(self._pace.rows, self._lanes)
        if part is None:
            return None
        self._taken[part.number] = part
        pause = self._pace.pause_before(part.rows)
        if pause and (self._sleep(pause) or self._over.is_set()):
            self._left.insert(0, part)
            return None
        return part

    def finished(self, chunk: Chunk) -> None:
        self.done[chunk.range.number] = chunk.range
        self._pace.took(chunk.rows, chunk.seconds)

    def begin_again(self) -> None:
        """The ranges that were taken and are not in place come first, in their order."""
        self._left = [self._taken[number] for number in sorted(self._taken.keys() - self.done.keys())]
        self._over.clear()

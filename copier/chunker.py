"""Cuts a liquidation into key ranges while it is copied, and hands them to the lanes as the throttle allows.

A server-side cursor goes through the keys in the source's snapshot: an index-only scan where there is an
index on (liquidation column, key), one sort where there is none. Only the bounds travel. The first range
reaches down to minus infinity and the last up to infinity, so surplus rows of the target fall into one.

A chunk should take about a second, so that progress moves for narrow rows and for rows of megabytes alike:
the size follows what the last chunks took, between bounds. Where the servers are far away a chunk is longer,
so that the way to them is a small part of it. Ranges are cut a few ahead of the lanes, several in one message
and beside the lanes where the snapshot has a session of its own for that.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Protocol

from sqlalchemy import Connection

from copier import statements
from copier.batch import Statement, all_as_text
from copier.errors import failures_of
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
#: So many ranges for each lane are cut in one message.
AHEAD = 2
#: A chunk waits for so many answers of the target, one after the other.
ANSWERS = 2
#: The part of a chunk's time that it may wait for them: of all chunks, and of the short ones at the end.
WAITING, WAITING_AT_END = 0.05, 0.2
#: A chunk takes at most so many times as long as it should where the way is short: progress has to move.
LONGEST = 3.0


class ChunkSize:
    """How many rows the next chunk should have, for all lanes of one copy."""

    def __init__(self, limits: Limits, row_bytes: float) -> None:
        """``row_bytes`` is the table's average; 0 where nothing is known."""
        self._limits = limits
        self._lock = threading.Lock()
        first = FIRST_CHUNK_BYTES / row_bytes if row_bytes > 0 else FIRST_CHUNK_ROWS
        self._rows = self._bounded(first)
        self._waits = 0.0
        self._is_steady = False
        self._last_rows = LAST_ROWS

    @property
    def rows(self) -> int:
        """The size of the next chunk."""
        return self._rows

    @property
    def is_steady(self) -> bool:
        """Whether the last chunk was about as long as the next one is to be."""
        return self._is_steady

    @property
    def last_rows(self) -> int:
        """No range is cut shorter than that for the sake of the lanes' ending at once."""
        return self._last_rows

    def answered(self, seconds: float) -> None:
        """The target answers in so many seconds, at best."""
        self._waits = ANSWERS * seconds

    def took(self, rows: int, seconds: float) -> None:
        """A chunk is in place."""
        with self._lock:
            if not rows:
                return
            usual = self._limits.chunk_seconds
            wanted = min(max(usual, self._waits / WAITING), LONGEST * usual)
            ideal = rows * wanted / max(seconds, 1e-6)
            before = self._rows
            self._rows = self._bounded(min(max(ideal, before / STEP), before * STEP))
            self._is_steady = before / 2 < self._rows < before * 2
            shortest = rows / max(seconds, 1e-6) * self._waits / WAITING_AT_END
            self._last_rows = max(LAST_ROWS, min(self._limits.chunk_rows, round(shortest)))

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

    def several(self, most: int, rows: int, lanes: int, last_rows: int) -> list[KeyRange]:
        """The next ranges, at most so many, of at most so many ``rows`` each where they are cut now."""


class KnownRanges:
    """`Ranges` that were cut before."""

    def __init__(self, key_ranges: Sequence[KeyRange]) -> None:
        self._left = deque(key_ranges)
        self._lock = threading.Lock()

    @property
    def ended(self) -> bool:
        return not self._left

    def several(self, most: int, rows: int, lanes: int, last_rows: int) -> list[KeyRange]:
        with self._lock:
            return [self._left.popleft() for _ in range(min(most, len(self._left)))]


class RangeCursor:
    """`Ranges` that are cut now."""

    def __init__(self, connection: Connection, rows: TableSlice, total: int) -> None:
        """For the keys of these rows, of which there are ``total``. Its cursor opens with the first bound."""
        self._connection = connection
        self._side = rows.side
        self._opening: list[Statement] = [statements.CLOSE, statements.declare(rows)]
        self._total = total
        self._given = 0
        self._number = 0
        self._lower: Bound | None = None
        self._lock = threading.Lock()

    @property
    def ended(self) -> bool:
        """Whether the last range was given."""
        return self._number > 0 and self._given >= self._total

    def next(self, rows: int) -> KeyRange | None:
        """The next range, of ``rows`` rows or what is left; None after the last one."""
        found = self.several(1, rows, 1, LAST_ROWS)
        return found[0] if found else None

    def several(self, most: int, rows: int, lanes: int, last_rows: int) -> list[KeyRange]:
        """The next ranges, each of ``rows`` rows or what is left; their bounds are asked in one message.

        Several ``lanes`` share what is left: ranges grow short towards the end, so that all end at once, but
        not shorter than ``last_rows``.
        """
        with self._lock:
            if self.ended:
                return []
            lengths = self._lengths(most, rows, lanes, last_rows)
            bounds = self._bounds_after(lengths)
            given = []
            for length, upper in zip(lengths, bounds, strict=True):
                self._number += 1
                given.append(KeyRange(self._number, self._lower, upper, length))
                self._given += length
                self._lower = upper
            return given

    def _lengths(self, most: int, rows: int, lanes: int, last_rows: int) -> list[int]:
        left = self._total - self._given
        lengths: list[int] = []
        while not lengths or (left and len(lengths) < most):
            share = left if lanes == 1 else max(last_rows, -(-left // (2 * lanes)))
            lengths.append(min(rows, left, share))
            left -= lengths[-1]
        return lengths

    def _bounds_after(self, lengths: Sequence[int]) -> list[Bound | None]:
        """The last key of each; None of the one that ends the liquidation."""
        left, asked = self._total - self._given, 0
        steps = self._opening
        for length in lengths:
            left -= length
            if left:
                steps += [*([statements.move(length - 1)] if length > 1 else []), statements.FETCH]
                asked += 1
        if not asked:
            return [None]
        with failures_of(self._side):
            found: list[Bound | None] = [*all_as_text(self._connection, *steps)]
        self._opening = []
        return [*found, None] if len(lengths) > asked else found


class Chunker:
    """Shared by all lanes. ``done`` are the ranges that are in place, by their numbers.

    Close it: nothing reads from the source any more then.
    """

    def __init__(
        self,
        cursor: Ranges,
        size: ChunkSize,
        throttle: Throttle,
        *,
        lanes: int,
        over: threading.Event,
        beside: bool,
    ) -> None:
        """``over`` ends the throttle's waiting.

        ``beside``: the cursor has a session that no lane uses, so it may be asked while lanes work.
        """
        self.done: dict[int, KeyRange] = {}
        self._cursor = cursor
        self._size = size
        self._throttle = throttle
        self._lanes = lanes
        self._over = over
        self._taken: dict[int, KeyRange] = {}
        self._left: list[KeyRange] = []
        self._in_order = False
        self._lock = threading.Lock()
        self._ahead: deque[KeyRange] = deque()
        self._thread = ThreadPoolExecutor(1, "ranges") if beside else None
        self._asked: Future[list[KeyRange]] | None = None
        if self._thread is not None:
            self._ask(self._thread)

    def close(self) -> None:
        """Waits for what is being read."""
        if self._thread is not None:
            self._thread.shutdown()

    @property
    def ended(self) -> bool:
        """Whether every range was taken."""
        with self._lock:
            return self._cursor.ended and not (self._left or self._ahead or self._asked)

    def take(self) -> KeyRange | None:
        """The next range, when it may be begun; None where there is none, or no more is wanted."""
        if self._left:
            key_range: KeyRange | None = self._left.pop(0)
        elif self.ended or not self._throttle.wait_for_standbys(self._over):
            return None
        else:
            key_range = self._next()
        if key_range is None:
            return None
        if not self._throttle.wait_for_cap(key_range.rows, self._over):
            self._left.insert(0, key_range)
            return None
        return key_range

    def take_at_once(self) -> KeyRange | None:
        """The next range, where it may be begun without any wait, and nobody wants to look before."""
        if self._in_order or self._over.is_set() or self._throttle.is_set:
            return None
        with self._lock:
            self._look_for_answer()
            return self._pop() if self._ahead else None

    def finished(self, chunk: Chunk, answers_in: float | None = None) -> None:
        """The chunk is in place. The target ``answers_in`` so many seconds."""
        self.done[chunk.range.number] = chunk.range
        if answers_in is not None:
            self._size.answered(answers_in)
        self._size.took(chunk.rows, chunk.seconds)
        with self._lock:
            self._look_ahead()

    def begin_again(self) -> None:
        """The ranges that were taken and are not in place come first, in their order; none at once."""
        self._in_order = True
        self._left = [self._taken[number] for number in sorted(self._taken.keys() - self.done.keys())]
        self._over.clear()

    def _next(self) -> KeyRange | None:
        with self._lock:
            if not self._ahead:
                if self._asked is not None:
                    asked, self._asked = self._asked, None
                    self._ahead += asked.result()
                else:
                    self._ahead += self._cut(1 if self.done and not self._size.is_steady else self._lanes)
            return self._pop() if self._ahead else None

    def _pop(self) -> KeyRange:
        key_range = self._ahead.popleft()
        self._taken[key_range.number] = key_range
        self._look_ahead()
        return key_range

    def _look_for_answer(self) -> None:
        if self._asked is not None and self._asked.done() and self._asked.exception() is None:
            self._ahead += self._asked.result()
            self._asked = None

    def _look_ahead(self) -> None:
        """Asks for more ranges beside the lanes, once it is known how long they should be."""
        self._look_for_answer()
        if self._thread is None or self._asked is not None or not self.done or self._over.is_set():
            return
        if len(self._ahead) < self._lanes and not self._cursor.ended:
            self._ask(self._thread)

    def _ask(self, thread: ThreadPoolExecutor) -> None:
        self._asked = thread.submit(copy_context().run, self._cut, self._lanes)

    def _cut(self, most: int) -> list[KeyRange]:
        """While the chunks still grow or shrink a lot, no more than are wanted now."""
        if self._size.is_steady:
            most *= AHEAD
        return self._cursor.several(most, self._size.rows, self._lanes, self._size.last_rows)

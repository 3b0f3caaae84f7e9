"""How many rows the next chunk should have, and how long to wait before it.

A chunk should take about a second, so that progress moves for narrow rows and for rows of megabytes
alike: the size follows what the last chunks took, between bounds. An optional cap in rows a second is
kept by waiting between two chunks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from copier.plan import Limits

#: The bytes that a first chunk should have, while nothing is known but the table's average row.
FIRST_CHUNK_BYTES = 8 * 2**20
#: The rows that it should have where not even that is known, as of a view.
FIRST_CHUNK_ROWS = 100
#: A chunk may grow or shrink by so much from one to the next.
STEP = 4.0


class Pace:
    """Shared by all lanes of one copy."""

    def __init__(
        self, limits: Limits, row_bytes: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``row_bytes`` is the table's average; 0 where nothing is known."""
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        first = FIRST_CHUNK_BYTES / row_bytes if row_bytes > 0 else FIRST_CHUNK_ROWS
        self._rows = self._bounded(first)
        self._ahead_until = clock()

    @property
    def rows(self) -> int:
        """The size of the next chunk."""
        return self._rows

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next chunk, for the cap's sake."""
        return max(0.0, self._ahead_until - self._clock())

    def took(self, rows: int, seconds: float) -> None:
        """A chunk is in place."""
        with self._lock:
            if rows:
                ideal = rows * self._limits.chunk_seconds / max(seconds, 1e-6)
                self._rows = self._bounded(min(max(ideal, self._rows / STEP), self._rows * STEP))
            if self._limits.rows_per_second is not None:
                start = max(self._ahead_until, self._clock() - 1.0)
                self._ahead_until = start + rows / self._limits.rows_per_second

    def _bounded(self, rows: float) -> int:
        most = float(self._limits.chunk_rows)
        if self._limits.rows_per_second is not None:
            most = min(most, max(1.0, self._limits.rows_per_second))
        return max(1, round(min(rows, most)))

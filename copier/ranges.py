"""Cuts a liquidation into key ranges while it is being copied, each as long as the pace wants it.

A server-side cursor walks down the keys in prod's snapshot: an index-only scan where there is an index
on (liquidation column, key), one sort where there is none. Only the bounds travel. The first range
reaches down to minus infinity and the last up to infinity, so surplus rows of consulta fall into one.
"""

from __future__ import annotations

import threading

from psycopg import sql
from sqlalchemy import Connection

from copier import statements
from copier.failure import failures_of
from copier.key_range import Bound, KeyRange
from copier.session import one_as_text, run

#: No range is cut shorter than that for the sake of the lanes' ending at once.
LAST_ROWS = 10_000


class RangeCursor:
    """Gives one range after another; several threads may ask."""

    def __init__(self, connection: Connection, keys: sql.Composable, total: int) -> None:
        """``keys`` declares the cursor, see `statements.declare`; ``total`` is the number of keys."""
        self._connection = connection
        self._total = total
        self._given = 0
        self._number = 0
        self._lower: Bound | None = None
        self._lock = threading.Lock()
        if total:
            with failures_of("prod"):
                run(connection, statements.CLOSE)
                run(connection, keys)

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
        with failures_of("prod"):
            if rows > 1:
                run(self._connection, statements.move(rows - 1))
            return one_as_text(self._connection, statements.FETCH)

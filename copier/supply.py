"""Hands out the ranges of one copy, no faster than its limits allow, and knows which are in place."""

from __future__ import annotations

import threading
from collections.abc import Callable

from copier.brake import Throttle
from copier.key_range import KeyRange
from copier.pace import Pace
from copier.plan import Chunk
from copier.ranges import RangeCursor

#: Refusals of a row for the sake of others: a unique value, an exclusion constraint. Those may be in a range
#: that isn't in place yet. So may the row that a foreign key points to, or the one that still points to it.
OTHER_ROWS = frozenset({"23505", "23P01"})
FOREIGN_KEYS = frozenset({"23503", "23001"})


class Chunker:
    """Shared by all lanes. ``done`` are the ranges that are in place, by their numbers."""

    def __init__(
        self,
        cursor: RangeCursor,
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
        self._brake = throttle
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
            return self._left.pop(0)
        if self._cursor.ended or ((pause := self._pace.pause_seconds) and self._sleep(pause)):
            return None
        part = self._cursor.next(self._pace.rows, self._lanes) if self._brake.hold(self._over) else None
        if part is not None:
            self._taken[part.number] = part
        return part

    def finished(self, chunk: Chunk) -> None:
        self.done[chunk.range.number] = chunk.range
        self._pace.took(chunk.rows, chunk.seconds)

    def begin_again(self) -> None:
        """The ranges that were taken and are not in place come first, in their order."""
        self._left = [self._taken[number] for number in sorted(self._taken.keys() - self.done.keys())]
        self._over.clear()

"""Why a running copy should end at its next chunk: somebody's wish, not an error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from bot.jobs.wishes import Orders


class Stop(StrEnum):
    """What to do with the job at the next chunk's end; of two reasons the later one here counts."""

    RELEASE = "release"  # the worker shuts down: another one goes on
    FREEZE = "freeze"  # nobody goes on until the freeze is lifted
    WISH = "wish"  # the job's row says what somebody wants
    CANCEL = "cancel"  # who runs it in the foreground wants it to end for good


STRENGTH = {stop: strength for strength, stop in enumerate(Stop)}


class StopSwitch:
    """Set by a signal, a middleware or the job's row, read between two chunks."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._parts: list[StopSwitch] = []
        self._stop: Stop | None = None
        self._whole = self

    def request(self, stop: Stop) -> None:
        with self._lock:
            if self._stop is None or STRENGTH[stop] > STRENGTH[self._stop]:
                self._stop = stop
            self._event.set()
            parts = list(self._parts)
        for part in parts:
            part.request(stop)

    def obey(self, orders: Orders) -> None:
        """What the job's row wants of its worker."""
        if orders.wish is not None:
            self.request(Stop.WISH)
        elif orders.frozen:
            self.request(Stop.FREEZE)

    @property
    def requested(self) -> Stop | None:
        return self._stop

    @property
    def whole(self) -> StopSwitch:
        """The process's own, of which this may be a part."""
        return self._whole

    def wait(self, seconds: float) -> bool:
        """True as soon as a stop is requested, False after ``seconds`` without one."""
        return self._event.wait(seconds)

    @contextmanager
    def part(self) -> Iterator[StopSwitch]:
        """A switch for one of several copies: it turns with this one, or alone."""
        part = StopSwitch()
        part._whole = self._whole
        with self._lock:
            self._parts.append(part)
            stop = self._stop
        if stop is not None:
            part.request(stop)
        try:
            yield part
        finally:
            with self._lock:
                self._parts.remove(part)

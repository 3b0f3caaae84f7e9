"""Why a running copy should end at its next chunk: somebody's wish, not an error."""

from __future__ import annotations

import threading
from enum import StrEnum


class Stop(StrEnum):
    """What to do with the job at the next chunk's end."""

    RELEASE = "release"  # the worker shuts down: another one goes on
    CANCEL = "cancel"  # nobody goes on


class StopSwitch:
    """Set once by a signal or a middleware, read between two chunks."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._stop: Stop | None = None

    def request(self, stop: Stop) -> None:
        self._stop = stop
        self._event.set()

    @property
    def requested(self) -> Stop | None:
        return self._stop

    def wait(self, seconds: float) -> bool:
        """True as soon as a stop is requested, False after ``seconds`` without one."""
        return self._event.wait(seconds)

"""How many copies this process runs at once, whether a message or the sweep began them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bot.work.stopping import StopSwitch

#: How often whoever waits for a slot looks whether the process stops, in seconds.
LOOK_SECONDS = 0.2


class Slots:
    """As many as the process has threads for copies. ``freed`` is called when one is given back."""

    def __init__(self, freed: Callable[[], None] = lambda: None) -> None:
        self._room = threading.Condition()
        self._free = 0
        self._freed = freed

    def open(self, slots: int) -> None:
        """The worker has so many threads."""
        with self._room:
            self._free += slots
            self._room.notify_all()

    @property
    def free(self) -> int:
        return self._free

    def take(self) -> bool:
        """Takes one if there is one."""
        with self._room:
            if self._free <= 0:
                return False
            self._free -= 1
            return True

    def wait_for_one(self, stop: StopSwitch) -> bool:
        """Takes one as soon as there is one; False where the process stops before."""
        with self._room:
            while not stop.requested:
                if self._free > 0:
                    self._free -= 1
                    return True
                self._room.wait(LOOK_SECONDS)
        return False

    def give_back(self) -> None:
        with self._room:
            self._free += 1
            self._room.notify()
        self._freed()

"""Progress edits of this process alone, for as long as there is no Redis to share one limit in."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

#: Edits within a minute. Four processes together stay below what Slack allows.
OWN_EDITS_A_MINUTE = 10


class OwnEdits:
    """A window of a minute."""

    def __init__(
        self, limit: int = OWN_EDITS_A_MINUTE, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: deque[float] = deque()

    def take(self) -> bool:
        """Takes one edit if there is one left."""
        with self._lock:
            now = self._clock()
            while self._taken and self._taken[0] <= now - 60:
                self._taken.popleft()
            if len(self._taken) >= self._limit:
                return False
            self._taken.append(now)
            return True

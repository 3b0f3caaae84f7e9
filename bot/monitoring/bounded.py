"""A look at something that may not answer, on behalf of many who ask and none of whom waits for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class NoAnswer(Exception):
    """What was looked at hasn't answered in time; ``seconds`` is how long it has been silent."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer in {seconds:.1f} s")
        self.seconds = seconds


class Bounded(Generic[T]):
    """Looks at most once at a time, in a thread of its own, and keeps what it has found for a moment.

    So whatever asks, and however often, the other side sees one question every ``keep_seconds``; and whoever
    asks has an answer after ``wait_seconds``. A look that hangs isn't begun a second time.
    """

    def __init__(
        self, name: str, look: Callable[[], T], *, keep_seconds: float = 2.0, wait_seconds: float = 3.0
    ) -> None:
        self._name = name
        self._look = look
        self._keep = keep_seconds
        self._wait = wait_seconds
        self._lock = threading.Lock()
        self._found: Future[T] | None = None
        self._began = self._ended = 0.0

    @property
    def seconds(self) -> float:
        """How long the last look took, or has taken so far."""
        ended = self._ended if self._found is not None and self._found.done() else time.monotonic()
        return max(0.0, ended - self._began)

    def begin(self) -> Future[T]:
        """The look that counts now: the one under way, the last one, or a new one."""
        with self._lock:
            found, now = self._found, time.monotonic()
            if found is not None and (not found.done() or now - self._ended < self._keep):
                return found
            self._found, self._began = Future(), now
            threading.Thread(
                target=self._run, args=(self._found,), name=f"look-{self._name}", daemon=True
            ).start()
            return self._found

    def get(self) -> T:
        """What the look has found.

        Raises:
            NoAnswer: it hasn't come back in time.
            Exception: what the look raised.
        """
        found = self.begin()
        left = self._began + self._wait - time.monotonic()
        try:
            return found.result(max(0.0, left))
        except TimeoutError:
            if found.done():  # a TimeoutError of the look itself
                raise
            raise NoAnswer(self.seconds) from None

    def _run(self, found: Future[T]) -> None:
        try:
            result = self._look()
        except BaseException as error:
            self._ended = time.monotonic()
            found.set_exception(error)
        else:
            self._ended = time.monotonic()
            found.set_result(result)

"""Work that is done again and again, each in a thread of its own; and how long to wait after a failure."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from weakref import WeakSet

from sqlalchemy.exc import SQLAlchemyError

from bot import metrics

log = logging.getLogger(__name__)


class PeriodicThread:
    """Calls ``work`` every ``every_seconds`` from `start` to `stop`, and at once after `wake`.

    What ``work`` raises is logged, and the thread goes on: errors of ``passing`` in one line, without the
    error's own words, which may hold values; all others with their traceback.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        *,
        every_seconds: float,
        at_once: bool = False,
        once_more: bool = False,
        shortest_pause: float = 0.0,
        woken_by: threading.Event | None = None,
        passing: tuple[type[Exception], ...] = (SQLAlchemyError,),
        what: str = "",
        leave_seconds: float = 0.0,
    ) -> None:
        """``at_once``: works before the first pause. ``once_more``: works a last time after `stop`.

        ``shortest_pause`` is kept in seconds even when it is woken. ``woken_by`` is an event that wakes it as
        `wake` does. ``what`` says in the log what wasn't done. ``leave_seconds`` is how long `stop` waits for
        the work in hand.
        """
        self._work = work
        self._every = every_seconds
        self._at_once = at_once
        self._once_more = once_more
        self._shortest = min(shortest_pause, every_seconds)
        self._passing = passing
        self._what = what or f"{name}: not done"
        self._leave = leave_seconds
        self._over = threading.Event()
        self._wake = woken_by or threading.Event()
        self._working_since: float | None = None
        self._idle_since = time.monotonic()
        self._context = contextvars.copy_context()
        self._next: float | None = None
        self._thread = threading.Thread(target=lambda: self._context.run(self._run), name=name, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """What it logs says what it is about as whoever starts it does."""
        self._context = contextvars.copy_context()
        self._idle_since = time.monotonic()
        self._thread.start()
        with _lock:
            _started.add(self)

    def state(self) -> ThreadState:
        """What it is doing now."""
        now, since = time.monotonic(), self._working_since
        return ThreadState(
            self._thread.name,
            is_alive=self._thread.is_alive(),
            is_working=since is not None,
            seconds=now - (since if since is not None else self._idle_since),
            every_seconds=self._every,
        )

    def wake(self) -> None:
        """There is something to do: the present pause ends."""
        self._wake.set()

    def stop(self, timeout_seconds: float | None = None) -> None:
        """Ends the thread, and waits that long for the work in hand, or for its ``leave_seconds``.

        ``work`` itself may call it: then nothing is waited for.
        """
        self._over.set()
        self._wake.set()
        with _lock:
            _started.discard(self)
        seconds = self._leave if timeout_seconds is None else timeout_seconds
        if seconds > 0 and self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _run(self) -> None:
        _here.thread = self
        if not self._at_once:
            self._pause()
        while not self._over.is_set():
            self.call()
            self._pause()
        if self._once_more:
            self.call()

    def _pause(self) -> None:
        if self._shortest and self._over.wait(self._shortest):
            return
        seconds, self._next = self._next or self._every, None
        self._wake.wait(seconds)
        self._wake.clear()

    def put_off(self, seconds: float) -> None:
        """For ``work``, where there was nothing to do yet: it is called again in so many seconds, once."""
        self._next = seconds

    def call(self) -> None:
        """Works once, in the caller's thread; what it raises is logged as in the thread."""
        self._working_since = time.monotonic()
        try:
            self._work()
        except self._passing as error:
            metrics.thread_failed(self._thread.name)
            log.warning("%s: %s", self._what, type(error).__name__)
        except Exception:
            metrics.thread_failed(self._thread.name)
            log.exception("%s; the thread goes on", self._what)
        finally:
            self._idle_since = time.monotonic()
            self._working_since = None

    def still_works(self) -> None:
        self._working_since = time.monotonic()


# ----------------------------------------------------------------------------
# What the threads of this process are doing
#
# A thread that hangs in its work looks alive to Python. So each notes when its work began, and those whose
# work has many parts say after each part that they go on.


_lock = threading.Lock()
_started: WeakSet[PeriodicThread] = WeakSet()
_here = threading.local()


@dataclass(frozen=True, slots=True)
class ThreadState:
    """``seconds`` since its present work, or its present pause, began."""

    name: str
    is_alive: bool
    is_working: bool
    seconds: float
    every_seconds: float

    def problem(self, hung_seconds: float) -> str | None:
        """What is wrong with it; None where nothing is. No work of it should take ``hung_seconds``."""
        if not self.is_alive:
            return "it has ended"
        if self.is_working and self.seconds > hung_seconds:
            return f"its work has hung for {self.seconds:.0f} s"
        if not self.is_working and self.seconds > self.every_seconds + hung_seconds:
            return f"it has not worked for {self.seconds:.0f} s"
        return None


def states() -> list[ThreadState]:
    """Of all threads that were started and not told to end, by name."""
    with _lock:
        started = list(_started)
    return sorted((each.state() for each in started), key=lambda state: state.name)


def still_working() -> None:
    """Called between two parts of a thread's work: it doesn't hang. Anywhere else it does nothing."""
    thread: PeriodicThread | None = getattr(_here, "thread", None)
    if thread is not None:
        thread.still_works()


# ----------------------------------------------------------------------------
# The pause before the next try


#: More failures than this make no pause longer: no float runs over.
_MOST = 100


@dataclass(frozen=True, slots=True)
class Backoff:
    """The ``first`` pause, multiplied by ``factor`` after each further failure, up to the ``longest``.
    Seconds.
    """

    first: float
    longest: float
    factor: float = 2.0

    def pause(self, failures: int) -> float:
        """The pause after ``failures`` earlier ones in a row: 0 gives the first pause."""
        return min(self.longest, self.first * self.factor ** min(failures, _MOST))

"""How many copies run at once in this process, and those that came without a message of the queue.

The slots count the copies of the queue's messages too. A job that the sweep found needs no message: its row
says all that a worker needs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from bot.work.cancellation import StopSwitch

log = logging.getLogger(__name__)

#: How often whoever waits for a slot looks whether the process stops, in seconds.
WAIT_SECONDS = 0.2


class CopySlots:
    """As many as the process has threads for copies."""

    def __init__(self) -> None:
        self._room = threading.Condition()
        self._free = 0
        #: Set each time a slot is given back; one thread waits for that, and clears it.
        self.freed = threading.Event()

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
                self._room.wait(WAIT_SECONDS)
        return False

    def give_back(self) -> None:
        with self._room:
            self._free += 1
            self._room.notify()
        self.freed.set()


class DirectRuns:
    """Runs jobs without the queue, at most as many at once as there are free slots."""

    def __init__(self, slots: CopySlots, perform: Callable[[int], None], stop: StopSwitch) -> None:
        """``perform`` claims the job and works until its attempt has ended; it needs no slot of its own."""
        self._slots = slots
        self._perform = perform
        self._stop = stop
        self._lock = threading.Lock()
        self._running: dict[int, threading.Thread] = {}

    def take(self, job_id: int) -> bool:
        """Begins with the job; False where there is no room, or the process stops."""
        with self._lock:
            # Running here still: an attempt that was fenced and hasn't noticed yet. Others may go on with it.
            if job_id in self._running or self._stop.requested or not self._slots.take():
                return False
            thread = threading.Thread(target=self._run, args=(job_id,), name=f"job-{job_id}", daemon=True)
            self._running[job_id] = thread
            try:
                thread.start()
            except RuntimeError:
                log.exception("job %s: no thread for it now", job_id)
                del self._running[job_id]
                self._slots.give_back()
                return False
        return True

    def join(self, timeout_seconds: float) -> None:
        """Waits for what runs; whoever calls this has asked it to stop."""
        until = time.monotonic() + timeout_seconds
        with self._lock:
            threads = list(self._running.values())
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, job_id: int) -> None:
        try:
            self._perform(job_id)
        except Exception:
            log.exception("job %s: left to the sweep", job_id)
        finally:
            with self._lock:
                self._running.pop(job_id, None)
            self._slots.give_back()

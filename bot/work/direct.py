"""Runs jobs that the sweep found, in threads of their own: the row is the truth, and needs no message."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from bot.work.slots import Slots
from bot.work.stopping import StopSwitch

log = logging.getLogger(__name__)


class Direct:
    """At most as many at once as there are free slots."""

    def __init__(self, slots: Slots, perform: Callable[[int], None], stop: StopSwitch) -> None:
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

"""Says every two seconds that this process lives, so that its death is noticed within ten.

A thread of its own with a session of its own: whatever the copies do to the pool, the beats go on.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from importlib.metadata import version

from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.workers import BEAT, Unbroken, Workers

log = logging.getLogger(__name__)

#: Seconds between two looks for rows of processes that were lost long ago.
PRUNE_SECONDS = 3600.0


class Presence:
    """The row of this process, from `start` to `stop`."""

    def __init__(self, workers: Workers, *, every_seconds: float = BEAT.total_seconds()) -> None:
        self._workers = workers
        self._every = every_seconds
        self._takes_jobs = False
        self._id: int | None = None
        self._unbroken: Unbroken | None = None
        self._pruned = -PRUNE_SECONDS
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    @property
    def worker_id(self) -> int | None:
        """The row's number; None where there is none yet: then the lease alone says that a job is held."""
        return self._id

    @property
    def unbroken(self) -> Unbroken | None:
        """Since when the beats have gone through; None before the first one."""
        return self._unbroken

    def start(self, *, takes_jobs: bool) -> None:
        """The row is there when this returns, unless consulta can't be reached."""
        self._takes_jobs = takes_jobs
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """The row says that this process has ended: the last thing that it does with a job is done."""
        self._over.set()
        self._thread.join(5.0)
        try:
            if self._id is not None:
                self._workers.end(self._id)
        except SQLAlchemyError as error:
            log.warning("consulta wasn't told that this process ends: %s", type(error).__name__)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self._beat()

    def _beat(self) -> None:
        try:
            at = self._workers.beat(self._id) if self._id is not None else None
            if at is None:  # no row yet, or it was pruned while this process was frozen
                self._id, at = self._workers.begin(
                    socket.gethostname(), os.getpid(), version("traspaso"), takes_jobs=self._takes_jobs
                )
            self._unbroken = self._unbroken.and_then(at) if self._unbroken else Unbroken(at, at)
            if time.monotonic() - self._pruned >= PRUNE_SECONDS:
                self._pruned = time.monotonic()
                self._workers.prune()
        except SQLAlchemyError as error:
            log.warning("consulta wasn't told that this process lives: %s", type(error).__name__)
        except Exception:
            log.exception("the presence stumbled; it goes on")

"""Notices in the bot that nobody works any more, or that somebody does again, and has the cards say so."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.workers import MISSING, Workers

log = logging.getLogger(__name__)

#: Seconds between two looks; with twice as many between two of them one has failed.
LOOK_SECONDS = 5.0


class WorkerWatch:
    """A thread around `Workers.tell_change`. ``told`` is called when there is something new to tell.

    While consulta was away nobody could say that it lives: so nobody is missed before the looks have gone
    through for as long as a worker may be missing.
    """

    def __init__(
        self,
        workers: Workers,
        told: Callable[[], None],
        *,
        every_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._told = told
        self._every = every_seconds
        self._clock = clock
        self._since: float | None = None
        self._last = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()

    def look(self) -> None:
        """One look, and what follows from it."""
        now = self._clock()
        if self._since is None or now - self._last > 2 * self._every:
            self._since = now
        may_be_missing = now - self._since >= MISSING.total_seconds()
        missing = self._workers.tell_change(may_be_missing=may_be_missing)
        self._last = now
        if missing is not None:
            if missing:
                log.error("no worker is alive: copies wait until one is started")
            else:
                log.info("a worker is alive")
            self._told()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                self.look()
            except SQLAlchemyError as error:
                self._since = None
                log.warning("consulta can't be asked for its workers: %s", type(error).__name__)
            except Exception:
                log.exception("the watch over the workers stumbled; it goes on")

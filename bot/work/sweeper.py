"""Runs the sweep every few seconds in every worker: lost jobs are taken over, forgotten ones queued."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.sweep import Sweep

#: How long a sweep that hangs is waited for when the process ends: it is rolled back then.
LEAVE_SECONDS = 2.0

log = logging.getLogger(__name__)


class Sweeper:
    """A thread around `Sweep.run`; ``enqueue`` puts a job's id on the queue."""

    def __init__(self, sweep: Sweep, enqueue: Callable[[int], bool], *, every_seconds: float) -> None:
        self._sweep = sweep
        self._enqueue = enqueue
        self._every = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        while True:
            try:
                swept = self._sweep.run()
                for job_id in swept.lost:
                    log.warning("job %s: its worker was lost", job_id)
                for job_id in swept.not_approved:
                    log.info("job %s: nobody approved it in time", job_id)
                for job_id in swept.to_enqueue:
                    self._enqueue(job_id)
            except SQLAlchemyError as error:
                log.warning("consulta can't be swept: %s", type(error).__name__)
            except Exception:
                log.exception("the sweeper stumbled; it goes on")
            if self._over.wait(self._every):
                return

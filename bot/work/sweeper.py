"""Runs the sweep every few seconds in every worker: what is lost is taken over, what was forgotten is run."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.sweep import Sweep, Swept
from bot.jobs.workers import Unbroken

#: How long a sweep that hangs is waited for when the process ends: it is rolled back then.
LEAVE_SECONDS = 2.0

log = logging.getLogger(__name__)

#: At least so long between two sweeps, in seconds, however many jobs end.
SHORTEST_PAUSE = 0.2


class Sweeper:
    """A thread around `Sweep.run`.

    ``enqueue`` puts a job's id on the queue, and is False where it can't be reached. ``take`` runs a job in
    this process, without the queue, and is False where there is no ``room``.
    """

    def __init__(
        self,
        sweep: Sweep,
        enqueue: Callable[[int], bool],
        take: Callable[[int], bool],
        *,
        room: Callable[[], int],
        own: Callable[[], Unbroken | None],
        every_seconds: float,
    ) -> None:
        self._sweep = sweep
        self._enqueue = enqueue
        self._take = take
        self._room = room
        self._own = own
        self._every = every_seconds
        self._over = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._wake.set()
        self._thread.join(LEAVE_SECONDS)

    def has_room(self) -> None:
        """There is room for one more job: look at once whether one waits for it."""
        self._wake.set()

    def _run(self) -> None:
        while True:
            try:
                swept = self._sweep.run(self._own(), self._room())
                sys.audit("traspaso.swept", *swept.to_enqueue, *swept.overdue)
                self._distribute(swept)
            except SQLAlchemyError as error:
                log.warning("consulta can't be swept: %s", type(error).__name__)
            except Exception:
                log.exception("the sweeper stumbled; it goes on")
            if self._over.wait(min(SHORTEST_PAUSE, self._every)):
                return
            self._wake.wait(self._every)
            self._wake.clear()

    def _distribute(self, swept: Swept) -> None:
        for job_id in swept.lost:
            log.warning("job %s: its worker was lost", job_id)
        for job_id in swept.given_up:
            log.error("job %s: given up, too many workers were lost with it", job_id)
        for job_id in swept.not_approved:
            log.info("job %s: nobody approved it in time", job_id)
        # What was lost has waited longest: it needs no way over the queue where there is room here.
        here = {job_id for job_id in [*swept.lost, *swept.overdue] if self._take(job_id)}
        reachable = True
        for job_id in swept.to_enqueue:
            if job_id in here:
                continue
            reachable = reachable and self._enqueue(job_id)
            if not reachable:
                self._take(job_id)

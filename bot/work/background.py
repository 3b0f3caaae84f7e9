"""Says every two seconds that this process lives, so that its death is noticed within ten.

A thread of its own with a session of its own: whatever the copies do to the pool, the beats go on.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from bot.errors import StaleAttempt
from bot.jobs.execution import Claim, Lifecycle
from bot.jobs.recovery import Sweep, Swept
from bot.jobs.repository import JobRepository
from bot.jobs.stop_request import Orders
from bot.jobs.view import JobView
from bot.jobs.workers import BEAT, MISSING, Unbroken, Workers

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


# ----------------------------------------------------------------------------
# Renews the lease of a running job while a chunk, a count or a comparison takes its time.


#: How long a beat that hangs is waited for when the attempt is over. What it does later changes nothing.
BEAT_LEAVE_SECONDS = 1.0


class Heartbeat:
    """A thread that lives as long as the attempt. ``is_stale`` tells that the job is no longer ours.

    ``told`` gets what is wanted of the job, at each beat.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        claim: Claim,
        told: Callable[[Orders], None],
        *,
        every_seconds: float,
    ) -> None:
        self._lifecycle = lifecycle
        self._claim = claim
        self._told = told
        self._every = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{claim.job_id}", daemon=True)
        self.is_stale = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(BEAT_LEAVE_SECONDS)

    def check(self) -> None:
        """Called while a side is silent.

        Raises:
            StaleAttempt: another worker holds the job.
        """
        if self.is_stale:
            raise StaleAttempt(self._claim.job_id, self._claim.attempt)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                self._told(self._lifecycle.renew(self._claim))
            except StaleAttempt:
                self.is_stale = True
                return
            except SQLAlchemyError as error:
                # Consulta is away: the copy itself will notice. The next beat tries again.
                log.warning("job %s: the lease was not renewed: %s", self._claim.job_id, type(error).__name__)
            except Exception:
                log.exception("job %s: the heartbeat stumbled; it goes on", self._claim.job_id)


# ----------------------------------------------------------------------------
# Shows a running job's progress every few seconds, in a thread beside the copy.
#
# Whatever shows it may be slow or fail; the copy never waits for it.


#: How long a picture that hangs is waited for when the attempt is over.
SHOW_LEAVE_SECONDS = 5.0


Show = Callable[[JobView], None]


class Ticker:
    """Alive for one attempt: reads the job's row and hands it to ``show``."""

    def __init__(self, store: JobRepository, job_id: int, show: Show, *, every_seconds: float) -> None:
        self._store = store
        self._job_id = job_id
        self._show = show
        self._every = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ticker-{job_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(SHOW_LEAVE_SECONDS)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                job = self._store.snapshot(self._job_id)
                if job is not None and job.status.is_live:
                    self._show(job)
            except Exception as error:
                log.warning("job %s: progress not shown: %s", self._job_id, type(error).__name__)


# ----------------------------------------------------------------------------
# Runs the sweep every few seconds in every worker: what is lost is taken over, what was forgotten is run.


#: How long a sweep that hangs is waited for when the process ends: it is rolled back then.
LEAVE_SECONDS = 2.0


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


# ----------------------------------------------------------------------------
# Notices in the bot that nobody works any more, or that somebody does again, and has the cards say so.


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

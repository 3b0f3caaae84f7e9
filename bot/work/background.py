"""What runs beside the copies, each in a thread of its own: see `bot.periodic.PeriodicThread`."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

from sqlalchemy.exc import SQLAlchemyError

from bot.errors import StaleAttempt
from bot.jobs.attempt import Attempt
from bot.jobs.models import StopRequest
from bot.jobs.recovery import Sweep, Swept
from bot.jobs.repository import JobRepository
from bot.jobs.retention import PASS_SECONDS, PAUSE_SECONDS, Pruning
from bot.jobs.view import JobView
from bot.jobs.workers import BEAT, MISSING, UnbrokenBeats, Workers
from bot.periodic import PeriodicThread
from bot.work.slots import CopySlots

log = logging.getLogger(__name__)

#: Seconds between two looks whether it is this process's turn to prune.
TURN_SECONDS = 60.0
#: Seconds between two looks for workers; with twice as many between two of them one has failed.
LOOK_SECONDS = 5.0
#: At least so long between two sweeps, in seconds, however many jobs end.
SHORTEST_PAUSE = 0.2
#: How long work that hangs is waited for at the end, in seconds. What a lease renewal does later changes
#: nothing, a sweep is rolled back.
LIVENESS_LEAVE_SECONDS, RENEWAL_LEAVE_SECONDS, SHOW_LEAVE_SECONDS, SWEEP_LEAVE_SECONDS = 5.0, 1.0, 5.0, 2.0
PRUNE_LEAVE_SECONDS = 2.0

Show = Callable[[JobView], None]


class LivenessBeat:
    """Says every two seconds that this process lives, so that its death is noticed within ten.

    Its row is there from `start` to `stop`. In a process that stays it has a session of its own: whatever the
    copies do to the pool, the beats go on.
    """

    def __init__(self, workers: Workers, *, every_seconds: float = BEAT.total_seconds()) -> None:
        self._workers = workers
        self._takes_jobs = False
        self._id: int | None = None
        self._unbroken: UnbrokenBeats | None = None
        self._thread = PeriodicThread(
            "liveness-beat",
            self._beat,
            every_seconds=every_seconds,
            what="consulta wasn't told that this process lives",
        )

    @property
    def worker_id(self) -> int | None:
        """The row's number; None where there is none yet: then the lease alone says that a job is held."""
        return self._id

    @property
    def unbroken(self) -> UnbrokenBeats | None:
        """Since when the beats have gone through; None before the first one."""
        return self._unbroken

    def start(self, *, takes_jobs: bool) -> None:
        """The row is there when this returns, unless consulta can't be reached."""
        self._takes_jobs = takes_jobs
        self._thread.call()
        self._thread.start()

    def stop(self) -> None:
        """The row says that this process has ended: the last thing that it does with a job is done."""
        self._thread.stop(LIVENESS_LEAVE_SECONDS)
        try:
            if self._id is not None:
                self._workers.end(self._id)
        except SQLAlchemyError as error:
            log.warning("consulta wasn't told that this process ends: %s", type(error).__name__)

    def _beat(self) -> None:
        at = self._workers.beat(self._id) if self._id is not None else None
        if at is None:  # no row yet, or it was pruned while this process was frozen
            self._id, at = self._workers.begin(
                socket.gethostname(), os.getpid(), version("traspaso"), takes_jobs=self._takes_jobs
            )
        self._unbroken = self._unbroken.and_then(at) if self._unbroken else UnbrokenBeats(at, at)


class LeaseRenewal(PeriodicThread):
    """Renews the lease of a running job while a chunk, a count or a comparison takes its time.

    Each step of the attempt does that as well, and brings the stop request: so it is sent here only where
    no step was for ``every_seconds``. Alive as long as the attempt. ``is_stale`` tells that the job is no
    longer ours, and ``on_stale`` is called then. ``obey`` gets the stop request that stands at each
    renewal, None where there is none.
    """

    def __init__(
        self,
        attempt: Attempt,
        obey: Callable[[StopRequest | None], None],
        *,
        every_seconds: float,
        on_stale: Callable[[], None] = lambda: None,
    ) -> None:
        # Where consulta is away the copy itself will notice. The next renewal tries again.
        super().__init__(
            f"lease-renewal-{attempt.job_id}",
            self._renew,
            every_seconds=every_seconds,
            what=f"job {attempt.job_id}: the lease was not renewed",
            leave_seconds=RENEWAL_LEAVE_SECONDS,
        )
        self._attempt = attempt
        self._obey = obey
        self._on_stale = on_stale
        self.is_stale = False

    def check(self) -> None:
        """Called while a side is silent.

        Raises:
            StaleAttempt: another worker holds the job.
        """
        if self.is_stale:
            raise StaleAttempt(self._attempt.job_id, self._attempt.number)

    def _renew(self) -> None:
        if (left := self._every - self._attempt.quiet_seconds) > 0:
            self.put_off(left)
            return
        try:
            self._obey(self._attempt.renew())
        except StaleAttempt:
            self.is_stale = True
            self._on_stale()
            self.stop()


class ProgressTicker(PeriodicThread):
    """Hands a running job's row to ``show`` every few seconds, for one attempt.

    ``show`` may be slow or fail; the copy never waits for it.
    """

    def __init__(self, store: JobRepository, job_id: int, show: Show, *, every_seconds: float) -> None:
        super().__init__(
            f"ticker-{job_id}",
            self._tick,
            every_seconds=every_seconds,
            passing=(Exception,),
            what=f"job {job_id}: progress not shown",
            leave_seconds=SHOW_LEAVE_SECONDS,
        )
        self._store = store
        self._job_id = job_id
        self._show = show

    def _tick(self) -> None:
        job = self._store.job(self._job_id)
        if job is not None and job.status.is_live:
            self._show(job)


class Sweeper(PeriodicThread):
    """Runs the sweep every few seconds in every worker: what is lost is taken over, what was forgotten is
    run.

    ``enqueue`` puts a job's id on the queue, and is False where it can't be reached. ``take`` runs a job in
    this process, without the queue, and is False where none of the ``slots`` is free. One that is given back
    ends the pause.
    """

    def __init__(
        self,
        sweep: Sweep,
        enqueue: Callable[[int], bool],
        take: Callable[[int], bool],
        *,
        slots: CopySlots,
        own: Callable[[], UnbrokenBeats | None],
        every_seconds: float,
    ) -> None:
        super().__init__(
            "sweeper",
            self._run_once,
            every_seconds=every_seconds,
            at_once=True,
            shortest_pause=SHORTEST_PAUSE,
            woken_by=slots.freed,
            what="the jobs can't be swept",
            leave_seconds=SWEEP_LEAVE_SECONDS,
        )
        self._sweep = sweep
        self._enqueue = enqueue
        self._take = take
        self._slots = slots
        self._own = own

    def _run_once(self) -> None:
        swept = self._sweep.run(self._own(), self._slots.free)
        sys.audit("traspaso.swept", *swept.to_enqueue, *swept.overdue)
        self._distribute(swept)

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


class Pruner(PeriodicThread):
    """Deletes in a worker what is kept no longer, when it is this process's turn."""

    def __init__(self, pruning: Pruning, *, every_seconds: float = TURN_SECONDS) -> None:
        super().__init__(
            "pruner",
            self._prune,
            every_seconds=every_seconds,
            what="old rows were not pruned",
            leave_seconds=PRUNE_LEAVE_SECONDS,
        )
        self._pruning = pruning

    def _prune(self) -> None:
        if not self._pruning.takes_turn():
            return
        gone = self._pruning.run(
            lambda: not self._over.is_set(), seconds=PASS_SECONDS, pause_seconds=PAUSE_SECONDS
        )
        if gone:
            log.info(
                "pruned: %s lines of the ledger, %s events, %s messages, %s workers, %s jobs",
                gone.ledger,
                gone.events,
                gone.outbox,
                gone.workers,
                gone.jobs,
            )


class WorkersMissing(PeriodicThread):
    """Notices in the bot that nobody works any more, or that somebody does again, and has the cards say so.

    ``announced`` is called when the outbox has something new of it. While consulta was away nobody could say
    that it lives: so nobody is missed before the looks have gone through for as long as a worker may be
    missing.
    """

    def __init__(
        self,
        workers: Workers,
        announced: Callable[[], None],
        *,
        every_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            "worker-watch",
            self.look,
            every_seconds=every_seconds,
            what="consulta can't be asked for its workers",
        )
        self._workers = workers
        self._announced = announced
        self._clock = clock
        self._since: float | None = None
        self._last = 0.0

    def look(self) -> None:
        """One look, and what follows from it."""
        now = self._clock()
        if self._since is None or now - self._last > 2 * self._every:
            self._since = now
        may_be_missing = now - self._since >= MISSING.total_seconds()
        try:
            missing = self._workers.announce_change(may_be_missing=may_be_missing)
        except SQLAlchemyError:
            self._since = None
            raise
        self._last = now
        if missing is not None:
            if missing:
                log.error("no worker is alive: copies wait until one is started")
            else:
                log.info("a worker is alive")
            self._announced()

"""The worker: ``dramatiq bot.worker:boot`` calls `boot` once in each of its processes."""

from __future__ import annotations

import gc
import logging
import os
import sys

import dramatiq
from dramatiq.middleware import Middleware
from sqlalchemy.exc import SQLAlchemyError

from bot import app, config, logs
from bot.errors import BotError
from bot.jobs.status import Status
from bot.jobs.stop_request import StopReason, StopRequest
from bot.slack.outbox_relay import OutboxRelay
from bot.work.admission import Admission
from bot.work.background import LivenessBeat, ProgressTicker, Sweeper
from bot.work.cancellation import StopSwitch
from bot.work.queue import JobQueue
from bot.work.runner import AttemptOutcome, Ended
from bot.work.slots import CopySlots, DirectRuns
from copier.errors import CopierError

log = logging.getLogger(__name__)

#: What the process exits with when the settings or the databases don't let it start.
EXIT_CONFIG = 78

#: So long a shutdown waits for the chunks in hand: as long as Dramatiq does for its own threads.
LONGEST_CHUNK_SECONDS = 600.0


class Background(Middleware):
    """Starts what runs beside the actors, and passes a shutdown on to the running copies."""

    def __init__(
        self,
        *,
        stop: StopSwitch,
        slots: CopySlots,
        liveness: LivenessBeat,
        queue: JobQueue,
        sweeper: Sweeper,
        direct: DirectRuns,
        outbox_relay: OutboxRelay,
    ) -> None:
        self._stop = stop
        self._slots = slots
        self._liveness = liveness
        self._queue = queue
        self._sweeper = sweeper
        self._direct = direct
        self._outbox_relay = outbox_relay

    def before_worker_boot(self, broker: object, worker: dramatiq.Worker) -> None:
        self._liveness.start(takes_jobs=True)
        self._queue.watch.start()
        self._slots.open(worker.worker_threads)

    def after_worker_boot(self, broker: object, worker: object) -> None:
        self._outbox_relay.start()
        self._sweeper.start()

    def before_worker_shutdown(self, broker: object, worker: object) -> None:
        self._stop.request(StopRequest(StopReason.RELEASE))

    def after_worker_shutdown(self, broker: object, worker: object) -> None:
        self._sweeper.stop()
        self._direct.join(LONGEST_CHUNK_SECONDS)
        self._outbox_relay.stop()
        self._queue.watch.stop()
        self._liveness.stop()


def boot() -> None:
    """Reads the settings, checks the schema, and makes the broker the process's own."""
    logs.set_up()
    try:
        settings = config.load(os.environ)
        parts = app.databases(settings, app.operators(settings))
        parts.check_schema()
    except (BotError, CopierError) as error:
        log.critical("%s", error)
        sys.exit(EXIT_CONFIG)
    stop = StopSwitch()
    work = settings.file.work

    def message(job_id: int) -> None:
        """What a message of the queue asks for."""
        if not slots.wait_for_one(stop):
            queue.put(job_id)  # for a worker that stays: here it would be released after a chunk
            return
        try:
            perform(job_id)
        finally:
            slots.give_back()

    def perform(job_id: int) -> None:
        try:
            ended = parts.runner.run(
                job_id,
                stop,
                watch=lambda job: ProgressTicker(
                    parts.store, job, slack.card_publisher.progress, every_seconds=work.card_seconds
                ),
                refusal=admission.refusal,
            )
            after(ended, job_id)
        except (SQLAlchemyError, CopierError) as error:
            # Consulta is away and nothing can be recorded: the lease runs out, the sweep takes over.
            log.error("job %s: left to the sweep: %s", job_id, type(error).__name__)  # noqa: TRY400

    def after(ended: Ended, job_id: int) -> None:
        slack.outbox_relay.wake()
        if ended.outcome not in {AttemptOutcome.RETRY, AttemptOutcome.RELEASED, AttemptOutcome.FROZEN}:
            return
        job = parts.store.job(job_id)
        if job is None or job.status is not Status.PENDING:
            return
        if ended.outcome is AttemptOutcome.FROZEN and job.freeze is not None:
            return  # whoever lifts it puts on the queue what waits then; lifted already, that was too early
        queue.put(job_id, delay_seconds=ended.seconds)
        # No ticker lives between two attempts: the card says once what the job waits for.
        slack.card_publisher.progress(job)

    queue = JobQueue(settings.redis_url or "", on_put=parts.store.enqueued, perform=message)
    slack = app.slack(settings, parts, queue.may_edit)
    admission = Admission(parts.store, slack.permissions, settings.file.copies)
    slots = CopySlots(freed=lambda: sweeper.has_room())  # noqa: PLW0108 - there is no sweeper yet
    direct = DirectRuns(slots, perform, stop)
    sweeper = Sweeper(
        parts.sweep,
        queue.put,
        direct.take,
        room=lambda: slots.free,
        own=lambda: parts.liveness.unbroken,
        every_seconds=work.sweep_seconds,
    )
    queue.broker.add_middleware(
        Background(
            stop=stop,
            slots=slots,
            liveness=parts.liveness,
            queue=queue,
            sweeper=sweeper,
            direct=direct,
            outbox_relay=slack.outbox_relay,
        )
    )
    dramatiq.set_broker(queue.broker)
    gc.freeze()  # what is imported stays: no collection in the middle of a copy has to walk it

"""The worker: ``dramatiq bot.worker:boot`` calls `boot` once in each of its processes.

``python -m bot.worker`` is the same, with the same options: what the process that looks after the others says
is then in our format too.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import dramatiq
from dramatiq.middleware import Middleware
from sqlalchemy.exc import SQLAlchemyError

from bot import app, startup_checks, tracing
from bot.config import CopySection
from bot.jobs.attempt import Attempt
from bot.jobs.events import SETS_GOING, PermissionNotKnown
from bot.jobs.failure import Failure
from bot.jobs.models import Status, StopReason, StopRequest
from bot.jobs.repository import JobRepository
from bot.jobs.view import SHELL, JobView
from bot.slack.access import TO_DECIDE, Access, MaxAge
from bot.slack.card_publisher import CardPublisher
from bot.slack.outbox_relay import OutboxRelay
from bot.work.background import LivenessBeat, ProgressTicker, Pruner, Sweeper
from bot.work.cancellation import StopSwitch
from bot.work.queue import TRACE, JobQueue
from bot.work.runner import AttemptOutcome, Ended, Runner
from bot.work.scheduler import Scheduler
from bot.work.slots import CopySlots, DirectRuns
from copier.errors import CopierError

if TYPE_CHECKING:
    from bot.monitoring.service import Monitoring

log = logging.getLogger(__name__)

#: So long a shutdown waits for the chunks in hand: as long as Dramatiq does for its own threads.
LONGEST_CHUNK_SECONDS = 600.0
#: The longest pause between two looks into an idle queue, in milliseconds: so late a copy may begin, and an
#: idle worker notice that it is to end. Dramatiq's own is a second.
QUEUE_LOOK_MILLISECONDS = 300
#: So long ago, in seconds, the press itself was the check.
JUST_PRESSED = 10.0
#: How old an answer may be that lets a job through.
ADMISSION = MaxAge(30.0, 30.0)


class Admission:
    """Whether a job may still start: who asked for it may have lost the permission.

    Slack is asked about the requester before the first row; jobs of the shell aren't asked about. Only
    Slack's clear no counts, and only one that is younger than the press. Where Slack doesn't answer, the
    check at the press does: Slack never fails a copy. All processes share 20 looks a minute, so a press of a
    moment ago isn't asked about again.
    """

    def __init__(self, store: JobRepository, access: Access, copies: tuple[CopySection, ...]) -> None:
        self._store = store
        self._access = access
        self._copies = {copy.name: copy for copy in copies}

    def refusal(self, attempt: Attempt) -> Failure | None:
        """Why the job must not start; None where it may."""
        job = self._store.job(attempt.job_id)
        copy = self._copies.get(attempt.claim.copy_name)
        if job is None or copy is None or job.requester_team == SHELL:
            return None
        if _was_just_pressed(job) or self._has_begun(attempt):
            return None
        decision = self._access.may_run(job.requester_id, copy, ADMISSION)
        if not decision.allowed and decision.reason is None:
            # That may be from before the press, which Slack was asked about, too.
            decision = self._access.may_run(job.requester_id, copy, TO_DECIDE)
        if decision.allowed:
            return None
        if decision.reason is not None:
            log.warning("job %s: permission not known, Slack answered %s", attempt.job_id, decision.reason)
            self._store.add_event(attempt.job_id, attempt.number, PermissionNotKnown(decision.reason))
            return None
        sentence = f"{job.requester_id} may not copy {attempt.claim.copy_name} any more"
        return Failure("not_permitted", sentence, lines=self._access.listed(copy))

    def _has_begun(self, attempt: Attempt) -> bool:
        """Rows are in place, or somebody has set it going again since, by a press that was checked itself."""
        if attempt.number == 1:
            return False
        # A press before the first attempt is older than the check that was made then.
        kinds = {event.kind for event in self._store.events(attempt.job_id) if event.attempt}
        return bool(kinds & set(SETS_GOING) or self._store.chunks(attempt.job_id))


def _was_just_pressed(job: JobView) -> bool:
    return (job.now - job.created_at).total_seconds() < JUST_PRESSED


class CopyWorker:
    """Makes one attempt of a job, and does what follows from how it ended."""

    def __init__(
        self,
        *,
        runner: Runner,
        store: JobRepository,
        queue: JobQueue,
        slots: CopySlots,
        stop: StopSwitch,
        admission: Admission,
        card_publisher: CardPublisher,
        relay: OutboxRelay,
        card_seconds: float,
    ) -> None:
        self._runner = runner
        self._store = store
        self._queue = queue
        self._slots = slots
        self._stop = stop
        self._admission = admission
        self._card_publisher = card_publisher
        self._relay = relay
        self._card_seconds = card_seconds

    def take_message(self, job_id: int) -> None:
        """Does what a message of the queue asks for, as soon as there is a slot."""
        if not self._slots.wait_for_one(self._stop):
            self._queue.put(job_id)  # for a worker that stays: here it would be released after a chunk
            return
        try:
            self.perform(job_id)
        finally:
            self._slots.give_back()

    def perform(self, job_id: int) -> None:
        """One attempt; whoever calls this has a slot."""
        try:
            ended = self._runner.run(
                job_id, self._stop, show_progress=self._ticker, refusal=self._admission.refusal
            )
            self._follow_up(ended, job_id)
        except (SQLAlchemyError, CopierError) as error:
            # Consulta is away and nothing can be recorded: the lease runs out, the sweep takes over.
            log.error("job %s: left to the sweep: %s", job_id, type(error).__name__)  # noqa: TRY400

    def _ticker(self, job: int) -> ProgressTicker:
        return ProgressTicker(
            self._store, job, self._card_publisher.progress, every_seconds=self._card_seconds
        )

    def _follow_up(self, ended: Ended, job_id: int) -> None:
        self._relay.wake()
        if ended.outcome not in {AttemptOutcome.RETRY, AttemptOutcome.RELEASED, AttemptOutcome.FROZEN}:
            return
        job = self._store.job(job_id)
        if job is None or job.status is not Status.PENDING:
            return
        if ended.outcome is AttemptOutcome.FROZEN and job.freeze is not None:
            return  # whoever lifts it puts on the queue what waits then; lifted already, that was too early
        self._queue.put(job_id, delay_seconds=ended.seconds)
        # No ticker lives between two attempts: the card says once what the job waits for.
        self._card_publisher.progress(job)


class DramatiqThreads:
    """Dramatiq's own threads, which take the messages and run them."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def of(self, worker: dramatiq.Worker) -> None:
        """They have begun."""
        self._threads = [*worker.consumers.values(), *worker.workers]

    def end(self) -> None:
        """They are told to end."""
        self._threads = []

    def lives(self) -> dict[str, bool]:
        """Whether each lives."""
        return {f"dramatiq-{number}": each.is_alive() for number, each in enumerate(self._threads, 1)}


class WorkerProcess(Middleware):
    """A worker's process, as Dramatiq's middleware: starts what runs beside the actors, and passes a shutdown
    on to the running copies. What begins first ends last.
    """

    def __init__(
        self,
        *,
        copies: CopyWorker,
        stop: StopSwitch,
        slots: CopySlots,
        liveness: LivenessBeat,
        queue: JobQueue,
        sweeper: Sweeper,
        pruner: Pruner,
        direct: DirectRuns,
        outbox_relay: OutboxRelay,
        scheduler: Scheduler,
        monitoring: Monitoring | None,
        threads: DramatiqThreads,
    ) -> None:
        self._copies = copies
        self._stop = stop
        self._slots = slots
        self._liveness = liveness
        self.queue = queue
        self._sweeper = sweeper
        self._pruner = pruner
        self._direct = direct
        self._outbox_relay = outbox_relay
        self._scheduler = scheduler
        self._monitoring = monitoring
        self._threads = threads
        self._at_end = ExitStack()

    def before_worker_boot(self, broker: object, worker: dramatiq.Worker) -> None:
        """The first message finds all that a copy needs, and the freezes of the clock."""
        worker.worker_timeout = QUEUE_LOOK_MILLISECONDS
        if self._monitoring is not None:  # whoever looks from outside can do so to the end
            self._at_end.callback(self._monitoring.stop)
        self.queue.consume(self._copies.take_message)
        self._at_end.callback(tracing.end)
        self._liveness.start(takes_jobs=True)
        self._at_end.callback(self._liveness.stop)
        self._begin(self.queue.health)
        self._begin(self._outbox_relay)
        # What begins copies ends before they are waited for, and what tells of their ends after that.
        self._at_end.callback(self._direct.join, LONGEST_CHUNK_SECONDS)
        self._begin(self._scheduler)
        self._slots.open(worker.worker_threads)

    def after_worker_boot(self, broker: object, worker: dramatiq.Worker) -> None:
        self._begin(self._sweeper)
        self._begin(self._pruner)
        self._threads.of(worker)
        if self._monitoring is not None:
            self._monitoring.start()

    def _begin(self, service: app.Service) -> None:
        """It ends with the process."""
        service.start()
        self._at_end.callback(service.stop)

    def before_process_message(self, broker: object, message: dramatiq.MessageProxy) -> None:
        tracing.received(message.options.get(TRACE))

    def after_process_message(
        self, broker: object, message: object, *, result: object = None, exception: object = None
    ) -> None:
        tracing.received(None)

    def before_worker_shutdown(self, broker: object, worker: object) -> None:
        self._threads.end()
        self._stop.request(StopRequest(StopReason.RELEASE))

    def after_worker_shutdown(self, broker: object, worker: object) -> None:
        self._at_end.close()


def boot() -> None:
    """Looks at all that the settings lead to, and makes the broker the process's own."""
    settings, parts = startup_checks.begin(needs_slack=False)
    tracing.begin(app.WORKER)
    process = app.worker(settings, parts)
    broker = process.queue.broker
    broker.add_middleware(process)
    dramatiq.set_broker(broker)
    gc.freeze()  # what is imported stays: no collection in the middle of a copy has to walk it


def main(arguments: list[str]) -> int:
    """Dramatiq's own command line, with our logging from the first line on."""
    from dramatiq import cli

    from bot import config, logs

    config.read_env_file()  # what is wrong with it is said by `boot`
    logs.set_up(is_service=True)
    parser = cli.make_argument_parser()  # type: ignore[no-untyped-call]
    parsed = parser.parse_args(["bot.worker:boot", "--skip-logging", *arguments])
    return int(cli.main(parsed) or 0)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

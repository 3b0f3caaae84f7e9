"""Delivers the outbox: in order for each job, until Slack has taken it, whatever happens in between.

Every process that may talk to Slack runs one; a message is in the hands of one of them at a time.
"""

from __future__ import annotations

import logging
import threading

from slack_sdk.errors import SlackApiError
from sqlalchemy.exc import SQLAlchemyError

from bot.announcer import Announcer
from bot.charts import Charts
from bot.jobs.cards import Cards
from bot.jobs.outbox import Due, Kind, Outbox
from bot.jobs.snapshot import JobSnapshot
from bot.jobs.store import JobStore
from bot.slack import CONNECTION_ERRORS, Trouble, error_name, retry_after, trouble_of

log = logging.getLogger(__name__)

#: Seconds between two looks into the outbox.
LOOK_SECONDS = 1.0
#: The longest pause before the next try of one message, in seconds.
LONGEST_PAUSE = 300.0
#: A chart is no more than a nicety: after so many tries the thread does without it.
CHART_TRIES = 5
#: Seconds in which Slack surely shows a file that had arrived.
FILE_SECONDS = 30.0
#: Troubles of a chart that may pass by themselves; for the others there is no second try.
PASSING = frozenset({Trouble.LATER, Trouble.AMBIGUOUS})


class Courier:
    """A thread around `deliver_due`."""

    def __init__(
        self, outbox: Outbox, store: JobStore, cards: Cards, announcer: Announcer, charts: Charts
    ) -> None:
        self._outbox = outbox
        self._store = store
        self._cards = cards
        self._announcer = announcer
        self._charts = charts
        self._over = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something was put into the outbox just now."""
        self._wake.set()

    def stop(self, timeout_seconds: float = 15.0) -> None:
        """Ends after the message in hand, having looked once more."""
        self._over.set()
        self._wake.set()
        self._thread.join(timeout_seconds)

    def deliver_due(self) -> int:
        """Delivers what is due now; returns how many messages were taken in hand."""
        taken = 0
        while due := self._outbox.take():
            taken += 1
            self._deliver(due)
        return taken

    def _deliver(self, due: Due) -> None:
        job = self._store.snapshot(due.job_id)
        if job is None or job.channel_id is None:
            self._outbox.done(due, note="nobody to tell")
            return
        try:
            self._tell(due, job)
            self._outbox.done(due)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            self._undelivered(due, job, error)

    def _tell(self, due: Due, job: JobSnapshot) -> None:
        look_first = due.tries > 0
        match due.kind:
            case Kind.CARD:
                # A card that is there already, of a job that is tried again, has to be pinned again; and
                # one that is asked for in a later attempt is never the first.
                again = job.message_ts is not None or due.attempt > 0
                self._announcer.show_card(job, look_first=look_first or again)
            case Kind.UPDATE:
                self._announcer.update(job)
            case Kind.QUESTION if due.attempt == job.attempt and job.waits_for_somebody:
                self._announcer.ask(job, look_first=look_first)
            case Kind.QUESTION:
                log.info("job %s: the question of attempt %s is answered", job.id, due.attempt)
            case Kind.ENDING if job.status.is_live or due.attempt != job.attempt:
                log.info("job %s: the end of attempt %s is told no more: it goes on", job.id, due.attempt)
            case Kind.ENDING:
                self._announcer.finish(job, look_first=look_first)
            case Kind.CHART if due.attempt == job.attempt and not job.status.is_live:
                self._charts.post(job, look_first=look_first)
            case Kind.CHART:
                log.info("job %s: attempt %s gets no chart: the job went on", job.id, due.attempt)

    def _undelivered(self, due: Due, job: JobSnapshot, error: BaseException) -> None:
        name = error_name(error)
        log.warning("job %s: %s not delivered: %s", job.id, due.kind, name)
        pause = min(LONGEST_PAUSE, 2.0 ** min(due.tries, 10))
        match trouble_of(error):
            case trouble if due.kind is Kind.CHART and (trouble not in PASSING or due.tries >= CHART_TRIES):
                self._outbox.done(due, note=name)
            case Trouble.AMBIGUOUS if due.kind is Kind.CHART:
                self._outbox.later(due, FILE_SECONDS, name)
            case Trouble.LATER:
                self._outbox.later(due, retry_after(error), name)
            case Trouble.LOCKED_OUT:
                self._outbox.later(due, min(60.0, 5.0 * (due.tries + 1)), name)
            case Trouble.CHANNEL_LOST if job.channel_id and not job.channel_id.startswith("D"):
                self._go_to_requester(due, job, name)
            case Trouble.CHANNEL_LOST | Trouble.BROKEN if due.tries >= 3:
                self._outbox.done(due, note=name)
                log.error("job %s: %s given up: %s", job.id, due.kind, name)
            case _:
                self._outbox.later(due, pause, name)

    def _go_to_requester(self, due: Due, job: JobSnapshot, name: str) -> None:
        """The channel can't be written to: the card moves to a direct message, and says why."""
        try:
            channel = self._announcer.open_direct_message(job.requester_id)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            self._outbox.later(due, 30.0, f"{name}, then {error_name(error)}")
            return
        self._cards.moved(job, channel, name)
        self._outbox.later(due, 0.0, name)

    def _run(self) -> None:
        while True:
            last = self._over.is_set()
            try:
                self.deliver_due()
            except SQLAlchemyError as error:
                log.warning("consulta can't be asked for the outbox: %s", type(error).__name__)
            except Exception:
                log.exception("the courier stumbled; the message will be taken up again")
            if last:
                return
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

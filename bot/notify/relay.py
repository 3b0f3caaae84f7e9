"""Delivers what is told elsewhere than in Slack, with a thread for each destination.

One thread gives new facts out to their destinations; each of these has a thread of its own. So a server that
is away, or slow, delays no other destination and no message of Slack. Every process that may talk to Slack
runs one; a delivery is claimed by one of them at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from bot.config import REQUESTER, File, Occasion
from bot.errors import AddressUnknown
from bot.i18n import Translator, translator
from bot.jobs.cards import Carded
from bot.jobs.models import Status
from bot.jobs.notifications import OF_STEPS, Fact, Notifications, Owed
from bot.jobs.outbox import deliver_each
from bot.jobs.repository import JobRepository
from bot.jobs.view import SHELL, JobView, RunView
from bot.messages import notification
from bot.messages.notification import Notification
from bot.notify.destinations import BadDestination, Destination, NotSent
from bot.periodic import Backoff, PeriodicThread

log = logging.getLogger(__name__)

#: Seconds between two looks for new facts, and for what a destination is still owed.
SPREAD_SECONDS, LOOK_SECONDS = 1.0, 1.0
#: How soon a delivery is tried again, in seconds.
BACKOFF = Backoff(2.0, 300.0)
#: So long a delivery waits for the card that it links to, in seconds, and how often it looks.
CARD_SECONDS, CARD_LOOK_SECONDS = 10.0, 1.0
#: Occasions of a job whose end they are.
ENDS = {occasion: status for status, occasion in OF_STEPS.items()}


@dataclass(frozen=True)
class SlackSide:
    """What only Slack knows: a link to the card of a job or a run, None where it gives none; a person's
    e-mail address (raises AddressUnknown).
    """

    link: Callable[[Carded], str | None]
    address_of: Callable[[str], str]


class NotificationRelay:
    """Threads around `spread` and `deliver_due`."""

    def __init__(
        self,
        notifications: Notifications,
        store: JobRepository,
        file: File,
        destinations: Mapping[str, Destination],
        slack: SlackSide,
        *,
        backoff: Backoff = BACKOFF,
    ) -> None:
        """``destinations`` are those of ``file``, by their names."""
        self._notifications = notifications
        self._store = store
        self._file = file
        self._destinations = destinations
        self._slack = slack
        self._backoff = backoff
        self._give_up_seconds = file.notify.give_up_hours * 3600
        self._threads = {
            name: PeriodicThread(
                f"notify-{name}",
                partial(self.deliver_due, name),
                every_seconds=LOOK_SECONDS,
                at_once=True,
                what=f"consulta can't be asked for what {name} is to be told",
            )
            for name in destinations
        }
        self._spreader = PeriodicThread(
            "notify",
            self.spread,
            every_seconds=SPREAD_SECONDS,
            at_once=True,
            once_more=True,
            what="consulta can't be asked for notifications",
        )

    def start(self) -> None:
        for thread in self._all:
            thread.start()

    def wake(self) -> None:
        """Something was put into the outbox just now."""
        self._spreader.wake()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Ends after the deliveries in hand, or leaves them to another process after this time."""
        for thread in self._all:
            thread.stop()
        for thread in self._all:
            thread.stop(timeout_seconds)

    @property
    def _all(self) -> list[PeriodicThread]:
        return [self._spreader, *self._threads.values()]

    def spread(self) -> list[str]:
        """Gives new facts out to their destinations; names those that have something new to tell."""
        names = self._notifications.spread(self._destinations_of)
        for name in names:
            if name in self._threads:
                self._threads[name].wake()
        return names

    def deliver_due(self, destination: str) -> int:
        """Tells that destination what is due now; returns how many deliveries were taken in hand."""
        return deliver_each(partial(self._notifications.take, destination), self._deliver, log)

    def _destinations_of(self, fact: Fact) -> list[str]:
        """Of several copies, those of each of them; what the watch tells names a set in a copy's place."""
        of_sets = {each.name: each.copies for each in self._file.sets}
        named = [*fact.copy_names, *filter(None, [fact.set_name])]
        copies = [copy for name in named for copy in of_sets.get(name, (name,))]
        told = [self._file.told(fact.occasion, copy) for copy in copies]
        names = [name for each in told or [self._file.told(fact.occasion, None)] for name in each]
        from_slack = fact.requester_team not in {None, SHELL}
        known = [name for name in names if name in self._destinations]
        return [name for name in dict.fromkeys(known) if name != REQUESTER or from_slack]

    def _about(self, owed: Owed) -> Carded | None:
        """The job or the run that it is about, where there still is one."""
        if owed.run_id is not None:
            return self._store.run(owed.run_id)
        return self._store.job(owed.job_id) if owed.job_id is not None else None

    def _deliver(self, owed: Owed) -> None:
        about = self._about(owed)
        concerns_one = owed.job_id is not None or owed.run_id is not None
        if concerns_one and (about is None or _has_gone_on(about, owed)):
            log.info("%s: %s is told no more: the job went on", owed.destination, owed.key)
            self._notifications.done(owed, note="the job went on")
            return
        if about is not None and _waits_for_its_card(about, owed):
            self._notifications.wait(owed, CARD_LOOK_SECONDS)
            return
        try:
            destination = self._destination_of(owed, about)
            note = destination.send(self._words(owed, about), owed.key)
        except NotSent as failed:
            self._not_sent(owed, failed.reason)
        except AddressUnknown as unknown:
            if unknown.passes:
                self._not_sent(owed, f"Slack doesn't tell the address: {unknown}")
            else:
                log.info("%s: %s has no address: %s", owed.destination, owed.key, unknown)
                self._notifications.done(owed, note=f"no address: {unknown}")
        except BadDestination:
            self._not_sent(owed, "Apprise doesn't take its URL")
        except Exception as error:  # its own words may hold the URL
            self._not_sent(owed, f"{type(error).__name__} while it was sent")
        else:
            if note:
                log.warning("%s: %s", owed.destination, note)
            log.info("%s was told: %s", owed.destination, owed.key)
            self._notifications.done(owed, note=note)

    def _destination_of(self, owed: Owed, about: Carded | None) -> Destination:
        destination = self._destinations[owed.destination]
        if owed.destination != REQUESTER or about is None:
            return destination
        return destination.addressed_to(self._slack.address_of(about.requester_id))

    def _not_sent(self, owed: Owed, reason: str) -> None:
        if owed.failing_seconds >= self._give_up_seconds:
            log.error("%s was not told, and is given up: %s: %s", owed.destination, owed.key, reason)
            self._notifications.give_up(owed, reason)
            return
        pause = self._backoff.pause(owed.failures)
        log.warning("%s was not told: %s: %s; next try in %.0f s", owed.destination, owed.key, reason, pause)
        self._notifications.later(owed, pause, reason)

    def _words(self, owed: Owed, about: Carded | None) -> Notification:
        t = self._language(owed, about)
        link = self._slack.link(about) if about is not None else None
        if isinstance(about, RunView):
            return notification.of_run(about, owed.occasion, t, link)
        if about is not None and owed.occasion in {*ENDS, Occasion.APPROVAL}:
            return notification.of_job(about, owed.occasion, t, link)
        detail = owed.detail
        copy = detail.copy or detail.set_name or (about.copy_name if about else "?")
        shown = self._file.titles.get(copy, copy)
        if about is not None and detail.liquidation_id is None:
            detail = replace(detail, liquidation_id=about.liquidation_id)
        match owed.occasion:
            case Occasion.NO_WORKER:
                return notification.no_worker(detail.since, t)
            case Occasion.WORKER_BACK:
                return notification.worker_back(owed.at, t)
            case Occasion.DRIFT:
                return notification.drift(shown, detail, t, link)
            case _:
                return notification.missed_schedule(shown, detail, t)

    def _language(self, owed: Owed, about: Carded | None) -> Translator:
        """Who asked reads their own language."""
        if owed.destination == REQUESTER and about is not None and about.requester_locale:
            return translator(about.requester_locale)
        return translator(self._file.slack.language)


def _has_gone_on(about: Carded, owed: Owed) -> bool:
    """What was to be told of the job, or of the run, isn't so any more."""
    if owed.occasion is Occasion.APPROVAL:
        waits = about.waiting_for_approval if isinstance(about, RunView) else about.waits_for_approval
        return not waits or about.attempt != owed.attempt
    ended = ENDS.get(owed.occasion)
    return ended is not None and (_ended_as(about) is not ended or about.attempt != owed.attempt)


def _ended_as(about: Carded) -> Status | None:
    """How it ended; None for a run that hasn't."""
    if isinstance(about, JobView):
        return about.status
    if about.is_live:
        return None
    if about.failed:
        return Status.FAILED
    return Status.COMPLETED if len(about.completed) == len(about.jobs) else Status.CANCELLED


def _waits_for_its_card(about: Carded, owed: Owed) -> bool:
    """Its card comes in a moment, and the words link to it."""
    return about.is_from_slack and about.message_ts is None and owed.age_seconds < CARD_SECONDS

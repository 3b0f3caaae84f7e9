"""Delivers the outbox: each message is claimed, and given to the `Notifier` of its kind until it is settled.

Every process that may talk to Slack runs a relay; a message is claimed by one of them at a time.
`CardNotifier` shows a job in Slack, as a card and replies. `NoticeRelay` posts the notices, which belong to
no job. What goes elsewhere, such as by e-mail, `bot.notify.relay` delivers from the same outbox.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import tracing
from bot.jobs.cards import Carded, Cards
from bot.jobs.models import Approval
from bot.jobs.outbox import ASIDE, POSTING, REMINDERS, Due, MessageKind, Notice, Notices, Outbox, deliver_each
from bot.jobs.repository import JobRepository, Throughput
from bot.jobs.view import JobView, RunView
from bot.messages.blocks import Message
from bot.periodic import Backoff, PeriodicThread
from bot.slack.card_publisher import About, CardPublisher, Hold, NotPosted
from bot.slack.client import (
    CHANNEL_LOST,
    CONNECTION_ERRORS,
    PASSING,
    Trouble,
    error_name,
    is_paced,
    retry_after,
    says_when,
    trouble_of,
    with_accepted_blocks,
)

log = logging.getLogger(__name__)

#: Messages that one process delivers at the same time: a channel that lets us wait holds up no other.
THREADS = 2
#: Seconds between two looks into the outbox.
LOOK_SECONDS = 1.0
#: And into the notices; so long a post of one that is in hand is waited for at the end.
NOTICE_LOOK_SECONDS, LEAVE_SECONDS = 5.0, 15.0
#: The type of the metadata on each notice.
NOTICE_EVENT = "traspaso_notice"
#: How soon a message is tried again; one that Slack refuses for good; and a post in its first seconds.
BACKOFF = Backoff(1.0, 60.0)
BACKOFF_REFUSED = Backoff(1.0, 3600.0)
BACKOFF_AT_FIRST = Backoff(1.0, 5.0)
#: For so long a post is tried in its channel, whatever Slack answers there, before the direct message takes
#: over; and where Slack keeps saying for how long to wait.
TAKEOVER_SECONDS = 15.0
TAKEOVER_SECONDS_LIMITED = 120.0
#: After so long what Slack refuses for good, even in a direct message, is given up; and a pin.
GIVE_UP_SECONDS = 3600.0
GIVE_UP_PIN_SECONDS = 7 * 24 * 3600.0
#: And a notice.
GIVE_UP_NOTICE_SECONDS = 24 * 3600.0
#: In so many seconds an edit or a pin that got no answer is made up for, and then as long as it may arrive.
SOON = 1.0

#: What makes up for a call of theirs that got no answer, beside the next try: Slack may still get to it.
MADE_UP_FOR = {
    MessageKind.CARD: MessageKind.REFRESH,
    MessageKind.UPDATE: MessageKind.REFRESH,
    MessageKind.REFRESH: MessageKind.REFRESH,
    MessageKind.PIN: MessageKind.PIN,
}

ERRORS = (SlackApiError, *CONNECTION_ERRORS)


class Notifier(Protocol):
    """One way of telling people what happened to a job, or to a run."""

    def deliver(self, due: Due, about: Carded) -> None:
        """Tells it and settles the message in the outbox: done, or when to try again.

        Raises:
            ClaimLost: another process has claimed the message by now.
        """


class Relay(Protocol):
    """What delivers elsewhere than in Slack, from the same outbox and with threads of its own."""

    def start(self) -> None: ...
    def wake(self) -> None: ...
    def stop(self) -> None: ...


class OutboxRelay:
    """Threads around `deliver_due`. ``notifiers`` has who delivers each kind of message.

    ``elsewhere`` starts, is woken and stops with it.
    """

    def __init__(
        self,
        outbox: Outbox,
        store: JobRepository,
        notifiers: Mapping[MessageKind, Notifier],
        elsewhere: Relay | None = None,
    ) -> None:
        self._outbox = outbox
        self._elsewhere = elsewhere
        self._store = store
        self._notifiers = notifiers
        self._threads = [
            PeriodicThread(
                f"outbox-relay-{number}",
                self.deliver_due,
                every_seconds=LOOK_SECONDS,
                at_once=True,
                once_more=True,
                what="consulta can't be asked for the outbox",
            )
            for number in range(1, THREADS + 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        if self._elsewhere is not None:
            self._elsewhere.start()

    def wake(self) -> None:
        """Something was put into the outbox just now."""
        for thread in self._threads:
            thread.wake()
        if self._elsewhere is not None:
            self._elsewhere.wake()

    def stop(self, timeout_seconds: float = 15.0) -> None:
        """Ends after the messages in hand, having looked once more."""
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            thread.stop(timeout_seconds)
        if self._elsewhere is not None:
            self._elsewhere.stop()

    def deliver_due(self) -> int:
        """Delivers what is due now; returns how many messages were taken in hand."""
        return deliver_each(self._outbox.take, self.deliver, log)

    def deliver(self, due: Due) -> None:
        """Delivers this message, or says when to try again.

        Raises:
            ClaimLost: another process has taken it by now.
        """
        sys.audit("traspaso.delivery", due.job_id, due.kind)
        about = self._about(due)
        if about is None or about.channel_id is None:
            self._outbox.done(due, note="nobody to tell")
            return
        of = {"job": due.job_id} if due.run_id is None else {"run": due.run_id}
        with tracing.span("deliver", **of, message=due.kind.value):
            self._notifiers[due.kind].deliver(due, about)

    def _about(self, due: Due) -> Carded | None:
        if due.run_id is not None:
            return self._store.run(due.run_id)
        return self._store.job(due.job_id) if due.job_id is not None else None


class CardNotifier:
    """Shows a job or a run in Slack, until Slack has taken each message or the requester has read it
    elsewhere.

    An ending depends on nothing but itself: a card that can't be edited and a pin that can't be taken off are
    owed as messages of their own. Where a channel takes no post, for whatever reason, a direct message to the
    requester takes over.
    """

    def __init__(
        self,
        outbox: Outbox,
        cards: Cards,
        card_publisher: CardPublisher,
        throughput: Throughput,
        *,
        takeover_seconds: float = TAKEOVER_SECONDS,
    ) -> None:
        self._outbox = outbox
        self._cards = cards
        self._card_publisher = card_publisher
        self._throughput = throughput
        self._takeover = takeover_seconds

    def deliver(self, due: Due, about: Carded) -> None:
        """See `Notifier`."""
        try:
            self._settle(due, about)
        except NotPosted as refused:
            self._not_posted(due, about, refused.error)
        except ERRORS as error:
            self._not_changed(due, about, error)

    def _settle(self, due: Due, job: Carded) -> None:
        """Shows in Slack what is due, and settles it.

        Raises:
            NotPosted: a post that is the message itself isn't there.
            SlackApiError: an edit or a pin that is the message itself isn't there.
        """
        if due.look_first and due.kind in POSTING:
            # A call that was begun before may still arrive, an edit or a post.
            self._outbox.unsure(due, MessageKind.DOUBLES)
            if job.message_ts is not None:
                self._outbox.unsure(due, MessageKind.REFRESH)
        told = self._deliver_of_run(due, job) if isinstance(job, RunView) else self._deliver_of_job(due, job)
        if not told and not self._deliver_of_card(due, job):
            log.info("%s: %s of attempt %s is told no more: it went on", job.named, due.kind, due.attempt)
            self._outbox.done(due, note="the job went on")

    def _deliver_of_job(self, due: Due, job: JobView) -> bool:
        """What is said about a job beside its card; False for anything else, and for what is so no more."""
        match due.kind:
            case MessageKind.QUESTION if due.attempt == job.attempt and job.waits_for_somebody:
                job, shown = self._card_of_reply(due, job)
                self._card_publisher.ask(job, self._hold(due), look_first=due.look_first)
                self._outbox.done(due, shown=shown)
            case MessageKind.ENDING if due.attempt == job.attempt and not job.status.is_live:
                job, shown = self._card_of_reply(due, job)
                self._card_publisher.finish(
                    job,
                    self._hold(due),
                    look_first=due.look_first,
                    stretches=self._throughput.of(job),
                )
                self._pin(due, job)
                self._outbox.done(due, shown=shown)
            case MessageKind.FOLLOWER if due.recipient is not None and not job.status.is_live:
                self._card_publisher.notify_follower(
                    job, due.recipient, due.locale, self._hold(due), look_first=due.look_first
                )
                self._outbox.done(due)
            case MessageKind.APPROVED if job.approval is Approval.APPROVED:
                self._card_publisher.notify_approved(
                    job, due.attempt, self._hold(due), look_first=due.look_first
                )
                self._outbox.done(due)
            case kind if kind in REMINDERS and due.attempt == job.attempt and job.waits_for_approval:
                job, shown = self._card_of_reply(due, job)
                self._card_publisher.remind(job, kind, self._hold(due), look_first=due.look_first)
                self._outbox.done(due, shown=shown)
            case _:
                return False
        return True

    def _deliver_of_run(self, due: Due, run: RunView) -> bool:
        """The same about a run."""
        match due.kind:
            case MessageKind.QUESTION if run.asking:
                run, shown = self._card_of_reply(due, run)
                self._card_publisher.ask_in_run(run, self._hold(due), look_first=due.look_first)
                self._outbox.done(due, shown=shown)
            case MessageKind.ENDING if due.attempt == run.round and not run.is_live:
                run, shown = self._card_of_reply(due, run)
                self._card_publisher.finish_run(run, self._hold(due), look_first=due.look_first)
                self._pin(due, run)
                self._outbox.done(due, shown=shown)
            case MessageKind.FOLLOWER if due.recipient is not None and not run.is_live:
                self._card_publisher.notify_follower(
                    run, due.recipient, due.locale, self._hold(due), look_first=due.look_first
                )
                self._outbox.done(due)
            case MessageKind.APPROVED if any(job.approval is Approval.APPROVED for job in run.jobs):
                self._card_publisher.notify_approved(
                    run, due.attempt, self._hold(due), look_first=due.look_first
                )
                self._outbox.done(due)
            case kind if kind in REMINDERS and run.waiting_for_approval:
                run, shown = self._card_of_reply(due, run)
                self._card_publisher.remind(run, kind, self._hold(due), look_first=due.look_first)
                self._outbox.done(due, shown=shown)
            case _:
                return False
        return True

    def _deliver_of_card(self, due: Due, job: Carded) -> bool:
        """What concerns the card itself; False for anything else, and for a card that isn't there."""
        match due.kind:
            case MessageKind.CARD | MessageKind.UPDATE:
                self._show(due, job)
            case MessageKind.REFRESH if job.message_ts is not None:
                self._card_publisher.show_card(job, self._hold(due))
                self._outbox.again(due)
            case MessageKind.PIN if job.message_ts is not None:
                self._card_publisher.pin(job, self._hold(due))
                self._outbox.again(due) if due.look_first else self._outbox.done(due)
            case MessageKind.LEFT if due.channel_id is not None and due.message_ts is not None:
                self._card_publisher.leave(job, due.channel_id, due.message_ts, self._hold(due))
                self._outbox.done(due)
            case MessageKind.DOUBLES:
                known = self._outbox.left_behind(due)
                channels = [str(job.channel_id), *([job.moved_from.channel] if job.moved_from else [])]
                for channel_id in dict.fromkeys(channels):
                    self._card_publisher.remove_doubles(job, channel_id, known, self._hold(due))
                self._outbox.again(due)
            case _:
                return False
        return True

    def _show(self, due: Due, job: Carded) -> None:
        """Brings the card to the job's state, and pins it where it is new or was posted anew."""
        # One that is asked for in a later attempt is never the first.
        look = due.look_first or due.attempt > 0 or due.kind is MessageKind.UPDATE
        shown = self._card_publisher.show_card(job, self._hold(due), look_first=look)
        if shown.is_live and (due.kind is MessageKind.CARD or shown.message_ts != job.message_ts):
            self._pin(due, shown)
        self._outbox.done(due, shown=True)

    def _card_of_reply(self, due: Due, job: About) -> tuple[About, bool]:
        """The job with the card under which to reply, and whether the card shows its state by now.

        The card is edited once, if Slack takes that; the reply doesn't wait for it.
        """
        if due.failures and job.message_ts is not None:
            return job, False
        try:
            return self._card_publisher.show_card(job, self._hold(due), look_first=due.look_first), True
        except ERRORS as error:
            words = "%s: %s, but the card was not edited: %s"
            log.log(_level(error), words, job.named, due.kind, error_name(error))
            match trouble_of(error):
                case Trouble.AMBIGUOUS:
                    self._outbox.unsure(due, MessageKind.REFRESH, first=SOON)
                case trouble if trouble in PASSING:
                    self._outbox.add(due, MessageKind.REFRESH, seconds=retry_after(error))
            return job, False

    def _pin(self, due: Due, job: Carded) -> None:
        """Pins or unpins the card at once; where Slack doesn't take it, that is owed by itself."""
        try:
            self._card_publisher.pin(job, self._hold(due))
        except ERRORS as error:
            log.log(_level(error), "%s: the card's pin is as it was: %s", job.named, error_name(error))
            trouble = trouble_of(error)
            if trouble is Trouble.AMBIGUOUS:
                self._outbox.unsure(due, MessageKind.PIN, first=SOON)
            elif trouble in PASSING or not job.is_live:
                self._outbox.add(due, MessageKind.PIN, seconds=retry_after(error))

    def _not_posted(self, due: Due, job: Carded, error: Exception) -> None:
        """Once more, or to the requester in person."""
        if is_paced(error):
            self._outbox.wait(due, retry_after(error))
            return
        name, trouble = error_name(error), trouble_of(error)
        log.warning("%s: %s not delivered: %s", job.named, due.kind, name)
        if due.kind in ASIDE:  # the card needn't move for it
            self._in_person(due, job, error)
            return
        patience = TAKEOVER_SECONDS_LIMITED if says_when(error) else self._takeover
        if trouble not in PASSING or due.failing_seconds >= patience:
            self._go_to_requester(due, job, error)
        else:
            left = max(SOON, patience - due.failing_seconds)
            self._try_again(due, error, Backoff(1.0, left) if trouble is Trouble.LATER else BACKOFF_AT_FIRST)

    def _not_changed(self, due: Due, job: Carded, error: Exception) -> None:
        """An edit or a pin: once more where that can help, else the rest goes on without it."""
        if is_paced(error):
            self._outbox.wait(due, retry_after(error))
            return
        name, trouble = error_name(error), trouble_of(error)
        log.warning("%s: %s not delivered: %s", job.named, due.kind, name)
        match due.kind:
            case _ if trouble is Trouble.AMBIGUOUS:
                if due.kind in MADE_UP_FOR:
                    self._outbox.unsure(due, MADE_UP_FOR[due.kind])
                self._try_again(due, error, BACKOFF)
            case _ if trouble is Trouble.LATER:
                self._try_again(due, error, Backoff(1.0, retry_after(error)))
            case _ if trouble in PASSING:
                self._try_again(due, error, BACKOFF)
            case MessageKind.CARD | MessageKind.UPDATE if name in CHANNEL_LOST:
                self._go_to_requester(due, job, error)
            case MessageKind.PIN if job.is_live:  # too many pins, or none allowed: it goes without
                self._outbox.done(due, note=name)
            case MessageKind.PIN | MessageKind.LEFT if due.failing_seconds < GIVE_UP_PIN_SECONDS:
                self._try_again(due, error, BACKOFF_REFUSED)
            case _:
                log.error("%s: %s given up: %s", job.named, due.kind, name)
                self._outbox.done(due, note=name)

    def _try_again(self, due: Due, error: Exception, backoff: Backoff) -> None:
        """After the pause that Slack asks for, or else the back-off's; never longer than its longest."""
        trouble = trouble_of(error)
        asked = retry_after(error) if trouble is Trouble.LATER else backoff.pause(due.failures)
        unsure = trouble is Trouble.AMBIGUOUS
        self._outbox.later(due, min(backoff.longest, asked), error_name(error), unsure=unsure)

    def _go_to_requester(self, due: Due, job: Carded, error: Exception) -> None:
        """The channel doesn't take it: the card moves to a direct message, and says why.

        Where Slack as a whole was away, the channel gets one more try now that Slack answers.
        """
        name, trouble = error_name(error), trouble_of(error)
        if trouble is Trouble.AMBIGUOUS:  # this very try may have arrived
            due = replace(due, look_first=True)
        try:
            channel = self._card_publisher.open_direct_message(job.requester_id)
        except ERRORS as refused:
            log.warning("%s: %s has no direct message: %s", job.named, job.requester_id, error_name(refused))
            self._in_person(due, job, refused)
            return
        if channel == job.channel_id:
            self._in_person(due, job, error)
            return
        if trouble in PASSING:
            try:
                self._settle(due, job)
            except NotPosted as refused:
                name = error_name(refused.error)
            except ERRORS as refused:
                self._not_changed(due, job, refused)
                return
            else:
                return
        self._outbox.hold(due)
        self._cards.moved(job, channel, name)
        self._outbox.later(due, 0.0, name, unsure=False)

    def _in_person(self, due: Due, job: Carded, error: Exception) -> None:
        """No other place is left: tried again for as long as the trouble may pass, then given up."""
        if trouble_of(error) in PASSING or due.failing_seconds < GIVE_UP_SECONDS:
            self._try_again(due, error, BACKOFF)
        else:
            log.error("%s: %s given up: %s", job.named, due.kind, error_name(error))
            self._outbox.done(due, note=error_name(error))

    def _hold(self, due: Due) -> Hold:
        return lambda: self._outbox.hold(due)


def _level(error: Exception) -> int:
    """A call that waits for its turn is no trouble."""
    return logging.INFO if is_paced(error) else logging.WARNING


# ----------------------------------------------------------------------------
# Notices: messages to a channel that belong to no job


#: The message of a notice; None where its subject isn't there any more.
Words = Callable[[Notice], Message | None]


class NoticeRelay(PeriodicThread):
    """Delivers what is due, every few seconds. Where a channel takes nothing, the notice's person gets it."""

    def __init__(self, notices: Notices, client: WebClient, words: Words) -> None:
        super().__init__(
            "notice-relay",
            self.deliver_due,
            every_seconds=NOTICE_LOOK_SECONDS,
            at_once=True,
            what="consulta can't be asked for notices",
            leave_seconds=LEAVE_SECONDS,
        )
        self._notices = notices
        self._client = client
        self._words = words

    def deliver_due(self) -> int:
        """Delivers what is due now; how many it took in hand."""
        return deliver_each(self._notices.take, self.deliver, log)

    def deliver(self, notice: Notice) -> None:
        """Posts it and settles it. Raises ClaimLost where another process has taken it."""
        message = self._words(notice)
        if message is None:
            self._notices.done(notice, "nothing to tell")
            return
        try:
            if notice.look_first and self._has_arrived(notice):
                self._notices.done(notice)
                return
            self._notices.hold(notice)
            with_accepted_blocks(
                lambda blocks: self._client.chat_postMessage(
                    channel=notice.channel_id,
                    text=message.text,
                    blocks=blocks,
                    unfurl_links=False,
                    unfurl_media=False,
                    metadata={"event_type": NOTICE_EVENT, "event_payload": {"notice": str(notice.id)}},
                ),
                message,
            )
        except ERRORS as error:
            self._not_posted(notice, error)
        else:
            self._notices.done(notice)

    def _has_arrived(self, notice: Notice) -> bool:
        """Whether an earlier post that got no answer is there."""
        return any(payload.get("notice") == str(notice.id) for payload in self._posted(notice))

    def _posted(self, notice: Notice) -> Iterator[dict[str, str]]:
        cursor = ""
        while True:
            self._notices.hold(notice)
            page = self._client.conversations_history(
                channel=notice.channel_id,
                include_all_metadata=True,
                oldest=f"{notice.created_at.timestamp() - 60:.6f}",
                limit=200,
                cursor=cursor,
            )
            for message in page["messages"]:
                metadata = message.get("metadata") or {}
                if metadata.get("event_type") == NOTICE_EVENT:
                    yield metadata.get("event_payload") or {}
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    def _not_posted(self, notice: Notice, error: Exception) -> None:
        name, trouble = error_name(error), trouble_of(error)
        log.warning("notice %s not delivered: %s", notice.id, name)
        if trouble in PASSING:
            pause = retry_after(error) if trouble is Trouble.LATER else BACKOFF.pause(notice.tries - 1)
            if notice.seconds > GIVE_UP_NOTICE_SECONDS:
                self._notices.done(notice, name)
            else:
                self._notices.later(notice, pause, name, unsure=trouble is Trouble.AMBIGUOUS)
            return
        if notice.user_id is not None:
            try:
                channel = self._client.conversations_open(users=notice.user_id)["channel"]["id"]
            except ERRORS as refused:
                log.warning("%s has no direct message: %s", notice.user_id, error_name(refused))
                if trouble_of(refused) in PASSING and notice.seconds < GIVE_UP_NOTICE_SECONDS:
                    self._notices.later(notice, BACKOFF.pause(notice.tries - 1), name, unsure=False)
                    return
            else:
                self._notices.elsewhere(notice, str(channel), name)
                return
        log.error("notice %s given up: %s", notice.id, name)
        self._notices.done(notice, name)

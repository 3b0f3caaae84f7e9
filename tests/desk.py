"""A card publisher and an outbox relay at a local Slack, for the tracking tables of one test."""

from __future__ import annotations

from bot.i18n import translator
from bot.jobs.attempt import Attempt
from bot.jobs.outbox import MessageKind
from bot.jobs.repository import Throughput
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import client
from bot.slack.outbox_relay import CardNotifier, OutboxRelay
from dev.local_slack.client import LocalSlack
from dev.local_slack.results import Message
from tests.tracking import CHART_SECONDS, Jobs

CHANNEL = "C0PAYROLL"
ES = translator("es")


class Desk:
    """Delivers when it is told to, and reads what people read."""

    def __init__(
        self, slack: LocalSlack, jobs: Jobs, *, timeout_seconds: int = 10, **settings: float
    ) -> None:
        self.slack = slack
        self.jobs = jobs
        self.edits_allowed = True
        self._threads: dict[tuple[object, ...], list[Message]] = {}
        web = client(slack.bot_token, slack.api_url, timeout_seconds=timeout_seconds)
        self.card_publisher = CardPublisher(web, jobs.store, jobs.cards, ES, lambda: self.edits_allowed)
        throughput = Throughput(jobs.engine, chart_seconds=CHART_SECONDS)
        notifier = CardNotifier(jobs.outbox, jobs.cards, self.card_publisher, throughput, **settings)
        self.outbox_relay = OutboxRelay(jobs.outbox, jobs.store, dict.fromkeys(MessageKind, notifier))

    def running(self, channel: str = CHANNEL) -> Attempt:
        """A job whose card is posted and pinned."""
        claim = self.jobs.claimed(channel_id=channel)
        assert self.outbox_relay.deliver_due() == 1
        return claim

    def deliver(self) -> None:
        """What waits for its next try is due now."""
        self.jobs.run(
            "UPDATE traspaso.outbox SET next_try_at = now() WHERE kind NOT IN ('refresh', 'doubles')"
        )
        self.outbox_relay.deliver_due()

    def look_after_lost_calls(self) -> None:
        """As after the time in which Slack may still get to them."""
        self.jobs.run("UPDATE traspaso.outbox SET next_try_at = now() WHERE kind IN ('refresh', 'doubles')")
        self.outbox_relay.deliver_due()

    def messages(self, channel: str = CHANNEL) -> list[Message]:
        return self.slack.user("U0ANA").messages(channel)

    def replies(self, ts: str, channel: str = CHANNEL) -> list[Message]:
        return self.slack.user("U0ANA").thread(channel, ts)[1:]

    def endings(self, job_id: int) -> list[Message]:
        """What the requester can read about the end of the job, in the channel and in person."""
        found = []
        for channel in (CHANNEL, "D0ANA"):
            for message in self.messages(channel):
                found.append(message)
                if message.reply_count:
                    found += self._replies_once(message)
        wanted = f"ending-{self.jobs.see(job_id).attempt}-"
        payloads = [(each, (each.metadata or {}).get("event_payload") or {}) for each in found]
        return [
            each
            for each, payload in payloads
            if payload.get("job") == str(job_id) and str(payload.get("part")).startswith(wanted)
        ]

    def _replies_once(self, message: Message) -> list[Message]:
        """The replies to a message; a thread that has got no other reply since is not read again."""
        state = (message.channel, message.ts, message.reply_count, message.latest_reply)
        if state not in self._threads:
            self._threads[state] = self.replies(message.ts, message.channel)
        return self._threads[state]

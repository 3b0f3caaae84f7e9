"""Tells Slack: the only caller of chat.* and pins.*.

What it says comes from a snapshot of the row, so a message can be made anew at any time. A progress
edit may be dropped, an ending never: endings come through the outbox (see `bot.courier`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.finding import find, mark
from bot.i18n import Translator
from bot.jobs.cards import Cards
from bot.jobs.snapshot import JobSnapshot
from bot.jobs.store import JobStore
from bot.messages.asking import asks
from bot.messages.blocks import Message
from bot.messages.card import card
from bot.messages.ending import reply
from bot.slack import (
    CONNECTION_ERRORS,
    DONE_ALREADY,
    Trouble,
    error_name,
    retry_after,
    trouble_of,
)

log = logging.getLogger(__name__)

#: Seconds without progress edits after Slack has locked us out.
LOCKED_OUT_PAUSE = 30.0

#: Permalinks never change; so many are remembered.
LINKS_KEPT = 5000

MayEdit = Callable[[], bool]


class Announcer:
    """Posts, edits and pins the messages of jobs."""

    def __init__(
        self, client: WebClient, store: JobStore, cards: Cards, translator: Translator, may_edit: MayEdit
    ) -> None:
        """``may_edit`` asks the limiter that all processes share for one progress edit."""
        self._client = client
        self._store = store
        self._cards = cards
        self._t = translator
        self._may_edit = may_edit
        self._quiet_until = 0.0
        self._lost: set[tuple[int, str]] = set()
        self._links: dict[tuple[str, str], str] = {}
        self._shown: dict[int, list[dict[str, Any]]] = {}

    def progress(self, job: JobSnapshot) -> None:
        """Edits the card to the newest state, if it has changed and Slack has room for an edit.

        Where somebody has deleted it, the outbox has it posted anew.
        """
        if job.channel_id is None or job.message_ts is None or time.monotonic() < self._quiet_until:
            return
        message = card(job, self._t)
        unwanted = (job.id, job.channel_id) in self._lost or self._shown.get(job.id) == message.blocks
        if unwanted or not self._may_edit():
            return
        try:
            self._edit(job, job.message_ts)
            self._shown[job.id] = message.blocks
            self._mend_late_edit(job)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("job %s: the card was not edited: %s", job.id, error_name(error))
            match trouble_of(error):
                case Trouble.MESSAGE_GONE:
                    self._cards.gone(job.id, job.message_ts)
                case Trouble.CHANNEL_LOST | Trouble.BROKEN:
                    self._lost.add((job.id, job.channel_id))
                case Trouble.LOCKED_OUT:
                    self._quiet_until = time.monotonic() + LOCKED_OUT_PAUSE
                case _:
                    self._quiet_until = time.monotonic() + retry_after(error)

    def update(self, job: JobSnapshot) -> None:
        """Shows at once what somebody did. It counts in the minute of edits, and isn't dropped for it."""
        self._may_edit()
        self.show_card(job, look_first=job.message_ts is None)

    def show_card(self, job: JobSnapshot, *, look_first: bool = False) -> str:
        """Brings the card to the job's state: edits it, or posts and pins it where there is none.

        ``look_first`` where this was tried before: the post may have arrived, the pin may be missing.
        Returns its ts.
        """
        if job.message_ts is not None:
            try:
                self._edit(job, job.message_ts)
            except SlackApiError as error:
                if trouble_of(error) is not Trouble.MESSAGE_GONE:
                    raise
                log.info("job %s: somebody deleted the card; posting it anew", job.id)
                look_first = True
            else:
                if look_first and job.status.is_live:
                    self._pin(job, job.message_ts)
                return job.message_ts
        return self._post_card(job, look_first=look_first)

    def ask(self, job: JobSnapshot, *, look_first: bool) -> None:
        """The card with the question on it, and the threaded reply to whoever has to answer."""
        if job.question is None:
            raise ValueError(f"job {job.id} asks nothing")
        ts = self.show_card(job, look_first=look_first)
        message = asks(job, job.question, self._t)
        self._reply(job, message, f"question-{job.attempt}", ts, look_first=look_first)

    def finish(self, job: JobSnapshot, *, look_first: bool) -> None:
        """The final card, unpinned, and the threaded reply."""
        ts = self.show_card(job, look_first=look_first)
        self._unpin(job, ts)
        part = f"ending-{job.attempt}-{job.status}"
        self._reply(job, reply(job, self._t), part, ts, look_first=look_first)
        self._shown.pop(job.id, None)

    def open_direct_message(self, user_id: str) -> str:
        """The channel in which the bot can write to that person alone."""
        return str(self._client.conversations_open(users=user_id)["channel"]["id"])

    def tell(self, user_id: str, message: Message) -> None:
        """Sends a direct message, to that person alone."""
        self._client.chat_postMessage(
            channel=self.open_direct_message(user_id),
            text=message.text,
            blocks=message.blocks,
            unfurl_links=False,
            unfurl_media=False,
        )

    def link(self, job: JobSnapshot) -> str | None:
        """A permalink to the card; None where there is none or Slack doesn't give it."""
        if job.channel_id is None or job.message_ts is None:
            return None
        card = (job.channel_id, job.message_ts)
        if card in self._links:
            return self._links[card]
        try:
            answer = self._client.chat_getPermalink(channel=job.channel_id, message_ts=job.message_ts)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.info("job %s: no permalink: %s", job.id, error_name(error))
            return None
        if len(self._links) >= LINKS_KEPT:
            self._links.clear()
        self._links[card] = str(answer["permalink"])
        return self._links[card]

    def _reply(self, job: JobSnapshot, message: Message, part: str, ts: str, *, look_first: bool) -> None:
        """Posts it in the card's thread, unless it is there already."""
        if look_first and find(self._client, job, part, thread_ts=ts):
            return
        self._post(_channel(job), message, job, part, thread_ts=ts)

    def _post_card(self, job: JobSnapshot, *, look_first: bool) -> str:
        channel = _channel(job)
        ts = find(self._client, job, "card") if look_first else None
        if ts is None:
            channel, ts = self._post(channel, card(job, self._t), job, "card")
        self._cards.posted(job.id, channel, ts)
        if job.status.is_live:
            self._pin(replace(job, channel_id=channel), ts)
        return ts

    def _mend_late_edit(self, job: JobSnapshot) -> None:
        """The job may have become another one, and been told so, while Slack took its time for an edit."""
        now = self._store.snapshot(job.id)
        if now is None or now.message_ts is None or _told(now) == _told(job):
            return
        self._edit(now, now.message_ts)
        if not now.status.is_live:
            self._unpin(now, now.message_ts)

    def _post(
        self, channel: str, message: Message, job: JobSnapshot, part: str, thread_ts: str | None = None
    ) -> tuple[str, str]:
        answer = self._client.chat_postMessage(
            channel=channel,
            text=message.text,
            blocks=message.blocks,
            thread_ts=thread_ts,
            unfurl_links=False,
            unfurl_media=False,
            metadata=mark(job, part),
        )
        return str(answer["channel"]), str(answer["ts"])

    def _edit(self, job: JobSnapshot, ts: str) -> None:
        message = card(job, self._t)
        self._client.chat_update(channel=_channel(job), ts=ts, text=message.text, blocks=message.blocks)

    def _pin(self, job: JobSnapshot, ts: str) -> None:
        self._nicety(lambda: self._client.pins_add(channel=_channel(job), timestamp=ts), job)

    def _unpin(self, job: JobSnapshot, ts: str) -> None:
        self._nicety(lambda: self._client.pins_remove(channel=_channel(job), timestamp=ts), job)

    def _nicety(self, call: Callable[[], object], job: JobSnapshot) -> None:
        """A pin is no more than that: only what passes by itself is worth another try."""
        try:
            call()
        except SlackApiError as error:
            if error_name(error) in DONE_ALREADY:
                return
            if trouble_of(error) in {Trouble.LATER, Trouble.AMBIGUOUS}:
                raise
            log.warning("job %s: the card can't be pinned or unpinned: %s", job.id, error_name(error))


def _channel(job: JobSnapshot) -> str:
    if job.channel_id is None:
        raise ValueError(f"job {job.id} has no channel")
    return job.channel_id


def _told(job: JobSnapshot) -> tuple[object, ...]:
    """What is told by the outbox, and not only by the next edit."""
    return job.status, job.wish, job.freeze, job.approval, job.question

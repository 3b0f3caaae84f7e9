"""Delivers the notices: messages to a channel that belong to no job, once each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.jobs.models import ClaimLost
from bot.jobs.notices import Notice, Notices
from bot.messages.blocks import Message
from bot.periodic import Backoff, PeriodicThread
from bot.slack.client import (
    CONNECTION_ERRORS,
    PASSING,
    Trouble,
    error_name,
    retry_after,
    trouble_of,
    with_accepted_blocks,
)

log = logging.getLogger(__name__)

#: The type of the metadata on each notice.
EVENT = "traspaso_notice"
#: Seconds between two looks; how soon one is tried again; and after how long one is given up.
LOOK_SECONDS = 5.0
BACKOFF = Backoff(1.0, 60.0)
GIVE_UP_SECONDS = 24 * 3600.0
#: So long a post in hand is waited for at the end, in seconds.
LEAVE_SECONDS = 15.0

ERRORS = (SlackApiError, *CONNECTION_ERRORS)

#: The message of a notice; None where its subject isn't there any more.
Words = Callable[[Notice], Message | None]


class NoticeRelay(PeriodicThread):
    """Delivers what is due, every few seconds. Where a channel takes nothing, the notice's person gets it."""

    def __init__(self, notices: Notices, client: WebClient, words: Words) -> None:
        super().__init__(
            "notice-relay",
            self.deliver_due,
            every_seconds=LOOK_SECONDS,
            at_once=True,
            what="consulta can't be asked for notices",
            leave_seconds=LEAVE_SECONDS,
        )
        self._notices = notices
        self._client = client
        self._words = words

    def deliver_due(self) -> int:
        """Delivers what is due now; how many it took in hand."""
        taken = 0
        while notice := self._notices.take():
            taken += 1
            try:
                self.deliver(notice)
            except ClaimLost:
                log.warning("notice %s is in another process's hands by now", notice.id)
        return taken

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
                    metadata={"event_type": EVENT, "event_payload": {"notice": str(notice.id)}},
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
                if metadata.get("event_type") == EVENT:
                    yield metadata.get("event_payload") or {}
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    def _not_posted(self, notice: Notice, error: Exception) -> None:
        name, trouble = error_name(error), trouble_of(error)
        log.warning("notice %s not delivered: %s", notice.id, name)
        if trouble in PASSING:
            pause = retry_after(error) if trouble is Trouble.LATER else BACKOFF.pause(notice.tries - 1)
            if notice.seconds > GIVE_UP_SECONDS:
                self._notices.done(notice, name)
            else:
                self._notices.later(notice, pause, name, unsure=trouble is Trouble.AMBIGUOUS)
            return
        if notice.user_id is not None:
            try:
                channel = self._client.conversations_open(users=notice.user_id)["channel"]["id"]
            except ERRORS as refused:
                log.warning("%s has no direct message: %s", notice.user_id, error_name(refused))
                if trouble_of(refused) in PASSING and notice.seconds < GIVE_UP_SECONDS:
                    self._notices.later(notice, BACKOFF.pause(notice.tries - 1), name, unsure=False)
                    return
            else:
                self._notices.elsewhere(notice, str(channel), name)
                return
        log.error("notice %s given up: %s", notice.id, name)
        self._notices.done(notice, name)

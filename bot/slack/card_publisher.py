"""Posts, edits and pins the messages of jobs: the only caller of chat.* and pins.* but for whispered answers.

What they say comes from the job's row, so a message can be made anew at any time. A progress edit may be
dropped, an ending never: endings come through the outbox (see `bot.slack.outbox_relay`). Whoever delivers
gives ``hold``, which is asked before each call that somebody could see, and raises where another process has
claimed the message by now.

Each message carries, as metadata, which part it is of what is said about which job. So one whose answer was
lost can be found.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.i18n import Translator, translator
from bot.jobs.cards import Cards
from bot.jobs.outbox import Kind
from bot.jobs.repository import JobRepository
from bot.jobs.view import JobView, Stretch
from bot.messages.blocks import Message, moved_away
from bot.messages.card import card, reply, told
from bot.messages.question import approval_reminder, approval_reply, question_reply
from bot.slack.client import (
    CONNECTION_ERRORS,
    PASSING,
    PIN_DONE,
    Trouble,
    error_name,
    retry_after,
    trouble_of,
    with_accepted_blocks,
)
from migrations import SCHEMA

log = logging.getLogger(__name__)

#: The type of the metadata on each message.
EVENT = "traspaso_job"

#: Seconds without progress edits after Slack has locked us out.
LOCKED_OUT_PAUSE = 30.0

#: Permalinks never change; so many are remembered.
LINKS_KEPT = 5000
#: Of so many cards it is remembered what they show, and that they can't be edited.
CARDS_KEPT = 1000

#: How the part of each ending begins.
ENDING = "ending"

Key = TypeVar("Key")
Value = TypeVar("Value")

#: Raises where another process has claimed the message.
Hold = Callable[[], None]
#: Whether there is room for a progress edit; True counts as one.
MayEdit = Callable[[], bool]


class NotPosted(Exception):
    """Slack didn't take a new message, or can't be asked whether it had; ``error`` is the reason."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error_name(error))
        self.error = error


class CardPublisher:
    """Posts, edits and pins the messages of jobs."""

    def __init__(
        self, client: WebClient, store: JobRepository, cards: Cards, translator: Translator, may_edit: MayEdit
    ) -> None:
        """``may_edit`` is asked before each progress edit (see `bot.slack.rate_limit`)."""
        self._client = client
        self._store = store
        self._cards = cards
        self._t = translator
        self._may_edit = may_edit
        self._paused_until = 0.0
        self._not_editable: dict[tuple[int, str], None] = {}
        self._links: dict[tuple[str, str], str] = {}
        self._shown: dict[int, list[dict[str, Any]]] = {}
        self._read_outside: dict[str, bool] = {}

    def progress(self, job: JobView) -> None:
        """Edits the card to the newest state, if it has changed and Slack has room for an edit.

        Where somebody has deleted it, the outbox has it posted anew. Where no answer comes, the outbox has
        the newest state shown once more.
        """
        if job.channel_id is None or job.message_ts is None or time.monotonic() < self._paused_until:
            return
        unwanted = (job.id, job.channel_id) in self._not_editable or self._shows(job)
        if unwanted or not self._may_edit():
            return
        edit = self._cards.edit_begins(job)
        if edit is None:
            return
        now = self._store.job(job.id)
        if now is None or not now.status.is_live or (now.channel_id, now.message_ts) != _place(job):
            self._cards.edit_answered(edit)
            return
        try:
            self._edit(now)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            if trouble_of(error) is not Trouble.AMBIGUOUS:
                self._cards.edit_answered(edit)
            self._not_shown(now, error)
        else:
            _remember(self._shown, job.id, self._card(now).blocks)
            self._cards.edit_answered(edit)

    def _not_shown(self, job: JobView, error: Exception) -> None:
        """Progress that Slack doesn't take is dropped; for how long depends on what it says."""
        log.warning("job %s: the card was not edited: %s", job.id, error_name(error))
        match trouble_of(error):
            case Trouble.MESSAGE_GONE:
                self._cards.gone(job.id, str(job.message_ts))
            case Trouble.NOT_HERE | Trouble.NO_THREAD:
                _remember(self._not_editable, (job.id, _channel(job)), None)
            case Trouble.LOCKED_OUT:
                self._paused_until = time.monotonic() + LOCKED_OUT_PAUSE
            case _:
                self._paused_until = time.monotonic() + retry_after(error)

    def show_card(self, job: JobView, hold: Hold, *, look_first: bool = False) -> JobView:
        """Brings the card to the job's state: edits it, or posts it where there is none.

        ``look_first`` where this was tried before: the post may have arrived. It counts in the minute of
        edits, and isn't dropped for it. Returns the job with the place of its card.

        Raises:
            NotPosted: there is no card, and Slack takes none.
            SlackApiError: Slack refuses the edit.
        """
        self._may_edit()
        if job.message_ts is not None:
            try:
                hold()
                self._edit(job)
            except SlackApiError as error:
                if trouble_of(error) is not Trouble.MESSAGE_GONE:
                    raise
                log.info("job %s: somebody deleted the card; posting it anew", job.id)
                look_first = True
            else:
                return job
        ts = self._found(job, "card", hold) if look_first else None
        channel = _channel(job)
        if ts is None:
            channel, ts = self._post(job, self._card(job), "card", hold)
        self._cards.posted(job.id, channel, ts)
        sys.audit("traspaso.card_saved", job.id)
        return replace(job, channel_id=channel, message_ts=ts)

    def ask(self, job: JobView, hold: Hold, *, look_first: bool) -> None:
        """The threaded reply to whoever has to answer the question that is on the card.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        if job.question is None:
            raise ValueError(f"job {job.id} asks nothing")
        message = question_reply(job, job.question, self._t)
        self._reply(job, message, f"question-{job.attempt}", hold, look_first=look_first)

    def remind(self, job: JobView, kind: Kind, hold: Hold, *, look_first: bool) -> None:
        """The threaded reply to those who may approve it, that it still waits.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        message = approval_reminder(job, kind, self._t)
        self._reply(job, message, f"{kind}-{job.attempt}", hold, look_first=look_first)

    def tell_approved(self, job: JobView, attempt: int, hold: Hold, *, look_first: bool) -> None:
        """The threaded reply to the requester, that somebody approved it as it was after this attempt.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        self._reply(job, approval_reply(job, self._t), f"approved-{attempt}", hold, look_first=look_first)

    def tell_follower(
        self, job: JobView, user_id: str, locale: str | None, hold: Hold, *, look_first: bool
    ) -> None:
        """The direct message to somebody who wanted to be told how the job ends, in their language.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        t = translator(locale) if locale else self._t
        message = told(job, self.link(job), t)
        try:
            channel = self.open_direct_message(user_id)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            raise NotPosted(error) from error
        in_person = replace(job, channel_id=channel, message_ts=None)
        self._reply(in_person, message, f"told-{job.attempt}-{user_id}", hold, look_first=look_first)

    def finish(
        self, job: JobView, hold: Hold, *, look_first: bool, stretches: Sequence[Stretch] = ()
    ) -> None:
        """The threaded reply that says how it ended, with a chart of ``stretches`` where there are some.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        part = f"{ENDING}-{job.attempt}-{job.status}"
        self._reply(job, reply(job, self._t, stretches), part, hold, look_first=look_first)
        self._shown.pop(job.id, None)

    def pin(self, job: JobView, hold: Hold) -> None:
        """The card is pinned while the job is live, and not afterwards.

        Raises:
            SlackApiError: Slack doesn't take it.
        """
        sys.audit("traspaso.pin", job.id, job.status)
        if not job.status.is_live:
            if job.pinned is not False:
                hold()
                self._unpin(_channel(job), str(job.message_ts))
            return
        hold()
        try:
            self._client.pins_add(channel=_channel(job), timestamp=job.message_ts)
        except SlackApiError as error:
            if error_name(error) not in PIN_DONE:
                if trouble_of(error) not in PASSING and job.pinned is None:
                    self._cards.pinned(job, False)
                raise
        self._cards.pinned(job, True)

    def leave(self, job: JobView, channel_id: str, message_ts: str, hold: Hold) -> None:
        """The card's last words in a channel that it had to leave, and its pin taken off."""
        stayed = replace(job, channel_id=channel_id, message_ts=message_ts, moved_from=None)
        message = moved_away(job, self._t) if job.status.is_live else self._card(stayed)
        hold()
        try:
            self._change(stayed, message)
        except SlackApiError as error:
            if trouble_of(error) in PASSING:
                raise
            log.info("job %s: the card stays as it is in %s: %s", job.id, channel_id, error_name(error))
        hold()
        self._unpin(channel_id, message_ts)

    def remove_doubles(self, job: JobView, channel_id: str, known: Collection[str], hold: Hold) -> None:
        """Takes back what arrived after all, of posts that got no answer and were made again, or elsewhere.

        The job's card stays, those that it left behind in ``known``, and the older one of two replies.
        """
        here = channel_id == job.channel_id
        if here and job.message_ts is None:
            return
        cards = [
            ts
            for ts, payload in messages_of(self._client, job, channel_id, hold)
            if payload["part"] == "card"
        ]
        doubles = [ts for ts in cards if ts != job.message_ts and ts not in known]
        for card_ts in cards:
            replies = [
                each
                for each in messages_of(self._client, job, channel_id, hold, card_ts)
                if each[0] != card_ts
            ]
            parts: set[str] = set()
            for ts, payload in sorted(replies, key=lambda each: each[0]):
                elsewhere = not here and payload["part"].startswith(ENDING)
                if elsewhere or payload["part"] in parts:
                    doubles.append(ts)
                parts.add(payload["part"])
        for ts in doubles:
            log.info("job %s: message %s had arrived after all, and is taken back", job.id, ts)
            hold()
            self._client.chat_delete(channel=channel_id, ts=ts)

    def open_direct_message(self, user_id: str) -> str:
        """The channel in which the bot can write to that person alone."""
        return str(self._client.conversations_open(users=user_id)["channel"]["id"])

    def send_direct_message(self, user_id: str, message: Message) -> None:
        """Sends a direct message, to that person alone."""
        self.send(self.open_direct_message(user_id), message)

    def send_file(self, user_id: str, name: str, content: bytes, *, title: str, comment: str) -> None:
        """Sends a file in a direct message, to that person alone.

        Raises:
            SlackApiError, SlackRequestError, or one of `CONNECTION_ERRORS`: Slack didn't take it.
        """
        self._client.files_upload_v2(
            channel=self.open_direct_message(user_id),
            filename=name,
            content=content,
            title=title,
            initial_comment=comment,
        )

    def send(self, channel: str, message: Message) -> None:
        """Sends a message that belongs to no job.

        Raises:
            SlackApiError, or one of `CONNECTION_ERRORS`: Slack didn't take it.
        """
        with_accepted_blocks(
            lambda blocks: self._client.chat_postMessage(
                channel=channel, text=message.text, blocks=blocks, unfurl_links=False, unfurl_media=False
            ),
            message,
        )

    def link(self, job: JobView) -> str | None:
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
        _remember(self._links, card, str(answer["permalink"]), LINKS_KEPT)
        return self._links[card]

    def links(self, jobs: Sequence[JobView]) -> dict[int, str]:
        """Permalinks to the cards of these jobs by their ids, asked for side by side."""
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(self.link, jobs)
            return {job.id: link for job, link in zip(jobs, found, strict=True) if link}

    def _reply(self, job: JobView, message: Message, part: str, hold: Hold, *, look_first: bool) -> None:
        """Posts it in the card's thread, or beside it where the channel takes no threads; once."""
        ts = job.message_ts
        if look_first and (self._found(job, part, hold, ts) or self._found(job, part, hold)):
            return
        try:
            self._post(job, message, part, hold, thread_ts=ts)
        except NotPosted as refused:
            if ts is None or trouble_of(refused.error) is not Trouble.NO_THREAD:
                raise
            self._post(job, message, part, hold)

    def _found(self, job: JobView, part: str, hold: Hold, thread_ts: str | None = None) -> str | None:
        try:
            return find_message(self._client, job, part, hold, thread_ts)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            if trouble_of(error) is Trouble.MESSAGE_GONE:  # the thread's first message was deleted
                return None
            raise NotPosted(error) from error

    def _post(
        self, job: JobView, message: Message, part: str, hold: Hold, thread_ts: str | None = None
    ) -> tuple[str, str]:
        def post(blocks: list[dict[str, Any]] | None) -> Any:
            hold()
            sys.audit("traspaso.post", job.id, part)
            return self._client.chat_postMessage(
                channel=_channel(job),
                text=message.text,
                blocks=blocks,
                thread_ts=thread_ts,
                unfurl_links=False,
                unfurl_media=False,
                metadata=metadata_of(job, part),
            )

        try:
            answer = with_accepted_blocks(post, message)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            raise NotPosted(error) from error
        sys.audit("traspaso.posted", job.id, part)
        return str(answer["channel"]), str(answer["ts"])

    def _shows(self, job: JobView) -> bool:
        """The card has shown this already."""
        return self._shown.get(job.id) == self._card(job).blocks

    def _card(self, job: JobView) -> Message:
        return card(replace(job, is_read_outside=self._is_read_outside(job.channel_id)), self._t)

    def _is_read_outside(self, channel_id: str | None) -> bool:
        """Whether people of another organisation read that channel; False where Slack doesn't say."""
        if channel_id is None or channel_id.startswith("D"):
            return False
        if channel_id not in self._read_outside:
            try:
                channel = self._client.conversations_info(channel=channel_id)["channel"]
            except (SlackApiError, *CONNECTION_ERRORS) as error:
                log.info("channel %s: not known who reads it: %s", channel_id, error_name(error))
                if trouble_of(error) in {Trouble.LATER, Trouble.AMBIGUOUS, Trouble.LOCKED_OUT}:
                    return False
                channel = {}
            outside = channel.get("is_ext_shared") or channel.get("is_pending_ext_shared")
            _remember(self._read_outside, channel_id, bool(outside))
        return self._read_outside[channel_id]

    def _edit(self, job: JobView) -> None:
        self._change(job, self._card(job))

    def _change(self, job: JobView, message: Message) -> None:
        sys.audit("traspaso.edit", job.id, job.status)
        with_accepted_blocks(
            lambda blocks: self._client.chat_update(
                channel=_channel(job), ts=str(job.message_ts), text=message.text, blocks=blocks
            ),
            message,
        )

    def _unpin(self, channel_id: str, ts: str) -> None:
        """A bot that was put out of a public channel meanwhile joins it to take its pin off."""
        try:
            self._client.pins_remove(channel=channel_id, timestamp=ts)
        except SlackApiError as error:
            if error_name(error) == "not_in_channel":
                self._client.conversations_join(channel=channel_id)
                self._client.pins_remove(channel=channel_id, timestamp=ts)
            elif error_name(error) not in PIN_DONE:
                raise


# ----------------------------------------------------------------------------
# Messages that are there already


def metadata_of(job: JobView, part: str) -> dict[str, Any]:
    """The metadata of the message that is this part of what is said about the job."""
    return {"event_type": EVENT, "event_payload": {**_named(job), "part": part}}


def _named(job: JobView) -> dict[str, str]:
    """The job, by its number and by the schema of an installation beside the usual one."""
    return {"job": str(job.id), **({} if job.schema == SCHEMA else {"schema": job.schema})}


def find_message(
    client: WebClient, job: JobView, part: str, hold: Hold, thread_ts: str | None = None
) -> str | None:
    """The ts of that message, if it had arrived after all."""
    wanted = metadata_of(job, part)["event_payload"]
    ours = messages_of(client, job, str(job.channel_id), hold, thread_ts)
    return next((ts for ts, payload in ours if payload == wanted), None)


def messages_of(
    client: WebClient, job: JobView, channel_id: str, hold: Hold, thread_ts: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The ts and the metadata of each message about the job in that channel, or in that thread; newest first.

    ``hold`` is asked before each call: reading may take several, and longer than a claim. A public channel
    takes posts from everybody, but shows only its members what is in it: the bot joins.
    """
    try:
        yield from _pages(client, job, channel_id, hold, thread_ts)
    except SlackApiError as error:
        if error_name(error) != "not_in_channel":
            raise
        hold()
        try:
            client.conversations_join(channel=channel_id)
        except SlackApiError:
            raise error from None
        yield from _pages(client, job, channel_id, hold, thread_ts)


def _pages(
    client: WebClient, job: JobView, channel_id: str, hold: Hold, thread_ts: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    asked: dict[str, Any] = {
        "channel": channel_id,
        "include_all_metadata": True,
        "oldest": f"{job.created_at.timestamp() - 60:.6f}",
        "limit": 200,
    }
    cursor = ""
    while True:
        hold()
        if thread_ts is None:
            page = client.conversations_history(cursor=cursor, **asked)
        else:
            page = client.conversations_replies(ts=thread_ts, cursor=cursor, **asked)
        for message in page["messages"]:
            metadata = message.get("metadata") or {}
            payload = metadata.get("event_payload") or {}
            named = {name: payload[name] for name in ("job", "schema") if name in payload}
            if metadata.get("event_type") == EVENT and named == _named(job):
                yield str(message["ts"]), payload
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return


# ----------------------------------------------------------------------------
# Helpers


def _remember(cards: dict[Key, Value], key: Key, value: Value, kept: int = CARDS_KEPT) -> None:
    """Keeps it, but not for ever: other processes may deliver the ends of these jobs."""
    if len(cards) >= kept:
        cards.clear()
    cards[key] = value


def _channel(job: JobView) -> str:
    if job.channel_id is None:
        raise ValueError(f"job {job.id} has no channel")
    return job.channel_id


def _place(job: JobView) -> tuple[str | None, str | None]:
    return job.channel_id, job.message_ts

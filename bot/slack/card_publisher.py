"""Posts, edits and pins the messages of jobs and runs: the only caller of chat.* and pins.* but for ephemeral
answers.

What they say comes from the job's row, so a message can be made anew at any time. A progress edit may be
dropped, an ending never: endings come through the outbox (see `bot.slack.outbox_relay`). Whoever delivers
gives ``hold``, which is asked before each call that somebody could see, and raises where another process has
claimed the message by now.

Each message carries, as metadata, which part it is of what is said about which job or run. So one whose
answer was lost can be found. A job of a run has no card of its own: its run's is shown.
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
from bot.jobs.cards import Carded, Cards
from bot.jobs.models import Status
from bot.jobs.outbox import MessageKind
from bot.jobs.repository import JobRepository
from bot.jobs.view import JobView, RunView, Stretch, answered
from bot.messages import run as run_messages
from bot.messages.blocks import Message, moved_away
from bot.messages.card import card, follower_message, reply
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

About = TypeVar("About", bound=Carded)
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
        self._not_editable: dict[tuple[str, str], None] = {}
        self._links: dict[tuple[str, str], str] = {}
        self._shown: dict[str, list[dict[str, Any]]] = {}
        self._read_outside: dict[str, bool] = {}

    def progress(self, job: JobView) -> None:
        """Edits the card to the newest state, if it has changed and Slack has room for an edit.

        Where somebody has deleted it, the outbox has it posted anew. Where no answer comes, the outbox has
        the newest state shown once more. The card of a job of a run is the run's.
        """
        if job.channel_id is None or job.message_ts is None or time.monotonic() < self._paused_until:
            return
        shown = self._with_card(job)
        if shown is None:
            return
        unwanted = (shown.named, job.channel_id) in self._not_editable or self._shows(shown)
        if unwanted or not self._may_edit():
            return
        edit = self._cards.edit_begins(shown)
        if edit is None:
            return
        now = self._read(shown)
        if now is None or not now.is_live or _place(now) != _place(shown):
            self._cards.edit_answered(edit)
            return
        try:
            self._edit(now)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            if trouble_of(error) is not Trouble.AMBIGUOUS:
                self._cards.edit_answered(edit)
            self._not_shown(now, error)
        else:
            _remember(self._shown, now.named, self._card(now).blocks)
            self._cards.edit_answered(edit)

    def _with_card(self, job: JobView) -> Carded | None:
        """What the job's card shows: the job, or the run that it belongs to."""
        return job if job.run_id is None else self._store.run(job.run_id)

    def _read(self, about: Carded) -> Carded | None:
        """The same as it is now."""
        return self._store.run(about.id) if isinstance(about, RunView) else self._store.job(about.id)

    def _not_shown(self, about: Carded, error: Exception) -> None:
        """Progress that Slack doesn't take is dropped; for how long depends on what it says."""
        log.warning("%s: the card was not edited: %s", about.named, error_name(error))
        match trouble_of(error):
            case Trouble.MESSAGE_GONE:
                self._cards.gone(about, str(about.message_ts))
            case Trouble.NOT_HERE | Trouble.NO_THREAD:
                _remember(self._not_editable, (about.named, _channel(about)), None)
            case Trouble.LOCKED_OUT:
                self._paused_until = time.monotonic() + LOCKED_OUT_PAUSE
            case _:
                self._paused_until = time.monotonic() + retry_after(error)

    def show_card(self, job: About, hold: Hold, *, look_first: bool = False) -> About:
        """Brings the card to the job's, or the run's, state: edits it, or posts it where there is none.

        ``look_first`` where this was tried before: the post may have arrived. It counts in the minute of
        edits, and isn't dropped for it. Returns it with the place of its card.

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
                log.info("%s: somebody deleted the card; posting it anew", job.named)
                look_first = True
            else:
                return job
        ts = self._found(job, "card", hold) if look_first else None
        channel = _channel(job)
        if ts is None:
            channel, ts = self._post(job, self._card(job), "card", hold)
        self._cards.posted(job.id, channel, ts, of_run=isinstance(job, RunView))
        sys.audit("traspaso.card_saved", job.id)
        return replace(job, channel_id=channel, message_ts=ts)

    def ask_in_run(self, run: RunView, hold: Hold, *, look_first: bool) -> None:
        """The same about all the jobs of a run that ask now.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        message = run_messages.question_reply(run, self._t)
        self._reply(run, message, f"question-{answered(run.asking)}", hold, look_first=look_first)

    def ask(self, job: JobView, hold: Hold, *, look_first: bool) -> None:
        """The threaded reply to whoever has to answer the question that is on the card.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        if job.question is None:
            raise ValueError(f"job {job.id} asks nothing")
        message = question_reply(job, job.question, self._t)
        self._reply(job, message, f"question-{job.attempt}", hold, look_first=look_first)

    def remind(self, job: Carded, kind: MessageKind, hold: Hold, *, look_first: bool) -> None:
        """The threaded reply to those who may approve it, that it still waits.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        if isinstance(job, RunView):
            message = run_messages.approval_reminder(job, kind, self._t)
        else:
            message = approval_reminder(job, kind, self._t)
        self._reply(job, message, f"{kind}-{job.attempt}", hold, look_first=look_first)

    def notify_approved(self, job: Carded, attempt: int, hold: Hold, *, look_first: bool) -> None:
        """The threaded reply to the requester, that somebody approved it as it was after this attempt.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        if isinstance(job, RunView):
            message = run_messages.approval_reply(job, self._t)
        else:
            message = approval_reply(job, self._t)
        self._reply(job, message, f"approved-{attempt}", hold, look_first=look_first)

    def notify_follower(
        self, job: Carded, user_id: str, locale: str | None, hold: Hold, *, look_first: bool
    ) -> None:
        """The direct message to somebody who wanted to be told how the job, or the run, ends, in their
        language.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        t = translator(locale) if locale else self._t
        link = self.link(job)
        message = (
            run_messages.follower_message(job, link, t)
            if isinstance(job, RunView)
            else follower_message(job, link, t)
        )
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
        self._shown.pop(job.named, None)

    def finish_run(self, run: RunView, hold: Hold, *, look_first: bool) -> None:
        """The same about all the jobs of a run that has ended: one reply.

        Raises:
            NotPosted: Slack doesn't take it.
        """
        part = f"{ENDING}-{run.round}-run"
        self._reply(run, run_messages.reply(run, self._t), part, hold, look_first=look_first)
        self._shown.pop(run.named, None)

    def pin(self, job: Carded, hold: Hold) -> None:
        """The card is pinned while the job, or the run, is live, and not afterwards.

        Raises:
            SlackApiError: Slack doesn't take it.
        """
        sys.audit("traspaso.pin", job.id, _status(job))
        if not job.is_live:
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

    def leave(self, job: Carded, channel_id: str, message_ts: str, hold: Hold) -> None:
        """The card's last words in a channel that it had to leave, and its pin taken off."""
        stayed = replace(job, channel_id=channel_id, message_ts=message_ts, moved_from=None)
        if not job.is_live:
            message = self._card(stayed)
        elif isinstance(job, RunView):
            message = run_messages.moved_away(job, self._t)
        else:
            message = moved_away(job, self._t)
        hold()
        try:
            self._change(stayed, message)
        except SlackApiError as error:
            if trouble_of(error) in PASSING:
                raise
            log.info("%s: the card stays as it is in %s: %s", job.named, channel_id, error_name(error))
        hold()
        self._unpin(channel_id, message_ts)

    def remove_doubles(self, job: Carded, channel_id: str, known: Collection[str], hold: Hold) -> None:
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
            log.info("%s: message %s had arrived after all, and is taken back", job.named, ts)
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

    def link(self, job: Carded) -> str | None:
        """A permalink to the card; None where there is none or Slack doesn't give it."""
        if job.channel_id is None or job.message_ts is None:
            return None
        card = (job.channel_id, job.message_ts)
        if card in self._links:
            return self._links[card]
        try:
            answer = self._client.chat_getPermalink(channel=job.channel_id, message_ts=job.message_ts)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.info("%s: no permalink: %s", job.named, error_name(error))
            return None
        _remember(self._links, card, str(answer["permalink"]), LINKS_KEPT)
        return self._links[card]

    def links(self, jobs: Sequence[JobView]) -> dict[int, str]:
        """Permalinks to the cards of these jobs by their ids, asked for side by side."""
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(self.link, jobs)
            return {job.id: link for job, link in zip(jobs, found, strict=True) if link}

    def _reply(self, job: Carded, message: Message, part: str, hold: Hold, *, look_first: bool) -> None:
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

    def _found(self, job: Carded, part: str, hold: Hold, thread_ts: str | None = None) -> str | None:
        try:
            return find_message(self._client, job, part, hold, thread_ts)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            if trouble_of(error) is Trouble.MESSAGE_GONE:  # the thread's first message was deleted
                return None
            raise NotPosted(error) from error

    def _post(
        self, job: Carded, message: Message, part: str, hold: Hold, thread_ts: str | None = None
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

    def _shows(self, about: Carded) -> bool:
        """The card has shown this already."""
        return self._shown.get(about.named) == self._card(about).blocks

    def _card(self, about: Carded) -> Message:
        outside = self._is_read_outside(about.channel_id)
        if isinstance(about, RunView):
            return run_messages.card(replace(about, is_read_outside=outside), self._t)
        return card(replace(about, is_read_outside=outside), self._t)

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

    def _edit(self, job: Carded) -> None:
        self._change(job, self._card(job))

    def _change(self, job: Carded, message: Message) -> None:
        sys.audit("traspaso.edit", job.id, _status(job))
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


def metadata_of(about: Carded, part: str) -> dict[str, Any]:
    """The metadata of the message that is this part of what is said about the job or the run."""
    return {"event_type": EVENT, "event_payload": {**_named(about), "part": part}}


def _named(about: Carded) -> dict[str, str]:
    """The job or run, by its number and by the schema of an installation beside the usual one."""
    name = "run" if isinstance(about, RunView) else "job"
    return {name: str(about.id), **({} if about.schema == SCHEMA else {"schema": about.schema})}


def find_message(
    client: WebClient, job: Carded, part: str, hold: Hold, thread_ts: str | None = None
) -> str | None:
    """The ts of that message, if it had arrived after all."""
    wanted = metadata_of(job, part)["event_payload"]
    ours = messages_of(client, job, str(job.channel_id), hold, thread_ts)
    return next((ts for ts, payload in ours if payload == wanted), None)


def messages_of(
    client: WebClient, job: Carded, channel_id: str, hold: Hold, thread_ts: str | None = None
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
    client: WebClient, job: Carded, channel_id: str, hold: Hold, thread_ts: str | None
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
            named = {name: payload[name] for name in ("job", "run", "schema") if name in payload}
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


def _channel(job: Carded) -> str:
    if job.channel_id is None:
        raise ValueError(f"{job.named} has no channel")
    return job.channel_id


def _status(about: Carded) -> Status:
    """For the audit of steps: of a run whether it goes on."""
    if isinstance(about, JobView):
        return about.status
    return Status.RUNNING if about.is_live else Status.COMPLETED


def _place(job: Carded) -> tuple[str | None, str | None]:
    return job.channel_id, job.message_ts

"""The Slack client as the bot needs it, and what its errors mean.

The SDK's retry on a connection error repeats posts that had arrived, so clients are built without any.
Whoever repeats a post looks first whether it has arrived, and waits for as long as Slack says.
"""

from __future__ import annotations

import http.client
import logging
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.messages.blocks import Block, Message

log = logging.getLogger(__name__)

Sent = TypeVar("Sent")


class Trouble(StrEnum):
    """What an error of the Web API means for whoever made the call.

    What isn't listed is NOT_HERE, because Slack adds errors each year: an edit or a pin will never be taken,
    and a post has to go elsewhere.
    """

    LATER = "later"  # rate limited: wait for as long as Slack says
    AMBIGUOUS = "ambiguous"  # it may have happened: look before repeating
    MESSAGE_GONE = "message_gone"  # somebody deleted it: post it anew
    NO_THREAD = "no_thread"  # the channel takes it, but not in that thread
    LOCKED_OUT = "locked_out"  # token or app: nothing works until an operator acts
    NOT_HERE = "not_here"  # not in this channel: tell the requester in person


_MEANING = {
    Trouble.LATER: {"ratelimited", "rate_limited"},
    Trouble.AMBIGUOUS: {
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "request_timeout",
        "service_unavailable",
        "update_failed",
    },
    Trouble.MESSAGE_GONE: {"message_not_found", "thread_not_found"},
    Trouble.NO_THREAD: {
        "cannot_reply_to_message",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
    },
    Trouble.LOCKED_OUT: {
        "account_inactive",
        "token_revoked",
        "token_expired",
        "invalid_auth",
        "not_authed",
        "missing_scope",
        "org_login_required",
    },
}

#: Troubles that may pass by themselves, or when an operator acts.
PASSING = frozenset({Trouble.LATER, Trouble.AMBIGUOUS, Trouble.LOCKED_OUT})
#: A workspace may not know a block yet: the same words without blocks get through.
BLOCKS_REFUSED = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "block_mismatch"}
)
#: Answers to an edit that say that nobody reads the channel any more, or the bot can't write there at all.
CHANNEL_LOST = frozenset({"channel_not_found", "is_archived", "is_inactive", "not_in_channel"})
#: Answers that say that there is nothing (left) to pin or to unpin.
PIN_DONE = frozenset({"already_pinned", "no_pin", "not_pinned", "message_not_found"})

#: Set in the answer to a call that wasn't made, because the processes share a limit (see
#: `bot.slack.rate_limit`).
PACED = "paced"

#: What the SDK lets through when a connection fails or an answer can't be read.
CONNECTION_ERRORS = (OSError, http.client.HTTPException, SlackClientError)


def client(token: str | None, base_url: str, *, timeout_seconds: int = 10) -> WebClient:
    """A client that repeats nothing by itself."""
    return WebClient(token=token, base_url=base_url, timeout=timeout_seconds, retry_handlers=[])


def repeat(call: Callable[[], object], tries: int = 3, longest_pause_seconds: float = 5.0) -> None:
    """Makes a call that may be repeated without harm, up to ``tries`` times where its trouble may pass.

    Raises:
        SlackApiError, OSError and their like: the last try's.
    """
    for left in reversed(range(tries)):
        try:
            call()
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            if not left or trouble_of(error) not in {Trouble.LATER, Trouble.AMBIGUOUS}:
                raise
            time.sleep(min(longest_pause_seconds, retry_after(error)))
        else:
            return


def with_accepted_blocks(call: Callable[[list[Block] | None], Sent], message: Message) -> Sent:
    """Makes the call with the blocks; where Slack refuses them with the fallback, and then without blocks."""
    for blocks in (message.blocks, message.fallback):
        if blocks is None:
            continue
        try:
            return call(blocks)
        except SlackApiError as error:
            if error_name(error) not in BLOCKS_REFUSED:
                raise
            log.warning("Slack doesn't take these blocks: %s", error_name(error))
    return call(None)


def error_name(error: BaseException) -> str:
    """Slack's name for it, or the connection error's class."""
    if isinstance(error, SlackApiError):
        return str(error.response.get("error") or f"http_{error.response.status_code}")
    return type(error).__name__


def trouble_of(error: BaseException) -> Trouble:
    """What to do about it."""
    if not isinstance(error, SlackApiError):
        return Trouble.AMBIGUOUS
    status = error.response.status_code
    if status == 429:
        return Trouble.LATER
    if status >= 500:
        return Trouble.AMBIGUOUS
    name = error_name(error)
    return next((trouble for trouble, names in _MEANING.items() if name in names), Trouble.NOT_HERE)


def is_paced(error: BaseException) -> bool:
    """Whether the call waits for its turn: Slack hasn't been asked."""
    return isinstance(error, SlackApiError) and bool(error.response.get(PACED))


def says_when(error: BaseException) -> bool:
    """Whether Slack says how long to wait."""
    return isinstance(error, SlackApiError) and any(
        name.lower() == "retry-after" for name in error.response.headers or {}
    )


def retry_after(error: BaseException) -> float:
    """Seconds that Slack asks to wait; 1 where it doesn't say."""
    if isinstance(error, SlackApiError):
        headers = {name.lower(): value for name, value in (error.response.headers or {}).items()}
        try:
            return max(1.0, float(headers.get("retry-after", 1)))
        except (TypeError, ValueError):
            return 1.0
    return 1.0

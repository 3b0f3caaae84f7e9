"""Answers that one person sees: under what they typed or pressed, or else wherever Slack takes them.

A command or a press brings a response_url: five uses within thirty minutes, and the only way to change
what just one person sees. Where it is refused (its client raises nothing then, so the status is looked at),
the same is posted as a message that they alone see in that channel; where the bot can't write there, as a
direct message. A card that was to be replaced stays then, with its buttons.

An answer of unknown fate is said again: twice is better than never. Blocks that a workspace doesn't know are
left out, and the words remain.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient, WebhookResponse

from bot.messages.blocks import Message
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import (
    BLOCKS_REFUSED,
    CONNECTION_ERRORS,
    Trouble,
    error_name,
    retry_after,
    trouble_of,
    with_accepted_blocks,
)

log = logging.getLogger(__name__)

#: A response_url lives for thirty minutes. What comes later than this is a direct message: whoever asked so
#: long ago may look elsewhere, and what only they see in a channel is gone once Slack is loaded again.
RESPOND_SECONDS = 25 * 60.0
#: The pauses between the tries of a response_url where Slack doesn't name any.
PAUSES = (0.5, 1.0)
#: A pause that Slack asks for and that an answer waits for; a longer one is too long for a listener.
LONGEST_PAUSE = 3.0
#: Seconds that Slack may take for a use of a response_url. It isn't tried again after that.
TIMEOUT_SECONDS = 10

_WORD = re.compile(r"[a-z_]{1,60}")


class Replies:
    """Makes the `Reply` of each payload."""

    def __init__(
        self, client: WebClient, card_publisher: CardPublisher, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._card_publisher = card_publisher
        self._clock = clock

    def to(self, body: dict[str, Any]) -> Reply:
        """To whoever typed the command or pressed the button that this payload tells of."""
        place, user = _dict(body.get("container")), _dict(body.get("user"))
        actions = body.get("actions")
        pressed = _dict(actions[0] if isinstance(actions, list) and actions else body.get("view"))
        return Reply(
            self._client,
            self._card_publisher,
            self._clock,
            response_url=_text(body.get("response_url")),
            channel_id=_text(body.get("channel_id")) or _text(place.get("channel_id")),
            user_id=str(body.get("user_id") or user["id"]),
            subject=str(body.get("command") or pressed.get("action_id") or pressed.get("callback_id")),
        )


class Reply:
    """The way back to one person. It never raises: what can't be said in any way is logged."""

    def __init__(
        self,
        client: WebClient,
        card_publisher: CardPublisher,
        clock: Callable[[], float],
        *,
        response_url: str | None,
        channel_id: str | None,
        user_id: str,
        subject: str,
    ) -> None:
        """``subject`` is what is answered, for the log."""
        self._client = client
        self._card_publisher = card_publisher
        self._clock = clock
        self._asked = clock()
        self._url = response_url
        self._channel_id = channel_id
        self._user_id = user_id
        self._subject = subject

    def say(self, message: Message, *, replace: bool = False) -> None:
        """Says it to this person alone; ``replace`` puts it in the place of what was pressed."""
        try:
            is_late = self._clock() - self._asked >= RESPOND_SECONDS
            if not is_late and self._url and self._respond(self._url, message, replace=replace):
                return
            ways = [self._post_ephemeral, self._write] if not is_late else [self._write, self._post_ephemeral]
            if not any(way(message) for way in ways):
                log.error("the answer to %s was not delivered to %s", self._subject, self._user_id)
        except Exception:
            log.exception("the answer to %s was not delivered to %s", self._subject, self._user_id)

    def _respond(self, url: str, message: Message, *, replace: bool) -> bool:
        """Uses the response_url; False where Slack doesn't take it."""
        # The SDK's own retries would repeat it unasked, and log the URL.
        webhook = WebhookClient(
            url,
            timeout=TIMEOUT_SECONDS,
            ssl=self._client.ssl,
            proxy=self._client.proxy,
            retry_handlers=[],
        )
        blocks, simpler = message.blocks, [message.fallback or [], []]
        for pause in (*PAUSES, None):
            try:
                answer = webhook.send(
                    text=message.text,
                    blocks=blocks,
                    response_type="ephemeral",
                    replace_original=replace,
                    unfurl_links=False,
                )
            except Exception as error:  # also an answer that can't be decoded
                outcome, wait = type(error).__name__, None if _is_timeout(error) else pause
            else:
                word = _word(answer.body)
                if answer.status_code < 300 and word is None:
                    return True
                outcome, wait = f"{answer.status_code} {word or ''}".rstrip(), _pause(answer, pause)
                if word in BLOCKS_REFUSED and blocks:
                    blocks, wait = simpler.pop(0), 0.0
            self._note("its response_url", outcome)
            if pause is None or wait is None:
                break
            time.sleep(wait)
        return False

    def _post_ephemeral(self, message: Message) -> bool:
        """A new message that this person alone sees, in the channel."""
        if self._channel_id is None:
            return False
        channel = self._channel_id

        return self._try(
            "chat.postEphemeral",
            lambda: with_accepted_blocks(
                lambda blocks: self._client.chat_postEphemeral(
                    channel=channel, user=self._user_id, text=message.text, blocks=blocks
                ),
                message,
            ),
        )

    def _write(self, message: Message) -> bool:
        """A direct message."""
        return self._try(
            "a direct message", lambda: self._card_publisher.send_direct_message(self._user_id, message)
        )

    def _try(self, way: str, call: Callable[[], object]) -> bool:
        for is_last in (False, True):
            try:
                call()
            except (SlackApiError, *CONNECTION_ERRORS) as error:
                self._note(way, error_name(error))
                passes = trouble_of(error) in {Trouble.LATER, Trouble.AMBIGUOUS}
                pause = retry_after(error)
                if is_last or not passes or pause > LONGEST_PAUSE:
                    break
                time.sleep(pause)
            else:
                return True
        return False

    def _note(self, way: str, outcome: str) -> None:
        log.warning("the answer to %s for %s: %s: %s", self._subject, self._user_id, way, outcome)


def _text(part: Any) -> str | None:
    """A part of a payload that is a text; None for anything else."""
    return part if isinstance(part, str) and part else None


def _dict(part: Any) -> dict[str, Any]:
    """A part of a payload; an empty one where it isn't there."""
    return part if isinstance(part, dict) else {}


def _word(body: str | None) -> str | None:
    """Slack's word for a refusal, as ``used_url``; None for an ``ok`` and for anything that is no word."""
    text = (body or "").strip()
    try:
        found = json.loads(text)
    except ValueError:
        found = {"error": text}
    word = found.get("error") if isinstance(found, dict) and not found.get("ok") else None
    return word if isinstance(word, str) and word != "ok" and _WORD.fullmatch(word) else None


def _is_timeout(error: BaseException) -> bool:
    return isinstance(getattr(error, "reason", error), TimeoutError)


def _pause(answer: WebhookResponse, usual: float | None) -> float | None:
    """How long to wait for another try; None where none would help."""
    if answer.status_code == 429:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        try:
            seconds = max(0.0, float(headers.get("retry-after", 1)))
        except ValueError:
            seconds = 1.0
        return seconds if seconds <= LONGEST_PAUSE else None
    return usual if answer.status_code >= 500 else None

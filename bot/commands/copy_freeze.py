"""``/copy-freeze mantenimiento``: no chunk is written and no copy started until ``/copy-freeze off``.

Without a reason it asks first. ``/copy-freeze until 18:00`` and ``for 2h`` end by themselves. The channel is
told of a freeze and of its end.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from bot import time_expressions
from bot.commands import parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard, Signals, or_short_answer
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.i18n import Translator, translator
from bot.jobs.freezes import Freezes
from bot.jobs.models import Status
from bot.jobs.repository import JobRepository
from bot.jobs.view import Person
from bot.messages import answers
from bot.messages.blocks import FREEZE_COMMAND, Message
from bot.slack.access import TO_PRESS
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name

if TYPE_CHECKING:
    from slack_bolt import Ack, App


log = logging.getLogger(__name__)


def help_lines(names: list[str], t: Translator) -> HelpLines:
    end = t("until 18:00")
    return [
        (FREEZE_COMMAND, t("stops every copy, until `{command}`", command=f"{FREEZE_COMMAND} {parsing.OFF}")),
        (f"{FREEZE_COMMAND} {end}", t("the same, and it ends by itself")),
    ]


def connect(app: App, parts: BotParts) -> None:
    conversation = CopyFreeze(
        parts.guard,
        parts.callers,
        parts.signals,
        store=parts.store,
        freezes=Freezes(parts.tracking),
        card_publisher=parts.card_publisher,
        channels=translator(parts.guard.file.slack.language),
    )
    app.command(FREEZE_COMMAND)(conversation.command)
    app.action(answers.FREEZE_ACTION)(conversation.confirmed)
    app.action(answers.KEEP_ACTION)(conversation.left)


class CopyFreeze:
    """Whoever may run any copy may freeze all, and lift what somebody else froze."""

    def __init__(
        self,
        guard: Guard,
        callers: Callers,
        signals: Signals,
        *,
        store: JobRepository,
        freezes: Freezes,
        card_publisher: CardPublisher,
        channels: Translator,
    ) -> None:
        """``channels`` says what is said in channels, in their language."""
        self._guard = guard
        self._callers = callers
        self._signals = signals
        self._store = store
        self._freezes = freezes
        self._card_publisher = card_publisher
        self._channels = channels

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        text = str(body.get("text") or "").strip()
        self._callers.answer(ack, body, lambda caller: self._answer_to(text, caller, str(body["channel_id"])))

    def confirmed(self, ack: Ack, body: dict[str, Any]) -> None:
        """*Freeze all copies*, under the question."""
        channel = str((body.get("container") or {}).get("channel_id") or "")
        self._callers.answer(ack, body, lambda caller: self._press(caller, channel), replace=True)

    def left(self, ack: Ack, body: dict[str, Any]) -> None:
        """*Cancel*, under the question."""
        self._callers.answer(ack, body, lambda caller: answers.not_frozen_now(caller.t), replace=True)

    def _press(self, caller: Caller, channel: str) -> Message:
        refusal = self._guard.refusal_to_use(FREEZE_COMMAND, caller.user_id, caller.t, TO_PRESS)
        return refusal or self._freeze("", caller, channel)

    def _answer_to(self, text: str, caller: Caller, channel: str) -> Message:
        t = caller.t
        if parsing.asks_for_help(text):
            return answers.freeze_help(t)
        words, names = parsing.words(text), self._guard.copy_names
        is_off = text.lower() == parsing.OFF
        try:
            end = time_expressions.until(
                words, datetime.now(UTC), self._callers.people.time_zone_of(caller.user_id)
            )
        except ValueError:
            return answers.no_end(text, t)
        if words and not is_off and end is None and not parsing.is_reason(words, names):
            return answers.no_reason(text, t, parsing.suggestion(words, names, FREEZE_COMMAND))
        if refusal := self._guard.refusal_to_use(FREEZE_COMMAND, caller.user_id, t, TO_PRESS):
            return refusal
        if is_off:
            return self._lift(caller, channel)
        if end is not None:
            return self._freeze(end.rest, caller, channel, end.at)
        return self._freeze(text, caller, channel) if words else self._ask(t)

    def _ask(self, t: Translator) -> Message:
        """Whether all copies are meant to stop: it may have been typed to see what it does."""
        if freeze := self._freezes.active():
            return answers.still_frozen(freeze, t)
        states = [job.status for job in self._store.live() if not job.waits_for_somebody]
        return answers.freeze_all(states.count(Status.RUNNING), states.count(Status.PENDING), t)

    def _freeze(self, reason: str, caller: Caller, channel: str, until: datetime | None = None) -> Message:
        t = caller.t
        freeze, is_new = self._freezes.freeze(self._callers.requester(caller), reason, channel, until)
        if not is_new:
            return answers.still_frozen(freeze, t)
        log.info("all copies were frozen by %s", caller.user_id)
        self._signals.wake_relay()
        told = self._tell({channel}, answers.channel_frozen(freeze, self._channels))
        return or_short_answer(
            lambda: self._frozen_now(t, told=told, until=until),
            answers.frozen_now(0, 0, t, told=told, until=until),
        )

    def _tell(self, channels: set[str], message: Message) -> bool:
        """Says it to everybody there. False where Slack didn't take it for one of them."""
        told = True
        for channel in sorted(each for each in channels if not each.startswith("D")):
            try:
                self._card_publisher.send(channel, message)
            except (SlackApiError, *CONNECTION_ERRORS) as error:
                log.warning("channel %s was not told of the freeze: %s", channel, error_name(error))
                told = False
        return told

    def _frozen_now(self, t: Translator, *, told: bool, until: datetime | None) -> Message:
        states = [job.status for job in self._store.live() if not job.waits_for_somebody]
        running, waiting = states.count(Status.RUNNING), states.count(Status.PENDING)
        return answers.frozen_now(running, waiting, t, told=told, until=until)

    def _lift(self, caller: Caller, channel: str) -> Message:
        t = caller.t
        requester = self._callers.requester(caller)
        lifted = self._freezes.lift(requester)
        if lifted is None:
            return answers.not_frozen(t, self._freezes.active())
        log.info("the freeze was lifted by %s", caller.user_id)
        self._signals.wake_relay()
        for job_id in lifted.waiting:
            if not self._signals.enqueue(job_id):
                break  # workers take them by their rows
        by = Person(requester.user_id, requester.team_id, requester.name)
        self._tell(
            {channel, lifted.freeze.channel_id or channel},
            answers.channel_freeze_over(lifted.freeze, by, self._channels),
        )
        return or_short_answer(
            lambda: answers.lifted(
                lifted.freeze, len(lifted.waiting), t, self._store.no_worker(), lifted.still
            ),
            answers.lifted(lifted.freeze, 0, t),
        )


register(
    SlashCommand(
        name=FREEZE_COMMAND,
        example=parsing.OFF,
        arguments=Arguments.NONE,
        help=help_lines,
        connect=connect,
        aliases={
            **dict.fromkeys(("freeze", "congelar"), ""),
            **dict.fromkeys((parsing.OFF, "unfreeze", "descongelar"), parsing.OFF),
        },
        place=4,
    )
)

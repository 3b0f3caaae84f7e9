"""``/copy-freeze mantenimiento``: no chunk is written and no copy started until ``/copy-freeze off``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bot.commands import parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard, Signals, or_short_answer
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.i18n import Translator
from bot.jobs.actions import Freezes
from bot.jobs.repository import JobRepository
from bot.jobs.status import Status
from bot.messages import answers
from bot.messages.blocks import FREEZE_COMMAND, Message
from bot.slack.access import TO_PRESS

if TYPE_CHECKING:
    from slack_bolt import Ack, App


log = logging.getLogger(__name__)


def help_lines(names: list[str], t: Translator) -> HelpLines:
    return [
        (FREEZE_COMMAND, t("stops every copy, until `{command}`", command=f"{FREEZE_COMMAND} {parsing.OFF}"))
    ]


def connect(app: App, parts: BotParts) -> None:
    conversation = CopyFreeze(parts.guard, parts.callers, parts.signals, parts.store, Freezes(parts.tracking))
    app.command(FREEZE_COMMAND)(conversation.command)


class CopyFreeze:
    """Whoever may run any copy may freeze all, and lift what somebody else froze."""

    def __init__(
        self, guard: Guard, callers: Callers, signals: Signals, store: JobRepository, freezes: Freezes
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._signals = signals
        self._store = store
        self._freezes = freezes

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        text = str(body.get("text") or "").strip()
        self._callers.answer(ack, body, lambda caller: self._answer_to(text, caller))

    def _answer_to(self, text: str, caller: Caller) -> Message:
        t = caller.t
        if parsing.asks_for_help(text):
            return answers.freeze_help(t)
        words, names = parsing.words(text), self._guard.copy_names
        is_off = text.lower() == parsing.OFF
        if words and not is_off and not parsing.is_reason(words, names):
            return answers.no_reason(text, t, parsing.suggestion(words, names, FREEZE_COMMAND))
        if refusal := self._guard.refusal_to_use(FREEZE_COMMAND, caller.user_id, t, TO_PRESS):
            return refusal
        return self._lift(caller) if is_off else self._freeze(text, caller)

    def _freeze(self, reason: str, caller: Caller) -> Message:
        t = caller.t
        freeze, is_new = self._freezes.freeze(self._callers.requester(caller), reason)
        if not is_new:
            return answers.still_frozen(freeze, t)
        log.info("all copies were frozen by %s", caller.user_id)
        self._signals.wake_relay()
        return or_short_answer(lambda: self._frozen_now(t), answers.frozen_now(0, 0, t))

    def _frozen_now(self, t: Translator) -> Message:
        states = [job.status for job in self._store.live() if not job.waits_for_somebody]
        return answers.frozen_now(states.count(Status.RUNNING), states.count(Status.PENDING), t)

    def _lift(self, caller: Caller) -> Message:
        t = caller.t
        lifted = self._freezes.lift(self._callers.requester(caller))
        if lifted is None:
            return answers.not_frozen(t)
        log.info("the freeze was lifted by %s", caller.user_id)
        self._signals.wake_relay()
        for job_id in lifted.waiting:
            if not self._signals.enqueue(job_id):
                break  # workers take them by their rows
        return or_short_answer(
            lambda: answers.lifted(lifted.freeze, len(lifted.waiting), t, self._store.no_worker()),
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

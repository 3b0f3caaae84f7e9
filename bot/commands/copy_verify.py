"""``/copy-verify 42 [items]``: compares both sides of a liquidation now, of a copy or a set. Writes nothing.

`bot.commands.verification_runner` runs the comparison.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bot.commands import parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard, or_problem, pressed_value
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.commands.verification_runner import (
    AT_ONCE,
    OF_ONE,
    WAITING,
    Asked,
    Asker,
    Chosen,
    Interrupted,
    Key,
    Result,
    VerificationRunner,
)
from bot.config import CopySection
from bot.i18n import Translator
from bot.jobs.models import Status
from bot.jobs.repository import JobRepository
from bot.messages import answers, verification
from bot.messages.blocks import VERIFY_COMMAND, Message
from bot.slack.card_publisher import CardPublisher

if TYPE_CHECKING:
    from slack_bolt import Ack, App

#: Seconds after which somebody who waits for a comparison is told that it runs.
SOON_SECONDS = 2.0


def help_lines(names: list[str], t: Translator) -> HelpLines:
    return [(f"{VERIFY_COMMAND} 42", t("compares both sides now, and writes nothing"))]


def connect(app: App, parts: BotParts) -> None:
    conversation = CopyVerify(
        parts.guard, parts.callers, parts.store, parts.card_publisher, parts.verifications
    )
    app.command(VERIFY_COMMAND)(conversation.command)
    app.action(verification.CANCEL_ACTION)(conversation.cancelled)


class CopyVerify:
    """The conversation from the command to the verification result."""

    def __init__(
        self,
        guard: Guard,
        callers: Callers,
        store: JobRepository,
        card_publisher: CardPublisher,
        verifications: VerificationRunner,
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._store = store
        self._card_publisher = card_publisher
        self._verifications = verifications

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        text = str(body.get("text") or "")
        self._callers.answer(ack, body, lambda caller: self._answer_to(text, caller))

    def cancelled(self, ack: Ack, body: dict[str, Any]) -> None:
        self._callers.answer(ack, body, lambda caller: self._cancel(body, caller), replace=True)

    def _cancel(self, body: dict[str, Any], caller: Caller) -> Message:
        number, copy_name = verification.to_be_cancelled(pressed_value(body))
        self._verifications.cancel(Key(copy_name, number), caller.user_id)
        chosen = self._guard.copy_named(copy_name) or self._guard.set_named(copy_name)
        return verification.cancelled(chosen.shown if chosen else copy_name, number, caller.t)

    def _answer_to(self, text: str, caller: Caller) -> Message | None:
        """What keeps the comparison from beginning; None where it has begun and said so itself."""
        t, user_id, guard = caller.t, caller.user_id, self._guard
        names = [*guard.copy_names, *guard.set_names]
        if parsing.asks_for_help(text):
            return self._guard.help(t)
        words = parsing.words(text)
        if not words:
            return answers.number_missing(t, VERIFY_COMMAND)
        if len(numbers := parsing.numbers_in(words)) > 1:
            return answers.one_at_a_time(numbers[0], t, command=VERIFY_COMMAND)
        suggestion = parsing.suggestion(words, names, VERIFY_COMMAND)
        liquidation_id = parsing.number(words[0])
        if liquidation_id is None:
            return answers.not_a_number(words[0], t, suggestion, command=VERIFY_COMMAND)
        if len(words) > 2:
            return answers.too_many_words(t, suggestion, command=VERIFY_COMMAND)
        name = words[1] if len(words) == 2 else None
        if (whole := guard.set_named(name)) is not None:
            if refusal := guard.refusal_to_run_set(VERIFY_COMMAND, user_id, whole, t):
                return refusal
            return self._begin(whole, guard.file.copies_of(whole), liquidation_id, caller)
        copy = guard.chosen_copy(VERIFY_COMMAND, name, user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            example = f"{VERIFY_COMMAND} {words[0]} {names[0]}"
            return answers.unknown_copy(words[1], names, t, suggestion, example)
        if refusal := guard.refusal_to_run(VERIFY_COMMAND, user_id, copy, t):
            return refusal
        return self._begin(copy, [copy], liquidation_id, caller)

    def _begin(
        self, chosen: Chosen, copies: Sequence[CopySection], liquidation_id: int, caller: Caller
    ) -> Message | None:
        reply, t = caller.reply, caller.t
        for copy in copies:
            live = self._store.live_job(str(copy.target_table), liquidation_id)
            if live is not None and live.status is Status.RUNNING:
                return answers.running_already(live, self._card_publisher.link(live), t)

        notice = _Notice(lambda: reply.say(verification.comparing(chosen, liquidation_id, t)))

        def comparing(ahead: int) -> None:
            if ahead:
                reply.say(verification.waiting(chosen, liquidation_id, ahead, t))
            else:
                notice.start()

        def answer(outcome: Callable[[], Result]) -> Message:
            try:
                return verification.result(outcome(), t)
            except Interrupted:
                return verification.interrupted(chosen.shown, liquidation_id, t)

        def ended(outcome: Callable[[], Result]) -> None:
            notice.stop()
            reply.say(or_problem(lambda: answer(outcome), t), replace=True)

        asker = Asker(
            caller.user_id,
            asked=comparing,
            began=lambda: reply.say(verification.comparing(chosen, liquidation_id, t), replace=True),
            ended=ended,
            gone=notice.cancel,
        )
        match self._verifications.ask(chosen, copies, liquidation_id, asker):
            case Asked.SAME:
                return verification.same(chosen, liquidation_id, t)
            case Asked.TOO_MANY_OF_ONE:
                return verification.too_many(OF_ONE, t, is_ones_own=True)
            case Asked.TOO_MANY:
                return verification.too_many(AT_ONCE + WAITING, t, is_ones_own=False)
            case Asked.TAKEN:
                return None


class _Notice:
    """Says that the comparison runs, where it takes longer than `SOON_SECONDS`.

    Slack lets nobody take back what a command was answered with, so what is over soon is answered once.
    """

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._is_over = False
        self._timer = threading.Timer(SOON_SECONDS, self._due)
        self._timer.daemon = True

    def start(self) -> None:
        self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()

    def stop(self) -> None:
        """Nothing is said any more; what is being said is waited for, so that the answer comes after it."""
        self.cancel()
        with self._lock:
            self._is_over = True

    def _due(self) -> None:
        with self._lock:
            if not self._is_over:
                self._say()


register(
    SlashCommand(
        name=VERIFY_COMMAND,
        example="42",
        arguments=Arguments.LIQUIDATION,
        help=help_lines,
        connect=connect,
        aliases={"verify": "", "verificar": "", "compare": "", "comparar": ""},
        place=3,
    )
)

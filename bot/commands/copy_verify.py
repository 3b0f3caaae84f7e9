"""``/copy-verify 42 [items]``: compares both sides of a liquidation now, and writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.commands import parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard, or_problem
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.commands.verification_runner import Interrupted, VerificationRunner
from bot.config import CopySection
from bot.i18n import Translator
from bot.jobs.repository import JobRepository
from bot.jobs.status import Status
from bot.messages import answers, verification
from bot.messages.blocks import Message
from bot.messages.naming import VERIFY_COMMAND
from bot.slack.card_publisher import CardPublisher

if TYPE_CHECKING:
    from slack_bolt import Ack, App


def help_lines(names: list[str], t: Translator) -> HelpLines:
    return [(f"{VERIFY_COMMAND} 42", t("compares both sides now, and writes nothing"))]


def connect(app: App, parts: BotParts) -> None:
    conversation = CopyVerify(
        parts.guard, parts.callers, parts.store, parts.card_publisher, parts.verifications
    )
    app.command(VERIFY_COMMAND)(conversation.command)


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
        ack()
        caller = self._callers.of(body)
        caller.answer(lambda: self._answer_to(str(body.get("text") or ""), caller))

    def _answer_to(self, text: str, caller: Caller) -> Message | None:
        """What keeps the comparison from beginning; None where it has begun and said so itself."""
        t, user_id, names = caller.t, caller.user_id, self._guard.copy_names
        if parsing.asks_for_help(text):
            return self._guard.help(t)
        words = parsing.words(text)
        if not words:
            return answers.number_missing(t, VERIFY_COMMAND)
        suggestion = parsing.suggestion(words, names, VERIFY_COMMAND)
        liquidation_id = parsing.number(words[0])
        if liquidation_id is None:
            return answers.not_a_number(words[0], t, suggestion, command=VERIFY_COMMAND)
        if len(words) > 2:
            return answers.too_many_words(t, suggestion, command=VERIFY_COMMAND)
        copy = self._guard.chosen_copy(VERIFY_COMMAND, words[1] if len(words) == 2 else None, user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            example = f"{VERIFY_COMMAND} {words[0]} {names[0]}"
            return answers.unknown_copy(words[1], names, t, suggestion, example)
        if refusal := self._guard.refusal_to_run(VERIFY_COMMAND, user_id, copy, t):
            return refusal
        live = self._store.live_job(str(copy.target_table), liquidation_id)
        if live is not None and live.status is Status.RUNNING:
            return answers.running_already(live, self._card_publisher.link(live), t)
        self._begin(copy, liquidation_id, caller)
        return None

    def _begin(self, copy: CopySection, liquidation_id: int, caller: Caller) -> None:
        reply, t = caller.reply, caller.t
        ahead = self._verifications.ahead()

        def verify() -> Message:
            try:
                return verification.verdict(self._verifications.verify(copy, liquidation_id), t)
            except Interrupted:
                return verification.interrupted(liquidation_id, t)

        def work() -> None:
            if ahead:
                reply.say(verification.comparing(liquidation_id, t), replace=True)
            reply.say(or_problem(verify, t), replace=True)

        # Said before the work begins, so that the result can't be overtaken by it.
        if ahead:
            reply.say(verification.waiting(liquidation_id, ahead, t))
        else:
            reply.say(verification.comparing(liquidation_id, t))
        self._verifications.begin(work)


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

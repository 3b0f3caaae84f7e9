"""``/copy-verify 42 [items]``: compares both sides of a liquidation now, and writes nothing."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App

from bot.commands import parsing
from bot.commands.comparisons import Interrupted
from bot.commands.conversation import Surface, answer_with, told, user_of
from bot.config import CopySection
from bot.i18n import Translator
from bot.jobs.status import Status
from bot.messages import answers, naming, verification
from bot.messages.blocks import Message
from bot.slack.replies import Reply

COMMAND = naming.VERIFY_COMMAND


def register(app: App, surface: Surface) -> None:
    app.command(COMMAND)(CopyVerify(surface).command)


class CopyVerify:
    """The conversation from the command to the verdict."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        reply = self._surface.replies.to(body)
        answer_with(lambda: self._answer_to(str(body.get("text") or ""), user_id, reply, t), reply, t)

    def _answer_to(self, text: str, user_id: str, reply: Reply, t: Translator) -> Message | None:
        """What keeps the comparison from beginning; None where it has begun and said so itself."""
        surface = self._surface
        names = surface.copy_names
        if parsing.asks_for_help(text):
            return surface.help(t)
        words = parsing.words(text)
        if not words:
            return answers.number_missing(t, COMMAND)
        meant = parsing.meant(words, names, COMMAND)
        liquidation_id = parsing.number(words[0])
        if liquidation_id is None:
            return answers.not_a_number(words[0], t, meant, command=COMMAND)
        if len(words) > 2:
            return answers.too_many_words(t, meant, command=COMMAND)
        copy = surface.copy_meant(COMMAND, words[1] if len(words) == 2 else None, user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            return answers.unknown_copy(words[1], names, t, meant, f"{COMMAND} {words[0]} {names[0]}")
        if refusal := surface.refusal_to_run(COMMAND, user_id, copy, t):
            return refusal
        live = surface.store.live_job(str(copy.target_table), liquidation_id)
        if live is not None and live.status is Status.RUNNING:
            return answers.running_already(live, surface.card_publisher.link(live), t)
        self._begin(copy, liquidation_id, reply, t)
        return None

    def _begin(self, copy: CopySection, liquidation_id: int, reply: Reply, t: Translator) -> None:
        waited: list[bool] = []

        def compare() -> Message:
            try:
                return verification.verdict(self._surface.comparisons.compare(copy, liquidation_id), t)
            except Interrupted:
                return verification.interrupted(liquidation_id, t)

        def work() -> None:
            if waited:
                reply.say(verification.comparing(liquidation_id, t), replace=True)
            reply.say(told(compare, t), replace=True)

        # Said before the work begins, so that the verdict can't be overtaken by it.
        running = self._surface.comparisons.ahead()
        if running:
            waited.append(True)
            reply.say(verification.waiting(liquidation_id, running, t))
        else:
            reply.say(verification.comparing(liquidation_id, t))
        self._surface.comparisons.begin(work)

"""``/copy-verify 42 [items]``: compares both sides of a liquidation now, and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from slack_bolt import Ack, App, Respond

from bot.commands import parsing, suggesting
from bot.commands.comparisons import Interrupted
from bot.commands.surface import Surface, answer, told, user_of
from bot.config_file import CopySection
from bot.i18n import Translator
from bot.jobs.statuses import Status
from bot.messages import answers, naming, verdict
from bot.messages.blocks import Message

COMMAND = naming.VERIFY_COMMAND
#: A response_url lives for 30 minutes; a result that comes later than this is sent as a direct message.
RESPOND_SECONDS = 25 * 60.0


def register(app: App, surface: Surface) -> None:
    app.command(COMMAND)(CopyVerify(surface).command)


class CopyVerify:
    """The conversation from the command to the verdict."""

    def __init__(self, surface: Surface, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._surface = surface
        self._clock = clock

    def command(self, ack: Ack, body: dict[str, Any], respond: Respond) -> None:
        ack()
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        message = told(lambda: self._answer_to(str(body.get("text") or ""), user_id, respond, t), t)
        if message is not None:
            answer(respond, message)

    def _answer_to(self, text: str, user_id: str, respond: Respond, t: Translator) -> Message | None:
        """What keeps the comparison from beginning; None where it has begun and said so itself."""
        surface = self._surface
        names = surface.copy_names
        if parsing.asks_for_help(text):
            return surface.help(t)
        words = parsing.words(text)
        if not words:
            return answers.number_missing(t, COMMAND)
        meant = suggesting.meant(words, names, COMMAND)
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
            return answers.running_already(live, surface.announcer.link(live), t)
        self._begin(copy, liquidation_id, user_id, respond, t)
        return None

    def _begin(
        self, copy: CopySection, liquidation_id: int, user_id: str, respond: Respond, t: Translator
    ) -> None:
        asked = self._clock()
        waited: list[bool] = []

        def compare() -> Message:
            try:
                return verdict.verdict(self._surface.comparisons.compare(copy, liquidation_id), t)
            except Interrupted:
                return verdict.interrupted(liquidation_id, t)

        def work() -> None:
            if waited:
                answer(respond, verdict.comparing(liquidation_id, t), replace=True)
            message = told(compare, t)
            if self._clock() - asked < RESPOND_SECONDS:
                answer(respond, message, replace=True)
            else:
                self._surface.tell(user_id, message)

        # Said before the work begins, so that the verdict can't be overtaken by it.
        running = self._surface.comparisons.ahead()
        if running:
            waited.append(True)
            answer(respond, verdict.waiting(liquidation_id, running, t))
        else:
            answer(respond, verdict.comparing(liquidation_id, t))
        self._surface.comparisons.begin(work)

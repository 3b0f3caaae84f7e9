"""``/copy-status``: what runs and the latest jobs, one job, the past of a liquidation or of one's own.

/copy-status   /copy-status 17   /copy-status liquidation 42   /copy-status mine
"""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App

from bot.commands import parsing
from bot.commands.conversation import Surface, answer_with, user_of
from bot.i18n import Translator
from bot.messages import answers, naming, status
from bot.messages.blocks import Message

COMMAND = naming.STATUS_COMMAND


def register(app: App, surface: Surface) -> None:
    app.command(COMMAND)(CopyStatus(surface).command)


class CopyStatus:
    """Reads rows; asks nothing of prod and changes nothing.

    For whoever may run any copy, because one's own may wait behind any other; it says what the cards say.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        reply = self._surface.replies.to(body)
        answer_with(lambda: self._answer_to(str(body.get("text") or ""), user_id, t), reply, t)

    def _answer_to(self, text: str, user_id: str, t: Translator) -> Message:
        surface = self._surface
        if parsing.asks_for_help(text):
            return surface.help(t)
        if refusal := surface.refusal_to_use(COMMAND, user_id, t):
            return refusal
        match [word.lower() for word in parsing.words(text)]:
            case []:
                live, latest = surface.store.live(), surface.store.latest()
                links = surface.links([*live[: status.SHOWN], *latest])
                return status.overview(live, latest, links, t, surface.store.no_worker())
            case [word] if word in parsing.MINE_WORDS:
                jobs = surface.history.of_user(user_id)
                return status.of_user(jobs, surface.links(jobs), t)
            case [word, number] if word in parsing.LIQUIDATION_WORDS:
                return self._liquidation(number, t)
            case [number]:
                return self._job(number, t)
            case _:
                return self._usage(parsing.words(text), t)

    def _usage(self, words: list[str], t: Translator) -> Message:
        return status.usage(" ".join(words), t, parsing.meant(words, self._surface.copy_names, COMMAND))

    def _liquidation(self, word: str, t: Translator) -> Message:
        liquidation_id = parsing.number(word)
        if liquidation_id is None:
            return answers.not_a_number(word, t, command=f"{COMMAND} {status.liquidation_word(t)}")
        jobs = self._surface.history.of_liquidation(liquidation_id)
        return status.of_liquidation(liquidation_id, jobs, self._surface.links(jobs), t)

    def _job(self, word: str, t: Translator) -> Message:
        job_id = parsing.number(word)
        if job_id is None:
            return self._usage([word], t)
        job = self._surface.store.job(job_id)
        if job is None:
            return answers.unknown_job(job_id, t)
        return status.detail(job, self._surface.card_publisher.link(job), t)

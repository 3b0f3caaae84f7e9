"""``/copy-status``: what runs and the latest jobs; ``/copy-status 17``: one job."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App, Respond

from bot.commands import parsing, suggesting
from bot.commands.surface import Surface, answer_with, user_of
from bot.i18n import Translator
from bot.messages import answers, status
from bot.messages.blocks import Message

COMMAND = answers.STATUS_COMMAND


def register(app: App, surface: Surface) -> None:
    app.command(COMMAND)(CopyStatus(surface).command)


class CopyStatus:
    """Reads rows; asks nothing of prod and changes nothing."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def command(self, ack: Ack, body: dict[str, Any], respond: Respond) -> None:
        ack()
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        answer_with(lambda: self._answer_to(str(body.get("text") or ""), user_id, t), respond, t)

    def _answer_to(self, text: str, user_id: str, t: Translator) -> Message:
        surface = self._surface
        if parsing.asks_for_help(text):
            return surface.help(t)
        if refusal := surface.refusal(COMMAND, user_id, t):
            return refusal
        words = parsing.words(text)
        if not words:
            live, latest = surface.store.live(), surface.store.latest()
            return status.overview(live, latest, surface.links([*live[: status.SHOWN], *latest]), t)
        job_id = parsing.number(words[0])
        if job_id is None or len(words) > 1:
            return answers.not_a_job(" ".join(words), t, suggesting.status_meant(words))
        job = surface.store.snapshot(job_id)
        if job is None:
            return answers.unknown_job(job_id, t)
        return status.detail(job, surface.announcer.link(job), t)

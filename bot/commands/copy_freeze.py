"""``/copy-freeze mantenimiento``: no chunk is written and no copy started until ``/copy-freeze off``."""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt import Ack, App

from bot.commands import parsing
from bot.commands.conversation import Surface, after_it_is_done, answer_with, user_of
from bot.i18n import Translator
from bot.jobs.actions import Freezes
from bot.jobs.status import Status
from bot.messages import freezing, naming
from bot.messages.blocks import Message
from bot.slack.access import PRESS

log = logging.getLogger(__name__)

COMMAND = naming.FREEZE_COMMAND


def register(app: App, surface: Surface) -> None:
    app.command(COMMAND)(CopyFreeze(surface).command)


class CopyFreeze:
    """Any admin may freeze, and lift what another one froze."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._freezes = Freezes(surface.tracking)

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        team_id, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        text = str(body.get("text") or "").strip()
        answer_with(lambda: self._answer_to(text, team_id, user_id, t), self._surface.replies.to(body), t)

    def _answer_to(self, text: str, team_id: str, user_id: str, t: Translator) -> Message:
        if parsing.asks_for_help(text):
            return freezing.freeze_help(t)
        words, names = parsing.words(text), self._surface.copy_names
        if words and text.lower() != parsing.OFF and not parsing.is_reason(words, names):
            return freezing.no_reason(text, t, parsing.meant(words, names, COMMAND))
        if refusal := self._surface.refusal_to_use(COMMAND, user_id, t, PRESS):
            return refusal
        requester = self._surface.people.requester(team_id, user_id)
        if text.lower() == parsing.OFF:
            lifted = self._freezes.lift(requester)
            if lifted is None:
                return freezing.not_frozen(t)
            log.info("the freeze was lifted by %s", user_id)
            self._surface.wake_courier()
            for job_id in lifted.waiting:
                if not self._surface.enqueue(job_id):
                    break  # workers take them by their rows
            return after_it_is_done(
                lambda: freezing.lifted(
                    lifted.freeze, len(lifted.waiting), t, self._surface.store.no_worker()
                ),
                freezing.lifted(lifted.freeze, 0, t),
            )
        freeze, is_new = self._freezes.freeze(requester, text)
        if not is_new:
            return freezing.still_frozen(freeze, t)
        log.info("all copies were frozen by %s", user_id)
        self._surface.wake_courier()
        return after_it_is_done(lambda: self._frozen_now(t), freezing.frozen_now(0, 0, t))

    def _frozen_now(self, t: Translator) -> Message:
        states = [job.status for job in self._surface.store.live() if not job.waits_for_somebody]
        return freezing.frozen_now(states.count(Status.RUNNING), states.count(Status.PENDING), t)

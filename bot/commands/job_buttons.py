"""The buttons of a card: pause, resume, cancel, retry, confirm. Each press is checked anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from slack_bolt import Ack, App

from bot.commands import parsing
from bot.commands.surface import Surface, after_it_is_done, answer_with, user_of
from bot.errors import AlreadyRunning
from bot.i18n import Translator
from bot.jobs.control import Became, Control, Effect
from bot.jobs.store import Requester
from bot.jobs.terms import RowCounts
from bot.messages import answers, buttons, presses, status, terms
from bot.messages.blocks import Message

log = logging.getLogger(__name__)

#: What a press does; the numbers are those that its button showed.
Deed = Callable[[int, Requester, RowCounts | None], Effect]


def register(app: App, surface: Surface) -> None:
    """Adds the buttons that do something to a job."""
    control = Control(surface.tracking, surface.store)
    for action_id, deed in {
        buttons.PAUSE_ACTION: control.pause,
        buttons.RESUME_ACTION: control.resume,
        buttons.CANCEL_ACTION: control.cancel,
        buttons.RETRY_ACTION: control.retry,
    }.items():
        app.action(action_id)(JobButton(surface, action_id, _whatever_it_shows(deed)).pressed)
    app.action(terms.CONFIRM_ACTION)(JobButton(surface, terms.CONFIRM_ACTION, control.confirm).pressed)


def _whatever_it_shows(deed: Callable[[int, Requester], Effect]) -> Deed:
    return lambda job_id, requester, numbers: deed(job_id, requester)


class JobButton:
    """One of the buttons. What it did is seen on the card; only what it didn't do is said."""

    def __init__(self, surface: Surface, action_id: str, deed: Deed) -> None:
        self._surface = surface
        self._action_id = action_id
        self._deed = deed

    def pressed(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        team_id, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        alone = bool((body.get("container") or {}).get("is_ephemeral"))
        value = str(body["actions"][0].get("value") or "")
        reply = self._surface.replies.to(body)
        answer_with(lambda: self._press(value, team_id, user_id, t, alone=alone), reply, t, replace=alone)

    def _press(self, value: str, team_id: str, user_id: str, t: Translator, *, alone: bool) -> Message | None:
        """What to say; None where the card says it. ``alone``: pressed under an answer to this person."""
        surface = self._surface
        pressed, numbers = terms.pressed(value)
        job_id = parsing.number(pressed)
        job = surface.store.snapshot(job_id) if job_id is not None else None
        if job_id is None or job is None:
            return answers.unknown_job(job_id or 0, t)
        if refusal := surface.refusal_of_press(job, user_id, t):
            return refusal
        try:
            effect = self._deed(job_id, surface.people.requester(team_id, user_id), numbers)
        except AlreadyRunning as running:
            live = surface.store.snapshot(running.job_id)
            assert live is not None  # noqa: S101 - jobs are never deleted while they are live
            return answers.running_already(live, surface.card_publisher.link(live), t)
        log.info("job %s: %s pressed by %s: %s", job_id, self._action_id, user_id, effect.became)
        return after_it_is_done(
            lambda: self._said(job_id, effect, t, alone=alone), answers.done_blindly(job_id, t)
        )

    def _said(self, job_id: int, effect: Effect, t: Translator, *, alone: bool) -> Message | None:
        surface = self._surface
        surface.wake_courier()
        if effect.to_enqueue:
            surface.enqueue(job_id)
        link = surface.card_publisher.link(effect.job)
        match effect.became:
            case Became.NOT_NOW:
                return presses.not_now(effect.job, link, t)
            case Became.NOT_YOURS:
                return presses.not_yours(effect.job, t)
            case Became.STALE:
                return presses.stale(effect.job, link, t)
            case _:
                return status.detail(effect.job, link, t) if alone else None

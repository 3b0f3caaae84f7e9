"""*Approve* and *Reject* on the card of a copy that needs a second pair of eyes."""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt import Ack, App

from bot.commands import parsing
from bot.commands.surface import Surface, answer_with, user_of
from bot.i18n import Translator
from bot.jobs.approvals import ApprovalOutcome
from bot.messages import approval, presses, terms
from bot.messages.approval import APPROVE_ACTION, REJECT_ACTION
from bot.messages.blocks import Message

log = logging.getLogger(__name__)


def register(app: App, surface: Surface) -> None:
    """Adds both buttons."""
    conversation = FourEyes(surface)
    app.action(APPROVE_ACTION)(conversation.approve)
    app.action(REJECT_ACTION)(conversation.reject)


class FourEyes:
    """What anybody permitted but the requester can say."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def approve(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        self._answer(body, says_yes=True)

    def reject(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        self._answer(body, says_yes=False)

    def _answer(self, body: dict[str, Any], *, says_yes: bool) -> None:
        team_id, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        value = str(body["actions"][0].get("value"))
        reply = self._surface.replies.to(body)  # on App Home that is a direct message
        answer_with(lambda: self._decide(value, team_id, user_id, t, says_yes=says_yes), reply, t)

    def _decide(self, value: str, team_id: str, user_id: str, t: Translator, *, says_yes: bool) -> Message:
        surface = self._surface
        pressed, numbers = terms.pressed(value)
        job_id = parsing.number(pressed)
        job = surface.store.snapshot(job_id) if job_id is not None else None
        if job_id is None or job is None:
            return approval.no_such(pressed, t)
        if refusal := surface.refusal_of_press(job, user_id, t):
            return refusal
        by = surface.people.requester(team_id, user_id)
        approvals = surface.approvals
        decision = approvals.approve(job_id, by, numbers) if says_yes else approvals.reject(job_id, by)
        match decision.outcome:
            case ApprovalOutcome.UNKNOWN:
                return approval.no_such(pressed, t)
            case ApprovalOutcome.OWN:
                return approval.own(job, t)
            case ApprovalOutcome.STALE:
                surface.wake_courier()
                return presses.stale(decision.job or job, surface.card_publisher.link(job), t)
            case ApprovalOutcome.LATE:
                return approval.too_late(decision.job or job, t)
            case ApprovalOutcome.DONE:
                if decision.is_new:
                    log.info("job %s: %s by %s", job_id, "approved" if says_yes else "rejected", user_id)
                    surface.wake_courier()
                    if says_yes:
                        surface.enqueue(job_id)  # raises nothing: a yes that is written down isn't denied
                return (approval.approved if says_yes else approval.rejected)(job, t)

"""*Approve* and *Reject* on the card of a copy that needs a second person, and on App Home."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bot.commands import parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard, Signals
from bot.jobs.actions import ApprovalOutcome, Approvals
from bot.jobs.repository import JobRepository
from bot.messages import answers, approval, question
from bot.messages.approval import APPROVE_ACTION, REJECT_ACTION
from bot.messages.blocks import Message
from bot.slack.card_publisher import CardPublisher

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)


def connect(app: App, parts: BotParts) -> None:
    """Adds both buttons."""
    buttons = ApprovalButtons(
        parts.guard,
        parts.callers,
        signals=parts.signals,
        store=parts.store,
        approvals=Approvals(parts.tracking),
        card_publisher=parts.card_publisher,
    )
    app.action(APPROVE_ACTION)(buttons.approve)
    app.action(REJECT_ACTION)(buttons.reject)


class ApprovalButtons:
    """For anybody who may run the copy, but for whoever asked for it."""

    def __init__(
        self,
        guard: Guard,
        callers: Callers,
        *,
        signals: Signals,
        store: JobRepository,
        approvals: Approvals,
        card_publisher: CardPublisher,
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._signals = signals
        self._store = store
        self._approvals = approvals
        self._card_publisher = card_publisher

    def approve(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        self._answer(body, approves=True)

    def reject(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        self._answer(body, approves=False)

    def _answer(self, body: dict[str, Any], *, approves: bool) -> None:
        caller = self._callers.of(body)  # on App Home the reply is a direct message
        value = str(body["actions"][0].get("value"))
        caller.answer(lambda: self._decide(value, caller, approves=approves))

    def _decide(self, value: str, caller: Caller, *, approves: bool) -> Message:
        t = caller.t
        pressed, counts = question.pressed(value)
        job_id = parsing.number(pressed)
        job = self._store.job(job_id) if job_id is not None else None
        if job_id is None or job is None:
            return approval.no_such(pressed, t)
        if refusal := self._guard.refusal_of_press(job, caller.user_id, t):
            return refusal
        by = self._callers.requester(caller)
        if approves:
            decision = self._approvals.approve(job_id, by, counts)
        else:
            decision = self._approvals.reject(job_id, by)
        match decision.outcome:
            case ApprovalOutcome.UNKNOWN:
                return approval.no_such(pressed, t)
            case ApprovalOutcome.OWN:
                return approval.own_request(job, t)
            case ApprovalOutcome.STALE:
                self._signals.wake_relay()
                return answers.stale(decision.job or job, self._card_publisher.link(job), t)
            case ApprovalOutcome.LATE:
                return approval.too_late(decision.job or job, t)
            case ApprovalOutcome.DONE:
                if decision.is_new:
                    log.info(
                        "job %s: %s by %s", job_id, "approved" if approves else "rejected", caller.user_id
                    )
                    self._signals.wake_relay()
                    if approves:
                        self._signals.enqueue(job_id)  # raises nothing: a committed approval isn't denied
                return (approval.approved if approves else approval.rejected)(job, t)

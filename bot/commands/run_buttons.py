"""The buttons of a run's card: each acts on all of its jobs that it fits. Each press is checked anew.

Whoever presses has to be allowed to run every copy of the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.commands import parsing
from bot.commands.conversation import (
    BotParts,
    Caller,
    Callers,
    Guard,
    Signals,
    or_short_answer,
    pressed_value,
)
from bot.commands.tell_me import TellMe, Words
from bot.i18n import Translator
from bot.jobs.actions import ApprovalOutcome, Became, Followers
from bot.jobs.repository import JobRepository, Requester
from bot.jobs.run_actions import RunApprovals, RunControl, RunDecision, RunEffect
from bot.jobs.run_view import RunView
from bot.jobs.view import JobView
from bot.messages import question
from bot.messages import run as messages
from bot.messages.blocks import Message
from bot.messages.question import REASON
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)

#: What a press does to a run; the text stands for the numbers that its button showed.
Action = Callable[[int, Requester, str], RunEffect]
#: Why somebody may not press for a job; None where they may.
Refusal = Callable[[JobView, str, Translator], Message | None]


def connect(app: App, parts: BotParts) -> None:
    """Adds all buttons of a run's card."""
    control = RunControl(parts.tracking, parts.store)
    buttons = RunButtons(
        parts.guard,
        parts.callers,
        signals=parts.signals,
        store=parts.store,
        card_publisher=parts.card_publisher,
        approvals=RunApprovals(parts.tracking, parts.store),
    )
    actions: dict[str, Action] = {
        messages.PAUSE_ACTION: lambda run_id, by, shown: control.pause(run_id, by),
        messages.RESUME_ACTION: lambda run_id, by, shown: control.resume(run_id, by),
        messages.CANCEL_ACTION: lambda run_id, by, shown: control.cancel(run_id, by),
        messages.RETRY_ACTION: lambda run_id, by, shown: control.retry(run_id, by),
        messages.START_NOW_ACTION: lambda run_id, by, shown: control.start_now(run_id, by),
        messages.CONFIRM_ACTION: control.confirm,
    }
    for action_id, action in actions.items():
        app.action(action_id)(buttons.that(action_id, action))
    followers = Followers(parts.tracking, of_runs=True)
    words = Words[RunView](
        unknown=messages.unknown_run,
        noted=partial(messages.will_be_told, before=False),
        noted_before=partial(messages.will_be_told, before=True),
        taken_back=messages.wont_be_told,
        not_now=messages.not_now,
    )
    tell_me = TellMe(parts.callers, parts.store.run, followers, parts.card_publisher, words)
    app.action(messages.TELL_ACTION)(tell_me.pressed)
    app.action(messages.UNTELL_ACTION)(tell_me.taken_back)
    app.action(messages.APPROVE_ACTION)(buttons.approve)
    app.action(messages.REJECT_ACTION)(buttons.ask_why)
    app.view(messages.REJECT_CALLBACK)(buttons.reject)
    app.view(messages.APPROVE_CALLBACK)(buttons.approve_because)


class RunButtons:
    """What a press did is seen on the card; only what it didn't do is said."""

    def __init__(
        self,
        guard: Guard,
        callers: Callers,
        *,
        signals: Signals,
        store: JobRepository,
        card_publisher: CardPublisher,
        approvals: RunApprovals,
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._signals = signals
        self._store = store
        self._card_publisher = card_publisher
        self._approvals = approvals

    def that(self, action_id: str, action: Action) -> Callable[..., None]:
        """The listener of a button that does this to a run."""

        def listener(ack: Ack, body: dict[str, Any]) -> None:
            alone = bool((body.get("container") or {}).get("is_ephemeral"))
            value = pressed_value(body)
            self._callers.answer(
                ack,
                body,
                lambda caller: self._press(action_id, action, value, caller, alone=alone),
                replace=alone,
            )

        return listener

    def _press(
        self, action_id: str, action: Action, value: str, caller: Caller, *, alone: bool
    ) -> Message | None:
        """What to say; None where the card says it. ``alone``: pressed under an answer to this person."""
        t = caller.t
        run, shown = self._pressed(value)
        if run is None:
            return messages.unknown_run(value, t)
        if refusal := self._refusal(run.jobs, caller, self._guard.refusal_of_press):
            return refusal
        effect = action(run.id, self._callers.requester(caller), shown)
        log.info("run %s: %s pressed by %s: %s", run.id, action_id, caller.user_id, effect.became)
        return or_short_answer(
            lambda: self._outcome(effect, t, alone=alone), messages.done_blindly(run.id, t)
        )

    def _outcome(self, effect: RunEffect, t: Translator, *, alone: bool) -> Message | None:
        self._signals.wake_relay()
        for job_id in effect.to_enqueue:
            self._signals.enqueue(job_id)
        link = self._card_publisher.link(effect.run)
        match effect.became:
            case Became.NOT_NOW:
                return messages.not_now(effect.run, link, t)
            case Became.NOT_YOURS:
                return messages.not_yours(effect.run, t)
            case Became.STALE:
                return messages.stale(effect.run, link, t)
            case _:
                return messages.shown_alone(effect.run, link, t) if alone else None

    def approve(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """Where a copy of the run asks for a reason, a modal opens."""

        def answer(caller: Caller) -> Message | None:
            run, _ = self._pressed(pressed_value(body))
            if run is not None and any(self._asks_why(job) for job in run.waiting_for_approval):
                return self._open(body, client, caller, approves=True)
            return self._decide(pressed_value(body), caller, approves=True)

        self._callers.answer(ack, body, answer)

    def ask_why(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """*Reject* opens a modal for a reason, which may stay empty; who may not reject is told at once."""
        self._callers.answer(ack, body, lambda caller: self._open(body, client, caller, approves=False))

    def approve_because(self, ack: Ack, body: dict[str, Any]) -> None:
        """The modal with the reason is submitted; the answer is where the button was."""
        reason = _reason_of(body)
        if not reason.strip():
            ack(response_action="errors", errors=question.reason_missing(self._callers.known(body).t))
            return
        channel, value = _origin(body)
        self._callers.answer(
            ack,
            {**body, "channel_id": channel},
            lambda caller: self._decide(value, caller, approves=True, reason=reason),
        )

    def reject(self, ack: Ack, body: dict[str, Any]) -> None:
        """The modal is submitted; the answer is where the button was."""
        channel, value = _origin(body)
        self._callers.answer(
            ack,
            {**body, "channel_id": channel},
            lambda caller: self._decide(value, caller, approves=False, reason=_reason_of(body)),
        )

    def _open(
        self, body: dict[str, Any], client: WebClient, caller: Caller, *, approves: bool
    ) -> Message | None:
        """The modal that asks why; or in words why this person may not decide."""
        value, t = pressed_value(body), caller.t
        channel = str((body.get("container") or {}).get("channel_id") or "")
        run, _ = self._pressed(value)
        if run is None:
            return messages.unknown_run(value, t)
        if refusal := self._refusal(run.waiting_for_approval, caller, self._guard.refusal_to_approve):
            return refusal
        if decision := self._approvals.hindrance(run.id, self._callers.requester(caller)):
            return self._decided(decision, run, caller, approves=approves)
        origin = f"{channel or '-'} {value}"
        view = (messages.why_approved if approves else messages.why_rejected)(run, origin, t)
        try:
            client.views_open(trigger_id=str(body.get("trigger_id")), view=view)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("run %s: nobody was asked why: %s", run.id, error_name(error))
            return question.not_asked_why_approved(t) if approves else question.not_asked_why(t)
        return None

    def _decide(self, value: str, caller: Caller, *, approves: bool, reason: str = "") -> Message:
        t = caller.t
        run, shown = self._pressed(value)
        if run is None:
            return messages.unknown_run(value, t)
        if refusal := self._refusal(run.waiting_for_approval, caller, self._guard.refusal_to_approve):
            return refusal
        by = self._callers.requester(caller)
        if approves:
            decision = self._approvals.approve(run.id, by, shown, reason)
        else:
            decision = self._approvals.reject(run.id, by, reason)
        return self._decided(decision, run, caller, approves=approves)

    def _decided(self, decision: RunDecision, run: RunView, caller: Caller, *, approves: bool) -> Message:
        t, now = caller.t, decision.run or run
        link = self._card_publisher.link(now)
        match decision.outcome:
            case ApprovalOutcome.UNKNOWN:
                return messages.unknown_run(str(run.id), t)
            case ApprovalOutcome.OWN:
                return messages.own_request(now, t)
            case ApprovalOutcome.STALE:
                self._signals.wake_relay()
                return messages.stale(now, link, t)
            case ApprovalOutcome.LATE:
                return messages.too_late(now, link, t)
            case ApprovalOutcome.DONE:
                said = "approved" if approves else "rejected"
                log.info("run %s: %s jobs %s by %s", run.id, len(decision.decided), said, caller.user_id)
                self._signals.wake_relay()
                planned = {job.id for job in now.planned}
                for job_id in decision.decided:
                    if approves and job_id not in planned:
                        self._signals.enqueue(job_id)
                return (messages.approved if approves else messages.rejected)(now, len(decision.decided), t)

    def _pressed(self, value: str) -> tuple[RunView | None, str]:
        number, shown = messages.pressed(value)
        run_id = parsing.number(number)
        return (self._store.run(run_id) if run_id is not None else None), shown

    @staticmethod
    def _refusal(jobs: Sequence[JobView], caller: Caller, of_job: Refusal) -> Message | None:
        """Of each copy once."""
        each = {(job.copy_name, job.second_group_is_asked): job for job in jobs}
        refusals = (of_job(job, caller.user_id, caller.t) for job in each.values())
        return next((refusal for refusal in refusals if refusal is not None), None)

    def _asks_why(self, job: JobView) -> bool:
        copy = self._guard.copy_named(job.copy_name)
        return copy is not None and copy.require_reason


def _reason_of(body: dict[str, Any]) -> str:
    values = body["view"]["state"]["values"]
    return str(values.get(REASON, {}).get(REASON, {}).get("value") or "")


def _origin(body: dict[str, Any]) -> tuple[str | None, str]:
    """The channel of the button, None on App Home, and its value."""
    channel, _, value = str(body["view"].get("private_metadata") or "").partition(" ")
    return channel.strip("-") or None, value

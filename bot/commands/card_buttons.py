"""The buttons of a card, those of an approval too. Each press is checked anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
    ViewUpdate,
    or_problem,
    or_short_answer,
    pressed_value,
    update_view,
)
from bot.commands.tell_me import TellMe, Words
from bot.errors import AlreadyRunning
from bot.i18n import Translator
from bot.jobs.actions import (
    ApprovalOutcome,
    Approvals,
    Became,
    Control,
    Decision,
    Effect,
    Followers,
)
from bot.jobs.repository import JobRepository, Requester
from bot.jobs.view import JobView, RowCounts
from bot.messages import answers, card, question, status
from bot.messages.blocks import Message
from bot.messages.question import (
    APPROVE_ACTION,
    APPROVE_CALLBACK,
    REASON,
    REJECT_ACTION,
    REJECT_CALLBACK,
)
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name

if TYPE_CHECKING:
    from slack_bolt import Ack, App


log = logging.getLogger(__name__)

#: What a press does to a job; the row counts are those that its button showed.
Action = Callable[[int, Requester, RowCounts | None], Effect]


def connect(app: App, parts: BotParts) -> None:
    """Adds all buttons of a card."""
    control = Control(parts.tracking, parts.store)
    actions: dict[str, Action] = {
        card.PAUSE_ACTION: _without_counts(control.pause),
        card.RESUME_ACTION: _without_counts(control.resume),
        card.CANCEL_ACTION: _without_counts(control.cancel),
        card.RETRY_ACTION: _without_counts(control.retry),
        card.START_NOW_ACTION: _without_counts(control.start_now),
        question.CONFIRM_ACTION: control.confirm,
    }
    for action_id, action in actions.items():
        button = JobButton(
            action_id,
            action,
            guard=parts.guard,
            callers=parts.callers,
            signals=parts.signals,
            store=parts.store,
            card_publisher=parts.card_publisher,
        )
        app.action(action_id)(button.pressed)
    words = Words[JobView](
        unknown=lambda value, t: answers.unknown_job(parsing.number(value) or 0, t),
        noted=partial(answers.will_be_told, before=False),
        noted_before=partial(answers.will_be_told, before=True),
        taken_back=answers.wont_be_told,
        not_now=answers.not_now,
    )
    tell_me = TellMe(parts.callers, parts.store.job, Followers(parts.tracking), parts.card_publisher, words)
    app.action(card.TELL_ACTION)(tell_me.pressed)
    app.action(card.UNTELL_ACTION)(tell_me.taken_back)
    job_details = JobDetails(parts.guard, parts.callers, parts.store)
    app.action(card.DETAILS_ACTION)(job_details.pressed)
    approval = ApprovalButtons(
        parts.guard,
        parts.callers,
        signals=parts.signals,
        store=parts.store,
        approvals=Approvals(parts.tracking, parts.store),
        card_publisher=parts.card_publisher,
    )
    app.action(APPROVE_ACTION)(approval.approve)
    app.action(REJECT_ACTION)(approval.ask_why)
    app.view(REJECT_CALLBACK)(approval.reject)
    app.view(APPROVE_CALLBACK)(approval.approve_because)


def _without_counts(action: Callable[[int, Requester], Effect]) -> Action:
    return lambda job_id, requester, counts: action(job_id, requester)


class JobButton:
    """A button that changes a job. What it did is seen on the card; only what it didn't do is said."""

    def __init__(
        self,
        action_id: str,
        action: Action,
        *,
        guard: Guard,
        callers: Callers,
        signals: Signals,
        store: JobRepository,
        card_publisher: CardPublisher,
    ) -> None:
        self._action_id = action_id
        self._action = action
        self._guard = guard
        self._callers = callers
        self._signals = signals
        self._store = store
        self._card_publisher = card_publisher

    def pressed(self, ack: Ack, body: dict[str, Any]) -> None:
        alone = bool((body.get("container") or {}).get("is_ephemeral"))
        self._callers.answer(
            ack, body, lambda caller: self._press(pressed_value(body), caller, alone=alone), replace=alone
        )

    def _press(self, value: str, caller: Caller, *, alone: bool) -> Message | None:
        """What to say; None where the card says it. ``alone``: pressed under an answer to this person."""
        t = caller.t
        pressed, counts = question.pressed(value)
        job_id = parsing.number(pressed)
        job = self._store.job(job_id) if job_id is not None else None
        if job_id is None or job is None:
            return answers.unknown_job(job_id or 0, t)
        if refusal := self._guard.refusal_of_press(job, caller.user_id, t):
            return refusal
        try:
            effect = self._action(job_id, self._callers.requester(caller), counts)
        except AlreadyRunning as running:
            live = self._store.job(running.job_id)
            assert live is not None  # noqa: S101 - jobs are never deleted while they are live
            return answers.running_already(live, self._card_publisher.link(live), t)
        log.info("job %s: %s pressed by %s: %s", job_id, self._action_id, caller.user_id, effect.became)
        return or_short_answer(
            lambda: self._outcome(job_id, effect, t, alone=alone), answers.done_blindly(job_id, t)
        )

    def _outcome(self, job_id: int, effect: Effect, t: Translator, *, alone: bool) -> Message | None:
        self._signals.wake_relay()
        if effect.to_enqueue:
            self._signals.enqueue(job_id)
        link = self._card_publisher.link(effect.job)
        match effect.became:
            case Became.NOT_NOW:
                return answers.not_now(effect.job, link, t)
            case Became.NOT_YOURS:
                return answers.not_yours(effect.job, t)
            case Became.STALE:
                return answers.stale(effect.job, link, t)
            case _:
                return status.detail(effect.job, link, t) if alone else None


class JobDetails:
    """*Details*: a modal that opens at once and is filled when everything has been read. Changes nothing."""

    def __init__(self, guard: Guard, callers: Callers, store: JobRepository) -> None:
        self._guard = guard
        self._callers = callers
        self._store = store

    def pressed(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """A trigger lives for three seconds: the modal comes first, what it says afterwards."""
        self._callers.begin(ack, body, lambda caller: self._show(body, client, caller))

    def _show(self, body: dict[str, Any], client: WebClient, caller: Caller) -> None:
        t = caller.t
        job_id = parsing.number(pressed_value(body))
        try:
            opened = client.views_open(trigger_id=str(body.get("trigger_id")), view=status.loading(t))
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("job %s: details not shown: %s", job_id, error_name(error))
            caller.reply.say(answers.details_not_shown(job_id or 0, t))
            return
        found = or_problem(lambda: self._view(job_id or 0, caller.user_id, t), t)
        view = status.answer(found, t) if isinstance(found, Message) else found
        if update_view(client, str(opened["view"]["id"]), view) is ViewUpdate.FAILED:
            caller.reply.say(
                found if isinstance(found, Message) else answers.details_not_shown(job_id or 0, t)
            )

    def _view(self, job_id: int, user_id: str, t: Translator) -> Message | status.View:
        job = self._store.job(job_id)
        if job is None:
            return answers.unknown_job(job_id, t)
        if refusal := self._guard.refusal_of_press(job, user_id, t):
            return refusal
        return status.details(job, self._store.timeline(job_id), t)


# ----------------------------------------------------------------------------
# *Approve* and *Reject*, on the card and on App Home


class ApprovalButtons:
    """For anybody who may run the copy, and its second group once that is asked; not for its requester."""

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

    def approve(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """On App Home the answer is a direct message. Where the copy asks for a reason, a modal opens."""

        def answer(caller: Caller) -> Message | None:
            if self._asks_why(pressed_value(body)):
                return self._open(body, client, caller, approves=True)
            return self._decide(pressed_value(body), caller, approves=True)

        self._callers.answer(ack, body, answer)

    def approve_because(self, ack: Ack, body: dict[str, Any]) -> None:
        """The modal with the reason is submitted; the answer is where the button was."""
        channel, _, value = str(body["view"].get("private_metadata") or "").partition(" ")
        reason = str(body["view"]["state"]["values"].get(REASON, {}).get(REASON, {}).get("value") or "")
        if not reason.strip():
            ack(response_action="errors", errors=question.reason_missing(self._callers.known(body).t))
            return
        self._callers.answer(
            ack,
            {**body, "channel_id": channel.strip("-") or None},
            lambda caller: self._decide(value, caller, approves=True, reason=reason),
        )

    def ask_why(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """*Reject* opens a modal for a reason, which may stay empty; who may not reject is told at once."""
        self._callers.answer(ack, body, lambda caller: self._open(body, client, caller, approves=False))

    def reject(self, ack: Ack, body: dict[str, Any]) -> None:
        """The modal is submitted; the answer is where the button was."""
        value, _, channel = str(body["view"].get("private_metadata") or "").partition(" ")
        found = body["view"]["state"]["values"].get(REASON, {}).get(REASON, {}).get("value")
        self._callers.answer(
            ack,
            {**body, "channel_id": channel or None},
            lambda caller: self._decide(value, caller, approves=False, reason=str(found or "")),
        )

    def _asks_why(self, value: str) -> bool:
        job_id = parsing.number(question.pressed(value)[0])
        job = self._store.job(job_id) if job_id is not None else None
        copy = self._guard.copy_named(job.copy_name) if job is not None else None
        return copy is not None and copy.require_reason

    def _open(
        self, body: dict[str, Any], client: WebClient, caller: Caller, *, approves: bool
    ) -> Message | None:
        """The modal that asks why; or in words why this person may not decide."""
        value, channel = pressed_value(body), str((body.get("container") or {}).get("channel_id") or "")
        t, job_id = caller.t, parsing.number(question.pressed(value)[0])
        job = self._store.job(job_id) if job_id is not None else None
        if job_id is None or job is None:
            return question.no_such(value, t)
        if refusal := self._guard.refusal_to_approve(job, caller.user_id, t):
            return refusal
        if decision := self._approvals.hindrance(job_id, self._callers.requester(caller)):
            return self._outcome(decision, job, caller, approves=approves)
        if approves:
            view = question.why_approved(job, f"{channel or '-'} {value}", t)
        else:
            view = question.why_rejected(job, f"{job_id} {channel}", t)
        try:
            client.views_open(trigger_id=str(body.get("trigger_id")), view=view)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("job %s: nobody was asked why: %s", job_id, error_name(error))
            return question.not_asked_why_approved(t) if approves else question.not_asked_why(t)
        return None

    def _decide(self, value: str, caller: Caller, *, approves: bool, reason: str = "") -> Message:
        t = caller.t
        pressed, counts = question.pressed(value)
        job_id = parsing.number(pressed)
        job = self._store.job(job_id) if job_id is not None else None
        if job_id is None or job is None:
            return question.no_such(pressed, t)
        if refusal := self._guard.refusal_to_approve(job, caller.user_id, t):
            return refusal
        by = self._callers.requester(caller)
        if approves:
            decision = self._approvals.approve(job_id, by, counts, reason)
        else:
            decision = self._approvals.reject(job_id, by, reason)
        return self._outcome(decision, job, caller, approves=approves)

    def _outcome(self, decision: Decision, job: JobView, caller: Caller, *, approves: bool) -> Message:
        t, job_id = caller.t, job.id
        match decision.outcome:
            case ApprovalOutcome.UNKNOWN:
                return question.no_such(str(job_id), t)
            case ApprovalOutcome.OWN:
                return question.own_request(job, t)
            case ApprovalOutcome.STALE:
                self._signals.wake_relay()
                return answers.stale(decision.job or job, self._card_publisher.link(job), t)
            case ApprovalOutcome.LATE:
                return question.too_late(decision.job or job, t)
            case ApprovalOutcome.DONE:
                if decision.is_new:
                    log.info(
                        "job %s: %s by %s", job_id, "approved" if approves else "rejected", caller.user_id
                    )
                    self._signals.wake_relay()
                    waits = decision.job is not None and decision.job.waits_for_its_time
                    if approves and not waits:
                        self._signals.enqueue(job_id)  # raises nothing: a committed approval isn't denied
                return (question.approved if approves else question.rejected)(job, t)

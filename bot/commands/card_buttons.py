"""The buttons of a card: pause, resume, cancel, retry, confirm. Each press is checked anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.commands import parsing
from bot.commands.conversation import Shown, Surface, after_it_is_done, answer_with, show, told, user_of
from bot.errors import AlreadyRunning
from bot.i18n import Translator
from bot.jobs.actions import ApprovalOutcome, Became, Control, Effect
from bot.jobs.proposal import RowCounts
from bot.jobs.repository import Requester
from bot.messages import answers, approval, card, details, question, status
from bot.messages.approval import APPROVE_ACTION, REJECT_ACTION
from bot.messages.blocks import Message
from bot.messages.card import DETAILS_ACTION
from bot.slack.client import CONNECTION_ERRORS, error_name

log = logging.getLogger(__name__)

#: What a press does; the numbers are those that its button showed.
Deed = Callable[[int, Requester, RowCounts | None], Effect]


def register(app: App, surface: Surface) -> None:
    """Adds the buttons that do something to a job."""
    control = Control(surface.tracking, surface.store)
    for action_id, deed in {
        card.PAUSE_ACTION: control.pause,
        card.RESUME_ACTION: control.resume,
        card.CANCEL_ACTION: control.cancel,
        card.RETRY_ACTION: control.retry,
    }.items():
        app.action(action_id)(JobButton(surface, action_id, _whatever_it_shows(deed)).pressed)
    app.action(question.CONFIRM_ACTION)(JobButton(surface, question.CONFIRM_ACTION, control.confirm).pressed)


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
        pressed, numbers = question.pressed(value)
        job_id = parsing.number(pressed)
        job = surface.store.job(job_id) if job_id is not None else None
        if job_id is None or job is None:
            return answers.unknown_job(job_id or 0, t)
        if refusal := surface.refusal_of_press(job, user_id, t):
            return refusal
        try:
            effect = self._deed(job_id, surface.people.requester(team_id, user_id), numbers)
        except AlreadyRunning as running:
            live = surface.store.job(running.job_id)
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
                return answers.not_now(effect.job, link, t)
            case Became.NOT_YOURS:
                return answers.not_yours(effect.job, t)
            case Became.STALE:
                return answers.stale(effect.job, link, t)
            case _:
                return status.detail(effect.job, link, t) if alone else None


# ----------------------------------------------------------------------------
# *Approve* and *Reject* on the card of a copy that needs a second pair of eyes.


def register_approval(app: App, surface: Surface) -> None:
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
        pressed, numbers = question.pressed(value)
        job_id = parsing.number(pressed)
        job = surface.store.job(job_id) if job_id is not None else None
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
                return answers.stale(decision.job or job, surface.card_publisher.link(job), t)
            case ApprovalOutcome.LATE:
                return approval.too_late(decision.job or job, t)
            case ApprovalOutcome.DONE:
                if decision.is_new:
                    log.info("job %s: %s by %s", job_id, "approved" if says_yes else "rejected", user_id)
                    surface.wake_courier()
                    if says_yes:
                        surface.enqueue(job_id)  # raises nothing: a yes that is written down isn't denied
                return (approval.approved if says_yes else approval.rejected)(job, t)


# ----------------------------------------------------------------------------
# *Details* under a card: a modal that opens at once and is filled when everything has been read.


def register_details(app: App, surface: Surface) -> None:
    app.action(DETAILS_ACTION)(JobDetails(surface).pressed)


class JobDetails:
    """Reads rows and changes nothing; like each button of the card it is for those who may run its copy."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def pressed(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """A trigger lives for three seconds: the modal comes first, what it says afterwards."""
        ack()
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        job_id = parsing.number(str(body["actions"][0].get("value") or ""))
        reply = self._surface.replies.to(body)
        try:
            opened = client.views_open(trigger_id=body["trigger_id"], view=details.loading(t))
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("job %s: details not shown: %s", job_id, error_name(error))
            reply.say(answers.details_not_shown(job_id or 0, t))
            return
        found = told(lambda: self._view(job_id or 0, user_id, t), t)
        view = details.telling(found, t) if isinstance(found, Message) else found
        if show(client, str(opened["view"]["id"]), view) is Shown.NO:
            reply.say(found if isinstance(found, Message) else answers.details_not_shown(job_id or 0, t))

    def _view(self, job_id: int, user_id: str, t: Translator) -> Message | details.View:
        job = self._surface.store.job(job_id)
        if job is None:
            return answers.unknown_job(job_id, t)
        if refusal := self._surface.refusal_of_press(job, user_id, t):
            return refusal
        return details.details(job, self._surface.store.timeline(job_id), t)

"""The buttons of cards, of a job's and of a run's, those of an approval too. Each press is checked anew."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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
from bot.commands.starting import Values
from bot.errors import AlreadyRunning
from bot.i18n import Translator
from bot.jobs.actions import (
    ApprovalOutcome,
    Approvals,
    Became,
    Control,
    Decision,
    Effect,
    Followed,
    Followers,
    RunApprovals,
    RunControl,
    RunDecision,
    RunEffect,
)
from bot.jobs.repository import JobRepository, Requester
from bot.jobs.view import JobView, RowCounts, RunView
from bot.messages import answers, card, question, status
from bot.messages import run as messages
from bot.messages.blocks import Message
from bot.messages.question import APPROVE_ACTION, APPROVE_CALLBACK, REASON, REJECT_ACTION, REJECT_CALLBACK
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)


#: What a press does to a job; the row counts are those that its button showed.
Action = Callable[[int, Requester, RowCounts | None], Effect]


def connect(app: App, parts: BotParts) -> None:
    """Adds all buttons of both cards."""
    _connect_jobs(app, parts)
    _connect_runs(app, parts)


def _connect_jobs(app: App, parts: BotParts) -> None:
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


#: What decides: about a job, or about a run.
By = TypeVar("By", Approvals, RunApprovals)


class Approving(ABC, Generic[By]):
    """The presses on *Approve* and *Reject*, of a job or of a run, and the window that asks why."""

    def __init__(
        self,
        guard: Guard,
        callers: Callers,
        *,
        signals: Signals,
        store: JobRepository,
        approvals: By,
        card_publisher: CardPublisher,
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._signals = signals
        self._store = store
        self._approvals: By = approvals
        self._card_publisher = card_publisher

    def approve(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """On App Home the answer is a direct message. Where a copy asks for a reason, a modal opens."""

        def answer(caller: Caller) -> Message | None:
            if self._asks_why(pressed_value(body)):
                return self._open(body, client, caller, approves=True)
            return self._decide(pressed_value(body), caller, approves=True)

        self._callers.answer(ack, body, answer)

    def approve_because(self, ack: Ack, body: dict[str, Any]) -> None:
        """The modal with the reason is submitted; the answer is where the button was."""
        if not _reason_of(body).strip():
            ack(response_action="errors", errors=question.reason_missing(self._callers.known(body).t))
            return
        self._submitted(ack, body, approves=True)

    def ask_why(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """*Reject* opens a modal for a reason, which may stay empty; who may not reject is told at once."""
        self._callers.answer(ack, body, lambda caller: self._open(body, client, caller, approves=False))

    def reject(self, ack: Ack, body: dict[str, Any]) -> None:
        """The modal is submitted; the answer is where the button was."""
        self._submitted(ack, body, approves=False)

    def _submitted(self, ack: Ack, body: dict[str, Any], *, approves: bool) -> None:
        channel, value = _origin(body)
        self._callers.answer(
            ack,
            {**body, "channel_id": channel},
            lambda caller: self._decide(value, caller, approves=approves, reason=_reason_of(body)),
        )

    def _open(
        self, body: dict[str, Any], client: WebClient, caller: Caller, *, approves: bool
    ) -> Message | None:
        """Shows the modal that asks why; or gives in words why this person may not decide."""
        value, t = pressed_value(body), caller.t
        channel = str((body.get("container") or {}).get("channel_id") or "")
        view = self._window(value, f"{channel or '-'} {value}", caller, approves=approves)
        if isinstance(view, Message):
            return view
        try:
            client.views_open(trigger_id=str(body.get("trigger_id")), view=view)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("nobody was asked why, of %s: %s", value, error_name(error))
            return question.not_asked_why_approved(t) if approves else question.not_asked_why(t)
        return None

    @abstractmethod
    def _asks_why(self, value: str) -> bool:
        """Whether who approves what this button stands for has to say why."""

    @abstractmethod
    def _window(self, value: str, origin: str, caller: Caller, *, approves: bool) -> status.View | Message:
        """The modal that asks why, with which ``origin`` comes back; or why this person may not decide."""

    @abstractmethod
    def _decide(self, value: str, caller: Caller, *, approves: bool, reason: str = "") -> Message:
        """Decides, and says what became of it."""


def _reason_of(body: dict[str, Any]) -> str:
    return Values(body["view"]["state"]["values"]).text(REASON)


def _origin(body: dict[str, Any]) -> tuple[str | None, str]:
    """The channel of the button, None on App Home, and its value."""
    channel, _, value = str(body["view"].get("private_metadata") or "").partition(" ")
    if channel.isdecimal():  # the release before wrote the number of a job that is rejected first
        channel, value = value, channel
    return channel.strip("-") or None, value


class ApprovalButtons(Approving[Approvals]):
    """For anybody who may run the copy, and its second group once that is asked; not for its requester."""

    def _asks_why(self, value: str) -> bool:
        job, _ = self._pressed(value)
        copy = self._guard.copy_named(job.copy_name) if job is not None else None
        return copy is not None and copy.require_reason

    def _window(self, value: str, origin: str, caller: Caller, *, approves: bool) -> status.View | Message:
        t, (job, _) = caller.t, self._pressed(value)
        if job is None:
            return question.no_such(value, t)
        if refusal := self._guard.refusal_to_approve(job, caller.user_id, t):
            return refusal
        if decision := self._approvals.hindrance(job.id, self._callers.requester(caller)):
            return self._outcome(decision, job, caller, approves=approves)
        return (question.why_approved if approves else question.why_rejected)(job, origin, t)

    def _decide(self, value: str, caller: Caller, *, approves: bool, reason: str = "") -> Message:
        t = caller.t
        job, counts = self._pressed(value)
        if job is None:
            return question.no_such(question.pressed(value)[0], t)
        if refusal := self._guard.refusal_to_approve(job, caller.user_id, t):
            return refusal
        by = self._callers.requester(caller)
        if approves:
            decision = self._approvals.approve(job.id, by, counts, reason)
        else:
            decision = self._approvals.reject(job.id, by, reason)
        return self._outcome(decision, job, caller, approves=approves)

    def _pressed(self, value: str) -> tuple[JobView | None, RowCounts | None]:
        """The job, None where there is none, and the rows that the button showed."""
        pressed, counts = question.pressed(value)
        job_id = parsing.number(pressed)
        return (self._store.job(job_id) if job_id is not None else None), counts

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


# ----------------------------------------------------------------------------
# Buttons of a run: each acts on all of its jobs that it fits
#
# Whoever presses has to be allowed to run every copy of the run.


#: What a press does to a run; the text stands for the numbers that its button showed.
RunAction = Callable[[int, Requester, str], RunEffect]
#: Why somebody may not press for a job; None where they may.
Refusal = Callable[[JobView, str, Translator], Message | None]


def _connect_runs(app: App, parts: BotParts) -> None:
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
    actions: dict[str, RunAction] = {
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


class RunButtons(Approving[RunApprovals]):
    """What a press did is seen on the card; only what it didn't do is said."""

    def that(self, action_id: str, action: RunAction) -> Callable[..., None]:
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
        self, action_id: str, action: RunAction, value: str, caller: Caller, *, alone: bool
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

    def _asks_why(self, value: str) -> bool:
        run, _ = self._pressed(value)
        copies = [self._guard.copy_named(job.copy_name) for job in run.waiting_for_approval] if run else []
        return any(copy is not None and copy.require_reason for copy in copies)

    def _window(self, value: str, origin: str, caller: Caller, *, approves: bool) -> status.View | Message:
        t, (run, _) = caller.t, self._pressed(value)
        if run is None:
            return messages.unknown_run(value, t)
        if refusal := self._refusal(run.waiting_for_approval, caller, self._guard.refusal_to_approve):
            return refusal
        if decision := self._approvals.hindrance(run.id, self._callers.requester(caller)):
            return self._decided(decision, run, caller, approves=approves)
        return (messages.why_approved if approves else messages.why_rejected)(run, origin, t)

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


# ----------------------------------------------------------------------------
# Tell me and Don't tell me: whoever sees the card may press them


Found = TypeVar("Found", bound=JobView | RunView)


@dataclass(frozen=True)
class Words(Generic[Found]):
    """What is said of a job, or of a run. ``unknown`` gets the button's value; ``noted_before``: they had
    pressed it already.
    """

    unknown: Callable[[str, Translator], Message]
    noted: Callable[[Found, Translator], Message]
    noted_before: Callable[[Found, Translator], Message]
    taken_back: Callable[[Found, Translator], Message]
    not_now: Callable[[Found, str | None, Translator], Message]


class TellMe(Generic[Found]):
    """Both buttons. ``find`` gives what has this number, None where there is none."""

    def __init__(
        self,
        callers: Callers,
        find: Callable[[int], Found | None],
        followers: Followers,
        card_publisher: CardPublisher,
        words: Words[Found],
    ) -> None:
        self._callers = callers
        self._find = find
        self._followers = followers
        self._card_publisher = card_publisher
        self._words = words

    def pressed(self, ack: Ack, body: dict[str, Any]) -> None:
        self._callers.answer(
            ack, body, lambda caller: self._note(pressed_value(body), caller, self._followers.follow)
        )

    def taken_back(self, ack: Ack, body: dict[str, Any]) -> None:
        """Under the answer to the press, which this one takes the place of."""
        self._callers.answer(
            ack,
            body,
            lambda caller: self._note(pressed_value(body), caller, self._followers.unfollow),
            replace=True,
        )

    def _note(self, value: str, caller: Caller, note: Callable[[int, Requester], Followed]) -> Message:
        t, number = caller.t, parsing.number(value)
        found = self._find(number) if number is not None else None
        if number is None or found is None:
            return self._words.unknown(value, t)
        match note(number, self._callers.requester(caller)):
            case Followed.NOTED:
                return self._words.noted(found, t)
            case Followed.BEFORE:
                return self._words.noted_before(found, t)
            case Followed.TAKEN_BACK:
                return self._words.taken_back(found, t)
            case Followed.ENDED:
                now = self._find(number) or found
                return self._words.not_now(now, self._card_publisher.link(now), t)

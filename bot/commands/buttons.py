"""The buttons of cards, of a job's and of a run's, those of an approval too. Each press is checked anew.

Both kinds of card have the same buttons; those of a run act on all of its jobs that they fit. Whoever presses
has to be allowed to run every copy that is concerned.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.commands import parsing
from bot.commands.conversation import (
    BotParts,
    Caller,
    Callers,
    Guard,
    ViewUpdate,
    or_problem,
    or_short_answer,
    pressed_value,
    update_view,
)
from bot.commands.job_creation import Values
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
)
from bot.jobs.repository import JobRepository, Requester
from bot.jobs.view import JobView, RowCounts, RunView
from bot.messages import answers, card, question, status
from bot.messages import run as run_messages
from bot.messages.blocks import Message, View
from bot.messages.question import REASON
from bot.slack.client import CONNECTION_ERRORS, error_name

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)

#: What a card stands for.
Found = TypeVar("Found", bound=JobView | RunView)
#: What a button showed of its rows, which its value says.
Shown = TypeVar("Shown")
Shown_contra = TypeVar("Shown_contra", contravariant=True)
#: What a press does to the job or the run of this number.
Action = Callable[[int, Requester, Shown], Effect[Found]]
#: Why somebody may not press for a job; None where they may.
Refusal = Callable[[JobView, str, Translator], Message | None]


def connect(app: App, parts: BotParts) -> None:
    """Adds all buttons of both cards."""
    _connect_jobs(app, parts)
    _connect_runs(app, parts)


def _connect_jobs(app: App, parts: BotParts) -> None:
    """Adds all buttons of a job's card."""
    control, buttons = Control(parts.tracking, parts.store), JobButtons(parts)
    actions: dict[str, Action[RowCounts | None, JobView]] = {
        card.PAUSE_ACTION: lambda job_id, by, shown: control.pause(job_id, by),
        card.RESUME_ACTION: lambda job_id, by, shown: control.resume(job_id, by),
        card.CANCEL_ACTION: lambda job_id, by, shown: control.cancel(job_id, by),
        card.RETRY_ACTION: lambda job_id, by, shown: control.retry(job_id, by),
        card.START_NOW_ACTION: lambda job_id, by, shown: control.start_now(job_id, by),
        question.CONFIRM_ACTION: control.confirm,
    }
    for action_id, action in actions.items():
        app.action(action_id)(buttons.that(action_id, action))
    app.action(question.APPROVE_ACTION)(buttons.approve)
    app.action(question.REJECT_ACTION)(buttons.ask_why)
    app.view(question.REJECT_CALLBACK)(buttons.reject)
    app.view(question.APPROVE_CALLBACK)(buttons.approve_because)
    tell_me = TellMe(parts, parts.store.job, Followers(parts.tracking), OF_JOBS)
    app.action(card.TELL_ACTION)(tell_me.pressed)
    app.action(card.UNTELL_ACTION)(tell_me.taken_back)
    job_details = JobDetails(parts.guard, parts.callers, parts.store)
    app.action(card.DETAILS_ACTION)(job_details.pressed)


def _connect_runs(app: App, parts: BotParts) -> None:
    """Adds all buttons of a run's card."""
    control, buttons = RunControl(parts.tracking, parts.store), RunButtons(parts)
    actions: dict[str, Action[str, RunView]] = {
        run_messages.PAUSE_ACTION: lambda run_id, by, shown: control.pause(run_id, by),
        run_messages.RESUME_ACTION: lambda run_id, by, shown: control.resume(run_id, by),
        run_messages.CANCEL_ACTION: lambda run_id, by, shown: control.cancel(run_id, by),
        run_messages.RETRY_ACTION: lambda run_id, by, shown: control.retry(run_id, by),
        run_messages.START_NOW_ACTION: lambda run_id, by, shown: control.start_now(run_id, by),
        run_messages.CONFIRM_ACTION: control.confirm,
    }
    for action_id, action in actions.items():
        app.action(action_id)(buttons.that(action_id, action))
    app.action(run_messages.APPROVE_ACTION)(buttons.approve)
    app.action(run_messages.REJECT_ACTION)(buttons.ask_why)
    app.view(run_messages.REJECT_CALLBACK)(buttons.reject)
    app.view(run_messages.APPROVE_CALLBACK)(buttons.approve_because)
    tell_me = TellMe(parts, parts.store.run, Followers(parts.tracking, of_runs=True), OF_RUNS)
    app.action(run_messages.TELL_ACTION)(tell_me.pressed)
    app.action(run_messages.UNTELL_ACTION)(tell_me.taken_back)


@dataclass(frozen=True)
class Words(Generic[Found]):
    """What is said of a job, or of a run. ``alone`` shows it to one person; of a run so many jobs are
    ``approved``. ``noted_before``: they had pressed it already.
    """

    name: str
    unknown: Callable[[str, Translator], Message]
    none_to_approve: Callable[[str, Translator], Message]
    not_now: Callable[[Found, str | None, Translator], Message]
    not_yours: Callable[[Found, Translator], Message]
    stale: Callable[[Found, str | None, Translator], Message]
    alone: Callable[[Found, str | None, Translator], Message]
    done_blindly: Callable[[int, Translator], Message]
    why_approved: Callable[[Found, str, Translator], View]
    why_rejected: Callable[[Found, str, Translator], View]
    approved: Callable[[Found, int, Translator], Message]
    rejected: Callable[[Found, int, Translator], Message]
    own_request: Callable[[Found, Translator], Message]
    too_late: Callable[[Found, str | None, Translator], Message]
    noted: Callable[[Found, Translator], Message]
    noted_before: Callable[[Found, Translator], Message]
    taken_back: Callable[[Found, Translator], Message]


OF_JOBS = Words[JobView](
    name="job",
    unknown=lambda number, t: answers.unknown_job(parsing.number(number) or 0, t),
    none_to_approve=question.no_such,
    not_now=answers.not_now,
    not_yours=answers.not_yours,
    stale=answers.stale,
    alone=status.detail,
    done_blindly=answers.done_blindly,
    why_approved=question.why_approved,
    why_rejected=question.why_rejected,
    approved=lambda job, n, t: question.approved(job, t),
    rejected=lambda job, n, t: question.rejected(job, t),
    own_request=question.own_request,
    too_late=lambda job, link, t: question.too_late(job, t),
    noted=partial(answers.will_be_told, before=False),
    noted_before=partial(answers.will_be_told, before=True),
    taken_back=answers.wont_be_told,
)
OF_RUNS = Words[RunView](
    name="run",
    unknown=run_messages.unknown_run,
    none_to_approve=run_messages.unknown_run,
    not_now=run_messages.not_now,
    not_yours=run_messages.not_yours,
    stale=run_messages.stale,
    alone=run_messages.shown_alone,
    done_blindly=run_messages.done_blindly,
    why_approved=run_messages.why_approved,
    why_rejected=run_messages.why_rejected,
    approved=run_messages.approved,
    rejected=run_messages.rejected,
    own_request=run_messages.own_request,
    too_late=run_messages.too_late,
    noted=partial(run_messages.will_be_told, before=False),
    noted_before=partial(run_messages.will_be_told, before=True),
    taken_back=run_messages.wont_be_told,
)


class Deciding(Protocol[Shown_contra, Found]):
    """`Approvals`, or `RunApprovals`."""

    def hindrance(self, number: int, by: Requester, /) -> Decision[Found] | None: ...
    def approve(self, number: int, by: Requester, shown: Shown_contra, reason: str, /) -> Decision[Found]: ...
    def reject(self, number: int, by: Requester, reason: str, /) -> Decision[Found]: ...


class CardButtons(ABC, Generic[Shown, Found]):
    """The buttons of a card. What a press did is seen there; only what it didn't do is said.

    *Approve* and *Reject* are on App Home too, and have a window that asks why.
    """

    def __init__(self, parts: BotParts, approvals: Deciding[Shown, Found], words: Words[Found]) -> None:
        self._guard = parts.guard
        self._callers = parts.callers
        self._signals = parts.signals
        self._store = parts.store
        self._card_publisher = parts.card_publisher
        self._approvals = approvals
        self._words = words

    def that(self, action_id: str, action: Action[Shown, Found]) -> Callable[..., None]:
        """The listener of a button that does this."""

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
        self, action_id: str, action: Action[Shown, Found], value: str, caller: Caller, *, alone: bool
    ) -> Message | None:
        """What to say; None where the card says it. ``alone``: pressed under an answer to this person."""
        t = caller.t
        number, found, shown = self._pressed(value)
        if found is None:
            return self._words.unknown(number, t)
        if refusal := self._refusal(self._jobs(found), caller, self._guard.refusal_of_press):
            return refusal
        try:
            effect = action(found.id, self._callers.requester(caller), shown)
        except AlreadyRunning as running:
            live = self._store.job(running.job_id)
            assert live is not None  # noqa: S101 - jobs are never deleted while they are live
            return answers.running_already(live, self._card_publisher.link(live), t)
        pressed = f"{self._words.name} {found.id}: {action_id} pressed"
        log.info("%s by %s: %s", pressed, caller.user_id, effect.became)
        return or_short_answer(
            lambda: self._outcome(effect, t, alone=alone), self._words.done_blindly(found.id, t)
        )

    def _outcome(self, effect: Effect[Found], t: Translator, *, alone: bool) -> Message | None:
        self._signals.wake_relay()
        for job_id in effect.to_enqueue:
            self._signals.enqueue(job_id)
        link = self._card_publisher.link(effect.after)
        match effect.became:
            case Became.NOT_NOW:
                return self._words.not_now(effect.after, link, t)
            case Became.NOT_YOURS:
                return self._words.not_yours(effect.after, t)
            case Became.STALE:
                return self._words.stale(effect.after, link, t)
            case _:
                return self._words.alone(effect.after, link, t) if alone else None

    # -- *Approve* and *Reject*

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

    def _asks_why(self, value: str) -> bool:
        """Whether who approves what this button stands for has to say why."""
        _, found, _ = self._pressed(value)
        copies = [self._guard.copy_named(job.copy_name) for job in self._waiting(found)] if found else []
        return any(copy is not None and copy.require_reason for copy in copies)

    def _window(self, value: str, origin: str, caller: Caller, *, approves: bool) -> View | Message:
        """The modal that asks why, with which ``origin`` comes back; or why this person may not decide."""
        t, (number, found, _) = caller.t, self._pressed(value)
        if found is None:
            return self._words.none_to_approve(number, t)
        if refusal := self._refusal(self._waiting(found), caller, self._guard.refusal_to_approve):
            return refusal
        if decision := self._approvals.hindrance(found.id, self._callers.requester(caller)):
            return self._decided(decision, found, caller, approves=approves)
        return (self._words.why_approved if approves else self._words.why_rejected)(found, origin, t)

    def _decide(self, value: str, caller: Caller, *, approves: bool, reason: str = "") -> Message:
        """Decides, and says what became of it."""
        number, found, shown = self._pressed(value)
        if found is None:
            return self._words.none_to_approve(number, caller.t)
        if refusal := self._refusal(self._waiting(found), caller, self._guard.refusal_to_approve):
            return refusal
        by = self._callers.requester(caller)
        if approves:
            decision = self._approvals.approve(found.id, by, shown, reason)
        else:
            decision = self._approvals.reject(found.id, by, reason)
        return self._decided(decision, found, caller, approves=approves)

    def _decided(self, decision: Decision[Found], found: Found, caller: Caller, *, approves: bool) -> Message:
        t, now = caller.t, decision.after or found
        link, words = self._card_publisher.link, self._words
        match decision.outcome:
            case ApprovalOutcome.UNKNOWN:
                return words.none_to_approve(str(found.id), t)
            case ApprovalOutcome.OWN:
                return words.own_request(now, t)
            case ApprovalOutcome.STALE:
                self._signals.wake_relay()
                return words.stale(now, link(now), t)
            case ApprovalOutcome.LATE:
                return words.too_late(now, link(now), t)
            case ApprovalOutcome.DONE:
                n, said = len(decision.decided), "approved" if approves else "rejected"
                if decision.decided:
                    log.info("%s %s: %s jobs %s by %s", words.name, now.id, n, said, caller.user_id)
                    self._signals.wake_relay()
                planned = {job.id for job in self._jobs(now) if job.waits_for_its_time}
                for job_id in decision.decided:
                    if approves and job_id not in planned:
                        self._signals.enqueue(job_id)  # raises nothing: a committed approval isn't denied
                return (words.approved if approves else words.rejected)(now, n, t)

    def _refusal(self, jobs: Sequence[JobView], caller: Caller, of_job: Refusal) -> Message | None:
        """Why this person may not press, asked of each copy once."""
        each = {(job.copy_name, job.second_group_is_asked): job for job in jobs}
        refusals = (of_job(job, caller.user_id, caller.t) for job in each.values())
        return next((refusal for refusal in refusals if refusal is not None), None)

    @abstractmethod
    def _pressed(self, value: str) -> tuple[str, Found | None, Shown]:
        """By a button's value: its number, what has this number, None for nothing, and what it showed."""

    @abstractmethod
    def _jobs(self, found: Found) -> Sequence[JobView]:
        """The jobs on which a press acts."""

    @abstractmethod
    def _waiting(self, found: Found) -> Sequence[JobView]:
        """Those of them about which a press of *Approve* or *Reject* decides."""


class JobButtons(CardButtons[RowCounts | None, JobView]):
    """Of a job. Anybody who may run the copy may approve it, and its second group once that is asked; not its
    requester.
    """

    def __init__(self, parts: BotParts) -> None:
        super().__init__(parts, Approvals(parts.tracking, parts.store), OF_JOBS)

    def _pressed(self, value: str) -> tuple[str, JobView | None, RowCounts | None]:
        number, counts = question.pressed(value)
        job_id = parsing.number(number)
        return number, self._store.job(job_id) if job_id is not None else None, counts

    def _jobs(self, found: JobView) -> Sequence[JobView]:
        return (found,)

    def _waiting(self, found: JobView) -> Sequence[JobView]:
        return (found,)


class RunButtons(CardButtons[str, RunView]):
    """Of a run."""

    def __init__(self, parts: BotParts) -> None:
        super().__init__(parts, RunApprovals(parts.tracking, parts.store), OF_RUNS)

    def _pressed(self, value: str) -> tuple[str, RunView | None, str]:
        number, shown = run_messages.pressed(value)
        run_id = parsing.number(number)
        return number, self._store.run(run_id) if run_id is not None else None, shown

    def _jobs(self, found: RunView) -> Sequence[JobView]:
        return found.jobs

    def _waiting(self, found: RunView) -> Sequence[JobView]:
        return found.waiting_for_approval


def _reason_of(body: dict[str, Any]) -> str:
    return Values(body["view"]["state"]["values"]).text(REASON)


def _origin(body: dict[str, Any]) -> tuple[str | None, str]:
    """The channel of the button, None on App Home, and its value."""
    channel, _, value = str(body["view"].get("private_metadata") or "").partition(" ")
    if channel.isdecimal():  # the release before wrote the number of a job that is rejected first
        channel, value = value, channel
    return channel.strip("-") or None, value


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
# Tell me and Don't tell me: whoever sees the card may press them


class TellMe(Generic[Found]):
    """Both buttons. ``find`` gives what has this number, None where there is none."""

    def __init__(
        self,
        parts: BotParts,
        find: Callable[[int], Found | None],
        followers: Followers,
        words: Words[Found],
    ) -> None:
        self._callers = parts.callers
        self._find = find
        self._followers = followers
        self._card_publisher = parts.card_publisher
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

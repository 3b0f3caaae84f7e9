"""What the conversations share: who asks, whether they may, and words for what keeps them from an answer.

A conversation acknowledges first, within Slack's three seconds, and asks Slack and the databases afterwards,
on another thread (see `bot.commands.concurrency`).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine

from bot.commands import parsing, registry
from bot.commands.concurrency import Full, Permit, WorkPool, WorkPools
from bot.config import CopySection, File, SetSection
from bot.i18n import Translator
from bot.jobs.failure import failure_of
from bot.jobs.repository import JobHistory, JobRepository, Requester
from bot.jobs.view import JobView, RunView
from bot.messages import answers, blocks
from bot.messages.blocks import Message, View
from bot.messages.failure_texts import explained
from bot.slack.access import TO_PRESS, TO_SHOW, Access, AccessDecision, MaxAge, People
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name, repeat
from bot.slack.ephemeral import Replies, Reply
from bot.slack.home_publisher import HomePublisher
from copier.errors import CopierError, failures_of

if TYPE_CHECKING:
    from slack_bolt import Ack

    from bot.commands.copy_verify import VerificationRunner


log = logging.getLogger(__name__)

Made = TypeVar("Made")
OnACard = TypeVar("OnACard", JobView, RunView)

#: So long the answer to a press waits for the card that it links to, in seconds, and how often it looks.
CARD_SECONDS, LOOK_SECONDS = 1.0, 0.1

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Guard:
    """Which copies are configured, and what is said to people who may not run them."""

    file: File
    access: Access

    @property
    def copy_names(self) -> list[str]:
        return [copy.name for copy in self.file.copies]

    def copy_named(self, name: str) -> CopySection | None:
        """The configured copy of that name."""
        return next((copy for copy in self.file.copies if copy.name == name), None)

    @property
    def set_names(self) -> list[str]:
        return [each.name for each in self.file.sets]

    def set_named(self, name: str | None) -> SetSection | None:
        """The set of that name; for None the default, if there is one."""
        if name is None:
            return self.file.default_set
        return next((each for each in self.file.sets if each.name == name), None)

    def chosen_copy(
        self, command: str, name: str | None, user_id: str, t: Translator
    ) -> CopySection | Message | None:
        """The configured copy of that name, None where there is none.

        Without a name it is the first one that this person may run; or in words why there is none. A copy of
        which Slack doesn't say it now isn't passed over.
        """
        if name is not None:
            return self.copy_named(name)
        decisions = []
        for copy in self.file.copies:
            decision = self.access.may_run(user_id, copy)
            if decision.allowed:
                return copy
            if decision.reason is not None:
                return self._refused(command, user_id, decision, copy, t)
            decisions.append(decision)
        return self._refused(command, user_id, decisions[0], self.file.copies[0], t)

    def refusal_to_run(
        self, command: str, user_id: str, copy: CopySection, t: Translator, age: MaxAge = TO_SHOW
    ) -> Message | None:
        """Why this person may not use the command for this copy; None where they may."""
        decision = self.access.may_run(user_id, copy, age)
        return None if decision.allowed else self._refused(command, user_id, decision, copy, t)

    def refusal_to_run_set(
        self, command: str, user_id: str, chosen: SetSection, t: Translator, age: MaxAge = TO_SHOW
    ) -> Message | None:
        """The same for a set: it is for whoever may run every copy of it."""
        refusals = (
            self.refusal_to_run(command, user_id, copy, t, age) for copy in self.file.copies_of(chosen)
        )
        return next((refusal for refusal in refusals if refusal is not None), None)

    def refusal_to_use(
        self, command: str, user_id: str, t: Translator, age: MaxAge = TO_SHOW
    ) -> Message | None:
        """The same for what concerns no copy in particular: it is for whoever may run any."""
        decision = self.access.may_use(user_id, age)
        return None if decision.allowed else self._refused(command, user_id, decision, None, t)

    def refusal_to_audit(self, command: str, user_id: str, t: Translator) -> Message | None:
        """The same for what shows all copies of everybody: see `Access.may_audit`."""
        decision = self.access.may_audit(user_id)
        return None if decision.allowed else self._refused(command, user_id, decision, None, t)

    def refusal_of_press(self, job: JobView, user_id: str, t: Translator) -> Message | None:
        """Why this person may press no button of the job's card; None where they may.

        Of a copy that the configuration doesn't have nobody knows who may run it: nobody may.
        """
        copy = self.copy_named(job.copy_name)
        if copy is None:
            return answers.copy_not_configured(job, t)
        return self.refusal_to_run(blocks.COPY_COMMAND, user_id, copy, t, TO_PRESS)

    def refusal_to_approve(self, job: JobView, user_id: str, t: Translator) -> Message | None:
        """Why this person may not approve or reject the job; None where they may.

        That is for whoever may press its buttons, and for its second group once that is asked.
        """
        copy = self.copy_named(job.copy_name)
        if copy is None:
            return answers.copy_not_configured(job, t)
        asked = job.second_group_is_asked
        decision = self.access.may_approve(user_id, copy, TO_PRESS, second_group=asked)
        return None if decision.allowed else self._refused(blocks.COPY_COMMAND, user_id, decision, copy, t)

    def help(self, t: Translator) -> Message:
        """How to use all commands, and who may."""
        own = [(copy.name, self.access.who_may(copy)) for copy in self.file.copies if copy.names_its_people]
        lines = registry.help_lines(self.copy_names, t, self.set_names)
        return answers.help_text(lines, self.access.shared_names, t, own)

    @staticmethod
    def _refused(
        command: str, user_id: str, decision: AccessDecision, copy: CopySection | None, t: Translator
    ) -> Message:
        if decision.reason is not None:
            log.error("permission of %s not known: Slack answered %s", user_id, decision.reason)
            return answers.cannot_check(decision.reason, t)
        named = copy.name if copy is not None and copy.names_its_people else None
        return answers.refused(command, decision.groups, t, named)


@dataclass(frozen=True)
class Caller:
    """Who typed or pressed, in which language they read, and the way back to them."""

    team_id: str
    user_id: str
    t: Translator
    reply: Reply

    def answer(self, make: Callable[[], Message | None], *, replace: bool = False) -> None:
        """Says what ``make`` gives, or in words what kept it from giving anything; nothing for None."""
        message = or_problem(make, self.t)
        if message is not None:
            self.reply.say(message, replace=replace)


@dataclass(frozen=True)
class Callers:
    """Finds out who a payload is from, and answers them as soon as there is a thread for it."""

    people: People
    replies: Replies
    pools: WorkPools = field(default_factory=WorkPools)

    def of(self, body: dict[str, Any]) -> Caller:
        """Whoever sent this command, press or step of a modal. May ask Slack for their language."""
        team_id, user_id = user_of(body)
        return Caller(team_id, user_id, self.people.language_of(user_id), self.replies.to(body))

    def known(self, body: dict[str, Any]) -> Caller:
        """The same without asking Slack, for what an acknowledgement says."""
        team_id, user_id = user_of(body)
        return Caller(team_id, user_id, self.people.known_language(user_id), self.replies.to(body))

    def answer(
        self,
        ack: Ack,
        body: dict[str, Any],
        make: Callable[[Caller], Message | None],
        pool: WorkPool | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """Acknowledges, and then says what ``make`` gives, as `Caller.answer` does."""
        self.begin(ack, body, lambda caller: caller.answer(lambda: make(caller), replace=replace), pool=pool)

    def begin(
        self,
        ack: Ack,
        body: dict[str, Any],
        work: Callable[[Caller], None],
        pool: WorkPool | None = None,
    ) -> None:
        """Acknowledges, and does the work when there is a thread for it; or says that there is no permit.

        A command for help never waits behind one that needs a database.
        """
        if parsing.asks_for_help(str(body.get("text") or "")):
            pool = self.pools.words
        permit = (pool or self.pools.answers).take(user_of(body)[1])
        if isinstance(permit, Permit):
            ack()
            permit.begin(lambda: self._work(work, self.of(body)))
        else:
            self._refuse(ack, body, permit)

    def tell(self, body: dict[str, Any], make: Callable[[Translator], Message]) -> None:
        """Says it to whoever the payload is from, unless they are being told something like it right now."""
        caller = self.known(body)
        permit = self.pools.notices.take(caller.user_id)
        if isinstance(permit, Permit):
            permit.begin(lambda: caller.reply.say(make(caller.t)))

    @staticmethod
    def _work(work: Callable[[Caller], None], caller: Caller) -> None:
        try:
            work(caller)
        except Exception as error:
            caller.reply.say(incident(error, caller.t))

    def _refuse(self, ack: Ack, body: dict[str, Any], full: Full) -> None:
        """In the acknowledgement of a command, which costs nothing more."""
        if "command" in body:
            said = answers.at_capacity(full is Full.ONES_OWN, self.known(body).t)
            ack(text=said.text, blocks=said.blocks)
        else:
            ack()
            self.tell(body, lambda t: answers.at_capacity(full is Full.ONES_OWN, t))

    def requester(self, caller: Caller) -> Requester:
        """The caller as a row of the tracking tables names them."""
        return self.people.requester(caller.team_id, caller.user_id)


@dataclass(frozen=True)
class Signals:
    """What to call after a row has changed. ``enqueue`` is False where the queue can't be reached."""

    enqueue: Callable[[int], bool]
    wake_relay: Callable[[], None]


@dataclass(frozen=True)
class BotParts:
    """What was wired for the bot. Each ``connect`` function picks from it what its conversation uses."""

    guard: Guard
    callers: Callers
    signals: Signals
    prod: Engine
    consulta: Engine
    tracking: Engine
    store: JobRepository
    history: JobHistory
    card_publisher: CardPublisher
    home_publisher: HomePublisher
    verifications: VerificationRunner


def or_problem(make: Callable[[], Made], t: Translator) -> Made | Message:
    """What ``make`` gives, or in words what kept it from giving anything.

    A database that fails is named with the next step; for what nobody foresaw there is a number that
    is in the log, with the traceback, too.
    """
    try:
        with failures_of("consulta"):
            return make()
    except CopierError as error:
        log.warning("a question was not answered: %s", error, exc_info=error)
        return answers.problem(explained(failure_of(error), t))
    except Exception as error:
        return incident(error, t)


def incident(error: BaseException, t: Translator) -> Message:
    """Logs what nobody foresaw, with its traceback and a number; gives the sentence with that number."""
    number = uuid4().hex[:8]
    log.error("incident %s", number, exc_info=error)
    return answers.incident(number, t)


def or_short_answer(make: Callable[[], Made], short: Message) -> Made | Message:
    """What ``make`` says of something that is committed already; ``short`` where that fails.

    Nothing that goes wrong after the commit may make the answer deny it.
    """
    try:
        return make()
    except Exception:
        log.exception("an answer is shorter than it could be")
        return short


def with_card(look: Callable[[], OnACard]) -> OnACard:
    """The job, or the run, as soon as its card is there, or as it is after a moment."""
    until = time.monotonic() + CARD_SECONDS
    while True:
        found = look()
        if found.message_ts is not None or time.monotonic() > until:
            return found
        time.sleep(LOOK_SECONDS)


class ViewUpdate(Enum):
    """What became of a view that was to take the place of one that waits."""

    SHOWN = "shown"
    CLOSED = "closed"  # by whom it was for
    FAILED = "failed"


def update_view(client: WebClient, view_id: str, view: View) -> ViewUpdate:
    """Puts the view in the place of the one that waits. Raises nothing that Slack answers."""
    try:
        repeat(lambda: client.views_update(view_id=view_id, view=view))
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        log.info("a window was not updated: %s", error_name(error))
        return ViewUpdate.CLOSED if error_name(error) == "not_found" else ViewUpdate.FAILED
    return ViewUpdate.SHOWN


def cleaned(payload: Any) -> Any:
    """The payload without what no database and no answer of ours can hold, in place: lone surrogates, NUL."""
    if isinstance(payload, str):
        text = payload.replace("\x00", "\ufffd")
        return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
    if isinstance(payload, dict):
        for key, value in [*payload.items()]:
            payload[key] = cleaned(value)
    elif isinstance(payload, list):
        payload[:] = map(cleaned, payload)
    return payload


def user_of(body: dict[str, Any]) -> tuple[str, str]:
    """Team and user of a command's or an action's payload.

    Raises:
        KeyError, TypeError, AttributeError: the payload doesn't name anybody.
    """
    if "user" in body:
        team, user = body.get("team"), body["user"]
        team_id = team.get("id") if isinstance(team, dict) else None  # of an organisation's app there is none
        found = team_id or user.get("team_id"), user["id"]
    else:
        found = body["team_id"], body["user_id"]
    if not isinstance(found[1], str) or not found[1]:
        raise TypeError("the payload names nobody")
    return str(found[0] or ""), found[1]


def pressed_value(body: dict[str, Any]) -> str:
    """The value of the button that was pressed; empty where it has none.

    Raises:
        KeyError, IndexError and their like: the payload names no button.
    """
    return str(body["actions"][0].get("value") or "")

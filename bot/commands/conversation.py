"""What every conversation needs: the parts it may use, and words for what kept it from an answer.

A conversation acknowledges first, within Slack's three seconds, and asks databases afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar
from uuid import uuid4

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine

from bot.commands.comparisons import Comparisons
from bot.config import CopySection, File
from bot.i18n import Translator
from bot.jobs.actions import Approvals
from bot.jobs.failure import failure_of
from bot.jobs.repository import JobHistory, JobRepository
from bot.jobs.view import JobView
from bot.messages import answers, naming
from bot.messages.blocks import Message, View
from bot.messages.failures import explained
from bot.slack.access import LOOK, PRESS, Access, AccessDecision, Age, People
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name, insist
from bot.slack.home_publisher import HomePublisher
from bot.slack.replies import Replies, Reply
from copier.errors import CopierError, failures_of

log = logging.getLogger(__name__)

Said = TypeVar("Said")


@dataclass(frozen=True)
class Surface:
    """The parts that conversations use. ``enqueue`` is False where the queue can't be reached."""

    file: File
    prod: Engine
    consulta: Engine
    tracking: Engine
    store: JobRepository
    history: JobHistory
    approvals: Approvals
    permissions: Access
    people: People
    card_publisher: CardPublisher
    replies: Replies
    comparisons: Comparisons
    home_publisher: HomePublisher
    enqueue: Callable[[int], bool]
    wake_courier: Callable[[], None]

    def links(self, jobs: list[JobView]) -> dict[int, str]:
        """Permalinks to the cards of these jobs, asked for side by side."""
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(self.card_publisher.link, jobs)
            return {job.id: link for job, link in zip(jobs, found, strict=True) if link}

    @property
    def copy_names(self) -> list[str]:
        return [copy.name for copy in self.file.copies]

    def copy_named(self, name: str) -> CopySection | None:
        """The configured copy of that name."""
        return next((copy for copy in self.file.copies if copy.name == name), None)

    def copy_meant(
        self, command: str, name: str | None, user_id: str, t: Translator
    ) -> CopySection | Message | None:
        """The configured copy of that name, None where there is none.

        Without a name it is the first one that this person may run; or in words why there is none. A copy of
        which Slack doesn't say it now isn't passed over.
        """
        if name is not None:
            return self.copy_named(name)
        verdicts = []
        for copy in self.file.copies:
            decision = self.permissions.may_run(user_id, copy)
            if decision.allowed:
                return copy
            if decision.reason is not None:
                return self._refused(command, user_id, decision, copy, t)
            verdicts.append(decision)
        return self._refused(command, user_id, verdicts[0], self.file.copies[0], t)

    def refusal_to_run(
        self, command: str, user_id: str, copy: CopySection, t: Translator, age: Age = LOOK
    ) -> Message | None:
        """Why this person may not use the command for this copy; None where they may."""
        decision = self.permissions.may_run(user_id, copy, age)
        return None if decision.allowed else self._refused(command, user_id, decision, copy, t)

    def refusal_to_use(self, command: str, user_id: str, t: Translator, age: Age = LOOK) -> Message | None:
        """The same for what concerns no copy in particular: it is for whoever may run any."""
        decision = self.permissions.may_use(user_id, age)
        return None if decision.allowed else self._refused(command, user_id, decision, None, t)

    def refusal_of_press(self, job: JobView, user_id: str, t: Translator) -> Message | None:
        """Why this person may press no button of the job's card; None where they may.

        Of a copy that the configuration doesn't have nobody knows who may run it: nobody may.
        """
        copy = self.copy_named(job.copy_name)
        if copy is None:
            return answers.copy_not_configured(job, t)
        return self.refusal_to_run(naming.COPY_COMMAND, user_id, copy, t, PRESS)

    @staticmethod
    def _refused(
        command: str, user_id: str, decision: AccessDecision, copy: CopySection | None, t: Translator
    ) -> Message:
        if decision.reason is not None:
            log.error("permission of %s not known: Slack answered %s", user_id, decision.reason)
            return answers.cannot_check(decision.reason, t)
        named = copy.name if copy is not None and copy.names_its_people else None
        return answers.refused(command, decision.groups, t, named)

    def help(self, t: Translator) -> Message:
        """How to use everything, and who may."""
        own = [
            (copy.name, self.permissions.who_may(copy)) for copy in self.file.copies if copy.names_its_people
        ]
        return answers.help_text(self.copy_names, self.permissions.shared_names, t, own)


def answer_with(
    make: Callable[[], Message | None], reply: Reply, t: Translator, *, replace: bool = False
) -> None:
    """Says what ``make`` gives, or in words what kept it from giving anything; nothing for None."""
    message = told(make, t)
    if message is not None:
        reply.say(message, replace=replace)


def told(make: Callable[[], Said], t: Translator) -> Said | Message:
    """What ``make`` gives, or in words what kept it from giving anything.

    A database that fails is named with the next step; for what nobody foresaw there is a number that
    is in the log, with the traceback, too.
    """
    try:
        with failures_of("consulta"):
            return make()
    except CopierError as error:
        log.warning("a question was not answered: %s", error, exc_info=error)
        return answers.problem(explained(failure_of(error).as_json(), t))
    except Exception:
        number = uuid4().hex[:8]
        log.exception("incident %s", number)
        return answers.incident(number, t)


class Shown(Enum):
    """What became of a view that was to take the place of one that waits."""

    YES = "yes"
    CLOSED = "closed"  # by whom it was for
    NO = "no"


def show(client: WebClient, view_id: str, view: View) -> Shown:
    """Puts it in the place of the view that waits."""
    try:
        insist(lambda: client.views_update(view_id=view_id, view=view))
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        log.info("a window was not updated: %s", error_name(error))
        return Shown.CLOSED if error_name(error) == "not_found" else Shown.NO
    return Shown.YES


def after_it_is_done(make: Callable[[], Said], blindly: Message) -> Said | Message:
    """What ``make`` says of something that is written down already; ``blindly`` where that fails.

    Nothing that goes wrong from then on may make the answer deny it.
    """
    try:
        return make()
    except Exception:
        log.exception("an answer is shorter than it could be")
        return blindly


def user_of(body: dict[str, Any]) -> tuple[str, str]:
    """Team and user of a command's or an action's payload."""
    if "user" in body:
        team = body.get("team") or {}
        return str(team.get("id") or body["user"].get("team_id") or ""), str(body["user"]["id"])
    return str(body["team_id"]), str(body["user_id"])

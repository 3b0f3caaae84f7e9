"""What leads from a number to a job or a run, whatever is copied: one copy of one liquidation, of several, or
a whole set.

Both sides are looked at, a press is turned into what the tracking tables keep, and whoever pressed is told
what became of it. The conversations differ in what they show, and in what keeps them from being pressed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bot import time_expressions
from bot.commands.conversation import (
    BotParts,
    Caller,
    Callers,
    Guard,
    Signals,
    or_short_answer,
    with_card,
)
from bot.config import CopySection
from bot.errors import Frozen
from bot.i18n import Translator
from bot.jobs.baseline import look_at_both_sides
from bot.jobs.freezes import Freezes
from bot.jobs.repository import CreatedRun, JobHistory, JobRepository, Request, RunRequest
from bot.jobs.view import AgreedCounts, JobView, RunView
from bot.messages import proposal
from bot.messages import run as run_messages
from bot.messages.answers import refused_because_frozen
from bot.messages.blocks import LABEL_LIMIT, Block, Message, View, cut
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name
from copier import Preview

log = logging.getLogger(__name__)

#: So many looks at both sides are made side by side, of all people together: each has a session on either.
SIDE_BY_SIDE = 8
#: What stands in the picker of a moment: the next such time by the reader's clock.
AT_FIRST = "02:00"

One = TypeVar("One")
Made = TypeVar("Made")


class JobCreation:
    """The look, the request and the run: what the conversations that start copies share."""

    def __init__(
        self,
        guard: Guard,
        callers: Callers,
        signals: Signals,
        *,
        prod: Engine,
        consulta: Engine,
        store: JobRepository,
        history: JobHistory,
        freezes: Freezes,
        card_publisher: CardPublisher,
    ) -> None:
        self.guard = guard
        self.callers = callers
        self.signals = signals
        self.prod = prod
        self.consulta = consulta
        self.store = store
        self.history = history
        self.card_publisher = card_publisher
        self._freezes = freezes
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="looks")

    @classmethod
    def of(cls, parts: BotParts) -> JobCreation:
        """Built from what was wired."""
        return cls(
            parts.guard,
            parts.callers,
            parts.signals,
            prod=parts.prod,
            consulta=parts.consulta,
            store=parts.store,
            history=parts.history,
            freezes=Freezes(parts.tracking),
            card_publisher=parts.card_publisher,
        )

    # -- Before a press

    def frozen(self, t: Translator) -> Message | None:
        """That nothing may be copied now; None where it may."""
        freeze = self._freezes.active()
        return refused_because_frozen(freeze, t) if freeze else None

    def seen(
        self,
        copy: CopySection,
        liquidation_id: int,
        together: Collection[CopySection] = (),
    ) -> Preview:
        """Both sides of one copy as they are now; of one of a set, whose copies are ``together``, also what
        consulta lacks of other tables. Errors are those of `look_at_both_sides`.
        """
        return look_at_both_sides(
            self.prod,
            self.consulta,
            self.guard.file,
            copy,
            liquidation_id,
            baseline=self.history.baseline(copy.spec, liquidation_id),
            together=together,
            counts_lacking=bool(together),
        )

    def side_by_side(self, look: Callable[[One], Made], each: Iterable[One]) -> tuple[Made, ...]:
        """What these looks find, in order; the first error of them is raised."""
        return tuple(self._pool.map(look, each))

    # -- The press

    def request(
        self,
        copy: CopySection,
        liquidation_id: int,
        seen: Preview,
        terms: AgreedCounts,
        *,
        caller: Caller,
        reason: str,
        needs_approval: bool,
        channel_id: str | None = None,
        key: str | None = None,
        start_at: datetime | None = None,
    ) -> Request:
        """One copy that was pressed for. Those of a run have neither a channel nor a key of their own."""
        return Request(
            spec=copy.spec,
            liquidation_id=liquidation_id,
            label=cut(seen.label, LABEL_LIMIT) if seen.label else None,
            requester=self.callers.requester(caller),
            channel_id=channel_id,
            key=key,
            terms=terms,
            fingerprint=seen.fingerprint,
            approvers=tuple(self.guard.access.who_may(copy)) if needs_approval else None,
            approval_seconds=self.guard.file.work.approval_seconds,
            second_group_seconds=copy.second_group_seconds,
            reason=reason,
            start_at=start_at,
        )

    def begin_run(
        self,
        wanted: RunRequest,
        taken: tuple[JobView, ...],
        caller: Caller,
        in_the_way_of_all: Callable[[tuple[JobView, ...]], Message],
    ) -> Message:
        """Creates the run, and says what became of the press. ``taken`` are live jobs that were in the way
        before; ``in_the_way_of_all`` says that nothing was started because of them.
        """
        t = caller.t
        try:
            created = self._created_run(wanted)
        except Frozen as frozen:
            return refused_because_frozen(frozen.freeze, t)
        late = tuple(job for job_id in created.taken if (job := self.store.job(job_id)))
        in_the_way = (*taken, *late)
        if created.run_id is None:
            return in_the_way_of_all(in_the_way)
        return or_short_answer(
            lambda: self._requested(created, in_the_way, caller),
            run_messages.requested_blindly(created.run_id, t),
        )

    def _created_run(self, wanted: RunRequest) -> CreatedRun:
        """Also where consulta's answer to the commit was lost."""
        try:
            return self.store.create_run(wanted)
        except SQLAlchemyError:
            if wanted.key and (run := self.store.run_by_key(wanted.key)):
                return CreatedRun(run.id, True, tuple(job.id for job in run.jobs))
            raise

    def _requested(self, created: CreatedRun, taken: tuple[JobView, ...], caller: Caller) -> Message:
        run_id = created.run_id or 0
        if created.is_new:
            log.info("run %s: %s jobs asked for by %s", run_id, len(created.job_ids), caller.user_id)
            self.signals.wake_relay()
            for job in self._run(run_id).jobs:
                if not job.waits_for_somebody and not job.waits_for_its_time:
                    self.signals.enqueue(job.id)
        run = with_card(lambda: self._run(run_id))
        links = self.card_publisher.links(taken)
        return run_messages.requested(run, taken, links, self.card_publisher.link(run), caller.t)

    def _run(self, run_id: int) -> RunView:
        run = self.store.run(run_id)
        if run is None:
            raise LookupError(f"there is no run {run_id}")
        return run


class CreatesJobs:
    """A conversation that starts copies, with what it uses of what was wired."""

    def __init__(self, creation: JobCreation) -> None:
        self._creation = creation
        self._guard = creation.guard
        self._callers = creation.callers
        self._signals = creation.signals
        self._store = creation.store
        self._history = creation.history
        self._card_publisher = creation.card_publisher


class Values:
    """What stands in the inputs of a message or a view, by their names; empty where nothing does."""

    def __init__(self, values: dict[str, dict[str, Block]]) -> None:
        self._values = values

    def option(self, name: str) -> str:
        return str((self._of(name).get("selected_option") or {}).get("value", ""))

    def text(self, name: str) -> str:
        return str(self._of(name).get("value") or "")

    def conversation(self, name: str) -> str:
        return str(self._of(name).get("selected_conversation") or "")

    def moment(self, name: str) -> datetime | None:
        found = self._of(name).get("selected_date_time")
        return None if found is None else datetime.fromtimestamp(int(found), UTC)

    def _of(self, name: str) -> Block:
        return self._values.get(name, {}).get(name, {})


def press_of(body: dict[str, Any]) -> tuple[str, str, str]:
    """Of a press of *Copy* on a confirm card: the button's value, the channel, and the reason, if any."""
    values = (body.get("state") or {}).get("values") or {}
    return str(body["actions"][0]["value"]), str(body["channel"]["id"]), Values(values).text(proposal.WHY)


def first_start(time_zone: str) -> datetime:
    """The moment that a window for *Later…* proposes to somebody in the time zone of this name."""
    return time_expressions.next_time(time_expressions.time_of_day(AT_FIRST), datetime.now(UTC), time_zone)


def ask_when(view: View, body: dict[str, Any], client: WebClient, caller: Caller) -> None:
    """Opens the window that asks when to begin, or says that Slack didn't."""
    try:
        client.views_open(trigger_id=str(body.get("trigger_id")), view=view)
    except (SlackApiError, *CONNECTION_ERRORS) as error:
        log.warning("nobody was asked when to begin: %s", error_name(error))
        caller.reply.say(proposal.not_shown(caller.t))

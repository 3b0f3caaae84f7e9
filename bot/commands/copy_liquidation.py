"""``/copy-liquidation 42``: look at both sides, ask, one press, one job. Alone it opens the modal, in which
a liquidation is chosen.

A press counts only for the numbers that were shown, and only for a while: otherwise the new ones are shown,
and it asks again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlalchemy.exc import SQLAlchemyError

from bot import time_expressions
from bot.commands import parsing
from bot.commands.concurrency import Full, Permit, Searches, Superseded, TooManySearches, WorkPool
from bot.commands.conversation import (
    BotParts,
    Caller,
    ViewUpdate,
    or_problem,
    or_short_answer,
    update_view,
    user_of,
    with_card,
)
from bot.commands.copy_runs import CopyOfSet, CopySeveral, RunsForLater
from bot.commands.job_creation import CreatesJobs, JobCreation, Values, ask_when, first_start, press_of
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.config import SIDES, CopySection
from bot.errors import AlreadyRunning, Frozen, UnknownJob
from bot.i18n import Translator
from bot.jobs.repository import Request
from bot.jobs.view import JobView
from bot.messages import answers, proposal, question
from bot.messages.answers import refused_because_frozen
from bot.messages.blocks import COPY_COMMAND, Message, View
from bot.messages.freshness import COPY_ACTION as MOVED_ON_ACTION
from bot.messages.home import NEW_ACTION
from bot.messages.proposal import (
    CANCEL_ACTION,
    COPY_ACTION,
    LATER_ACTION,
    Carried,
    Offer,
    Offered,
    Proposal,
    is_nothing,
    made_of,
    proposal_card,
    why_missing,
)
from bot.messages.run_proposal import (
    COPY_SEVERAL_ACTION,
    COPY_WHOLE_ACTION,
    MOST,
    WholeOffer,
    WholeOffered,
    choice,
    read_offer,
    whole_preview,
)
from bot.slack.access import TO_PRESS
from bot.slack.client import CONNECTION_ERRORS, error_name
from copier import Abort, Aborted, Entry, Preview, search
from copier.errors import CopierError

if TYPE_CHECKING:
    from slack_bolt import Ack, App


def help_lines(names: list[str], t: Translator) -> HelpLines:
    others = ", ".join(f"`{name}`" for name in names)
    return [
        (COPY_COMMAND, t("searches a liquidation in a window, and starts its copy there")),
        (f"{COPY_COMMAND} 42", t("shows what would be copied, and asks before it does anything")),
        (f"{COPY_COMMAND} 40-42,45", t("the same for several at once, up to {n}", n=MOST)),
        (
            f"{COPY_COMMAND} 42 {names[0]}",
            t("the same for one of the configured copies: {names}", names=others),
        ),
    ]


def help_of_sets(names: list[str], t: Translator) -> HelpLines:
    others = ", ".join(f"`{name}`" for name in names)
    words = t("the same for all tables of a set, at one moment: {names}", names=others)
    return [(f"{COPY_COMMAND} 42 {names[0]}", words)]


def connect(app: App, parts: BotParts) -> None:
    """Adds the command and its buttons; the modal's menu and both its steps; App Home's button, and
    those of the watch.
    """
    creation = JobCreation.of(parts)
    start = StartCopy(creation)
    sets = CopyOfSet(creation)
    several = CopySeveral(creation, sets)
    modal = CopyModal(creation, start, sets)
    app.action(NEW_ACTION)(modal.from_home)
    app.options(proposal.LIQUIDATION)(modal.options)
    app.view(proposal.CHOOSE_CALLBACK)(modal.chosen)
    app.view(proposal.PRESS_CALLBACK)(modal.pressed)
    conversation = CopyLiquidation(creation, start, modal, several, sets)
    app.command(COPY_COMMAND)(conversation.command)
    app.action(COPY_ACTION)(conversation.confirmed)
    app.action(CANCEL_ACTION)(conversation.cancelled)
    app.action(LATER_ACTION)(modal.later)
    RunsForLater(creation, several, sets).connect(app)
    app.action(MOVED_ON_ACTION)(conversation.from_watch)
    app.action(COPY_SEVERAL_ACTION)(several.confirmed)
    app.action(COPY_WHOLE_ACTION)(sets.confirmed)


class CopyLiquidation:
    """The conversation from the command to the job."""

    def __init__(
        self, creation: JobCreation, start: StartCopy, modal: CopyModal, several: CopySeveral, sets: CopyOfSet
    ) -> None:
        self._guard = creation.guard
        self._callers = creation.callers
        self._start = start
        self._modal = modal
        self._several = several
        self._sets = sets

    def command(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        text, pools = str(body.get("text") or ""), self._callers.pools
        if parsing.words(text):
            self._callers.answer(ack, body, lambda caller: self._answer_to(text, caller), pools.looks)
        else:
            self._callers.begin(ack, body, lambda caller: self._open(body, client, caller))

    def confirmed(self, ack: Ack, body: dict[str, Any]) -> None:
        pool = self._callers.pools.presses
        self._callers.answer(ack, body, lambda caller: self._press(body, caller), pool, replace=True)

    def from_watch(self, ack: Ack, body: dict[str, Any]) -> None:
        """*Copy* in the watch's message, or below a comparison: the same proposal as after the command."""
        pool = self._callers.pools.looks
        self._callers.answer(ack, body, lambda caller: self._look_from_watch(body, caller), pool)

    def cancelled(self, ack: Ack, body: dict[str, Any]) -> None:
        self._callers.answer(ack, body, lambda caller: answers.cancelled(caller.t), replace=True)

    def _open(self, body: dict[str, Any], client: WebClient, caller: Caller) -> None:
        if not self._modal.open(client, body, Carried(channel=str(body["channel_id"])), caller):
            caller.reply.say(answers.number_missing(caller.t))

    def _answer_to(self, text: str, caller: Caller) -> Message:
        t, user_id, names = caller.t, caller.user_id, [*self._guard.copy_names, *self._guard.set_names]
        if parsing.asks_for_help(text):
            return self._guard.help(t)
        words = parsing.words(text)
        if (answer := self._several.answer(words, caller)) is not None:
            return answer
        if (one := parsing.several(words)) is not None:  # such as 42-42
            words = [str(one[0].values[0]), *one[1]]
        suggestion = parsing.suggestion(words, names, COPY_COMMAND)
        liquidation_id = parsing.number(words[0])
        if liquidation_id is None:
            return answers.not_a_number(words[0], t, suggestion)
        if len(words) > 2:
            return answers.too_many_words(t, suggestion)
        name = words[1] if len(words) == 2 else None
        if (chosen := self._guard.set_named(name)) is not None:
            return self._sets.shown(chosen, liquidation_id, caller)
        copy = self._guard.chosen_copy(COPY_COMMAND, name, user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            example = f"{COPY_COMMAND} {liquidation_id} {names[0]}"
            return answers.unknown_copy(words[1], names, t, suggestion, example)
        return self._shown(copy, liquidation_id, caller)

    def _look_from_watch(self, body: dict[str, Any], caller: Caller) -> Message:
        name, _, number = str(body["actions"][0]["value"]).rpartition(" ")
        copy = self._guard.copy_named(name)
        if copy is None and (chosen := self._guard.set_named(name)) is not None:
            return self._sets.shown(chosen, int(number), caller)
        if copy is None:
            return answers.unknown_copy(name, self._guard.copy_names, caller.t)
        return self._shown(copy, int(number), caller)

    def _shown(self, copy: CopySection, liquidation_id: int, caller: Caller) -> Message:
        found = self._start.look(copy, liquidation_id, caller)
        return proposal_card(found, caller.t) if isinstance(found, Offered) else found

    def _press(self, body: dict[str, Any], caller: Caller) -> Message:
        value, channel_id, typed = press_of(body)
        return self._start.press(Offer.decoded(value), caller, channel_id, typed)


register(
    SlashCommand(
        name=COPY_COMMAND,
        example="42",
        arguments=Arguments.LIQUIDATION,
        help=help_lines,
        help_of_sets=help_of_sets,
        connect=connect,
        aliases={"copy": "", "copiar": ""},
        place=1,
    )
)


# ----------------------------------------------------------------------------
# The look, the offer and the press: the command and the modal share them


log = logging.getLogger(__name__)


class StartCopy(CreatesJobs):
    """The way from a liquidation's number to a job."""

    def look(self, copy: CopySection, liquidation_id: int, caller: Caller) -> Offered | Message:
        """The offer; or, in words, why there is nothing that this person could press."""
        t = caller.t
        if refusal := self._guard.refusal_to_run(COPY_COMMAND, caller.user_id, copy, t):
            return refusal
        if hindered := self._hindered(copy, liquidation_id, t):
            return hindered
        proposal = self._proposal(copy, liquidation_id)
        return self._nothing_to_do(copy, liquidation_id, proposal.seen, t) or self._offered(
            copy, liquidation_id, proposal
        )

    def press(self, offer: Offer, caller: Caller, channel_id: str, reason: str = "") -> Message:
        """What becomes of a press of *Copy*, as what takes the place of the card."""
        found = self.start_or_ask(offer, caller, channel_id, reason)
        return proposal_card(found, caller.t) if isinstance(found, Offered) else found

    def start_or_ask(
        self,
        offer: Offer,
        caller: Caller,
        channel_id: str,
        reason: str = "",
        start_at: datetime | None = None,
    ) -> Offered | Message:
        """Starts the job, or says why not; a new offer where the old one is too old or no longer true, or
        where the copy asks for a reason and there is none.

        Nobody takes it before ``start_at``; None for at once. The numbers bind it all the same: where others
        are there then, it asks on its card. The person is checked anew, and a press works once, however often
        it is delivered.
        """
        t, guard = caller.t, self._guard
        copy = guard.copy_named(offer.copy_name)
        if copy is None:
            return answers.unknown_copy(offer.copy_name, guard.copy_names, t)
        if refusal := guard.refusal_to_run(COPY_COMMAND, caller.user_id, copy, t, TO_PRESS):
            return refusal
        if used := self._store.by_key(offer.key):
            return answers.pressed_before(used, self._card_publisher.link(used), t)
        if hindered := self._hindered(copy, offer.liquidation_id, t):
            return hindered
        proposal = self._proposal(copy, offer.liquidation_id)
        if nothing := self._nothing_to_do(copy, offer.liquidation_id, proposal.seen, t):
            return nothing
        moved = offer.moved(proposal.seen)
        if moved or time.time() > offer.expires_at:
            notice = answers.asked_anew(t, moved=moved)
            return self._offered(copy, offer.liquidation_id, proposal, notice)
        if copy.require_reason and not reason.strip():
            return self._offered(copy, offer.liquidation_id, proposal, why_missing(t))
        if proposal.approvers is not None and channel_id.startswith("D"):
            return question.not_in_private(copy.shown, t)
        request = self._creation.request(
            copy,
            offer.liquidation_id,
            proposal.seen,
            offer.terms(proposal.seen),
            caller=caller,
            reason=reason,
            needs_approval=proposal.approvers is not None,
            channel_id=channel_id,
            key=offer.key,
            start_at=start_at,
        )
        return self._create(request, t)

    def _create(self, request: Request, t: Translator) -> Message:
        try:
            job_id, is_new = self._written(request)
        except AlreadyRunning as running:
            job = self._store.job(running.job_id)
            assert job is not None  # noqa: S101 - jobs are never deleted while they are live
            return answers.running_already(job, self._card_publisher.link(job), t)
        except Frozen as frozen:
            return refused_because_frozen(frozen.freeze, t)
        return or_short_answer(
            lambda: self._created(job_id, request, t, is_new=is_new), answers.requested_blindly(job_id, t)
        )

    def _written(self, request: Request) -> tuple[int, bool]:
        """The job and whether it is new, also where consulta's answer to the commit was lost."""
        try:
            return self._store.create(request)
        except SQLAlchemyError:
            if request.key and (job := self._store.by_key(request.key)):
                return job.id, True
            raise

    def _created(self, job_id: int, request: Request, t: Translator, *, is_new: bool) -> Message:
        if is_new:
            log.info(
                "job %s: liquidation %s asked for by %s",
                job_id,
                request.liquidation_id,
                request.requester.user_id,
            )
            self._signals.wake_relay()
            if request.approvers is None and request.start_at is None:
                self._signals.enqueue(job_id)
        job = with_card(lambda: self._job(job_id))
        return answers.requested(job, self._card_publisher.link(job), t)

    def _job(self, job_id: int) -> JobView:
        job = self._store.job(job_id)
        if job is None:
            raise UnknownJob(job_id)
        return job

    def _hindered(self, copy: CopySection, liquidation_id: int, t: Translator) -> Message | None:
        """Before both sides are asked: it is being copied already, or nothing may be."""
        if live := self._store.live_job(str(copy.target_table), liquidation_id):
            return answers.running_already(live, self._card_publisher.link(live), t)
        return self._creation.frozen(t)

    def _proposal(self, copy: CopySection, liquidation_id: int) -> Proposal:
        seen = self._creation.seen(copy, liquidation_id)
        target, in_prod, cap = (
            str(copy.target_table),
            seen.in_source.rows,
            self._guard.file.work.rows_per_second,
        )
        needed = copy.needs_approval(seen.in_source.known, seen.in_target.known)
        return Proposal(
            seen=seen,
            last=self._history.last_completed(target, liquidation_id),
            expected_seconds=self._history.expected_seconds(copy.name, in_prod, cap) if in_prod else None,
            most_a_second=cap,
            others=tuple(
                job for job in self._store.live() if job.target_table == target and not job.waits_for_somebody
            ),
            approvers=tuple(self._guard.access.who_may(copy)) if needed else None,
        )

    def _nothing_to_do(
        self, copy: CopySection, liquidation_id: int, seen: Preview, t: Translator
    ) -> Message | None:
        nothing = is_nothing(seen)
        if seen.exists is False or (seen.exists is None and nothing):
            listed = self._guard.file.liquidations
            catalogue = str(listed.table) if listed else None
            return answers.unknown_liquidation(copy.shown, liquidation_id, catalogue, t)
        if nothing:
            return answers.empty_liquidation(copy.shown, liquidation_id, seen.label, t)
        return None

    def _offered(
        self, copy: CopySection, liquidation_id: int, proposal: Proposal, notice: str = ""
    ) -> Offered:
        lifetime = self._guard.file.work.confirm_seconds
        offer = Offer(
            copy_name=copy.name,
            liquidation_id=liquidation_id,
            key=uuid4().hex,
            expires_at=int(time.time() + lifetime),
            in_prod=proposal.seen.in_source.rows,
            in_consulta=proposal.seen.in_target.rows,
            made_of=made_of(proposal.seen),
            would=proposal.seen.expected_changes.counts if proposal.seen.expected_changes else None,
        )
        minutes = max(1, round(lifetime / 60))
        return Offered(offer, copy.shown, proposal, minutes, notice, asks_why=copy.require_reason)


def start_copy(parts: BotParts) -> StartCopy:
    """Built from what was wired."""
    return StartCopy(JobCreation.of(parts))


# ----------------------------------------------------------------------------
# The modal
#
# A trigger lives three seconds, so a view that waits is opened first, and the real one takes its place. A
# step is acknowledged with its outcome where that is there in time, and otherwise with a view that waits.


#: What the search may take, and when the menu is answered without it; Slack waits for three seconds.
SEARCH_SECONDS, ANSWER_SECONDS = 1.8, 2.2
#: How long a step may take until a view that waits is shown, and how long that one needs to arrive.
STEP_SECONDS, SETTLE_SECONDS = 1.5, 1.0


#: What a step of the modal leads to.
Asked = Offered | WholeOffered | Message


class CopyModal:
    """The conversation in the modal."""

    def __init__(self, creation: JobCreation, start: StartCopy, sets: CopyOfSet) -> None:
        self._guard = creation.guard
        self._callers = creation.callers
        self._start = start
        self._sets = sets
        self._card_publisher = creation.card_publisher
        self._prod = creation.prod
        self._searches = Searches()

    def open(self, client: WebClient, body: dict[str, Any], carried: Carried, caller: Caller) -> bool:
        """Opens the modal for whoever this payload is from; False where Slack didn't."""
        t = caller.t
        waiting = proposal.wait(t("One moment…"), t)
        try:
            opened = client.views_open(trigger_id=str(body.get("trigger_id")), view=waiting)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("the modal was not opened: %s", error_name(error))
            return False
        found = or_problem(lambda: self._choose(carried, caller.user_id, t), t)
        view = proposal.result(found, t) if isinstance(found, Message) else found
        if update_view(client, str(opened["view"]["id"]), view) is ViewUpdate.FAILED:
            caller.reply.say(found if isinstance(found, Message) else proposal.not_shown(t))
        return True

    def later(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """*Later…* on the confirm card: asks when, in a window."""
        self._callers.begin(ack, body, lambda caller: self._ask_when(body, client, caller))

    def _ask_when(self, body: dict[str, Any], client: WebClient, caller: Caller) -> None:
        t = caller.t
        offer = Offer.decoded(body["actions"][0]["value"])
        copy = self._guard.copy_named(offer.copy_name)
        if copy is None:
            caller.reply.say(answers.unknown_copy(offer.copy_name, self._guard.copy_names, t))
            return
        at_first = first_start(self._callers.people.time_zone_of(caller.user_id))
        carried = Carried(channel=str(body["channel"]["id"]))
        ask_when(proposal.later(offer, copy.shown, at_first, carried, t), body, client, caller)

    def from_home(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        def show(caller: Caller) -> None:
            if not self.open(client, body, Carried(asks_channel=True), caller):
                caller.reply.say(proposal.not_shown(caller.t))

        self._callers.begin(ack, body, show)

    def options(self, ack: Ack, body: dict[str, Any]) -> None:
        """The menu's lines for what was typed, within Slack's three seconds, for whoever may copy."""
        t = self._callers.known(body).t
        _, user_id = user_of(body)
        wanted = str(body.get("value") or "")
        try:
            found = self._searches.find(
                user_id, lambda abort: self._search(wanted, user_id, abort), ANSWER_SECONDS
            )
            lines = proposal.options(found, t)
        except Superseded:
            lines = []
        except NotAllowed:
            lines = proposal.not_for_you(t)
        except TooManySearches:
            lines = proposal.too_many_searches(t)
        except (TooSlow, Aborted, CopierError) as error:
            log.warning("the catalogue was not searched: %s", type(error).__name__)
            lines = proposal.unavailable(t)
        except Exception:  # a menu without an answer only turns
            log.exception("the catalogue was not searched")
            lines = proposal.unavailable(t)
        ack(options=lines)

    def chosen(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """The first step is submitted: look at both sides."""
        t = self._callers.known(body).t
        view = body["view"]
        values = Values(view["state"]["values"])
        carried = Carried.decoded(view["private_metadata"])
        number = values.option(proposal.LIQUIDATION) or values.text(proposal.NUMBER)
        liquidation_id = parsing.number(number.strip())
        name = values.option(proposal.COPY) or carried.copy or self._guard.copy_names[0]
        chosen, copy = self._guard.set_named(name), self._guard.copy_named(name)
        if liquidation_id is None or (chosen is None and copy is None):
            menu = number in proposal.NO_ANSWERS
            ack(
                response_action="errors",
                errors=proposal.not_chosen(number, t) if menu else proposal.no_number(number, t),
            )
            return
        carried = replace(carried, channel=values.conversation(proposal.CHANNEL) or carried.channel)

        def look(caller: Caller) -> Asked:
            if chosen is not None:
                return self._sets.look(chosen, liquidation_id, caller)
            assert copy is not None  # noqa: S101 - it was looked at above
            return self._start.look(copy, liquidation_id, caller)

        waiting = proposal.wait(t("Looking at both sides…"), t)
        pool = self._callers.pools.looks
        self._answer(ack, client, body, look, pool, waiting=waiting, carried=carried)

    def pressed(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """The preview is submitted: the same press as the card's."""
        t = self._callers.known(body).t
        carried = Carried.decoded(body["view"]["private_metadata"])
        values = body["view"]["state"]["values"]
        typed, start_at = Values(values).text(proposal.WHY), Values(values).moment(proposal.START)
        now, wrong = datetime.now(UTC), dict[str, str]()
        if proposal.WHY in values and not typed.strip():
            wrong[proposal.WHY] = why_missing(t)
        if start_at is not None and not now < start_at <= now + time_expressions.LONGEST:
            wrong |= proposal.bad_start(t)
        if wrong:
            ack(response_action="errors", errors=wrong)
            return

        def press(caller: Caller) -> Asked:
            offer = read_offer(carried.offer or "")
            channel = carried.channel or self._card_publisher.open_direct_message(caller.user_id)
            if isinstance(offer, WholeOffer):
                return self._sets.start_or_ask(offer, caller, channel, typed, start_at)
            return self._start.start_or_ask(offer, caller, channel, typed, start_at)

        # Where the press asks again, the answer is another offer.
        waiting, pool = proposal.wait(t("Starting…"), t), self._callers.pools.presses
        self._answer(ack, client, body, press, pool, waiting=waiting, carried=carried, is_press=True)

    def _answer(
        self,
        ack: Ack,
        client: WebClient,
        body: dict[str, Any],
        make: Callable[[Caller], Asked],
        pool: WorkPool,
        *,
        waiting: View,
        carried: Carried,
        is_press: bool = False,
    ) -> None:
        """Puts what ``make`` gives in the place of the view, at once or as soon as it is there.

        Where Slack doesn't show it, it is said. What became of a press also to who has closed the window.
        """
        known = self._callers.known(body)
        permit = pool.take(known.user_id)
        if not isinstance(permit, Permit):
            full = answers.at_capacity(permit is Full.ONES_OWN, known.t)
            ack(response_action="update", view=proposal.result(full, known.t))
            return
        box: Future[View] = Future()
        is_acknowledged = threading.Event()

        def step() -> None:
            caller = self._callers.of(body)
            t = caller.t
            found = or_problem(lambda: make(caller), t)
            match found:
                case Message():
                    outcome = proposal.result(found, t)
                case WholeOffered():
                    outcome = whole_preview(found, carried, t)
                case _:
                    outcome = proposal.preview(found, carried, t)
            try:
                box.set_result(outcome)
                return
            except InvalidStateError:  # the acknowledgement couldn't wait for it
                is_acknowledged.wait(STEP_SECONDS)
            # The acknowledgement takes another way than the update, and must not arrive after it.
            time.sleep(SETTLE_SECONDS)
            update = update_view(client, str(body["view"]["id"]), outcome)
            if update is ViewUpdate.FAILED or (update is ViewUpdate.CLOSED and is_press):
                # An offer that is pressed elsewhere would have its card there.
                caller.reply.say(found if isinstance(found, Message) else proposal.not_shown(t))

        permit.begin(step)
        try:
            ack(response_action="update", view=box.result(STEP_SECONDS))
        except TooSlow:
            ack(response_action="update", view=box.result() if not box.cancel() else waiting)
            is_acknowledged.set()

    def _choose(self, carried: Carried, user_id: str, t: Translator) -> View | Message:
        guard = self._guard
        if refusal := guard.refusal_to_use(COPY_COMMAND, user_id, t):
            return refusal
        copies = guard.file.copies
        refusals = {copy: guard.refusal_to_run(COPY_COMMAND, user_id, copy, t) for copy in copies}
        sets = {
            each: choice(each.shown, len(each.copies), t)
            for each in guard.file.sets
            if all(refusals[copy] is None for copy in guard.file.copies_of(each))
        }
        # The first one is chosen at first, as where nobody names a copy.
        permitted = {each.name: words for each, words in sets.items() if each.default}
        permitted |= {copy.name: copy.shown for copy, refusal in refusals.items() if refusal is None}
        permitted |= {each.name: words for each, words in sets.items()}
        if not permitted:
            return next(refusal for refusal in refusals.values() if refusal is not None)
        has_catalogue = guard.file.liquidations is not None
        return proposal.choose(carried, permitted, has_catalogue=has_catalogue, t=t)

    def _search(self, wanted: str, user_id: str, abort: Abort) -> list[Entry]:
        """Raises NotAllowed where they may run no copy; and CopierError."""
        listed = self._guard.file.liquidations
        if not self._guard.access.may_use(user_id).allowed:
            raise NotAllowed
        if listed is None:
            return []
        return search(
            self._prod, listed.catalogue, wanted, names=SIDES, timeout_seconds=SEARCH_SECONDS, abort=abort
        )


class NotAllowed(Exception):
    """Whoever searches may run no copy, or Slack doesn't say now that they may."""

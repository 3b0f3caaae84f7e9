"""``/copy-liquidation 40-45``, and ``42`` of a set: look at all of it, ask once, one press, one run.

A run has a job for each liquidation, or for each table of the set; of several liquidations of a set for each
table of each of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from slack_sdk import WebClient

from bot import time_expressions
from bot.commands import parsing
from bot.commands.conversation import Caller
from bot.commands.job_creation import CreatesJobs, JobCreation, Values, ask_when, first_start, press_of
from bot.config import SIDES, CopySection, SetSection
from bot.i18n import Translator
from bot.jobs.baseline import spec_of
from bot.jobs.failure import failure_of
from bot.jobs.models import RunKind
from bot.jobs.repository import RunRequest
from bot.jobs.view import AgreedCounts, JobView
from bot.messages import answers, proposal, question, run_proposal
from bot.messages import run as run_messages
from bot.messages.blocks import COPY_COMMAND, Message, of_liquidation
from bot.messages.failure_texts import explained
from bot.messages.proposal import Shown
from bot.messages.run import of_liquidations
from bot.messages.run_proposal import (
    LATER_SEVERAL_ACTION,
    LATER_WHOLE_ACTION,
    MOST,
    MOST_TABLES,
    Part,
    Refused,
    SeveralOffer,
    SeveralOffered,
    Table,
    WholeOffer,
    WholeOffered,
    all_made_of,
    not_numbers,
    not_possible,
    read_as_several,
    refusal_of,
    refusal_of_set,
    several_card,
    too_long,
    too_many,
    too_many_tables_in_all,
    whole_card,
)
from bot.slack.access import TO_PRESS, TO_SHOW, MaxAge
from copier import Preview, order_in_target
from copier.errors import CopierError, DatabaseFailed

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)


# ----------------------------------------------------------------------------
# Several liquidations
#
# What can't be copied is said in its line; the others stay possible. A press counts only for the numbers
# that were shown, as with one liquidation.


#: What is copied of each of several liquidations.
Chosen = CopySection | SetSection


class CopySeveral(CreatesJobs):
    """From several numbers to a run, of one copy or of a set; ``sets`` looks at the tables of sets."""

    def __init__(self, creation: JobCreation, sets: CopyOfSet) -> None:
        super().__init__(creation)
        self._sets = sets

    def answer(self, words: list[str], caller: Caller) -> Message | None:
        """The answer to these words after the command; None where they aren't several liquidations."""
        t, names = caller.t, [*self._guard.copy_names, *self._guard.set_names]
        found = parsing.several(words)
        if found is None:
            if len(parsing.numbers_in(words)) < 2 and not parsing.looks_like_several(words):
                return None
            meant = parsing.several_meant(words, names, COPY_COMMAND, MOST)
            return not_numbers(" ".join(words), t, meant)
        numbers, rest = found
        if numbers.count > MOST:
            return too_many(numbers.count, t)
        if len(numbers.values) == 1:
            return None
        typed = numbers.written
        if len(rest) > 1:
            return answers.too_many_words(t, parsing.several_meant(words, names, COPY_COMMAND, MOST))
        name = rest[0] if rest else None
        one = parsing.grouped(words[0])
        notice = read_as_several(one, t) if one else ""
        if (chosen := self._guard.set_named(name)) is not None:
            if numbers.count * len(chosen.copies) > MOST_TABLES:
                return too_many_tables_in_all(numbers.count, len(chosen.copies), t)
            return self._look(chosen, numbers.values, caller, notice)
        copy = self._guard.chosen_copy(COPY_COMMAND, name, caller.user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            meant = parsing.closest_word(str(name), names)
            suggestion = f"{COPY_COMMAND} {typed} {meant}" if meant else None
            return answers.unknown_copy(str(name), names, t, suggestion, f"{COPY_COMMAND} {typed} {names[0]}")
        return self._look(copy, numbers.values, caller, notice)

    def confirmed(self, ack: Ack, body: dict[str, Any]) -> None:
        pool = self._callers.pools.presses
        self._callers.answer(ack, body, lambda caller: self._press(body, caller), pool, replace=True)

    def _look(self, chosen: Chosen, numbers: Sequence[int], caller: Caller, notice: str) -> Message:
        t = caller.t
        if refusal := self._refusal(chosen, caller):
            return refusal
        if frozen := self._creation.frozen(t):
            return frozen
        return self._offered(chosen, self._parts(chosen, numbers, caller), caller, notice)

    def _refusal(self, chosen: Chosen, caller: Caller, age: MaxAge = TO_SHOW) -> Message | None:
        guard, who, t = self._guard, caller.user_id, caller.t
        if isinstance(chosen, SetSection):
            return guard.refusal_to_run_set(COPY_COMMAND, who, chosen, t, age)
        return guard.refusal_to_run(COPY_COMMAND, who, chosen, t, age)

    def _parts(self, chosen: Chosen, numbers: Sequence[int], caller: Caller) -> tuple[Part, ...]:
        """Both sides of each; where nothing can be asked at all, that is raised. So is what keeps a set from
        being written in any order.
        """
        copies = self.copies(chosen)
        targets = {str(copy.target_table) for copy in copies}
        live = {job.liquidation_id: job for job in self._store.live() if job.target_table in targets}
        taken = {number: Part(number, refused=Refused.TAKEN, taken=live[number]) for number in live}
        free = [number for number in numbers if number not in taken]
        if not isinstance(chosen, SetSection):
            found = self._creation.side_by_side(lambda number: self._part(copies[0], number, caller), free)
        else:
            found = self._parts_of_set(copies, free, caller.t)
        looked_at = {part.liquidation_id: part for part in found}
        return tuple(looked_at[number] if number in looked_at else taken[number] for number in numbers)

    def chosen(self, offer: SeveralOffer) -> Chosen | None:
        """What was offered, where it is still configured."""
        named = self._guard.set_named if offer.of_set else self._guard.copy_named
        return named(offer.copy_name)

    def copies(self, chosen: Chosen) -> tuple[CopySection, ...]:
        """The tables that are copied of each liquidation."""
        return self._guard.file.copies_of(chosen) if isinstance(chosen, SetSection) else (chosen,)

    def _parts_of_set(
        self, copies: tuple[CopySection, ...], numbers: Sequence[int], t: Translator
    ) -> tuple[Part, ...]:
        """The tables of all liquidations, looked at side by side."""
        if not numbers:
            return ()
        in_order = self._sets.in_order(copies)
        each = [(number, copy) for number in numbers for copy in in_order]
        tables = self._creation.side_by_side(lambda one: self._sets.table(one[1], copies, one[0], t), each)
        n = len(copies)
        return tuple(
            _part_of_set(number, tables[place * n : (place + 1) * n]) for place, number in enumerate(numbers)
        )

    def _part(self, copy: CopySection, number: int, caller: Caller) -> Part:
        try:
            seen = self._creation.seen(copy, number)
        except DatabaseFailed:
            raise  # it is so for all of them
        except CopierError as error:
            problem = explained(failure_of(error), caller.t)
            return Part(number, refused=Refused.PROBLEM, problem=problem)
        needs = copy.needs_approval(seen.in_source.known, seen.in_target.known)
        return Part(number, seen, refusal_of(seen), needs_approval=needs)

    def _offered(self, chosen: Chosen, parts: tuple[Part, ...], caller: Caller, notice: str = "") -> Message:
        problems = {part.problem for part in parts}
        if len(problems) == 1 and (problem := problems.pop()) is not None:
            return answers.problem(problem)  # it is so for all of them, as where the tables don't fit
        copies, possible = self.copies(chosen), [part for part in parts if part.can_be_copied]
        lifetime = self._guard.file.work.confirm_seconds
        offer = None
        if possible:
            offer = SeveralOffer(
                copy_name=chosen.name,
                key=uuid4().hex,
                expires_at=int(time.time() + lifetime),
                parts=tuple((part.liquidation_id, part.shown) for part in possible),
                made_of=possible[0].made_of,
                of_set=isinstance(chosen, SetSection),
            )
            if not offer.fits:
                return too_long(caller.t)
        who = self._approvers(chosen, possible)
        offered = SeveralOffered(
            title=chosen.shown,
            copy_name=chosen.name,
            parts=parts,
            offer=offer,
            minutes=max(1, round(lifetime / 60)),
            approvers=who,
            expected_seconds=self._expected_seconds(chosen, possible),
            notice=notice,
            asks_why=any(copy.require_reason for copy in copies),
            tables=len(copies) if isinstance(chosen, SetSection) else 0,
        )
        return several_card(offered, caller.t)

    def _approvers(self, chosen: Chosen, possible: Sequence[Part]) -> tuple[str, ...]:
        """Who would have to approve those that need it, each once."""
        if not isinstance(chosen, SetSection):
            return tuple(self._guard.access.who_may(chosen))
        waiting = (table for part in possible for table in part.tables if table.needs_approval)
        return tuple(dict.fromkeys(who for table in waiting for who in table.approvers))

    def _expected_seconds(self, chosen: Chosen, possible: Sequence[Part]) -> float | None:
        seen = [each for part in possible for each in part.each_seen]
        if isinstance(chosen, SetSection):
            return self._sets.expected_seconds(chosen, seen)
        rows, cap = proposal.rows_to_write(seen), self._guard.file.work.rows_per_second
        return self._history.expected_seconds(chosen.name, rows, cap) if rows else None

    def _press(self, body: dict[str, Any], caller: Caller) -> Message:
        value, channel_id, reason = press_of(body)
        return self.start_or_ask(SeveralOffer.decoded(value), caller, channel_id, reason)

    def start_or_ask(
        self,
        offer: SeveralOffer,
        caller: Caller,
        channel_id: str,
        reason: str,
        start_at: datetime | None = None,
    ) -> Message:
        """What becomes of a press of *Copy*: a run, whose jobs nobody takes before ``start_at``, None for at
        once; or another offer, or why there is none.
        """
        t, guard = caller.t, self._guard
        chosen = self.chosen(offer)
        if chosen is None and offer.of_set:
            return run_proposal.unknown_set(offer.copy_name, guard.set_names, t)
        if chosen is None:
            return answers.unknown_copy(offer.copy_name, guard.copy_names, t)
        if refusal := self._refusal(chosen, caller, TO_PRESS):
            return refusal
        if used := self._store.run_by_key(offer.key):
            return run_messages.pressed_before(used, self._card_publisher.link(used), t)
        if frozen := self._creation.frozen(t):
            return frozen
        parts = self._parts(chosen, [part[0] for part in offer.parts], caller)
        moved = any(offer.moved(part) for part in parts if part.refused is not Refused.TAKEN)
        if moved or time.time() > offer.expires_at:
            return self._offered(chosen, parts, caller, answers.asked_anew(t, moved=moved))
        if any(copy.require_reason for copy in self.copies(chosen)) and not reason.strip():
            return self._offered(chosen, parts, caller, proposal.why_missing(t))
        if any(part.needs_approval for part in parts) and channel_id.startswith("D"):
            return question.not_in_private(chosen.shown, t)
        copies = {copy.name: copy for copy in self.copies(chosen)}
        requests = tuple(
            self._creation.request(
                copies[name],
                part.liquidation_id,
                seen,
                terms,
                caller=caller,
                reason=reason,
                needs_approval=needs_approval,
                start_at=start_at,
            )
            for part in parts
            if part.can_be_copied
            for name, seen, terms, needs_approval in _each_of(part, offer)
        )
        taken = tuple(part.taken for part in parts if part.taken is not None)

        def all_taken(jobs: tuple[JobView, ...]) -> Message:
            return run_messages.all_taken(jobs, self._card_publisher.links(jobs), t)

        if not requests:
            return all_taken(taken)
        wanted = RunRequest(
            RunKind.SET if offer.of_set else RunKind.SEVERAL,
            requests,
            self._callers.requester(caller),
            set_name=chosen.name if offer.of_set else None,
            channel_id=channel_id,
            key=offer.key,
        )
        return self._creation.begin_run(wanted, taken, caller, all_taken)


def _part_of_set(number: int, tables: tuple[Table, ...]) -> Part:
    """One of several liquidations of a set, by its tables in the order in which they are written."""
    if stuck := next((table.problem for table in tables if table.problem is not None), None):
        return Part(number, refused=Refused.PROBLEM, problem=stuck, tables=tables)
    needs = any(table.needs_approval for table in tables)
    return Part(number, refused=refusal_of_set(tables), needs_approval=needs, tables=tables)


def _each_of(part: Part, offer: SeveralOffer) -> list[tuple[str, Preview, AgreedCounts, bool]]:
    """What is asked for of it: of each copy its name, what both sides hold, what its job is bound to, and
    whether somebody else has to say yes.

    The sums of a set were shown: where they still hold, each table is bound to what it has now.
    """
    if part.seen is not None:
        return [(offer.copy_name, part.seen, offer.terms(part), part.needs_approval)]
    return [
        (table.copy_name, table.seen, Shown.of(table.seen).terms(table.seen), table.needs_approval)
        for table in part.tables
        if table.seen is not None
    ]


# ----------------------------------------------------------------------------
# A set: a whole liquidation
#
# A set is copied whole or not at all: where one table can't be copied there is nothing to press. A press
# counts only for the numbers that were shown, as with a single copy.


class CopyOfSet(CreatesJobs):
    """From a set and a liquidation's number to a run."""

    def shown(self, chosen: SetSection, liquidation_id: int, caller: Caller) -> Message:
        """The confirm card; or, in words, why there is nothing that this person could press."""
        found = self.look(chosen, liquidation_id, caller)
        return whole_card(found, caller.t) if isinstance(found, WholeOffered) else found

    def confirmed(self, ack: Ack, body: dict[str, Any]) -> None:
        pool = self._callers.pools.presses
        self._callers.answer(ack, body, lambda caller: self._press(body, caller), pool, replace=True)

    def look(self, chosen: SetSection, liquidation_id: int, caller: Caller) -> WholeOffered | Message:
        """The offer; or, in words, why there is nothing that this person could press."""
        t = caller.t
        if refusal := self._guard.refusal_to_run_set(COPY_COMMAND, caller.user_id, chosen, t):
            return refusal
        if hindered := self._hindered(chosen, liquidation_id, t):
            return hindered
        return self._offered(chosen, liquidation_id, self._tables(chosen, liquidation_id, t), t)

    def start_or_ask(
        self,
        offer: WholeOffer,
        caller: Caller,
        channel_id: str,
        reason: str = "",
        start_at: datetime | None = None,
    ) -> WholeOffered | Message:
        """Starts the run, or says why not; a new offer where the old one is too old or no longer true, or
        where a copy asks for a reason and there is none.

        Nobody takes it before ``start_at``; None for at once. The person is checked anew, and a press works
        once, however often it is delivered.
        """
        t, guard = caller.t, self._guard
        chosen = guard.set_named(offer.set_name)
        if chosen is None:
            return run_proposal.unknown_set(offer.set_name, guard.set_names, t)
        if refusal := guard.refusal_to_run_set(COPY_COMMAND, caller.user_id, chosen, t, TO_PRESS):
            return refusal
        if used := self._store.run_by_key(offer.key):
            return run_messages.pressed_before(used, self._card_publisher.link(used), t)
        if hindered := self._hindered(chosen, offer.liquidation_id, t):
            return hindered
        tables = self._tables(chosen, offer.liquidation_id, t)
        found = self._offered(chosen, offer.liquidation_id, tables, t)
        if isinstance(found, Message):
            return found
        moved = offer.moved(tables)
        if moved or time.time() > offer.expires_at:
            return replace(found, notice=answers.asked_anew(t, moved=moved))
        if found.asks_why and not reason.strip():
            return replace(found, notice=proposal.why_missing(t))
        if found.approvers is not None and channel_id.startswith("D"):
            return question.not_in_private(chosen.shown, t)
        copies = {copy.name: copy for copy in guard.file.copies_of(chosen)}
        shown = dict(zip(copies, offer.tables, strict=True))
        requests = tuple(
            self._creation.request(
                copies[table.copy_name],
                offer.liquidation_id,
                table.seen,
                shown[table.copy_name].terms(table.seen),
                caller=caller,
                reason=reason,
                needs_approval=table.needs_approval,
                start_at=start_at,
            )
            for table in found.tables  # in the order in which they are written, as the card shows them
            if table.seen is not None
        )
        wanted = RunRequest(
            RunKind.SET,
            requests,
            self._callers.requester(caller),
            set_name=chosen.name,
            channel_id=channel_id,
            key=offer.key,
        )
        in_the_way = partial(self._under_way, chosen, offer.liquidation_id, t=t)
        return self._creation.begin_run(wanted, (), caller, in_the_way)

    def _press(self, body: dict[str, Any], caller: Caller) -> Message:
        """What becomes of a press of *Copy*, as what takes the place of the card."""
        value, channel_id, reason = press_of(body)
        found = self.start_or_ask(WholeOffer.decoded(value), caller, channel_id, reason)
        return whole_card(found, caller.t) if isinstance(found, WholeOffered) else found

    def _hindered(self, chosen: SetSection, liquidation_id: int, t: Translator) -> Message | None:
        """Before both sides are asked: one of its tables is being copied already, or nothing may be."""
        live = (
            self._store.live_job(str(copy.target_table), liquidation_id)
            for copy in self._guard.file.copies_of(chosen)
        )
        if taken := tuple(job for job in live if job is not None):
            return self._under_way(chosen, liquidation_id, taken, t)
        return self._creation.frozen(t)

    def _under_way(
        self, chosen: SetSection, liquidation_id: int, taken: tuple[JobView, ...], t: Translator
    ) -> Message:
        runs = self._store.runs_of(taken)
        if len(runs) == 1 and all(job.run_id in runs for job in taken):
            [run] = runs.values()
            if run.kind is RunKind.SET:
                return run_messages.set_under_way(run, self._card_publisher.link(run), t)
        copies = self._guard.file.copies_of(chosen)
        titles = {str(copy.target_table): copy.shown for copy in copies}
        named = [(titles.get(job.target_table, job.copy_shown), job) for job in taken]
        return run_proposal.under_way(
            chosen.shown, liquidation_id, named, self._card_publisher.links(taken), t
        )

    def _tables(self, chosen: SetSection, liquidation_id: int, t: Translator) -> tuple[Table, ...]:
        """Both sides of each table, in the configuration's order; where nothing can be asked at all, that is
        raised.
        """
        copies = self._guard.file.copies_of(chosen)
        return self._creation.side_by_side(lambda copy: self.table(copy, copies, liquidation_id, t), copies)

    def table(
        self,
        copy: CopySection,
        copies: tuple[CopySection, ...],
        liquidation_id: int,
        t: Translator,
    ) -> Table:
        """Both sides of one of these copies of a set, and what consulta lacks of other tables.

        Raises DatabaseFailed where none can be asked.
        """
        table = Table(copy.name, copy.shown)
        try:
            seen = self._creation.seen(copy, liquidation_id, copies)
        except DatabaseFailed:
            raise  # it is so for all of them
        except CopierError as error:
            return replace(table, problem=explained(failure_of(error), t))
        return replace(
            table,
            seen=seen,
            needs_approval=copy.needs_approval(seen.in_source.known, seen.in_target.known),
            approvers=tuple(self._guard.access.who_may(copy)),
            last=self._history.last_completed(str(copy.target_table), liquidation_id),
        )

    def _offered(
        self, chosen: SetSection, liquidation_id: int, tables: tuple[Table, ...], t: Translator
    ) -> WholeOffered | Message:
        problems = {table.problem for table in tables}
        if len(problems) == 1 and (problem := problems.pop()) is not None:
            return answers.problem(problem)  # it is so for all of them
        if any(table.problem is not None for table in tables):
            return not_possible(chosen.shown, liquidation_id, tables, t)
        if nothing := self._nothing_to_do(chosen, liquidation_id, tables, t):
            return nothing
        work = self._guard.file.work
        offer = WholeOffer(
            set_name=chosen.name,
            liquidation_id=liquidation_id,
            key=uuid4().hex,
            expires_at=int(time.time() + work.confirm_seconds),
            tables=tuple(Shown.of(table.seen) for table in tables if table.seen),
            made_of=all_made_of(tables),
        )
        if not offer.fits:
            command = f"traspaso copy {liquidation_id} --set {chosen.name}"
            return run_proposal.too_many_tables(chosen.shown, command, t)
        copies = self._guard.file.copies_of(chosen)
        own = {table.copy_name: table for table in tables}
        return WholeOffered(
            offer=offer,
            title=chosen.shown,
            tables=tuple(own[copy.name] for copy in self.in_order(copies)),
            minutes=max(1, round(work.confirm_seconds / 60)),
            label=_label(tables),
            expected_seconds=self.expected_seconds(chosen, (table.seen for table in tables if table.seen)),
            others=self._others(copies),
            asks_why=any(copy.require_reason for copy in copies),
        )

    def in_order(self, copies: tuple[CopySection, ...]) -> tuple[CopySection, ...]:
        """As they are written. Raises CircularReferences and its like, where they can't be."""
        consulta = self._creation.consulta
        specs = [spec_of(consulta, copy) for copy in copies]
        seconds = self._guard.file.work.preview_timeout_seconds
        order = order_in_target(self._creation.prod, consulta, specs, names=SIDES, timeout_seconds=seconds)
        place = {name: n for n, name in enumerate(order.names)}
        return tuple(sorted(copies, key=lambda copy: place[copy.name]))

    def expected_seconds(self, chosen: SetSection, seen: Iterable[Preview]) -> float | None:
        """None where a cap holds it back, so that earlier runs say little, or where nobody knows the rows."""
        rows = proposal.rows_to_write(seen)
        if not rows or self._guard.file.work.rows_per_second:
            return None
        return self._history.expected_seconds_of_set(chosen.name, rows)

    def _others(self, copies: tuple[CopySection, ...]) -> tuple[JobView, ...]:
        targets = {str(copy.target_table) for copy in copies}
        live = self._store.live()
        return tuple(job for job in live if job.target_table in targets and not job.waits_for_somebody)

    def _nothing_to_do(
        self, chosen: SetSection, liquidation_id: int, tables: tuple[Table, ...], t: Translator
    ) -> Message | None:
        match refusal_of_set(tables):
            case Refused.UNKNOWN:
                listed = self._guard.file.liquidations
                catalogue = str(listed.table) if listed else None
                return answers.unknown_liquidation(chosen.shown, liquidation_id, catalogue, t)
            case Refused.EMPTY:
                return answers.empty_liquidation(chosen.shown, liquidation_id, _label(tables), t)
            case _:  # a set of which rows would only be removed is asked for alone, with a dialog
                return None


def _label(tables: Sequence[Table]) -> str | None:
    """The liquidation's name."""
    return next((table.seen.label for table in tables if table.seen and table.seen.label), None)


# ----------------------------------------------------------------------------
# Later…: when all copies of a run are to begin
#
# What was shown binds each of them all the same: where other rows are there then, the card asks.


#: What stands before the offer in the window: which conversation made it.
SEVERAL, WHOLE = "several", "whole"


class RunsForLater:
    """From the confirm card over a window to a run that waits for its time."""

    def __init__(self, creation: JobCreation, several: CopySeveral, sets: CopyOfSet) -> None:
        self._guard = creation.guard
        self._callers = creation.callers
        self._several = several
        self._sets = sets

    def connect(self, app: App) -> None:
        """Adds both buttons, and the window."""
        app.action(LATER_SEVERAL_ACTION)(self._asker(SEVERAL))
        app.action(LATER_WHOLE_ACTION)(self._asker(WHOLE))
        app.view(proposal.LATER_CALLBACK)(self.planned)

    def _asker(self, kind: str) -> Callable[..., None]:
        def listener(ack: Ack, body: dict[str, Any], client: WebClient) -> None:
            self._callers.begin(ack, body, lambda caller: self._ask_when(kind, body, client, caller))

        return listener

    def _ask_when(self, kind: str, body: dict[str, Any], client: WebClient, caller: Caller) -> None:
        t, (value, channel_id, typed) = caller.t, press_of(body)
        if kind == SEVERAL:
            several = SeveralOffer.decoded(value)
            found = self._several.chosen(several)
            title = found.shown if found else several.copy_name
            what = of_liquidations(title, [part[0] for part in several.parts], t)
            copies = self._several.copies(found) if found else ()
        else:
            offer = WholeOffer.decoded(value)
            chosen = self._guard.set_named(offer.set_name)
            what = of_liquidation(chosen.shown if chosen else offer.set_name, offer.liquidation_id, t)
            copies = self._guard.file.copies_of(chosen) if chosen else ()
        asks_why = any(copy.require_reason for copy in copies)
        at_first = first_start(self._callers.people.time_zone_of(caller.user_id))
        origin = f"{kind} {channel_id} {value}"
        view = proposal.later_for_run(what, origin, at_first, t, why=typed if asks_why else None)
        ask_when(view, body, client, caller)

    def planned(self, ack: Ack, body: dict[str, Any]) -> None:
        """The window is submitted; what became of it is said where the card was."""
        t, view = self._callers.known(body).t, body["view"]
        values, now = Values(view["state"]["values"]), datetime.now(UTC)
        start_at, wrong = values.moment(proposal.START), dict[str, str]()
        if start_at is None or not now < start_at <= now + time_expressions.LONGEST:
            wrong |= proposal.bad_start(t)
        if proposal.WHY in view["state"]["values"] and not values.text(proposal.WHY).strip():
            wrong[proposal.WHY] = proposal.why_missing(t)
        if wrong:
            ack(response_action="errors", errors=wrong)
            return
        kind, channel, offer = str(view["private_metadata"]).split(" ", 2)

        def press(caller: Caller) -> Message:
            why = values.text(proposal.WHY)
            if kind == SEVERAL:
                return self._several.start_or_ask(SeveralOffer.decoded(offer), caller, channel, why, start_at)
            found = self._sets.start_or_ask(WholeOffer.decoded(offer), caller, channel, why, start_at)
            return found if isinstance(found, Message) else whole_card(found, caller.t)

        self._callers.answer(ack, {**body, "channel_id": channel}, press, self._callers.pools.presses)

"""``/copy-liquidation 42`` of a set: look at all of its tables, ask once, one press, one run with a job for
each.

A set is copied whole or not at all: where one table can't be copied there is nothing to press. A press counts
only for the numbers that were shown, as with a single copy.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bot.commands.conversation import Caller
from bot.commands.starting import Starting, press_of
from bot.config import SIDES, CopySection, SetSection
from bot.i18n import Translator
from bot.jobs.failure import failure_of
from bot.jobs.known_columns import spec_of
from bot.jobs.repository import RunRequest
from bot.jobs.status import RunKind
from bot.jobs.view import JobView
from bot.messages import answers, proposal, question, whole
from bot.messages import run as run_messages
from bot.messages.blocks import COPY_COMMAND, Message
from bot.messages.failures import explained
from bot.messages.proposal import Shown
from bot.messages.whole import Table, WholeOffer, WholeOffered, all_made_of, not_possible, whole_card
from bot.slack.access import TO_PRESS
from copier import order_in_target
from copier.errors import CopierError, DatabaseFailed

if TYPE_CHECKING:
    from slack_bolt import Ack


class CopyWhole:
    """From a set and a liquidation's number to a run."""

    def __init__(self, starting: Starting) -> None:
        self._starting = starting
        self._guard = starting.guard
        self._callers = starting.callers
        self._store = starting.store
        self._history = starting.history
        self._card_publisher = starting.card_publisher

    def shown(self, chosen: SetSection, liquidation_id: int, caller: Caller) -> Message:
        """The confirm card; or, in words, why there is nothing that this person could press."""
        found = self.look(chosen, liquidation_id, caller)
        return whole_card(found, caller.t) if isinstance(found, WholeOffered) else found

    def confirmed(self, ack: Ack, body: dict[str, Any]) -> None:
        turns = self._callers.turns.presses
        self._callers.answer(ack, body, lambda caller: self._press(body, caller), turns, replace=True)

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
            return whole.unknown_set(offer.set_name, guard.set_names, t)
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
            self._starting.request(
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
        return self._starting.begin_run(wanted, (), caller, in_the_way)

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
        return self._starting.frozen(t)

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
        return whole.under_way(chosen.shown, liquidation_id, named, self._card_publisher.links(taken), t)

    def _tables(self, chosen: SetSection, liquidation_id: int, t: Translator) -> tuple[Table, ...]:
        """Both sides of each table, in the configuration's order; where nothing can be asked at all, that is
        raised.
        """
        copies = self._guard.file.copies_of(chosen)
        return self._starting.side_by_side(lambda copy: self._table(copy, copies, liquidation_id, t), copies)

    def _table(
        self, copy: CopySection, copies: tuple[CopySection, ...], liquidation_id: int, t: Translator
    ) -> Table:
        table = Table(copy.name, copy.shown)
        try:
            seen = self._starting.seen(copy, liquidation_id, parents_too=copy.parent in copies)
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
            return whole.too_many_tables(chosen.shown, command, t)
        copies = self._guard.file.copies_of(chosen)
        return WholeOffered(
            offer=offer,
            title=chosen.shown,
            tables=self._in_order(copies, tables),
            minutes=max(1, round(work.confirm_seconds / 60)),
            label=next((table.seen.label for table in tables if table.seen and table.seen.label), None),
            others=self._others(copies),
            asks_why=any(copy.require_reason for copy in copies),
        )

    def _in_order(self, copies: tuple[CopySection, ...], tables: tuple[Table, ...]) -> tuple[Table, ...]:
        """As they are written. Raises CircularReferences and its like, where they can't be."""
        consulta = self._starting.consulta
        specs = [spec_of(consulta, copy) for copy in copies]
        seconds = self._guard.file.work.preview_timeout_seconds
        order = order_in_target(self._starting.prod, consulta, specs, names=SIDES, timeout_seconds=seconds)
        place = {name: n for n, name in enumerate(order.names)}
        return tuple(sorted(tables, key=lambda table: place[table.copy_name]))

    def _others(self, copies: tuple[CopySection, ...]) -> tuple[JobView, ...]:
        targets = {str(copy.target_table) for copy in copies}
        live = self._store.live()
        return tuple(job for job in live if job.target_table in targets and not job.waits_for_somebody)

    def _nothing_to_do(
        self, chosen: SetSection, liquidation_id: int, tables: tuple[Table, ...], t: Translator
    ) -> Message | None:
        found = [table.seen for table in tables if table.seen]
        nothing = all(table.is_nothing for table in tables)
        exists = next((seen.exists for seen in found if seen.exists is not None), None)
        if exists is False or (exists is None and nothing):
            listed = self._guard.file.liquidations
            catalogue = str(listed.table) if listed else None
            return answers.unknown_liquidation(chosen.shown, liquidation_id, catalogue, t)
        if nothing:
            label = next((seen.label for seen in found if seen.label), None)
            return answers.empty_liquidation(chosen.shown, liquidation_id, label, t)
        return None

"""``/copy-liquidation 40-45``: look at all of them, ask once, one press, one run with a job for each.

What can't be copied is said in its line; the others stay possible. A press counts only for the numbers that
were shown, as with one liquidation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bot.commands import parsing
from bot.commands.conversation import (
    Caller,
)
from bot.commands.starting import Starting, press_of
from bot.config import CopySection
from bot.jobs.failure import failure_of
from bot.jobs.repository import RunRequest
from bot.jobs.status import RunKind
from bot.jobs.view import JobView
from bot.messages import answers, proposal, question
from bot.messages import run as run_messages
from bot.messages.blocks import COPY_COMMAND, Message
from bot.messages.failures import explained
from bot.messages.proposal import Shown, made_of
from bot.messages.several import (
    MOST,
    Part,
    Refused,
    SeveralOffer,
    SeveralOffered,
    not_numbers,
    read_as_several,
    refusal_of,
    several_card,
    too_long,
    too_many,
)
from bot.messages.whole import several_wholes
from bot.slack.access import TO_PRESS
from copier.errors import CopierError, DatabaseFailed

if TYPE_CHECKING:
    from slack_bolt import Ack

log = logging.getLogger(__name__)


class CopySeveral:
    """From several numbers to a run."""

    def __init__(self, starting: Starting) -> None:
        self._starting = starting
        self._guard = starting.guard
        self._callers = starting.callers
        self._store = starting.store
        self._history = starting.history
        self._card_publisher = starting.card_publisher

    def answer(self, words: list[str], caller: Caller) -> Message | None:
        """The answer to these words after the command; None where they aren't several liquidations."""
        t, names = caller.t, self._guard.copy_names
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
        if (chosen := self._guard.set_named(name)) is not None:
            return several_wholes(typed, numbers.values[0], chosen.name, chosen.copies[0], t)
        copy = self._guard.chosen_copy(COPY_COMMAND, name, caller.user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            meant = parsing.closest_word(str(name), names)
            suggestion = f"{COPY_COMMAND} {typed} {meant}" if meant else None
            return answers.unknown_copy(str(name), names, t, suggestion, f"{COPY_COMMAND} {typed} {names[0]}")
        one = parsing.grouped(words[0])
        return self._look(copy, numbers.values, caller, read_as_several(one, t) if one else "")

    def confirmed(self, ack: Ack, body: dict[str, Any]) -> None:
        turns = self._callers.turns.presses
        self._callers.answer(ack, body, lambda caller: self._press(body, caller), turns, replace=True)

    def _look(self, copy: CopySection, numbers: Sequence[int], caller: Caller, notice: str) -> Message:
        t = caller.t
        if refusal := self._guard.refusal_to_run(COPY_COMMAND, caller.user_id, copy, t):
            return refusal
        if frozen := self._starting.frozen(t):
            return frozen
        return self._offered(copy, self._parts(copy, numbers, caller), caller, notice)

    def _parts(self, copy: CopySection, numbers: Sequence[int], caller: Caller) -> tuple[Part, ...]:
        """Both sides of each; where nothing can be asked at all, that is raised."""
        target = str(copy.target_table)
        live = {job.liquidation_id: job for job in self._store.live() if job.target_table == target}

        def look(number: int) -> Part:
            if number in live:
                return Part(number, refused=Refused.TAKEN, taken=live[number])
            return self._part(copy, number, caller)

        return self._starting.side_by_side(look, numbers)

    def _part(self, copy: CopySection, number: int, caller: Caller) -> Part:
        try:
            seen = self._starting.seen(copy, number)
        except DatabaseFailed:
            raise  # it is so for all of them
        except CopierError as error:
            problem = explained(failure_of(error), caller.t)
            return Part(number, refused=Refused.PROBLEM, problem=problem)
        needs = copy.needs_approval(seen.in_source.known, seen.in_target.known)
        return Part(number, seen, refusal_of(seen), needs_approval=needs)

    def _offered(
        self, copy: CopySection, parts: tuple[Part, ...], caller: Caller, notice: str = ""
    ) -> Message:
        problems = {part.problem for part in parts}
        if len(problems) == 1 and (problem := problems.pop()) is not None:
            return answers.problem(problem)  # it is so for all of them, as where the tables don't fit
        possible = [part for part in parts if part.refused is None and part.seen is not None]
        lifetime, cap = self._guard.file.work.confirm_seconds, self._guard.file.work.rows_per_second
        rows = sum(part.seen.in_source.rows or 0 for part in possible if part.seen)
        offer = None
        if possible:
            offer = SeveralOffer(
                copy_name=copy.name,
                key=uuid4().hex,
                expires_at=int(time.time() + lifetime),
                parts=tuple((part.liquidation_id, Shown.of(part.seen)) for part in possible if part.seen),
                made_of=made_of(possible[0].seen) if possible[0].seen else "",
            )
            if not offer.fits:
                return too_long(caller.t)
        offered = SeveralOffered(
            title=copy.shown,
            copy_name=copy.name,
            parts=parts,
            offer=offer,
            minutes=max(1, round(lifetime / 60)),
            approvers=tuple(self._guard.access.who_may(copy)),
            expected_seconds=self._history.expected_seconds(copy.name, rows, cap) if rows else None,
            notice=notice,
            asks_why=copy.require_reason,
        )
        return several_card(offered, caller.t)

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
        copy = guard.copy_named(offer.copy_name)
        if copy is None:
            return answers.unknown_copy(offer.copy_name, guard.copy_names, t)
        if refusal := guard.refusal_to_run(COPY_COMMAND, caller.user_id, copy, t, TO_PRESS):
            return refusal
        if used := self._store.run_by_key(offer.key):
            return run_messages.pressed_before(used, self._card_publisher.link(used), t)
        if frozen := self._starting.frozen(t):
            return frozen
        parts = self._parts(copy, [part[0] for part in offer.parts], caller)
        moved = any(offer.moved(part) for part in parts if part.refused is not Refused.TAKEN)
        if moved or time.time() > offer.expires_at:
            return self._offered(copy, parts, caller, answers.asked_anew(t, moved=moved))
        if copy.require_reason and not reason.strip():
            return self._offered(copy, parts, caller, proposal.why_missing(t))
        if any(part.needs_approval for part in parts) and channel_id.startswith("D"):
            return question.not_in_private(copy.shown, t)
        requests = tuple(
            self._starting.request(
                copy,
                part.liquidation_id,
                part.seen,
                offer.terms(part),
                caller=caller,
                reason=reason,
                needs_approval=part.needs_approval,
                start_at=start_at,
            )
            for part in parts
            if part.refused is None and part.seen is not None
        )
        taken = tuple(part.taken for part in parts if part.taken is not None)

        def all_taken(jobs: tuple[JobView, ...]) -> Message:
            return run_messages.all_taken(jobs, self._card_publisher.links(jobs), t)

        if not requests:
            return all_taken(taken)
        wanted = RunRequest(
            RunKind.SEVERAL,
            requests,
            self._callers.requester(caller),
            channel_id=channel_id,
            key=offer.key,
        )
        return self._starting.begin_run(wanted, taken, caller, all_taken)

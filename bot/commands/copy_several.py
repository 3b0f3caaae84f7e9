"""``/copy-liquidation 40-45``: look at all of them, ask once, one press, one run with a job for each.

What can't be copied is said in its line; the others stay possible. A press counts only for the numbers that
were shown, as with one liquidation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Engine

from bot.commands import parsing
from bot.commands.conversation import (
    LABEL_LIMIT,
    BotParts,
    Caller,
    Callers,
    Guard,
    Signals,
    or_short_answer,
    with_card,
)
from bot.config import SIDES, CopySection
from bot.errors import Frozen
from bot.jobs.actions import Freezes
from bot.jobs.failure import failure_of
from bot.jobs.known_columns import spec_of
from bot.jobs.repository import CreatedRun, JobHistory, JobRepository, Request, RunRequest
from bot.jobs.run_view import RunView
from bot.jobs.status import RunKind
from bot.jobs.view import JobView
from bot.messages import answers, proposal, question
from bot.messages import run as run_messages
from bot.messages.answers import refused_because_frozen
from bot.messages.blocks import COPY_COMMAND, Message, cut
from bot.messages.failures import explained
from bot.messages.proposal import made_of
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
    shown_of,
    too_long,
    too_many,
)
from bot.slack.access import TO_PRESS
from bot.slack.card_publisher import CardPublisher
from copier import preview
from copier.errors import CopierError, DatabaseFailed

if TYPE_CHECKING:
    from slack_bolt import Ack

log = logging.getLogger(__name__)

#: So many liquidations are looked at side by side, of all people together: each look has a session on both
#: sides.
SIDE_BY_SIDE = 8


class CopySeveral:
    """From several numbers to a run."""

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
        self._guard = guard
        self._callers = callers
        self._signals = signals
        self._prod = prod
        self._consulta = consulta
        self._store = store
        self._history = history
        self._freezes = freezes
        self._card_publisher = card_publisher
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="several")

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
        if freeze := self._freezes.active():
            return refused_because_frozen(freeze, t)
        return self._offered(copy, self._parts(copy, numbers, caller), caller, notice)

    def _parts(self, copy: CopySection, numbers: Sequence[int], caller: Caller) -> tuple[Part, ...]:
        """Both sides of each; where nothing can be asked at all, that is raised."""
        target = str(copy.target_table)
        live = {job.liquidation_id: job for job in self._store.live() if job.target_table == target}

        def look(number: int) -> Part:
            if number in live:
                return Part(number, refused=Refused.TAKEN, taken=live[number])
            return self._part(copy, number, caller)

        return tuple(self._pool.map(look, numbers))

    def _part(self, copy: CopySection, number: int, caller: Caller) -> Part:
        listed = self._guard.file.liquidations
        try:
            seen = preview(
                self._prod,
                self._consulta,
                spec_of(self._consulta, copy),
                number,
                names=SIDES,
                catalogue=listed.catalogue if listed else None,
                baseline=self._history.baseline(copy.spec, number),
                timeout_seconds=self._guard.file.work.preview_timeout_seconds,
            )
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
                parts=tuple(shown_of(part.liquidation_id, part.seen) for part in possible if part.seen),
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
        """What becomes of a press of *Copy*, as what takes the place of the card."""
        t, guard = caller.t, self._guard
        offer = SeveralOffer.decoded(body["actions"][0]["value"])
        channel_id = str(body["channel"]["id"])
        typed = ((body.get("state") or {}).get("values") or {}).get(proposal.WHY, {}).get(proposal.WHY, {})
        reason = str(typed.get("value") or "")
        copy = guard.copy_named(offer.copy_name)
        if copy is None:
            return answers.unknown_copy(offer.copy_name, guard.copy_names, t)
        if refusal := guard.refusal_to_run(COPY_COMMAND, caller.user_id, copy, t, TO_PRESS):
            return refusal
        if used := self._store.run_by_key(offer.key):
            return run_messages.pressed_before(used, self._card_publisher.link(used), t)
        if freeze := self._freezes.active():
            return refused_because_frozen(freeze, t)
        parts = self._parts(copy, [part[0] for part in offer.parts], caller)
        moved = any(offer.moved(part) for part in parts if part.refused is not Refused.TAKEN)
        if moved or time.time() > offer.expires_at:
            return self._offered(copy, parts, caller, answers.asked_anew(t, moved=moved))
        if copy.require_reason and not reason.strip():
            return self._offered(copy, parts, caller, proposal.why_missing(t))
        if any(part.needs_approval for part in parts) and channel_id.startswith("D"):
            return question.not_in_private(copy.shown, t)
        requests = tuple(
            self._request(copy, offer, part, caller, reason) for part in parts if part.refused is None
        )
        taken = tuple(part.taken for part in parts if part.taken is not None)
        if not requests:
            return run_messages.all_taken(taken, self._card_publisher.links(taken), t)
        wanted = RunRequest(
            RunKind.SEVERAL,
            requests,
            self._callers.requester(caller),
            channel_id=channel_id,
            key=offer.key,
        )
        return self._create(wanted, taken, caller)

    def _request(
        self, copy: CopySection, offer: SeveralOffer, part: Part, caller: Caller, reason: str
    ) -> Request:
        seen = part.seen
        label = seen.label if seen is not None else None
        return Request(
            spec=copy.spec,
            liquidation_id=part.liquidation_id,
            label=cut(label, LABEL_LIMIT) if label else None,
            requester=self._callers.requester(caller),
            terms=offer.terms(part),
            fingerprint=seen.fingerprint if seen is not None else None,
            approvers=tuple(self._guard.access.who_may(copy)) if part.needs_approval else None,
            approval_seconds=self._guard.file.work.approval_seconds,
            second_group_seconds=copy.second_group_seconds,
            reason=reason,
        )

    def _create(self, wanted: RunRequest, taken: tuple[JobView, ...], caller: Caller) -> Message:
        t = caller.t
        try:
            created = self._store.create_run(wanted)
        except Frozen as frozen:
            return refused_because_frozen(frozen.freeze, t)
        late = tuple(job for job_id in created.taken if (job := self._store.job(job_id)))
        in_the_way = (*taken, *late)
        if created.run_id is None:
            return run_messages.all_taken(in_the_way, self._card_publisher.links(in_the_way), t)
        run_id = created.run_id
        return or_short_answer(
            lambda: self._created(created, in_the_way, caller), run_messages.requested_blindly(run_id, t)
        )

    def _created(self, created: CreatedRun, taken: tuple[JobView, ...], caller: Caller) -> Message:
        run_id = created.run_id or 0
        if created.is_new:
            log.info("run %s: %s jobs asked for by %s", run_id, len(created.job_ids), caller.user_id)
            self._signals.wake_relay()
            run = self._store.run(run_id)
            for job in run.jobs if run else ():
                if not job.waits_for_somebody:
                    self._signals.enqueue(job.id)
        run = with_card(lambda: self._run(run_id))
        link = self._card_publisher.link(run)
        return run_messages.requested(run, taken, self._card_publisher.links(taken), link, caller.t)

    def _run(self, run_id: int) -> RunView:
        run = self._store.run(run_id)
        if run is None:
            raise LookupError(f"there is no run {run_id}")
        return run


def copy_several(parts: BotParts) -> CopySeveral:
    """Built from what was wired."""
    return CopySeveral(
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

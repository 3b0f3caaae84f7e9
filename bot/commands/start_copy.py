"""How a copy is started from the command and from the modal: a look at both sides, an offer, a press.

A press counts only for the numbers that were shown, and only for a while: otherwise the new ones are shown,
and it asks again.
"""

from __future__ import annotations

import logging
import time
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from bot.commands.conversation import BotParts, Caller, Callers, Guard, Signals, or_short_answer
from bot.config import SIDES, CopySection
from bot.errors import AlreadyRunning, Frozen, UnknownJob
from bot.i18n import Translator
from bot.jobs.actions import Freezes
from bot.jobs.repository import JobHistory, JobRepository, Request
from bot.jobs.view import JobView
from bot.messages import answers, approval
from bot.messages.blocks import Message, cut
from bot.messages.freezing import refused_because_frozen
from bot.messages.naming import COPY_COMMAND
from bot.messages.proposal import Offer, Offered, Proposal, made_of, proposal_card, removes_everything
from bot.slack.access import TO_PRESS
from bot.slack.card_publisher import CardPublisher
from copier import Count, Preview, preview

log = logging.getLogger(__name__)

#: So much of a liquidation's name is kept with the job.
LABEL_LIMIT = 300
#: So long the answer to a press waits for the card that it links to, in seconds, and how often it looks.
CARD_SECONDS, LOOK_SECONDS = 1.0, 0.1


class StartCopy:
    """The way from a liquidation's number to a job."""

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

    def look(self, copy: CopySection, liquidation_id: int, caller: Caller) -> Offered | Message:
        """The offer; or, in words, why there is nothing that this person could press."""
        t = caller.t
        if refusal := self._guard.refusal_to_run(COPY_COMMAND, caller.user_id, copy, t):
            return refusal
        if hindered := self._hindered(copy, liquidation_id, t):
            return hindered
        proposal = self._proposal(copy, liquidation_id)
        return self._nothing_to_do(liquidation_id, proposal.seen, t) or self._offered(
            copy, liquidation_id, proposal
        )

    def press(self, offer: Offer, caller: Caller, channel_id: str) -> Message:
        """What becomes of a press of *Copy*, as what takes the place of the card."""
        found = self.start_or_ask(offer, caller, channel_id)
        return proposal_card(found, caller.t) if isinstance(found, Offered) else found

    def start_or_ask(self, offer: Offer, caller: Caller, channel_id: str) -> Offered | Message:
        """Starts the job, or says why not; a new offer where the old one is too old or no longer true.

        The person is checked anew, and a press works once, however often it is delivered.
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
        if nothing := self._nothing_to_do(offer.liquidation_id, proposal.seen, t):
            return nothing
        moved = offer.moved(proposal.seen)
        if moved or time.time() > offer.expires_at:
            notice = answers.asked_anew(t, moved=moved)
            return self._offered(copy, offer.liquidation_id, proposal, notice)
        if proposal.approvers is not None and channel_id.startswith("D"):
            return approval.not_in_private(copy.name, t)
        request = Request(
            spec=copy.spec,
            liquidation_id=offer.liquidation_id,
            label=cut(proposal.seen.label, LABEL_LIMIT) if proposal.seen.label else None,
            requester=self._callers.requester(caller),
            channel_id=channel_id,
            key=offer.key,
            terms=offer.terms(proposal.seen),
            fingerprint=proposal.seen.fingerprint,
            approvers=proposal.approvers,
            approval_seconds=guard.file.work.approval_seconds,
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
            if request.approvers is None:
                self._signals.enqueue(job_id)
        job = self._with_card(job_id)
        return answers.requested(job, self._card_publisher.link(job), t)

    def _with_card(self, job_id: int) -> JobView:
        """The job as soon as its card is there, or as it is after a moment."""
        until = time.monotonic() + CARD_SECONDS
        while True:
            job = self._store.job(job_id)
            if job is None:
                raise UnknownJob(job_id)
            if job.message_ts is not None or time.monotonic() > until:
                return job
            time.sleep(LOOK_SECONDS)

    def _hindered(self, copy: CopySection, liquidation_id: int, t: Translator) -> Message | None:
        """Before both sides are asked: it is being copied already, or nothing may be."""
        if live := self._store.live_job(str(copy.target_table), liquidation_id):
            return answers.running_already(live, self._card_publisher.link(live), t)
        freeze = self._freezes.active()
        return refused_because_frozen(freeze, t) if freeze else None

    def _proposal(self, copy: CopySection, liquidation_id: int) -> Proposal:
        listed = self._guard.file.liquidations
        seen = preview(
            self._prod,
            self._consulta,
            copy.spec,
            liquidation_id,
            names=SIDES,
            catalogue=listed.catalogue if listed else None,
            timeout_seconds=self._guard.file.work.preview_timeout_seconds,
        )
        target, in_prod = str(copy.target_table), seen.in_source.rows
        needed = copy.needs_approval(seen.in_source.known, seen.in_target.known)
        return Proposal(
            seen=seen,
            last=self._history.last_completed(target, liquidation_id),
            expected_seconds=self._history.expected_seconds(copy.name, in_prod) if in_prod else None,
            others=tuple(
                job for job in self._store.live() if job.target_table == target and not job.waits_for_somebody
            ),
            approvers=tuple(self._guard.access.who_may(copy)) if needed else None,
        )

    def _nothing_to_do(self, liquidation_id: int, seen: Preview, t: Translator) -> Message | None:
        nothing = removes_everything(seen) and seen.in_target == Count(0, exact=True)
        if seen.exists is False or (seen.exists is None and nothing):
            listed = self._guard.file.liquidations
            return answers.unknown_liquidation(liquidation_id, str(listed.table) if listed else None, t)
        if nothing:
            return answers.empty_liquidation(liquidation_id, seen.label, t)
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
        )
        return Offered(offer, copy.spec, proposal, max(1, round(lifetime / 60)), notice)


def start_copy(parts: BotParts) -> StartCopy:
    """Built from what was wired."""
    return StartCopy(
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

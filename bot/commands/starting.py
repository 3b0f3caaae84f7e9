"""How a copy is started, from wherever in Slack: a look at both sides, an offer, and one press, one job."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from uuid import uuid4

from bot.commands.surface import Surface
from bot.config_file import CopySection
from bot.errors import AlreadyRunning
from bot.i18n import Translator
from bot.jobs.store import Request
from bot.messages import answers
from bot.messages.blocks import Message, cut
from bot.messages.preview import Offer, preview_card, removes_everything
from copier import CopySpec, Count, Preview, preview

log = logging.getLogger(__name__)

COMMAND = answers.COPY_COMMAND
#: An offer travels in a button's value, so the name of a liquidation is cut.
LABEL_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Offered:
    """What may be pressed, and what was seen of both sides."""

    offer: Offer
    spec: CopySpec
    seen: Preview
    minutes: int

    def card(self, t: Translator) -> Message:
        """As the confirm card."""
        return preview_card(self.offer, self.spec, self.seen, self.minutes, t)


class Starting:
    """The way from a wish to a job."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def look(self, copy: CopySection, liquidation_id: int, user_id: str) -> Offered | Message:
        """The offer; or, in words, why there is nothing that this person could press."""
        surface = self._surface
        t = surface.people.language_of(user_id)
        if refusal := surface.refusal(COMMAND, user_id, t):
            return refusal
        live = surface.store.live_job(str(copy.target_table), liquidation_id)
        if live is not None:
            return answers.running_already(live, surface.announcer.link(live), t)
        listed = surface.file.liquidations
        seen = preview(
            surface.prod,
            surface.consulta,
            copy.spec,
            liquidation_id,
            catalogue=listed.catalogue if listed else None,
            timeout_seconds=surface.file.work.preview_timeout_seconds,
        )
        nothing = removes_everything(seen) and seen.in_consulta == Count(0, exact=True)
        if seen.exists is False or (seen.exists is None and nothing):
            return answers.unknown_liquidation(liquidation_id, str(listed.table) if listed else None, t)
        if nothing:
            return answers.empty_liquidation(liquidation_id, seen.label, t)
        lifetime = surface.file.work.confirm_seconds
        offer = Offer(
            copy_name=copy.name,
            liquidation_id=liquidation_id,
            label=cut(seen.label, LABEL_LIMIT) if seen.label else None,
            key=uuid4().hex,
            expires_at=int(time.time() + lifetime),
        )
        return Offered(offer, copy.spec, seen, max(1, round(lifetime / 60)))

    def press(self, offer: Offer, team_id: str, user_id: str, channel_id: str, t: Translator) -> Message:
        """What becomes of a press of *Copy*: the person is checked again, the press works once."""
        surface = self._surface
        if refusal := surface.refusal(COMMAND, user_id, t, anew=True):
            return refusal
        if used := surface.store.by_key(offer.key):
            return answers.pressed_before(used, surface.announcer.link(used), t)
        if time.time() > offer.expires_at:
            return answers.expired(offer.liquidation_id, t)
        copy = surface.copy_named(offer.copy_name)
        if copy is None:
            names = [each.name for each in surface.file.copies]
            return answers.unknown_copy(offer.copy_name, names, t)
        request = Request(
            spec=copy.spec,
            liquidation_id=offer.liquidation_id,
            label=offer.label,
            requester=surface.people.requester(team_id, user_id),
            channel_id=channel_id,
            key=offer.key,
        )
        try:
            job_id, is_new = surface.store.create(request)
        except AlreadyRunning as running:
            job = surface.store.snapshot(running.job_id)
            assert job is not None  # noqa: S101 - jobs are never deleted while they are live
            return answers.running_already(job, surface.announcer.link(job), t)
        if is_new:
            log.info("job %s: liquidation %s asked for by %s", job_id, offer.liquidation_id, user_id)
            surface.wake_courier()
            surface.enqueue(job_id)
        return answers.started(job_id, t)

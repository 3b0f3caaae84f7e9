"""``/copy-liquidation 42``: look at both sides, ask, and turn one press into one job."""

from __future__ import annotations

import logging
import time
from typing import Any
from uuid import uuid4

from slack_bolt import Ack, App, Respond

from bot.commands import parsing
from bot.commands.surface import Surface, answer, answer_with, user_of
from bot.config_file import CopySection
from bot.errors import AlreadyRunning, Frozen
from bot.i18n import Translator
from bot.jobs.freezes import Freezes
from bot.jobs.store import Request
from bot.messages import answers
from bot.messages.blocks import Message, cut
from bot.messages.freezing import refused_because_frozen
from bot.messages.preview import CANCEL_ACTION, COPY_ACTION, Offer, preview_card, removes_everything
from copier import Count, Preview, preview

log = logging.getLogger(__name__)

COMMAND = answers.COPY_COMMAND
#: An offer travels in a button's value, so the name of a liquidation is cut.
LABEL_LIMIT = 300


def register(app: App, surface: Surface) -> None:
    """Adds the command and its two buttons."""
    conversation = CopyLiquidation(surface)
    app.command(COMMAND)(conversation.command)
    app.action(COPY_ACTION)(conversation.confirmed)
    app.action(CANCEL_ACTION)(conversation.cancelled)


class CopyLiquidation:
    """The conversation from the command to the job."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def command(self, ack: Ack, body: dict[str, Any], respond: Respond) -> None:
        ack()
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        answer_with(lambda: self._answer_to(str(body.get("text") or ""), user_id, t), respond, t)

    def confirmed(self, ack: Ack, body: dict[str, Any], respond: Respond) -> None:
        ack()
        team_id, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        answer_with(lambda: self._press(body, team_id, user_id, t), respond, t, replace=True)

    def cancelled(self, ack: Ack, body: dict[str, Any], respond: Respond) -> None:
        ack()
        _, user_id = user_of(body)
        answer(respond, answers.cancelled(self._surface.people.language_of(user_id)), replace=True)

    def _answer_to(self, text: str, user_id: str, t: Translator) -> Message:
        names = [copy.name for copy in self._surface.file.copies]
        if parsing.asks_for_help(text):
            return answers.help_text(names, self._surface.permissions.group_names, t)
        words = parsing.words(text)
        if not words:
            return answers.number_missing(t)
        liquidation_id = parsing.number(words[0])
        if liquidation_id is None:
            return answers.not_a_number(words[0], t)
        if len(words) > 2:
            return answers.too_many_words(t)
        copy = self._copy_named(words[1] if len(words) == 2 else None)
        if copy is None:
            return answers.unknown_copy(words[1], names, t)
        return self._surface.refusal(COMMAND, user_id, t) or self._offer(copy, liquidation_id, t)

    def _copy_named(self, name: str | None) -> CopySection | None:
        copies = self._surface.file.copies
        return next((copy for copy in copies if name in {None, copy.name}), None)

    def _offer(self, copy: CopySection, liquidation_id: int, t: Translator) -> Message:
        """The confirm card, or the reason why there is nothing to confirm."""
        live = self._surface.store.live_job(str(copy.target_table), liquidation_id)
        if live is not None:
            return answers.running_already(live, self._surface.announcer.link(live), t)
        if freeze := Freezes(self._surface.consulta).active():
            return refused_because_frozen(freeze, t)
        seen = self._look(copy, liquidation_id)
        nothing = removes_everything(seen) and seen.in_consulta == Count(0, exact=True)
        if seen.exists is False or (seen.exists is None and nothing):
            catalogue = self._surface.file.liquidations
            return answers.unknown_liquidation(liquidation_id, str(catalogue.table) if catalogue else None, t)
        if nothing:
            return answers.empty_liquidation(liquidation_id, seen.label, t)
        lifetime = self._surface.file.work.confirm_seconds
        offer = Offer(
            copy_name=copy.name,
            liquidation_id=liquidation_id,
            label=cut(seen.label, LABEL_LIMIT) if seen.label else None,
            key=uuid4().hex,
            expires_at=int(time.time() + lifetime),
        )
        return preview_card(offer, copy.spec, seen, max(1, round(lifetime / 60)), t)

    def _look(self, copy: CopySection, liquidation_id: int) -> Preview:
        listed = self._surface.file.liquidations
        return preview(
            self._surface.prod,
            self._surface.consulta,
            copy.spec,
            liquidation_id,
            catalogue=listed.catalogue if listed else None,
            timeout_seconds=self._surface.file.work.preview_timeout_seconds,
        )

    def _press(self, body: dict[str, Any], team_id: str, user_id: str, t: Translator) -> Message:
        """What becomes of a press of *Copy*: the person is checked again, the press works once."""
        surface = self._surface
        offer = Offer.decoded(body["actions"][0]["value"])
        if refusal := surface.refusal(COMMAND, user_id, t, anew=True):
            return refusal
        if used := surface.store.by_key(offer.key):
            return answers.pressed_before(used, surface.announcer.link(used), t)
        if time.time() > offer.expires_at:
            return answers.expired(offer.liquidation_id, t)
        copy = self._copy_named(offer.copy_name)
        if copy is None:
            names = [each.name for each in surface.file.copies]
            return answers.unknown_copy(offer.copy_name, names, t)
        request = Request(
            spec=copy.spec,
            liquidation_id=offer.liquidation_id,
            label=offer.label,
            requester=surface.people.requester(team_id, user_id),
            channel_id=str(body["channel"]["id"]),
            key=offer.key,
        )
        try:
            job_id, is_new = surface.store.create(request)
        except AlreadyRunning as running:
            job = surface.store.snapshot(running.job_id)
            assert job is not None  # noqa: S101 - jobs are never deleted while they are live
            return answers.running_already(job, surface.announcer.link(job), t)
        except Frozen as frozen:
            return refused_because_frozen(frozen.freeze, t)
        if is_new:
            log.info("job %s: liquidation %s asked for by %s", job_id, offer.liquidation_id, user_id)
            surface.wake_courier()
            surface.enqueue(job_id)
        return answers.started(job_id, t)

"""*Later…* for several liquidations, and for a set: when all copies of the run are to begin.

What was shown binds each of them all the same: where other rows are there then, the card asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import when
from bot.commands.conversation import Caller
from bot.commands.copy_several import CopySeveral
from bot.commands.copy_whole import CopyWhole
from bot.commands.starting import AT_FIRST, Starting, Values, press_of
from bot.messages import proposal
from bot.messages.blocks import Message, of_liquidation
from bot.messages.run import of_liquidations
from bot.messages.several import LATER_SEVERAL_ACTION, SeveralOffer
from bot.messages.whole import LATER_WHOLE_ACTION, WholeOffer, whole_card
from bot.slack.client import CONNECTION_ERRORS, error_name

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)

#: What stands before the offer in the window: which conversation made it.
SEVERAL, WHOLE = "several", "whole"


class RunsForLater:
    """From the confirm card over a window to a run that waits for its time."""

    def __init__(self, starting: Starting, several: CopySeveral, whole: CopyWhole) -> None:
        self._guard = starting.guard
        self._callers = starting.callers
        self._several = several
        self._whole = whole

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
            copy = self._guard.copy_named(several.copy_name)
            title = copy.shown if copy is not None else several.copy_name
            what = of_liquidations(title, [part[0] for part in several.parts], t)
            asks_why = copy is not None and copy.require_reason
        else:
            whole = WholeOffer.decoded(value)
            chosen = self._guard.set_named(whole.set_name)
            what = of_liquidation(chosen.shown if chosen else whole.set_name, whole.liquidation_id, t)
            copies = self._guard.file.copies_of(chosen) if chosen else ()
            asks_why = any(copy.require_reason for copy in copies)
        zone = self._callers.people.time_zone_of(caller.user_id)
        at_first = when.next_time(when.time_of_day(AT_FIRST), datetime.now(UTC), zone)
        origin = f"{kind} {channel_id} {value}"
        view = proposal.later_for_run(what, origin, at_first, t, why=typed if asks_why else None)
        try:
            client.views_open(trigger_id=str(body.get("trigger_id")), view=view)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("nobody was asked when the copies are to begin: %s", error_name(error))
            caller.reply.say(proposal.not_shown(t))

    def planned(self, ack: Ack, body: dict[str, Any]) -> None:
        """The window is submitted; what became of it is said where the card was."""
        t, view = self._callers.known(body).t, body["view"]
        values, now = Values(view["state"]["values"]), datetime.now(UTC)
        start_at, wrong = values.moment(proposal.START), dict[str, str]()
        if start_at is None or not now < start_at <= now + when.LONGEST:
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
            found = self._whole.start_or_ask(WholeOffer.decoded(offer), caller, channel, why, start_at)
            return found if isinstance(found, Message) else whole_card(found, caller.t)

        self._callers.answer(ack, {**body, "channel_id": channel}, press, self._callers.turns.presses)

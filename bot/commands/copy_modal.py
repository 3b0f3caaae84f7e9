"""The modal: choose a liquidation, look at both sides, start the copy. ``/copy-liquidation`` alone opens it.

A trigger lives three seconds, so a view that waits is opened first, and the real one takes its place. A step
is acknowledged with its outcome where that is there in time, and with a view that waits where it isn't.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine

from bot.commands import parsing
from bot.commands.conversation import Caller, Callers, Guard, ViewUpdate, or_problem, update_view
from bot.commands.start_copy import StartCopy
from bot.config import SIDES
from bot.i18n import Translator
from bot.messages import copy_modal
from bot.messages.blocks import Block, Message, View
from bot.messages.copy_modal import Carried
from bot.messages.home import NEW_ACTION
from bot.messages.naming import COPY_COMMAND
from bot.messages.proposal import Offer, Offered
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name
from copier import Entry, search
from copier.errors import CopierError

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)

#: What the search may take, and when the menu is answered without it; Slack waits for three seconds.
SEARCH_SECONDS, ANSWER_SECONDS = 1.8, 2.5
#: How long a step may take until a view that waits is shown, and how long that one needs to arrive.
STEP_SECONDS, SETTLE_SECONDS = 1.5, 1.0
#: Steps at once.
STEPS = 16
#: Searches at once; one that waits for a server that is away keeps its place for as long as connecting takes.
SEARCHES = 8


def connect(app: App, modal: CopyModal) -> None:
    """Adds the button of App Home that opens it, the menu, and both steps."""
    app.action(NEW_ACTION)(modal.from_home)
    app.options(copy_modal.LIQUIDATION)(modal.options)
    app.view(copy_modal.CHOOSE_CALLBACK)(modal.chosen)
    app.view(copy_modal.PRESS_CALLBACK)(modal.pressed)


class CopyModal:
    """The conversation in the modal."""

    def __init__(
        self, guard: Guard, callers: Callers, start: StartCopy, card_publisher: CardPublisher, prod: Engine
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._start = start
        self._card_publisher = card_publisher
        self._prod = prod
        self._steps = ThreadPoolExecutor(STEPS, thread_name_prefix="step")
        self._searches = ThreadPoolExecutor(SEARCHES, thread_name_prefix="search")

    def open(self, client: WebClient, body: dict[str, Any], carried: Carried) -> bool:
        """Opens the modal for whoever this payload is from; False where Slack didn't."""
        caller = self._callers.of(body)
        t = caller.t
        waiting = copy_modal.wait(t("One moment…"), t)
        try:
            opened = client.views_open(trigger_id=str(body.get("trigger_id")), view=waiting)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("the modal was not opened: %s", error_name(error))
            return False
        found = or_problem(lambda: self._choose(carried, caller.user_id, t), t)
        view = copy_modal.result(found, t) if isinstance(found, Message) else found
        if update_view(client, str(opened["view"]["id"]), view) is ViewUpdate.FAILED:
            caller.reply.say(found if isinstance(found, Message) else copy_modal.not_shown(t))
        return True

    def from_home(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        ack()
        if not self.open(client, body, Carried(asks_channel=True)):
            caller = self._callers.of(body)
            caller.reply.say(copy_modal.not_shown(caller.t))

    def options(self, ack: Ack, body: dict[str, Any]) -> None:
        """The menu's lines for what was typed, within Slack's three seconds."""
        t = self._callers.of(body).t
        found = self._searches.submit(self._search, str(body.get("value") or ""))
        try:
            lines = copy_modal.options(found.result(ANSWER_SECONDS), t)
        except (TooSlow, CopierError) as error:
            log.warning("the catalogue was not searched: %s", type(error).__name__)
            lines = copy_modal.unavailable(t)
        except Exception:  # a menu without an answer only turns
            log.exception("the catalogue was not searched")
            lines = copy_modal.unavailable(t)
        ack(options=lines)

    def chosen(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """The first step is submitted: look at both sides."""
        caller = self._callers.of(body)
        t = caller.t
        view = body["view"]
        values = _Values(view["state"]["values"])
        carried = Carried.decoded(view["private_metadata"])
        number = values.option(copy_modal.LIQUIDATION) or values.text(copy_modal.NUMBER)
        liquidation_id = parsing.number(number.strip())
        name = values.option(copy_modal.COPY) or carried.copy or self._guard.copy_names[0]
        copy = self._guard.copy_named(name)
        if liquidation_id is None or copy is None:
            menu = number == copy_modal.UNAVAILABLE
            ack(
                response_action="errors",
                errors=copy_modal.not_chosen(t) if menu else copy_modal.no_number(number, t),
            )
            return
        carried = replace(carried, channel=values.conversation(copy_modal.CHANNEL) or carried.channel)

        def look() -> Offered | Message:
            return self._start.look(copy, liquidation_id, caller)

        waiting = copy_modal.wait(t("Looking at both sides…"), t)
        self._answer(ack, client, body, caller, look, waiting=waiting, carried=carried)

    def pressed(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """The preview is submitted: the same press as the card's."""
        caller = self._callers.of(body)
        carried = Carried.decoded(body["view"]["private_metadata"])

        def press() -> Offered | Message:
            offer = Offer.decoded(carried.offer or "")
            channel = carried.channel or self._card_publisher.open_direct_message(caller.user_id)
            return self._start.start_or_ask(offer, caller, channel)

        # Where the press asks again, the answer is another offer.
        waiting = copy_modal.wait(caller.t("Starting…"), caller.t)
        self._answer(ack, client, body, caller, press, waiting=waiting, carried=carried, is_press=True)

    def _answer(
        self,
        ack: Ack,
        client: WebClient,
        body: dict[str, Any],
        caller: Caller,
        make: Callable[[], Offered | Message],
        *,
        waiting: View,
        carried: Carried,
        is_press: bool = False,
    ) -> None:
        """Puts what ``make`` gives in the place of the view, at once or as soon as it is there.

        Where Slack doesn't show it, it is said. What became of a press also to who has closed the window.
        """
        t = caller.t

        def step() -> tuple[Offered | Message, View]:
            found = or_problem(make, t)
            if isinstance(found, Message):
                return found, copy_modal.result(found, t)
            return found, copy_modal.preview(found, carried, t)

        work = self._steps.submit(step)
        try:
            ack(response_action="update", view=work.result(STEP_SECONDS)[1])
            return
        except TooSlow:
            ack(response_action="update", view=waiting)
        acknowledged = time.monotonic()
        found, outcome = work.result()
        # The acknowledgement takes another way than the update, and must not arrive after it.
        time.sleep(max(0.0, acknowledged + SETTLE_SECONDS - time.monotonic()))
        update = update_view(client, str(body["view"]["id"]), outcome)
        if update is ViewUpdate.FAILED or (update is ViewUpdate.CLOSED and is_press):
            # An offer that is pressed elsewhere would have its card there.
            caller.reply.say(found if isinstance(found, Message) else copy_modal.not_shown(t))

    def _choose(self, carried: Carried, user_id: str, t: Translator) -> View | Message:
        guard = self._guard
        if refusal := guard.refusal_to_use(COPY_COMMAND, user_id, t):
            return refusal
        copies = guard.file.copies
        refusals = {copy: guard.refusal_to_run(COPY_COMMAND, user_id, copy, t) for copy in copies}
        permitted = [copy.name for copy, refusal in refusals.items() if refusal is None]
        if not permitted:
            return next(refusal for refusal in refusals.values() if refusal is not None)
        has_catalogue = guard.file.liquidations is not None
        return copy_modal.choose(carried, permitted, has_catalogue=has_catalogue, t=t)

    def _search(self, wanted: str) -> list[Entry]:
        listed = self._guard.file.liquidations
        if listed is None:
            return []
        return search(self._prod, listed.catalogue, wanted, names=SIDES, timeout_seconds=SEARCH_SECONDS)


class _Values:
    """What stands in the inputs, by their names; empty where nothing does."""

    def __init__(self, values: dict[str, dict[str, Block]]) -> None:
        self._values = values

    def option(self, name: str) -> str:
        return str((self._of(name).get("selected_option") or {}).get("value", ""))

    def text(self, name: str) -> str:
        return str(self._of(name).get("value") or "")

    def conversation(self, name: str) -> str:
        return str(self._of(name).get("selected_conversation") or "")

    def _of(self, name: str) -> Block:
        return self._values.get(name, {}).get(name, {})

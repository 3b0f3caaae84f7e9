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
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.commands import parsing
from bot.commands.conversation import Shown, Surface, show, told, user_of
from bot.commands.start_copy import COMMAND, Starting
from bot.config import SIDES
from bot.i18n import Translator
from bot.messages import copy_modal
from bot.messages.blocks import Block, Message, View
from bot.messages.copy_modal import Carried
from bot.messages.home import NEW_ACTION
from bot.messages.proposal import Offer, Offered
from bot.slack.client import CONNECTION_ERRORS, error_name
from copier import Entry, search
from copier.errors import CopierError

log = logging.getLogger(__name__)

#: What the search may take, and when the menu is answered without it; Slack waits for three seconds.
SEARCH_SECONDS, ANSWER_SECONDS = 1.8, 2.5
#: How long a step may take until a view that waits is shown, and how long that one needs to arrive.
STEP_SECONDS, SETTLE_SECONDS = 1.5, 1.0
#: Steps at once.
STEPS = 16
#: Searches at once; one that waits for a server that is away keeps its place for as long as connecting takes.
SEARCHES = 8


def register(app: App, choosing: Choosing) -> None:
    app.action(NEW_ACTION)(choosing.from_home)
    app.options(copy_modal.LIQUIDATION)(choosing.options)
    app.view(copy_modal.CHOOSE_CALLBACK)(choosing.chosen)
    app.view(copy_modal.PRESS_CALLBACK)(choosing.pressed)


class Choosing:
    """The conversation in the modal."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._starting = Starting(surface)
        self._steps = ThreadPoolExecutor(STEPS, thread_name_prefix="step")
        self._searches = ThreadPoolExecutor(SEARCHES, thread_name_prefix="search")

    def open(self, client: WebClient, body: dict[str, Any], carried: Carried) -> bool:
        """Opens the modal for whoever this payload is from; False where Slack didn't."""
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        waiting = copy_modal.wait(t("One moment…"), t)
        try:
            opened = client.views_open(trigger_id=str(body.get("trigger_id")), view=waiting)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("the modal was not opened: %s", error_name(error))
            return False
        found = told(lambda: self._choose(carried, user_id, t), t)
        view = copy_modal.result(found, t) if isinstance(found, Message) else found
        if show(client, str(opened["view"]["id"]), view) is Shown.NO:
            self._surface.replies.to(body).say(
                found if isinstance(found, Message) else copy_modal.not_shown(t)
            )
        return True

    def from_home(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        ack()
        if not self.open(client, body, Carried(asks_channel=True)):
            _, user_id = user_of(body)
            self._surface.replies.to(body).say(
                copy_modal.not_shown(self._surface.people.language_of(user_id))
            )

    def options(self, ack: Ack, body: dict[str, Any]) -> None:
        """The menu's lines for what was typed, within Slack's three seconds."""
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
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
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        view = body["view"]
        values = _Values(view["state"]["values"])
        carried = Carried.decoded(view["private_metadata"])
        number = values.option(copy_modal.LIQUIDATION) or values.text(copy_modal.NUMBER)
        liquidation_id = parsing.number(number.strip())
        name = values.option(copy_modal.COPY) or carried.copy or self._surface.copy_names[0]
        copy = self._surface.copy_named(name)
        if liquidation_id is None or copy is None:
            menu = number == copy_modal.UNAVAILABLE
            ack(
                response_action="errors",
                errors=copy_modal.not_chosen(t) if menu else copy_modal.no_number(number, t),
            )
            return
        carried = replace(carried, channel=values.conversation(copy_modal.CHANNEL) or carried.channel)

        def look() -> Offered | Message:
            return self._starting.look(copy, liquidation_id, user_id)

        waiting = copy_modal.wait(t("Looking at both sides…"), t)
        self._answer(ack, client, body, look, waiting=waiting, carried=carried)

    def pressed(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        """The preview is submitted: the same press as the card's."""
        team_id, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        view = body["view"]
        carried = Carried.decoded(view["private_metadata"])

        def press() -> Offered | Message:
            offer = Offer.decoded(carried.offer or "")
            channel = carried.channel or self._surface.card_publisher.open_direct_message(user_id)
            return self._starting.start_or_ask(offer, team_id, user_id, channel, t)

        # Where the press asks again, the answer is another offer.
        waiting = copy_modal.wait(t("Starting…"), t)
        self._answer(ack, client, body, press, waiting=waiting, carried=carried, is_press=True)

    def _answer(
        self,
        ack: Ack,
        client: WebClient,
        body: dict[str, Any],
        make: Callable[[], Offered | Message],
        *,
        waiting: View,
        carried: Carried,
        is_press: bool = False,
    ) -> None:
        """Puts what ``make`` gives in the place of the view, at once or as soon as it is there.

        Where Slack doesn't show it, it is said. What became of a press also to who has closed the window.
        """
        _, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)

        def step() -> tuple[Offered | Message, View]:
            found = told(make, t)
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
        shown = show(client, str(body["view"]["id"]), outcome)
        if shown is Shown.NO or (shown is Shown.CLOSED and is_press):
            # An offer that is pressed elsewhere would have its card there.
            self._surface.replies.to(body).say(
                found if isinstance(found, Message) else copy_modal.not_shown(t)
            )

    def _choose(self, carried: Carried, user_id: str, t: Translator) -> View | Message:
        surface = self._surface
        if refusal := surface.refusal_to_use(COMMAND, user_id, t):
            return refusal
        refusals = {each: surface.refusal_to_run(COMMAND, user_id, each, t) for each in surface.file.copies}
        permitted = [copy.name for copy, refusal in refusals.items() if refusal is None]
        if not permitted:
            return next(refusal for refusal in refusals.values() if refusal is not None)
        return copy_modal.choose(carried, permitted, has_catalogue=surface.file.liquidations is not None, t=t)

    def _search(self, wanted: str) -> list[Entry]:
        listed = self._surface.file.liquidations
        if listed is None:
            return []
        return search(
            self._surface.prod, listed.catalogue, wanted, names=SIDES, timeout_seconds=SEARCH_SECONDS
        )


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

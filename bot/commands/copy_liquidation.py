"""``/copy-liquidation 42``: look at both sides, ask, one press, one job. Alone it opens the modal."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.commands import parsing
from bot.commands.conversation import Surface, answer_with, user_of
from bot.commands.copy_modal import Choosing
from bot.commands.start_copy import COMMAND, Starting
from bot.i18n import Translator
from bot.messages import answers
from bot.messages.blocks import Message
from bot.messages.copy_modal import Carried
from bot.messages.proposal import CANCEL_ACTION, COPY_ACTION, Offer, Offered, proposal_card


def register(app: App, surface: Surface, choosing: Choosing) -> None:
    """Adds the command and its two buttons."""
    conversation = CopyLiquidation(surface, choosing)
    app.command(COMMAND)(conversation.command)
    app.action(COPY_ACTION)(conversation.confirmed)
    app.action(CANCEL_ACTION)(conversation.cancelled)


class CopyLiquidation:
    """The conversation from the command to the job."""

    def __init__(self, surface: Surface, choosing: Choosing) -> None:
        self._surface = surface
        self._starting = Starting(surface)
        self._choosing = choosing

    def command(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        ack()
        _, user_id = user_of(body)
        text = str(body.get("text") or "")
        if not parsing.words(text):
            carried = Carried(channel=str(body["channel_id"]))
            if self._choosing.open(client, body, carried):
                return
        t = self._surface.people.language_of(user_id)
        answer_with(lambda: self._answer_to(text, user_id, t), self._surface.replies.to(body), t)

    def confirmed(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        team_id, user_id = user_of(body)
        t = self._surface.people.language_of(user_id)
        reply = self._surface.replies.to(body)
        answer_with(lambda: self._press(body, team_id, user_id, t), reply, t, replace=True)

    def cancelled(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        _, user_id = user_of(body)
        cancelled = answers.cancelled(self._surface.people.language_of(user_id))
        self._surface.replies.to(body).say(cancelled, replace=True)

    def _answer_to(self, text: str, user_id: str, t: Translator) -> Message:
        if parsing.asks_for_help(text):
            return self._surface.help(t)
        words, names = parsing.words(text), self._surface.copy_names
        if not words:
            return answers.number_missing(t)
        meant = parsing.meant(words, names, COMMAND)
        liquidation_id = parsing.number(words[0])
        if liquidation_id is None:
            return answers.not_a_number(words[0], t, meant)
        if len(words) > 2:
            return answers.too_many_words(t, meant)
        copy = self._surface.copy_meant(COMMAND, words[1] if len(words) == 2 else None, user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            return answers.unknown_copy(words[1], names, t, meant, f"{COMMAND} {liquidation_id} {names[0]}")
        found = self._starting.look(copy, liquidation_id, user_id)
        return proposal_card(found, t) if isinstance(found, Offered) else found

    def _press(self, body: dict[str, Any], team_id: str, user_id: str, t: Translator) -> Message:
        offer = Offer.decoded(body["actions"][0]["value"])
        return self._starting.press(offer, team_id, user_id, str(body["channel"]["id"]), t)

"""``/copy-liquidation 42``: look at both sides, ask, one press, one job. Alone it opens the modal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient

from bot.commands import copy_modal, parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard
from bot.commands.copy_modal import CopyModal
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.commands.start_copy import StartCopy, start_copy
from bot.i18n import Translator
from bot.messages import answers
from bot.messages.blocks import Message
from bot.messages.copy_modal import Carried
from bot.messages.naming import COPY_COMMAND
from bot.messages.proposal import CANCEL_ACTION, COPY_ACTION, Offer, Offered, proposal_card

if TYPE_CHECKING:
    from slack_bolt import Ack, App


def help_lines(names: list[str], t: Translator) -> HelpLines:
    others = ", ".join(f"`{name}`" for name in names)
    return [
        (COPY_COMMAND, t("searches a liquidation in a window, and starts its copy there")),
        (f"{COPY_COMMAND} 42", t("shows what would be copied, and asks before it does anything")),
        (
            f"{COPY_COMMAND} 42 {names[0]}",
            t("the same for one of the configured copies: {names}", names=others),
        ),
    ]


def connect(app: App, parts: BotParts) -> None:
    """Adds the command, its two buttons, and the modal."""
    start = start_copy(parts)
    modal = CopyModal(parts.guard, parts.callers, start, parts.card_publisher, parts.prod)
    copy_modal.connect(app, modal)
    conversation = CopyLiquidation(parts.guard, parts.callers, start, modal)
    app.command(COPY_COMMAND)(conversation.command)
    app.action(COPY_ACTION)(conversation.confirmed)
    app.action(CANCEL_ACTION)(conversation.cancelled)


class CopyLiquidation:
    """The conversation from the command to the job."""

    def __init__(self, guard: Guard, callers: Callers, start: StartCopy, modal: CopyModal) -> None:
        self._guard = guard
        self._callers = callers
        self._start = start
        self._modal = modal

    def command(self, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
        ack()
        text = str(body.get("text") or "")
        if not parsing.words(text):
            carried = Carried(channel=str(body["channel_id"]))
            if self._modal.open(client, body, carried):
                return
        caller = self._callers.of(body)
        caller.answer(lambda: self._answer_to(text, caller))

    def confirmed(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        caller = self._callers.of(body)
        caller.answer(lambda: self._press(body, caller), replace=True)

    def cancelled(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        caller = self._callers.of(body)
        caller.reply.say(answers.cancelled(caller.t), replace=True)

    def _answer_to(self, text: str, caller: Caller) -> Message:
        t, user_id, names = caller.t, caller.user_id, self._guard.copy_names
        if parsing.asks_for_help(text):
            return self._guard.help(t)
        words = parsing.words(text)
        if not words:
            return answers.number_missing(t)
        suggestion = parsing.suggestion(words, names, COPY_COMMAND)
        liquidation_id = parsing.number(words[0])
        if liquidation_id is None:
            return answers.not_a_number(words[0], t, suggestion)
        if len(words) > 2:
            return answers.too_many_words(t, suggestion)
        copy = self._guard.chosen_copy(COPY_COMMAND, words[1] if len(words) == 2 else None, user_id, t)
        if isinstance(copy, Message):
            return copy
        if copy is None:
            example = f"{COPY_COMMAND} {liquidation_id} {names[0]}"
            return answers.unknown_copy(words[1], names, t, suggestion, example)
        found = self._start.look(copy, liquidation_id, caller)
        return proposal_card(found, t) if isinstance(found, Offered) else found

    def _press(self, body: dict[str, Any], caller: Caller) -> Message:
        offer = Offer.decoded(body["actions"][0]["value"])
        return self._start.press(offer, caller, str(body["channel"]["id"]))


register(
    SlashCommand(
        name=COPY_COMMAND,
        example="42",
        arguments=Arguments.LIQUIDATION,
        help=help_lines,
        connect=connect,
        aliases={"copy": "", "copiar": ""},
        place=1,
    )
)

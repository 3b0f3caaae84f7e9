"""``/copy-audit [2026-11]``: the receipts of a month as a file, in a direct message.

For whoever answers for all copies: the groups and users of the global lists, and the operators. Who may run
a copy with people of its own sees the receipts of that copy on its cards, and no others.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError, SlackRequestError

from bot.commands import parsing
from bot.commands.conversation import BotParts, Caller, Callers, Guard
from bot.commands.registry import Arguments, HelpLines, SlashCommand, register
from bot.i18n import Translator
from bot.jobs.receipts import DateRange, Receipts, Wanted, WrongDateRange
from bot.messages import receipts
from bot.messages.blocks import AUDIT_COMMAND, Message
from bot.slack.card_publisher import CardPublisher
from bot.slack.client import CONNECTION_ERRORS, error_name

if TYPE_CHECKING:
    from slack_bolt import Ack, App

log = logging.getLogger(__name__)

#: Receipts in one file: a few megabytes.
MOST = 10_000


def help_lines(names: list[str], t: Translator) -> HelpLines:
    return [(f"{AUDIT_COMMAND} 2026-11", t("the receipts of a month, as a file"))]


def connect(app: App, parts: BotParts) -> None:
    conversation = CopyAudit(parts.guard, parts.callers, Receipts(parts.tracking), parts.card_publisher)
    app.command(AUDIT_COMMAND)(conversation.command)


class CopyAudit:
    """Reads receipts and sends them to one person."""

    def __init__(
        self, guard: Guard, callers: Callers, receipts: Receipts, card_publisher: CardPublisher
    ) -> None:
        self._guard = guard
        self._callers = callers
        self._receipts = receipts
        self._card_publisher = card_publisher

    def command(self, ack: Ack, body: dict[str, Any]) -> None:
        text = str(body.get("text") or "")
        self._callers.answer(ack, body, lambda caller: self._answer_to(text, caller))

    def _answer_to(self, text: str, caller: Caller) -> Message:
        t = caller.t
        if parsing.asks_for_help(text):
            return self._guard.help(t)
        if refusal := self._guard.refusal_to_audit(AUDIT_COMMAND, caller.user_id, t):
            return refusal
        words = "".join(text.split()) or datetime.now(UTC).strftime("%Y-%m")
        try:
            period = DateRange.parse(words)
        except WrongDateRange:
            return receipts.no_period(text, t)
        entries = self._receipts.entries(Wanted(period), MOST)
        if not entries:
            return receipts.nothing_ended(words, t)
        try:
            self._card_publisher.send_file(
                caller.user_id,
                f"traspaso-{words}.csv",
                receipts.csv_file(entries),
                title=receipts.title(words, t),
                comment=receipts.comment(words, len(entries), self._receipts.newest(), t),
            )
        except (SlackApiError, SlackRequestError, *CONNECTION_ERRORS) as error:
            log.warning(
                "the receipts of %s were not sent to %s: %s", words, caller.user_id, error_name(error)
            )
            return receipts.not_sent(error_name(error), t)
        log.info("%d receipts of %s were sent to %s", len(entries), words, caller.user_id)
        return receipts.sent(words, len(entries), t, is_cut=len(entries) >= MOST)


register(
    SlashCommand(
        name=AUDIT_COMMAND,
        example="2026-11",
        arguments=Arguments.NONE,
        help=help_lines,
        connect=connect,
        aliases={"audit": "", "auditoría": "", "auditoria": "", "receipts": "", "comprobantes": ""},
        place=5,
    )
)

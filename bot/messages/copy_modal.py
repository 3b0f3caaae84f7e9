"""The modal in which a copy is chosen, previewed and started: each step replaces the one before."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from bot.i18n import Translator
from bot.messages.blocks import Block, Message, View, cut, option, section, sentence
from bot.messages.naming import COPY_COMMAND
from bot.messages.proposal import Offered, proposal_body, removes_everything
from bot.messages.question import removal_dialog
from copier import Entry

CHOOSE_CALLBACK, PRESS_CALLBACK = "choosing.choose", "choosing.press"
#: Each is the block's and the element's id.
LIQUIDATION, NUMBER, COPY, CHANNEL, UNDERSTOOD = (
    "choosing.liquidation",
    "choosing.number",
    "choosing.copy",
    "choosing.channel",
    "choosing.understood",
)
#: The value of the only line of the menu when prod can't be asked.
UNAVAILABLE = "unavailable"

TITLE_LIMIT = 24


@dataclass(frozen=True, slots=True)
class Carried:
    """What the modal carries from step to step in its ``private_metadata``.

    ``channel`` is where the card will be; None for a direct message. ``asks_channel`` where the modal was
    opened from App Home. ``offer`` is the encoded one that a press stands for. ``copy`` is the only one that
    this person may run; None where there is a choice.
    """

    channel: str | None = None
    asks_channel: bool = False
    offer: str | None = None
    copy: str | None = None

    def encoded(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decoded(cls, value: str) -> Carried:
        return cls(**json.loads(value))


def wait(words: str, t: Translator) -> View:
    """Shown within Slack's three seconds, before any database is asked."""
    return _modal([section(f"⏳ {words}")], t)


def choose(carried: Carried, copies: list[str], *, has_catalogue: bool, t: Translator) -> View:
    """The liquidation, the copy where this person may run several, and the channel where none is known."""
    blocks = [_liquidation(t) if has_catalogue else _number(t)]
    if len(copies) > 1:
        options = [option(name, name) for name in copies]
        menu = {"type": "static_select", "options": options, "initial_option": options[0]}
        blocks.append(_input(COPY, t("What to copy"), menu))
    else:
        carried = replace(carried, copy=copies[0])
    if carried.asks_channel:
        menu = {
            "type": "conversations_select",
            "filter": {"include": ["public", "private"], "exclude_bot_users": True},
            "placeholder": _plain(t("A direct message to me")),
        }
        hint = t("Where its card will be. In a private channel, invite the bot first.")
        blocks.append(_input(CHANNEL, t("Channel"), menu, hint=hint) | {"optional": True})
    return _modal(blocks, t, submit=t("Preview"), callback=CHOOSE_CALLBACK, carried=carried)


def preview(offered: Offered, carried: Carried, t: Translator) -> View:
    """The proposal in the modal, to be submitted: what the confirm card is in a channel."""
    offer, blocks = offered.offer, proposal_body(offered, t)
    if removes_everything(offered.proposal.seen):
        # A modal's submit has no dialog of its own: what it would ask has to be ticked.
        asked = removal_dialog(offer.liquidation_id, t)
        boxes = {"type": "checkboxes", "options": [option(asked["confirm"]["text"], "yes")]}
        # Of each offer its own: a tick is for the numbers that it stands under.
        blocks.append(_input(f"{UNDERSTOOD}.{offer.key}", asked["text"]["text"], boxes))
    carried = replace(carried, offer=offer.encoded())
    return _modal(blocks, t, submit=t("Copy"), callback=PRESS_CALLBACK, carried=carried)


def result(message: Message, t: Translator) -> View:
    """An answer with nothing to press: a refusal, or what became of the press."""
    return _modal(message.blocks, t)


def not_shown(t: Translator) -> Message:
    """Slack didn't open the window, or showed nothing after its first step."""
    return sentence(
        t("Slack didn't show the next step, so nothing was started."),
        hint=t(
            "Close the window if it is still open, and try again. `{command}` works without it.",
            command=f"{COPY_COMMAND} 42",
        ),
    )


def options(entries: list[Entry], t: Translator) -> list[Block]:
    """The lines of the searchable menu: number and name, with the period below."""
    return [_line(entry, t) for entry in entries]


def unavailable(t: Translator) -> list[Block]:
    """The only line of the menu when prod can't be asked."""
    return [option(t("Prod can't be asked now. Type the number after the command."), UNAVAILABLE)]


def not_chosen(t: Translator) -> dict[str, str]:
    """The error below the menu when its only line was chosen."""
    return {LIQUIDATION: t("Prod can't be asked now. Type the number after the command.")}


def no_number(word: str, t: Translator) -> dict[str, str]:
    """The error below the input of a number."""
    wrong = t("“{word}” is not the number of a liquidation.", word=cut(word, 60))
    return {NUMBER: f"{wrong} " + t("A number is digits only, from 1 to 9223372036854775807.")}


def _line(entry: Entry, t: Translator) -> Block:
    line = option(f"{entry.id} · {entry.label}" if entry.label else str(entry.id), str(entry.id))
    period = _plain(cut(t.period(entry.period), 75)) if entry.period else None
    if period and period["text"].strip():
        line["description"] = period
    return line


def _liquidation(t: Translator) -> Block:
    menu = {
        "type": "external_select",
        "min_query_length": 0,
        "placeholder": _plain(t("Search by number, name or period")),
        "focus_on_load": True,
    }
    return _input(LIQUIDATION, t("Liquidation"), menu)


def _number(t: Translator) -> Block:
    field = {
        "type": "plain_text_input",
        "max_length": 19,
        "placeholder": _plain("42"),
        "focus_on_load": True,
    }
    return _input(NUMBER, t("Number of the liquidation"), field)


def _input(name: str, label: str, element: Block, *, hint: str = "") -> Block:
    block: Block = {
        "type": "input",
        "block_id": name,
        "label": _plain(label),
        "element": element | {"action_id": name},
    }
    return block | ({"hint": _plain(hint)} if hint else {})


def _modal(
    blocks: list[Block],
    t: Translator,
    *,
    submit: str | None = None,
    callback: str | None = None,
    carried: Carried | None = None,
) -> View:
    view: View = {
        "type": "modal",
        "title": _plain(cut(t("Copy a liquidation"), TITLE_LIMIT)),
        "close": _plain(cut(t("Cancel") if submit else t("Close"), TITLE_LIMIT)),
        "blocks": blocks,
    }
    if submit:
        view["submit"] = _plain(cut(submit, TITLE_LIMIT))
    if callback:
        view["callback_id"] = callback
    if carried:
        view["private_metadata"] = carried.encoded()
    return view


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}

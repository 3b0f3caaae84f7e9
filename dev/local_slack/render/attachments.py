"""Attachments, the older way to add to a message: a coloured bar beside author, title, text and fields."""

import re
from typing import Any

from dev.local_slack.jsontypes import Json
from dev.local_slack.render.blocks import blocks_html
from dev.local_slack.render.html import Html, el, join, safe_link
from dev.local_slack.render.mrkdwn import mrkdwn
from dev.local_slack.render.sight import Sight

_COLOURS = {"good": "#2eb886", "warning": "#daa038", "danger": "#a30200"}
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")


def attachments_html(sight: Sight, attachments: list[Json]) -> Html:
    return join(*(_attachment(sight, each) for each in attachments))


def _attachment(sight: Sight, attachment: Json) -> Html:
    """The colour is drawn: the page's policy allows no style of a single element."""
    bar = el("svg", el("rect", width="100%", height="100%", fill=_colour(attachment)), aria_hidden="true")
    return join(
        _text(sight, attachment.get("pretext"), "text"),
        el("div", bar, *_parts(sight, attachment), class_="attachment"),
    )


def _parts(sight: Sight, attachment: Json) -> list[Html | None]:
    blocks = attachment.get("blocks")
    if isinstance(blocks, list):
        return [blocks_html(sight, blocks)]
    fields = [
        el("div", el("b", str(field.get("title", ""))), _text(sight, field.get("value"), "value"))
        for field in attachment.get("fields") or []
    ]
    found = [
        _link(attachment, "author_name", "author_link", "small"),
        _link(attachment, "title", "title_link", "b"),
        _text(sight, attachment.get("text"), "text"),
        el("div", *fields, class_="fields") if fields else None,
        el("small", str(attachment["footer"])) if attachment.get("footer") else None,
    ]
    return found if any(found) else [_text(sight, attachment.get("fallback"), "text")]


def _link(attachment: Json, name: str, link: str, element: str) -> Html | None:
    if not attachment.get(name):
        return None
    words, address = str(attachment[name]), safe_link(str(attachment.get(link) or ""))
    shown = el("a", words, href=address, target="_blank", rel="noopener noreferrer") if address else words
    return el("div", el(element, shown))


def _text(sight: Sight, text: Any, name: str) -> Html | None:
    return el("div", mrkdwn(str(text), sight.reader), class_=name) if text else None


def _colour(attachment: Json) -> str:
    colour = str(attachment.get("color") or "")
    found = _HEX.fullmatch(colour)
    return f"#{found[1]}" if found else _COLOURS.get(colour, "#dddddd")

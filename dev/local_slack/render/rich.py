"""rich_text: what Slack's own composer writes, and what table cells may hold."""

from typing import Any

from dev.local_slack.jsontypes import Json
from dev.local_slack.render.html import Html, Node, el, join
from dev.local_slack.render.mrkdwn import date_shown, emoji_of, link, mention
from dev.local_slack.render.reader import Reader


def rich_text(block: Json, reader: Reader) -> Html:
    return el("div", *(_part(part, reader) for part in block.get("elements") or []), class_="rich")


def _part(part: Json, reader: Reader) -> Html:
    inner = part.get("elements") or []
    match part.get("type"):
        case "rich_text_list":
            name = "ol" if part.get("style") == "ordered" else "ul"
            indent = f"indent{min(int(part.get('indent') or 0), 5)}"
            return el(name, *(el("li", _part(item, reader)) for item in inner), class_=indent)
        case "rich_text_preformatted":
            return el("pre", *(_run(run, reader) for run in inner))
        case "rich_text_quote":
            return el("blockquote", *(_run(run, reader) for run in inner))
        case _:
            return el("div", *(_run(run, reader) for run in inner))


def _run(run: Json, reader: Reader) -> Html:
    shown = _content(run, reader)
    style: Any = run.get("style") or {}
    for key, name in (("code", "code"), ("strike", "s"), ("italic", "em"), ("bold", "strong")):
        if style.get(key):
            shown = el(name, shown)
    return shown


def _content(run: Json, reader: Reader) -> Html:
    match run.get("type"):
        case "link":
            address = str(run.get("url", ""))
            return link(address, str(run.get("text") or address), reader)
        case "user":
            return mention(str(run.get("user_id")), reader)
        case "usergroup":
            return el("span", f"@{reader.group_name(str(run.get('usergroup_id')))}", class_="mention")
        case "channel":
            return el("span", f"#{reader.channel_name(str(run.get('channel_id')))}", class_="mention")
        case "broadcast":
            return el("span", f"@{run.get('range')}", class_="mention me")
        case "emoji":
            name = str(run.get("name"))
            return el("span", emoji_of(name) or f":{name}:", class_="emoji", title=f":{name}:")
        case "date":
            form = str(run.get("format") or "{date}")
            return el("time", date_shown(int(run.get("timestamp") or 0), form, reader))
        case "color":
            return el("code", str(run.get("value")))
        case _:
            return join(*_lines(str(run.get("text", ""))))


def _lines(text: str) -> list[Node]:
    parts: list[Node] = []
    for n, line in enumerate(text.split("\n")):
        parts += [el("br"), line] if n else [line]
    return parts

"""Blocks as plain text, roughly as a person reads them; a button is `[Copy]`."""

from typing import Any

from dev.local_slack.jsontypes import Json


def plain(blocks: list[Json] | None, text: str = "") -> str:
    """Slack shows the blocks and keeps the text for notifications, so the text counts only without blocks."""
    if not blocks:
        return text
    return "\n".join(line for block in blocks for line in _lines(block) if line)


def _lines(block: Json) -> list[str]:
    match block.get("type"):
        case "divider":
            return ["---"]
        case "section":
            fields = [_text(field) for field in block.get("fields") or []]
            return [_text(block.get("text")), *fields, element_text(block.get("accessory"))]
        case "context" | "actions" | "context_actions":
            return [" ".join(filter(None, (element_text(e) for e in block.get("elements") or [])))]
        case "input":
            return [_text(block.get("label")), element_text(block.get("element")), _text(block.get("hint"))]
        case "rich_text":
            return [_rich(block)]
        case "table":
            return [" | ".join(_cell(cell) for cell in row) for row in block.get("rows") or []]
        case "image":
            return [_text(block.get("title")), f"({block.get('alt_text', '')})"]
        case "data_visualization":
            return [_text(block.get("title")), *chart_lines(block)]
        case "task_card":
            detail = [_rich(block[name]) for name in ("details", "output") if block.get(name)]
            return [f"{block.get('title')} ({block.get('status')})", *detail]
        case "plan":
            return [
                str(block.get("title")),
                *(line for task in block.get("tasks") or [] for line in _lines(task)),
            ]
        case "card":
            return [
                *(_text(block.get(name)) for name in ("title", "subtitle", "body")),
                " ".join(element_text(e) for e in block.get("actions") or []),
            ]
        case "container":
            inner = [line for child in block.get("child_blocks") or [] for line in _lines(child)]
            return [_text(block.get("title")), _text(block.get("subtitle")), *inner]
        case _:
            return [_text(block.get("text"))]


def chart_lines(block: Json) -> list[str]:
    """A line for each series of a chart, with its points; a pie's segments are one."""
    chart = block.get("chart") or {}
    lines = [{"data": chart["segments"]}] if chart.get("segments") else chart.get("series") or []

    def points(series: Json) -> str:
        data = series.get("data") or []
        return ", ".join(f"{point.get('label')} {point.get('value'):,.10g}" for point in data)

    return [": ".join(filter(None, (series.get("name"), points(series)))) for series in lines]


def element_text(element: Any) -> str:
    if not isinstance(element, dict):
        return ""
    kind = element.get("type")
    if kind in ("plain_text", "mrkdwn"):
        return _text(element)
    if kind in ("button", "icon_button", "workflow_button"):
        return f"[{_text(element.get('text'))}]"
    if kind == "feedback_buttons":
        return " ".join(f"[{_text(element[n]['text'])}]" for n in ("positive_button", "negative_button"))
    if kind == "overflow":
        return " ".join(f"[{_text(option.get('text'))}]" for option in element.get("options") or [])
    if kind == "image":
        return f"({element.get('alt_text', '')})"
    if kind in ("checkboxes", "radio_buttons"):
        return " ".join(f"( ) {_text(option.get('text'))}" for option in element.get("options") or [])
    chosen = element.get("initial_option") or {}
    return f"<{_text(chosen.get('text')) or _text(element.get('placeholder')) or kind}>"


def _text(value: Any) -> str:
    return str(value.get("text", "")) if isinstance(value, dict) else str(value or "")


def _cell(cell: Json) -> str:
    return _rich(cell) if cell.get("type") == "rich_text" else str(cell.get("text", cell.get("value", "")))


def _rich(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    kind = value.get("type", "")
    inner = [_rich(item) for item in value.get("elements") or []]
    if kind == "rich_text_list":
        return "\n".join(f"- {item}" for item in inner)
    if inner:
        return ("\n" if kind == "rich_text" else "").join(inner)
    shown = {
        "user": "@{user_id}",
        "channel": "#{channel_id}",
        "emoji": ":{name}:",
        "usergroup": "@{usergroup_id}",
        "date": "{fallback}",
    }
    return shown.get(kind, "{text}").format(**{"text": value.get("text", value.get("url", "")), **value})

"""Block Kit as HTML. What isn't known here shows as such instead of being left out."""

from typing import Any
from urllib.parse import urlsplit

from dev.local_slack.files import PICTURES
from dev.local_slack.jsontypes import Blocks, Json
from dev.local_slack.render.charts import chart_html
from dev.local_slack.render.elements import element_html
from dev.local_slack.render.html import Html, Node, el, join, safe_link
from dev.local_slack.render.markdown import markdown
from dev.local_slack.render.rich import rich_text
from dev.local_slack.render.sight import Sight


def blocks_html(sight: Sight, blocks: Blocks) -> Html:
    return join(*(block_html(sight, block) for block in blocks))


def block_html(sight: Sight, block: Json) -> Html:
    kind = str(block.get("type"))
    if kind not in _KINDS:
        return el("div", sight.reader.t("Unknown block: {kind}", kind=kind), class_="block unknown")
    return el("div", _KINDS[kind](sight, block), class_=f"block {kind.replace('_', '-')}")


def _section(sight: Sight, block: Json) -> Html:
    text = el("div", sight.text(block["text"]), class_="text") if block.get("text") else None
    fields = [el("div", sight.text(field)) for field in block.get("fields") or []]
    accessory = block.get("accessory")
    beside = el("div", _inner(sight, block, accessory), class_="accessory") if accessory else None
    left = el("div", text, el("div", *fields, class_="fields") if fields else None, class_="main")
    return join(left, beside)


def _header(sight: Sight, block: Json) -> Html:
    return el("h3", sight.text(block.get("text")))


def _divider(sight: Sight, block: Json) -> Html:
    return el("hr")


def _context(sight: Sight, block: Json) -> Html:
    return join(*(el("span", _inner(sight, block, each)) for each in block.get("elements") or []))


def _actions(sight: Sight, block: Json) -> Html:
    return join(*(_inner(sight, block, each) for each in block.get("elements") or []))


def _input(sight: Sight, block: Json) -> Html:
    block_id, reader = str(block.get("block_id")), sight.reader
    label = f"label-{block_id}"
    optional = el("small", f" ({reader.t('optional')})") if block.get("optional") else None
    error = sight.errors.get(block_id)
    return join(
        el("div", sight.text(block.get("label")), optional, class_="label", id=label),
        element_html(sight, block, block["element"], label=label),
        el("div", sight.text(block["hint"]), class_="hint") if block.get("hint") else None,
        el("div", error, class_="error", role="alert") if error else None,
    )


def _image(sight: Sight, block: Json) -> Html:
    title = el("figcaption", sight.text(block["title"])) if block.get("title") else None
    return el("figure", title, picture(sight, block))


def _markdown(sight: Sight, block: Json) -> Html:
    return markdown(str(block.get("text", "")))


def _rich_text(sight: Sight, block: Json) -> Html:
    return rich_text(block, sight.reader)


def _table(sight: Sight, block: Json) -> Html:
    """The first row is the head, as Slack shows it."""
    settings: list[Any] = block.get("column_settings") or []

    def cell(name: str, n: int, content: Json) -> Html:
        setting = settings[n] if n < len(settings) and isinstance(settings[n], dict) else {}
        classes = [str(setting.get("align", "left")), "wrapped" if setting.get("is_wrapped") else ""]
        if content.get("type") == "rich_text":
            shown = rich_text(content, sight.reader)
        else:
            shown = join(str(content.get("text", content.get("value", ""))))
        scope = {"scope": "col"} if name == "th" else {}
        return el(name, shown, class_=" ".join(filter(None, classes)), **scope)

    head, *rows = block.get("rows") or [[]]
    return el(
        "div",
        el(
            "table",
            el("thead", el("tr", *(cell("th", n, each) for n, each in enumerate(head)))),
            el("tbody", *(el("tr", *(cell("td", n, each) for n, each in enumerate(row))) for row in rows)),
        ),
        class_="scroll",
        role="region",
        tabindex="0",
        aria_label=sight.reader.t("Table"),
    )


def _file(sight: Sight, block: Json) -> Html:
    return el("div", f"📄 {block.get('external_id', '')}", class_="card")


def _video(sight: Sight, block: Json) -> Html:
    """Not played: a card with its title, and a link to it."""
    made_by = " · ".join(str(block[name]) for name in ("author_name", "provider_name") if block.get(name))
    address = safe_link(str(block.get("title_url") or block.get("video_url") or ""))
    return el(
        "div",
        "▶ ",
        el("a", sight.text(block.get("title")), href=address, target="_blank", rel="noopener noreferrer"),
        el("small", made_by) if made_by else None,
        el("div", sight.text(block["description"])) if block.get("description") else None,
        class_="card",
    )


def _alert(sight: Sight, block: Json) -> Html:
    return el(
        "div", sight.text(block.get("text")), class_=f"alert {block.get('level', 'default')}", role="note"
    )


def _chart(sight: Sight, block: Json) -> Html:
    return chart_html(block)


#: How a task's state is drawn.
_TASK_SIGNS = {"pending": "○", "in_progress": "◔", "complete": "✓", "error": "✕"}


def _task_card(sight: Sight, block: Json) -> Html:
    """A task: its state as a sign, and in words for who can't see it; its title; what it says of itself."""
    status, t = str(block.get("status")), sight.reader.t
    words = {"pending": t("pending"), "in_progress": t("in progress"), "complete": t("complete")}
    said = words.get(status, t("error"))
    sign = el("span", _TASK_SIGNS.get(status, "?"), class_=f"sign {status}", role="img", aria_label=said)
    texts = [rich_text(block[name], sight.reader) for name in ("details", "output") if block.get(name)]
    title = el("strong", str(block.get("title", "")))
    return join(sign, el("div", title, *(el("div", text, class_="said") for text in texts), class_="task"))


def _plan(sight: Sight, block: Json) -> Html:
    """Tasks below a title, as a list."""
    tasks = [el("li", _task_card(sight, task)) for task in block.get("tasks") or []]
    return join(el("div", str(block.get("title", "")), class_="title"), el("ul", *tasks))


_KINDS = {
    "plan": _plan,
    "task_card": _task_card,
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "context_actions": _actions,
    "input": _input,
    "image": _image,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "table": _table,
    "file": _file,
    "video": _video,
    "alert": _alert,
    "data_visualization": _chart,
}


def _inner(sight: Sight, block: Json, element: Json) -> Html:
    """An element, or one of the texts and pictures that a context and a section may hold too."""
    if element.get("type") in {"plain_text", "mrkdwn"}:
        return sight.text(element)
    if element.get("type") == "image":
        return picture(sight, element)
    return element_html(sight, block, element)


def picture(sight: Sight, image: Json) -> Html:
    """Only files of this workspace are loaded: no request leaves the machine."""
    core, alt = sight.reader.core, str(image.get("alt_text", ""))
    address = str(image.get("image_url") or (image.get("slack_file") or {}).get("url") or "")
    file_id = (image.get("slack_file") or {}).get("id") or address.removeprefix(f"{core.url}/files/")
    if file_id in core.ws.files:
        return el("img", src=f"/files/{file_id}", alt=alt, loading="lazy")
    host = urlsplit(address).hostname or file_id
    shown = sight.reader.t("Image from {host}, not loaded", host=host)
    return el("span", f"🖼 {alt}", class_="absent", role="img", aria_label=alt, title=shown)


def files_html(sight: Sight, files: list[str]) -> Html:
    """Uploaded files below a message: pictures in place, others to be downloaded."""
    found = [sight.reader.core.ws.files[each] for each in files]
    parts: list[Node] = []
    for file in found:
        if file.mimetype in PICTURES:
            picture = el("img", src=f"/files/{file.id}", alt=file.alt_text or file.title, loading="lazy")
            parts.append(el("figure", el("figcaption", file.title), picture))
        else:
            words = f"📄 {file.title} · {file.size:,} B"
            parts.append(el("a", words, href=f"/files/{file.id}", download=file.name, class_="card"))
    return el("div", *parts, class_="files")

"""Block Kit's rules for messages, modals and home tabs: sizes, required fields, what may stand where."""

import copy
from collections.abc import Callable
from typing import Any

from dev.local_slack import elements as el
from dev.local_slack.checker import Checker
from dev.local_slack.clock import short_id
from dev.local_slack.elements import BOTH, check_element
from dev.local_slack.errors import InvalidBlocks
from dev.local_slack.jsontypes import Blocks, Json

MOST_BLOCKS = {"message": 50, "modal": 100, "home": 100}
_NOWHERE_ELSE = {
    "alert": {"modal"},
    "table": {"message", "home"},
    "file": {"message"},
    "context_actions": {"message"},
    "task_card": {"message"},
    "plan": {"message"},
    "data_visualization": {"message"},
}

# block type: (required fields, optional fields)
FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "section": ((), ("text", "fields", "accessory", "expand")),
    "header": (("text",), ("level",)),
    "divider": ((), ()),
    "context": (("elements",), ()),
    "actions": (("elements",), ()),
    "context_actions": (("elements",), ()),
    "input": (("label", "element"), ("hint", "optional", "dispatch_action")),
    "image": (("alt_text",), ("image_url", "slack_file", "title")),
    "markdown": (("text",), ()),
    "rich_text": (("elements",), ()),
    "table": (("rows",), ("column_settings",)),
    "task_card": (("task_id", "title", "status"), ("details", "output", "sources")),
    "plan": (("title",), ("tasks",)),
    "alert": (("text",), ("level",)),
    "card": ((), ("hero_image", "icon", "title", "subtitle", "body", "actions", "slack_icon")),
    "container": (
        ("child_blocks",),
        (
            "title",
            "rich_text_title",
            "subtitle",
            "width",
            "icon",
            "is_collapsible",
            "default_collapsed",
            "has_header_divider",
        ),
    ),
    "video": (
        ("alt_text", "title", "thumbnail_url", "video_url"),
        ("author_name", "description", "provider_icon_url", "provider_name", "title_url"),
    ),
    "file": (("external_id", "source"), ()),
    "data_visualization": (("title", "chart"), ()),
}


def check_message_blocks(blocks: Any) -> None:
    """Raise `InvalidBlocks` with every reason why these blocks cannot be posted."""
    check = Checker()
    check_blocks(check, blocks, "/blocks", "message")
    if check.reasons:
        raise InvalidBlocks(check.reasons)


def check_blocks(check: Checker, blocks: Any, path: str, surface: str) -> None:
    if not check.items(blocks, path, MOST_BLOCKS[surface], minimum=0):
        return
    block_ids: set[str] = set()
    for n, block in enumerate(blocks):
        check_block(check, block, f"{path}/{n}", surface, block_ids)
    if sum(1 for block in blocks if isinstance(block, dict) and block.get("type") == "table") > 1:
        check.add(path, "only_one_table_allowed")
    if (
        sum(1 for block in blocks if isinstance(block, dict) and block.get("type") == "data_visualization")
        > 2
    ):
        check.add(path, "no more than 2 data_visualization blocks allowed")


def check_block(check: Checker, block: Any, path: str, surface: str, block_ids: set[str]) -> None:
    if not check.object(block, path):
        return
    kind = block.get("type")
    if kind is None:
        check.add(path, "missing required field: type")
        return
    if kind not in FIELDS or surface not in _NOWHERE_ELSE.get(kind, {surface}):
        check.add(f"{path}/type", f"unsupported type: {kind}")
        return
    required, optional = FIELDS[kind]
    complete = check.fields(block, path, required=("type", *required), optional=("block_id", *optional))
    check.unique("block_id", block.get("block_id"), f"{path}/block_id", block_ids)
    if complete and kind in _KINDS:
        _KINDS[kind](check, block, path)
    if complete and kind == "container" and check.items(block["child_blocks"], f"{path}/child_blocks", 10):
        for n, child in enumerate(block["child_blocks"]):
            check_block(check, child, f"{path}/child_blocks/{n}", surface, block_ids)


def _check_section(check: Checker, block: Json, path: str) -> None:
    if block.get("text") is None and block.get("fields") is None:
        check.add(f"{path}/type", "must define either `text` or `fields`")
    if block.get("text") is not None:
        check.text(block["text"], f"{path}/text", 3000, BOTH)
    if block.get("fields") is not None and check.items(block["fields"], f"{path}/fields", 10):
        for n, field in enumerate(block["fields"]):
            check.text(field, f"{path}/fields/{n}", 2000, BOTH)
    if block.get("accessory") is not None:
        check_element(check, block["accessory"], f"{path}/accessory", el.IN_ACCESSORY)


def _check_context(check: Checker, block: Json, path: str) -> None:
    if check.items(block["elements"], f"{path}/elements", 10):
        for n, element in enumerate(block["elements"]):
            if isinstance(element, dict) and element.get("type") == "image":
                check_element(check, element, f"{path}/elements/{n}", {"image"})
            else:
                check.text(element, f"{path}/elements/{n}", 3000, BOTH)


def _elements(
    allowed: set[str], maximum: int, name: str = "elements"
) -> Callable[[Checker, Json, str], None]:
    def check_all(check: Checker, block: Json, path: str) -> None:
        action_ids: set[str] = set()
        if check.items(block[name], f"{path}/{name}", maximum):
            for n, element in enumerate(block[name]):
                check_element(check, element, f"{path}/{name}/{n}", allowed, action_ids)

    return check_all


def _check_input(check: Checker, block: Json, path: str) -> None:
    check.text(block["label"], f"{path}/label", 2000)
    if block.get("hint") is not None:
        check.text(block["hint"], f"{path}/hint", 2000)
    check_element(check, block["element"], f"{path}/element", el.IN_INPUT)


def _check_image(check: Checker, block: Json, path: str) -> None:
    check_element(check, {k: v for k, v in block.items() if k not in ("title", "block_id")}, path, {"image"})
    if block.get("title") is not None:
        check.text(block["title"], f"{path}/title", 2000)


def _check_table(check: Checker, block: Json, path: str) -> None:
    if check.items(block["rows"], f"{path}/rows", 100):
        for n, row in enumerate(block["rows"]):
            if not check.items(row, f"{path}/rows/{n}", 20):
                continue
            for m, cell in enumerate(row):
                if not isinstance(cell, dict) or cell.get("type") not in (
                    "raw_text",
                    "raw_number",
                    "rich_text",
                ):
                    check.add(f"{path}/rows/{n}/{m}", "unsupported type")
    if block.get("column_settings") is not None:
        check.items(block["column_settings"], f"{path}/column_settings", 20, minimum=0)


def _check_markdown(check: Checker, block: Json, path: str) -> None:
    check.string(block["text"], f"{path}/text", 12000)


def _check_task_card(check: Checker, block: Json, path: str) -> None:
    """By docs.slack.dev/reference/block-kit/blocks/task-card-block: its texts are one rich text each."""
    check.choice(block["status"], f"{path}/status", ("pending", "in_progress", "complete", "error"))
    check.string(block["task_id"], f"{path}/task_id", 255)
    check.string(block["title"], f"{path}/title", 3000)
    for name in ("details", "output"):
        text = block.get(name)
        if text is not None and (not isinstance(text, dict) or text.get("type") != "rich_text"):
            check.add(f"{path}/{name}", "must be a rich_text")
        elif text is not None:
            check_block(check, text, f"{path}/{name}", "message", set())


def _check_plan(check: Checker, block: Json, path: str) -> None:
    """By docs.slack.dev/reference/block-kit/blocks/plan-block: tasks, and nothing else."""
    check.string(block["title"], f"{path}/title", 3000)
    tasks = block.get("tasks")
    if tasks is None or not check.items(tasks, f"{path}/tasks", 100, minimum=0):
        return
    ids: set[str] = set()
    for n, task in enumerate(tasks):
        if isinstance(task, dict) and task.get("type") != "task_card":
            check.add(f"{path}/tasks/{n}/type", f"unsupported type: {task.get('type')}")
            continue
        check_block(check, task, f"{path}/tasks/{n}", "message", set())
        if isinstance(task, dict):
            check.unique("task_id", task.get("task_id"), f"{path}/tasks/{n}/task_id", ids)


def _check_alert(check: Checker, block: Json, path: str) -> None:
    check.text(block["text"], f"{path}/text", 3000, BOTH)
    if block.get("level") is not None:
        check.choice(block["level"], f"{path}/level", ("default", "info", "warning", "error", "success"))


def _check_card(check: Checker, block: Json, path: str) -> None:
    if not any(block.get(name) for name in ("hero_image", "title", "actions", "body")):
        check.add(path, "must define at least one of `hero_image`, `title`, `actions` or `body`")
    for name, maximum in (("title", 150), ("subtitle", 150), ("body", 200)):
        if block.get(name) is not None:
            check.text(block[name], f"{path}/{name}", maximum, BOTH)
    if block.get("actions") is not None:
        _elements(el.IN_ACTIONS, 25, "actions")(check, block, path)


_SERIES_CHART = (("type", "series", "axis_config"), ())
_CHARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "line": _SERIES_CHART,
    "bar": _SERIES_CHART,
    "area": _SERIES_CHART,
    "pie": (("type", "segments"), ()),
}


def _check_data_visualization(check: Checker, block: Json, path: str) -> None:
    """By docs.slack.dev/reference/block-kit/blocks/data-visualization-block, as it was in November 2026."""
    check.string(block["title"], f"{path}/title", 50)
    chart, path = block["chart"], f"{path}/chart"
    if not check.object(chart, path):
        return
    if chart.get("type") not in _CHARTS:
        check.choice(chart.get("type"), f"{path}/type", _CHARTS)
        return
    required, optional = _CHARTS[chart["type"]]
    if not check.fields(chart, path, required=required, optional=optional):
        return
    if chart["type"] == "pie":
        for n, segment in enumerate(_few(check, chart["segments"], f"{path}/segments", 6)):
            _check_point(check, segment, f"{path}/segments/{n}", least=0)
        return
    categories = _check_axis(check, chart["axis_config"], f"{path}/axis_config")
    names: set[str] = set()
    for n, series in enumerate(_few(check, chart["series"], f"{path}/series", 6)):
        _check_series(check, series, f"{path}/series/{n}", categories, names)


def _check_axis(check: Checker, axis: Any, path: str) -> list[Any]:
    """The categories, in their order."""
    labels = ("x_label", "y_label")
    if not check.object(axis, path) or not check.fields(
        axis, path, required=("categories",), optional=labels
    ):
        return []
    for label in labels:
        if axis.get(label) is not None:
            check.string(axis[label], f"{path}/{label}", 50)
    categories = _few(check, axis["categories"], f"{path}/categories", 20)
    for n, category in enumerate(categories):
        check.string(category, f"{path}/categories/{n}", 20)
    return categories


def _check_series(check: Checker, series: Any, path: str, categories: list[Any], names: set[str]) -> None:
    if not check.object(series, path) or not check.fields(
        series, path, required=("name", "data"), optional=()
    ):
        return
    if check.string(series["name"], f"{path}/name", 20):
        check.unique("name", series["name"], f"{path}/name", names)
    points = _few(check, series["data"], f"{path}/data", 20)
    for n, point in enumerate(points):
        _check_point(check, point, f"{path}/data/{n}")
    labels = [point.get("label") for point in points if isinstance(point, dict)]
    if sorted(map(str, labels)) != sorted(map(str, categories)):
        check.add(f"{path}/data", "must hold one point for each of axis_config.categories")


def _check_point(check: Checker, point: Any, path: str, least: float | None = None) -> None:
    """A label and a number; with ``least`` the number must be greater than that."""
    if not check.object(point, path) or not check.fields(
        point, path, required=("label", "value"), optional=()
    ):
        return
    check.string(point["label"], f"{path}/label", 20)
    value = point["value"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        check.add(f"{path}/value", "must be a number")
    elif least is not None and value <= least:
        check.add(f"{path}/value", f"must be greater than {least:g}")


def _few(check: Checker, value: Any, path: str, maximum: int) -> list[Any]:
    """The items, where it is a list at all."""
    return value if check.items(value, path, maximum) else []


_KINDS: dict[str, Callable[[Checker, Json, str], None]] = {
    "section": _check_section,
    "header": lambda check, block, path: check.text(block["text"], f"{path}/text", 150),
    "context": _check_context,
    "actions": _elements(el.IN_ACTIONS, 25),
    "context_actions": _elements(el.IN_CONTEXT_ACTIONS, 5),
    "input": _check_input,
    "image": _check_image,
    "markdown": _check_markdown,
    "table": _check_table,
    "task_card": _check_task_card,
    "plan": _check_plan,
    "alert": _check_alert,
    "card": _check_card,
    "data_visualization": _check_data_visualization,
}


def complete_blocks(blocks: Blocks) -> Blocks:
    """As Slack stores them: with ids for what came without, and the defaults of text objects filled in."""
    blocks = copy.deepcopy(blocks)
    for block in blocks:
        _complete(block)
        block.setdefault("block_id", short_id())
        for child in block.get("child_blocks") or []:
            child.setdefault("block_id", short_id())
        for element in elements_of(block):
            element.setdefault("action_id", short_id())
    return blocks


def _complete(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _complete(item)
    elif isinstance(value, dict):
        if value.get("type") == "plain_text":
            value.setdefault("emoji", True)
        elif value.get("type") == "mrkdwn":
            value.setdefault("verbatim", False)
        elif value.get("type") == "rich_text":
            return
        for item in value.values():
            _complete(item)


def elements_of(block: Json) -> list[Json]:
    """What a person can act on within a block, in the order it is shown."""
    found: list[Json] = []
    if isinstance(block.get("accessory"), dict):
        found.append(block["accessory"])
    if isinstance(block.get("element"), dict):
        found.append(block["element"])
    for name in ("elements", "actions") if block.get("type") != "rich_text" else ():
        found += [e for e in block.get(name) or [] if isinstance(e, dict)]
    for child in block.get("child_blocks") or []:
        found += elements_of(child)
    return [e for e in found if e.get("type") in el.FIELDS and e["type"] != "image"]

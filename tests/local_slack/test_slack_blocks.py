"""Block Kit's limits, one by one, with the words and places that Slack answers."""

from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models import blocks as kit

from dev.local_slack.blocks import check_blocks, check_message_blocks
from dev.local_slack.checker import Checker
from dev.local_slack.client import LocalSlack
from dev.local_slack.errors import InvalidBlocks

from .office import button, card

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(**fields: Any) -> list[Json]:
    return [{"type": "section", **fields}]


def actions(*elements: Json) -> list[Json]:
    return [{"type": "actions", "elements": list(elements)}]


def select(count: int, text: str = "o", value: str = "v") -> Json:
    options = [{"text": plain(text), "value": f"{value}{n}"} for n in range(count)]
    return {"type": "static_select", "action_id": "s", "options": options}


def chart(kind: str = "line", **changed: Any) -> list[Json]:
    """Two lines of two points, or a pie of two parts; ``changed`` are fields of the chart."""
    points = [{"label": "1 min", "value": 2000}, {"label": "2 min", "value": -1.5}]
    fields: Json = {
        "series": [{"name": "rows", "data": points}, {"name": "bytes", "data": points}],
        "axis_config": {"categories": ["1 min", "2 min"], "x_label": "time", "y_label": "rows/s"},
    }
    if kind == "pie":
        fields = {"segments": [{"label": "inserted", "value": 5}, {"label": "updated", "value": 0.5}]}
    return [{"type": "data_visualization", "title": "Rows", "chart": {"type": kind, **fields, **changed}}]


def tasks(**changed: Any) -> list[Json]:
    """A plan with one task, of which the ``changed`` fields are others, or left out for None."""
    fields = {"type": "task_card", "task_id": "job-1", "title": "42", "status": "complete", **changed}
    task = {name: value for name, value in fields.items() if value is not None}
    return [{"type": "plan", "title": "1 of 1 copies", "tasks": [task]}]


def line(points: int, name: str = "rows", label: str = "{n}", value: Any = 1) -> Json:
    return {"name": name, "data": [{"label": label.format(n=n), "value": value} for n in range(points)]}


def axis(points: int, label: str = "{n}") -> Json:
    return {"categories": [label.format(n=n) for n in range(points)]}


def confirm(**changed: Json) -> Json:
    return {**button("Go", "go")["confirm"], **changed}


LIMITS = [
    ([{"type": "divider"}] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
    (section(text=plain("x" * 3001)), "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
    (section(text=plain("")), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
    (section(fields=[plain("x")] * 11), "no more than 10 items allowed [json-pointer:/blocks/0/fields]"),
    (section(), "must define either `text` or `fields` [json-pointer:/blocks/0/type]"),
    (card("x" * 151), "must be less than 151 characters [json-pointer:/blocks/0/text/text]"),
    (
        [{"type": "context", "elements": [plain("x")] * 11}],
        "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
    ),
    (
        actions(*(button("Go", f"go{n}") for n in range(26))),
        "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
    ),
    (
        actions(button("x" * 76, "go")),
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
    ),
    (
        actions(button("Go", "go", "x" * 2001)),
        "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
    ),
    (
        actions(button("Go", "x" * 256)),
        "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]",
    ),
    (
        [{"type": "divider", "block_id": "x" * 256}],
        "must be less than 256 characters [json-pointer:/blocks/0/block_id]",
    ),
    (actions(select(101)), "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]"),
    (
        actions(select(1, text="x" * 76)),
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/options/0/text/text]",
    ),
    (
        actions(select(1, value="x" * 150)),
        "must be less than 151 characters [json-pointer:/blocks/0/elements/0/options/0/value]",
    ),
    (
        actions({**select(6), "type": "overflow"}),
        "no more than 5 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    (
        actions({**select(1), "placeholder": plain("x" * 151)}),
        "must be less than 151 characters [json-pointer:/blocks/0/elements/0/placeholder/text]",
    ),
    (
        actions({**button("Go", "go"), "confirm": confirm(title=plain("x" * 101))}),
        "must be less than 101 characters [json-pointer:/blocks/0/elements/0/confirm/title/text]",
    ),
    (
        actions({**button("Go", "go"), "confirm": confirm(text=plain("x" * 301))}),
        "must be less than 301 characters [json-pointer:/blocks/0/elements/0/confirm/text/text]",
    ),
    (
        actions({**button("Go", "go"), "confirm": confirm(deny=plain("x" * 31))}),
        "must be less than 31 characters [json-pointer:/blocks/0/elements/0/confirm/deny/text]",
    ),
    (
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * 101}],
        "no more than 100 items allowed [json-pointer:/blocks/0/rows]",
    ),
    (
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 21]}],
        "no more than 20 items allowed [json-pointer:/blocks/0/rows/0]",
    ),
    (
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}] * 2,
        "only_one_table_allowed [json-pointer:/blocks]",
    ),
    (
        actions({"type": "datetimepicker", "action_id": "at", "initial_date_time": 1795773540000}),
        "must be a UNIX timestamp of 10 digits [json-pointer:/blocks/0/elements/0/initial_date_time]",
    ),
    ([{"type": "nonsense"}], "unsupported type: nonsense [json-pointer:/blocks/0/type]"),
    ([{"type": "alert", "text": plain("x")}], "unsupported type: alert [json-pointer:/blocks/0/type]"),
    ([{"type": "header"}], "missing required field: text [json-pointer:/blocks/0]"),
    ([{"type": "divider", "colour": "red"}], "invalid additional property: colour [json-pointer:/blocks/0]"),
    (
        actions({**button("Go", "go"), "style": "success"}),
        "must be one of: danger, primary [json-pointer:/blocks/0/elements/0/style]",
    ),
    (
        actions(button("Go", "go"), button("Stop", "go")),
        '`action_id` "go" already exists [json-pointer:/blocks/0/elements/1/action_id]',
    ),
    (
        [{**chart()[0], "title": "x" * 51}],
        "must be less than 51 characters [json-pointer:/blocks/0/title]",
    ),
    (
        [{"type": "data_visualization", "title": "x"}],
        "missing required field: chart [json-pointer:/blocks/0]",
    ),
    (
        tasks(status="done"),
        "must be one of: complete, error, in_progress, pending [json-pointer:/blocks/0/tasks/0/status]",
    ),
    (tasks(details="x"), "must be a rich_text [json-pointer:/blocks/0/tasks/0/details]"),
    (tasks(task_id=None), "missing required field: task_id [json-pointer:/blocks/0/tasks/0]"),
    (tasks(progress=1), "invalid additional property: progress [json-pointer:/blocks/0/tasks/0]"),
    (
        [{"type": "plan", "title": "x", "tasks": [{"type": "divider"}]}],
        "unsupported type: divider [json-pointer:/blocks/0/tasks/0/type]",
    ),
    (
        [{**tasks()[0], "tasks": tasks()[0]["tasks"] * 2}],
        '`task_id` "job-1" already exists [json-pointer:/blocks/0/tasks/1/task_id]',
    ),
    (chart() * 3, "no more than 2 data_visualization blocks allowed [json-pointer:/blocks]"),
    (chart("radar"), "must be one of: area, bar, line, pie [json-pointer:/blocks/0/chart/type]"),
    (chart("line", legend=True), "invalid additional property: legend [json-pointer:/blocks/0/chart]"),
    (
        chart(series=[line(1, name=str(n)) for n in range(7)], axis_config=axis(1)),
        "no more than 6 items allowed [json-pointer:/blocks/0/chart/series]",
    ),
    (
        chart(series=[line(21)], axis_config=axis(21)),
        "no more than 20 items allowed [json-pointer:/blocks/0/chart/series/0/data]",
    ),
    (
        chart(series=[], axis_config=axis(1)),
        "must provide an item [json-pointer:/blocks/0/chart/series]",
    ),
    (
        chart(series=[line(1, label="x" * 21)], axis_config=axis(1, label="x" * 21)),
        "must be less than 21 characters [json-pointer:/blocks/0/chart/series/0/data/0/label]",
    ),
    (
        chart(series=[line(1, name="x" * 21)], axis_config=axis(1)),
        "must be less than 21 characters [json-pointer:/blocks/0/chart/series/0/name]",
    ),
    (
        chart(series=[line(1)] * 2, axis_config=axis(1)),
        '`name` "rows" already exists [json-pointer:/blocks/0/chart/series/1/name]',
    ),
    (
        chart(series=[line(2)], axis_config=axis(3)),
        "must hold one point for each of axis_config.categories [json-pointer:/blocks/0/chart/series/0/data]",
    ),
    (
        chart(series=[line(2, label="same")], axis_config=axis(2)),
        "must hold one point for each of axis_config.categories [json-pointer:/blocks/0/chart/series/0/data]",
    ),
    (
        chart(series=[line(1, value="5")], axis_config=axis(1)),
        "must be a number [json-pointer:/blocks/0/chart/series/0/data/0/value]",
    ),
    (
        chart(axis_config={**axis(2), "y_label": "x" * 51}),
        "must be less than 51 characters [json-pointer:/blocks/0/chart/axis_config/y_label]",
    ),
    (
        chart("pie", segments=[{"label": "none", "value": 0}]),
        "must be greater than 0 [json-pointer:/blocks/0/chart/segments/0/value]",
    ),
]


@pytest.mark.parametrize(("blocks", "reason"), LIMITS, ids=[reason for _, reason in LIMITS])
def test_a_limit_is_kept(blocks: list[Json], reason: str) -> None:
    with pytest.raises(InvalidBlocks) as caught:
        check_message_blocks(blocks)
    assert reason in caught.value.reasons


def test_the_answer_has_slacks_shape(web: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        web.chat_postMessage(channel="C0PAYROLL", text="x", blocks=[{"type": "divider"}] * 51)
    assert caught.value.response.data == {
        "ok": False,
        "error": "invalid_blocks",
        "errors": ["no more than 50 items allowed [json-pointer:/blocks]"],
        "response_metadata": {"messages": ["[ERROR] no more than 50 items allowed [json-pointer:/blocks]"]},
    }


def test_what_is_just_small_enough_passes() -> None:
    check_message_blocks(
        [
            *card("x" * 150, *(button("x" * 75, f"a{n}", "v" * 2000) for n in range(25))),
            *section(text=plain("x" * 3000), fields=[plain("y")] * 10),
            *actions(select(100)),
            *[{"type": "divider"}] * 46,
        ]
    )


def test_a_chart_that_is_just_small_enough_passes() -> None:
    lines = [line(20, name=f"{n}".rjust(20, "x"), label="{n:020}") for n in range(6)]
    [large] = chart(series=lines, axis_config={**axis(20, label="{n:020}"), "x_label": "x" * 50})
    check_message_blocks([{**large, "title": "x" * 50}, *chart("pie")])
    for kind in ("line", "bar", "area"):
        check_message_blocks(chart(kind))


def test_a_chart_belongs_into_a_message_only() -> None:
    for surface in ("modal", "home"):
        check = Checker()
        check_blocks(check, chart(), "/view/blocks", surface)
        assert check.reasons == ["unsupported type: data_visualization [json-pointer:/view/blocks/0/type]"]


def test_a_workspace_that_doesn_t_know_a_kind_of_block_refuses_only_what_holds_one(
    slack: LocalSlack, web: WebClient
) -> None:
    slack.fault("chat.postMessage", error="invalid_blocks", match={"block": "data_visualization"}, times=None)
    for _ in range(2):
        with pytest.raises(SlackApiError) as caught:
            web.chat_postMessage(channel="C0PAYROLL", text="x", blocks=[*section(text=plain("x")), *chart()])
        assert caught.value.response["error"] == "invalid_blocks"
    assert web.chat_postMessage(channel="C0PAYROLL", text="x", blocks=section(text=plain("x")))["ok"]
    assert web.chat_postMessage(channel="C0PAYROLL", text="data_visualization")["ok"]
    slack.clear_faults()
    answer = web.chat_postMessage(channel="C0PAYROLL", text="x", blocks=chart())
    assert answer["message"]["blocks"][0]["chart"] == chart()[0]["chart"]


def test_a_table_of_a_hundred_rows_and_twenty_columns_can_be_posted(web: WebClient) -> None:
    table = {"type": "table", "rows": [[{"type": "raw_text", "text": "1.234,56"}] * 20] * 100}
    answer = web.chat_postMessage(channel="C0PAYROLL", text="t", blocks=[table])
    assert len(answer["message"]["blocks"][0]["rows"]) == 100


def test_the_sdks_own_models_pass() -> None:
    text = kit.PlainTextObject(text="x")
    models = [
        kit.SectionBlock(text="*x*", accessory=kit.ButtonElement(text="Go", action_id="a", style="primary")),
        kit.HeaderBlock(text="x"),
        kit.ContextBlock(elements=[kit.MarkdownTextObject(text="x")]),
        kit.ActionsBlock(elements=[kit.ButtonElement(text="Go", action_id="a")]),
        kit.InputBlock(label="x", element=kit.PlainTextInputElement(action_id="b", placeholder=text)),
        kit.MarkdownBlock(text="# x"),
        kit.TableBlock(rows=[[{"type": "raw_text", "text": "x"}]]),
        kit.TaskCardBlock(task_id="1", title="x", status="in_progress"),
        kit.PlanBlock(
            title="x", tasks=[kit.TaskCardBlock(task_id="2", title="y", status="complete").to_dict()]
        ),
        kit.CardBlock(title="x", body="y", actions=[kit.ButtonElement(text="Go", action_id="c")]),
        kit.ContainerBlock(title="x", child_blocks=[kit.DividerBlock()]),
    ]
    check_message_blocks([model.to_dict() for model in models])

"""A message with everything that Block Kit has and the page draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.jobs.models import RunKind
from bot.jobs.view import JobView, RunView
from dev.messages import runs
from tests.local_slack.office import button

Json = dict[str, Any]


def words(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def options(*names: str) -> list[Json]:
    return [{"text": words(name), "value": name.lower()} for name in names]


TEXT = (
    "*bold*, _italic_, ~struck~, `code`, a <https://example.com|link>, <@U0ANA>, <#C0PAYROLL>, "
    "<!subteam^S0ADMINS>, :tada: and <!date^1795534208^{date_long} at {time}|then>\n"
    "&gt; quoted &amp; escaped &lt;b&gt;\n```\nfixed\n```"
)

#: The tables of a set, as its card names them.
TABLES = ["Recibos", "Renglones", "Retenciones"]


def set_of(*jobs: JobView) -> RunView:
    """A set of liquidation 42 whose tables are in these situations."""
    pairs = zip(jobs, TABLES, strict=True)
    named = [replace(job, id=17 + n, copy_title=name) for n, (job, name) in enumerate(pairs)]
    return runs.run(
        *named, kind=RunKind.SET, set_name="completa", set_title="Liquidación completa", liquidations=(42,)
    )


MARKDOWN = "## Markdown\n\n- one **two**\n- [three](https://example.com)\n\n| a | b |\n|---|---|\n| 1 | 2 |"

TABLE: Json = {
    "type": "table",
    "column_settings": [{"align": "left"}, {"align": "right"}],
    "rows": [
        [{"type": "raw_text", "text": text} for text in row]
        for row in (("Range", "Rows"), ("1 – 1.000", "1.000"), ("1.001 – 2.000", "998"))
    ],
}

CHART: Json = {
    "type": "data_visualization",
    "title": "Rows per second",
    "chart": {
        "type": "line",
        "series": [
            {"name": "rows", "data": [{"label": "1 min", "value": 1200}, {"label": "2 min", "value": 2500}]}
        ],
        "axis_config": {"categories": ["1 min", "2 min"], "y_label": "rows/s"},
    },
}

BLOCKS: list[Json] = [
    {"type": "header", "text": words("Everything :tada:")},
    {
        "type": "section",
        "text": {"type": "mrkdwn", "text": TEXT},
        "accessory": {"type": "overflow", "action_id": "size_more", "options": options("Pause", "Stop")},
    },
    {"type": "section", "fields": [words("Rows\n1.000"), words("Bytes\n42 MB")]},
    {"type": "divider"},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "quiet _words_"}]},
    TABLE,
    CHART,
    {"type": "markdown", "text": MARKDOWN},
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [
                    {"type": "text", "text": "Rich ", "style": {"bold": True}},
                    {"type": "user", "user_id": "U0BOB"},
                ],
            },
            {
                "type": "rich_text_list",
                "style": "ordered",
                "elements": [
                    {"type": "rich_text_section", "elements": [{"type": "text", "text": each}]}
                    for each in ("first", "second")
                ],
            },
        ],
    },
    {
        "type": "image",
        "image_url": "https://example.com/x.png",
        "alt_text": "A chart",
        "title": words("Chart"),
    },
    {
        "type": "actions",
        "block_id": "row",
        "elements": [
            {**button("Copy", "size_go"), "style": "primary"},
            {
                "type": "static_select",
                "action_id": "size_one",
                "placeholder": words("Size"),
                "options": options("S", "L"),
            },
            {"type": "users_select", "action_id": "size_who", "placeholder": words("Who")},
            {
                "type": "multi_static_select",
                "action_id": "size_many",
                "placeholder": words("Several"),
                "options": options("Red", "Green", "Blue"),
            },
            {"type": "datepicker", "action_id": "size_day", "initial_date": "2026-10-31"},
        ],
    },
    {
        "type": "actions",
        "block_id": "ticks",
        "elements": [
            {"type": "checkboxes", "action_id": "size_ticks", "options": options("Rows", "Digests")},
            {"type": "radio_buttons", "action_id": "size_pick", "options": options("Now", "Later")},
        ],
    },
    {
        "type": "video",
        "title": words("How to copy"),
        "title_url": "https://example.com/watch",
        "video_url": "https://example.com/embed",
        "thumbnail_url": "https://example.com/still.png",
        "alt_text": "A film",
        "provider_name": "Example",
        "description": words("In two minutes"),
    },
    {"type": "card", "title": words("Not drawn"), "body": words("here")},
]

ATTACHMENTS: list[Json] = [
    {
        "color": "#36a64f",
        "pretext": "What the *old* way shows:",
        "author_name": "Payroll",
        "title": "Liquidation 42",
        "title_link": "https://example.com/42",
        "text": "All rows are _in place_",
        "fields": [
            {"title": "Rows", "value": "1.000", "short": True},
            {"title": "Took", "value": "`7 s`", "short": True},
        ],
        "footer": "consulta",
    },
    {"color": "danger", "blocks": [{"type": "section", "text": words("Blocks of an attachment")}]},
    {"color": "url(x)", "fallback": "Only a fallback"},
]

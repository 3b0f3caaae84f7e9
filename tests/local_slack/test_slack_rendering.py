"""What the page makes of Slack's text and blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dev.local_slack.core import Core
from dev.local_slack.render.blocks import blocks_html
from dev.local_slack.render.html import el, join
from dev.local_slack.render.markdown import markdown
from dev.local_slack.render.mrkdwn import mrkdwn, plain_text
from dev.local_slack.render.reader import Reader
from dev.local_slack.render.rich import rich_text
from dev.local_slack.render.sight import Sight
from dev.local_slack.render.words import ES
from dev.local_slack.server import build_core

from .conftest import MANIFEST

DEV = Path(__file__).parents[2] / "dev" / "local_slack"
Json = dict[str, Any]


@pytest.fixture
def core() -> Core:
    return build_core(MANIFEST)


@pytest.fixture
def ana(core: Core) -> Reader:
    return Reader(core, core.ws.users["U0ANA"])


@pytest.fixture
def bob(core: Core) -> Reader:
    return Reader(core, core.ws.users["U0BOB"])


MARKS = [
    ("*bold* and _it_ and ~gone~", "<strong>bold</strong> and <em>it</em> and <s>gone</s>"),
    ("*bold _and italic_*", "<strong>bold <em>and italic</em></strong>"),
    ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
    ("`*no* <@U0BOB>`", "<code>*no* &lt;@U0BOB&gt;</code>"),
    ("`█████░░░` 62 %", "<code>█████░░░</code> 62 %"),
    ("one\ntwo", "one<br>two"),
    ("```a\n*b*```", "<pre>a\n*b*</pre>"),
    ("&gt; said\nafter", "<blockquote>said</blockquote>after"),
    ("&lt;b&gt; &amp;amp;", "&lt;b&gt; &amp;amp;"),
    ("<b>", "<span>b</span>"),
    (
        ":tada: :no_such_emoji: 12:30:45",
        '<span class="emoji" title=":tada:">🎉️</span> :no_such_emoji: 12:30:45',
    ),
    ("<@U0BOB>", '<span class="mention" data-user="U0BOB">@Bob Brown</span>'),
    (
        "<!here> <!subteam^S0ADMINS>",
        '<span class="mention me">@here</span> <span class="mention">@liquidation-admins</span>',
    ),
]


@pytest.mark.parametrize(("text", "shown"), MARKS, ids=[text for text, _ in MARKS])
def test_mrkdwn_is_read_as_slack_reads_it(ana: Reader, text: str, shown: str) -> None:
    assert mrkdwn(text, ana).replace("\ufe0f", "") == shown.replace("\ufe0f", "")


def test_a_mention_of_the_reader_stands_out_and_one_of_others_does_not(ana: Reader, bob: Reader) -> None:
    assert 'class="mention me"' in mrkdwn("<@U0ANA>", ana)
    assert 'class="mention"' in mrkdwn("<@U0ANA>", bob)


def test_a_date_is_written_in_the_readers_words_and_time_zone(ana: Reader, bob: Reader) -> None:
    moment = "<!date^1795534208^{date_long} {time_secs} {unknown}|fallback>"
    assert "martes, 24 de noviembre de 2026 16:30:08 {unknown}" in mrkdwn(moment, ana)
    assert re.search(r"Tuesday, November 24, 2026 10:30:08\sAM", mrkdwn(moment, bob))
    now = ana.core.clock.now()
    assert ">hoy<" in mrkdwn(f"<!date^{int(now)}^{{date_short_pretty}}|x>", ana)
    assert ">yesterday<" in mrkdwn(f"<!date^{int(now) - 86_400}^{{date_pretty}}|x>", bob)


def test_a_date_in_a_table_is_the_readers_as_well(ana: Reader, bob: Reader) -> None:
    date = {"type": "date", "timestamp": 1795534208, "format": "{date_short} {time}", "fallback": "in UTC"}
    cell = {"elements": [{"type": "rich_text_section", "elements": [date]}]}
    assert "<time>24 nov 2026 16:30</time>" in rich_text(cell, ana)
    assert re.search(r"<time>Nov 24, 2026 10:30\sAM</time>", rich_text(cell, bob))


def test_links_lead_out_in_a_new_window_and_permalinks_to_the_message_on_this_page(ana: Reader) -> None:
    out = mrkdwn("<https://example.com/?a=1&amp;b=2|the *site*>", ana)
    assert 'href="https://example.com/?a=1&amp;b=2"' in out
    assert 'target="_blank" rel="noopener noreferrer"' in out
    assert "the <strong>site</strong></a>" in out
    here = mrkdwn("<https://acme.slack.com/archives/C0PAYROLL/p1795534208000100|card>", ana)
    assert 'href="/as/U0ANA/C0PAYROLL?ts=1795534208.000100"' in here
    assert 'href="https://example.com/x"' in mrkdwn("(see https://example.com/x).", ana)


HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>'


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", " vbscript:x"]
)
def test_an_address_that_could_run_something_is_no_link(ana: Reader, address: str) -> None:
    assert "href" not in mrkdwn(f"<{address}|press>", ana)
    assert "href" not in markdown(f"[press]({address.strip()})")
    section = {
        "type": "actions",
        "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x"}, "url": address}],
    }
    assert "data-url" not in blocks_html(Sight(ana), [section])


def test_whatever_is_said_stays_text(ana: Reader) -> None:
    for shown in (
        mrkdwn(HOSTILE, ana),
        plain_text(HOSTILE),
        markdown(HOSTILE),
        join(HOSTILE),
        el("p", HOSTILE, title=HOSTILE),
    ):
        assert "<script" not in shown
        assert "<img" not in shown
    assert el("a", "x", title='a"b') == '<a title="a&quot;b">x</a>'


def test_pictures_of_other_servers_are_not_loaded(ana: Reader) -> None:
    image = {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "A chart"}
    shown = blocks_html(Sight(ana), [image])
    assert "<img" not in shown
    assert "A chart" in shown
    assert "example.com" in shown
    assert "<img" not in markdown("![A chart](https://example.com/a.png)")


def test_a_block_that_is_not_known_shows_as_such(ana: Reader, bob: Reader) -> None:
    assert "Bloque desconocido: hologram" in blocks_html(Sight(ana), [{"type": "hologram"}])
    assert "Unknown block: hologram" in blocks_html(Sight(bob), [{"type": "hologram"}])


def test_a_table_of_a_hundred_rows_and_twenty_columns_is_drawn_whole(ana: Reader) -> None:
    table = {
        "type": "table",
        "rows": [[{"type": "raw_text", "text": f"{r}/{c}"} for c in range(20)] for r in range(100)],
    }
    shown = blocks_html(Sight(ana), [table])
    assert (shown.count("<th"), shown.count("<td")) == (20 + len(["thead"]), 99 * 20)
    assert ">99/19</td>" in shown


def points(*values: float) -> list[Json]:
    return [{"label": f"{n} min", "value": value} for n, value in enumerate(values, 1)]


def test_a_plan_is_a_list_of_tasks_each_with_its_state_in_words_and_what_it_says(ana: Reader) -> None:
    said = {
        "type": "rich_text",
        "elements": [
            {"type": "rich_text_section", "elements": [{"type": "text", "text": f"12 rows {HOSTILE}"}]}
        ],
    }
    states = ["pending", "in_progress", "complete", "error"]
    tasks = [
        {"type": "task_card", "task_id": state, "title": f"4{n} {HOSTILE}", "status": state, "output": said}
        for n, state in enumerate(states)
    ]
    shown = blocks_html(Sight(ana), [{"type": "plan", "title": "1 of 4", "tasks": tasks}])
    assert re.findall(r'aria-label="([^"]*)"', str(shown)) == [
        "pendiente",
        "en curso",
        "completa",
        "con error",
    ]
    assert str(shown).count("12 rows") == str(shown).count("<li>") == 4
    assert HOSTILE not in str(shown)


def drawn(reader: Reader, kind: str, **chart: Any) -> str:
    block = {"type": "data_visualization", "title": f"Rows {HOSTILE}", "chart": {"type": kind, **chart}}
    return blocks_html(Sight(reader), [block])


def test_a_chart_is_drawn_and_reads_as_its_title_and_every_point(ana: Reader) -> None:
    axis = {"categories": ["1 min", "2 min", "3 min"], "y_label": "rows/s"}
    lines = [{"name": "rows", "data": points(0, 1234.5, 500)}, {"name": "cap", "data": points(9, 9, 9)}]
    shown = drawn(ana, "line", series=lines, axis_config=axis)
    assert shown.count("<polyline") == 2
    assert "; rows: 1 min 0, 2 min 1,234.5, 3 min 500; cap: 1 min 9, 2 min 9, 3 min 9" in shown
    assert 'role="img"' in shown
    assert "rows/s" in shown
    assert "style=" not in shown
    assert "<script" not in shown
    assert "<img" not in shown
    [path] = re.findall(r'points="([^"]*)" fill="none" stroke="#1f4e5f"', shown)
    heights = [float(each.split(",")[1]) for each in path.split()]
    assert heights[0] == 150.0
    assert heights[1] == 12.0
    assert heights[1] < heights[2] < heights[0]


@pytest.mark.parametrize(("kind", "drawing"), [("area", "<polygon"), ("bar", "<rect"), ("line", "<polyline")])
def test_each_kind_of_chart_is_drawn_also_of_one_point_of_nothing(
    ana: Reader, kind: str, drawing: str
) -> None:
    axis = {"categories": ["1 min"]}
    assert drawing in drawn(ana, kind, series=[{"name": "rows", "data": points(0)}], axis_config=axis)
    assert drawing in drawn(ana, kind, series=[{"name": "rows", "data": points(-5)}], axis_config=axis)


def test_a_pie_shows_its_parts(ana: Reader) -> None:
    shown = drawn(ana, "pie", segments=[{"label": "inserted", "value": 5}, {"label": "updated", "value": 1}])
    assert shown.count("<rect") == 2
    assert "inserted 5, updated 1" in shown


SENTENCE = re.compile(r"""\bt\(\s*(?:"([^"]+)"|'([^']+)')""")


def test_every_word_of_the_page_has_its_spanish_and_none_is_left_over() -> None:
    used: set[str] = {"today", "yesterday", "tomorrow", "Thread", "Pinned messages"}
    for path in [*DEV.rglob("*.py"), *DEV.rglob("*.js")]:
        text = path.read_text("utf-8")
        used |= {double or single for double, single in SENTENCE.findall(text)}
        for pair in re.findall(r'\bplural\(\s*"([^"]+)",\s*"([^"]+)"', text):
            used |= set(pair)
    page = (DEV / "static" / "index.html").read_text("utf-8")
    used |= set(re.findall(r'data-label="([^"]+)"', page)) | set(re.findall(r"data-t>([^<]+)<", page))
    used |= {"Cancel", "Close"}
    assert used - ES.keys() == set()
    assert ES.keys() - used == set()

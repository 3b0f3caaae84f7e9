"""Jobs as Slack's table block: a line a job, each with the way to its card.

A message holds one table of at most 100 rows and 20 columns; its texts together stay far below Slack's
10,000 characters. Cells are raw text, where nothing is a mention, a link or a format.
"""

from __future__ import annotations

from datetime import datetime

from bot.i18n import Translator
from bot.jobs.snapshot import JobView
from bot.messages.blocks import Block, cut
from bot.messages.card import state

CELL_LIMIT = 60


def jobs_table(jobs: list[JobView], links: dict[int, str], t: Translator) -> Block:
    """Job, liquidation, state, rows, who asked, when it ended (or was asked for) and how long it took."""
    heads = [t("Job"), t("Liquidation"), t("State"), t("Rows"), t("Asked for by"), t("When"), t("Took")]
    rows = [[text(head) for head in heads]]
    for job in jobs:
        label = f" · {job.label}" if job.label else ""
        rows.append(
            [
                link(str(job.id), links.get(job.id)),
                text(f"{job.liquidation_id}{label}"),
                text(state(job, t)),
                text("–" if job.total is None else f"{t.number(job.copied)} / {t.number(job.total)}"),
                person(job),
                moment(job.finished_at or job.created_at, t),
                text("–" if job.seconds is None else t.duration(job.seconds)),
            ]
        )
    right = {"align": "right"}
    settings = [right, {"is_wrapped": True}, {}, right, {}, {}, right]
    return {"type": "table", "rows": rows, "column_settings": settings}


def text(said: str) -> Block:
    return {"type": "raw_text", "text": cut(said, CELL_LIMIT) or "–"}


def link(said: str, url: str | None) -> Block:
    if url is None:
        return text(said)
    return _rich({"type": "link", "url": url, "text": said})


def person(job: JobView) -> Block:
    """Whoever asked; a mention in an answer that one person reads notifies nobody."""
    if not job.is_from_slack:
        return text(job.requester_name)
    return _rich({"type": "user", "user_id": job.requester_id})


def moment(when: datetime, t: Translator) -> Block:
    """In the reader's own time zone; in UTC where Slack can't show it."""
    return _rich(
        {
            "type": "date",
            "timestamp": int(when.timestamp()),
            "format": "{date_short_pretty} {time}",
            "fallback": t.moment(when),
        }
    )


def _rich(element: Block) -> Block:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [element]}]}

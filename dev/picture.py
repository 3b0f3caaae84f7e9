"""Draws the README's picture of the card: the real message of a made-up job, as an SVG.

python -m dev.picture docs/card.svg
"""

from __future__ import annotations

import io
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from bot.i18n import translator
from bot.jobs.snapshot import JobSnapshot
from bot.jobs.statuses import Phase, Status
from bot.messages.card import card
from dev.slack.plain import plain

NOW = datetime(2026, 11, 24, 15, 30, 8, tzinfo=UTC)

JOB = JobSnapshot(
    id=17,
    copy_name="items",
    source_table="public.liquidation_items",
    target_table="public.liquidation_items",
    liquidation_id=42,
    label="Sueldos mensuales · Octubre 2026",
    status=Status.RUNNING,
    phase=Phase.COPYING,
    attempt=1,
    failures=0,
    ahead=0,
    total=1_000_000,
    copied=650_000,
    verified=0,
    inserted=650_000,
    updated=0,
    deleted=0,
    unchanged=0,
    moved=0,
    bytes=189_000_000,
    chunks_done=13,
    target_records=None,
    source_digest=None,
    target_digest=None,
    throttle=None,
    error=None,
    error_message=None,
    requester_id="U0ANA",
    requester_team="T0ACME",
    requester_name="Ana Álvarez",
    requester_locale="es-AR",
    channel_id="C0PAYROLL",
    message_ts="1795534208.000100",
    worker="worker-1",
    created_at=NOW - timedelta(seconds=7),
    started_at=NOW - timedelta(seconds=6),
    claimed_at=NOW - timedelta(seconds=6),
    copying_since=NOW - timedelta(seconds=5.2),
    verifying_since=None,
    finished_at=None,
    as_of=NOW - timedelta(seconds=6),
    run_after=NOW - timedelta(seconds=7),
    lease_until=NOW + timedelta(seconds=55),
    now=NOW,
)


def readable(text: str) -> str:
    """Mentions and dates as Slack shows them."""
    text = text.replace("<@U0ANA>", "@Ana Álvarez")
    return re.sub(r"<!date\^\d+\^[^|]*\|([^>]*)>", r"\1", text).replace("`", "")


def main(path: Path) -> None:
    console = Console(record=True, width=88, file=io.StringIO(), force_terminal=True)
    for language in ("es", "en"):
        lines = readable(plain(card(JOB, translator(language)).blocks)).splitlines()
        body = Text("\n").join(
            [Text(lines[0], style="bold"), Text(lines[1], style="dim"), *(Text(line) for line in lines[2:])]
        )
        console.print(Panel(body, title="traspaso APP · pinned", title_align="left", border_style="cyan"))
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = console.export_svg(title="#payroll")
    # The font that rich names is on another host; the reader's own will do.
    path.write_text(re.sub(r"@font-face {.*?}\s*", "", svg, flags=re.S), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

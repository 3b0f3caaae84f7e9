"""Every check. A new one is a line here, its ids in `bot.doctor.findings`, and a row in docs/operating.md."""

from __future__ import annotations

from bot.doctor import services, sides, slack, tables
from bot.doctor.examination import Check

ALL: tuple[Check, ...] = (
    *slack.CHECKS,
    *sides.CHECKS,
    *tables.CHECKS,
    *services.CHECKS,
)

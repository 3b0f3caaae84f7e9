"""`traspaso doctor`: looks at everything that Traspaso needs, and says the next step for whatever is wrong.

It changes nothing, anywhere: transactions are read-only, Redis is only asked, and of Slack's methods only
those are called that tell. The checks run side by side, each with a time limit, and none hides another: what
can't be looked at because of something else is skipped, and says why.
"""

from __future__ import annotations

from bot.doctor import databases, services, slack, tables
from bot.doctor.checks import Check

#: Every check. A new one is in one of these modules, its ids in `bot.doctor.checks` and docs/operating.md.
CHECKS: tuple[Check, ...] = (
    *slack.CHECKS,
    *databases.CHECKS,
    *tables.CHECKS,
    *services.CHECKS,
)

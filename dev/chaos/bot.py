"""``python -m dev.chaos.bot``: the bot itself, whose points are reported to a campaign."""

from __future__ import annotations

import sys

from dev.chaos import hook


def main() -> int:
    hook.install()
    from bot.__main__ import main as bot

    return bot()


if __name__ == "__main__":
    sys.exit(main())

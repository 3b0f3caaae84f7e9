"""``dramatiq dev.chaos.worker:boot``: the worker itself, whose points are reported to a campaign."""

from __future__ import annotations

from bot import worker
from dev.chaos import hook


def boot() -> None:
    hook.install()
    worker.boot()

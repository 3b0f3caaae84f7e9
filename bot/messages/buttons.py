"""The buttons on a job's card: those that fit its state."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobSnapshot
from bot.messages.approval import approval_buttons
from bot.messages.blocks import Block, actions


def buttons_for(job: JobSnapshot, t: Translator) -> list[Block]:
    """The actions block; empty where nothing can be pressed."""
    if job.waits_for_approval:
        return [actions(*approval_buttons(job, t))]
    return []

"""Answers to who pressed a button of a card that doesn't fit any more. A press that fits changes the card."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobSnapshot
from bot.messages.answers import to_card
from bot.messages.blocks import Message, said
from bot.messages.card import state
from bot.messages.naming import ask_for


def not_now(job: JobSnapshot, link: str | None, t: Translator) -> Message:
    """The job has gone on since the card was drawn."""
    text = t(
        "Job {id} is {state} now, so that button has no meaning any more. Nothing was changed.",
        id=job.id,
        state=state(job, t),
    )
    return said(text, hint=to_card(link, t) or ask_for(job.id, t))

"""Answers to who pressed a button of a card that doesn't fit any more. A press that fits changes the card."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobView
from bot.messages.answers import to_card
from bot.messages.blocks import Message, said
from bot.messages.card import state
from bot.messages.naming import ask_for, mention, requester


def not_yours(job: JobView, t: Translator) -> Message:
    """Somebody else than the requester pressed what only they can agree to."""
    text = t(
        "Only {user}, who asked for the copy, can confirm it. Nothing was changed.",
        user=mention(requester(job)),
    )
    return said(text, hint=t("Whoever may run it can cancel it."))


def stale(job: JobView, link: str | None, t: Translator) -> Message:
    """The button showed other numbers than the job asks about by now."""
    text = t("Job {id} asks about other numbers by now. Nothing was changed.", id=job.id)
    return said(text, hint=to_card(link, t) or ask_for(job.id, t))


def not_now(job: JobView, link: str | None, t: Translator) -> Message:
    """The job has gone on since the card was drawn."""
    text = t(
        "Job {id} is {state} now, so that button has no meaning any more. Nothing was changed.",
        id=job.id,
        state=state(job, t),
    )
    return said(text, hint=to_card(link, t) or ask_for(job.id, t))

"""The threaded reply of a job that asks again: it mentions whoever has to answer on the card."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobView
from bot.jobs.terms import Question
from bot.messages import terms
from bot.messages.blocks import Message, context, section
from bot.messages.naming import mention, requester


def asks(job: JobView, question: Question, t: Translator) -> Message:
    """What was shown, what is there now, and where to answer."""
    others = ", ".join(job.approvers[:10]) if job.waits_for_approval else ""
    text = t(
        "{mention} the copy of {liquidation} asks again. {what}",
        mention=others or mention(requester(job)),
        liquidation=t("liquidation {id}", id=job.liquidation_id),
        what=terms.asked(question, t),
    )
    hint = t("The button is on its card, above.")
    return Message(f"{text} {hint}", [section(f"❓ {text}"), context(hint)])

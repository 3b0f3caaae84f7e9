"""What is said where a job's card is in a direct message and not where the copy was asked for."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobView, Moved
from bot.messages.blocks import Message, code, context, section

#: Slack's answers where the bot is no member of the channel, or can't even see it.
NO_MEMBER = frozenset({"not_in_channel", "channel_not_found"})
#: The same channel, to a post and to an edit.
ARCHIVED = frozenset({"is_archived", "is_inactive"})


def moved_here(job: JobView, t: Translator) -> str:
    """One line; empty where the card is where it was asked for."""
    if job.moved_from is None:
        return ""
    line = t("In a direct message, because {reason}.", reason=why(job.moved_from, t))
    if job.moved_from.reason in NO_MEMBER and not _is_private(job.moved_from):
        line += " " + t(
            "Before the next copy, invite it there with `{command}`.", command="/invite @traspaso"
        )
    return line


def moved_away(job: JobView, t: Translator) -> Message:
    """What stays of the card in the channel that it had to leave while the job goes on."""
    text = t(
        "{liquidation} goes on in a direct message with {user}.",
        liquidation=t("liquidation {id}", id=job.liquidation_id).capitalize(),
        user=f"<@{job.requester_id}>",
    )
    reason = (
        t("Slack took nothing more for this channel ({error}).", error=code(job.moved_from.reason, 60))
        if job.moved_from
        else ""
    )
    return Message(text, [section(f"↪️ {text}"), context(reason, t("job {id}", id=job.id))])


def why(moved: Moved, t: Translator) -> str:
    """The end of a sentence."""
    if moved.reason in NO_MEMBER and _is_private(moved):
        return t("the bot takes no part in that conversation")
    channel = f"<#{moved.channel}>"
    if moved.reason in NO_MEMBER:
        return t("the bot is not in {channel}", channel=channel)
    if moved.reason in ARCHIVED:
        return t("{channel} is archived", channel=channel)
    return t("the bot may not write in {channel} ({error})", channel=channel, error=code(moved.reason, 60))


def _is_private(moved: Moved) -> bool:
    """A direct message between people, or to oneself: no bot can be invited there, and it has no name."""
    return moved.channel.startswith("D")

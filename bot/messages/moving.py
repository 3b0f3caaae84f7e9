"""Why a job's card is in a direct message and not where the copy was asked for."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobSnapshot, Moved
from bot.messages.blocks import code

#: Slack's answers where the bot is no member of the channel, or can't even see it.
NO_MEMBER = frozenset({"not_in_channel", "channel_not_found"})
#: The same channel, to a post and to an edit.
ARCHIVED = frozenset({"is_archived", "is_inactive"})


def moved_here(job: JobSnapshot, t: Translator) -> str:
    """One line; empty where the card is where it was asked for."""
    if job.moved_from is None:
        return ""
    line = t("In a direct message, because {reason}.", reason=why(job.moved_from, t))
    if job.moved_from.reason in NO_MEMBER:
        line += " " + t(
            "Before the next copy, invite it there with `{command}`.", command="/invite @traspaso"
        )
    return line


def why(moved: Moved, t: Translator) -> str:
    """The end of a sentence."""
    channel = f"<#{moved.channel}>"
    if moved.reason in NO_MEMBER:
        return t("the bot is not in {channel}", channel=channel)
    if moved.reason in ARCHIVED:
        return t("{channel} is archived", channel=channel)
    return t("the bot may not write in {channel} ({error})", channel=channel, error=code(moved.reason, 60))

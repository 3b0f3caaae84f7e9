"""What several messages say alike: commands, people, a freeze, no worker, and a card that had to move."""

from __future__ import annotations

from collections.abc import Callable

from bot.i18n import Translator
from bot.jobs.view import SHELL, Freeze, JobView, Moved, NoWorker, Person
from bot.messages.blocks import Message, at, code, context, sanitized, section

COPY_COMMAND = "/copy-liquidation"
STATUS_COMMAND = "/copy-status"
VERIFY_COMMAND = "/copy-verify"
FREEZE_COMMAND = "/copy-freeze"
#: What starts a worker, as the Procfile has it.
WORKER_COMMAND = "dramatiq bot.worker:boot --processes 1 --threads 4"

#: Slack's answers where the bot is no member of the channel, or can't even see it.
NO_MEMBER = frozenset({"not_in_channel", "channel_not_found"})
#: Slack's answers where the channel is archived, to a post and to an edit.
ARCHIVED = frozenset({"is_archived", "is_inactive"})

#: Turns a person into words: `mention` in Slack, the bare name in a terminal.
Named = Callable[[Person], str]


def mention(person: Person) -> str:
    """A mention where Slack knows them, else the login that the shell knows."""
    return sanitized(person.name) if person.team == SHELL else f"<@{person.id}>"


def requester(job: JobView) -> Person:
    """Who asked for the job."""
    return Person(job.requester_id, job.requester_team, job.requester_name)


def frozen_by(freeze: Freeze, t: Translator, named: Named = mention) -> str:
    """Who froze all copies, and why, without a full stop."""
    if freeze.reason:
        return t(
            "Frozen by {user}: {reason}", user=named(freeze.by), reason=sanitized(freeze.reason, limit=200)
        )
    return t("Frozen by {user}", user=named(freeze.by))


def frozen_since(freeze: Freeze, t: Translator) -> str:
    """The same and since when, for answers and App Home."""
    names = {"user": mention(freeze.by), "moment": at(freeze.since, t)}
    if freeze.reason:
        reason = sanitized(freeze.reason, limit=300)
        return t("Frozen by {user} since {moment}: {reason}", reason=reason, **names)
    return t("Frozen by {user} since {moment}", **names)


def card_will_appear(channel_id: str | None, t: Translator) -> str:
    """Where the card is going to be, while it isn't there yet; empty for a job that has none."""
    if channel_id is None:
        return ""
    if channel_id.startswith("D"):
        return t("Its card will appear in a direct message.")
    return t("Its card will appear in {channel}.", channel=f"<#{channel_id}>")


def ask_for(job_id: int, t: Translator) -> str:
    """The command that tells about the job, wherever its card is."""
    return t("`{command}` answers at any time.", command=f"{STATUS_COMMAND} {job_id}")


# -- Nobody works: since when, who is to be told, and what they have to do


def nobody_works(none: NoWorker, t: Translator) -> str:
    """Since when, and how to start a worker; for cards, answers, App Home and the terminal."""
    if none.since is None:
        begin = t("No worker has ever run: copies wait until one is started.")
    else:
        moment = at(none.since, t)
        begin = t("No worker has been alive since {moment}: copies wait until one is started.", moment=moment)
    if none.operators:
        who = ", ".join(none.operators[:10])
        return f"{begin} " + t("Tell {who}: `{command}` starts one.", who=who, command=WORKER_COMMAND)
    return f"{begin} " + t("Tell whoever runs Traspaso: `{command}` starts one.", command=WORKER_COMMAND)


def and_nobody_works(text: str, none: NoWorker, t: Translator, hint: str = "") -> Message:
    """An answer, and below it that nobody works. The text has no moment, which only blocks can show."""
    read_out = f"{text} {t('No worker is alive: copies wait until one is started.')}"
    blocks = [section(f"{text}\n⚠️ {nobody_works(none, t)}"), *([context(hint)] if hint else [])]
    return Message(f"{read_out} {hint}".strip(), blocks)


# -- A job's card is in a direct message, and not where the copy was asked for


def moved_line(job: JobView, t: Translator) -> str:
    """Why the card is here, in one line; empty where the card is where it was asked for."""
    if job.moved_from is None:
        return ""
    line = t("In a direct message, because {reason}.", reason=move_reason(job.moved_from, t))
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


def move_reason(moved: Moved, t: Translator) -> str:
    """Why a card moved, as the end of a sentence."""
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

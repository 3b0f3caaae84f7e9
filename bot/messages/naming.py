"""How a message names the commands, somebody, and the freeze that somebody ordered."""

from __future__ import annotations

from collections.abc import Callable

from bot.i18n import Translator
from bot.jobs.snapshot import SHELL, Freeze, JobView, Person
from bot.messages.blocks import at, harmless

COPY_COMMAND = "/copy-liquidation"
STATUS_COMMAND = "/copy-status"
VERIFY_COMMAND = "/copy-verify"
FREEZE_COMMAND = "/copy-freeze"
#: What starts a worker, as the Procfile has it.
WORKER_COMMAND = "dramatiq bot.worker:boot --processes 1 --threads 4"

#: Turns a person into words: `mention` in Slack, the bare name in a terminal.
Named = Callable[[Person], str]


def mention(person: Person) -> str:
    """A mention where Slack knows them, else the login that the shell knows."""
    return harmless(person.name) if person.team == SHELL else f"<@{person.id}>"


def requester(job: JobView) -> Person:
    """Who asked for the job."""
    return Person(job.requester_id, job.requester_team, job.requester_name)


def frozen_by(freeze: Freeze, t: Translator, named: Named = mention) -> str:
    """Who froze all copies, and why, without a full stop."""
    if freeze.reason:
        return t(
            "Frozen by {user}: {reason}", user=named(freeze.by), reason=harmless(freeze.reason, limit=200)
        )
    return t("Frozen by {user}", user=named(freeze.by))


def frozen_since(freeze: Freeze, t: Translator) -> str:
    """The same and since when, for answers and App Home."""
    names = {"user": mention(freeze.by), "moment": at(freeze.since, t)}
    if freeze.reason:
        reason = harmless(freeze.reason, limit=300)
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

"""Short answers to the person who typed or pressed: usage, refusals, and what became of a press."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobSnapshot
from bot.messages.blocks import Message, code, context, harmless, section
from bot.messages.card import progress, state
from bot.messages.failures import Explained

COPY_COMMAND = "/copy-liquidation"
STATUS_COMMAND = "/copy-status"
VERIFY_COMMAND = "/copy-verify"


def said(text: str, *, hint: str = "") -> Message:
    """One sentence, with a quieter one below."""
    blocks = [section(text)] + ([context(hint)] if hint else [])
    return Message(f"{text} {hint}".strip(), blocks)


def usage(t: Translator, command: str = COPY_COMMAND) -> str:
    return t("Example: `{command}`", command=f"{command} 42")


def not_a_number(word: str, t: Translator, command: str = COPY_COMMAND) -> Message:
    """The text after the command isn't a liquidation's number."""
    return said(
        t("“{word}” is not the number of a liquidation.", word=harmless(word)),
        hint=t("A number is digits only, from 1 to 9223372036854775807.") + " " + usage(t, command),
    )


def number_missing(t: Translator, command: str = COPY_COMMAND) -> Message:
    return said(t("Which liquidation? Write its number after the command."), hint=usage(t, command))


def too_many_words(t: Translator, command: str = COPY_COMMAND) -> Message:
    return said(t("That is more than a number and the name of a copy."), hint=usage(t, command))


def unknown_copy(word: str, names: list[str], t: Translator) -> Message:
    return said(
        t("There is no copy named “{word}”.", word=harmless(word)),
        hint=t("Configured: {names}.", names=", ".join(f"`{name}`" for name in names)),
    )


def unknown_job(job_id: int, t: Translator) -> Message:
    return said(
        t("There is no job {id}.", id=job_id),
        hint=t("`{command}` lists the latest ones.", command=STATUS_COMMAND),
    )


def refused(command: str, groups: list[str], t: Translator) -> Message:
    """The person is in none of the groups that may."""
    if groups:
        hint = t("Ask the administrators of your workspace to add you to {groups}.", groups=", ".join(groups))
    else:
        hint = t("Ask whoever runs Traspaso to add you to admin_users.")
    return said(t("You may not use `{command}`.", command=command), hint=hint)


def cannot_check(reason: str, t: Translator) -> Message:
    """Slack didn't tell who is in the groups: nobody is let through."""
    return said(
        t("I can't check your permission now, so nothing was started."),
        hint=t("Slack answered {reason}. Try again, or tell whoever runs Traspaso.", reason=code(reason)),
    )


def unknown_liquidation(liquidation_id: int, catalogue: str | None, t: Translator) -> Message:
    if catalogue is None:
        return said(
            t("Neither prod nor consulta has rows for liquidation {id}.", id=liquidation_id),
            hint=t("Check the number."),
        )
    return said(
        t("There is no liquidation {id} in prod.", id=liquidation_id),
        hint=t("It isn't in table {table}. Check the number.", table=code(catalogue)),
    )


def empty_liquidation(liquidation_id: int, label: str | None, t: Translator) -> Message:
    return said(
        t(
            "Liquidation {id} has no rows in prod, and none in consulta: there is nothing to copy.",
            id=liquidation_id,
        ),
        hint=harmless(label or "", 200),
    )


def started(job_id: int, t: Translator) -> Message:
    return said(
        t("Job {id} is on its way. Its card shows how far it is.", id=job_id),
        hint=_ask_for(job_id, t),
    )


def running_already(job: JobSnapshot, link: str | None, t: Translator) -> Message:
    """Somebody else's press came first: that job, and the way to its card, or to ask for it."""
    text = t(
        "Liquidation {id} is being copied already: job {job}, {state}, {progress}, asked for by {user}.",
        id=job.liquidation_id,
        job=job.id,
        state=state(job, t),
        progress=progress(job, t),
        user=f"<@{job.requester_id}>" if job.is_from_slack else harmless(job.requester_name),
    )
    return said(text, hint=to_card(link, t) or _ask_for(job.id, t))


def pressed_before(job: JobSnapshot, link: str | None, t: Translator) -> Message:
    text = t("You pressed this before: it became job {job}, {state}.", job=job.id, state=state(job, t))
    return said(text, hint=to_card(link, t))


def to_card(link: str | None, t: Translator) -> str:
    """A link to the card; empty where there is none."""
    if link is None:
        return ""
    words = t("Go to its card")
    return f"<{link}|{words}>"


def _ask_for(job_id: int, t: Translator) -> str:
    return t("`{command}` answers at any time.", command=f"{STATUS_COMMAND} {job_id}")


def expired(liquidation_id: int, t: Translator) -> Message:
    return said(
        t("That preview is too old to be pressed: the numbers may have changed."),
        hint=t("Ask again: `{command}`", command=f"{COPY_COMMAND} {liquidation_id}"),
    )


def cancelled(t: Translator) -> Message:
    return said(t("Cancelled. Nothing was started."))


def incident(number: str, t: Translator) -> Message:
    """Something that nobody foresaw; the number is in the log too."""
    return said(
        t("Something went wrong here, and nothing was started."),
        hint=t("Give this number to whoever runs Traspaso: `{number}`", number=number),
    )


def problem(words: Explained) -> Message:
    """A database that can't be asked, or tables that don't fit: nothing was started."""
    return said(words.what, hint=words.step)


def help_text(names: list[str], groups: list[str], t: Translator) -> Message:
    """How to use the commands, with examples that work."""
    liquidation, mine = t("liquidation"), t("mine")
    lines = [
        t("*Traspaso* copies one liquidation from prod to consulta and proves that both sides agree."),
        f"• `{COPY_COMMAND} 42` – " + t("shows what would be copied, and asks before it does anything"),
        f"• `{COPY_COMMAND} 42 {names[0]}` – "
        + t(
            "the same for one of the configured copies: {names}",
            names=", ".join(f"`{name}`" for name in names),
        ),
        f"• `{STATUS_COMMAND}` – " + t("what runs, and the latest jobs"),
        f"• `{STATUS_COMMAND} 17` – " + t("one job"),
        f"• `{STATUS_COMMAND} {liquidation} 42` – " + t("the history of a liquidation"),
        f"• `{STATUS_COMMAND} {mine}` – " + t("what you asked for"),
        f"• `{VERIFY_COMMAND} 42` – " + t("compares both sides now, and writes nothing"),
    ]
    hint = t("Copying is for members of {groups}.", groups=", ".join(groups)) if groups else ""
    return Message(lines[0].replace("*", ""), [section("\n".join(lines)), *([context(hint)] if hint else [])])

"""Short answers to the person who typed or pressed: usage, refusals, what became of a press, and the
freeze.
"""

from __future__ import annotations

from datetime import datetime

from bot.i18n import Translator
from bot.jobs.models import Status
from bot.jobs.view import Freeze, JobView, NoWorker, Person
from bot.messages.blocks import (
    COPY_COMMAND,
    FREEZE_COMMAND,
    STATUS_COMMAND,
    Message,
    actions,
    and_nobody_works,
    ask_for,
    at,
    button,
    card_will_appear,
    code,
    context,
    copied,
    frozen_by,
    frozen_since,
    mention,
    of_liquidation,
    read_out,
    requester,
    sanitized,
    section,
    sentence,
)
from bot.messages.card import UNTELL_ACTION, progress, state
from bot.messages.failure_texts import Explained


def usage(t: Translator, meant: str | None = None, *, example: str = f"{COPY_COMMAND} 42") -> str:
    """What would work: the command that was probably ``meant``, or else an example."""
    if meant:
        return t("Did you mean `{command}`?", command=meant)
    return t("Example: `{command}`", command=example)


def not_a_number(
    word: str, t: Translator, meant: str | None = None, *, command: str = COPY_COMMAND
) -> Message:
    """The text after the command isn't a liquidation's number."""
    works = usage(t, meant, example=f"{command} 42")
    return sentence(
        t("“{word}” is not the number of a liquidation.", word=sanitized(word)),
        hint=f"{wrong_number(word, t)} {works}",
    )


def wrong_number(word: str, t: Translator) -> str:
    """What is wrong with a word that isn't the number of a liquidation."""
    if not (word.isascii() and word.isdigit()):
        return t("A number is digits only.")
    return t("It is too long.") if word.strip("0") else t("Numbers begin at 1.")


def one_at_a_time(first: int, t: Translator, *, command: str = COPY_COMMAND) -> Message:
    """Several numbers were typed, ``first`` before the others."""
    return sentence(
        t("One liquidation at a time."), hint=t("Begin with `{command}`.", command=f"{command} {first}")
    )


def number_missing(t: Translator, command: str = COPY_COMMAND) -> Message:
    works = usage(t, example=f"{command} 42")
    return sentence(t("Which liquidation? Write its number after the command."), hint=works)


def too_many_words(t: Translator, meant: str | None = None, *, command: str = COPY_COMMAND) -> Message:
    return sentence(
        t("That is more than a number and the name of a copy."),
        hint=usage(t, meant, example=f"{command} 42"),
    )


def unknown_copy(
    word: str, names: list[str], t: Translator, meant: str | None = None, example: str = ""
) -> Message:
    """``example`` is a command that would work."""
    configured = t("Configured: {names}.", names=", ".join(f"`{name}`" for name in names[:30]))
    works = usage(t, meant, example=example) if meant or example else ""
    return sentence(
        t("There is no copy named “{word}”.", word=sanitized(word)), hint=f"{configured} {works}".strip()
    )


def unknown_job(job_id: int, t: Translator) -> Message:
    return sentence(
        t("There is no job {id}.", id=job_id),
        hint=t("`{command}` lists the latest ones.", command=STATUS_COMMAND),
    )


def details_not_shown(job_id: int, t: Translator) -> Message:
    """Slack didn't open the window, or left it waiting."""
    return sentence(
        t("Slack didn't show the details of job {id}.", id=job_id),
        hint=t(
            "Close the window if it is still open, and try again. `{command}` works without it.",
            command=f"{STATUS_COMMAND} {job_id}",
        ),
    )


def refused(command: str, groups: list[str], t: Translator, copy_name: str | None = None) -> Message:
    """The person is in none of the groups that may, for the copy named if it has groups of its own."""
    if groups:
        hint = t("Ask the administrators of your workspace to add you to {groups}.", groups=", ".join(groups))
    elif copy_name:
        hint = t("Ask whoever runs Traspaso to add you to allowed_users of this copy.")
    else:
        hint = t("Ask whoever runs Traspaso to add you to admin_users.")
    if copy_name:
        text = t("You may not use `{command}` for copy `{name}`.", command=command, name=copy_name)
    else:
        text = t("You may not use `{command}`.", command=command)
    return sentence(text, hint=hint)


def cannot_check(reason: str, t: Translator) -> Message:
    """Slack didn't tell who is in the groups: nobody is let through."""
    return sentence(
        t("I can't check your permission now, so nothing was started."),
        hint=t("Slack answered {reason}. Try again, or tell whoever runs Traspaso.", reason=code(reason)),
    )


def copy_not_configured(job: JobView, t: Translator) -> Message:
    """The job's copy isn't in the bot's configuration, so it isn't known who may press its buttons."""
    return sentence(
        t(
            "Job {id} is of copy {name}, which the configuration doesn't have: nothing was changed.",
            id=job.id,
            name=code(job.copy_name),
        ),
        hint=t(
            "Give all processes the same configuration, or end the job in a shell: `{command}`",
            command=f"traspaso cancel {job.id}",
        ),
    )


def unknown_liquidation(copy: str, liquidation_id: int, catalogue: str | None, t: Translator) -> Message:
    """``copy`` is what messages call it."""
    if catalogue is None:
        what = of_liquidation(sanitized(copy), liquidation_id, t)
        return sentence(
            t("Neither prod nor consulta has rows for {what}.", what=what),
            hint=t("Check the number."),
        )
    return sentence(
        t("There is no liquidation {id} in prod.", id=liquidation_id),
        hint=t("It isn't in table {table}. Check the number.", table=code(catalogue))
        + " "
        + t("`{command}` without a number lets you search.", command=COPY_COMMAND),
    )


def empty_liquidation(copy: str, liquidation_id: int, label: str | None, t: Translator) -> Message:
    """``copy`` is what messages call it."""
    return sentence(
        t(
            "Neither prod nor consulta has rows for {what}: there is nothing to copy.",
            what=of_liquidation(sanitized(copy), liquidation_id, t),
        ),
        hint=sanitized(label or "", 200),
    )


def requested(job: JobView, link: str | None, t: Translator) -> Message:
    """What a press has become, as the job's row says, and where to see the rest."""
    card_is = to_card(link, t) or card_will_appear(job.channel_id, t)
    if job.waits_for_approval:
        text = t(
            "Requested: {what}, job {id}. It waits for somebody else's approval.",
            what=copied(job, t),
            id=job.id,
        )
        they = t("They may approve it: {who}.", who=", ".join(job.approvers[:10])) if job.approvers else ""
        return sentence(text, hint=f"{they} {card_is}".strip())
    if job.waits_for_its_time and job.start_at is not None:
        names = {"what": copied(job, t), "id": job.id, "moment": at(job.start_at, t)}
        text = t("Planned: {what}, job {id}. It begins {moment}, and can be cancelled until then.", **names)
        return sentence(text, hint=f"{card_is} {ask_for(job.id, t)}".strip())
    text = t("Requested: {what}, job {id}, {state}.", what=copied(job, t), id=job.id, state=state(job, t))
    hint = f"{card_is} {ask_for(job.id, t)}".strip()
    if job.waits_for_a_worker and job.no_worker is not None:
        return and_nobody_works(text, job.no_worker, t, hint)
    return sentence(text, hint=hint)


def requested_blindly(job_id: int, t: Translator) -> Message:
    """The job was created, and an error kept us from reading it since."""
    return sentence(t("Requested: job {id}.", id=job_id), hint=ask_for(job_id, t))


def done_blindly(job_id: int, t: Translator) -> Message:
    """A press of a button was recorded, and an error kept us from reading the job since."""
    return sentence(
        t("Done for job {id}; how it is now couldn't be read.", id=job_id), hint=ask_for(job_id, t)
    )


def running_already(job: JobView, link: str | None, t: Translator) -> Message:
    """Somebody else's press came first: that job, and a link to its card or the command that shows it."""
    user = f"<@{job.requester_id}>" if job.is_from_slack else sanitized(job.requester_name)
    if job.waits_for_approval:
        text = t(
            "The copy {what} waits for approval already: job {job}, requested by {user}.",
            what=copied(job, t),
            job=job.id,
            user=user,
        )
        return sentence(text, hint=to_card(link, t) or ask_for(job.id, t))
    names = {
        "what": copied(job, t),
        "job": job.id,
        "state": state(job, t),
        "progress": progress(job, t),
        "user": user,
    }
    if job.status is Status.RUNNING:
        text = t(
            "The copy {what} is under way already: job {job}, {state}, {progress}, requested by {user}.",
            **names,
        )
    else:
        text = t(
            "The copy {what} was requested already, by {user}: job {job}, {state}, {progress}.",
            **names,
        )
    hint = to_card(link, t) or ask_for(job.id, t)
    if job.waits_for_a_worker and job.no_worker is not None:
        return and_nobody_works(text, job.no_worker, t, hint)
    return sentence(text, hint=hint)


def pressed_before(job: JobView, link: str | None, t: Translator) -> Message:
    text = t("You pressed this before: it became job {job}, {state}.", job=job.id, state=state(job, t))
    return sentence(text, hint=to_card(link, t) or ask_for(job.id, t))


def to_card(link: str | None, t: Translator) -> str:
    """A link to the card; empty where there is none."""
    if link is None:
        return ""
    words = t("Go to its card")
    return f"<{link}|{words}>"


def asked_anew(t: Translator, *, moved: bool) -> str:
    """Why a press started nothing and the proposal is shown again.

    ``moved``: the numbers or the tables have changed; else the proposal was too old.
    """
    if moved:
        return t("What you were shown has changed since, so nothing was started. Look again.")
    return t("That preview was too old to be pressed, so nothing was started. This is how it is now.")


def cancelled(t: Translator) -> Message:
    return sentence(t("Cancelled. Nothing was started."))


def at_capacity(is_ones_own: bool, t: Translator) -> Message:
    """Too much is under way already: of this person, or of all together."""
    return sentence(
        t("This wasn't done: your last requests are still being answered.")
        if is_ones_own
        else t("This wasn't done: too many requests are being answered at this moment."),
        hint=t("Try again in a few seconds."),
    )


def incident(number: str, t: Translator) -> Message:
    """An unexpected error; the number is in the log too."""
    return sentence(
        t("Something went wrong here."),
        hint=t(
            "`{command}` shows what was started. Give this number to whoever runs Traspaso: `{number}`",
            command=STATUS_COMMAND,
            number=number,
        ),
    )


def problem(words: Explained) -> Message:
    """A database can't be reached, or the tables don't match: nothing was started."""
    return sentence(words.what, hint=words.step)


def help_text(
    commands: list[tuple[str, str]],
    groups: list[str],
    t: Translator,
    own: list[tuple[str, list[str]]] | None = None,
) -> Message:
    """How to use all commands, with examples that work, and who may.

    ``commands`` has what to type and what it does. ``groups`` may run each copy that doesn't name its own
    people; ``own`` has those that do.
    """
    lines = [
        t("*Traspaso* copies one liquidation from prod to consulta and proves that both sides agree."),
        *(f"• `{command}` – {sentence}" for command, sentence in commands),
        f"• `{COPY_COMMAND} help` – " + t("this list"),
    ]
    hints = [t("Copying is for members of {groups}.", groups=", ".join(groups))] if groups else []
    hints += [
        t("Copy `{name}` is for {people} only.", name=name, people=", ".join(people[:10]))
        for name, people in (own or [])[:9]
    ]
    said_by_readers = " ".join(line.replace("*", "").replace("`", "") for line in lines)
    return Message(said_by_readers, [section("\n".join(lines)), *([context(*hints)] if hints else [])])


# -- To somebody who pressed a button of a card that doesn't fit any more; a press that fits changes the card


def not_yours(job: JobView, t: Translator) -> Message:
    """Somebody pressed a button that is for the requester only."""
    text = t(
        "Only {user}, who asked for the copy, can confirm it. Nothing was changed.",
        user=mention(requester(job)),
    )
    return sentence(text, hint=t("Whoever may run it can cancel it."))


def stale(job: JobView, link: str | None, t: Translator) -> Message:
    """The button showed other numbers than the job asks about now."""
    text = t("Job {id} asks about other numbers by now. Nothing was changed.", id=job.id)
    return sentence(text, hint=to_card(link, t) or ask_for(job.id, t))


def will_be_told(job: JobView, t: Translator, *, before: bool) -> Message:
    """To whoever pressed *Tell me*; ``before``: they had pressed it already."""
    text = noted(copied(job, t), t, before=before)
    back = button(t("Don't tell me"), UNTELL_ACTION, str(job.id))
    return Message(text, [section(text), actions(back)])


def noted(what: str, t: Translator, *, before: bool) -> str:
    """That somebody is told when the copy ends; ``before``: they had asked for that already."""
    if before:
        return t("It is noted already: you get a direct message when the copy {what} ends.", what=what)
    return t("Noted: you get a direct message when the copy {what} ends.", what=what)


def wont_be_told(job: JobView, t: Translator) -> Message:
    """To whoever took that back."""
    text = t("Taken back: you get no direct message when the copy {what} ends.", what=copied(job, t))
    return sentence(text)


def not_now(job: JobView, link: str | None, t: Translator) -> Message:
    """The job has changed its state since the card was shown."""
    text = t(
        "Job {id} is {state} now, so that button has no meaning any more. Nothing was changed.",
        id=job.id,
        state=state(job, t),
    )
    return sentence(text, hint=to_card(link, t) or ask_for(job.id, t))


# ----------------------------------------------------------------------------
# The freeze: the answers to ``/copy-freeze``, and to the start of a copy meanwhile


FREEZE_ACTION, KEEP_ACTION = "freeze.all", "freeze.none"


def freeze_all(running: int, waiting: int, t: Translator) -> Message:
    """The question of ``/copy-freeze`` without a reason, and its two buttons."""
    text = t("Freeze all copies?") + _concerned(running, waiting, t)
    hint = t("With a reason it freezes at once, and everybody reads it: `{command}`.", command=_example(t))
    buttons = actions(
        button(t("Freeze all copies"), FREEZE_ACTION, "all", style="danger"),
        button(t("Cancel"), KEEP_ACTION, "none"),
    )
    return Message(f"{text} {hint}", [section(text), buttons, context(hint)])


def not_frozen_now(t: Translator) -> Message:
    """After *Cancel* under the question."""
    return sentence(t("Nothing was frozen."))


def channel_frozen(freeze: Freeze, t: Translator) -> Message:
    """To the channel in which somebody froze all copies."""
    text = f"🧊 {frozen_by(freeze, t)}."
    more = t("No copy starts, and those that run stop at the end of their chunk.")
    return Message(read_out(f"{text} {more}"), [section(f"{text} {more}"), context(how_to_lift(t))])


def channel_freeze_over(freeze: Freeze, by: Person | None, t: Translator) -> Message:
    """To that channel, and to the one in which it was lifted; ``by`` is None where it ended by itself."""
    other = _whose(freeze)
    if by is None:
        return sentence("▶️ " + t("The freeze of {user} is over: copies run again.", user=other))
    text = t("{user} has lifted the freeze of {other}: copies run again.", user=mention(by), other=other)
    return sentence(f"▶️ {text}")


def _whose(freeze: Freeze) -> str:
    return mention(freeze.by) if freeze.by else code(freeze.window or "")


def frozen_now(
    running: int, waiting: int, t: Translator, *, told: bool = True, until: datetime | None = None
) -> Message:
    """To the person who froze all copies: how many stop, how many wait, and whether the channel knows."""
    if until is None:
        text = t("All copies are frozen.")
    else:
        text = t("All copies are frozen until {moment}.", moment=at(until, t))
    text += _concerned(running, waiting, t)
    if not told:
        text += " " + t("Slack took no message for this channel: tell those who copy.")
    return sentence(text, hint=how_to_lift(t))


def _concerned(running: int, waiting: int, t: Translator) -> str:
    """How many copies a freeze stops, and how many it keeps waiting; with a space before each sentence."""
    text = ""
    if running:
        text += " " + t.plural(
            "{n} running copy stops at the end of its chunk.",
            "{n} running copies stop at the end of their chunks.",
            running,
        )
    if waiting:
        text += " " + t.plural("{n} copy waits.", "{n} copies wait.", waiting)
    return text


def still_frozen(freeze: Freeze, t: Translator) -> Message:
    """To the same command while copies are frozen already."""
    return _frozen(freeze, "", t)


def refused_because_frozen(freeze: Freeze, t: Translator) -> Message:
    """To somebody who wants to start a copy while all are frozen."""
    return _frozen(freeze, t("Nothing was started."), t)


def lifted(
    freeze: Freeze,
    waiting: int,
    t: Translator,
    no_worker: NoWorker | None = None,
    still: Freeze | None = None,
) -> Message:
    """``still`` is the window of the configuration that keeps copies frozen all the same."""
    if still is not None:
        text = t("The freeze of {user} is lifted.", user=_whose(freeze))
        return sentence(f"{text} {frozen_by(still, t)}.", hint=how_to_lift(t, still))
    if no_worker is not None:
        text = t("The freeze of {user} is lifted.", user=_whose(freeze))
        return and_nobody_works(text, no_worker, t)
    text = t("Copies run again. The freeze was {user}'s.", user=_whose(freeze))
    if waiting:
        text += " " + t.plural("{n} copy goes on now.", "{n} copies go on now.", waiting)
    return sentence(text)


def not_frozen(t: Translator, window: Freeze | None = None) -> Message:
    """To ``/copy-freeze off`` while nobody has frozen anything; ``window`` is one that is open."""
    if window is not None:
        text = t("Nobody has frozen the copies: it is a window of the configuration.")
        return sentence(f"{text} {frozen_by(window, t)}.", hint=how_to_lift(t, window))
    return sentence(
        t("Nothing is frozen."),
        hint=t(
            "`{command}` with or without a reason stops all copies at the end of their chunk.",
            command=FREEZE_COMMAND,
        ),
    )


def no_reason(text: str, t: Translator, meant: str | None) -> Message:
    """What was typed is no reason, so nothing was frozen: it is more likely a mistake."""
    step = t("A freeze stops every copy; a single one is paused on its card.")
    works = usage(t, meant, example=_example(t))
    return sentence(
        t("“{text}” is no reason, so nothing was frozen.", text=sanitized(text)), hint=f"{step} {works}"
    )


def freeze_help(t: Translator) -> Message:
    """How to use ``/copy-freeze``."""
    lines = [
        f"• `{_example(t)}` – " + t("stops all copies at the end of their chunk, and refuses new ones"),
        f"• `{FREEZE_COMMAND} {_until_example(t)}`, `{FREEZE_COMMAND} {_for_example(t)}` – "
        + t("the same, and it ends by itself; a reason may follow"),
        f"• `{FREEZE_COMMAND}` – "
        + t("asks whether to do that; while copies are frozen, who froze them and why"),
        f"• `{FREEZE_COMMAND} off` – " + t("lets copies run again"),
    ]
    return sentence("\n".join(lines))


def _example(t: Translator) -> str:
    reason = t("maintenance of consulta")
    return f"{FREEZE_COMMAND} {reason}"


def _until_example(t: Translator) -> str:
    return t("until 18:00")


def _for_example(t: Translator) -> str:
    return t("for 2h")


def no_end(text: str, t: Translator) -> Message:
    """What follows until or for is no moment, so nothing was frozen."""
    tomorrow = t("until tomorrow 06:00")
    return sentence(
        t("“{text}” names no moment within the next 31 days, so nothing was frozen.", text=sanitized(text)),
        hint=t(
            "Write `{first}`, `{second}` or `{third}`; a reason may follow.",
            first=f"{FREEZE_COMMAND} {_until_example(t)}",
            second=f"{FREEZE_COMMAND} {tomorrow}",
            third=f"{FREEZE_COMMAND} {_for_example(t)}",
        ),
    )


def how_to_lift(t: Translator, freeze: Freeze | None = None) -> str:
    """The command that ends the freeze; of a window, that it ends by itself."""
    if freeze is not None and freeze.by is None:
        return t("It is in the configuration: nobody can lift it here, and it ends by itself.")
    return t("`{command}` lets copies run again.", command=f"{FREEZE_COMMAND} off")


def _frozen(freeze: Freeze, more: str, t: Translator) -> Message:
    shown = section(f"{frozen_since(freeze, t)}. {more}".strip())
    text = f"{frozen_by(freeze, t)}. {more}".strip()
    step = how_to_lift(t, freeze)
    return Message(read_out(f"{text} {step}"), [shown, context(step)])

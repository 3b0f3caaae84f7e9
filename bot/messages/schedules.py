"""What is said of schedules: what became of a due time, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.i18n import Translator
from bot.jobs.failure import Failure
from bot.jobs.models import FiringState
from bot.jobs.schedules import FAILED, LIVE_ALREADY, NOTHING, Firing
from bot.jobs.view import NextFiring, NextWindow
from bot.messages.blocks import COPY_COMMAND, Message, at, code, context, read_out, sanitized, section
from bot.messages.failure_texts import explained

#: More lines than this are counted, not listed.
SHOWN = 15


def firing(found: Firing, titles: Mapping[str, str], t: Translator, operators: Sequence[str] = ()) -> Message:
    """To the schedule's channel: what became of a due time, as far as no card says it."""
    copy = titles.get(found.copy_name, found.copy_name)
    name, due = code(found.schedule), at(found.due_at, t)
    head = t("Schedule {name}, “{copy}”, due {moment}", name=name, copy=sanitized(copy), moment=due)
    what, step = _outcome(found, copy, t)
    lines = _lines(found, t)
    text = f"🗓️ {head}: {what}"
    blocks = [section(text)]
    if lines:
        blocks.append(section("\n".join(lines)))
    small = [step, ", ".join(operators) if found.state is not FiringState.DONE else ""]
    if any(small):
        blocks.append(context(*small))
    return Message(read_out(" ".join(part for part in (text, *lines, step) if part)), blocks)


def _outcome(found: Firing, copy: str, t: Translator) -> tuple[str, str]:
    """What happened, and the next step; the step is empty where nothing is to be done."""
    user, by_hand = f"<@{found.as_user}>", t("`{command}` copies one by hand.", command=f"{COPY_COMMAND} 42")
    shown = sanitized(copy)
    match found.state:
        case FiringState.MISSED:
            what = t("missed, because neither the bot nor a worker was running.")
            if found.missed_before:
                what += " " + t.plural(
                    "So was {n} due time before it.", "So were {n} due times before it.", found.missed_before
                )
            return f"{what} " + t("Nothing is made up for."), by_hand
        case FiringState.REFUSED:
            what = t("nothing was copied, because {user} may not copy “{copy}”.", user=user, copy=shown)
            return what, t("Whoever runs Traspaso: let them, or name somebody else as `as_user`.")
        case FiringState.FROZEN:
            return t("nothing was copied, because copies were frozen."), by_hand
        case FiringState.FAILED:
            return _failed(found, user, t), by_hand
        case _:
            what = _asked_for(found, t)
            if found.more_fit:
                what += " " + t("More liquidations fit than its limit lets through: the newest were taken.")
            return what, ""


def _asked_for(found: Firing, t: Translator) -> str:
    if found.set_name is not None:
        return t.plural(
            "The set of {n} liquidation was asked for.",
            "The set of {n} liquidations was asked for.",
            len(found.jobs),
        )
    return t.plural("{n} copy was asked for.", "{n} copies were asked for.", len(found.jobs))


def _failed(found: Firing, user: str, t: Translator) -> str:
    reason = found.reason or ""
    if reason == "permission_not_known":
        words = t("Slack didn't say in time whether {user} may copy.", user=user)
    elif reason == "no_such_copy" and found.set_name is not None:
        words = t("The configuration has no set of that name.")
    elif reason == "no_such_copy":
        words = t("The configuration has no copy of that name.")
    else:
        words = explained(Failure.from_json(found.error or {"code": reason}), t).what
    return t("it didn't come to its end. {reason} {asked}", reason=words, asked=_asked_for(found, t))


def _lines(found: Firing, t: Translator) -> list[str]:
    """A line for each liquidation that has no copy of this schedule."""
    lines = []
    for each in found.results:
        names: dict[str, object] = {"id": each["liquidation"]}
        if each["outcome"] == LIVE_ALREADY and found.set_name is not None:
            lines.append(t("• {id}: job {job} copies a table of it already", job=each["job"], **names))
        elif each["outcome"] == LIVE_ALREADY:
            lines.append(t("• {id}: job {job} copies it already", job=each["job"], **names))
        elif each["outcome"] == NOTHING:
            lines.append(t("• {id}: has rows on neither side, or isn't in the catalogue", **names))
        elif each["outcome"] == FAILED:
            words = explained(Failure.from_json(each.get("error") or {}), t)
            lines.append(t("• {id}: {reason}", reason=words.what, **names))
    if len(lines) > SHOWN:
        more = t.plural("and {n} more", "and {n} more", len(lines) - SHOWN)
        lines = [*lines[:SHOWN], more]
    return lines


def next_line(coming: NextFiring, t: Translator) -> str:
    """When a schedule is due next."""
    return t(
        "Schedule {name}, “{copy}”: {moment}",
        name=code(coming.schedule),
        copy=sanitized(coming.copy_shown),
        moment=at(coming.at, t),
    )


def window_line(window: NextWindow, t: Translator) -> str:
    """The next time in which nothing is written."""
    words = t(
        "Window {name}: from {begin} until {end}",
        name=code(window.name),
        begin=at(window.begin, t),
        end=at(window.end, t),
    )
    return f"{words} · {sanitized(window.reason, limit=200)}" if window.reason else words

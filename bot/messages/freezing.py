"""The answers to ``/copy-freeze``, and to a start of a copy while all are frozen."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.view import Freeze, NoWorker
from bot.messages.answers import usage
from bot.messages.blocks import Message, context, sanitized, section, sentence
from bot.messages.naming import FREEZE_COMMAND, and_nobody_works, frozen_by, frozen_since, mention


def frozen_now(running: int, waiting: int, t: Translator) -> Message:
    """To the person who froze all copies: how many stop, and how many wait."""
    text = t("All copies are frozen.")
    if running:
        text += " " + t.plural(
            "{n} running copy stops at the end of its chunk.",
            "{n} running copies stop at the end of their chunks.",
            running,
        )
    if waiting:
        text += " " + t.plural("{n} copy waits.", "{n} copies wait.", waiting)
    return sentence(text, hint=how_to_lift(t))


def still_frozen(freeze: Freeze, t: Translator) -> Message:
    """To the same command while copies are frozen already."""
    return _frozen(freeze, "", t)


def refused_because_frozen(freeze: Freeze, t: Translator) -> Message:
    """To somebody who wants to start a copy while all are frozen."""
    return _frozen(freeze, t("Nothing was started."), t)


def lifted(freeze: Freeze, waiting: int, t: Translator, no_worker: NoWorker | None = None) -> Message:
    if no_worker is not None:
        text = t("The freeze of {user} is lifted.", user=mention(freeze.by))
        return and_nobody_works(text, no_worker, t)
    text = t("Copies run again. The freeze was {user}'s.", user=mention(freeze.by))
    if waiting:
        text += " " + t.plural("{n} copy goes on now.", "{n} copies go on now.", waiting)
    return sentence(text)


def not_frozen(t: Translator) -> Message:
    """To ``/copy-freeze off`` while nothing is frozen."""
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
        f"• `{FREEZE_COMMAND}` – "
        + t("the same without a reason; while copies are frozen, who froze them and why"),
        f"• `{FREEZE_COMMAND} off` – " + t("lets copies run again"),
    ]
    return sentence("\n".join(lines))


def _example(t: Translator) -> str:
    reason = t("maintenance of consulta")
    return f"{FREEZE_COMMAND} {reason}"


def how_to_lift(t: Translator) -> str:
    """The command that ends the freeze."""
    return t("`{command}` lets copies run again.", command=f"{FREEZE_COMMAND} off")


def _frozen(freeze: Freeze, more: str, t: Translator) -> Message:
    shown = section(f"{frozen_since(freeze, t)}. {more}".strip())
    read_out = f"{frozen_by(freeze, t)}. {more}".strip()
    return Message(f"{read_out} {how_to_lift(t)}", [shown, context(how_to_lift(t))])

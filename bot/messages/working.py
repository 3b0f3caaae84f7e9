"""That nobody works: since when, who is to be told, and what they have to do."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import NoWorker
from bot.messages.blocks import Message, at, context, section
from bot.messages.naming import WORKER_COMMAND


def nobody_works(none: NoWorker, t: Translator) -> str:
    """A sentence or two, for cards, answers, App Home and the terminal alike."""
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
    """An answer, and below it that nobody works; read aloud it has no moment, which only Slack can show."""
    read_out = f"{text} {t('No worker is alive: copies wait until one is started.')}"
    blocks = [section(f"{text}\n⚠️ {nobody_works(none, t)}"), *([context(hint)] if hint else [])]
    return Message(f"{read_out} {hint}".strip(), blocks)

"""The answer to ``/copy-status``: what runs and the latest jobs, or one job as its card shows it."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobSnapshot
from bot.messages.answers import to_card
from bot.messages.blocks import Block, Message, context, harmless, header, section
from bot.messages.card import card, doing, progress, state

#: More live jobs than this are counted, not listed.
SHOWN = 15
#: So many lines fit into one section, however long their names are.
TOGETHER = 5


def overview(
    live: list[JobSnapshot], latest: list[JobSnapshot], links: dict[int, str], t: Translator
) -> Message:
    """Lists of jobs, each with a link to its card where there is one."""
    blocks: list[Block] = [header(t("Copies"))]
    if not live:
        blocks.append(section(t("Nothing is running.")))
    blocks += [section(f"{_line(job, links, t)}\n{doing(job, t)}") for job in live[:SHOWN]]
    if len(live) > SHOWN:
        blocks.append(context(t.plural("and {n} more", "and {n} more", len(live) - SHOWN)))
    if latest:
        title = t("Latest")
        blocks.append(section(f"*{title}*"))
        lines = [_line(job, links, t) for job in latest]
        blocks += [section("\n".join(lines[at : at + TOGETHER])) for at in range(0, len(lines), TOGETHER)]
    text = t.plural("{n} copy is running or waiting.", "{n} copies are running or waiting.", len(live))
    return Message(text, blocks)


def detail(job: JobSnapshot, link: str | None, t: Translator) -> Message:
    """One job: its card, and the way to the original."""
    message = card(job, t)
    if link:
        message.blocks.append(context(to_card(link, t)))
    return message


def _line(job: JobSnapshot, links: dict[int, str], t: Translator) -> str:
    number = t("Job {id}", id=job.id)
    if job.id in links:
        number = f"<{links[job.id]}|{number}>"
    label = f" · {harmless(job.label)}" if job.label else ""
    what = t("liquidation {id}", id=job.liquidation_id)
    return f"{number} · {what}{label} · {state(job, t)} · {progress(job, t)}"

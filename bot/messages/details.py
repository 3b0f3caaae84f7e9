"""*Details*: the modal with a job's history, from the request to its end."""

from __future__ import annotations

from typing import Any

from bot.i18n import Translator
from bot.jobs.events import (
    Approved,
    AskedAgain,
    CardMoved,
    Claimed,
    Completed,
    Confirmed,
    EventKind,
    Failed,
    PermissionNotKnown,
    Requested,
    Retry,
    WorkerLost,
)
from bot.jobs.repository import Happening, SlowChunk, Timeline
from bot.jobs.status import Phase
from bot.jobs.view import JobView
from bot.messages.blocks import Block, Message, at, code, context, cut, header, section
from bot.messages.card import activity, progress
from bot.messages.ending import receipt
from bot.messages.failures import explained
from bot.messages.naming import mention, move_reason
from bot.messages.question import question_text, sides

View = dict[str, Any]

#: More events than this are counted, not listed; so many lines fit into one section.
SHOWN, TOGETHER = 40, 4
#: Slack's limit for a title.
TITLE_LIMIT = 24


def loading(t: Translator) -> View:
    """Opened at once, while the history is being read."""
    return _modal(t("Details"), [section(t("One moment…"))], t)


def answer(message: Message, t: Translator) -> View:
    """The modal with an answer instead of the details."""
    return _modal(t("Details"), message.blocks, t)


def details(job: JobView, timeline: Timeline, t: Translator) -> View:
    """The job's state, what was done, how long each phase took, the events, and the slowest chunks."""
    title = t("Liquidation {id}", id=job.liquidation_id)
    blocks = [
        header(f"{title} · {job.label}" if job.label else title),
        section(f"{progress(job, t)}\n{activity(job, t)}"),
        context(receipt(job, t)),
    ]
    if phases := _phases(job, t):
        blocks.append(context(phases))
    blocks += _happenings(timeline.happenings, t)
    if timeline.slowest:
        slowest = t("Slowest chunks")
        lines = [f"*{slowest}*", *(_chunk(chunk, t) for chunk in timeline.slowest)]
        blocks.append(section("\n".join(lines)))
    return _modal(t("Job {id}", id=job.id), blocks, t)


def _happenings(happenings: tuple[Happening, ...], t: Translator) -> list[Block]:
    story = t("What happened")
    lines = [f"{at(each.at, t)} · {_happening(each, t)}" for each in happenings[-SHOWN:]]
    if hidden := len(happenings) - len(lines):
        lines.insert(0, t.plural("{n} earlier event", "{n} earlier events", hidden))
    groups = ["\n".join(lines[at : at + TOGETHER]) for at in range(0, len(lines), TOGETHER)]
    return [section(f"*{story}*"), *(section(group) for group in groups)]


def _happening(happening: Happening, t: Translator) -> str:
    user = mention(happening.person) if happening.person else "?"
    match happening.event:
        case Requested():
            return t("{user} asked for the copy", user=user)
        case Claimed(worker=worker):
            return t("attempt {n} began, in worker {worker}", n=happening.attempt, worker=code(worker, 80))
        case WorkerLost(worker=worker):
            return t("worker {worker} was lost", worker=code(str(worker), 80))
        case Retry(failure=failure, seconds=seconds):
            return t(
                "{what} Next attempt in {duration}",
                what=explained(failure.as_json(), t).what,
                duration=t.duration(seconds),
            )
        case Failed(failure=failure):
            return t("it failed. {what}", what=explained(failure.as_json(), t).what)
        case Completed(rows=rows):
            return t("completed, {rows} on both sides", rows=t.rows(rows))
        case CardMoved(moved=moved):
            return t("its card moved to a direct message, because {reason}", reason=move_reason(moved, t))
        case PermissionNotKnown():
            return t("Slack didn't say whether the requester still may copy, and it went on")
        case AskedAgain(question=question):
            return t("it asked again. {what}", what=question_text(question, t))
        case Confirmed(numbers=numbers):
            shown = sides(numbers.in_prod, numbers.in_consulta, t)
            return t("{user} confirmed: {sides}", user=user, sides=shown)
        case Approved():
            return t("{user} approved it", user=user)
        case event:
            return _without_details(event.kind, user, t)


def _without_details(kind: str, user: str, t: Translator) -> str:
    words = {
        EventKind.RELEASED: t("its worker was told to end, and gave it back"),
        EventKind.FROZEN: t("it stopped, because all copies were frozen"),
        EventKind.APPROVAL_EXPIRED: t("it ended: nobody had approved it"),
        EventKind.REJECTED: t("{user} rejected it", user=user),
        EventKind.PAUSE_REQUESTED: t("{user} asked to pause it", user=user),
        EventKind.PAUSED: t("paused, for {user}", user=user),
        EventKind.RESUMED: t("{user} let it go on", user=user),
        EventKind.CANCEL_REQUESTED: t("{user} asked to cancel it", user=user),
        EventKind.CANCELLED: t("cancelled") if user == "?" else t("cancelled, for {user}", user=user),
        EventKind.RETRIED: t("{user} had it tried again", user=user),
    }
    return {str(known): said for known, said in words.items()}.get(kind) or code(kind, 60)


def _phases(job: JobView, t: Translator) -> str:
    names = {Phase.COUNTING: t("counting"), Phase.COPYING: t("copying"), Phase.VERIFYING: t("verifying")}
    parts = [
        f"{names[phase]} {t.duration(seconds)}"
        for phase in Phase
        if (seconds := job.seconds_of(phase)) is not None
    ]
    return " · ".join(parts)


def _chunk(chunk: SlowChunk, t: Translator) -> str:
    return t(
        "chunk {number}: {duration}, {rows}",
        number=t.number(chunk.number),
        duration=t.duration(chunk.seconds),
        rows=t.rows(chunk.rows),
    )


def _modal(title: str, blocks: list[Block], t: Translator) -> View:
    return {
        "type": "modal",
        "callback_id": "job.details",
        "title": {"type": "plain_text", "text": cut(title, TITLE_LIMIT)},
        "close": {"type": "plain_text", "text": cut(t("Close"), TITLE_LIMIT)},
        "blocks": blocks,
    }

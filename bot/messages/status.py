"""The answers to ``/copy-status``: what runs and the latest jobs, one job, or the past of something; and
*Details*, the modal with a job's history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
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
    NotTold,
    PermissionNotKnown,
    Rejected,
    Requested,
    Retry,
    SecondGroupAsked,
    WorkerLost,
)
from bot.jobs.freshness import Held
from bot.jobs.models import Phase, Status
from bot.jobs.repository import Happening, SlowChunk, Timeline
from bot.jobs.view import JobView, NextFiring, NoWorker, RunView, together
from bot.messages import freshness, run
from bot.messages.answers import to_card
from bot.messages.blocks import (
    COPY_COMMAND,
    STATUS_COMMAND,
    Block,
    Message,
    at,
    code,
    context,
    copied,
    cut,
    fields,
    header,
    mention,
    move_reason,
    nobody_works,
    read_out,
    requester,
    sanitized,
    section,
    sentence,
    title_of,
)
from bot.messages.card import activity, card, progress, reasons, receipt, state
from bot.messages.failure_texts import explained
from bot.messages.question import because, question_text, rejected_by, sides
from bot.messages.schedules import next_line

NO_RUNS: Mapping[int, RunView] = {}
#: More live jobs than this are counted, not listed.
SHOWN = 15
#: More jobs than this before a waiting one are counted, not named.
NAMED = 3
#: Characters of one cell of a table.
CELL_LIMIT = 60


def overview(
    live: list[JobView],
    latest: list[JobView],
    links: dict[int, str],
    t: Translator,
    no_worker: NoWorker | None = None,
    *,
    coming: Sequence[NextFiring] = (),
    runs: Mapping[int, RunView] = NO_RUNS,
) -> Message:
    """What runs, what waits and behind what, and the last jobs; each with a link to its card.

    ``coming`` are the next due times of the schedules: the first one is named. ``runs`` are those to which
    any of the jobs belongs: each is one entry, with its parts.
    """
    blocks: list[Block] = [header(t("Copies"))]
    if no_worker is not None:
        blocks.append(section(f"⚠️ {nobody_works(no_worker, t)}"))
    if not live:
        blocks.append(section(t("Nothing is running.")))
    entries = together(live, runs)
    for each in entries[:SHOWN]:
        if isinstance(each, RunView):
            blocks.append(section(run.entry(each, run_link(each, links), t)))
        else:
            blocks.append(section(f"{line(each, links, t)}\n{waits_for(each, live, t)}"))
    if len(entries) > SHOWN:
        blocks.append(context(t.plural("and {n} more", "and {n} more", len(entries) - SHOWN)))
    if coming:
        blocks.append(context(f"🗓️ {next_line(coming[0], t)}"))
    if latest:
        title = t("Latest")
        blocks += [section(f"*{title}*"), jobs_table(latest, links, t, runs)]
    text = t.plural("{n} copy is running or waiting.", "{n} copies are running or waiting.", len(live))
    if no_worker is not None:
        text += " " + t("No worker is alive: copies wait until one is started.")
    return Message(text, blocks)


def detail(job: JobView, link: str | None, t: Translator, whole: RunView | None = None) -> Message:
    """One job: its card, and a link to the original. ``whole`` is the run of a set to which it belongs."""
    message = card(job, t)
    way = [context(to_card(link, t))] if link else []
    if whole is not None:
        of_set = t("Part of {what}:", what=run.copied(whole, t))
        way.insert(0, section(f"{of_set}\n{run.entry(whole, link, t)}"))
    return Message(message.text, [*message.blocks, *way])


def of_liquidation(
    liquidation_id: int,
    jobs: list[JobView],
    links: dict[int, str],
    t: Translator,
    *,
    held: Sequence[Held] = (),
    titles: Mapping[str, str] | None = None,
    runs: Mapping[int, RunView] = NO_RUNS,
) -> Message:
    """What consulta holds of one liquidation, and its history, newest first.

    ``held`` has a line for each target table, or for those of a set, ``titles`` are what messages call copies
    and sets. ``runs`` are those to which any of the jobs belongs.
    """
    known = [freshness.line(each, titles or {}, t) for each in held]
    if not jobs and known:  # the jobs are kept no longer
        title = t("Copies of liquidation {id}", id=liquidation_id)
        text = read_out(" ".join([f"{title}:", *known])).replace("*", "")
        return Message(text, [header(title), section("\n".join(known)), context(t("No longer kept."))])
    if not jobs:
        return sentence(
            t("Liquidation {id} has never been copied.", id=liquidation_id),
            hint=t("To copy it: {command}", command=code(f"{COPY_COMMAND} {liquidation_id}")),
        )
    title = t("Copies of liquidation {id}", id=liquidation_id)
    return _listed(title, jobs, links, t, known=known, runs=runs)


def of_user(
    jobs: list[JobView], links: dict[int, str], t: Translator, runs: Mapping[int, RunView] = NO_RUNS
) -> Message:
    """What the reader asked for, newest first."""
    if not jobs:
        return sentence(
            t("You have asked for no copy yet."),
            hint=t("To ask for one: {command}", command=code(f"{COPY_COMMAND} 42")),
        )
    return _listed(t("Copies that you asked for"), jobs, links, t, runs=runs)


def usage(word: str, t: Translator, meant: str | None = None) -> Message:
    """The text after the command is none of its forms; ``meant`` is the command that was probably meant."""
    forms = [
        (f"{STATUS_COMMAND}", t("what runs, and the latest jobs")),
        (f"{STATUS_COMMAND} 17", t("one job")),
        (f"{STATUS_COMMAND} {liquidation_word(t)} 42", t("the history of a liquidation")),
        (f"{STATUS_COMMAND} {mine_word(t)}", t("what you asked for")),
    ]
    text = t("“{word}” is nothing that can be looked up.", word=sanitized(word))
    lines = [f"• `{command}` – {what}" for command, what in forms]
    works = t("Did you mean `{command}`?", command=meant) if meant else usage_example(t)
    guess = [section(works)] if meant else []
    return Message(f"{text} {works}", [section(text), *guess, section("\n".join(lines))])


def usage_example(t: Translator) -> str:
    return t("Example: `{command}`", command=f"{STATUS_COMMAND} 17")


def liquidation_word(t: Translator) -> str:
    """The word before a liquidation's number, as this reader would write it."""
    return t("liquidation")


def mine_word(t: Translator) -> str:
    return t("mine")


def line(job: JobView, links: dict[int, str], t: Translator) -> str:
    """One job in one line of mrkdwn."""
    return f"{named(job, copied(job, t), links, t)} · {progress(job, t)}"


def named(job: JobView, what: str, links: dict[int, str], t: Translator) -> str:
    """Its number, with a link to its card where there is one, ``what`` it copies, and its state."""
    number = t("Job {id}", id=job.id)
    if job.id in links:
        number = f"<{links[job.id]}|{number}>"
    label = f" · {sanitized(job.label)}" if job.label else ""
    return f"{number} · {what}{label} · {state(job, t)}"


def ended_line(job: JobView, links: dict[int, str], t: Translator) -> str:
    """The same of a job that has ended, with what a table's row says beside it: when, who, how long."""
    parts = [line(job, links, t), at(job.finished_at or job.created_at, t), mention(requester(job))]
    if job.seconds is not None:
        parts.append(t.duration(job.seconds))
    return " · ".join(parts)


def waits_for(job: JobView, live: list[JobView], t: Translator) -> str:
    """What the job is doing; one that is queued names the jobs before it."""
    if job.waits_for_a_worker:
        return t("Waiting for a worker")  # since when, and whom to tell, stands above the list
    words = activity(job, t)
    if job.status is not Status.PENDING or not job.ahead or job.error:
        return words
    before = [
        each
        for each in live
        if each.id < job.id
        and each.status in {Status.PENDING, Status.RUNNING}
        and not each.waits_for_somebody
    ]
    named = [t("job {id}", id=each.id) for each in before[:NAMED]]
    more = len(before) - len(named)
    if more > 0:
        named.append(t.plural("and {n} more", "and {n} more", more))
    return f"{words} ({', '.join(named)})" if named else words


def _listed(
    title: str,
    jobs: list[JobView],
    links: dict[int, str],
    t: Translator,
    *,
    known: Sequence[str] = (),
    runs: Mapping[int, RunView] = NO_RUNS,
) -> Message:
    """``known`` are lines above the table."""
    newest = jobs[0]
    whole = runs.get(newest.run_id) if newest.run_id is not None else None
    if whole is not None:
        text = t(
            "{title}: the latest is run {run}, {state}.",
            title=title,
            run=whole.id,
            state=run.state_of(whole, t),
        )
    else:
        text = t(
            "{title}: the latest is job {job}, {state}.", title=title, job=newest.id, state=state(newest, t)
        )
    lines = [section("\n".join(known))] if known else []
    return Message(
        read_out(" ".join([text, *known])).replace("*", ""),
        [header(title), *lines, jobs_table(jobs, links, t, runs)],
    )


# -- Jobs as Slack's table block
#
# A message, or App Home, holds one table of at most 100 rows and 20 columns; its texts together stay far
# below Slack's 10,000 characters. Cells are raw text, where nothing is a mention, a link or a format.


def run_link(found: RunView, links: Mapping[int, str]) -> str | None:
    """The card of a run is the card of each of its jobs."""
    return next((links[job.id] for job in found.jobs if job.id in links), None)


def jobs_table(
    jobs: list[JobView], links: dict[int, str], t: Translator, runs: Mapping[int, RunView] = NO_RUNS
) -> Block:
    """A row for each job, and above those of a run one for the run itself.

    Job, liquidation, copy, state, rows, who asked, when it ended (or was asked for), how long it took.
    """
    heads = [
        t("Job"),
        t("Liquidation"),
        t("Which copy"),
        t("State"),
        t("Rows"),
        t("Requested by"),
        t("When"),
        t("Took"),
    ]
    rows = [[_cell(head) for head in heads]]
    headed = set[int]()
    for job in _runs_together(jobs):
        found = runs.get(job.run_id) if job.run_id is not None else None
        if found is not None and found.id not in headed:
            headed.add(found.id)
            rows.append(_run_row(found, links, t))
        label = f" · {job.label}" if job.label else ""
        rows.append(
            [
                _link(str(job.id), links.get(job.id)),
                _cell(f"{'↳ ' if found else ''}{job.liquidation_id}{label}"),
                _cell(job.copy_shown),
                _cell(state(job, t)),
                _cell("–" if job.total is None else f"{t.number(job.copied)} / {t.number(job.total)}"),
                _requester(job),
                _moment(job.finished_at or job.created_at, t),
                _cell("–" if job.seconds is None else t.duration(job.seconds)),
            ]
        )
    right = {"align": "right"}
    settings = [right, {"is_wrapped": True}, {"is_wrapped": True}, {}, right, {}, {}, right]
    return {"type": "table", "rows": rows, "column_settings": settings}


def _runs_together(jobs: Sequence[JobView]) -> list[JobView]:
    """The same jobs, those of a run below each other and in their order."""
    first: dict[int, int] = {}
    for place, job in enumerate(jobs):
        if job.run_id is not None:
            first.setdefault(job.run_id, place)
    placed = [
        (first[job.run_id], job.id) if job.run_id is not None else (place, 0)
        for place, job in enumerate(jobs)
    ]
    return [job for _, job in sorted(zip(placed, jobs, strict=True), key=lambda each: each[0])]


def _run_row(found: RunView, links: Mapping[int, str], t: Translator) -> list[Block]:
    return [
        _link(t("Run {id}", id=found.id), run_link(found, links)),
        _cell(run.together(found.liquidations)),
        _cell(found.set_shown or found.jobs[0].copy_shown),
        _cell(f"{run.state_of(found, t)} · {run.copies(found, t)}"),
        _cell(f"{t.number(found.copied)} / {t.number(found.total)}"),
        _requester(found.jobs[0]),
        _moment(found.ended_at or found.created_at, t),
        _cell(t.duration(found.seconds)),
    ]


def _cell(text: str) -> Block:
    return {"type": "raw_text", "text": cut(text, CELL_LIMIT) or "–"}


def _link(text: str, url: str | None) -> Block:
    if url is None:
        return _cell(text)
    return _rich({"type": "link", "url": url, "text": text})


def _requester(job: JobView) -> Block:
    """Whoever asked; a mention in an answer that one person reads notifies nobody."""
    if not job.is_from_slack:
        return _cell(job.requester_name)
    return _rich({"type": "user", "user_id": job.requester_id})


def _moment(when: datetime, t: Translator) -> Block:
    """In the reader's own time zone; in UTC where Slack can't show it."""
    return _rich(
        {
            "type": "date",
            "timestamp": int(when.timestamp()),
            "format": "{date_short_pretty} {time}",
            "fallback": t.moment(when),
        }
    )


def _rich(element: Block) -> Block:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [element]}]}


# ----------------------------------------------------------------------------
# *Details*: a job's history, from the request to its end


View = dict[str, Any]

#: More events than this are counted, not listed; so many lines fit into one section.
EVENTS_SHOWN, TOGETHER = 40, 4
#: So many of a hash's 64 signs tell it from all others.
HASH_SHOWN = 12
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
    tables = [
        (t("From"), f"pgsql-prod · {code(job.source_table)}"),
        (t("To"), f"pgsql-consulta · {code(job.target_table)}"),
    ]
    blocks = [
        header(title_of(job, t)),
        section(f"{progress(job, t)}\n{activity(job, t)}"),
        fields(tables),
        context(receipt(job, t)),
    ]
    if phases := _phases(job, t):
        blocks.append(context(phases))
    if why := reasons(job, t):
        blocks.append(context(why))
    if timeline.receipt_hash:
        blocks.append(
            context(t("Hash of the receipt: {hash}", hash=code(timeline.receipt_hash[:HASH_SHOWN])))
        )
    blocks += _happenings(timeline.happenings, t)
    if timeline.slowest or job.chunks_done:
        slowest = t("Slowest chunks")
        chunks = [_chunk(chunk, t) for chunk in timeline.slowest] or [t("No longer kept.")]
        blocks.append(section("\n".join([f"*{slowest}*", *chunks])))
    return _modal(t("Job {id}", id=job.id), blocks, t)


def _happenings(happenings: tuple[Happening, ...], t: Translator) -> list[Block]:
    story = t("What happened")
    lines = [f"{at(each.at, t)} · {_happening(each, t)}" for each in happenings[-EVENTS_SHOWN:]]
    if hidden := len(happenings) - len(lines):
        lines.insert(0, t.plural("{n} earlier event", "{n} earlier events", hidden))
    # Each job's story begins with its request; without it, it was pruned.
    elif not happenings:
        lines = [t("No longer kept.")]
    elif not isinstance(happenings[0].event, Requested):
        lines.insert(0, t("What was before that is no longer kept."))
    groups = ["\n".join(lines[at : at + TOGETHER]) for at in range(0, len(lines), TOGETHER)]
    return [section(f"*{story}*"), *(section(group) for group in groups)]


def _happening(happening: Happening, t: Translator) -> str:  # noqa: PLR0912 - a line for each event
    user = mention(happening.person) if happening.person else "?"
    match happening.event:
        case Requested(reason=reason) as event:
            return because(_requested(event, user, t), reason, t)
        case Approved(reason=reason):
            return because(t("{user} approved it", user=user), reason, t)
        case SecondGroupAsked(group=group):
            return t("{group} may approve it too, as it had waited for long", group=group)
        case Claimed(worker=worker):
            return t("attempt {n} began, in worker {worker}", n=happening.attempt, worker=code(worker, 80))
        case WorkerLost(worker=worker):
            return t("worker {worker} was lost", worker=code(str(worker), 80))
        case Retry(failure=failure, seconds=seconds):
            return t(
                "{what} Next attempt in {duration}",
                what=explained(failure, t).what,
                duration=t.duration(seconds),
            )
        case Failed(failure=failure):
            return t("it failed. {what}", what=explained(failure, t).what)
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
        case Rejected(reason=reason):
            return rejected_by(user, reason, t)
        case NotTold(destination=name, reason=reason):
            return t("{name} was not told, after many tries ({reason})", name=code(name), reason=code(reason))
        case event:
            return _without_details(event.kind, user, t)


def _requested(event: Requested, user: str, t: Translator) -> str:
    if event.schedule is not None:
        return t("the schedule {name} asked for the copy, as {user}", name=code(event.schedule), user=user)
    if event.start_at is not None:
        moment = at(event.start_at, t)
        return t("{user} asked for the copy, to begin {moment}", user=user, moment=moment)
    return t("{user} asked for the copy", user=user)


def _without_details(kind: str, user: str, t: Translator) -> str:
    words = {
        EventKind.RELEASED: t("its worker was told to end, and gave it back"),
        EventKind.FROZEN: t("it stopped, because all copies were frozen"),
        EventKind.APPROVAL_EXPIRED: t("it ended: nobody had approved it"),
        EventKind.PAUSE_REQUESTED: t("{user} asked to pause it", user=user),
        EventKind.PAUSED: t("paused, for {user}", user=user),
        EventKind.RESUMED: t("{user} let it go on", user=user),
        EventKind.CANCEL_REQUESTED: t("{user} asked to cancel it", user=user),
        EventKind.CANCELLED: t("cancelled") if user == "?" else t("cancelled, for {user}", user=user),
        EventKind.RETRIED: t("{user} had it tried again", user=user),
        EventKind.STARTED_NOW: t("{user} had it begin at once", user=user),
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

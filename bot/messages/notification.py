"""What is told elsewhere than in Slack: a subject, the same words as text and as HTML, and how good it is.

Pure functions of a view. A mail holds names of things, numbers and people's names; no value of a row, and so
not the liquidation's name either, which comes from prod's catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from html import escape

from bot.config import Occasion
from bot.i18n import Translator
from bot.jobs.models import Approval, Status
from bot.jobs.view import JobView, NotificationDetail, NoWorker, Person, RunView
from bot.messages import set_progress
from bot.messages.blocks import bare_name, cut, nobody_works, of_liquidation, plain, requester, sanitized
from bot.messages.card import shown_attempt, state, time_taken
from bot.messages.failure_texts import explained
from bot.messages.question import REASON_LIMIT, no_approval_reason, request_text
from bot.messages.run import copied, part_of, state_of
from bot.untrusted_text import one_line

#: What would be a mark or a mention in some chat, and signs that look alike.
_LOOK_ALIKE = str.maketrans({"<": "‹", ">": "›"})
_EVERYBODY = re.compile("@(?=(?:everyone|here|channel|all)\\b)", re.IGNORECASE)
#: Of a subject, in characters.
SUBJECT_LIMIT = 150

Facts = Sequence[tuple[str, str]]


class Tone(StrEnum):
    """How good the news is, as Apprise names it: some destinations show it by a colour."""

    SUCCESS = "success"
    FAILURE = "failure"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Notification:
    """What a destination is sent. ``html`` says the same as ``text``."""

    subject: str
    text: str
    html: str
    tone: Tone = Tone.INFO


def of_job(job: JobView, occasion: Occasion, t: Translator, link: str | None = None) -> Notification:
    """How a copy ended, or that it waits for approval; ``link`` leads to its card in Slack."""
    what = of_liquidation(job.copy_shown, job.liquidation_id, t)
    match occasion:
        case Occasion.COMPLETED:
            subject, tone = t("Copied: {what}", what=what), Tone.SUCCESS
            said = [
                t(
                    "The copy {what} is in consulta: {rows} in {duration}, compared on both sides.",
                    what=what,
                    rows=t.rows(job.total or 0),
                    duration=time_taken(job, t, with_rate=True),
                )
            ]
        case Occasion.FAILED:
            words = explained(job.error, t)
            subject, tone = t("Failed: {what}", what=what), Tone.FAILURE
            said = [t("The copy {what} failed.", what=what), plain(words.what), plain(words.step)]
        case Occasion.APPROVAL:
            subject, tone = t("Waiting for approval: {what}", what=what), Tone.WARNING
            until = t.moment(job.approval_until or job.now)
            said = [
                t(
                    "The copy {what} waits until {moment} for the approval of a second person.",
                    what=what,
                    moment=until,
                ),
                plain(request_text(job, t)),
            ]
        case _:
            subject, tone = t("Cancelled: {what}", what=what), Tone.WARNING
            said = [t("The copy {what} was cancelled.", what=what), _why_cancelled(job, t)]
    return _made(subject, tone, said, _facts(job, t), t, link=link)


def of_run(run: RunView, occasion: Occasion, t: Translator, link: str | None = None) -> Notification:
    """How all copies of a run ended, or that some of them wait for approval; ``link`` leads to its card."""
    what, n = plain(copied(run, t)), t.number(len(run.parts))
    is_one = run.is_one_set
    match occasion:
        case Occasion.COMPLETED:
            subject, tone = t("Copied: {what}", what=what), Tone.SUCCESS
            rows, duration = t.rows(sum(job.total or 0 for job in run.jobs)), t.duration(run.seconds)
            facts = {"what": what, "rows": rows, "duration": duration}
            if is_one:
                words = t(
                    "The copy {what} is in consulta: {rows} in {duration}, compared on both sides.", **facts
                )
            else:
                words = t(
                    "The copies {what} are in consulta: {rows} in {duration}, compared on both sides.",
                    **facts,
                )
            said = [words]
        case Occasion.FAILED if is_one:
            subject, tone = t("Failed: {what}", what=what), Tone.FAILURE
            said = [t("The copy {what} failed.", what=what)]
        case Occasion.FAILED:
            subject, tone = t("Failed: {what}", what=what), Tone.FAILURE
            failed = t.number(run.count(run.failed))
            words = t("Of the copies {what}, {failed} of {n} failed.", what=what, failed=failed, n=n)
            said = [f"{words} {_what_is_proven(run, t)}"]
        case Occasion.APPROVAL:
            subject, tone = t("Waiting for approval: {what}", what=what), Tone.WARNING
            waiting = run.waiting_for_approval
            moment = t.moment(min(job.approval_until or job.now for job in waiting))
            if is_one:
                words = t(
                    "The copy {what} waits until {moment} for the approval of a second person.",
                    what=what,
                    moment=moment,
                )
            else:
                words = t(
                    "Of the copies {what}, {waiting} of {n} wait until {moment} for the approval of a second "
                    "person.",
                    what=what,
                    waiting=t.number(run.count(waiting)),
                    n=n,
                    moment=moment,
                )
            said = [words, plain(request_text(waiting[0], t))]
        case _:
            subject, tone = t("Cancelled: {what}", what=what), Tone.WARNING
            if is_one:
                said = [t("The copy {what} was cancelled.", what=what)]
            else:
                words = t("The copies {what} were cancelled.", what=what)
                said = [f"{words} {_what_is_proven(run, t)}"]
    parts = [(plain(sanitized(part_of(run, part))), _part(part, t)) for part in run.parts]
    return _made(subject, tone, said, [*_facts_of_run(run, t), *parts], t, link=link)


def _what_is_proven(run: RunView, t: Translator) -> str:
    if not run.completed:
        return t("None of them was completed.")
    return t("In consulta, and compared on both sides: {n}.", n=t.number(run.count(run.completed)))


def _part(job: JobView | RunView, t: Translator) -> str:
    """How one of its jobs is, or the set of one of its liquidations, in one line."""
    if isinstance(job, RunView):
        failed = [plain(line.removeprefix("❌ ")) for line in set_progress.failures(job, t)]
        rows = t.rows(sum(each.total or 0 for each in job.completed)) if job.completed else ""
        return " · ".join(filter(None, [state_of(job, t), rows, *failed]))
    number = t("job {id}", id=job.id)
    if job.status is Status.COMPLETED:
        return f"{t.rows(job.total or 0)} · {time_taken(job, t)} · {number}"
    if job.status is Status.FAILED:
        words = explained(job.error, t)
        return f"{state(job, t)} · {plain(words.what)} {plain(words.step)} · {number}"
    return f"{state(job, t)} · {number}"


def _facts_of_run(run: RunView, t: Translator) -> Facts:
    facts = [(t("Requested by"), plain(bare_name(run.requester)))]
    by = next((job.approval_by for job in run.jobs if job.approval is Approval.APPROVED), None)
    if by is not None:
        facts.append((t("Approved by"), plain(bare_name(by))))
    reason = next((job.approval_reason for job in run.jobs if job.approval_reason), None)
    said = ((t("Why"), run.jobs[0].request_reason), (t("Why it was approved"), reason))
    facts += [(label, cut(words, REASON_LIMIT)) for label, words in said if words]
    if run.completed:
        facts += [
            (t("Inserted"), t.number(sum(job.inserted for job in run.completed))),
            (t("Updated"), t.number(sum(job.updated for job in run.completed))),
            (t("Deleted"), t.number(sum(job.deleted for job in run.completed))),
            (t("Unchanged"), t.number(sum(job.unchanged for job in run.completed))),
        ]
    moments = {job.as_of for job in run.completed}
    if run.is_one_set and len(moments) == 1 and (moment := moments.pop()) is not None:
        facts.append((t("Data of prod as of"), t.moment(moment)))
    return [*facts, (t("Run"), str(run.id))]


def trial(t: Translator) -> Notification:
    """What somebody sends to see whether it arrives."""
    words = t("`traspaso doctor --send` has sent this. Nothing has to be done.")
    return _made(t("A test"), Tone.INFO, [plain(words)], [], t)


def no_worker(since: datetime | None, t: Translator) -> Notification:
    """Nobody takes copies, since the last worker lived; None where there never was one."""
    words = plain(nobody_works(NoWorker(since), t))
    return _made(t("No worker is alive"), Tone.FAILURE, [words], [], t)


def worker_back(at: datetime, t: Translator) -> Notification:
    """Somebody takes copies again, as was seen at that moment."""
    words = t("A worker was alive again at {moment}: copies go on.", moment=t.moment(at))
    return _made(t("A worker is alive again"), Tone.SUCCESS, [words], [], t)


def drift(copy: str, detail: NotificationDetail, t: Translator, link: str | None = None) -> Notification:
    """Prod has moved on since liquidations were copied; ``copy`` is what messages call it."""
    numbers = [str(each) for each in detail.liquidations or [detail.liquidation_id or "?"]]
    if more := detail.more:
        numbers.append(t.plural("and {n} more", "and {n} more", more))
    words = [
        t("Prod has moved on since “{copy}” was copied of these liquidations:", copy=copy)
        + f" {', '.join(numbers)}.",
        t("Consulta holds what prod held then. Copy them again where that is needed."),
    ]
    return _made(
        t("Prod has moved on since the copy “{copy}”", copy=copy),
        Tone.WARNING,
        words,
        _facts_of(detail, t),
        t,
        link=link,
    )


def missed_schedule(copy: str, detail: NotificationDetail, t: Translator) -> Notification:
    """A scheduled copy was not started; arguments as of `drift`."""
    what = _what(copy, detail, t)
    words = [t("The scheduled copy {what} was not started, and isn't made up for.", what=what)]
    return _made(
        t("A scheduled copy was missed: {what}", what=what), Tone.WARNING, words, _facts_of(detail, t), t
    )


def _why_cancelled(job: JobView, t: Translator) -> str:
    if reason := no_approval_reason(job, t):
        return f"{_with_names(plain(reason), job)}."
    if job.stopped_by is not None:
        user = plain(bare_name(job.stopped_by))
        return t(
            "Cancelled by {user}: what was in place stays, the rest was not copied",
            user=user,
        )
    return t("Cancelled: what was in place stays, the rest was not copied")


def _facts(job: JobView, t: Translator) -> Facts:
    facts = [(t("Requested by"), plain(bare_name(requester(job))))]
    if job.approval is Approval.APPROVED and job.approval_by is not None:
        facts.append((t("Approved by"), plain(bare_name(job.approval_by))))
    said = ((t("Why"), job.request_reason), (t("Why it was approved"), job.approval_reason))
    facts += [(label, cut(reason, REASON_LIMIT)) for label, reason in said if reason]
    if job.status is Status.COMPLETED:
        facts += [
            (t("Inserted"), t.number(job.inserted)),
            (t("Updated"), t.number(job.updated)),
            (t("Deleted"), t.number(job.deleted)),
            (t("Unchanged"), t.number(job.unchanged)),
        ]
        if job.moved:
            facts.append((t("Taken over from other liquidations"), t.number(job.moved)))
        facts.append((t("Time"), time_taken(job, t)))
    if job.as_of is not None and job.status is Status.COMPLETED:
        facts.append((t("Data of prod as of"), t.moment(job.as_of)))
    facts += [
        (label, digest)
        for label, digest in (
            (t("Digest in prod"), job.source_digest),
            (t("Digest in consulta"), job.target_digest),
        )
        if digest
    ]
    if n := shown_attempt(job):
        facts.append((t("Attempt"), t.number(n)))
    facts += [(t("Table"), job.target_table), (t("Job"), str(job.id))]
    return facts


def _facts_of(detail: NotificationDetail, t: Translator) -> Facts:
    found = [(t("Schedule"), detail.schedule)] if detail.schedule else []
    moments = ((t("Due at"), detail.due_at), (t("Since"), detail.since))
    return found + [(label, t.moment(moment)) for label, moment in moments if moment is not None]


def _what(copy: str, detail: NotificationDetail, t: Translator) -> str:
    return of_liquidation(copy, detail.liquidation_id, t) if detail.liquidation_id else f"“{copy}”"


def _with_names(text: str, job: JobView) -> str:
    """Where Slack would show a mention, a mail has the person's name."""
    people: list[Person | None] = [requester(job), job.approval_by, job.stopped_by]
    for person in filter(None, people):
        text = text.replace(f"<@{person.id}>", person.name)
    return text


def _harmless(text: str) -> str:
    """In one line, and nothing in it alerts everybody where the destination is a chat."""
    return _EVERYBODY.sub("＠", one_line(text).translate(_LOOK_ALIKE))


def _made(
    subject: str,
    tone: Tone,
    said: Sequence[str],
    facts: Facts,
    t: Translator,
    *,
    link: str | None = None,
) -> Notification:
    paragraphs = [_harmless(each) for each in said if each]
    pairs = [(label, _harmless(value)) for label, value in facts]
    text = list(paragraphs)
    html = [f"<p>{escape(each)}</p>" for each in paragraphs]
    if pairs:
        text.append("\n".join(f"{label}: {value}" for label, value in pairs))
        lines = (f"<b>{escape(label)}:</b> {escape(value)}" for label, value in pairs)
        html.append("<p>{}</p>".format("<br>\n".join(lines)))
    if link:
        text.append(t("The card in Slack: {link}", link=link))
        anchor = f'<a href="{escape(link)}">{escape(link)}</a>'
        line = escape(t("The card in Slack: {link}", link="\x00")).replace("\x00", anchor)
        html.append(f"<p>{line}</p>")
    body = "\n".join(html)
    subject = cut(one_line(t("Traspaso: {subject}", subject=subject)), SUBJECT_LIMIT)
    page = f'<div lang="{t.language}">\n{body}\n</div>'
    return Notification(subject, "\n\n".join(text), page, tone)

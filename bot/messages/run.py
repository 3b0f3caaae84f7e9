"""A run as the channel sees it: the jobs of one press on one card, with the buttons that fit its state, and
one reply at the end.

Rendered from a view alone, as a job's card is. Slack's ``plan`` block shows the jobs as tasks; where Slack
takes none, lines of text say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bot.i18n import Translator
from bot.jobs.models import Status
from bot.jobs.outbox import MessageKind
from bot.jobs.view import MOST_TELLING, JobView, RunView, answered
from bot.messages import set_progress
from bot.messages.answers import noted, to_card
from bot.messages.blocks import (
    COPY_COMMAND,
    STATUS_COMMAND,
    Block,
    Dialog,
    Message,
    View,
    actions,
    ask_for,
    at,
    bar,
    bare_name,
    button,
    card_will_appear,
    context,
    cut,
    data_of,
    escaped,
    frozen_by,
    header,
    mention,
    move_reason,
    moved_line,
    nobody_works,
    of_liquidation,
    plain,
    plan,
    read_out,
    sanitized,
    section,
    sentence,
    task_card,
)
from bot.messages.card import (
    activity,
    asked_by,
    cancel_button,
    progress,
    reasons,
    shown_attempt,
    sign,
    state,
    time_taken,
)
from bot.messages.failure_texts import explained
from bot.messages.question import (
    approval_given,
    approval_request,
    approved_by,
    asking_why,
    confirm_removal,
    possible_approvers,
    question_text,
    reminder,
    said_why,
    surplus,
    why_field,
)

PAUSE_ACTION = "run.pause"
RESUME_ACTION = "run.resume"
CANCEL_ACTION = "run.cancel"
RETRY_ACTION = "run.retry"
CONFIRM_ACTION = "run.confirm"
START_NOW_ACTION = "run.start_now"
#: Whoever presses it gets a direct message when the run ends; and takes that back.
TELL_ACTION, UNTELL_ACTION = "run.tell", "run.untell"
APPROVE_ACTION, REJECT_ACTION = "run.approve", "run.reject"
#: The modals that ask why.
APPROVE_CALLBACK, REJECT_CALLBACK = "run.approve.why", "run.reject.why"

#: So many lines of text fit into one section, however long each is.
LINES_TOGETHER = 10
LINE_LIMIT, TASK_LIMIT, TITLE_LIMIT = 280, 400, 120
#: An entry of a list shows so many of its parts, and says how many more there are.
PARTS_SHOWN = 8

TASK_STATES = {
    Status.PENDING: "pending",
    Status.RUNNING: "in_progress",
    Status.PAUSED: "pending",
    Status.COMPLETED: "complete",
    Status.FAILED: "error",
    Status.CANCELLED: "error",
}

# -- What it is called


def together(numbers: Iterable[int]) -> str:
    """``40-45, 47``: as it can be typed."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    # Two in a row are no range that reads well.
    words = (f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts)
    return ", ".join(words)


def title_of(run: RunView, t: Translator) -> str:
    """What heads a run. Plain text."""
    if run.is_one_set:
        liquidation = t("Liquidation {id}", id=run.liquidations[0])
        return f"{liquidation} · {run.set_shown}"
    ids = cut(together(run.liquidations), TITLE_LIMIT)
    liquidations = t("Liquidations {ids}", ids=ids)
    return f"{liquidations} · {run.set_shown or run.jobs[0].copy_shown}"


def copied(run: RunView, t: Translator) -> str:
    """What the run copies, for mrkdwn."""
    if run.is_one_set:
        return of_liquidation(sanitized(run.set_shown or ""), run.liquidations[0], t)
    return of_liquidations(sanitized(run.set_shown or run.jobs[0].copy_shown), run.liquidations, t)


def of_liquidations(copy: str, numbers: Sequence[int], t: Translator) -> str:
    """``“Items” of liquidations 40-45``."""
    return t("“{copy}” of liquidations {ids}", copy=copy, ids=cut(together(numbers), TITLE_LIMIT))


#: What a run's card has a line for: a job, or the set of one of several liquidations.
Part = JobView | RunView


def part_of(run: RunView, part: Part) -> str:
    """What a part of it is called, or one of its jobs: its liquidation; in a set its copy. Plain text."""
    job = part.jobs[0] if isinstance(part, RunView) else part
    if run.is_one_set:
        return job.copy_shown
    named = f"{job.liquidation_id} · {job.label}" if job.label else str(job.liquidation_id)
    return named if isinstance(part, RunView) or run.set_name is None else f"{named} · {job.copy_shown}"


def _state(part: Part, t: Translator) -> str:
    return state_of(part, t) if isinstance(part, RunView) else state(part, t)


# -- How far it is


def done(run: RunView, t: Translator) -> str:
    """``62 % · 124,000 of 200,000 rows · 3 of 6 copies``."""
    rows = t.plural("{done} of {n} row", "{done} of {n} rows", run.total, done=t.number(run.copied))
    return f"{t.percent(run.fraction)} · {rows} · {copies(run, t)}"


def copies(run: RunView, t: Translator) -> str:
    """``3 of 6 copies``: those that are completed; of a set the tables that are in place."""
    if run.is_one_set:
        return set_progress.tables(run, t)
    done = sum(part.status is Status.COMPLETED for part in run.parts)
    return t.plural("{done} of {n} copy", "{done} of {n} copies", len(run.parts), done=t.number(done))


def states(run: RunView, t: Translator) -> str:
    """How many of its parts are in which state: ``running: 2 · waiting: 4``."""
    found = Counter(_state(part, t) for part in run.parts)
    return " · ".join(f"{words}: {t.number(n)}" for words, n in found.items())


def state_of(run: RunView, t: Translator) -> str:
    """The run's state in one to three words."""
    if not run.is_live:
        if len(run.completed) == len(run.jobs):
            return t("completed")
        return t("failed") if run.failed else t("cancelled")
    for job in (*run.waiting_for_approval, *run.waiting_for_confirmation):
        return state(job, t)
    order = (Status.RUNNING, Status.PENDING, Status.PAUSED)
    return state(min(run.live, key=lambda job: order.index(job.status)), t)


def _sign(run: RunView) -> str:
    if not run.is_live:
        return "✅" if len(run.completed) == len(run.jobs) else "❌" if run.failed else "🚫"
    if any(job.status is Status.RUNNING for job in run.live):
        return "▶️"
    return sign(run.live[0])


# -- The card


def card(run: RunView, t: Translator) -> Message:
    """The pinned message of a run."""
    title = title_of(run, t)
    moved = moved_line(run, t)
    outside = t("This channel is shared with another organisation, which reads this too.")
    head = [
        header(f"{_sign(run)} {title}"),
        section(f"{bar(run.fraction)} {done(run, t)}"),
        context(set_progress.doing(run, t) if run.is_one_set else states(run, t)),
        *_waits(run, t),
    ]
    tail = [
        context(_about(run, t)),
        *([context(why)] if (why := reasons(_reasoned(run), t)) else []),
        *([context(moved)] if moved else []),
        *([context(f"🌐 {outside}")] if run.is_read_outside else []),
        *buttons_for(run, t),
    ]
    tasks = [_task(run, part, t) for part in run.parts]
    text = f"{escaped(cut(title, 200))}: {state_of(run, t)}, {done(run, t)}"
    return Message(
        text,
        [*head, plan(copies(run, t), tasks), *tail],
        fallback=[*head, *in_sections([_line(run, part, t) for part in run.parts]), *tail],
    )


def _waits(run: RunView, t: Translator) -> list[Block]:
    """What keeps it: an approval, a question, a freeze, or that nobody works."""
    found = []
    if waiting := run.waiting_for_approval:
        n = t.plural("{n} copy waits for approval.", "{n} copies wait for approval.", run.count(waiting))
        if run.is_one_set:
            n = t("The set waits for approval, because of: {tables}.", tables=_parts(run, waiting))
        request = approval_request(waiting[0], t)
        if run.begins_at is not None and not run.planned:
            request += " · " + t("begins {moment}", moment=at(run.begins_at, t))
        found.append(section(f"👥 {n} {request}"))
    if run.planned and run.begins_at is not None:
        found.append(section(f"⏰ {t('Begins {moment}', moment=at(run.begins_at, t))}"))
    if asking := run.asking:
        lines = [f"• *{escaped(part_of(run, job))}*: {_question(job, t)}" for job in asking]
        found += in_sections([f"❓ {_answerer(run, t)}", *(cut(line, 2 * LINE_LIMIT) for line in lines)], 5)
    live = next(iter(run.live), None)
    if run.is_one_set:  # what it does says the rest
        return found
    if live is not None and live.freeze is not None:
        found.append(section(f"🧊 {frozen_by(live.freeze, t)}"))
    waits = next((job for job in run.live if job.waits_for_a_worker), None)
    if waits is not None and waits.no_worker is not None:
        found.append(section(f"⚠️ {nobody_works(waits.no_worker, t)}"))
    return found


def _answerer(run: RunView, t: Translator) -> str:
    if run.waiting_for_confirmation:
        return t("Waiting for confirmation by {user}", user=mention(run.requester))
    return t("Other numbers than were shown:")


def _question(job: JobView, t: Translator) -> str:
    return question_text(job.question, t) if job.question else ""


def _task(run: RunView, job: Part, t: Translator) -> Block:
    if isinstance(job, RunView):
        status, words = _of_set(run, job, t)
        title, details = cut(part_of(run, job), TITLE_LIMIT), cut(plain(words), TASK_LIMIT)
        return task_card(f"liquidation-{job.liquidations[0]}", title, status, details=details)
    number = t("job {id}", id=job.id)
    if run.is_one_set:
        status, words = set_progress.table(run, job, t)
        title = cut(f"{part_of(run, job)} · {number}", TITLE_LIMIT)
        return task_card(f"job-{job.id}", title, status, details=cut(words, TASK_LIMIT))
    return task_card(
        f"job-{job.id}",
        cut(f"{part_of(run, job)} · {number}", TITLE_LIMIT),
        TASK_STATES[job.status],
        details="" if job.status is Status.COMPLETED else cut(_so_far(job, t), TASK_LIMIT),
        output=_result(job, t) if job.status is Status.COMPLETED else "",
    )


def _line(run: RunView, job: Part, t: Translator) -> str:
    """The same as a line of mrkdwn."""
    if isinstance(job, RunView):
        status, words = _of_set(run, job, t)
        return cut(f"{set_progress.SIGNS[status]} *{sanitized(part_of(run, job))}* · {words}", LINE_LIMIT)
    if run.is_one_set:
        status, words = set_progress.table(run, job, t)
        mark = set_progress.SIGNS[status]
        return cut(f"{mark} *{sanitized(part_of(run, job))}* · {escaped(words)}", LINE_LIMIT)
    words = _result(job, t) if job.status is Status.COMPLETED else _so_far(job, t)
    return cut(f"{sign(job)} *{sanitized(part_of(run, job))}* · {escaped(words)}", LINE_LIMIT)


def _of_set(run: RunView, own: RunView, t: Translator) -> tuple[str, str]:
    """Of the set of one of several liquidations: the state of its task, and how far it is, in mrkdwn.

    What each of its tables is in follows where there is room: of all, or of those that are in hand.
    """
    status = TASK_STATES[own.status]
    if status == "complete":
        rows = t.rows(sum(job.total or 0 for job in own.jobs))
        return status, f"{rows} · {set_progress.tables(own, t)} · {time_taken(own.jobs[0], t)}"
    words = [set_progress.tables(own, t), set_progress.doing(own, t)]
    begun = any(job.total is not None for job in own.jobs)
    if begun:
        words.insert(0, t.percent(own.fraction))
    if begun and own.is_live and len(run.parts) <= PARTS_SHOWN:
        words += [escaped(f"{job.copy_shown}: {set_progress.table(own, job, t)[1]}") for job in own.jobs]
    return status, " · ".join(words)


def _result(job: JobView, t: Translator) -> str:
    """``124,000 rows · 12 s``, of a completed job."""
    return f"{t.rows(job.total or 0)} · {time_taken(job, t)}"


def _so_far(job: JobView, t: Translator) -> str:
    """How far a job is, and what it does, waits for or failed of. Plain text."""
    if job.waits_for_somebody or job.waits_for_its_time:  # for whom, until when, and why, stands above
        return state(job, t)
    words = plain(activity(job, t, bare_name))
    if job.total is None:
        return f"{state(job, t)} · {words}"
    seconds = f" · {t.duration(job.seconds)}" if job.seconds is not None else ""
    return f"{progress(job, t)}{seconds} · {words}"


def _about(run: RunView, t: Translator) -> str:
    parts = [asked_by(run.jobs[0], t), t("run {id}", id=run.id)]
    if run.is_one_set:
        parts += [words for job in run.jobs if (words := approved_by(job, t))][:1]
        if n := max((shown_attempt(job) or 0 for job in run.jobs), default=0):
            parts.append(t("attempt {n}", n=n))
        if len(moments := {job.as_of for job in run.jobs if job.as_of}) == 1:
            parts.append(data_of(moments.pop(), t))
    return " · ".join(parts)


def _reasoned(run: RunView) -> JobView:
    """The job that has the most to say about why."""
    return next((job for job in run.jobs if job.approval_reason), run.jobs[0])


def _parts(run: RunView, parts: Sequence[Part]) -> str:
    """What these are called, in mrkdwn, the first of many."""
    return ", ".join(sanitized(part_of(run, part)) for part in parts[:PARTS_SHOWN])


def in_sections(lines: Sequence[str], most: int = LINES_TOGETHER) -> list[Block]:
    """Lines of mrkdwn, so many in one section."""
    parts = [lines[start : start + most] for start in range(0, len(lines), most)]
    return [section("\n".join(part)) for part in parts]


# -- The buttons


def buttons_for(run: RunView, t: Translator) -> list[Block]:
    """One row of buttons, each for all jobs that it fits; its value is the run's number.

    An answer to a question or for an approval counts for the numbers that were shown: they are in its value.
    """
    row: list[Block] = []
    if run.waiting_for_approval:
        row += approval_buttons(run, t)
    if asking := run.waiting_for_confirmation:
        words = t("Copy {n} all the same", n=t.number(run.count(asking)))
        if run.is_one_set:
            words = t("Copy all the same")
        row.append(_answer(run, asking, words, CONFIRM_ACTION, t))
    if run.planned:
        row.append(button(t("Start now"), START_NOW_ACTION, str(run.id)))
    may_pause = [
        job
        for job in run.live
        if not job.waits_for_somebody and not job.waits_for_its_time and job.stop_requested is None
    ]
    may_pause = [job for job in may_pause if job.id not in _held_up(run, may_pause)]
    if any(job.status is not Status.PAUSED for job in may_pause):
        row.append(button(t("Pause"), PAUSE_ACTION, str(run.id)))
    if any(job.status is Status.PAUSED or job.stop_requested is not None for job in run.live):
        row.append(button(t("Resume"), RESUME_ACTION, str(run.id)))
    if run.is_live:
        row.append(_cancel(run, t))
    if run.failed:
        row.append(retry(run, t))
    if run.is_live:
        row.append(button(t("Tell me"), TELL_ACTION, str(run.id)))
    return [actions(*row)] if row else []


def _held_up(run: RunView, may_pause: Sequence[JobView]) -> set[int]:
    """The live jobs of sets of which another job can't be paused: a set goes on, or waits, as one."""
    free = {job.id for job in may_pause}
    return {job.id for own in run.sets if any(job.id not in free for job in own.live) for job in own.live}


def approval_buttons(run: RunView, t: Translator) -> list[Block]:
    """*Approve* and *Reject*, for all of its jobs that wait for it."""
    waiting = run.waiting_for_approval
    n = t.number(run.count(waiting))
    yes, no = t("Approve {n}", n=n), t("Reject {n}", n=n)
    if run.is_one_set:
        yes, no = t("Approve"), t("Reject")
    return [
        _answer(run, waiting, yes, APPROVE_ACTION, t),
        button(no, REJECT_ACTION, str(run.id), style="danger"),
    ]


def retry(run: RunView, t: Translator) -> Block:
    words = t.plural("Retry {n} that failed", "Retry {n} that failed", run.count(run.failed))
    if run.is_one_set:
        words = t("Retry the set")
    return button(words, RETRY_ACTION, str(run.id), style="primary")


def _answer(run: RunView, jobs: Sequence[JobView], words: str, action_id: str, t: Translator) -> Block:
    """A button for these jobs; with a dialog where rows of consulta would be removed."""
    value = f"{run.id} {answered(jobs)}"
    removed = sum(job.question.removed for job in jobs if job.question)
    if not removed:
        return button(words, action_id, value, style="primary")
    dialog = confirm_removal(surplus(removed, t), t)
    return button(words, action_id, value, style="danger", dialog=dialog)


def _cancel(run: RunView, t: Translator) -> Block:
    if run.is_one_set:
        return cancel_button(CANCEL_ACTION, run.id, t)
    dialog = Dialog(
        t("Cancel these copies?"),
        t(
            "All that haven't ended are cancelled. What is in place in consulta stays there, and the rest is "
            "not copied."
        ),
        t("Cancel the copies"),
        t("Let them go on"),
    )
    return button(t("Cancel"), CANCEL_ACTION, str(run.id), style="danger", dialog=dialog)


def pressed(value: str) -> tuple[str, str]:
    """The run's number as it was written, and what stands for the numbers that the button showed."""
    number, _, shown = value.partition(" ")
    return number, shown


# ----------------------------------------------------------------------------
# The reply: it mentions the requester, and says what is done and what isn't


def reply(run: RunView, t: Translator) -> Message:
    """What the requester is told when the last job has ended."""
    if run.is_one_set:
        return _reply_of_set(run, t)
    who, what = mention(run.requester), copied(run, t)
    rows = sum(job.total or 0 for job in run.completed)
    names = {"mention": who, "what": what, "rows": t.rows(rows), "duration": t.duration(run.seconds)}
    left = [part for part in run.parts if part.status is not Status.COMPLETED]
    if not left:
        text = t("{mention} the copies {what} are in consulta: {rows} in {duration}, verified.", **names)
    elif run.completed:
        text = t(
            "{mention} of the copies {what} {done} of {n} are in consulta, verified: {rows} in {duration}.",
            done=t.number(len(run.parts) - len(left)),
            n=t.number(len(run.parts)),
            **names,
        )
    else:
        text = t("{mention} none of the copies {what} was completed.", **names)
    lines = [_ended(run, part, t) for part in run.parts]
    not_done = " ".join(f"{part_of(run, part)}: {_state(part, t)}." for part in left)
    blocks = [section(f"{_sign(run)} {text}"), *in_sections(lines), context(_receipt(run, t))]
    if run.failed:
        blocks.append(actions(retry(run, t)))
    return Message(cut(f"{text} {escaped(not_done)}".strip(), 2000), blocks)


def _reply_of_set(run: RunView, t: Translator) -> Message:
    """All tables are in consulta; or which one failed and why, what is in place, and what to do, once."""
    names = {"mention": mention(run.requester), "what": copied(run, t)}
    lines, failed = [], set_progress.blamed(run)
    if len(run.completed) == len(run.jobs):
        as_of = run.jobs[0].as_of
        text = t(
            "{mention} {what} is in consulta: {rows} in {tables} in {duration}, verified, {as_of}.",
            as_of=data_of(as_of, t) if as_of else "",
            rows=t.rows(sum(job.total or 0 for job in run.jobs)),
            tables=set_progress.tables(run, t),
            duration=time_taken(run.jobs[0], t),
            **names,
        )
        lines = [_line(run, job, t) for job in run.jobs]
        blocks = [section(f"✅ {text}"), *in_sections(lines), context(_receipt(run, t))]
        return Message(cut(read_out(text), 2000), blocks)
    if failed:
        tables = sanitized(set_progress.names_of(failed), 200)
        text = t("{mention} {what} was not copied whole. Failed: {tables}.", tables=tables, **names)
        lines = [cut(line, 2 * LINE_LIMIT) for line in set_progress.failures(run, t)]
    else:
        ended = next((job for job in run.jobs if job.status is Status.CANCELLED), run.jobs[0])
        text = t("{mention} {what} was not copied whole. {reason}.", reason=activity(ended, t), **names)
    standing = set_progress.standing(run, t)
    hint = t("When it is copied again, what is in place is compared, and not written again.")
    hint += "" if run.failed else f" {ask_again(run, t)}"
    read = read_out(" ".join([text, *lines, escaped(standing), hint]))
    blocks = [
        section(f"{_sign(run)} {text}"),
        *in_sections(lines, 5),
        section(escaped(standing)),
        context(hint),
        context(_receipt(run, t)),
        *([actions(retry(run, t))] if run.failed else []),
    ]
    return Message(cut(read, 2000), blocks)


def follower_message(run: RunView, link: str | None, t: Translator) -> Message:
    """The direct message to somebody who wanted to be told how the run ends."""
    what = copied(run, t)
    if run.is_one_set:
        sentence = t("You wanted to be told: the copy {what} is {state}.", what=what, state=state_of(run, t))
    else:
        sentence = t(
            "You wanted to be told: the copies {what} have ended: {states}.", what=what, states=states(run, t)
        )
    lines = [_ended(run, part, t) for part in _most_telling(run)[:PARTS_SHOWN]]
    if (more := len(run.parts) - PARTS_SHOWN) > 0:
        lines.append(t.plural("and {n} more", "and {n} more", more))
    where = t("<{link}|Its card>", link=link) if link else ask_for(run.jobs[0].id, t)
    return Message(
        sentence, [section(f"{_sign(run)} {sentence}"), *in_sections(lines), context(_about(run, t), where)]
    )


def _ended(run: RunView, job: Part, t: Translator) -> str:
    """How one of them ended, with what to do where it failed."""
    if isinstance(job, RunView):
        return _set_ended(run, job, t)
    name = f"{sign(job)} *{sanitized(part_of(run, job))}*"
    if job.status is Status.COMPLETED:
        as_of = f" · {data_of(job.as_of, t)}" if job.as_of and not run.is_one_set else ""
        return cut(f"{name} · {_result(job, t)}{as_of}", LINE_LIMIT)
    if job.status is Status.FAILED:
        words = explained(job.error, t)
        return cut(f"{name} · {words.what} {words.step}", LINE_LIMIT)
    return cut(f"{name} · {activity(job, t)}", LINE_LIMIT)


def _set_ended(run: RunView, own: RunView, t: Translator) -> str:
    """The same of the set of one of several liquidations."""
    status, words = _of_set(run, own, t)
    line = f"{set_progress.SIGNS[status]} *{sanitized(part_of(run, own))}* · "
    if status == "complete":
        as_of = f" · {data_of(own.jobs[0].as_of, t)}" if own.jobs[0].as_of else ""
        return cut(f"{line}{words}{as_of}", LINE_LIMIT)
    if failed := set_progress.failures(own, t):
        return cut(
            f"{line}{failed[0].removeprefix('❌ ')} {escaped(set_progress.standing(own, t))}", 2 * LINE_LIMIT
        )
    return cut(f"{line}{words}", LINE_LIMIT)


def _receipt(run: RunView, t: Translator) -> str:
    """What was done to consulta by all of them."""
    found = run.jobs
    parts = [
        t("inserted {rows}", rows=t.number(sum(job.inserted for job in found))),
        t("updated {rows}", rows=t.number(sum(job.updated for job in found))),
        t("deleted {rows}", rows=t.number(sum(job.deleted for job in found))),
        t("unchanged {rows}", rows=t.number(sum(job.unchanged for job in found))),
        t("run {id}", id=run.id),
        t("jobs {ids}", ids=together(job.id for job in found)),
    ]
    return " · ".join(parts)


def moved_away(run: RunView, t: Translator) -> Message:
    """What stays of the card in the channel that it had to leave while the run goes on."""
    text = t(
        "The copies {what} go on in a direct message with {user}.",
        what=copied(run, t),
        user=mention(run.requester),
    )
    if run.is_one_set:
        names = {"what": copied(run, t), "user": mention(run.requester)}
        text = t("The copy {what} goes on in a direct message with {user}.", **names)
    reason = t("Because {reason}.", reason=move_reason(run.moved_from, t)) if run.moved_from else ""
    return Message(text, [section(f"↪️ {text}"), context(reason, t("run {id}", id=run.id))])


# -- Replies before the end: a question, an approval


def question_reply(run: RunView, t: Translator) -> Message:
    """To whoever has to answer: which of them ask again, and where the button is."""
    asking = run.asking
    others = ", ".join(asking[0].approvers[:10]) if asking[0].waits_for_approval else ""
    parts = ", ".join(sanitized(part_of(run, job)) for job in asking[:PARTS_SHOWN])
    if (more := len(asking) - PARTS_SHOWN) > 0:
        parts += ", " + t.plural("and {n} more", "and {n} more", more)
    text = t(
        "{mention} of the copies {what} these ask again: {parts}.",
        mention=others or mention(run.requester),
        what=copied(run, t),
        parts=parts,
    )
    if run.is_one_set:
        names = {"mention": others or mention(run.requester), "what": copied(run, t), "tables": parts}
        text = t("{mention} the copy {what} asks again, because of: {tables}.", **names)
    hint = t("What was shown, what is there now and the button are on the card, above.")
    return Message(f"{text} {hint}", [section(f"❓ {text}"), context(hint)])


def approval_reminder(run: RunView, kind: MessageKind, t: Translator) -> Message:
    """To those who may approve: that copies still wait. To a second group: that they may approve now."""
    waiting = run.waiting_for_approval
    job = waiting[0]
    who = ", ".join(job.approvers[:10]) or t("those who may copy")
    if kind is MessageKind.SECOND_GROUP and job.approvers:
        who = job.approvers[-1]

    def said(moment: str) -> str:
        if run.is_one_set:
            names = {"mention": who, "what": copied(run, t), "moment": moment}
            return t("{mention} the copy {what} still waits for approval, until {moment}.", **names)
        return t(
            "{mention} of the copies {what} {n} wait for approval, until {moment}.",
            mention=who,
            what=copied(run, t),
            n=t.number(run.count(waiting)),
            moment=moment,
        )

    return reminder(said, job, t)


def approval_reply(run: RunView, t: Translator) -> Message:
    """To the requester, at once: somebody approved them."""
    job = next(job for job in run.jobs if job.approval_by is not None)
    return approval_given(job, copied(run, t), t, several=not run.is_one_set)


# ----------------------------------------------------------------------------
# Answers to a press


def requested(
    run: RunView, taken: Sequence[JobView], links: Mapping[int, str], link: str | None, t: Translator
) -> Message:
    """What a press has become: the run, and the live jobs that were there already."""
    n = t.plural("{n} copy", "{n} copies", len(run.parts))
    if run.is_one_set:
        n = t.plural("{n} table", "{n} tables", len(run.jobs))
    names = {"what": copied(run, t), "n": n, "id": run.id}
    if run.begins_at is None:
        text = t("Requested: {what}, {n}, run {id}.", **names)
    else:
        text = t(
            "Planned: {what}, {n}, run {id}. They begin {moment}, and can be cancelled until then.",
            moment=at(run.begins_at, t),
            **names,
        )
    card_is = to_card(link, t) or card_will_appear(run.channel_id, t)
    lines = _each_taken(taken, links, t)
    said = in_sections(lines)
    return Message(
        " ".join(map(read_out, [text, *lines])),
        [section(text), *said, *([context(card_is)] if card_is else [])],
    )


def all_taken(taken: Sequence[JobView], links: Mapping[int, str], t: Translator) -> Message:
    """Each of them is under way already: nothing new was started."""
    text = t("All of them are under way already, so nothing new was started.")
    lines = _each_taken(taken, links, t)
    return Message(" ".join(map(read_out, [text, *lines])), [section(text), *in_sections(lines)])


def set_under_way(run: RunView, link: str | None, t: Translator) -> Message:
    """The same set, or another one of the same tables, is being copied already, by somebody's press."""
    text = t(
        "Nothing was started: {what} is under way already, run {id}, {state}, requested by {user}.",
        what=copied(run, t),
        id=run.id,
        state=state_of(run, t),
        user=mention(run.requester),
    )
    return sentence(text, hint=to_card(link, t) or ask_for(run.jobs[0].id, t))


def _each_taken(taken: Sequence[JobView], links: Mapping[int, str], t: Translator) -> list[str]:
    """A line for each liquidation: of the first of its jobs."""
    first = {job.liquidation_id: job for job in reversed(taken)}
    return [_taken(first[number], links, t) for number in sorted(first)]


def _taken(job: JobView, links: Mapping[int, str], t: Translator) -> str:
    number = t("job {id}", id=job.id)
    shown = f"<{links[job.id]}|{number}>" if job.id in links else number
    return t(
        "{liquidation} is under way already: {job}, {state}.",
        liquidation=job.liquidation_id,
        job=shown,
        state=state(job, t),
    )


def requested_blindly(run_id: int, t: Translator) -> Message:
    """The run was created, and an error kept us from reading it since."""
    hint = t("`{command}` lists the latest ones.", command=STATUS_COMMAND)
    return sentence(t("Requested: run {id}.", id=run_id), hint=hint)


def done_blindly(run_id: int, t: Translator) -> Message:
    """A press was recorded, and an error kept us from reading the run since."""
    hint = t("`{command}` lists the latest ones.", command=STATUS_COMMAND)
    return sentence(t("Done for run {id}; how it is now couldn't be read.", id=run_id), hint=hint)


def pressed_before(run: RunView, link: str | None, t: Translator) -> Message:
    text = t("You pressed this before: it became run {id}, {state}.", id=run.id, state=state_of(run, t))
    return sentence(text, hint=to_card(link, t) or ask_for(run.jobs[0].id, t))


def unknown_run(number: str, t: Translator) -> Message:
    return sentence(
        t("There is no run {id}.", id=sanitized(number, 20)),
        hint=t("`{command}` lists the latest ones.", command=STATUS_COMMAND),
    )


def not_now(run: RunView, link: str | None, t: Translator) -> Message:
    """The button doesn't fit any of its jobs any more."""
    text = t(
        "Nothing was changed: of run {id} nothing is in a state for that. {states}.",
        id=run.id,
        states=states(run, t),
    )
    return sentence(text, hint=to_card(link, t))


def not_yours(run: RunView, t: Translator) -> Message:
    return sentence(t("Only {user}, who asked for it, can confirm that.", user=mention(run.requester)))


def stale(run: RunView, link: str | None, t: Translator) -> Message:
    """The button showed other numbers than those that are asked about by now."""
    text = t(
        "The card of run {id} asks about other numbers by now, so nothing was changed. Look again.", id=run.id
    )
    return sentence(text, hint=to_card(link, t))


def shown_alone(run: RunView, link: str | None, t: Translator) -> Message:
    """The run as an answer to one person: its card, and a link to the original."""
    message = card(run, t)
    way = [context(where)] if (where := to_card(link, t)) else []
    fallback = [*message.fallback, *way] if message.fallback is not None else None
    return Message(message.text, [*message.blocks, *way], fallback=fallback)


def will_be_told(run: RunView, t: Translator, *, before: bool) -> Message:
    """To whoever pressed *Tell me*; ``before``: they had pressed it already."""
    what = copied(run, t)
    if run.is_one_set:
        text = noted(what, t, before=before)
    elif before:
        text = t(
            "It is noted already: you get a direct message when all copies {what} have ended.", what=what
        )
    else:
        text = t("Noted: you get a direct message when all copies {what} have ended.", what=what)
    back = button(t("Don't tell me"), UNTELL_ACTION, str(run.id))
    return Message(text, [section(text), actions(back)])


def wont_be_told(run: RunView, t: Translator) -> Message:
    """To whoever took that back."""
    what = copied(run, t)
    if run.is_one_set:
        return sentence(t("Taken back: you get no direct message when the copy {what} ends.", what=what))
    return sentence(t("Taken back: you get no direct message when the copies {what} end.", what=what))


def approved(run: RunView, n: int, t: Translator) -> Message:
    words = t.plural("{n} copy", "{n} copies", n)
    if run.is_one_set:
        return sentence(t("Approved: {what}, run {id}.", id=run.id, what=copied(run, t)))
    return sentence(t("Approved: {n} of run {id}, {what}.", n=words, id=run.id, what=copied(run, t)))


def rejected(run: RunView, n: int, t: Translator) -> Message:
    words = t.plural("{n} copy", "{n} copies", n)
    if run.is_one_set:
        return sentence(t("Rejected: {what}, run {id}.", id=run.id, what=copied(run, t)))
    return sentence(t("Rejected: {n} of run {id}, {what}.", n=words, id=run.id, what=copied(run, t)))


def too_late(run: RunView, link: str | None, t: Translator) -> Message:
    """Nothing of it waits for an approval any more."""
    text = t("Of run {id} nothing waits for approval any more. {states}.", id=run.id, states=states(run, t))
    return sentence(text, hint=to_card(link, t))


def own_request(run: RunView, t: Translator) -> Message:
    """To a requester who pressed *Approve*."""
    waiting = run.waiting_for_approval
    if run.is_one_set:
        text = t("You asked for this copy, or set it going again, yourself: somebody else has to approve it.")
    else:
        text = t(
            "You asked for these copies, or set them going again, yourself: somebody else has to approve "
            "them."
        )
    return sentence(
        text,
        hint=possible_approvers(waiting[0], t) if waiting else "",
    )


def why_rejected(run: RunView, origin: str, t: Translator) -> View:
    """The modal in which somebody rejects what waits, and may say why; ``origin`` comes back with it."""
    names = {"what": copied(run, t), "user": mention(run.requester)}
    if run.is_one_set:
        what, title = t("Reject the copy {what} that {user} asked for?", **names), t("Reject copy")
    else:
        what, title = t("Reject the copies {what} that {user} asked for?", **names), t("Reject copies")
    why = why_field(t("Why? Whoever asked for it reads this.")) | {"optional": True}
    blocks, submit = [section(what), why], t("Reject")
    return asking_why(REJECT_CALLBACK, origin, title=title, submit=submit, blocks=blocks, t=t)


def why_approved(run: RunView, origin: str, t: Translator) -> View:
    """The modal in which somebody approves what waits, and says why; ``origin`` comes back with it."""
    names = {"what": copied(run, t), "user": mention(run.requester)}
    if run.is_one_set:
        what, title = t("Approve the copy {what} that {user} asked for?", **names), t("Approve copy")
    else:
        what, title = t("Approve the copies {what} that {user} asked for?", **names), t("Approve copies")
    asked = said_why(run.jobs[0].request_reason, t)
    blocks = [
        section(what),
        *([context(asked)] if asked else []),
        why_field(t("Why? The card and the receipt say it.")),
    ]
    submit = t("Approve")
    return asking_why(APPROVE_CALLBACK, origin, title=title, submit=submit, blocks=blocks, t=t)


# ----------------------------------------------------------------------------
# One entry of a list: App Home and /copy-status


def entry(run: RunView, link: str | None, t: Translator) -> str:
    """The run in a few lines of mrkdwn, with its parts."""
    name = t("Run {id}", id=run.id)
    shown = f"<{link}|{name}>" if link else name
    lines = [f"{shown} · *{copied(run, t)}* · {state_of(run, t)}", f"{bar(run.fraction)} {done(run, t)}"]
    lines += [f"• {_line(run, part, t)}" for part in _most_telling(run)[:PARTS_SHOWN]]
    if (more := len(run.parts) - PARTS_SHOWN) > 0:
        lines.append(t.plural("and {n} more", "and {n} more", more))
    return "\n".join(lines)


def short_entry(run: RunView, link: str | None, t: Translator) -> str:
    """The same in one line."""
    name = t("Run {id}", id=run.id)
    shown = f"<{link}|{name}>" if link else name
    return f"{shown} · {copied(run, t)} · {state_of(run, t)} · {done(run, t)}"


def _most_telling(run: RunView) -> list[Part]:
    """What runs, failed or waits before what is completed; where all fit, in their order."""
    if len(run.parts) <= PARTS_SHOWN:
        return list(run.parts)
    return sorted(run.parts, key=lambda part: MOST_TELLING.index(part.status))


def ask_again(run: RunView, t: Translator) -> str:
    """The command for another try."""
    ids = together(run.liquidations).replace(" ", "")
    command = f"{COPY_COMMAND} {ids} {run.set_name or run.jobs[0].copy_name}"
    return t("Ask again: `{command}`", command=command)


def failed_entry(run: RunView, link: str | None, t: Translator) -> list[Block]:
    """A run that has ended with failures, and the button that tries these again."""
    whose: Sequence[Part] = set_progress.blamed(run) if run.is_one_set else run.failed
    if run.sets and not run.is_one_set:
        whose = [own for own in run.sets if own.failed]
    failed = _parts(run, whose)
    name = t("Run {id}", id=run.id)
    shown = f"<{link}|{name}>" if link else name
    text = t(
        "{run} · {what}: {copies}. Failed: {parts}.",
        run=shown,
        what=copied(run, t),
        copies=copies(run, t),
        parts=failed,
    )
    return [section(f"❌ {text}"), actions(retry(run, t))]

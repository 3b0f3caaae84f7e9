"""One job as the channel sees it: the card, from the request to the end, with the buttons that fit its state,
and the threaded reply at the end.

Rendered from a view alone: the same view gives the same messages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bot.i18n import Translator
from bot.jobs.failure import Failure
from bot.jobs.models import Phase, Status, StopReason
from bot.jobs.view import JobView, Stretch
from bot.messages import question
from bot.messages.blocks import (
    CHART_POINTS,
    Block,
    Dialog,
    Message,
    Named,
    actions,
    ask_for,
    at,
    bar,
    button,
    code,
    context,
    copied,
    cut,
    data_of,
    escaped,
    frozen_by,
    header,
    line_chart,
    mention,
    moved_line,
    nobody_works,
    requester,
    sanitized,
    section,
    title_of,
)
from bot.messages.failure_texts import explained
from bot.messages.question import (
    REASON_LIMIT,
    approval_buttons,
    approval_request,
    approved_by,
    ask_again,
    confirm_button,
    no_approval_reason,
    said_why,
)

PAUSE_ACTION = "job.pause"
RESUME_ACTION = "job.resume"
CANCEL_ACTION = "job.cancel"
RETRY_ACTION = "job.retry"
DETAILS_ACTION = "job.details"
#: Whoever presses it gets a direct message when the job ends; and takes that back.
TELL_ACTION, UNTELL_ACTION = "job.tell", "job.untell"
START_NOW_ACTION = "job.start_now"
#: Seconds from which on a pause, or waiting, is told.
STANDSTILL = 1.0
#: Errors after which a copy waits for a server to come back.
AWAY = frozenset({"connection", "server_down", "unreachable"})

# -- The buttons


def buttons_for(job: JobView, t: Translator) -> list[Block]:
    """One row of buttons; the value of each is the job's number, with the rows that it shows if it does."""
    details = button(t("Details"), DETAILS_ACTION, str(job.id))
    tell = button(t("Tell me"), TELL_ACTION, str(job.id))
    cancel = cancel_button(CANCEL_ACTION, job.id, t)
    match job.status:
        case Status.PENDING if job.waits_for_approval:
            row = [*approval_buttons(job, t), cancel]
        case Status.PENDING if job.question is not None:
            row = [confirm_button(job, job.question, t), cancel, details]
        case Status.RUNNING if job.stop_requested is StopReason.CANCEL:
            row = [details]
        case Status.RUNNING if job.stop_requested is StopReason.PAUSE:
            row = [_resume(job, t), cancel, details]
        case Status.PENDING if job.waits_for_its_time:
            row = [button(t("Start now"), START_NOW_ACTION, str(job.id)), cancel, details]
        case Status.PENDING | Status.RUNNING:
            row = [button(t("Pause"), PAUSE_ACTION, str(job.id)), cancel, details]
        case Status.PAUSED:
            row = [_resume(job, t, style="primary"), cancel, details]
        case Status.FAILED:
            row = [retry(job, t), details]
        case _:
            row = [details]
    return [actions(*row, *([tell] if job.status.is_live else []))]


def retry(job: JobView, t: Translator) -> Block:
    return button(t("Retry"), RETRY_ACTION, str(job.id), style="primary")


def _resume(job: JobView, t: Translator, style: str | None = None) -> Block:
    return button(t("Resume"), RESUME_ACTION, str(job.id), style=style)


def cancel_button(action_id: str, number: int, t: Translator) -> Block:
    """*Cancel* for the copy that has this number, with a dialog before it."""
    dialog = Dialog(
        t("Cancel this copy?"),
        t("What is in place in consulta stays there, and the rest of the rows is not copied."),
        t("Cancel the copy"),
        t("Let it go on"),
    )
    return button(t("Cancel"), action_id, str(number), style="danger", dialog=dialog)


# -- The card


def card(job: JobView, t: Translator) -> Message:
    """The pinned message of a job."""
    title = title_of(job, t)
    shown = [section(f"{bar(job.fraction or 0.0)} {progress(job, t)}"), context(activity(job, t))]
    if job.waits_for_approval and job.question is None:
        # Nothing moves yet: what it waits for is all there is to say.
        shown = [section(f"👥 {activity(job, t)}"), section(question.request_text(job, t))]
    elif job.waits_for_its_time:
        shown = [section(activity(job, t))]
    elif job.waits_for_somebody:
        shown = [section(f"❓ {question.request_text(job, t)}"), context(_answerer(job, t, mention))]
    elif job.total is None and not job.status.is_live:
        shown = [section(activity(job, t))]
    moved = moved_line(job, t)
    outside = t("This channel is shared with another organisation, which reads this too.")
    blocks = [
        header(f"{sign(job)} {title}"),
        *shown,
        context(_about(job, t)),
        *([context(why)] if (why := reasons(job, t)) else []),
        *([context(moved)] if moved else []),
        *([context(f"🌐 {outside}")] if job.is_read_outside else []),
        *buttons_for(job, t),
    ]
    nothing_yet = job.waits_for_somebody or job.waits_for_its_time
    how_far = "" if nothing_yet else f", {progress(job, t)}"
    return Message(f"{escaped(cut(title, 200))}: {state(job, t)}{how_far}", blocks)


def progress(job: JobView, t: Translator) -> str:
    """``62 % · 124,000 of 200,000 rows``; the total isn't known before the count."""
    if job.total is None or job.fraction is None:
        return t("not counted yet") if job.status.is_live else t("nothing copied")
    return f"{t.percent(job.fraction)} · " + t.plural(
        "{done} of {n} row", "{done} of {n} rows", job.total, done=t.number(job.copied)
    )


def state(job: JobView, t: Translator) -> str:
    """The job's state in one to three words."""
    if job.waits_for_approval:
        return t("waiting for approval")
    if job.waits_for_confirmation:
        return t("waiting for confirmation")
    if job.waits_for_its_time:
        return t("planned")
    if job.status is Status.RUNNING and job.stop_requested is not None:
        return t("pausing") if job.stop_requested is StopReason.PAUSE else t("being cancelled")
    return {
        Status.PENDING: t("waiting"),
        Status.RUNNING: t("running"),
        Status.PAUSED: t("paused"),
        Status.COMPLETED: t("completed"),
        Status.FAILED: t("failed"),
        Status.CANCELLED: t("cancelled"),
    }[job.status]


def activity(job: JobView, t: Translator, named: Named = mention) -> str:
    """What the job is doing, why it waits or how it ended, in one line; ``named`` turns people into words."""
    match job.status:
        case Status.PENDING:
            return _waiting(job, t, named)
        case Status.RUNNING:
            return _running(job, t, named)
        case Status.PAUSED:
            return _paused(job, t, named)
        case Status.COMPLETED:
            return t(
                "Completed in {duration}: counted and compared on both sides",
                duration=time_taken(job, t),
            )
        case Status.CANCELLED:
            if unapproved := no_approval_reason(job, t):
                if job.attempt:
                    return t("{reason}: what was in place stays, the rest was not copied", reason=unapproved)
                return t("{reason}: nothing was copied", reason=unapproved)
            if job.stopped_by is None:
                return t("Cancelled: what was in place stays, the rest was not copied")
            return t(
                "Cancelled by {user}: what was in place stays, the rest was not copied",
                user=named(job.stopped_by),
            )
        case Status.FAILED:
            return explained(job.error, t).what


def _waiting(job: JobView, t: Translator, named: Named) -> str:
    if job.question is not None:
        return f"{_answerer(job, t, named)}. {question.question_text(job.question, t)}"
    if job.waits_for_its_time and job.start_at is not None:
        return t("Begins {moment}", moment=at(job.start_at, t))
    if job.freeze is not None:
        return frozen_by(job.freeze, t, named)
    if job.waits_for_approval:
        request = approval_request(job, t)
        if job.start_at is not None and job.start_at > job.now:
            return f"{request} · " + t("begins {moment}", moment=at(job.start_at, t))
        return request
    if job.waits_for_a_worker and job.no_worker is not None:
        return nobody_works(job.no_worker, t)
    if job.error and job.error.code == "worker_lost":
        silent = t.duration(job.error.seconds or 0.0)
        return t("Its worker was lost, silent for {duration}: another one takes over", duration=silent)
    if job.error:
        return _until_next_try(job, job.error, t)
    if job.ahead:
        return t.plural("Queued behind {n} copy", "Queued behind {n} copies", job.ahead)
    if job.attempt:
        return t("Waiting for another worker to go on")
    return t("Queued: the next free worker takes it")


def _answerer(job: JobView, t: Translator, named: Named) -> str:
    """Who has to answer, without a full stop; and that copies are frozen, if they are."""
    if job.waits_for_approval:
        text = approval_request(job, t)
    else:
        text = t("Waiting for confirmation by {user}", user=named(requester(job)))
    return f"{text} · {frozen_by(job.freeze, t, named)}" if job.freeze else text


def _until_next_try(job: JobView, error: Failure, t: Translator) -> str:
    duration = t.duration(max(0.0, (job.run_after - job.now).total_seconds()))
    if error.code in AWAY:
        return t(
            "Waiting for {side} to come back (attempt {attempt}, in {duration})",
            side=error.side or "?",
            attempt=job.attempt + 1,
            duration=duration,
        )
    return t(
        "{what} Attempt {attempt} in {duration}",
        what=explained(error, t).what,
        attempt=job.attempt + 1,
        duration=duration,
    )


def _paused(job: JobView, t: Translator, named: Named) -> str:
    if job.stopped_by is None:
        text = t("Paused: nothing is written until somebody resumes it")
    else:
        text = t("Paused by {user}: nothing is written until somebody resumes it", user=named(job.stopped_by))
    return f"{text} · {frozen_by(job.freeze, t, named)}" if job.freeze else text


def _stopping(job: JobView, t: Translator, named: Named) -> str | None:
    """That a running job is about to stop, and why; None where it goes on."""
    user = named(job.stopped_by) if job.stopped_by else "?"
    match job.stop_requested:
        case StopReason.PAUSE:
            return t("Pausing for {user} at the end of this chunk", user=user)
        case StopReason.CANCEL:
            return t("Being cancelled for {user} at the end of this chunk", user=user)
        case _ if job.freeze is not None:
            return t("{frozen} · it stops at the end of this chunk", frozen=frozen_by(job.freeze, t, named))
        case _:
            return None


def _worker_lost(job: JobView, t: Translator) -> str:
    """That its worker is silent, and who takes over; empty while its worker is alive."""
    if (silent := job.seconds_silent) is None:
        return ""
    duration = t.duration(silent)
    if job.no_worker is not None:
        words = t("Its worker has been silent for {duration}.", duration=duration)
        return f"{words} {nobody_works(job.no_worker, t)}"
    return t("Its worker has been silent for {duration}: another one takes over", duration=duration)


def _running(job: JobView, t: Translator, named: Named) -> str:
    if lost := _worker_lost(job, t):
        return lost
    if stopping := _stopping(job, t, named):
        return stopping
    if job.phase is Phase.VERIFYING:
        return t(
            "Verifying both sides: {done} of {total}",
            done=t.number(job.verified),
            total=t.rows(job.total or 0),
        )
    if job.lag_mb is not None:
        return t(
            "Held back: a standby of consulta is {mb} MB behind, and the copy waits for it",
            mb=t.number(job.lag_mb),
        )
    if job.phase is Phase.COPYING:
        left = job.seconds_left
        return t(
            "Copying, chunk {number} · {rate} · time left {left}",
            number=t.number(job.chunks_done + 1),
            rate=rate(job, t),
            left="N/A" if left is None else t.duration(left),
        )
    return t("Counting the rows in prod")


def time_taken(job: JobView, t: Translator, *, with_rate: bool = False) -> str:
    """How long the job was worked on, and for how long it stood still: ``2.0 s, after a pause of 12 min``.

    ``with_rate`` adds the rows a second by the same time, where it is long enough to say.
    """
    taken = t.duration(job.seconds or 0.0)
    if with_rate and job.rate is not None:
        taken = f"{taken} ({rate(job, t)})"
    working = job.working
    paused = t.duration(working.paused) if working and working.paused >= STANDSTILL else ""
    waited = t.duration(working.waited) if working and working.waited >= STANDSTILL else ""
    if paused and waited:
        return t(
            "{taken}, after a pause of {paused} and {waited} of waiting",
            taken=taken,
            paused=paused,
            waited=waited,
        )
    if paused:
        return t("{taken}, after a pause of {paused}", taken=taken, paused=paused)
    if waited:
        return t("{taken}, after {waited} of waiting", taken=taken, waited=waited)
    return taken


def shown_attempt(job: JobView) -> int | None:
    """The number of the attempt where an earlier one failed or was lost; a pause is no failure."""
    broken = job.working.broken if job.working else job.attempt - 1
    return job.attempt if job.attempt > 1 and broken else None


def rate(job: JobView, t: Translator) -> str:
    """``85,000 rows/s``; ``N/A`` until it is known."""
    if job.rate is None:
        return "N/A"
    return t("{n} rows/s", n=t.number(job.rate))


def _about(job: JobView, t: Translator) -> str:
    parts = [
        asked_by(job, t),
        t("job {id}", id=job.id),
    ]
    if approval := approved_by(job, t):
        parts.append(approval)
    if n := shown_attempt(job):
        parts.append(t("attempt {n}", n=n))
    if job.as_of is not None:
        parts.append(data_of(job.as_of, t))
    return " · ".join(parts)


def reasons(job: JobView, t: Translator) -> str:
    """Why it was asked for, and why it was approved, as far as that was said."""
    asked = said_why(job.request_reason, t)
    approved = sanitized(job.approval_reason or "", REASON_LIMIT)
    parts = [asked, t("Why it was approved: {reason}", reason=approved) if approved else ""]
    return " · ".join(filter(None, parts))


def asked_by(job: JobView, t: Translator) -> str:
    """Who asked for it, or which schedule, for mrkdwn."""
    user = mention(requester(job))
    if job.schedule is None:
        return t("Requested by {user}", user=user)
    return t("Requested by the schedule {name}, as {user}", name=code(job.schedule), user=user)


def sign(job: JobView) -> str:
    """The sign of the job's state."""
    if job.waits_for_its_time:
        return "⏰"
    if job.status is Status.PENDING and job.freeze is not None:
        return "🧊"
    return {
        Status.PENDING: "⏳",
        Status.RUNNING: "▶️",
        Status.PAUSED: "⏸️",
        Status.COMPLETED: "✅",
        Status.FAILED: "❌",
        Status.CANCELLED: "🚫",
    }[job.status]


# ----------------------------------------------------------------------------
# The chart of the reply: rows per second over time, as a block and in words


@dataclass(frozen=True, slots=True)
class Chart:
    """``words`` say what the block shows, for whoever can't see it."""

    block: Block
    words: str


def chart(job: JobView, stretches: Sequence[Stretch], t: Translator) -> Chart | None:
    """None where there are too few chunks for a curve."""
    span = max((stretch.ended for stretch in stretches), default=0.0)
    if len(stretches) < 2 or not 0 < span < math.inf:
        return None
    labels = moments(span, t)
    curve = rates(stretches, span, len(labels))
    words = t(
        "Rows per second while job {id} copied, attempt {n}: from {least} to {most}",
        id=job.id,
        n=job.attempt,
        least=t.number(min(curve)),
        most=t.number(max(curve)),
    )
    points = [(label, round(rate, 1)) for label, rate in zip(labels, curve, strict=True)]
    return Chart(line_chart(t("Rows per second"), {t("rows per second"): points}), words)


def moments(span: float, t: Translator) -> list[str]:
    """Labels for the ends of equal parts of ``span`` seconds: as many as Slack takes and as differ."""
    for parts in range(CHART_POINTS, 1, -1):
        labels = [t.duration(span * (part + 1) / parts) for part in range(parts)]
        if len(set(labels)) == parts:
            return labels
    return [t.duration(span)]


def rates(stretches: Sequence[Stretch], span: float, parts: int) -> list[float]:
    """Rows a second in each of so many equal parts of the first ``span`` seconds.

    A chunk's rows are spread evenly over its time; their sum stays what it is.
    """
    width = span / parts
    rows = [0.0] * parts
    for stretch in stretches:
        first = min(parts - 1, int(stretch.began / width))
        last = min(parts - 1, int(stretch.ended / width))
        length = stretch.ended - stretch.began
        if first == last or length <= 0:
            rows[last] += stretch.rows
            continue
        for part in range(first, last + 1):
            shared = min(stretch.ended, (part + 1) * width) - max(stretch.began, part * width)
            rows[part] += stretch.rows * max(0.0, shared) / length
    return [each / width for each in rows]


# ----------------------------------------------------------------------------
# The reply: it mentions the requester, and has the receipt or the reason


def reply(job: JobView, t: Translator, stretches: Sequence[Stretch] = ()) -> Message:
    """What the requester is told in the thread; with a chart where ``stretches`` are enough for one."""
    message = _ending(job, t)
    drawn = chart(job, stretches, t)
    if drawn is None:
        return message
    return Message(
        f"{message.text} {drawn.words}",
        [*message.blocks, drawn.block],
        fallback=[*message.blocks, context(drawn.words)],
    )


def _ending(job: JobView, t: Translator) -> Message:
    who = f"<@{job.requester_id}>"
    what = copied(job, t)
    match job.status:
        case Status.COMPLETED:
            text = t(
                "{mention} the copy {what} is in consulta: {rows} in {duration}, verified.",
                mention=who,
                what=what,
                rows=t.rows(job.total or 0),
                duration=time_taken(job, t, with_rate=True),
            )
            why = reasons(job, t)
            proof = [context(receipt(job, t)), context(_basis(job, t))]
            return Message(text, [section(f"✅ {text}"), *proof, *([context(why)] if why else [])])
        case Status.FAILED:
            words = explained(job.error, t)
            text = t(
                "{mention} the copy {what} failed. {reason}",
                mention=who,
                what=what,
                reason=words.what,
            )
            return Message(
                f"{text} {words.step}",
                [
                    section(f"❌ {text}"),
                    section(words.step),
                    context(_class_of(job, t), _left(job, t)),
                    actions(retry(job, t)),
                ],
            )
        case _ if unapproved := no_approval_reason(job, t):
            text = t(
                "{mention} the copy {what} was not made. {reason}",
                mention=who,
                what=what,
                reason=f"{unapproved}.",
            )
            return Message(text, [section(f"🚫 {text}"), context(ask_again(job, t))])
        case _:
            text = t("{mention} the copy {what} was cancelled.", mention=who, what=what)
            if job.stopped_by is not None:
                text = t(
                    "{mention} the copy {what} was cancelled by {user}.",
                    mention=who,
                    what=what,
                    user=mention(job.stopped_by),
                )
            return Message(text, [section(f"🚫 {text}"), context(_left(job, t))])


def follower_message(job: JobView, link: str | None, t: Translator) -> Message:
    """The direct message to somebody who wanted to be told how the job ends."""
    sentence = t(
        "You wanted to be told: the copy {what} is {state}.",
        what=copied(job, t),
        state=state(job, t),
    )
    text = f"{sign(job)} {sentence}\n{activity(job, t)}"
    where = t("<{link}|Its card>", link=link) if link else ask_for(job.id, t)
    return Message(sentence, [section(text), context(_about(job, t), where)])


def receipt(job: JobView, t: Translator) -> str:
    """What was done to consulta, and the proof's digest."""
    parts = [
        t("inserted {rows}", rows=t.number(job.inserted)),
        t("updated {rows}", rows=t.number(job.updated)),
        t("deleted {rows}", rows=t.number(job.deleted)),
        t("unchanged {rows}", rows=t.number(job.unchanged)),
    ]
    if job.moved:
        parts.append(t("taken over from other liquidations {rows}", rows=t.number(job.moved)))
    if job.target_digest:
        parts.append(t("digest {digest}", digest=f"`{job.target_digest}`"))
    if job.values_job not in {None, job.id}:
        parts.append(t("by row versions since job {id}, which compared all values", id=job.values_job))
    if approval := approved_by(job, t):
        parts.append(approval)
    return " · ".join(parts)


def _basis(job: JobView, t: Translator) -> str:
    """Which moment of prod it is, and in how many attempts."""
    parts = [data_of(job.as_of, t)] if job.as_of else []
    if n := shown_attempt(job):
        parts.append(t.plural("{n} attempt", "{n} attempts", n))
    parts.append(t("job {id}", id=job.id))
    return " · ".join(parts)


def _class_of(job: JobView, t: Translator) -> str:
    name = " ".join(filter(None, (job.error.code, job.error.sqlstate))) if job.error else ""
    return t("Class of the error: {name}", name=code(name)) if name else ""


def _left(job: JobView, t: Translator) -> str:
    if not job.copied:
        return t("The last attempt wrote nothing.") if job.attempt > 1 else t("Nothing was written.")
    return t(
        "In place when it ended: {progress}. Copying again goes on from there.", progress=progress(job, t)
    )

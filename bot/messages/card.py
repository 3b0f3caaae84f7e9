"""The card: one job as the channel sees it, from the request to the end. Same snapshot, same card."""

from __future__ import annotations

from bot.i18n import Translator
from bot.jobs.snapshot import JobSnapshot
from bot.jobs.statuses import Phase, Status
from bot.messages.approval import asked_for, decided, ended_by_it
from bot.messages.blocks import (
    Message,
    bar,
    context,
    cut,
    escaped,
    header,
    plain_section,
    section,
    slack_date,
)
from bot.messages.buttons import buttons_for
from bot.messages.failures import explained


def card(job: JobSnapshot, t: Translator) -> Message:
    """The pinned message of a job."""
    title = t("Liquidation {id}", id=job.liquidation_id)
    if job.label:
        title = f"{title} · {job.label}"
    shown = [section(f"`{bar(job.fraction or 0.0)}` {progress(job, t)}"), context(doing(job, t))]
    if job.waits_for_approval:
        # Nothing moves yet: what it waits for is all there is to say.
        shown = [section(f"👥 {doing(job, t)}")]
    blocks = [
        header(f"{_sign(job)} {title}"),
        plain_section(f"{job.copy_name}: {job.source_table} → {job.target_table}"),
        *shown,
        context(_about(job, t)),
        *buttons_for(job, t),
    ]
    return Message(f"{escaped(cut(title, 200))}: {state(job, t)}. {progress(job, t)}", blocks)


def progress(job: JobSnapshot, t: Translator) -> str:
    """``62 % · 124,000 of 200,000 rows``; the total isn't known before the count."""
    if job.total is None or job.fraction is None:
        return t("not counted yet")
    return f"{t.percent(job.fraction)} · " + t.plural(
        "{done} of {n} row", "{done} of {n} rows", job.total, done=t.number(job.copied)
    )


def state(job: JobSnapshot, t: Translator) -> str:
    """One word, or three, for what the job is."""
    if job.waits_for_approval:
        return t("waiting for approval")
    return {
        Status.PENDING: t("waiting"),
        Status.RUNNING: t("running"),
        Status.PAUSED: t("paused"),
        Status.COMPLETED: t("completed"),
        Status.FAILED: t("failed"),
        Status.CANCELLED: t("cancelled"),
    }[job.status]


def doing(job: JobSnapshot, t: Translator) -> str:
    """One line for what the job is doing, or why it waits, or how it ended."""
    match job.status:
        case Status.PENDING:
            return _waiting(job, t)
        case Status.RUNNING:
            return _running(job, t)
        case Status.PAUSED:
            return t("Paused: nothing is written until somebody resumes it")
        case Status.COMPLETED:
            return t(
                "Completed in {duration}: counted and compared on both sides",
                duration=t.duration(job.seconds or 0.0),
            )
        case Status.CANCELLED:
            return ended_by_it(job, t) or t("Cancelled: what was in place stays, the rest was not copied")
        case Status.FAILED:
            return explained(job.error or {}, t).what


def _waiting(job: JobSnapshot, t: Translator) -> str:
    if job.waits_for_approval:
        return asked_for(job, t)
    if job.error:
        seconds = max(0.0, (job.run_after - job.now).total_seconds())
        return t(
            "{what} Attempt {attempt} in {duration}",
            what=explained(job.error, t).what,
            attempt=job.attempt + 1,
            duration=t.duration(seconds),
        )
    if job.ahead:
        return t.plural("Queued behind {n} copy", "Queued behind {n} copies", job.ahead)
    if job.attempt:
        return t("Waiting for another worker to go on")
    return t("Queued: the next free worker takes it")


def _running(job: JobSnapshot, t: Translator) -> str:
    if job.lease_until is not None and job.lease_until < job.now:
        silent = t.duration((job.now - job.lease_until).total_seconds())
        return t(
            "Its worker has been silent for {duration} too long: another one takes over", duration=silent
        )
    if job.phase is Phase.VERIFYING:
        return t(
            "Verifying both sides: {done} of {total}",
            done=t.number(job.verified),
            total=t.rows(job.total or 0),
        )
    if job.throttle:
        return t(
            "Held back: a standby of consulta is {mb} MB behind, and the copy waits for it",
            mb=t.number(job.throttle.get("mb", 0)),
        )
    if job.phase is Phase.COPYING:
        left = job.seconds_left
        return t(
            "Copying, chunk {number} · {rate} · {left} left",
            number=t.number(job.chunks_done + 1),
            rate=rate(job, t),
            left="N/A" if left is None else t.duration(left),
        )
    return t("Counting the rows in prod")


def rate(job: JobSnapshot, t: Translator) -> str:
    """``85,000 rows/s``; ``N/A`` until it is known."""
    if job.rate is None:
        return "N/A"
    return t("{n} rows/s", n=t.number(job.rate))


def _about(job: JobSnapshot, t: Translator) -> str:
    parts = [
        t("Asked for by {user}", user=f"<@{job.requester_id}>"),
        t("job {id}", id=job.id),
    ]
    if said := decided(job, t):
        parts.append(said)
    elif job.waits_for_approval and job.previewed is not None:
        parts.append(t("{rows} in prod", rows=t.rows(job.previewed)))
    if job.attempt > 1:
        parts.append(t("attempt {n}", n=job.attempt))
    if job.as_of is not None:
        parts.append(t("as of {moment}", moment=slack_date(job.as_of, t.moment(job.as_of))))
    return " · ".join(parts)


def _sign(job: JobSnapshot) -> str:
    return {
        Status.PENDING: "⏳",
        Status.RUNNING: "▶️",
        Status.PAUSED: "⏸️",
        Status.COMPLETED: "✅",
        Status.FAILED: "❌",
        Status.CANCELLED: "🚫",
    }[job.status]

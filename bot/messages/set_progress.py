"""How far a set is, table by table: while it is copied, and when it has ended.

The jobs of a set begin and end together, so what is said of one table goes by its rows, and what a failure is
said to be goes by the tables that failed themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot.i18n import Translator
from bot.jobs.models import Phase, Status
from bot.jobs.view import JobView, RunView
from bot.messages.blocks import bare_name, cut, plain, sanitized
from bot.messages.card import activity, progress, state, time_taken
from bot.messages.failure_texts import Explained, explained

#: Of a table that was not copied because another one of its set wasn't.
OF_ANOTHER = "set_failed"
#: The signs of a task's state, where Slack draws no tasks.
SIGNS = {"complete": "✅", "in_progress": "▶️", "pending": "⏳", "error": "❌"}


def blamed(run: RunView) -> tuple[JobView, ...]:
    """The tables that failed, rather than those that weren't copied because of them."""
    return tuple(job for job in run.failed if job.error is None or job.error.code != OF_ANOTHER)


def in_place(job: JobView) -> bool:
    """All of its rows are in consulta, as far as was counted."""
    return job.status is Status.COMPLETED or (job.total is not None and job.copied >= job.total)


def names_of(jobs: Iterable[JobView], limit: int = 200) -> str:
    """What messages call these tables. Plain text."""
    return cut(", ".join(job.copy_shown for job in jobs), limit)


def tables(run: RunView, t: Translator) -> str:
    """``2 of 4 tables in place``; ``4 tables`` of a completed set."""
    there = sum(map(in_place, run.jobs))
    if len(run.completed) == len(run.jobs):
        return t.plural("{n} table", "{n} tables", len(run.jobs))
    return t.plural(
        "{done} of {n} table in place", "{done} of {n} tables in place", len(run.jobs), done=t.number(there)
    )


def table(run: RunView, job: JobView, t: Translator) -> tuple[str, str]:
    """The state of a task that stands for the table, and how far it is, what it waits for or failed of.

    Plain text.
    """
    if job.status is Status.COMPLETED:
        return "complete", _with_seconds(run, job, t.rows(job.total or 0), t)
    if job in blamed(run):
        return "error", plain(explained(job.error, t).what)
    if job.waits_for_somebody or job.waits_for_its_time:  # for whom, until when and why, stands above
        return "pending", state(job, t)
    if job.total is None:
        rows = job.terms.in_prod
        not_begun = t("not begun")
        words = not_begun if rows is None else f"{t.rows(rows)} · {not_begun}"
        return (
            ("in_progress", t("Counting the rows in prod"))
            if job.status is Status.RUNNING
            else ("pending", words)
        )
    if in_place(job):
        return _there(run, job, t)
    if job.status is not Status.RUNNING:
        if job.copied:
            return "pending", " · ".join([progress(job, t), t("begun")])
        return "pending", " · ".join([t.rows(job.total), t("not begun")])
    if job in in_hand(run):
        held = plain(activity(job, t, bare_name)) if job.lag_mb is not None else ""
        return "in_progress", " · ".join(filter(None, [_with_seconds(run, job, progress(job, t), t), held]))
    waits = t("waits for {tables}", tables=names_of(in_hand(run)))
    return "pending", f"{t.rows(job.total)} · {waits}"


def _there(run: RunView, job: JobView, t: Translator) -> tuple[str, str]:
    """All rows of the table are in place, and the set isn't proven."""
    there = " · ".join([t.rows(job.total or 0), t("in place")])
    if job.status is Status.RUNNING and job.phase is Phase.VERIFYING and job.verified < (job.total or 0):
        compared = t("{done} compared", done=t.number(job.verified))
        return "in_progress", f"{there} · {compared}"
    return "complete", _with_seconds(run, job, there, t)


def _with_seconds(run: RunView, job: JobView, words: str, t: Translator) -> str:
    seconds = run.spent.get(job.id)
    return words if seconds is None else f"{words} · {t.duration(seconds)}"


def in_hand(run: RunView) -> tuple[JobView, ...]:
    """The tables that are being put in place: those that are begun, or else the next one in order."""
    left = [job for job in run.live if job.status is Status.RUNNING and not in_place(job)]
    begun = tuple(job for job in left if job.copied)
    return begun or tuple(left[:1])


def doing(run: RunView, t: Translator) -> str:
    """What the set is doing, why it waits or how it ended, in one line of mrkdwn."""
    running = [job for job in run.live if job.status is Status.RUNNING]
    if running:
        return _running(run, running, t)
    if run.is_live:
        return _waiting([*run.live], t)
    if len(run.completed) == len(run.jobs):
        duration = time_taken(run.jobs[0], t)
        return t("Completed in {duration}: counted and compared on both sides", duration=duration)
    if failed := blamed(run):
        return t("Failed: {tables}", tables=sanitized(names_of(failed), 200))
    return activity(next((job for job in run.jobs if not job.is_live), run.jobs[0]), t)


def _running(run: RunView, running: Sequence[JobView], t: Translator) -> str:
    for job in running:
        if job.seconds_silent is not None or job.stop_requested is not None or job.freeze is not None:
            return activity(job, t)
    total = sum(job.total or 0 for job in running)
    if any(job.phase is Phase.VERIFYING for job in running):
        verified = sum(job.verified for job in running)
        return t("Verifying both sides: {done} of {total}", done=t.number(verified), total=t.rows(total))
    if all(job.total is None for job in running):
        return activity(running[0], t)
    copying, done = max(job.seconds_of(Phase.COPYING) or 0.0 for job in running), run.copied
    rate = done / copying if done and copying >= 1 else None
    return t(
        "Copying {tables} · {rate} · time left {left}",
        tables=sanitized(names_of(in_hand(run)), 200) or "–",
        rate="N/A" if rate is None else t("{n} rows/s", n=t.number(rate)),
        left="N/A" if rate is None else t.duration(max(0.0, total - done) / rate),
    )


def _waiting(live: Sequence[JobView], t: Translator) -> str:
    """What holds the set back: of the table that has something to say."""

    def telling(job: JobView) -> int:
        if job.waits_for_somebody:
            return 0
        return 2 if job.error is None or job.error.code == OF_ANOTHER else 1

    job = min(live, key=telling)
    return state(job, t) if job.waits_for_somebody else activity(job, t)


def failures(run: RunView, t: Translator) -> list[str]:
    """Which tables failed, why, and what to do: each reason once. Lines of mrkdwn."""
    found: dict[Explained, list[JobView]] = {}
    for job in blamed(run):
        found.setdefault(explained(job.error, t), []).append(job)
    return [
        f"❌ *{sanitized(names_of(jobs), 200)}* · {words.what} {words.step}" for words, jobs in found.items()
    ]


def standing(run: RunView, t: Translator) -> str:
    """What of a set that isn't completed is in place, begun and not begun. Plain text."""
    others = [job for job in run.jobs if job not in blamed(run)]
    there = [job for job in others if in_place(job)]
    begun = [job for job in others if job not in there and job.copied]
    left = [job for job in others if job not in there and job not in begun]
    parts = [
        t("In place: {tables}.", tables=names_of(there)) if there else "",
        t("Begun: {tables}.", tables=names_of(begun)) if begun else "",
        t("Not begun: {tables}.", tables=names_of(left)) if left else "",
    ]
    return " ".join(filter(None, parts))

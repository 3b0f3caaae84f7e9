"""The threaded reply at the end of a job: the receipt or the reason, and for a long copy a chart.

The chart has the rows per second over time, as a block and in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bot.i18n import Translator
from bot.jobs.status import Status
from bot.jobs.view import JobView, Stretch
from bot.messages.approval import approved_by, ask_again, no_approval_reason
from bot.messages.blocks import CHART_POINTS, Block, Message, actions, at, code, context, line_chart, section
from bot.messages.card import progress, rate, retry
from bot.messages.failures import explained
from bot.messages.naming import mention


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
        "Rows per second of job {id}, attempt {n}: {mean} on average, from {least} to {most}",
        id=job.id,
        n=job.attempt,
        mean=t.number(sum(stretch.rows for stretch in stretches) / span),
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
# The threaded reply at the end of a job: it mentions the requester and has the receipt, or the reason.


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
    liquidation = t("liquidation {id}", id=job.liquidation_id)
    match job.status:
        case Status.COMPLETED:
            text = t(
                "{mention} {liquidation} is in consulta: {rows} in {duration} ({rate}), verified.",
                mention=who,
                liquidation=liquidation,
                rows=t.rows(job.total or 0),
                duration=t.duration(job.seconds or 0.0),
                rate=rate(job, t),
            )
            return Message(text, [section(f"✅ {text}"), context(receipt(job, t)), context(_basis(job, t))])
        case Status.FAILED:
            words = explained(job.error or {}, t)
            text = t(
                "{mention} {liquidation} was not copied. {what}",
                mention=who,
                liquidation=liquidation,
                what=words.what,
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
                "{mention} {liquidation} was not copied. {what}",
                mention=who,
                liquidation=liquidation,
                what=f"{unapproved}.",
            )
            return Message(text, [section(f"🚫 {text}"), context(ask_again(job, t))])
        case _:
            text = t(
                "{mention} the copy of {liquidation} was cancelled.", mention=who, liquidation=liquidation
            )
            if job.stopped_by is not None:
                text = t(
                    "{mention} the copy of {liquidation} was cancelled by {user}.",
                    mention=who,
                    liquidation=liquidation,
                    user=mention(job.stopped_by),
                )
            return Message(text, [section(f"🚫 {text}"), context(_left(job, t))])


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
    if approval := approved_by(job, t):
        parts.append(approval)
    return " · ".join(parts)


def _basis(job: JobView, t: Translator) -> str:
    """Which moment of prod it is, and in how many attempts."""
    parts = [t("as of {moment}", moment=at(job.as_of, t))] if job.as_of else []
    if job.attempt > 1:
        parts.append(t.plural("{n} attempt", "{n} attempts", job.attempt))
    parts.append(t("job {id}", id=job.id))
    return " · ".join(parts)


def _class_of(job: JobView, t: Translator) -> str:
    error = job.error or {}
    name = " ".join(str(error[key]) for key in ("code", "sqlstate") if error.get(key))
    return t("Class of the error: {name}", name=code(name)) if name else ""


def _left(job: JobView, t: Translator) -> str:
    if not job.copied:
        return t("The last attempt wrote nothing.") if job.attempt > 1 else t("Nothing was written.")
    return t(
        "In place when it ended: {progress}. Copying again goes on from there.", progress=progress(job, t)
    )

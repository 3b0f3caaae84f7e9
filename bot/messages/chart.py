"""The chart in the ending of a long copy: its rows per second over time, as a block and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bot.i18n import Translator
from bot.jobs.view import JobView, Stretch
from bot.messages.blocks import CHART_POINTS, Block, line_chart


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

"""The chart in the thread of a long copy: its rows per second over time, and the same in words.

Only here is matplotlib imported, when the first chart is drawn: it takes a second and some memory.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from bot.i18n import Translator
from bot.jobs.repository import Stretch
from bot.jobs.view import JobView

#: The curve has so many steps, each the mean of its time.
CELLS = 60
#: Distances between two marks of the time axis, in seconds; the first that gives few enough is taken.
STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 86400)
MOST_MARKS = 8
#: Inches and dots per inch: 800 by 300 pixels.
SIZE, DPI = (8.0, 3.0), 100
COLOUR, FAINT = "#1f4e5f", "#8a8a8a"


@dataclass(frozen=True, slots=True)
class Chart:
    """What is uploaded. ``words`` say what the picture shows, and are known by the job and the attempt."""

    filename: str
    title: str
    words: str
    png: bytes


def chart(job: JobView, stretches: Sequence[Stretch], t: Translator) -> Chart | None:
    """None where there are too few chunks for a curve."""
    span = max((stretch.ended for stretch in stretches), default=0.0)
    if len(stretches) < 2 or span <= 0:
        return None
    curve = rates(stretches, span)
    mean = sum(stretch.rows for stretch in stretches) / span
    words = t(
        "Rows per second of job {id}, attempt {n}: {mean} on average, from {least} to {most}",
        id=job.id,
        n=job.attempt,
        mean=t.number(mean),
        least=t.number(min(curve)),
        most=t.number(max(curve)),
    )
    png = _drawn(curve, span, mean, t)
    return Chart(f"traspaso-{job.id}-{job.attempt}.png", t("Rows per second"), words, png)


def rates(stretches: Sequence[Stretch], span: float) -> list[float]:
    """Rows a second in each of `CELLS` equal parts of the first ``span`` seconds.

    A chunk's rows are spread evenly over its time; their sum stays what it is.
    """
    width = span / CELLS
    rows = [0.0] * CELLS
    for stretch in stretches:
        first = min(CELLS - 1, int(stretch.began / width))
        last = min(CELLS - 1, int(stretch.ended / width))
        length = stretch.ended - stretch.began
        if first == last or length <= 0:
            rows[last] += stretch.rows
            continue
        for cell in range(first, last + 1):
            shared = min(stretch.ended, (cell + 1) * width) - max(stretch.began, cell * width)
            rows[cell] += stretch.rows * max(0.0, shared) / length
    return [each / width for each in rows]


def _drawn(curve: list[float], span: float, mean: float, t: Translator) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    edges = [span * cell / CELLS for cell in range(CELLS + 1)]
    axes.stairs(curve, edges, fill=True, color=COLOUR, alpha=0.25)
    axes.stairs(curve, edges, color=COLOUR, linewidth=1.5)
    axes.axhline(mean, color=FAINT, linestyle="--", linewidth=1)
    average = t("average {n} rows/s", n=t.number(mean))
    axes.set_title(f"- - {average}", loc="right", fontsize=10, color="#404040", parse_math=False)
    axes.set_xlim(0, span)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(t("rows per second"), parse_math=False)
    axes.xaxis.set_major_locator(MultipleLocator(_step(span)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: t.duration(x) if x else "0"))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: t.number(y)))
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _step(span: float) -> float:
    fitting = (step for step in STEPS if span / step <= MOST_MARKS)
    return next(fitting, span / MOST_MARKS)

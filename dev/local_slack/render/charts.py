"""The `data_visualization` block as a small inline SVG: lines, areas, bars, and a pie as bars of its parts.

Whoever can't see it is read its title and every point.
"""

from collections.abc import Iterator

from dev.local_slack.jsontypes import Json
from dev.local_slack.plain import chart_lines
from dev.local_slack.render.html import Html, el, join

#: The picture, and the field within it in which the values are drawn, in units of its own.
WIDTH, HEIGHT = 560, 180
LEFT, RIGHT, TOP, BOTTOM = 60, 548, 12, 150
COLOURS = ("#1f4e5f", "#b06a1f", "#4a6fa5", "#5a7d3a", "#7a5ea8", "#8e4f6e")


def chart_html(block: Json) -> Html:
    chart, title = block["chart"], str(block.get("title", ""))
    kind = "bar" if chart["type"] == "pie" else chart["type"]
    lines = [{"name": "", "data": chart["segments"]}] if chart["type"] == "pie" else chart["series"]
    values = [[float(point["value"]) for point in series["data"]] for series in lines]
    labels = [str(point["label"]) for point in lines[0]["data"]]
    highest, lowest = max(0.0, *map(max, values)), min(0.0, *map(min, values))
    scale = (BOTTOM - TOP) / ((highest - lowest) or 1.0)
    heights = [[BOTTOM - (value - lowest) * scale for value in each] for each in values]
    floor = BOTTOM + lowest * scale
    drawn = join(*(_series(kind, n, len(heights), each, floor) for n, each in enumerate(heights)))
    axis = chart.get("axis_config") or {}
    return el(
        "figure",
        el("figcaption", title),
        el(
            "svg",
            el("line", x1=LEFT, x2=RIGHT, y1=f"{floor:.1f}", y2=f"{floor:.1f}", stroke="currentColor"),
            drawn,
            _word(f"{highest:,.0f}", LEFT - 8, TOP + 4, "end"),
            _word(f"{lowest:,.0f}", LEFT - 8, BOTTOM + 4, "end"),
            *_marks(labels),
            role="img",
            aria_label="; ".join([title, *chart_lines(block)]),
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
        ),
        el("div", *_legend(lines, axis), class_="legend", aria_hidden="true"),
        class_="chart",
    )


def _series(kind: str, number: int, of: int, heights: list[float], floor: float) -> Html:
    """One line, area or row of bars; those of several series stand side by side."""
    colour = COLOURS[number % len(COLOURS)]
    middles = [_middle(n, len(heights)) for n in range(len(heights))]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(middles, heights, strict=True))
    if kind == "bar":
        width = (RIGHT - LEFT) / len(heights) * 0.7 / of
        left = -width * of / 2 + number * width
        bars = [
            el(
                "rect",
                x=f"{x + left:.1f}",
                y=f"{min(y, floor):.1f}",
                width=f"{width:.1f}",
                height=f"{abs(floor - y):.1f}",
                fill=colour,
            )
            for x, y in zip(middles, heights, strict=True)
        ]
        return join(*bars)
    line = el("polyline", points=path, fill="none", stroke=colour, stroke_width=2)
    if kind == "line":
        return line
    ends = f"{middles[-1]:.1f},{floor:.1f} {middles[0]:.1f},{floor:.1f}"
    return join(el("polygon", points=f"{path} {ends}", fill=colour, fill_opacity=0.25), line)


def _marks(labels: list[str]) -> Iterator[Html]:
    """The first category, the last one, and one between them."""
    for n in sorted({0, len(labels) // 2, len(labels) - 1}):
        yield _word(labels[n], round(_middle(n, len(labels))), HEIGHT - 10, "middle")


def _legend(lines: list[Json], axis: Json) -> Iterator[Html]:
    for n, series in enumerate(lines):
        if series["name"]:
            colour = el("rect", width="100%", height="100%", fill=COLOURS[n % len(COLOURS)])
            yield el("span", el("svg", colour, width="9", height="9"), f" {series['name']}")
    for name in ("x_label", "y_label"):
        if axis.get(name):
            yield el("span", str(axis[name]))


def _word(text: str, x: int, y: int, anchor: str) -> Html:
    return el("text", text, x=x, y=y, text_anchor=anchor, font_size=11, fill="currentColor")


def _middle(n: int, of: int) -> float:
    return LEFT + (RIGHT - LEFT) * (n + 0.5) / of

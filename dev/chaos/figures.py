"""What the runs of a campaign showed, as figures: what struck when, how long recovery took, how it ended.

`measured` takes a run's times from its points. `tables` makes of all runs the two tables of
docs/reliability.md, which `write` puts between their markers.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.chaos.wire import Event
from dev.pages import filled

if TYPE_CHECKING:
    from dev.chaos.run import Run, Struck

BEGIN, END = "<!-- written by make chaos: begin -->", "<!-- written by make chaos: end -->"

#: The columns of the matrix, and the points that each stands for.
COLUMNS = {
    "press, queue": ("requested", "enqueued", "claim"),
    "take-over, claim": ("take_over", "claimed"),
    "snapshot, count": ("snapshot prod", "planned"),
    "a chunk": ("first_bytes", "chunk_recorded", "chunk_committed"),
    "proof, end": ("verifying", "snapshot consulta", "completing", "completed"),
    "sweep": ("sweep", "sweep_taken", "swept"),
    "card": (
        *("delivery card", "post card", "posted card", "card_saved", "delivered card"),
        *("pin while it runs", "edit while it runs"),
    ),
    "reply": (
        *("delivery ending", "edit of an end", "post ending", "posted ending"),
        *("pin of an end", "delivered ending"),
    ),
    "some time": ("some time",),
}
RECOVERIES = {
    "claimed again": "a worker is killed while it holds the job → the next claim",
    "queued again": "Redis forgets the job's message → the claim",
    "delivered again": "whoever delivers the ending is killed → it is delivered",
    "replied": "the end of a job → the reply in its thread, nothing in the way",
}


def measured(run: Run) -> dict[str, float]:
    """Seconds by the names of `RECOVERIES`, where this run has anything to say."""
    found: dict[str, float] = {}
    events = list(run.events)
    for struck in run.story.struck:
        following = [event for event in events if event.at > struck.at]
        if struck.fault.kind == "kill -9" and _held(events, struck):
            _first(found, "claimed again", following, ("claimed",), struck.at)
        if struck.fault.kind == "message lost":
            _first(found, "queued again", following, ("claimed",), struck.at)
        if struck.fault.kind == "kill -9" and struck.fault.moment in COLUMNS["reply"]:
            _first(found, "delivered again", following, ("delivered ending",), struck.at)
    ended = [event for event in events if event.point == "completed"]
    if ended and all(struck.at < ended[-1].at for struck in run.story.struck):
        _first(found, "replied", events, ("posted ending",), ended[-1].at)
    return found


def told(run: Run) -> float | None:
    """When the last reply was posted, on the run's clock."""
    posted = [event.at for event in run.events if event.moment == "posted ending"]
    return posted[-1] if posted else None


def _held(events: Sequence[Event], struck: Struck) -> bool:
    """Whether the victim was at work on the job when it was killed."""
    before = [event for event in events if event.at <= struck.at]
    claims = [event for event in before if event.point == "claimed"]
    ends = [event for event in before if event.point == "completed"]
    return bool(claims) and claims[-1].name == struck.victim and not ends


def _first(
    found: dict[str, float], name: str, events: Iterable[Event], moments: tuple[str, ...], since: float
) -> None:
    for event in events:
        if event.moment in moments and event.at >= since:
            found[name] = event.at - since
            return


# ---------------------------------------------------------------------------------------------- the tables


def tables(results: Sequence[dict[str, Any]]) -> str:
    """Both tables as Markdown, from the results of all runs."""
    runs = len(results)
    struck = sum(len(result["struck"]) for result in results)
    broken = sum(bool(result["violations"]) for result in results)
    ends: dict[str, int] = defaultdict(int)
    for result in results:
        ends[result["status"]] += 1
    how = ", ".join(f"{number} {status}" for status, number in sorted(ends.items()))
    lines = [
        f"{runs} runs, {struck} faults that struck; {broken} runs broke a promise. They ended: {how}.",
        "",
        "Each cell: how many faults struck there, and the median and the longest time in seconds from the "
        "fault to the reply in the thread.",
        "",
        *_matrix(results),
        "",
        "| recovery | settings | n | median s | longest s |",
        "|---|---|--:|--:|--:|",
        *_recoveries(results),
    ]
    return "\n".join(lines)


def _matrix(results: Sequence[dict[str, Any]]) -> list[str]:
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result in results:
        for struck in result["struck"]:
            column = next(
                (name for name, moments in COLUMNS.items() if struck["moment"] in moments), "some time"
            )
            cells[_row(struck["kind"], struck["detail"]), column].append(struck["told_after"] or 0.0)
    rows = sorted({row for row, _ in cells})
    lines = [f"| fault | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for row in rows:
        told = [_cell(cells[row, column]) for column in COLUMNS]
        lines.append(f"| {row} | {' | '.join(told)} |")
    return lines


def _row(kind: str, detail: str) -> str:
    """Kinds whose details differ in what they are have a row for each."""
    words = detail.split()
    if kind.startswith("lines") or kind == "disk full":
        return f"{kind}: {words[-1] if kind.startswith('lines') else detail}"
    if kind == "Slack errs":
        return f"{kind}: {words[1]}"
    if kind in {"clock set", "locked out", "table locked", "failed over", "stands still", "pressed"}:
        return f"{kind}: {words[0]}"
    return kind


def _cell(seconds: list[float]) -> str:
    if not seconds:
        return ""
    return f"{len(seconds)}: {statistics.median(seconds):.0f}, {max(seconds):.0f}"


def _recoveries(results: Sequence[dict[str, Any]]) -> list[str]:
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result in results:
        settings = "as delivered" if result["profile"] == "defaults" else "short"
        for name, seconds in result["recoveries"].items():
            if name in RECOVERIES:
                found[name, settings].append(seconds)
    return [
        f"| {RECOVERIES[name]} | {settings} | {len(seconds)} | {statistics.median(seconds):.1f} "
        f"| {max(seconds):.1f} |"
        for (name, settings), seconds in sorted(found.items())
    ]


def write(page: Path, results: Sequence[dict[str, Any]]) -> None:
    """Puts the tables between the page's markers."""
    page.write_text(filled(page.read_text("utf-8"), BEGIN, f"\n\n{tables(results)}\n\n", END), "utf-8")

"""`make load` counts rightly, and reaches its end: its times are for the page, not for a test."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from dev.load import report
from dev.load.books import Spread, most_in_a_minute
from dev.load.parts import Options, away, load, logged
from dev.load.report import Result
from dev.load.site import Running
from dev.processes import Child


def run(ready: float | None, asked_to_end: float | None = None) -> Running:
    return Running("worker-1", cast(Child, None), 0.0, ready, asked_to_end)


def test_the_99th_of_a_hundred_is_the_one_that_a_hundredth_exceeds() -> None:
    assert Spread.of(range(1, 101)) == Spread(100, 50, 99, 100)
    assert Spread.of([7.0]) == Spread(1, 7.0, 7.0, 7.0)
    assert str(Spread.of([])) == "none"


def test_the_busiest_minute_is_any_sixty_seconds() -> None:
    assert most_in_a_minute([]) == 0
    assert most_in_a_minute([0.0, 59.9, 60.0, 61.0]) == 3


@pytest.mark.parametrize(
    ("runs", "gaps"),
    [
        ([run(1.0, 5.0), run(4.0, 9.0), run(8.0)], [(0.0, 1.0)]),
        ([run(0.0, 5.0), run(6.5)], [(5.0, 6.5)]),
        ([run(0.0, 5.0), run(None)], [(5.0, 10.0)]),
    ],
)
def test_nobody_is_there_where_no_run_covers_the_time(
    runs: list[Running], gaps: list[tuple[float, float]]
) -> None:
    assert away(runs, 0.0, 10.0) == gaps


def test_lines_of_the_log_that_differ_in_numbers_only_are_counted_together() -> None:
    lines = ["12:00 WARNING job 17: not shown", "12:01 WARNING job 18: not shown", "12:01 INFO job 18: shown"]
    assert list(logged(lines).values()) == [2]


def test_the_section_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    result = Result("load", "two copies", [("acks", "p50 | p99")])
    result.check("nothing was refused", False, "3 times")
    written = {"part": result.part, "what": result.what, "figures": result.figures, "machine": "2 cores"}
    written["checks"] = [{"promise": "nothing was refused", "held": False, "seen": "3 times"}]
    page = report.filled("# Reliability\n", "an older one\n")
    page = report.filled(page + "\nThe end.\n", report.section([written]))
    assert "an older one" not in page
    assert page.startswith("# Reliability\n")
    assert page.endswith("\nThe end.\n")
    assert "| acks | p50 \\| p99 |" in page
    assert "| ❌ nothing was refused | 3 times |" in page


def test_a_small_load_reaches_its_end_and_everything_is_told() -> None:
    said: list[str] = []
    options = Options(
        copies=2, per_minute=60, minutes=0.1, over_seconds=1, small_rows=300, middle_rows=600, parallel=1
    )
    result = load(options, said.append)
    held = {check.promise: (check.held, check.seen) for check in result.checks}
    for promise in (
        "every copy that was asked for is completed",
        "no liquidation was copied twice",
        "consulta holds what prod holds",
        "one card each",
        "one reply each",
        "each card shows what the row says",
        "nothing is left pinned",
        "nothing is left to say",
    ):
        assert held[promise][0], (promise, held[promise], result.details["logged"])
    assert dict(result.figures)["reply after the job's end"].endswith("(2)")

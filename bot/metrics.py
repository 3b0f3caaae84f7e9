"""What a process counts of its own work, for Prometheus: calls of Slack, failures of threads, comparisons.

Nothing is counted, and nothing imported, before `begin`: a shell command needs none of it. What jobs have
done is not counted here but read from the database (`bot.monitoring.collector`), so that it outlives a
process. No label has a value that grows with the use: methods, outcomes, threads and copies are few.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: Seconds of a call of Slack: most take a tenth, none more than ten.
CALL_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: What a comparison that people asked for came to.
SAME, DIFFERENT, FAILED = OUTCOMES = ("same", "different", "failed")


class _Metrics:
    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.slack_calls = Counter(
            "traspaso_slack_calls",
            "Calls of Slack's Web API. Outcome: ok, paced (held back here, Slack was not asked), "
            "later (429), or what the error means.",
            ["method", "outcome"],
            registry=self.registry,
        )
        self.slack_seconds = Histogram(
            "traspaso_slack_call_seconds",
            "How long Slack took to answer.",
            ["method"],
            buckets=CALL_BUCKETS,
            registry=self.registry,
        )
        self.slack_refused = Counter(
            "traspaso_slack_rate_limited",
            "Calls that Slack refused with 429.",
            ["method"],
            registry=self.registry,
        )
        self.slack_waited = Counter(
            "traspaso_slack_waited_seconds",
            "Seconds that calls waited here for their turn within Slack's rate limits.",
            ["method"],
            registry=self.registry,
        )
        self.thread_failures = Counter(
            "traspaso_thread_failures",
            "Rounds of a background thread that failed; the thread goes on.",
            ["thread"],
            registry=self.registry,
        )
        self.uncaught = Counter(
            "traspaso_uncaught_errors", "Errors that nobody caught.", registry=self.registry
        )
        self.throttled = Counter(
            "traspaso_throttle_pauses",
            "Pauses of copies because a standby of consulta lagged.",
            ["copy"],
            registry=self.registry,
        )
        self.comparisons = Counter(
            "traspaso_comparisons",
            "Comparisons that people asked for. Outcome: same, different, or failed.",
            ["copy", "outcome"],
            registry=self.registry,
        )
        self.uncaught.inc(0)


_metrics: _Metrics | None = None


def begin(folder: Path | None = None, copies: Iterable[str] = ()) -> CollectorRegistry:
    """Counts from now on; gives where the counts are. What is counted by copy begins at 0 for each of these.

    A comparison of a set counts by the name of the set.

    With a ``folder`` several processes count there together, by files of Prometheus's own client. That works
    only for the first caller in a process, before anything else imports `prometheus_client`.
    """
    global _metrics  # noqa: PLW0603 - one for the process, as the processes' threads are
    if folder is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    if _metrics is None:
        _metrics = _Metrics()
        for copy in copies:
            _metrics.throttled.labels(copy)
            for outcome in OUTCOMES:
                _metrics.comparisons.labels(copy, outcome)
    return _metrics.registry


def group(thread: str) -> str:
    """The thread's name without the number of its job: ``ticker-17`` is a ``ticker``."""
    return re.sub(r"-\d+$", "", thread)


def slack_called(method: str, outcome: str, seconds: float | None) -> None:
    """A call of Slack ended; ``seconds`` is None where Slack wasn't asked."""
    if _metrics is None:
        return
    _metrics.slack_calls.labels(method, outcome).inc()
    if seconds is not None:
        _metrics.slack_seconds.labels(method).observe(seconds)


def slack_refused(method: str) -> None:
    if _metrics is not None:
        _metrics.slack_refused.labels(method).inc()


def slack_waited(method: str, seconds: float) -> None:
    if _metrics is not None:
        _metrics.slack_waited.labels(method).inc(seconds)


def thread_failed(name: str) -> None:
    if _metrics is not None:
        _metrics.thread_failures.labels(group(name)).inc()


def nobody_caught() -> None:
    if _metrics is not None:
        _metrics.uncaught.inc()


def throttled(copy: str) -> None:
    if _metrics is not None:
        _metrics.throttled.labels(copy).inc()


def compared(copy: str, outcome: str) -> None:
    if _metrics is not None:
        _metrics.comparisons.labels(copy, outcome).inc()

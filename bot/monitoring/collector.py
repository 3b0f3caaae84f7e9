"""What Prometheus is told about jobs and the outbox: read from the database, so that it outlives a process.

Every service that is scraped tells the same, so that the figures stay when one of them is away; a query takes
the maximum of them. Counters come from the totals, which no pruning touches, and from what is running.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from bot.jobs.models import RunKind, Status
from bot.jobs.totals import CHUNK_LABELS, RUNS
from bot.monitoring import queries
from bot.monitoring.health import CachedProbe, Readiness
from bot.monitoring.queries import WAITING, InstallationState

log = logging.getLogger(__name__)

#: What has been read counts for so many seconds, however many scrape.
KEEP_SECONDS = 5.0

#: The checks of `Readiness` that are about another server.
TARGETS = ("prod", "consulta", "redis", "slack")
STATES = (Status.PENDING, WAITING, Status.RUNNING, Status.PAUSED)
ENDS = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
CHANGES = ("inserted", "updated", "deleted", "unchanged")


class InstallationCollector(Collector):
    """Reads both databases' state when it is scraped. Where consulta doesn't answer, only that is told."""

    def __init__(self, tracking: Engine, readiness: Readiness, copies: Sequence[str], process: str) -> None:
        self._readiness = readiness
        self._copies = tuple(copies)
        self._process = process
        self._tracking = tracking
        self._state = CachedProbe("installation", self._read, keep_seconds=KEEP_SECONDS)
        #: A release before this one adds nothing to the totals when its attempt ends; no counter goes back.
        self._highest: dict[tuple[str, ...], float] = {}

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would else read everything when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        self._state.begin()
        info = GaugeMetricFamily(
            "traspaso_build_info", "Always 1: what runs here.", labels=["version", "process"]
        )
        info.add_metric([version("traspaso"), self._process], 1)
        yield info
        up = GaugeMetricFamily("traspaso_up", "Whether a server answers this process.", labels=["target"])
        for check in self._readiness.results():
            if check.name in TARGETS:
                up.add_metric([check.name], check.ok)
        yield up
        try:
            state = self._state.get()
        except Exception as error:
            log.warning("what jobs have done is not known: %s", type(error).__name__)
            return
        yield from self._live(state)
        yield from self._owed(state)
        yield from self._drift(state)
        yield from self._runs(state)
        yield from self._sums(state)

    def _read(self) -> InstallationState:
        with self._tracking.begin() as connection:
            return queries.installation(connection)

    def _live(self, state: InstallationState) -> Iterator[Metric]:
        jobs = GaugeMetricFamily(
            "traspaso_jobs",
            "Jobs that haven't ended. Waiting ones need somebody's approval or answer.",
            labels=["copy", "status"],
        )
        age = GaugeMetricFamily(
            "traspaso_queue_age_seconds",
            "For how long the oldest job that could be run has waited for a worker. 0 during a freeze.",
            labels=["copy"],
        )
        running = GaugeMetricFamily(
            "traspaso_running_seconds", "How long the longest running attempt has taken.", labels=["copy"]
        )
        done = GaugeMetricFamily(
            "traspaso_running_rows_done", "Rows that running attempts have put in place.", labels=["copy"]
        )
        total = GaugeMetricFamily(
            "traspaso_running_rows", "Rows that running attempts have to put in place.", labels=["copy"]
        )
        throttled = GaugeMetricFamily(
            "traspaso_throttled_jobs", "Running jobs that wait for a standby of consulta.", labels=["copy"]
        )
        of = {(each.copy_name, each.state): each for each in state.live}
        for copy in self._names(each.copy_name for each in state.live):
            for name in STATES:
                found = of.get((copy, name))
                jobs.add_metric([copy, str(name)], found.jobs if found else 0)
            waits, runs = of.get((copy, Status.PENDING)), of.get((copy, Status.RUNNING))
            age.add_metric([copy], waits.waiting_seconds if waits else 0)
            running.add_metric([copy], runs.running_seconds if runs else 0)
            done.add_metric([copy], runs.rows_done if runs else 0)
            total.add_metric([copy], runs.rows if runs else 0)
            throttled.add_metric([copy], runs.throttled if runs else 0)
        workers = GaugeMetricFamily("traspaso_workers", "Workers that live, by release.", labels=["version"])
        for release, alive in ({version("traspaso"): 0} | state.workers).items():
            workers.add_metric([release], alive)
        frozen = GaugeMetricFamily("traspaso_freeze_active", "1 while somebody has frozen all copies.")
        frozen.add_metric([], state.frozen_seconds is not None)
        frozen_for = GaugeMetricFamily(
            "traspaso_freeze_seconds", "How long the freeze has been active; 0 without one."
        )
        frozen_for.add_metric([], state.frozen_seconds or 0)
        yield from (jobs, age, running, done, total, throttled, workers, frozen, frozen_for)

    def _runs(self, state: InstallationState) -> Iterator[Metric]:
        live = GaugeMetricFamily(
            "traspaso_runs",
            "Runs that haven't ended, by kind: several liquidations of one copy, or a set.",
            labels=["kind"],
        )
        for kind in RunKind:
            live.add_metric([kind.value], state.runs.get(kind.value, 0))
        ended = CounterMetricFamily(
            "traspaso_runs_ended",
            "What was asked for at once and has ended, by how: a copy by itself (single), or a run. Of a set "
            "it is under its name, else under that of the copy.",
            labels=["copy", "kind", "status"],
        )
        for each in state.sums:
            if each.name == RUNS:
                of_kind, _, status = each.label.partition(" ")
                ended.add_metric([each.copy_name, of_kind, status], each.value)
        yield from (live, ended)

    @staticmethod
    def _owed(state: InstallationState) -> Iterator[Metric]:
        from bot.jobs.outbox import KINDS

        depth = GaugeMetricFamily("traspaso_outbox_messages", "Messages that are owed.", labels=["kind"])
        age = GaugeMetricFamily(
            "traspaso_outbox_age_seconds",
            "For how long the oldest owed message has waited since it was due.",
            labels=["kind"],
        )
        of = {each.kind: each for each in state.owed}
        for kind in dict.fromkeys([*(each.value for each in KINDS), *of]):
            found = of.get(kind)
            depth.add_metric([kind], found.messages if found else 0)
            age.add_metric([kind], found.seconds if found else 0)
        yield from (depth, age)

    @staticmethod
    def _drift(state: InstallationState) -> Iterator[Metric]:
        drift = state.drift
        found = GaugeMetricFamily(
            "traspaso_watched_liquidations",
            "Copied liquidations that the watch has looked at, by what it knows of prod since.",
            labels=["state"],
        )
        found.add_metric(["equal"], drift.equal)
        found.add_metric(["moved_on"], drift.moved_on)
        found.add_metric(["not_known"], drift.not_known)
        yield found
        ended = GaugeMetricFamily(
            "traspaso_watch_ended_timestamp_seconds",
            "When the last round of the watch ended, in seconds since 1970.",
        )
        if drift.ended_at is not None:
            ended.add_metric([], drift.ended_at)
        yield ended

    def _sums(self, state: InstallationState) -> Iterator[Metric]:
        found = {(each.copy_name, each.name, each.label): each for each in state.sums}
        names = self._names(each.copy_name for each in state.sums if each.name != RUNS)

        def value(copy: str, name: str, label: str = "") -> float:
            key = (copy, name, label)
            now = found[key].value if key in found else 0.0
            self._highest[key] = max(now, self._highest.get(key, 0.0))
            return self._highest[key]

        def labels_of(copy: str, name: str) -> list[str]:
            return sorted({key[2] for key in found if key[:2] == (copy, name)})

        ended = CounterMetricFamily(
            "traspaso_jobs_ended", "Jobs that have ended, by how.", labels=["copy", "status"]
        )
        failures = CounterMetricFamily(
            "traspaso_job_failures",
            "Jobs that have failed, by the class of the error.",
            labels=["copy", "code"],
        )
        retries = CounterMetricFamily(
            "traspaso_job_retries",
            "Attempts that ended with an error that passes, by its class.",
            labels=["copy", "code"],
        )
        takeovers = CounterMetricFamily(
            "traspaso_takeovers", "Attempts that were lost with their worker.", labels=["copy"]
        )
        moved = CounterMetricFamily(
            "traspaso_rows", "Rows that copies have put in place, by what it took.", labels=["copy", "change"]
        )
        sent = CounterMetricFamily(
            "traspaso_copied_bytes", "Bytes that copies have sent to consulta.", labels=["copy"]
        )
        chunks = HistogramMetricFamily(
            "traspaso_chunk_seconds", "How long chunks took, each one transaction.", labels=["copy"]
        )
        last = GaugeMetricFamily(
            "traspaso_last_completed_timestamp_seconds",
            "When a job of this copy was last completed, in seconds since 1970.",
            labels=["copy"],
        )
        for copy in names:
            for status in ENDS:
                ended.add_metric([copy, status.value], value(copy, "ended", status.value))
            for code in labels_of(copy, "failures"):
                failures.add_metric([copy, code], value(copy, "failures", code))
            for code in labels_of(copy, "retries"):
                retries.add_metric([copy, code], value(copy, "retries", code))
            takeovers.add_metric([copy], value(copy, "takeovers"))
            for change in CHANGES:
                moved.add_metric([copy, change], value(copy, "rows", change))
            sent.add_metric([copy], value(copy, "bytes"))
            below, buckets = 0.0, []
            for label in CHUNK_LABELS:
                below += value(copy, "chunks", label)
                buckets.append((label, below))
            chunks.add_metric([copy], buckets, value(copy, "chunk_seconds"))
            completed = found.get((copy, "ended", Status.COMPLETED.value))
            if completed is not None and completed.at is not None:
                last.add_metric([copy], completed.at)
        yield from (ended, failures, retries, takeovers, moved, sent, chunks, last)

    def _names(self, found: Iterable[str]) -> list[str]:
        return list(dict.fromkeys([*self._copies, *sorted(found)]))

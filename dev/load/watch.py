"""What is looked at while the load runs, twice a second: memory of each process, who is connected to either
database, and how the jobs are.

Whose a connection is, is told by its port: both ends are on this machine.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from types import TracebackType
from typing import Self

import psutil
import psycopg
from psycopg.rows import class_row

from dev.load.site import Running, Site

EVERY_SECONDS = 0.5
SIDES = ("prod", "consulta")

#: The names of sessions end with the job's number while a chunk is being written.
SESSIONS = """
SELECT client_port, application_name FROM pg_stat_activity
WHERE backend_type = 'client backend' AND datname = current_database() AND application_name LIKE 'traspaso%'
"""
JOBS = """
SELECT id, liquidation_id, status, channel_id, message_ts, stop_requested FROM traspaso.copy_jobs ORDER BY id
"""


@dataclass(frozen=True)
class Job:
    """As much of a job's row as people see of it."""

    id: int
    liquidation_id: int
    status: str
    channel_id: str | None
    message_ts: str | None
    stop_requested: str | None

    @property
    def is_over(self) -> bool:
        return self.status in {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class Memory:
    """MB of one role's processes together: soon after the start, in the middle, at the end, and the most.

    Each but the last is the median of a sixth of the time.
    """

    start: float
    middle: float
    end: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Self:
        part = max(1, len(values) // 6)
        middle = len(values) // 2
        around = values[max(0, middle - part // 2) : middle + part // 2 + 1]
        return cls(median(values[:part]), median(around), median(values[-part:]), max(values))

    @property
    def growth(self) -> float:
        """Of the second half, as a part of what was there in the middle."""
        return (self.end - self.middle) / self.middle


@dataclass
class Watch:
    """A context manager around the time that counts."""

    site: Site
    began: float = 0.0
    ended: float = 0.0
    jobs: list[Job] = field(default_factory=list)
    problem: str | None = None
    _ports: dict[int, str] = field(default_factory=dict)
    _memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _most: dict[str, Counter[str]] = field(default_factory=lambda: {side: Counter() for side in SIDES})
    _most_named: dict[str, Counter[str]] = field(default_factory=lambda: {side: Counter() for side in SIDES})

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.began = time.time()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended = time.time()
        self._over.set()
        self._thread.join(10)

    def memory(self) -> dict[str, Memory]:
        """By role, of those that were there for long enough to tell."""
        return {role: Memory.of(values) for role, values in self._memory.items() if len(values) >= 6}

    def connections(self, side: str) -> dict[str, int]:
        """The most at once, by role, and of all together."""
        return dict(sorted(self._most[side].items()))

    def named(self, side: str) -> dict[str, int]:
        """The most at once, by application_name without a job's number."""
        return dict(sorted(self._most_named[side].items()))

    def _run(self) -> None:
        urls = {"prod": self.site.stack.prod_url, "consulta": self.site.stack.consulta_url}
        try:
            with (
                psycopg.connect(urls["prod"], autocommit=True) as prod,
                psycopg.connect(urls["consulta"], autocommit=True) as consulta,
            ):
                while not self._over.wait(EVERY_SECONDS):
                    self._look(prod, consulta)
        except psycopg.Error as error:
            if not self._over.is_set():
                self.problem = str(error)

    def _look(self, prod: psycopg.Connection, consulta: psycopg.Connection) -> None:
        with consulta.cursor(row_factory=class_row(Job)) as cursor:
            self.jobs = cursor.execute(JOBS).fetchall()
        alive = self.site.alive
        ports = {port: running.role for running in alive for port in _ports(running)}
        sessions = {
            "prod": prod.execute(SESSIONS).fetchall(),
            "consulta": consulta.execute(SESSIONS).fetchall(),
        }
        memory: Counter[str] = Counter()
        for running in alive:
            memory[running.role] += _memory(running)
            ports |= dict.fromkeys(_ports(running), running.role)
        for role, bytes_used in memory.items():
            self._memory[role].append(bytes_used / 2**20)
        for side, seen in sessions.items():
            roles = Counter(ports.get(port) or self._ports.get(port, "not told") for port, _ in seen)
            roles["together"] = len(seen)
            _keep_most(self._most[side], roles)
            _keep_most(self._most_named[side], Counter(_short(name) for _, name in seen))
        self._ports = ports  # of a connection that is gone when its port is looked for


def _keep_most(most: Counter[str], now: Counter[str]) -> None:
    for key, count in now.items():
        most[key] = max(most[key], count)


def _short(name: str) -> str:
    """``traspaso 6f… job 17/1`` is ``traspaso … job …``."""
    return "traspaso … job …" if " job " in name else name


def _memory(running: Running) -> int:
    total = 0
    for process in running.family():
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


def _ports(running: Running) -> list[int]:
    ports = []
    for process in running.family():
        try:
            ports += [each.laddr.port for each in process.net_connections("tcp") if each.laddr]
        except psutil.Error:
            continue
    return ports

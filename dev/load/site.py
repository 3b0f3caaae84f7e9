"""Where the load runs: both databases with their liquidations, a workspace with its people, and the product's
processes, which come and go as they do in a deploy.

The processes are started by the lines of their release's own Procfile, in its own folder: so a release before
can run beside this one.
"""

from __future__ import annotations

import itertools
import shlex
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from dev import seed
from dev.guard import ROOT
from dev.local_slack.client import LocalSlack, Person
from dev.processes import PRODUCT_PROGRAMS, Child, ChildError
from dev.stack import Stack

#: As a server would have it, but careless of the disk: what is measured isn't the disk.
CLUSTER = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_connections": "200",  # above every bound, so that the bound is seen and not the server's limit
}
CHANNELS = {"C0NOMINA": "nomina", "C0CIERRE": "cierre", "C0SUELDOS": "sueldos"}
#: Where people type what only they see the answer of.
LOBBY = "C0LOBBY"
ADMINS = {
    "U0ANA": ("ana", "es-ES"),
    "U0BOB": ("bob", "en-US"),
    "U0DANI": ("dani", "es-ES"),
    "U0EVA": ("eva", "en-US"),
    "U0FLOR": ("flor", "es-ES"),
    "U0GUS": ("gus", "en-US"),
}
OUTSIDERS = {"U0CARLA": ("carla", "es-ES"), "U0HUGO": ("hugo", "en-US")}
BOT_READY, WORKER_READY = "connected to Slack", "ready for action"

ENTRY = """
INSERT INTO liquidations
SELECT n, 'Carga ' || n, '2026-10-01', 'mensual', now() FROM unnest(%s::bigint[]) AS n
"""
STALE = "UPDATE liquidation_items SET amount = amount + 1 WHERE id %% 3 = 0 AND liquidation_id = ANY(%s)"


@dataclass(frozen=True)
class Release:
    """A tree of this repository, and what its Procfile starts."""

    name: str
    tree: Path

    def command(self, process: str) -> list[str]:
        """The program and arguments of one line of the Procfile; programs are those of our environment."""
        lines = dict(
            line.split(":", 1) for line in (self.tree / "Procfile").read_text("utf-8").splitlines() if line
        )
        line = lines[process].rpartition("&& exec ")[2]  # its tables are migrated here once
        program, *arguments = shlex.split(line)
        return [str(PRODUCT_PROGRAMS / program), *arguments]


@dataclass
class Running:
    """A process of the product: from when to when it could work, and how it ended."""

    role: str
    child: Child
    begun: float
    ready: float | None = None
    asked_to_end: float | None = None
    ended: float | None = None
    killed: bool = False
    processes: list[psutil.Process] = field(default_factory=list)

    def family(self) -> list[psutil.Process]:
        """The process and its children, as of now."""
        try:
            top = psutil.Process(self.child.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class Site:
    """A context manager around one stack. ``work`` are settings under ``[work]``, ``copies`` more of them."""

    def __init__(self, work: Mapping[str, float] = {}, copies: str = "") -> None:
        config = (ROOT / "traspaso.example.toml").read_text("utf-8")
        settings = "".join(f"{name} = {value}\n" for name, value in work.items())
        self.stack = Stack(config=f"{config}\n{copies}\n[work]\n{settings}", slack=True, settings=CLUSTER)
        self.history: list[Running] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Site:
        self.stack.__enter__()
        try:
            self.slack = LocalSlack(self.stack.environment()["SLACK_API_URL"].removesuffix("/api/"))
            self.slack.rate_limits(enabled=True, scale=1.0)
            self._people()
            seed.seed_prod(self.stack.prod_url, rows=1)
            seed.seed_consulta(self.stack.consulta_url)
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    # ------------------------------------------------------------------------------------------- the data

    def fill(self, sizes: Mapping[int, int], stale: Iterable[int] = ()) -> None:
        """Liquidations of so many rows in prod; of those in ``stale`` consulta has an older state."""
        self._insert(self.stack.prod_url, dict(sizes))
        with psycopg.connect(self.stack.prod_url) as prod:
            prod.execute(ENTRY, [list(sizes)])
        old = {number: sizes[number] for number in stale}
        if old:
            self._insert(self.stack.consulta_url, old)
            with psycopg.connect(self.stack.consulta_url) as consulta:
                consulta.execute(STALE, [list(old)])
        for url in (self.stack.prod_url, self.stack.consulta_url):
            with psycopg.connect(url, autocommit=True) as side:
                side.execute("VACUUM (ANALYZE) liquidation_items")

    @staticmethod
    def _insert(url: str, sizes: Mapping[int, int]) -> None:
        """Keys of their own: a liquidation's rows are told by its number."""
        with psycopg.connect(url) as side:
            for number, rows in sizes.items():
                statement = seed.ROWS.replace("{id}", f"{number}::bigint * 10000000 + g").encode()
                side.execute(statement, {"liquidations": [number], "sizes": [rows]})

    def _people(self) -> None:
        known = {user["id"] for user in self.slack.ask("info")["users"]}
        for user, (name, locale) in {**ADMINS, **OUTSIDERS}.items():
            if user not in known:
                self.slack.add_user(user, name, name.title(), locale=locale)
        for user in ADMINS:
            self.slack.add_to_group(user)
        everybody = [*ADMINS, *OUTSIDERS, self.slack.bot_user]
        for channel, name in {**CHANNELS, LOBBY: "lobby"}.items():
            self.slack.add_channel(channel, name, everybody)

    def person(self, user: str) -> Person:
        return self.slack.user(user)

    # -------------------------------------------------------------------------------------- the processes

    def migrate(self, release: Release) -> float:
        """`traspaso migrate` of that release; the seconds that it took."""
        began = time.time()
        child = self._start(release, "migrate", [str(PRODUCT_PROGRAMS / "traspaso"), "migrate"])
        child.wait_until(lambda: child.returncode == 0, 120.0, what="success")
        return time.time() - began

    def start(self, role: str, release: Release) -> Running:
        """A process for this role (``bot``, ``worker-1``, …), as soon as it can work."""
        process = "bot" if "bot" in role else "worker"
        running = Running(
            role, self._start(release, f"{role}-{next(self._numbers)}", release.command(process)), time.time()
        )
        with self._lock:
            self.history.append(running)
        running.child.wait_for_line(BOT_READY if process == "bot" else WORKER_READY, 60.0)
        running.ready = time.time()
        return running

    def stop(self, running: Running, timeout_seconds: float = 60.0) -> int:
        """SIGTERM, and its exit code. One that doesn't end logs what its threads are doing, and is ended."""
        running.asked_to_end = time.time()
        running.child.terminate()
        try:
            code = running.child.wait(timeout_seconds)
        except ChildError:
            for process in running.family():
                process.send_signal(signal.SIGABRT)  # of which PYTHONFAULTHANDLER makes a dump
            code = running.child.wait(timeout_seconds)
        running.ended = time.time()
        return code

    def kill(self, running: Running) -> None:
        """kill -9 of all its processes."""
        running.asked_to_end = running.ended = time.time()
        running.killed = True
        running.child.kill()

    @property
    def alive(self) -> list[Running]:
        with self._lock:
            return [running for running in self.history if running.child.running]

    def logs(self, role: str = "") -> list[str]:
        """The lines that processes of this role have logged."""
        return [
            line
            for running in self.history
            if running.role.startswith(role)
            for line in running.child.log().splitlines()
        ]

    def before(self, commit: str) -> Release:
        """That commit's tree, in the stack's folder."""
        tree = self.stack.folder / "before"
        archive = self.stack.folder / "before.tar"
        tree.mkdir()
        subprocess.run(["git", "archive", "-o", archive, commit], cwd=ROOT, check=True)
        with tarfile.open(archive) as content:
            content.extractall(tree, filter="data")
        archive.unlink()
        return Release(commit[:7], tree)

    def _start(self, release: Release, name: str, argv: list[str]) -> Child:
        return Child(
            name,
            argv,
            {**self.stack.environment(), "PYTHONPATH": str(release.tree), "PYTHONFAULTHANDLER": "1"},
            self.stack.folder / f"{name}.log",
            guard=self.stack.guard,
            cwd=release.tree,
        )

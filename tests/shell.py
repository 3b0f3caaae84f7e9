"""A terminal with the settings of both databases, for the tests of `traspaso`."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from dev.guard import ROOT
from tests.copying import Sides

FILE = """
[[copies]]
name = "items"
source_table = "public.items"
target_table = "public.items"
[work]
chunk_rows = 1000
parallel = 1
chunk_seconds = 60
lock_timeout_seconds = 60
stop_seconds = 60
"""
ROWS = 5_000
PASSWORD = "hunter2-very-secret"

#: Each `traspaso` is a process of its own, forked from one that has imported what all of them need.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *("bot.cli", "bot.cli.copy_commands", "migrations", "alembic.command", "rich.table", "rich.console"),
        *("babel.dates", "babel.numbers", "babel.messages.mofile", "babel.messages.pofile", "babel.support"),
        *("bot.cli.job_commands", "bot.cli.operator_commands", "bot.doctor", "tests.shell"),
    ]
)


#: In the environment of a `traspaso`: the audit event at which it is killed, and at which occurrence of it.
DIES_AT = "TEST_DIES_AT"


def die_at(event: str, occurrence: int) -> None:
    """Kills this process (-9) when it comes there for that time."""
    seen = itertools.count(1)

    def look(name: str, _: object) -> None:
        if name == event and next(seen) == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def traspaso(
    arguments: tuple[str, ...], environment: dict[str, str], out: str, err: str, folder: str
) -> None:
    """What the program `traspaso` does, in this process; both streams go to files."""
    os.environ.clear()
    os.environ.update(environment)
    if at := os.environ.pop(DIES_AT, None):
        event, _, occurrence = at.partition(" ")
        die_at(event, int(occurrence or 1))
    os.chdir(folder)
    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    sys.argv = ["traspaso", *arguments]
    from bot.cli import main

    main()


def worker(job_id: int, environment: dict[str, str], dies_at: str, occurrence: int) -> None:
    """What a worker does that takes what this job belongs to, in this process, until it is killed (-9)."""
    from bot import app
    from bot.config import Need, load
    from bot.work.cancellation import StopSwitch

    die_at(dies_at, occurrence)
    app.databases(load(environment, Need.DATABASES | Need.COPIES)).runner.run(job_id, StopSwitch())


class Process:
    """A `traspaso` that runs, with what `subprocess.Popen` has for it."""

    def __init__(
        self, arguments: tuple[str, ...], environment: dict[str, str], folder: str = str(ROOT)
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._paths = [Path(self._folder.name) / name for name in ("out", "err")]
        for path in self._paths:
            path.touch()
        out, err = map(str, self._paths)
        self._process: BaseProcess = PROCESSES.Process(
            target=traspaso, args=(arguments, environment, out, err, folder), daemon=True
        )
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Both streams, when it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"traspaso still runs after {timeout} s")
        out, err = (path.read_text("utf-8") for path in self._paths)
        self._folder.cleanup()
        return out, err


class Shell:
    """A terminal of somebody who has set the two databases and nothing else."""

    def __init__(self, sides: Sides, folder: Path) -> None:
        self.sides = sides
        path = folder / "traspaso.toml"
        path.write_text(FILE, "utf-8")
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PROD_DATABASE_URL": sides.prod.url.replace("postgres@", f"postgres:{PASSWORD}@"),
            "CONSULTA_DATABASE_URL": sides.consulta.url.replace("postgres@", f"postgres:{PASSWORD}@"),
            "TRASPASO_CONFIG": str(path),
        }

    def file_with(self, work: str) -> str:
        """The path of a configuration in which these lines of [work] count instead."""
        names = {line.split(" = ")[0] for line in work.splitlines()}
        kept = [line for line in FILE.splitlines() if line.split(" = ")[0] not in names]
        path = Path(self.environment["TRASPASO_CONFIG"]).with_name("other.toml")
        path.write_text("\n".join([*kept, work]), "utf-8")
        return str(path)

    def begin(self, *arguments: str, folder: str = str(ROOT), **environment: str) -> Process:
        return Process(arguments, {**self.environment, **environment}, folder)

    def run(self, *arguments: str, folder: str = str(ROOT), **environment: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr. ``folder`` is where the terminal is."""
        process = self.begin(*arguments, folder=folder, **environment)
        out, err = process.communicate(timeout=60)
        assert PASSWORD not in out + err
        return process.returncode, out, err

    def jobs(self) -> list[dict[str, Any]]:
        found = self.sides.consulta.rows("SELECT to_jsonb(j) FROM traspaso.copy_jobs j ORDER BY id")
        return [row[0] for row in found]

"""A child process of the demo or of a test: the product as it runs in production, with a log file.

Each child leads a process group of its own, so that a kill -9 takes its helpers with it and a Ctrl-C at the
terminal doesn't reach it; the guard ends it when we are gone. Ready is what its log says, or what the
caller asks of it. With a fork server (`dev.fork_server`) a child is forked from it where that makes no
difference but in time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dev.fork_server import ForkServer, Process
from dev.guard import ROOT, Guard

PRODUCT_PROGRAMS = Path(sys.executable).parent  # of the virtual environment: dramatiq, traspaso, …


class ChildError(RuntimeError):
    """A child ended or was not ready in time; the message ends with the last lines of its log."""


class Child:
    """Started by the constructor."""

    def __init__(
        self,
        name: str,
        argv: Sequence[object],
        env: Mapping[str, str],
        log_path: Path,
        *,
        guard: Guard,
        cwd: Path = ROOT,
        forks: ForkServer | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._begin = log_path.stat().st_size if log_path.exists() else 0
        words, environment = [str(part) for part in argv], {**env, **guard.mark}
        self._process: Process
        with log_path.open("ab") as log:
            if forks is not None and forks.takes(words, environment):
                self._process = forks.start(words, environment, cwd, log_path)
            else:
                self._process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=cwd,
                    start_new_session=True,
                )
        guard.process(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.returncode is None

    def terminate(self) -> None:
        """SIGTERM to the leader alone, as a process manager sends it; it tells its helpers."""
        self._process.terminate()

    def kill(self) -> None:
        """kill -9 of the whole process group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self._process.wait()

    def wait(self, timeout_seconds: float = 30.0) -> int:
        """Its exit code."""
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise ChildError(f"{self.name} still runs after {timeout_seconds:g} s\n{self._tail()}") from None

    def log(self) -> str:
        """What this child wrote; not what an earlier one left in the same file."""
        with self.log_path.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def wait_for_line(self, wanted: str | Callable[[str], bool], timeout_seconds: float = 60.0) -> str:
        """The first line of the log that contains this text, or that this function accepts."""
        found: list[str] = []

        def look() -> bool:
            lines = self.log().splitlines(keepends=True)
            complete = (line.rstrip("\n") for line in lines if line.endswith("\n"))
            found.extend(
                line for line in complete if (wanted in line if isinstance(wanted, str) else wanted(line))
            )
            return bool(found)

        self.wait_until(look, timeout_seconds, what=repr(wanted) if isinstance(wanted, str) else "a line")
        return found[0]

    def wait_until(
        self, ready: Callable[[], bool], timeout_seconds: float = 60.0, what: str = "ready"
    ) -> None:
        """Asks again and again, while the child lives."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            running = self.running  # before the question: its last words count
            if ready():
                return
            if not running:
                raise ChildError(f"{self.name} ended with {self.returncode} before {what}\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ChildError(f"{self.name}: no {what} in {timeout_seconds:g} s\n{self._tail()}")
            time.sleep(0.02)

    def _tail(self) -> str:
        return "\n".join(self.log().splitlines()[-30:])

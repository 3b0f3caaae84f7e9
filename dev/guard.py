"""Ctrl-C, a crash or even `kill -9` leaves no process and no folder behind.

Nobody can clean up after their own SIGKILL, so a second, tiny process does. `Guard` starts it (`python -m
dev.guard`, in a session of its own) with a pipe from here to its standard input, and tells it through the
pipe what there is to clean. When the pipe ends, because the block is left or because this process is gone
for whatever reason, the guardian ends the processes and removes the folders. A normal exit takes the same
road: close the pipe, wait for the guardian.

Three ways lead to a process: it was registered (with its start time, as pids are used again), it descends
from a registered one, or it carries the guard's mark in its environment, which also finds what was started
but not yet registered when we died.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

import psutil

MARK = "TRASPASO_DEV_GUARD"
PATIENCE_SECONDS = 2.0  # between asking politely and SIGKILL
MEMORY = Path("/dev/shm")
ROOT = Path(__file__).resolve().parent.parent


class HasPid(Protocol):
    @property
    def pid(self) -> int: ...


class Guard:
    """Use as a context manager; everything registered inside is gone when the block is left."""

    def __init__(self) -> None:
        self.mark = {MARK: uuid.uuid4().hex}  # belongs into the environment of everything that is started
        self._lock = threading.Lock()
        self._guardian = subprocess.Popen(
            [sys.executable, "-m", "dev.guard", self.mark[MARK], str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != MARK},
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._guardian.pid

    def process(self, process: HasPid, polite: signal.Signals = signal.SIGTERM) -> None:
        """Ends this process and its descendants; `polite` is the first signal (SIGKILL is the last)."""
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid).create_time()
            self._tell({"pid": process.pid, "started": started, "polite": int(polite)})

    def folder(self, path: Path) -> Path:
        """Removes this folder, which need not exist yet, with all that is in it."""
        path = path.absolute()
        if path in (Path.home(), ROOT, *ROOT.parents):
            raise ValueError(f"refusing to remove {path} at the end")
        self._tell({"folder": str(path)})
        return path

    def temp_folder(self, prefix: str = "traspaso-", *, on_disk: bool = False) -> Path:
        """A new folder with a short path, which other users can pass through (see dev/binaries.py).

        It lies in memory where there is plenty, unless `on_disk`: a database is then made in 15 ms, not 250.
        """
        path = _base(on_disk) / f"{prefix}{uuid.uuid4().hex[:8]}"
        self.folder(path)
        path.mkdir(mode=0o700)
        path.chmod(0o711)
        return path

    def close(self) -> None:
        """Cleans up now. Raises if something would not go."""
        with self._lock:
            if self._guardian.stdin is None or self._guardian.stdin.closed:
                return
            self._guardian.stdin.close()
        assert self._guardian.stdout is not None
        with self._guardian.stdout as answer:
            left = answer.read().decode()
        if self._guardian.wait() or left:
            raise RuntimeError(f"could not clean up: {left or 'the guardian failed'}")

    def _tell(self, message: dict[str, object]) -> None:
        assert self._guardian.stdin is not None
        with self._lock:
            self._guardian.stdin.write(json.dumps(message).encode() + b"\n")
            self._guardian.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def passable(path: Path) -> bool:
    """Whether any user can walk down to `path`: all the folders above it are open to others."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


def _base(on_disk: bool) -> Path:
    """$TMPDIR, if set and neither too long nor closed to others; memory, if allowed; or else /tmp."""
    if "TMPDIR" not in os.environ and not on_disk and _roomy(MEMORY):
        return MEMORY
    wished = Path(tempfile.gettempdir())
    fits = len(str(wished)) <= 60 and (os.geteuid() != 0 or passable(wished / "x"))
    return wished if fits else Path("/tmp")


def _roomy(memory: Path) -> bool:
    least = 6 * 2**30
    free = shutil.disk_usage(memory).free if os.access(memory, os.W_OK) else 0
    return free > least and psutil.virtual_memory().available > least


# ------------------------------------------------------------------------------------------- the guardian


def _orders(parent: int) -> Iterator[dict[str, object]]:
    """What the parent says, until the pipe ends or, if a fork of it holds the pipe open, until it is gone."""
    pending = b""
    while True:
        readable, _, _ = select.select([0], [], [], 1.0)
        if not readable:
            if os.getppid() != parent:
                return
            continue
        block = os.read(0, 65536)
        if not block:
            return
        *lines, pending = (pending + block).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


Registered = dict[int, tuple[float, int]]  # pid: (start time, first signal)


def _find(registered: Registered, mark: str, folders: list[Path]) -> dict[psutil.Process, int]:
    """Every living process to end, and the signal it is asked with first; 0 for those that follow another."""
    found: dict[psutil.Process, int] = {}
    for process in psutil.process_iter():
        try:
            if not _alive(process) or _is_guardian(process):
                continue
            started, polite = registered.get(process.pid, (0.0, 0))
            if abs(started - process.create_time()) < 2.0:  # start times move a little when the clock is set
                found[process] = polite
            elif process.environ().get(MARK) == mark or _is_orphan(process, folders):
                found[process] = 0
        except psutil.Error:
            continue
    for process in list(found):
        with suppress(psutil.Error):
            for child in process.children(recursive=True):
                if not _is_guardian(child):
                    found.setdefault(child, 0)
    return found


def _is_guardian(process: psutil.Process) -> bool:
    """Guardians, this one and those of nested stacks, end by themselves when their work is done."""
    return process.cmdline()[1:3] == ["-m", "dev.guard"]


def _is_orphan(process: psutil.Process, folders: list[Path]) -> bool:
    """A PostgreSQL backend that survived its postmaster: it has overwritten the mark in its environment."""
    return process.name() == "postgres" and any(Path(process.cwd()).is_relative_to(f) for f in folders)


def _signal(process: psutil.Process, number: int) -> None:
    with suppress(psutil.Error):
        process.send_signal(number)


def wait_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those still alive after at most so many seconds."""
    deadline = time.monotonic() + seconds
    while (left := [p for p in processes if _alive(p)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _end_all(registered: Registered, mark: str, folders: list[Path]) -> list[str]:
    victims = _find(registered, mark, folders)
    asked = [process for process, polite in victims.items() if polite]
    for process in asked:
        _signal(process, victims[process])
    wait_gone(asked, PATIENCE_SECONDS)
    for _ in range(3):  # once more for what was started meanwhile
        rest = [p for p in {**victims, **_find(registered, mark, folders)} if _alive(p)]
        for process in rest:
            _signal(process, signal.SIGKILL)
        if not wait_gone(rest, PATIENCE_SECONDS):
            break
    return [f"process {process.pid}" for process in _find(registered, mark, folders)]


def _remove(folder: Path) -> list[str]:
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return []
    return [f"folder {folder}"]


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    mark, parent = sys.argv[1], int(sys.argv[2])
    registered: Registered = {}
    folders: list[Path] = []
    for order in _orders(parent):
        match order:
            case {"folder": str(path)}:
                folders.append(Path(path))
            case {"pid": int(pid), "started": float(started), "polite": int(polite)}:
                registered[pid] = (started, polite)
    left = _end_all(registered, mark, folders)
    for folder in reversed(folders):
        left += _remove(folder)
    with suppress(BrokenPipeError):
        os.write(1, ", ".join(left).encode())
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())

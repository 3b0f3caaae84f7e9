"""Whether the threads of a service live: what ``/healthz`` says, without asking any other server.

A worker's service may be several processes (``dramatiq --processes 4``), and one of them answers for all. So
each writes every second into a folder that they share what its threads do; a process that says nothing any
more is told from one that has ended in order, which takes its file away.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bot import periodic

#: No work of a thread takes so long: a statement is given up after ten seconds, a call of Slack too.
HUNG_SECONDS = 180.0
#: A process that has not written for so long is stuck as a whole.
SILENT_SECONDS = 30.0
#: Seconds between two reports.
WRITE_SECONDS = 1.0

#: Threads that aren't ours, by name, and whether each lives.
Others = Callable[[], Mapping[str, bool]]


@dataclass(frozen=True, slots=True)
class Vital:
    """One thread, or one process: what it does, or what is wrong with it."""

    name: str
    ok: bool
    says: str


def own(others: Others = dict, hung_seconds: float = HUNG_SECONDS) -> list[Vital]:
    """The threads of this process."""
    found = []
    for state in periodic.states():
        problem = state.problem(hung_seconds)
        doing = "works" if state.is_working else "waits"
        found.append(
            Vital(state.name, problem is None, problem or f"it {doing}, for {state.seconds:.1f} s so far")
        )
    for name, lives in sorted(others().items()):
        found.append(Vital(name, lives, "it lives" if lives else "it has ended"))
    return found


class SharedVitals:
    """The reports of all processes of a service, in a ``folder`` that nobody else can write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / f"{os.getpid()}.vitals"

    def write(self, vitals: list[Vital]) -> None:
        report = {
            "at": time.monotonic(),  # of the machine, so the same for its processes
            "vitals": [[each.name, each.ok, each.says] for each in vitals],
        }
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(report), "utf-8")
        new.replace(self._file)

    def of_all(self) -> list[Vital]:
        """Everybody's, each with its process's number before its name."""
        found = []
        for file in sorted(self.folder.glob("*.vitals")):
            try:
                report = json.loads(file.read_text("utf-8"))
            except (OSError, ValueError):  # it has ended just now
                continue
            silent = time.monotonic() - report["at"]
            if silent > SILENT_SECONDS:
                found.append(Vital(f"process {file.stem}", False, f"it has said nothing for {silent:.0f} s"))
                continue
            found += [Vital(f"{file.stem}/{name}", ok, says) for name, ok, says in report["vitals"]]
        return found

    def leave(self) -> None:
        """This process ends; the last one takes the folder away."""
        with suppress(OSError):
            self._file.unlink()
        if not list(self.folder.glob("*.vitals")):
            shutil.rmtree(self.folder, ignore_errors=True)


def folder_of_service() -> Path:
    """A folder for the children of this process's parent, which nobody else can write or foresee the use of.

    One of our own where another user has taken the name.
    """
    parent = os.getppid()
    _clear_away()
    folder = Path(tempfile.gettempdir()) / f"traspaso-{os.getuid()}-{parent}-{_began(parent)}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="traspaso-"))


def _clear_away() -> None:
    """Services that were killed have left their folders."""
    if not Path("/proc/self").exists():
        return
    for folder in Path(tempfile.gettempdir()).glob(f"traspaso-{os.getuid()}-*-*"):
        with suppress(OSError, ValueError):
            parent, _, began = folder.name.removeprefix(f"traspaso-{os.getuid()}-").partition("-")
            if _began(int(parent)) != began and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)


def _began(process: int) -> str:
    """When the process began, in ticks since the machine did: its number may be given out again."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    return "0"

"""A clock that can be set and a disk that can be full, for one process at a time, by a preloaded library.

The system's own clock and disk stay as they are. The library is compiled when it is first needed; where there
is no C compiler, the faults that need it aren't drawn.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")
CONTROL = "TRASPASO_CHAOS_SHIM"
SIZE = 16
#: What of a disk is full.
WAL, DATA = 1, 2


class Shim:
    """The control of one process, or of a server with all its sessions."""

    def __init__(self, library: Path, folder: Path, name: str) -> None:
        path = folder / f"{name}.shim"
        path.write_bytes(bytes(SIZE))
        path.chmod(0o644)
        with path.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), SIZE)
        self.environment = {"LD_PRELOAD": str(library), CONTROL: str(path)}
        self._seconds, self._full = 0.0, 0

    def set_clock(self, seconds: float) -> None:
        """So many seconds ahead of the true time; behind it where negative."""
        self._seconds = seconds
        self._write()

    def fill_disk(self, what: int) -> None:
        """Files can't grow any more; 0: they can again."""
        self._full = what
        self._write()

    def reset(self) -> None:
        self._seconds, self._full = 0.0, 0
        self._write()

    def _write(self) -> None:
        self._control[:SIZE] = struct.pack("qq", round(self._seconds * 1e9), self._full)


def compiled(folder: Path) -> Path | None:
    """The library, in this folder; None where it can't be made."""
    if COMPILER is None:
        return None
    library = folder / "shim.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    library.chmod(0o755)
    return library

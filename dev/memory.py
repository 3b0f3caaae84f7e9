"""The most memory that this process has used since it was started.

Linux hands ``ru_maxrss`` on to a child, so that a small child of a large parent would seem large; its own
high-water mark is in /proc. Elsewhere ``ru_maxrss`` has to do.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_kb() -> int:
    """In units of 1,024 bytes."""
    if STATUS.exists():
        lines = (line.split() for line in STATUS.read_text("utf-8").splitlines())
        return next(int(fields[1]) for fields in lines if fields[0] == "VmHWM:")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most

"""Why a running copy is to stop at its next chunk's end, and who asked for it.

``copy_jobs.stop_requested`` and ``stopped_by`` hold what somebody pressed. A worker reads them, and whether
all copies are frozen, in the UPDATE of each step. The process that runs the copy can ask for a stop itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StopReason(StrEnum):
    """The weakest first: of two requests the stronger one counts."""

    RELEASE = "release"  # the worker shuts down: another one goes on
    FREEZE = "freeze"  # nobody goes on until the freeze is lifted
    PAUSE = "pause"  # until somebody resumes it
    CANCEL = "cancel"  # for good


#: Those that ``copy_jobs.stop_requested`` holds.
PRESSED = (StopReason.PAUSE, StopReason.CANCEL)

_STRENGTH = {reason: strength for strength, reason in enumerate(StopReason)}


@dataclass(frozen=True, slots=True)
class StopRequest:
    """``by`` is the row of the user who pressed; None where a freeze or the process itself asks for it."""

    reason: StopReason
    by: int | None = None

    @property
    def is_own_cancel(self) -> bool:
        """Whoever runs the copy in the foreground ends it for good, whatever the row says."""
        return self.reason is StopReason.CANCEL and self.by is None

    def outranks(self, other: StopRequest) -> bool:
        return (_STRENGTH[self.reason], self.is_own_cancel) > (_STRENGTH[other.reason], other.is_own_cancel)

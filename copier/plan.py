"""What a copy is allowed, what it is about to do, and what it did: values for whoever drives it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from copier.counts import Counts
from copier.digest import Digest, Seen
from copier.key_range import KeyRange

ChunkOutcome = Literal["copied", "updated", "replaced", "unchanged"]


def cores() -> int:
    """How many ranges are worth copying at once: the cores, at most four."""
    return max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard a copy may press.

    ``chunk_rows`` is the most that a chunk may have, ``chunk_seconds`` what it should take;
    ``parallel`` how many ranges are copied at once; ``rows_per_second`` caps the whole copy;
    ``lock_timeout_seconds`` is how long a chunk waits for a lock in consulta;
    ``standby_lag_mb`` pauses the copy while a standby of consulta is that far behind; ``lost_seconds`` is
    after what silence of the client a server ends its sessions.
    """

    chunk_rows: int = 100_000
    chunk_seconds: float = 1.0
    parallel: int = field(default_factory=cores)
    rows_per_second: float | None = None
    lock_timeout_seconds: float = 10.0
    standby_lag_mb: float | None = None
    lost_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``total`` rows in prod at ``as_of``; ``held`` rows of the liquidation in consulta just then."""

    as_of: datetime
    total: int
    held: int

    @property
    def holds(self) -> bool:
        """Whether consulta has any row of it."""
        return self.held > 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range that is in place, and what it took.

    ``rows`` are prod's; ``moved`` those among the inserted ones that consulta held under another
    liquidation; ``bytes`` those of the COPY stream; ``source`` prod's digest where it was needed, or came
    with the rows. ``seen`` is what the rows that consulta held already were found to be.
    """

    range: KeyRange
    outcome: ChunkOutcome
    rows: int
    counts: Counts
    moved: int = 0
    bytes: int = 0
    seconds: float = 0.0
    source: Digest | None = None
    seen: Seen | None = None

"""What a copy is allowed, what it is about to do, and what it did: values for whoever drives it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from copier.keyset import KeyRange

Outcome = Literal["copied", "replaced", "unchanged"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard a copy may press: rows a chunk, and how long to wait for a lock in consulta."""

    chunk_rows: int = 50_000
    lock_timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the snapshot holds: ``total`` rows in prod at ``as_of``, ``held`` rows in consulta before."""

    as_of: datetime
    total: int
    held: int
    ranges: tuple[KeyRange, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range that is in place: what it took. ``bytes`` are those of the COPY stream."""

    range: KeyRange
    outcome: Outcome
    rows: int
    deleted: int
    moved: int
    bytes: int
    seconds: float

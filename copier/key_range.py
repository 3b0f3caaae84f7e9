"""Key ranges."""

from __future__ import annotations

from dataclasses import dataclass

Bound = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Chunk ``number`` (from 1) of a plan: the rows with lower < key <= upper."""

    number: int
    lower: Bound | None
    upper: Bound | None
    rows: int

    def __str__(self) -> str:
        low = "-∞" if self.lower is None else ", ".join(self.lower)
        high = "∞" if self.upper is None else ", ".join(self.upper)
        return f"({low}, {high}]"

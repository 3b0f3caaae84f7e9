"""Counts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """What a range's rows are in consulta, by key, seen from prod."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.unchanged + other.unchanged,
        )

    @classmethod
    def of(cls, missing: Collection[object], surplus: Collection[object], unchanged: int) -> Counts:
        """From the keys whose rows only prod has and those whose rows only consulta has."""
        updated = len(frozenset(missing) & frozenset(surplus))
        return cls(len(missing) - updated, updated, len(surplus) - updated, unchanged)

"""Which rows of a range differ: told from 64-bit hashes, without a row leaving its server.

Both sides send the hashes of their rows in the order of the keys, joined into one byte string each (see
`copier.digest` for what is hashed). The rows that only one side has are named by their place in that
order; their keys are asked for afterwards, in the same snapshot.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection
from dataclasses import dataclass

from copier.digest import Digest

#: Rows that are compared at once.
STRETCH = 64


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


@dataclass(frozen=True, slots=True)
class Difference:
    """The places, from 0, of the rows that only prod has and of those that only consulta has."""

    missing: list[int]
    surplus: list[int]

    @classmethod
    def between(cls, source: array[int], target: array[int]) -> Difference:
        """Of the rows' hashes on both sides, in the order of the keys.

        Stretches that are equal, place by place, are passed over: few rows of a range differ as a rule.
        """
        length = max(len(source), len(target))
        starts = [
            at for at in range(0, length, STRETCH) if source[at : at + STRETCH] != target[at : at + STRETCH]
        ]
        return cls(_places(source, target, starts), _places(target, source, starts))


def digest_of(hashes: array[int]) -> Digest:
    """The digest of the rows that have these hashes: folded in halves, until one is left."""
    folded, left = int.from_bytes(hashes.tobytes(), sys.byteorder), len(hashes)
    while left > 1:
        half = left // 2
        folded = folded >> 64 * half ^ folded & (1 << 64 * half) - 1
        left -= half
    return Digest(len(hashes), int.from_bytes(folded.to_bytes(8), signed=True))


def unpacked(packed: bytes | bytearray | None) -> array[int]:
    """Big-endian 64-bit numbers as the server joined them; None stands for no rows."""
    numbers = array("q", packed or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _places(hashes: array[int], others: array[int], starts: list[int]) -> list[int]:
    """Where in these stretches a hash stands that is in none of the others'."""
    known = frozenset(each for at in starts for each in others[at : at + STRETCH])
    return [
        place
        for at in starts
        for place, each in enumerate(hashes[at : at + STRETCH], at)
        if each not in known
    ]

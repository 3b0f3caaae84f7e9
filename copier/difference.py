"""Which rows of a range differ: told from 64-bit hashes, without a row leaving its server.

Both sides send the hashes of all keys and rows of the range, joined into two byte strings (see
`copier.digest` for what is hashed). The rows to replace are named by their keys' hashes, on both sides
alike: should two keys ever share a hash, a row too many is copied, never one too few.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import xor

from copier.digest import Digest


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


@dataclass(frozen=True, slots=True)
class Hashes:
    """One side of a range: the keys' and the rows' hashes, in the same order."""

    keys: array[int]
    rows: array[int]

    @classmethod
    def unpacked(cls, keys: bytes | None, rows: bytes | None) -> Hashes:
        """From what the server sent: big-endian 64-bit numbers, None for no rows."""
        return cls(unpacked(keys), unpacked(rows))

    def keys_of(self, rows: frozenset[int]) -> set[int]:
        if not rows:
            return set()
        return {key for key, row in zip(self.keys, self.rows, strict=True) if row in rows}

    def digest_of(self, keys: frozenset[int]) -> Digest:
        rows = [row for key, row in zip(self.keys, self.rows, strict=True) if key in keys]
        return Digest(len(rows), reduce(xor, rows, 0))

    @property
    def digest(self) -> Digest:
        return Digest(len(self.rows), reduce(xor, self.rows, 0))


@dataclass(frozen=True, slots=True)
class Difference:
    """``keys`` are the hashes of the keys whose rows are to be replaced."""

    keys: frozenset[int]
    counts: Counts

    @classmethod
    def between(cls, source: Hashes, target: Hashes) -> Difference:
        ours, theirs = frozenset(source.rows), frozenset(target.rows)
        missing, surplus = source.keys_of(ours - theirs), target.keys_of(theirs - ours)
        updated = len(missing & surplus)
        return cls(
            keys=frozenset(missing | surplus),
            counts=Counts(
                inserted=len(missing) - updated,
                updated=updated,
                deleted=len(surplus) - updated,
                unchanged=len(source.rows) - len(missing),
            ),
        )


def counts_by_key(source: Iterable[int], target: Iterable[int]) -> Counts:
    """The counts of rows that are all replaced: every common key counts as updated."""
    ours, theirs = frozenset(source), frozenset(target)
    common = len(ours & theirs)
    return Counts(inserted=len(ours) - common, updated=common, deleted=len(theirs) - common)


def unpacked(packed: bytes | None) -> array[int]:
    """Big-endian 64-bit numbers as the server joined them."""
    numbers = array("q", packed or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers

"""Rows' hashes as one byte string."""

from __future__ import annotations

import sys
from array import array

from copier.digest import Digest


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

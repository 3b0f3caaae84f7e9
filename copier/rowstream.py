"""The rows of a COPY as libpq hands them over, one message each, joined into blocks.

What runs once a row is here, and is nothing but what has to be. No row is kept as an object of its own,
of which the garbage collector would have to take care.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat

from copier.digest import EMPTY, Digest
from copier.hashes import digest_of, unpacked

#: Bytes joined before they are handed on: they should stay in a core's cache.
BLOCK_BYTES = 64 * 1024

#: libpq's next message: its length and its bytes. 0: none has come yet; below 0: there is no other.
GetCopyData = Callable[[int], tuple[int, memoryview]]

_NOT_BLOCKING = repeat(1)


class Rows:
    """Rows that go on as they are."""

    def take(self, get_copy_data: GetCopyData, block: bytearray) -> int:
        """Adds rows to the block, until it is full or there is none: then 0, or below 0 at the end."""
        for length, data in map(get_copy_data, _NOT_BLOCKING):
            if length <= 0:
                break
            block += data
            if len(block) >= BLOCK_BYTES:
                break
        return length

    def digest(self) -> Digest | None:
        """Of the rows that came with their hashes."""
        return None


class HashedRows(Rows):
    """Binary rows that each have a hash of 64 bits for their first column, which doesn't go on.

    The format is that of https://www.postgresql.org/docs/current/sql-copy.html: a header, which PostgreSQL
    sends in one message with what follows it; a row is the number of its fields, and each field its length
    and its bytes; a trailer in the place of that number.
    """

    HEADER_BYTES = 19
    COUNT_BYTES = TRAILER_BYTES = 2
    #: Where in a row the hash begins, and where the second field does.
    HASH, SECOND = 6, 14

    def __init__(self) -> None:
        self._columns = b""  # of a row that goes on
        self._header_left = self.HEADER_BYTES
        self._hashes = bytearray()
        self._digest = EMPTY

    def take(self, get_copy_data: GetCopyData, block: bytearray) -> int:
        if not self._columns:
            return self._begin(get_copy_data, block)
        columns, hashes = self._columns, self._hashes
        start, second, trailer = self.HASH, self.SECOND, self.TRAILER_BYTES
        for length, data in map(get_copy_data, _NOT_BLOCKING):
            if length <= trailer:
                if length > 0:
                    block += data
                break
            block += columns
            block += data[second:]
            hashes += data[start:second]
            if len(block) >= BLOCK_BYTES:
                break
        if len(hashes) >= BLOCK_BYTES:
            self._fold()
        return length

    def digest(self) -> Digest:
        self._fold()
        return self._digest

    def _begin(self, get_copy_data: GetCopyData, block: bytearray) -> int:
        """Up to the first row, which tells how many columns there are."""
        length, data = get_copy_data(1)
        if length > 0:
            row = data[self._header_left :]
            block += data[: self._header_left]
            self._header_left = 0
            if len(row) > self.TRAILER_BYTES:
                self._columns = (int.from_bytes(row[: self.COUNT_BYTES]) - 1).to_bytes(self.COUNT_BYTES)
                self._hashes += row[self.HASH : self.SECOND]
                block += self._columns
                row = row[self.SECOND :]
            block += row
        return length

    def _fold(self) -> None:
        self._digest += digest_of(unpacked(self._hashes))
        self._hashes.clear()

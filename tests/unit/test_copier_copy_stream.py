"""A row's hash is taken off on the way, and the row goes on as if it had come alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import reduce
from operator import xor

from hypothesis import given
from hypothesis import strategies as st

from copier.copy_stream import BLOCK_BYTES, HashedRows, Rows
from copier.model import Digest

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
COLUMNS = 2

Row = tuple[int, list[bytes | None]]
ROWS = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.lists(st.none() | st.binary(max_size=40), min_size=COLUMNS, max_size=COLUMNS),
    )
)


def packed(fields: list[bytes | None]) -> bytes:
    """A row as https://www.postgresql.org/docs/current/sql-copy.html describes it."""
    parts = [
        struct.pack("!i", -1) if field is None else struct.pack("!i", len(field)) + field for field in fields
    ]
    return struct.pack("!h", len(fields)) + b"".join(parts)


class Libpq:
    """Gives out the messages as `get_copy_data` does; None: nothing has come yet."""

    def __init__(self, messages: list[bytes | None]) -> None:
        self._messages = iter(messages)

    def get_copy_data(self, non_blocking: int) -> tuple[int, memoryview]:
        assert non_blocking
        message = next(self._messages, b"")
        return -1 if message == b"" else len(message or b""), memoryview(message or b"")


def blocks(rows: Rows, messages: list[bytes | None]) -> Iterator[bytes]:
    libpq, length = Libpq(messages), 0
    while length >= 0:
        block = bytearray()
        while len(block) < BLOCK_BYTES and length >= 0:
            length = rows.take(libpq.get_copy_data, block)
        yield bytes(block)


def as_sent(rows: list[Row]) -> list[bytes]:
    """PostgreSQL sends the header together with what comes after it."""
    each = [packed([struct.pack("!q", value), *fields]) for value, fields in rows] + [TRAILER]
    return [HEADER + each[0], *each[1:]]


@given(ROWS, st.data())
def test_hashes_are_added_up_and_the_rows_go_on_as_if_they_had_come_alone(
    rows: list[Row], data: st.DataObject
) -> None:
    messages: list[bytes | None] = []
    for message in as_sent(rows):
        messages += [None] * data.draw(st.integers(0, 2))
        messages.append(message)
    stream = HashedRows()
    assert b"".join(blocks(stream, messages)) == HEADER + b"".join(packed(row) for _, row in rows) + TRAILER
    assert stream.digest() == Digest(len(rows), reduce(xor, (value for value, _ in rows), 0))


def test_a_header_that_comes_alone_is_passed_on() -> None:
    first, *others = as_sent([(7, [b"a", None]), (8, [b"", b"b"])])
    stream = HashedRows()
    sent = b"".join(blocks(stream, [HEADER, None, first.removeprefix(HEADER), *others]))
    assert sent == HEADER + packed([b"a", None]) + packed([b"", b"b"]) + TRAILER
    assert stream.digest() == Digest(2, 7 ^ 8)


def test_blocks_stay_small_and_no_hash_is_lost_between_them() -> None:
    rows: list[Row] = [(number, [bytes(1000), None]) for number in range(20_000)]
    stream = HashedRows()
    sizes = [len(block) for block in blocks(stream, [*as_sent(rows)])]
    assert sum(sizes) == len(HEADER) + len(rows) * len(packed(rows[0][1])) + len(TRAILER)
    assert max(sizes) < BLOCK_BYTES + 2000
    assert stream.digest() == Digest(len(rows), reduce(xor, range(len(rows))))


def test_rows_without_hashes_go_on_as_they_are() -> None:
    messages: list[bytes | None] = [HEADER + packed([b"a"]), None, packed([None]), TRAILER]
    stream = Rows()
    assert b"".join(blocks(stream, messages)) == HEADER + packed([b"a"]) + packed([None]) + TRAILER
    assert stream.digest() is None

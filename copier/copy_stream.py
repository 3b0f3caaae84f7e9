"""Carries COPY bytes from one PostgreSQL connection to another, without looking at a value.

It uses `psycopg.pq` directly: ``copy.read()`` takes a generator, a lock and a wait for each row, and the
client shares its cores with the servers. libpq hands over one message a row. Rows are joined into blocks,
and no row is kept as an object of its own, of which the garbage collector would have to take care. Memory is
bounded by one block and the sockets' buffers, whatever the size of the liquidation. The target's backend is
the bottleneck: while it works, the source's next rows gather in the socket, so both sides overlap.

Where each row comes with its hash in front of it, the hash is added to a digest of what was sent, and
only the row is sent on.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import repeat

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from copier.connections import PATIENCE_SECONDS, OnSilence, alone_with, cancel
from copier.errors import DatabaseFailed, SideNames, failures_of
from copier.model import EMPTY, Digest
from copier.row_hash import digest_of, unpacked

#: Bytes joined before they are handed on: they should stay in a core's cache.
BLOCK_BYTES = 64 * 1024

#: libpq's next message: its length and its bytes. 0: none has come yet; below 0: there is no other.
GetCopyData = Callable[[int], tuple[int, memoryview]]

_NOT_BLOCKING = repeat(1)
_DONE = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}


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
        """Up to the first row, which says how many columns there are."""
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


@dataclass(frozen=True, slots=True)
class Streamed:
    """What was carried: rows that the source sent and that the target took, and the bytes of the stream.

    ``digest`` is of the rows sent, where they came with their hashes; ``answered`` in how many seconds the
    target was ready to take them.
    """

    sent: int
    taken: int
    bytes: int
    digest: Digest | None = None
    answered: float = 0.0


class CopyStream:
    """A COPY of the source and one of the target, which are sent together and then joined.

    What is sent are messages that end with a COPY; what stands before it is done first. Both connections are
    then inside a transaction. ``on_silence`` is called each `PATIENCE_SECONDS` in which a side stays silent,
    and may raise to give up; the connections are then to be closed. From `send` to the end of `carry` no
    other thread may use them.
    """

    def __init__(
        self,
        source: psycopg.Connection,
        target: psycopg.Connection,
        *,
        names: SideNames,
        hashed: bool = False,
        on_silence: OnSilence = lambda silent: None,
    ) -> None:
        """``hashed``: the rows are `HashedRows`."""
        self._rows = HashedRows() if hashed else Rows()
        self._source = _CopyEnd(source, names.source, on_silence)
        self._target = _CopyEnd(target, names.target, on_silence)
        self._sent_at = 0.0

    def send(self, copy_out: bytes, copy_in: bytes) -> None:
        """Both sides begin at the same time: neither waits for the other's way."""
        with self._source.alone(), self._target.alone():
            with failures_of(self._source.side):
                self._source.send(copy_out)
            self._sent_at = time.monotonic()
            with self._source_goes_on(), failures_of(self._target.side):
                self._target.send(copy_in)

    def answers(self, count: int) -> list[pq.abc.PGresult]:
        """The results of the first statements in the target's message, as they come.

        Raises:
            psycopg.Error: of the first that failed; nothing behind it was done. The source can go on.
        """
        with self._source.alone(), self._target.alone(), self._source_goes_on():
            return [self._target.answer() for _ in range(count)]

    def carry(self) -> Streamed:
        """Joins both, up to the end of the source's rows.

        Raises:
            DatabaseFailed: of the side that failed. Where the target refused the rows (a constraint, say),
                the source's stream was read to its end, and its transaction can go on.
        """
        source, target, rows = self._source, self._target, self._rows
        with source.alone(), target.alone():
            with self._source_goes_on(), failures_of(target.side):
                target.begin(pq.ExecStatus.COPY_IN)
            answered = time.monotonic() - self._sent_at
            total = 0
            try:
                with failures_of(source.side):
                    source.begin(pq.ExecStatus.COPY_OUT)
                while True:
                    with failures_of(source.side):
                        block = source.read_block(rows)
                    if not block:
                        break
                    if not total:
                        sys.audit("traspaso.first_bytes")
                    total += len(block)
                    with failures_of(target.side):
                        target.write_block(block)
                with failures_of(source.side):
                    sent = source.finish()
            except BaseException:
                target.abandon(f"{source.side}'s COPY did not end well")
                raise
            # libpq reports an error of a running COPY IN only at its end; the server throws away what came
            # after.
            with failures_of(target.side):
                taken = target.finish_copy_in()
            return Streamed(sent, taken, total, rows.digest(), answered)

    def abandon(self) -> None:
        """Nobody wants the rows any more: both transactions can be rolled back, or the source's go on."""
        with self._source.alone(), self._target.alone():
            self._source.read_to_the_end()
            try:
                self._target.begin(pq.ExecStatus.COPY_IN)
            except psycopg.Error:
                return
            self._target.abandon("its rows are not wanted any more")

    @contextmanager
    def _source_goes_on(self) -> Iterator[None]:
        """Where the target fails before the first row, the source's rows are thrown away."""
        try:
            yield
        except (DatabaseFailed, psycopg.Error):
            self._source.read_to_the_end()
            raise


class _CopyEnd:
    """One connection in COPY mode, driven without blocking inside libpq."""

    def __init__(self, connection: psycopg.Connection, side: str, on_silence: OnSilence) -> None:
        self.side = side
        self._connection = connection
        self._pgconn = connection.pgconn
        self._on_silence = on_silence
        self._poll = select.poll()
        self._at_end = False

    def alone(self) -> AbstractContextManager[None]:
        """Keeps other threads off the connection."""
        return alone_with(self._connection, self._on_silence)

    def send(self, message: bytes) -> None:
        """A COPY, and what is to be done before it."""
        self._pgconn.send_query(message)
        self._flush()

    def begin(self, expected: pq.ExecStatus) -> None:
        """The answer to what was sent: all before the COPY was done, and that has begun."""
        result = self._result()
        while result is not None and result.status in _DONE:
            result = self._result()
        if result is None or result.status != expected:
            self._drain()
            raise self._error(result)

    def answer(self) -> pq.abc.PGresult:
        """The result of the next statement before the COPY."""
        result = self._result()
        if result is None or result.status not in _DONE:
            self._drain()
            raise self._error(result)
        return result

    def read_block(self, rows: Rows) -> bytearray:
        """The next rows, about `BLOCK_BYTES` of them; empty at the end of the stream."""
        block = bytearray()
        get_copy_data = self._pgconn.get_copy_data
        while len(block) < BLOCK_BYTES and not self._at_end:
            length = rows.take(get_copy_data, block)
            if length == 0:
                self._wait(select.POLLIN)
                self._pgconn.consume_input()
            elif length < 0:
                self._at_end = True
        return block

    def read_to_the_end(self) -> None:
        """Throws the stream away that a COPY OUT has begun, so that its transaction can go on."""
        try:
            self.begin(pq.ExecStatus.COPY_OUT)
            while self.read_block(Rows()):
                pass
            self._drain()
        except (psycopg.Error, OSError):  # whoever uses the connection next finds out
            return
        except BaseException:
            cancel(self._connection)
            self._connection.close()
            raise

    def write_block(self, block: pq.abc.Buffer) -> None:
        while self._pgconn.put_copy_data(block) == 0:
            self._flush()
        self._flush()

    def finish(self) -> int:
        """The row count of a COPY that has no more data."""
        result = self._result()
        self._drain()
        if result is None or result.status != pq.ExecStatus.COMMAND_OK:
            raise self._error(result)
        return result.command_tuples or 0

    def finish_copy_in(self) -> int:
        self._pgconn.put_copy_end()
        self._flush()
        return self.finish()

    def abandon(self, reason: str) -> None:
        """Ends a COPY IN with an error, so that the connection can be rolled back; else closes it."""
        try:
            self._pgconn.put_copy_end(reason.encode())
            self._flush()
            self._result()
            self._drain()
        except (psycopg.Error, OSError):
            self._connection.close()
        except BaseException:
            cancel(self._connection)
            self._connection.close()
            raise

    def _result(self) -> pq.abc.PGresult | None:
        while self._pgconn.is_busy():
            self._wait(select.POLLIN)
            self._pgconn.consume_input()
        return self._pgconn.get_result()

    def _drain(self) -> None:
        while self._result() is not None:
            pass

    def _flush(self) -> None:
        while self._pgconn.flush():
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._pgconn.consume_input()

    def _wait(self, events: int) -> int:
        self._poll.register(self._pgconn.socket, events)
        began = time.monotonic()
        while not (ready := self._poll.poll(PATIENCE_SECONDS * 1000)):
            self._on_silence(time.monotonic() - began)
        return ready[0][1]

    def _error(self, result: pq.abc.PGresult | None) -> psycopg.Error:
        if result is None or not result.error_field(pq.DiagnosticField.SQLSTATE):
            return psycopg.OperationalError(self._pgconn.get_error_message())
        return error_from_result(result, encoding=self._connection.info.encoding)

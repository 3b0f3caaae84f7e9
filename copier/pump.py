"""Carries COPY bytes from one PostgreSQL connection to another, without looking at a value.

The public `psycopg.pq` is used bare: ``copy.read()`` pays a generator, a lock and a wait for each
row, and the client shares its cores with the servers. Rows are joined into blocks; memory is bounded
by one block and the sockets' buffers, whatever the size of the liquidation. The target's backend is
the bottleneck: while it works, the source's next rows gather in the socket, so both sides overlap.

Where each row comes with its hash in front of it, the hash is taken off and added to a digest of what was
sent, and the row goes on as if it had come alone.
"""

from __future__ import annotations

import select
import sys
import time
from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from copier.digest import Digest
from copier.failure import failures_of
from copier.interruptible import PATIENCE_SECONDS, Waiting, alone_with, cancel
from copier.rowstream import BLOCK_BYTES, HashedRows, Rows


@dataclass(frozen=True, slots=True)
class Streamed:
    """What went over: rows that prod sent and that consulta took, and the bytes of the stream.

    ``digest`` is of the rows sent, where they came with their hashes.
    """

    sent: int
    taken: int
    bytes: int
    digest: Digest | None = None


def stream_copy(
    source: psycopg.Connection,
    target: psycopg.Connection,
    copy_out: bytes,
    copy_in: bytes,
    *,
    hashed: bool = False,
    waiting: Waiting = lambda silent: None,
) -> Streamed:
    """Runs ``copy_out`` on the source and ``copy_in`` on the target and joins them.

    Both connections must be inside a transaction. ``hashed`` tells that the rows are
    `HashedRows`. ``waiting`` is called each `PATIENCE_SECONDS` in which a side stays silent, and may raise to
    give up; the connections are then to be closed. No other thread may use them meanwhile.

    Raises:
        DatabaseFailed: of the side that failed. Where consulta refused the rows (a constraint, say),
            prod's stream was read to its end, and prod's transaction can go on.
    """
    rows = HashedRows() if hashed else Rows()
    with alone_with(source, waiting), alone_with(target, waiting):
        return _streamed(_CopyEnd(source, waiting), _CopyEnd(target, waiting), copy_out, copy_in, rows)


def _streamed(
    reader: _CopyEnd, chunk_writer: _CopyEnd, copy_out: bytes, copy_in: bytes, rows: Rows
) -> Streamed:
    with failures_of("consulta"):
        chunk_writer.start(copy_in, pq.ExecStatus.COPY_IN)
    total = 0
    try:
        with failures_of("prod"):
            reader.start(copy_out, pq.ExecStatus.COPY_OUT)
        while True:
            with failures_of("prod"):
                block = reader.read_block(rows)
            if not block:
                break
            if not total:
                sys.audit("traspaso.first_bytes")
            total += len(block)
            with failures_of("consulta"):
                chunk_writer.write_block(block)
        with failures_of("prod"):
            sent = reader.finish()
    except BaseException:
        chunk_writer.abandon("prod's COPY did not end well")
        raise
    # libpq reports an error of a running COPY IN only at its end; the server throws away what came after.
    with failures_of("consulta"):
        taken = chunk_writer.finish_copy_in()
    return Streamed(sent, taken, total, rows.digest())


class _CopyEnd:
    """One connection in COPY mode, driven without blocking inside libpq."""

    def __init__(self, connection: psycopg.Connection, waiting: Waiting) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._waiting = waiting
        self._poll = select.poll()
        self._at_end = False

    def start(self, statement: bytes, expected: pq.ExecStatus) -> None:
        self._pgconn.send_query(statement)
        self._flush()
        result = self._result()
        if result is None or result.status != expected:
            self._drain()
            raise self._error(result)

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
            self._waiting(time.monotonic() - began)
        return ready[0][1]

    def _error(self, result: pq.abc.PGresult | None) -> psycopg.Error:
        if result is None or not result.error_field(pq.DiagnosticField.SQLSTATE):
            return psycopg.OperationalError(self._pgconn.get_error_message())
        return error_from_result(result, encoding=self._connection.info.encoding)

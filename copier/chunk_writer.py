"""Makes key ranges of the target what the source's snapshot holds, each in one transaction with its record.

Nothing is there: the rows are copied. All is there: nothing is written. Some rows differ: only those are
replaced. Most rows differ: the range is replaced as a whole.

Rows to which foreign keys point are updated in place, so that nothing that refers to them is in the way; all
others are deleted and copied, which asks for no UPDATE privilege and fires no UPDATE triggers. Rows are
staged in a temporary table where that is needed: for those updates; where the target holds a key under
another liquidation; and for ranges that only together satisfy a constraint, such as a foreign key into a
later one.

The caller's record of the chunk is written in the same transaction, just before the commit: both are there or
neither is. Where the next range can be begun at once, its transaction begins in the message that commits this
one: the server does one after the other, and nothing of the next where the commit failed. Those commits don't
wait for the disk: a server that crashes loses the rows and their record together, and whoever says that the
copy is completed does so in a commit that waits.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, assert_never

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import Composable, Identifier
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from copier import statements
from copier.batch import (
    COMMIT,
    Rows,
    Statement,
    Transaction,
    driver_of,
    joined,
    rows_of,
    run_batch,
    speaks_utf8,
    with_values,
)
from copier.chunker import RangeCursor
from copier.connections import OnSilence, Sessions, drop_if_unusable, readable, rendered, run
from copier.copy_stream import CopyStream, Streamed
from copier.diff import Difference, Patch, RangeDiff, Replace, Unchanged
from copier.errors import (
    TAKEN,
    CascadeRefused,
    KeySharedInSource,
    NoUsableKey,
    Permanent,
    SideNames,
    Transient,
    failures_of,
)
from copier.foreign_keys import write_without_cascade
from copier.model import WHOLE, Bound, Chunk, Counts, Digest, KeyRange, TableName, Written
from copier.parallel import both_sides
from copier.row_hash import unpacked
from copier.row_versions import Baseline, RangeDiffByVersions
from copier.statements import Held
from copier.table_slice import TableSlice

IDLE_SESSION_TIMEOUT = "57P05"

#: Why rows may not be updated in place though they may be deleted and inserted: two of them exchange a unique
#: value, or the role lacks UPDATE.
NOT_IN_PLACE = TAKEN | {"42501"}

#: READ COMMITTED whatever the role's default is: lanes that share the job's row would fail each other.
BEGIN: Statement = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_CHUNK = f"{statements.LOST}, set_config('synchronous_commit', 'off', true)"
_SAVEPOINT: Statement = "SAVEPOINT traspaso_rows"
_NOTHING = Streamed(0, 0, 0)

#: Writes the record of a chunk within its transaction.
Record = Callable[[Connection, Chunk], None]


class Ledger(Protocol):
    """A record that is one statement for each chunk: it is sent together with the COMMIT, in one message.

    The server commits what the statement lets pass, so one that may not be written has to fail there.
    """

    def line(self, connection: Connection, chunk: Chunk) -> Composable:
        """The statement, all its values in it; nothing is asked by the connection."""

    def written(self, chunk: Chunk, rows: Rows) -> None:
        """The chunk is committed with its line, which has given these rows."""

    def refused(self, error: psycopg.Error) -> BaseException | None:
        """What it means that one of the chunk's last statements failed; None: it means what it says."""


class Target:
    """One connection to the target, for one lane of a copy."""

    def __init__(self, engine: Engine, side: str, sessions: Sessions, rows: TableSlice | None = None) -> None:
        """Connects, for chunks of ``rows``. ``side`` is what the target is called in errors.

        Raises:
            DatabaseFailed: the target can't be reached.
        """
        self._engine = engine
        self._side = side
        self._sessions = sessions
        with failures_of(self._side):
            self.connection = self._connected()
            self._takes_any_text = speaks_utf8(driver_of(self.connection))
            self.serve(rows)

    def serve(self, rows: TableSlice | None) -> None:
        """From the next transaction or moment on it is for chunks of ``rows``."""
        self._revive()
        plain = statements.of_lane(by_index=False)
        self._write = self._settings(statements.lane_of(rows) if rows else plain)
        self._look = self._settings(statements.lane_of(rows, reads=True) if rows else plain)

    @contextmanager
    def transaction(self, begun: Transaction | None = None) -> Iterator[Transaction]:
        """A READ COMMITTED transaction with the engine's settings, for that transaction only.

        It begins with the first message, which ends the last `moment` too, or was ``begun`` by a message
        before. It is committed at the end of the block, unless it was before.
        """
        with failures_of(self._side):
            if begun is None:
                self._revive()
                begun = Transaction(self.connection, *self._end_of_moment(), *self.beginning)
            try:
                yield begun
                if not begun.is_over:
                    self._commit(begun)
            except BaseException:
                self.roll_back()
                raise

    @property
    def beginning(self) -> list[Statement]:
        """What begins a `transaction`."""
        return [BEGIN, self._write]

    @property
    def takes_any_text(self) -> bool:
        """Whether a transaction may begin in the middle of a message: before its settings are made."""
        return self._takes_any_text

    @contextmanager
    def moment(self, tables: Sequence[TableName]) -> Iterator[Moment]:
        """The same, but REPEATABLE READ and READ ONLY: all that is read of these tables is one snapshot.

        It is over with the next transaction or moment, which is to follow.
        """
        with failures_of(self._side):
            self._revive()
            first = [*self._end_of_moment(), statements.BEGIN_MOMENT]

            def begin(asked: Sequence[Statement]) -> list[Rows]:
                then = [self._look, *asked]
                locked = self._sessions.lock_for_reading(self.connection, self._side, tables, first, then)
                return locked[1][1:]

            try:
                yield Moment(self.connection, begin)
            except BaseException:
                drop_if_unusable(self.connection)
                if not self.connection.invalidated:
                    driver_of(self.connection).rollback()
                raise

    def rest(self) -> None:
        """Gives the connection back, for others; the next transaction or moment takes one again."""
        self._sessions.shut(self.connection)

    def _commit(self, begun: Transaction) -> None:
        begun.flush()
        if self.connection.in_transaction():  # SQLAlchemy's own, as a record by its means begins it
            self.connection.commit()
        else:
            driver_of(self.connection).commit()

    def roll_back(self) -> None:
        if self.connection.closed:
            return
        if not self.connection.invalidated:
            drop_if_unusable(self.connection)
        if self.connection.in_transaction():
            self.connection.rollback()
        elif not self.connection.invalidated:
            driver_of(self.connection).rollback()

    def _connected(self) -> Connection:
        return self._sessions.open(self._engine, self._side)

    def _settings(self, of_lane: str) -> Composable:
        return with_values(self.connection, f"{of_lane}, {_CHUNK}", self._sessions.values)

    def _end_of_moment(self) -> list[Statement]:
        begun = driver_of(self.connection).info.transaction_status == TransactionStatus.INTRANS
        return [COMMIT] if begun else []

    def _revive(self) -> None:
        """Connects again where the server has ended the session because it was idle.

        A lane may wait between two chunks, to keep a cap or for a standby. Any other loss is raised: a server
        that was restarted may have lost chunks. Only a server that ends a session says anything in between
        two transactions, so one that has said nothing isn't asked.
        """
        if self.connection.closed:
            self.connection = self._connected()
            return
        driver = driver_of(self.connection)
        if driver.info.transaction_status != TransactionStatus.IDLE or not readable(driver.pgconn.socket, 0):
            return
        try:
            self.connection.exec_driver_sql("SELECT 1")
            self.connection.rollback()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != IDLE_SESSION_TIMEOUT:
                raise
            self._sessions.shut(self.connection)
            self.connection = self._connected()


class Moment:
    """One snapshot of the target's table, which is locked before that is taken, as in `copier.snapshot`."""

    def __init__(self, connection: Connection, begin: Callable[[Sequence[Statement]], list[Rows]]) -> None:
        """``begin`` takes the lock and asks these statements, all in one message; it gives their rows."""
        self._connection = connection
        self._begin: Callable[[Sequence[Statement]], list[Rows]] | None = begin

    def ask(self, *statements: Statement) -> list[Rows]:
        """The rows of each of the statements; the first message takes the lock and the snapshot."""
        begin, self._begin = self._begin, None
        return run_batch(self._connection, *statements) if begin is None else begin(statements)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The COPY that gives rows of the source, each with its hash in front where they are ``hashed``."""

    copy_out: Composable
    hashed: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """A range whose transaction, and whose COPY, began with the message that committed the one before it."""

    key_range: KeyRange
    started: float
    transaction: Transaction
    stream: CopyStream
    failure: psycopg.Error | None = None


def nothing_follows() -> KeyRange | None:
    """For a range after which none may begin at once."""
    return None


class ChunkWriter:
    """One lane: a reader of the source's snapshot and a connection to the target."""

    def __init__(
        self,
        reader: Connection,
        connection: Target,
        source: TableSlice,
        target: TableSlice,
        *,
        known_empty: bool,
        hashed: bool,
        on_silence: OnSilence,
        looks_back: bool = False,
        baseline: Baseline | None = None,
        still: str | None = None,
        anew: bool = False,
    ) -> None:
        """``known_empty``: the target held no row of the liquidation. ``hashed`` is that of `Copy.run`, and
        ``anew`` that of `RangeDiff`.

        ``looks_back``: where a range is begun together with the commit of the one before, that one's values
        are compared in between.
        With a ``baseline`` the ranges are its own, and row versions show what changed in them.
        ``still`` is that of `RangeDiffByVersions`.
        """
        self._reader = reader
        self._connection = connection
        self._source = source
        self._target = target
        by_values = RangeDiff(reader, source, target, anew=anew)
        self._range_diff = (
            RangeDiffByVersions(reader, source, target, baseline, by_values, still=still)
            if baseline
            else by_values
        )
        self._known_empty = known_empty
        self._hashed = hashed
        self._on_silence = on_silence
        self._looks_back = looks_back
        self._begun: Begun | None = None
        self._answered: float | None = None

    @property
    def begun(self) -> KeyRange | None:
        """The range that was begun together with the end of the one before: it is to be put in place next."""
        return self._begun.key_range if self._begun else None

    @property
    def answers_in(self) -> float | None:
        """In how many seconds the target has answered at best; None where that isn't known yet."""
        return self._answered

    def put_in_place(
        self,
        key_range: KeyRange,
        record: Record | Ledger,
        following: Callable[[], KeyRange | None] = nothing_follows,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Chunk:
        """One transaction: the range and its record.

        ``following`` is asked for the next range, once the rows of this one are there, where it may be begun
        together with the commit. It gives None where it isn't to be begun at once. See `begun`. Where
        ``should_stop`` gives True by then none is begun, and what has begun is given up.
        """
        begun, self._begun = self._begun, None
        started = begun.started if begun else time.monotonic()
        difference = self._difference(key_range)
        with self._connection.transaction(begun.transaction if begun else None) as transaction:
            if begun and begun.failure:
                raise begun.failure
            chunk = self._written(transaction, key_range, difference, begun.stream if begun else None)
            chunk = replace(chunk, seconds=time.monotonic() - started)
            goes_on = not callable(record) and self._may_go_on(transaction) and not should_stop()
            if not callable(record) and goes_on and (after := following()) is not None:
                chunk, self._begun = self._recorded_and_begun(transaction, chunk, record, after)
                if should_stop():
                    self._give_up()
            else:
                recorded(transaction, [chunk], record)
        sys.audit("traspaso.chunk_committed", key_range.number)
        return chunk

    def _give_up(self) -> None:
        """Takes back the range that began with the last commit: that commit brought a request to stop."""
        begun, self._begun = self._begun, None
        if begun is not None and begun.failure is None:
            begun.stream.abandon()
        self._connection.roll_back()

    def _may_go_on(self, transaction: Transaction) -> bool:
        """Whether it is known without a look what the next range needs, and one message may do it."""
        return (
            self._known_empty
            and self._connection.takes_any_text
            and not transaction.connection.in_transaction()
        )

    def _recorded_and_begun(
        self, transaction: Transaction, chunk: Chunk, ledger: Ledger, key_range: KeyRange
    ) -> tuple[Chunk, Begun]:
        """Commits the chunk with its line, looks at it, and begins the next range, in one message."""
        started = time.monotonic()
        line = ledger.line(transaction.connection, chunk)
        before = transaction.take()
        looks = self._looks_back and chunk.source is not None
        look = [statements.digest_by_writer(self._target, chunk.range)] if looks else []
        beginning = self._connection.beginning
        following = Transaction(transaction.connection, *beginning, *look, _SAVEPOINT)
        message = Transaction(transaction.connection, *before, line, COMMIT, *following.take())
        rows, table = self._whole(key_range), self._target.table.identifier
        stream = self._stream(message, rows, table)
        try:
            *_, written, _ = stream.answers(len(before) + 2)
        except psycopg.Error as error:
            if (meaning := ledger.refused(error)) is not None:
                raise meaning from error
            raise
        transaction.is_over = True
        begun = Begun(key_range, started, following, stream)
        try:
            ledger.written(chunk, rows_of(transaction.connection, written))
            if looks:
                *_, found = stream.answers(len(beginning) + 1)
                chunk = replace(chunk, seen=_seen(chunk, rows_of(transaction.connection, found)))
        except psycopg.Error as error:  # of what has begun: the chunk is in place
            begun = replace(begun, failure=error)
        except BaseException:
            stream.abandon()
            raise
        return chunk, begun

    def put_in_place_together(self, key_ranges: Sequence[KeyRange], record: Record | Ledger) -> list[Chunk]:
        """One transaction for ranges that a constraint refuses one by one, each with its record."""
        started = time.monotonic()
        to_write: list[tuple[KeyRange, Replace | Patch]] = []
        unchanged: list[Chunk] = []
        for key_range in key_ranges:
            match self._difference(key_range):
                case Unchanged() as same:
                    unchanged.append(_unchanged(key_range, same))
                case difference:
                    to_write.append((key_range, difference))
        with self._connection.transaction() as begun:
            chunks = [*self._merged(begun, to_write), *unchanged]
            seconds = (time.monotonic() - started) / len(chunks)
            chunks = [replace(chunk, seconds=seconds) for chunk in chunks]
            recorded(begun, chunks, record)
        return chunks

    def _difference(self, key_range: KeyRange) -> Difference:
        if self._known_empty:
            return Replace(Counts(inserted=key_range.rows))
        with self._connection.moment(self._target.tables) as moment:
            return self._range_diff.of(moment, key_range)

    def _written(
        self, begun: Transaction, key_range: KeyRange, difference: Difference, stream: CopyStream | None
    ) -> Chunk:
        """``stream`` where its rows are on their way already."""
        match difference:
            case Unchanged():
                return _unchanged(key_range, difference)
            case Replace(is_new=False) | Patch() if self._target.is_referenced:
                return self._merged(begun, [(key_range, difference)])[0]
            case Replace() | Patch():
                if stream is None:
                    begun.later(_SAVEPOINT)
                try:
                    chunk = self._copied(begun, key_range, difference, stream)
                except Permanent as refusal:
                    if refusal.sqlstate not in TAKEN or not self._target.keys.across_liquidations:
                        raise
                    begun.later("ROLLBACK TO SAVEPOINT traspaso_rows", "RELEASE SAVEPOINT traspaso_rows")
                    return self._merged(begun, [(key_range, difference)])[0]
                begun.later("RELEASE SAVEPOINT traspaso_rows")
                return chunk
        assert_never(difference)

    def _copied(
        self, begun: Transaction, key_range: KeyRange, difference: Replace | Patch, stream: CopyStream | None
    ) -> Chunk:
        """Deletes the rows that differ, and copies the source's straight into the table."""
        match difference:
            case Replace(is_new=False):
                begun.later(statements.delete(self._target, key_range))
            case Patch(surplus=surplus) if surplus:
                begun.later(statements.delete(self._target, key_range, surplus))
        if stream is None:
            streamed = self._streamed(begun, key_range, difference, self._target.table.identifier)
        else:
            streamed = self._carried(stream)
        self._refuse_dropped_rows(streamed.sent, streamed.taken)
        return _chunk(key_range, difference, streamed)

    def _merged(
        self, begun: Transaction, differences: Sequence[tuple[KeyRange, Replace | Patch]]
    ) -> list[Chunk]:
        """Stages the rows of all these ranges and merges them in one statement.

        Raises:
            KeySharedInSource: a row of another liquidation has the key, and the source still holds it there.
        """
        if not differences:
            return []
        begun.later(statements.create_staging(self._target))
        streamed = [
            self._streamed(begun, key_range, each, statements.STAGING) for key_range, each in differences
        ]
        begun.flush()
        connection = begun.connection
        taken = self._taken_from_others(connection)
        surplus = [] if self._known_empty else list(_surplus(differences))
        sent = sum(each.sent for each in streamed)
        self._refuse_unmerged_rows(connection, sent, self._merge(connection, surplus, taken, sent))
        chunks = [
            _chunk(key_range, each, went)
            for (key_range, each), went in zip(differences, streamed, strict=True)
        ]
        # Which of the ranges a row was moved into isn't asked: the first one counts them.
        return [replace(chunks[0], moved=len(taken)), *chunks[1:]]

    def _merge(
        self,
        connection: Connection,
        surplus: Sequence[tuple[KeyRange, Sequence[Bound] | None]],
        taken: Sequence[Held],
        staged: int,
    ) -> int:
        """In place where foreign keys point to the rows; the number of staged rows that are there then."""
        why: Permanent | None = None
        if self._target.in_place:
            try:
                with failures_of(self._target.side), connection.begin_nested() as attempt:
                    merged = self._merge_by(
                        connection, statements.merge(self._target, surplus, taken, in_place=True)
                    )
                    if merged == staged or not self._target.always:
                        return merged
                    attempt.rollback()  # a value differs that no UPDATE may set
            except Permanent as refusal:
                if refusal.sqlstate not in NOT_IN_PLACE:
                    raise
                why = refusal
        try:
            return self._merge_by(connection, statements.merge(self._target, surplus, taken, in_place=False))
        except CascadeRefused:
            if why is None:
                raise
            raise why from None  # such as two rows that exchange a unique value

    def _merge_by(self, connection: Connection, statement: Composable) -> int:
        merged = 0

        def write() -> int:
            nonlocal merged
            counts = [*run(connection, statement).one()]
            merged, touched = int(counts[0]), int(counts[1])
            return touched

        write_without_cascade(self._target, lambda question: [*run(connection, question)], write)
        return merged

    def _taken_from_others(self, connection: Connection) -> list[Held]:
        """The rows of other liquidations that have one of the staged keys."""
        if not self._target.keys.across_liquidations:
            return []
        found = run(connection, statements.held_elsewhere(self._target))
        held: list[Held] = [(row.place, row.key) for row in found]
        refuse_shared_keys(self._reader, self._source, self._target, held)
        return held

    def _refuse_unmerged_rows(self, connection: Connection, staged: int, merged: int) -> None:
        """Staged rows that are not in place were staged twice, dropped, or somebody else has them in hand."""
        if staged == merged:
            return
        if run(connection, statements.repeats_staged_key(self._target)).scalar_one():
            raise NoUsableKey(
                f"key ({', '.join(self._target.key)}) names more than one row of table {self._source.table} "
                f"of {self._source.side}: name another key"
            )
        if any(trigger.before for trigger in self._target.triggers):
            self._refuse_dropped_rows(staged, merged)
        raise Transient(
            f"rows of table {self._target.table} of {self._target.side} were changed by somebody else at the "
            "same time",
            side=self._target.side,
            condition="RowsChanged",
            table=self._target.table.name,
        )

    def _refuse_dropped_rows(self, sent: int, taken: int) -> None:
        if sent != taken:
            table = self._target.table
            raise Permanent(
                f"{self._target.side} took {taken} of {sent} rows (table {table}): a trigger or a rule there "
                "drops rows",
                side=self._target.side,
                condition="RowsDropped",
                table=table.name,
            )

    def _streamed(
        self, begun: Transaction, key_range: KeyRange, difference: Replace | Patch, table: Identifier
    ) -> Streamed:
        """Copies the rows that the target lacks into this table of the target."""
        match difference:
            case Patch(missing=()):
                return _NOTHING
            case Patch(missing=missing):
                rows = _Rows(statements.copy_out(self._source, key_range, missing))
            case Replace(source=None):  # its digest isn't known yet
                rows = self._whole(key_range)
            case Replace():
                rows = _Rows(statements.copy_out(self._source, key_range))
        return self._carried(self._stream(begun, rows, table))

    def _whole(self, key_range: KeyRange) -> _Rows:
        """The range's rows, with their hashes where these are wanted, and binary COPY can carry them."""
        if self._hashed and self._source.matched.binary:
            return _Rows(statements.copy_out_hashed(self._source, key_range), hashed=True)
        return _Rows(statements.copy_out(self._source, key_range))

    def _stream(self, begun: Transaction, rows: _Rows, table: Identifier) -> CopyStream:
        """Sends what waits, and COPY to both sides."""
        source, target = driver_of(self._reader), driver_of(begun.connection)
        stream = CopyStream(
            source,
            target,
            names=SideNames(self._source.side, self._target.side),
            hashed=rows.hashed,
            on_silence=self._on_silence,
        )
        copy_in = statements.copy_in(table, self._target.matched)
        stream.send(rendered(rows.copy_out, self._reader).encode(), joined(target, [*begun.take(), copy_in]))
        return stream

    def _carried(self, stream: CopyStream) -> Streamed:
        streamed = stream.carry()
        self._answered = min(self._answered or streamed.answered, streamed.answered)
        return streamed


def recorded(begun: Transaction, chunks: Sequence[Chunk], record: Record | Ledger) -> None:
    """Writes the records of the chunks, the last of what their transaction does."""
    if callable(record):
        begun.flush()
        for chunk in chunks:
            record(begun.connection, chunk)
        return
    lines = [record.line(begun.connection, chunk) for chunk in chunks]
    try:
        answers = begun.ask(*lines, COMMIT)
    except psycopg.Error as error:
        if (meaning := record.refused(error)) is not None:
            raise meaning from error
        raise
    for chunk, rows in zip(chunks, answers, strict=False):
        record.written(chunk, rows)


def refuse_shared_keys(
    connection: Connection, source: TableSlice, target: TableSlice, held: Sequence[Held]
) -> None:
    """``held`` are rows of the target: their liquidations and keys. The source is asked by ``connection``.

    Raises:
        KeySharedInSource: the source has one of these rows in the other liquidation too.
    """
    if not held:
        return
    with failures_of(source.side):
        shared = run(connection, statements.holds_any(source, held)).scalar_one()
    if shared:
        raise KeySharedInSource(
            str(target.table),
            list(target.key),
            ", ".join(target.keys.place),
            SideNames(source.side, target.side),
        )


def _surplus(
    differences: Sequence[tuple[KeyRange, Replace | Patch]],
) -> Iterator[tuple[KeyRange, Sequence[Bound] | None]]:
    """The ranges in which rows may have to go, and the keys of those rows; None stands for all of them."""
    for key_range, difference in differences:
        match difference:
            case Replace():
                yield key_range, None
            case Patch(surplus=surplus) if surplus:
                yield key_range, surplus


def _seen(chunk: Chunk, found: Rows) -> Written | None:
    """What the look at a chunk has found: by transaction, its xid, rows and their digest."""
    if len(found) != 1:
        return None
    [[xid, rows, value]] = found
    return Written(xid) if Digest(rows, value) == chunk.source else None


def _unchanged(key_range: KeyRange, same: Unchanged) -> Chunk:
    counts = Counts(unchanged=same.rows)
    return Chunk(key_range, "unchanged", same.rows, counts, source=same.source, seen=same.seen)


def _chunk(key_range: KeyRange, difference: Replace | Patch, streamed: Streamed) -> Chunk:
    """A range that was written, by what differed in it and what was streamed."""
    counts, size = difference.counts, streamed.bytes
    rows = counts.inserted + counts.updated + counts.unchanged
    match difference:
        case Replace(is_new=True, source=source):
            sent = streamed.sent
            return Chunk(
                key_range, "copied", sent, Counts(inserted=sent), bytes=size, source=source or streamed.digest
            )
        case Replace(source=source):
            return Chunk(key_range, "replaced", rows, counts, bytes=size, source=source or streamed.digest)
        case Patch(source=source, seen=seen):
            return Chunk(key_range, "updated", rows, counts, bytes=size, source=source, seen=seen)


# ----------------------------------------------------------------------------
# Surplus rows
#
# Removes the rows of the target whose keys the source doesn't have, beside the ranges of a copy.
#
# A copy removes such rows range by range, together with what it writes there. In a set of tables that
# isn't enough: a row to which others refer goes after those, and a row that is to be written may need a
# value that only a surplus row has. Here they are found by the hashes of their keys, and removed a range a
# transaction, each with its record.


class Surplus:
    """The surplus rows of one table."""

    def __init__(
        self,
        reader: Connection,
        connection: Target,
        source: TableSlice,
        target: TableSlice,
        *,
        cut: Callable[[], RangeCursor],
        rows: int,
    ) -> None:
        """``reader`` is in the source's snapshot. ``cut`` gives the ranges, of at most so many ``rows``."""
        self._reader = reader
        self._connection = connection
        self._source = source
        self._target = target
        self._cut = cut
        self._rows = rows

    def is_there(self) -> bool:
        """Whether the target has any. Where both sides have the same keys, that takes one look at each."""
        [wanted], [held] = both_sides(
            lambda: self._ask_source(statements.key_digest(self._source, WHOLE)),
            lambda: self._ask_target(statements.key_digest(self._target, WHOLE)),
        )
        if held == wanted:
            return False
        return next(self._found(), None) is not None

    def loosen(self, record: Record | Ledger, columns: Sequence[str], number: Callable[[], int]) -> None:
        """Has them refer to nothing by these columns any more. ``number`` gives each record its own."""
        for key_range, keys in self._found():
            with self._connection.transaction() as begun:
                self._write(begun, statements.loosen(self._target, key_range, keys, columns))
                recorded(begun, [_removed(key_range, number(), 0, 0.0)], record)

    def remove(
        self,
        record: Record | Ledger,
        number: Callable[[], int],
        *,
        of_each_other: Callable[[Permanent], bool],
    ) -> None:
        """Deletes those that may go. ``number`` gives each record its own.

        Rows that are refused because such rows refer to each other, as ``of_each_other`` tells, are deleted
        together at the end.

        Raises:
            Permanent: something refers to one of them.
            CascadeRefused: a foreign key would have changed what refers to one of them.
        """
        refused: list[Bound] = []
        for key_range, keys in self._found():
            try:
                self._remove(key_range, keys, record, number)
            except Permanent as refusal:
                if not of_each_other(refusal):
                    raise
                refused += keys
        if refused:
            self._remove(WHOLE, refused, record, number)

    def _remove(
        self, key_range: KeyRange, keys: Sequence[Bound], record: Record | Ledger, number: Callable[[], int]
    ) -> None:
        started = time.monotonic()
        with self._connection.transaction() as begun:
            gone = self._write(begun, statements.remove(self._target, key_range, keys))
            if gone:
                seconds = time.monotonic() - started
                recorded(begun, [_removed(key_range, number(), gone, seconds)], record)

    def _write(self, begun: Transaction, statement: Composable) -> int:
        """Gives how many rows the statement, which says so, has changed."""
        rows = 0

        def write() -> int:
            nonlocal rows
            [[found]] = begun.ask(statement)[0]
            rows = int(found)
            return rows

        write_without_cascade(self._target, lambda question: begun.ask(question)[0], write)
        return rows

    def _found(self) -> Iterator[tuple[KeyRange, list[Bound]]]:
        """The ranges that have any, and their keys as the target writes them."""
        ranges = self._cut()
        while (key_range := ranges.next(self._rows)) is not None:
            [[wanted]], [[held]] = both_sides(
                partial(self._ask_source, statements.key_hashes_in_order(self._source, key_range)),
                partial(self._ask_target, statements.key_hashes_in_order(self._target, key_range)),
            )
            places = _places(unpacked(held), unpacked(wanted))
            if places:
                found = self._ask_target(statements.keys_at(self._target, key_range, places))
                yield key_range, [tuple(key) for (key,) in found]

    def _ask_source(self, question: Composable) -> Rows:
        with failures_of(self._source.side):
            return run_batch(self._reader, question)[0]

    def _ask_target(self, question: Composable) -> Rows:
        with self._connection.moment(self._target.tables) as moment:
            return moment.ask(question, COMMIT)[0]


def _places(held: array[int], wanted: array[int]) -> list[int]:
    known = frozenset(wanted)
    return [place for place, each in enumerate(held) if each not in known]


def _removed(key_range: KeyRange, number: int, rows: int, seconds: float) -> Chunk:
    return Chunk(
        replace(key_range, number=number, rows=0), "removed", 0, Counts(deleted=rows), seconds=seconds
    )

"""Consulta's side: one transaction a chunk, in which the range becomes what prod holds.

The caller's record of the chunk is written in the same transaction, just before the commit: both
are there or neither is. Those commits don't wait for the disk: a server that crashes loses the rows
and their record together, and whoever says that the copy is completed does so in a commit that waits.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from psycopg.sql import Composable, Identifier
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from copier import statements
from copier.connections import Sessions, Waiting, driver_of, drop_if_unusable, rendered, run
from copier.copy_stream import Streamed, stream_copy
from copier.diff import Found, RangeDiff
from copier.errors import KeySharedInProd, NoUsableKey, Permanent, Transient, failures_of
from copier.model import Bound, Chunk, ChunkOutcome, Counts, Digest, KeyRange, TableName
from copier.statements import Held
from copier.table_slice import TableSlice

#: A connection that was idle for so many seconds is asked whether it still lives.
IDLE_SECONDS = 0.1
IDLE_SESSION_TIMEOUT = "57P05"

_CHUNK = f"{statements.LOST}, set_config('synchronous_commit', 'off', true)"


class Target:
    """One connection to consulta for one lane of a copy."""

    def __init__(self, engine: Engine, sessions: Sessions, rows: TableSlice | None = None) -> None:
        """Connects, for chunks of ``rows``.

        Raises:
            DatabaseFailed: consulta can't be reached.
        """
        self._engine = engine
        self._sessions = sessions
        by_index, holds_names = (rows.has_index, rows.holds_names) if rows else (False, False)
        self._write = text(f"{statements.of_lane(by_index=by_index)}, {_CHUNK}")
        self._look = text(f"{statements.of_lane(by_index=by_index, qualified=holds_names)}, {_CHUNK}")
        with failures_of("consulta"):
            self.connection = self._connected()
        self._used = time.monotonic()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A READ COMMITTED transaction with the engine's settings, for that transaction only."""
        with self._begun() as connection:
            connection.execute(self._write, self._sessions.values)
            yield connection

    @contextmanager
    def moment(self, table: TableName) -> Iterator[Connection]:
        """The same, but REPEATABLE READ and READ ONLY: all that is read in it is one snapshot.

        The table is locked before that is taken, as in `copier.snapshot`.
        """
        with self._begun() as connection:
            connection.exec_driver_sql(statements.ONE_MOMENT)
            self._sessions.lock_for_reading(connection, "consulta", table)
            connection.execute(self._look, self._sessions.values)
            yield connection

    def close(self) -> None:
        self._sessions.shut(self.connection)

    def _connected(self) -> Connection:
        """Whatever the role's default isolation is: lanes that share the job's row would fail each other."""
        return self._sessions.open(self._engine, "consulta")

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with failures_of("consulta"):
            if time.monotonic() - self._used > IDLE_SECONDS:
                self._revive()
            with self.connection.begin():
                yield self.connection
            self._used = time.monotonic()

    def _revive(self) -> None:
        """A lane waits between two chunks, to keep a cap or for a standby: where the server has ended its
        idle session for that, it gets another one. A server that was restarted is another matter: it may have
        lost chunks.
        """
        try:
            self.connection.exec_driver_sql("SELECT 1")
            self.connection.rollback()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != IDLE_SESSION_TIMEOUT:
                raise
            self._sessions.shut(self.connection)
            self.connection = self._connected()


# ----------------------------------------------------------------------------
# Makes ranges of consulta what prod's snapshot holds, with the least that has to be written.
#
# Nothing is there: the rows are copied. All is there: nothing is written. Some rows differ: only those
# are replaced. Most rows differ: the range is replaced as a whole.
#
# Rows to which foreign keys point are updated in place, so that nothing that refers to them is in the way;
# all others are deleted and copied, which asks for no UPDATE privilege and fires no UPDATE triggers. Rows are
# staged in a temporary table where that is needed: for those updates; where consulta holds a key under
# another liquidation; and for ranges that only together satisfy a constraint, such as a foreign key into a
# later one.


#: Refusals of a row for the sake of another one with the same value: a unique or an exclusion constraint.
TAKEN = frozenset({"23505", "23P01"})
#: Why rows may not be updated in place though they may be deleted and inserted: two of them exchange a unique
#: value, the role lacks UPDATE, or a column is GENERATED ALWAYS AS IDENTITY.
NOT_IN_PLACE = TAKEN | {"42501", "428C9"}
Record = Callable[[Connection, Chunk], None]


class ChunkWriter:
    """One lane: a reader of prod's snapshot and a connection to consulta."""

    def __init__(
        self,
        reader: Connection,
        target: Target,
        source: TableSlice,
        into: TableSlice,
        *,
        known_empty: bool,
        hashed: bool,
        waiting: Waiting,
    ) -> None:
        self._reader = reader
        self._target = target
        self._source = source
        self._into = into
        self._finder = RangeDiff(reader, source, into)
        self._known_empty = known_empty
        self._hashed = hashed
        self._waiting = waiting

    def put_in_place(self, part: KeyRange, record: Record) -> Chunk:
        """One transaction: the range and its record."""
        started = time.monotonic()
        found = self._look(part)
        with self._target.transaction() as connection:
            chunk = self._worked(connection, part, found)
            chunk = replace(chunk, seconds=time.monotonic() - started)
            record(connection, chunk)
        sys.audit("traspaso.chunk_committed", part.number)
        return chunk

    def put_in_place_together(self, parts: Sequence[KeyRange], record: Record) -> list[Chunk]:
        """One transaction for ranges that a constraint refuses one by one, each with its record."""
        started = time.monotonic()
        found = [(part, self._look(part)) for part in parts]
        with self._target.transaction() as connection:
            chunks = self._merged(connection, [each for each in found if not _agrees(each[1])])
            chunks += [_unchanged(part, seen) for part, seen in found if seen is not None and _agrees(seen)]
            seconds = (time.monotonic() - started) / len(chunks)
            chunks = [replace(chunk, seconds=seconds) for chunk in chunks]
            for chunk in chunks:
                record(connection, chunk)
        return chunks

    def _look(self, part: KeyRange) -> Found | None:
        """What differs; None where consulta holds nothing."""
        if self._known_empty:
            return None
        with self._target.moment(self._into.table) as connection:
            return self._finder.look(connection, part)

    def _worked(self, connection: Connection, part: KeyRange, found: Found | None) -> Chunk:
        if found is not None and _agrees(found):
            return _unchanged(part, found)
        new = found is None or found.counts == Counts(inserted=found.counts.inserted)
        if self._into.is_referenced and not new:
            return self._merged(connection, [(part, found)])[0]
        try:
            with connection.begin_nested():
                return self._copied(connection, part, found, new=new)
        except Permanent as refusal:
            if refusal.sqlstate not in TAKEN or not self._into.keys.across_liquidations:
                raise
        return self._merged(connection, [(part, found)])[0]

    def _copied(self, connection: Connection, part: KeyRange, found: Found | None, *, new: bool) -> Chunk:
        """Deletes the rows that differ, and copies prod's straight into the table."""
        if found is not None and not new and found.surplus != []:
            run(connection, statements.delete(self._into, part, found.surplus))
        pumped = Streamed(0, 0, 0)
        if found is None or found.missing != []:
            pumped = self._stream(connection, part, found, self._into.table.identifier)
            self._all_taken(pumped.sent, pumped.taken)
        return _chunk(part, found, pumped)

    def _merged(self, connection: Connection, found: Sequence[tuple[KeyRange, Found | None]]) -> list[Chunk]:
        """Stages the rows of all these ranges and merges them in one statement.

        Raises:
            KeySharedInProd: a row of another liquidation has the key, and prod still holds it there.
        """
        if not found:
            return []
        run(connection, statements.create_staging(self._into))
        pumped = [self._staged(connection, part, each) for part, each in found]
        taken = self._taken_from_others(connection)
        surplus = [(part, None if each is None else each.surplus) for part, each in found]
        if self._known_empty:
            surplus = []
        sent = sum(each.sent for each in pumped)
        self._all_merged(connection, sent, self._merge(connection, surplus, taken))
        chunks = [_chunk(part, each, went) for (part, each), went in zip(found, pumped, strict=True)]
        # Which of the ranges a row was moved into isn't asked: the first one counts them.
        return [replace(chunks[0], moved=len(taken)), *chunks[1:]]

    def _staged(self, connection: Connection, part: KeyRange, found: Found | None) -> Streamed:
        if found is not None and found.missing == []:
            return Streamed(0, 0, 0)
        return self._stream(connection, part, found, statements.STAGING)

    def _merge(
        self,
        connection: Connection,
        surplus: Sequence[tuple[KeyRange, list[Bound] | None]],
        taken: Sequence[Held],
    ) -> int:
        """In place where foreign keys point to the rows; the number of staged rows that are there then."""
        if self._into.in_place:
            try:
                with failures_of("consulta"), connection.begin_nested():
                    return self._merge_by(
                        connection, statements.merge(self._into, surplus, taken, in_place=True)
                    )
            except Permanent as refusal:
                if refusal.sqlstate not in NOT_IN_PLACE:
                    raise
        return self._merge_by(connection, statements.merge(self._into, surplus, taken, in_place=False))

    @staticmethod
    def _merge_by(connection: Connection, statement: Composable) -> int:
        return int(run(connection, statement).scalar_one())

    def _taken_from_others(self, connection: Connection) -> list[Held]:
        """The rows of other liquidations that have one of the staged keys."""
        if not self._into.keys.across_liquidations:
            return []
        found = run(connection, statements.held_elsewhere(self._into))
        held: list[Held] = [(row.liquidation, row.key) for row in found]
        refuse_shared_keys(self._reader, self._source, self._into, held)
        return held

    def _all_merged(self, connection: Connection, staged: int, merged: int) -> None:
        """Staged rows that are not in place were staged twice, dropped, or somebody else has them in hand."""
        if staged == merged:
            return
        if run(connection, statements.repeats_staged_key(self._into)).scalar_one():
            raise NoUsableKey(
                f"key ({', '.join(self._into.key)}) names more than one row of table {self._source.table} of "
                "prod: name another key"
            )
        if any(trigger.before for trigger in self._into.triggers):
            self._all_taken(staged, merged)
        raise Transient(
            f"rows of table {self._into.table} of consulta were changed by somebody else at the same time",
            side="consulta",
            condition="RowsChanged",
            table=self._into.table.name,
        )

    def _all_taken(self, sent: int, taken: int) -> None:
        if sent != taken:
            table = self._into.table
            raise Permanent(
                f"consulta took {taken} of {sent} rows (table {table}): a trigger or a rule there drops rows",
                side="consulta",
                condition="RowsDropped",
                table=table.name,
            )

    def _stream(
        self, connection: Connection, part: KeyRange, found: Found | None, table: Identifier
    ) -> Streamed:
        copy_out, hashed = self._copy_out(part, found)
        copy_in = statements.copy_in(table, self._into.matched)
        try:
            return stream_copy(
                driver_of(self._reader),
                driver_of(connection),
                rendered(copy_out, self._reader).encode(),
                rendered(copy_in, connection).encode(),
                hashed=hashed,
                waiting=self._waiting,
            )
        except BaseException:
            drop_if_unusable(connection)
            raise

    def _copy_out(self, part: KeyRange, found: Found | None) -> tuple[Composable, bool]:
        """The COPY of the rows that consulta lacks, and whether they bring their hashes.

        They do where a whole range goes over whose digest isn't known yet, and binary COPY can carry them.
        """
        if found is not None and found.missing is not None:
            return statements.copy_out(self._source, part, found.missing), False
        source = found.source if found is not None else None
        if source is None and self._hashed and self._source.matched.binary:
            return statements.copy_out_hashed(self._source, part), True
        return statements.copy_out(self._source, part), False


def refuse_shared_keys(prod: Connection, source: TableSlice, into: TableSlice, held: Sequence[Held]) -> None:
    """``held`` are rows of consulta: their liquidations and keys, whose rows prod has in this liquidation.

    Raises:
        KeySharedInProd: prod has one of them in the other liquidation too.
    """
    if not held:
        return
    with failures_of("prod"):
        shared = run(prod, statements.holds_any(source, held)).scalar_one()
    if shared:
        raise KeySharedInProd(str(into.table), list(into.key), into.keys.liquidation_column)


def _agrees(found: Found | None) -> bool:
    return found is not None and found.nothing


def _unchanged(part: KeyRange, found: Found) -> Chunk:
    rows = found.counts.unchanged
    return Chunk(part, "unchanged", rows, found.counts, source=found.source, seen=found.seen)


def _chunk(part: KeyRange, found: Found | None, pumped: Streamed) -> Chunk:
    """A range that was written, by what was found in it and what went over."""
    if found is None or found.counts == Counts(inserted=found.counts.inserted):
        digest = _digest(found, pumped)
        counts = Counts(inserted=pumped.sent)
        return Chunk(part, "copied", pumped.sent, counts, bytes=pumped.bytes, source=digest)
    outcome: ChunkOutcome = "replaced" if found.missing is None else "updated"
    rows = found.counts.inserted + found.counts.updated + found.counts.unchanged
    return Chunk(
        part, outcome, rows, found.counts, bytes=pumped.bytes, source=_digest(found, pumped), seen=found.seen
    )


def _digest(found: Found | None, pumped: Streamed) -> Digest | None:
    """Prod's, known before or come with the rows."""
    return (found.source if found is not None else None) or pumped.digest

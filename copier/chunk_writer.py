"""Makes key ranges of the target what the source's snapshot holds, each in one transaction with its record.

Nothing is there: the rows are copied. All is there: nothing is written. Some rows differ: only those are
replaced. Most rows differ: the range is replaced as a whole.

Rows to which foreign keys point are updated in place, so that nothing that refers to them is in the way; all
others are deleted and copied, which asks for no UPDATE privilege and fires no UPDATE triggers. Rows are
staged in a temporary table where that is needed: for those updates; where the target holds a key under
another liquidation; and for ranges that only together satisfy a constraint, such as a foreign key into a
later one.

The caller's record of the chunk is written in the same transaction, just before the commit: both are there or
neither is. Those commits don't wait for the disk: a server that crashes loses the rows and their record
together, and whoever says that the copy is completed does so in a commit that waits.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import assert_never

from psycopg.sql import Composable, Identifier
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from copier import statements
from copier.connections import OnSilence, Sessions, driver_of, drop_if_unusable, rendered, run
from copier.copy_stream import Streamed, stream_copy
from copier.diff import Difference, Patch, RangeDiff, Replace, Unchanged
from copier.errors import TAKEN, KeySharedInSource, NoUsableKey, Permanent, SideNames, Transient, failures_of
from copier.model import Bound, Chunk, Counts, KeyRange, TableName
from copier.statements import Held
from copier.table_slice import TableSlice

#: A connection that was idle for so many seconds is asked whether it still lives.
IDLE_SECONDS = 0.1
IDLE_SESSION_TIMEOUT = "57P05"

#: Why rows may not be updated in place though they may be deleted and inserted: two of them exchange a unique
#: value, the role lacks UPDATE, or a column is GENERATED ALWAYS AS IDENTITY.
NOT_IN_PLACE = TAKEN | {"42501", "428C9"}

_CHUNK = f"{statements.LOST}, set_config('synchronous_commit', 'off', true)"
_NOTHING = Streamed(0, 0, 0)

Record = Callable[[Connection, Chunk], None]


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
        by_index, holds_names = (rows.has_index, rows.holds_names) if rows else (False, False)
        self._write = text(f"{statements.of_lane(by_index=by_index)}, {_CHUNK}")
        self._look = text(f"{statements.of_lane(by_index=by_index, qualified=holds_names)}, {_CHUNK}")
        with failures_of(self._side):
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
            self._sessions.lock_for_reading(connection, self._side, table)
            connection.execute(self._look, self._sessions.values)
            yield connection

    def close(self) -> None:
        self._sessions.shut(self.connection)

    def _connected(self) -> Connection:
        # READ COMMITTED whatever the role's default is: lanes that share the job's row would fail each other.
        return self._sessions.open(self._engine, self._side)

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with failures_of(self._side):
            if time.monotonic() - self._used > IDLE_SECONDS:
                self._revive()
            with self.connection.begin():
                yield self.connection
            self._used = time.monotonic()

    def _revive(self) -> None:
        """Connects again where the server has ended the session because it was idle.

        A lane may wait between two chunks, to keep a cap or for a standby. Any other loss is raised: a server
        that was restarted may have lost chunks.
        """
        try:
            self.connection.exec_driver_sql("SELECT 1")
            self.connection.rollback()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != IDLE_SESSION_TIMEOUT:
                raise
            self._sessions.shut(self.connection)
            self.connection = self._connected()


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
    ) -> None:
        """``known_empty``: the target held no row of the liquidation. ``hashed`` is that of `Copy.run`."""
        self._reader = reader
        self._connection = connection
        self._source = source
        self._target = target
        self._range_diff = RangeDiff(reader, source, target)
        self._known_empty = known_empty
        self._hashed = hashed
        self._on_silence = on_silence

    def put_in_place(self, part: KeyRange, record: Record) -> Chunk:
        """One transaction: the range and its record."""
        started = time.monotonic()
        difference = self._difference(part)
        with self._connection.transaction() as connection:
            chunk = self._written(connection, part, difference)
            chunk = replace(chunk, seconds=time.monotonic() - started)
            record(connection, chunk)
        sys.audit("traspaso.chunk_committed", part.number)
        return chunk

    def put_in_place_together(self, parts: Sequence[KeyRange], record: Record) -> list[Chunk]:
        """One transaction for ranges that a constraint refuses one by one, each with its record."""
        started = time.monotonic()
        to_write: list[tuple[KeyRange, Replace | Patch]] = []
        unchanged: list[Chunk] = []
        for part in parts:
            match self._difference(part):
                case Unchanged() as same:
                    unchanged.append(_unchanged(part, same))
                case difference:
                    to_write.append((part, difference))
        with self._connection.transaction() as connection:
            chunks = [*self._merged(connection, to_write), *unchanged]
            seconds = (time.monotonic() - started) / len(chunks)
            chunks = [replace(chunk, seconds=seconds) for chunk in chunks]
            for chunk in chunks:
                record(connection, chunk)
        return chunks

    def _difference(self, part: KeyRange) -> Difference:
        if self._known_empty:
            return Replace(Counts(inserted=part.rows))
        with self._connection.moment(self._target.table) as connection:
            return self._range_diff.of(connection, part)

    def _written(self, connection: Connection, part: KeyRange, difference: Difference) -> Chunk:
        match difference:
            case Unchanged():
                return _unchanged(part, difference)
            case Replace(is_new=False) | Patch() if self._target.is_referenced:
                return self._merged(connection, [(part, difference)])[0]
            case Replace() | Patch():
                try:
                    with connection.begin_nested():
                        return self._copied(connection, part, difference)
                except Permanent as refusal:
                    if refusal.sqlstate not in TAKEN or not self._target.keys.across_liquidations:
                        raise
                return self._merged(connection, [(part, difference)])[0]
        assert_never(difference)

    def _copied(self, connection: Connection, part: KeyRange, difference: Replace | Patch) -> Chunk:
        """Deletes the rows that differ, and copies the source's straight into the table."""
        match difference:
            case Replace(is_new=False):
                run(connection, statements.delete(self._target, part))
            case Patch(surplus=surplus) if surplus:
                run(connection, statements.delete(self._target, part, surplus))
        streamed = self._streamed(connection, part, difference, self._target.table.identifier)
        self._refuse_dropped_rows(streamed.sent, streamed.taken)
        return _chunk(part, difference, streamed)

    def _merged(
        self, connection: Connection, differences: Sequence[tuple[KeyRange, Replace | Patch]]
    ) -> list[Chunk]:
        """Stages the rows of all these ranges and merges them in one statement.

        Raises:
            KeySharedInSource: a row of another liquidation has the key, and the source still holds it there.
        """
        if not differences:
            return []
        run(connection, statements.create_staging(self._target))
        streamed = [self._streamed(connection, part, each, statements.STAGING) for part, each in differences]
        taken = self._taken_from_others(connection)
        surplus = [] if self._known_empty else list(_surplus(differences))
        sent = sum(each.sent for each in streamed)
        self._refuse_unmerged_rows(connection, sent, self._merge(connection, surplus, taken))
        chunks = [_chunk(part, each, went) for (part, each), went in zip(differences, streamed, strict=True)]
        # Which of the ranges a row was moved into isn't asked: the first one counts them.
        return [replace(chunks[0], moved=len(taken)), *chunks[1:]]

    def _merge(
        self,
        connection: Connection,
        surplus: Sequence[tuple[KeyRange, Sequence[Bound] | None]],
        taken: Sequence[Held],
    ) -> int:
        """In place where foreign keys point to the rows; the number of staged rows that are there then."""
        if self._target.in_place:
            try:
                with failures_of(self._target.side), connection.begin_nested():
                    return self._merge_by(
                        connection, statements.merge(self._target, surplus, taken, in_place=True)
                    )
            except Permanent as refusal:
                if refusal.sqlstate not in NOT_IN_PLACE:
                    raise
        return self._merge_by(connection, statements.merge(self._target, surplus, taken, in_place=False))

    @staticmethod
    def _merge_by(connection: Connection, statement: Composable) -> int:
        return int(run(connection, statement).scalar_one())

    def _taken_from_others(self, connection: Connection) -> list[Held]:
        """The rows of other liquidations that have one of the staged keys."""
        if not self._target.keys.across_liquidations:
            return []
        found = run(connection, statements.held_elsewhere(self._target))
        held: list[Held] = [(row.liquidation, row.key) for row in found]
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
        self, connection: Connection, part: KeyRange, difference: Replace | Patch, table: Identifier
    ) -> Streamed:
        """Copies the rows that the target lacks into this table of the target."""
        hashed = False
        match difference:
            case Patch(missing=()):
                return _NOTHING
            case Patch(missing=missing):
                copy_out = statements.copy_out(self._source, part, missing)
            case Replace(source=None) if self._hashed and self._source.matched.binary:
                # Its digest isn't known yet, and binary COPY can carry the rows' hashes.
                copy_out, hashed = statements.copy_out_hashed(self._source, part), True
            case Replace():
                copy_out = statements.copy_out(self._source, part)
        try:
            return stream_copy(
                driver_of(self._reader),
                driver_of(connection),
                rendered(copy_out, self._reader).encode(),
                rendered(statements.copy_in(table, self._target.matched), connection).encode(),
                names=SideNames(self._source.side, self._target.side),
                hashed=hashed,
                on_silence=self._on_silence,
            )
        except BaseException:
            drop_if_unusable(connection)
            raise


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
            target.keys.liquidation_column,
            SideNames(source.side, target.side),
        )


def _surplus(
    differences: Sequence[tuple[KeyRange, Replace | Patch]],
) -> Iterator[tuple[KeyRange, Sequence[Bound] | None]]:
    """The ranges in which rows may have to go, and the keys of those rows; None stands for all of them."""
    for part, difference in differences:
        match difference:
            case Replace():
                yield part, None
            case Patch(surplus=surplus) if surplus:
                yield part, surplus


def _unchanged(part: KeyRange, same: Unchanged) -> Chunk:
    counts = Counts(unchanged=same.rows)
    return Chunk(part, "unchanged", same.rows, counts, source=same.source, seen=same.seen)


def _chunk(part: KeyRange, difference: Replace | Patch, streamed: Streamed) -> Chunk:
    """A range that was written, by what differed in it and what was streamed."""
    counts, size = difference.counts, streamed.bytes
    rows = counts.inserted + counts.updated + counts.unchanged
    match difference:
        case Replace(is_new=True, source=source):
            sent = streamed.sent
            return Chunk(
                part, "copied", sent, Counts(inserted=sent), bytes=size, source=source or streamed.digest
            )
        case Replace(source=source):
            return Chunk(part, "replaced", rows, counts, bytes=size, source=source or streamed.digest)
        case Patch(source=source, seen=seen):
            return Chunk(part, "updated", rows, counts, bytes=size, source=source, seen=seen)

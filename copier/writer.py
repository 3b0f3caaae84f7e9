"""Makes one range of consulta what prod's snapshot holds, with the least that has to be written.

Nothing is there: the rows are copied. All is there: nothing is written. Some rows differ: only those
are replaced. Most rows differ: the range is replaced as a whole.

A constraint of consulta has to hold at the end of each chunk, or to be deferred to its commit. So rows of
two ranges can't exchange a unique value, and a row can't refer to one of a later range, though all would
be well at the end: such a copy fails and names the constraint, and one chunk for all rows would do it
(``chunk_rows``). To replace a row is to delete and to insert it: rows of other tables that refer to it
keep it from being replaced, and where their foreign key cascades, they go with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from psycopg.sql import Composable, Identifier
from sqlalchemy import Connection

from copier import statements
from copier.difference import Counts
from copier.digest import Digest
from copier.errors import Permanent
from copier.finder import Finder, Found
from copier.keyset import KeyRange
from copier.plan import Chunk
from copier.pump import Pumped, Waiting, pump
from copier.session import driver_of, drop_if_unusable, rendered, run
from copier.slices import Slice
from copier.target import Target

UNIQUE_VIOLATION = "23505"
Record = Callable[[Connection, Chunk], None]


class Writer:
    """One lane: a reader of prod's snapshot and a connection to consulta."""

    def __init__(
        self,
        reader: Connection,
        target: Target,
        source: Slice,
        into: Slice,
        *,
        known_empty: bool,
        hashed: bool,
        waiting: Waiting,
    ) -> None:
        self._reader = reader
        self._target = target
        self._source = source
        self._into = into
        self._finder = Finder(reader, source, into)
        self._known_empty = known_empty
        self._hashed = hashed
        self._waiting = waiting

    def put_in_place(self, part: KeyRange, record: Record) -> Chunk:
        """One transaction: the range and its record."""
        started = time.monotonic()
        found = None if self._known_empty else self._look(part)
        with self._target.transaction() as connection:
            chunk = self._worked(connection, part, found)
            chunk = replace(chunk, seconds=time.monotonic() - started)
            record(connection, chunk)
        return chunk

    def _look(self, part: KeyRange) -> Found:
        with self._target.moment() as connection:
            return self._finder.look(connection, part)

    def _worked(self, connection: Connection, part: KeyRange, found: Found | None) -> Chunk:
        if found is None:
            return self._copied(connection, part, None)
        if found.nothing:
            rows = found.counts.unchanged
            return Chunk(part, "unchanged", rows, found.counts, source=found.source, seen=found.seen)
        if found.counts == Counts(inserted=found.counts.inserted):
            return self._copied(connection, part, found.source)
        return self._replaced(connection, part, found)

    def _copied(self, connection: Connection, part: KeyRange, source: Digest | None) -> Chunk:
        pumped, moved = self._write(connection, *self._whole(part, source))
        return Chunk(
            range=part,
            outcome="copied",
            rows=pumped.sent,
            counts=Counts(inserted=pumped.sent),
            moved=moved,
            bytes=pumped.bytes,
            source=source or pumped.digest,
        )

    def _replaced(self, connection: Connection, part: KeyRange, found: Found) -> Chunk:
        """Removes and copies the rows that were found."""
        if found.surplus is None or found.surplus:
            run(connection, statements.delete(self._into, part, found.surplus))
        pumped, moved = Pumped(0, 0, 0), 0
        if found.missing is None:
            pumped, moved = self._write(connection, *self._whole(part, found.source))
        elif found.missing:
            pumped, moved = self._write(connection, statements.copy_out(self._source, part, found.missing))
        return Chunk(
            range=part,
            outcome="replaced" if found.missing is None else "updated",
            rows=found.counts.inserted + found.counts.updated + found.counts.unchanged,
            counts=found.counts,
            moved=moved,
            bytes=pumped.bytes,
            source=found.source or pumped.digest,
            seen=found.seen,
        )

    def _whole(self, part: KeyRange, source: Digest | None) -> tuple[Composable, bool]:
        """The COPY of a whole range, and whether its rows bring their hashes.

        They do where the range's digest isn't known yet, and binary COPY can carry them.
        """
        if source is None and self._hashed and self._source.matched.binary:
            return statements.copy_out_hashed(self._source, part), True
        return statements.copy_out(self._source, part), False

    def _write(
        self, connection: Connection, copy_out: Composable, hashed: bool = False
    ) -> tuple[Pumped, int]:
        """Copies rows of prod; also the number taken from other liquidations."""
        try:
            with connection.begin_nested():
                pumped = self._pump(connection, copy_out, self._into.table.identifier, hashed)
                self._all_taken(pumped.sent, pumped.taken)
                return pumped, 0
        except Permanent as refusal:
            if refusal.sqlstate != UNIQUE_VIOLATION or not self._into.keys.across_liquidations:
                raise
        run(connection, statements.create_staging(self._into))
        pumped = self._pump(connection, copy_out, statements.STAGING, hashed)
        moved = run(connection, statements.delete_moved(self._into)).rowcount
        self._all_taken(pumped.sent, run(connection, statements.insert_staged(self._into)).rowcount)
        return pumped, moved

    def _all_taken(self, sent: int, taken: int) -> None:
        if sent != taken:
            table = self._into.table
            raise Permanent(
                f"consulta took {taken} of {sent} rows (table {table}): a trigger or a rule there drops rows",
                side="consulta",
                condition="RowsDropped",
                table=table.name,
            )

    def _pump(self, connection: Connection, copy_out: Composable, table: Identifier, hashed: bool) -> Pumped:
        copy_in = statements.copy_in(table, self._into.matched)
        try:
            return pump(
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

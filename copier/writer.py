"""Makes one range of consulta what prod's snapshot holds, with the least that has to be written.

Nothing is there: the rows are copied. All is there: nothing is written. Some rows differ: only those
are replaced, and looked at once more. Most rows differ: the range is replaced as a whole.

A constraint of consulta has to hold at the end of each chunk, or to be deferred to its commit. So rows of
two ranges can't exchange a unique value, and a row can't refer to one of a later range, though all would
be well at the end: such a copy fails and names the constraint, and one chunk for all rows would do it
(``chunk_rows``). To replace a row is to delete and to insert it: rows of other tables that refer to it
keep it from being replaced, and where their foreign key cascades, they go with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
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
        waiting: Waiting,
    ) -> None:
        self._reader = reader
        self._target = target
        self._source = source
        self._into = into
        self._finder = Finder(reader, source, into)
        self._known_empty = known_empty
        self._waiting = waiting

    def put_in_place(self, part: KeyRange, record: Record) -> Chunk:
        """One transaction: the range and its record."""
        started = time.monotonic()
        with self._target.transaction() as connection:
            chunk = self._worked(connection, part)
            chunk = replace(chunk, seconds=time.monotonic() - started)
            record(connection, chunk)
        return chunk

    def _worked(self, connection: Connection, part: KeyRange) -> Chunk:
        if self._known_empty:
            return self._copied(connection, part, None)
        found = self._finder.look(connection, part)
        if found.nothing:
            rows = found.counts.unchanged
            return Chunk(part, "unchanged", rows, found.counts, source=found.source, versions=found.versions)
        if found.counts.inserted and found.counts == Counts(inserted=found.counts.inserted):
            return self._copied(connection, part, found.source)
        return self._replaced(connection, part, found)

    def _copied(self, connection: Connection, part: KeyRange, source: Digest | None) -> Chunk:
        pumped, moved = self._write(connection, part, None)
        counts = Counts(inserted=pumped.sent)
        return Chunk(part, "copied", pumped.sent, counts, moved, pumped.bytes, source=source)

    def _replaced(self, connection: Connection, part: KeyRange, found: Found) -> Chunk:
        """Removes and copies the rows that were found; those that were few are looked at once more."""
        run(connection, statements.delete(self._into, part, found.keys))
        pumped, moved = self._write(connection, part, found.keys)
        rows = found.counts.inserted + found.counts.updated + found.counts.unchanged
        versions = None
        if found.keys is not None and self._is_right(connection, part, found):
            versions = Digest(*run(connection, statements.versions(self._into, part)).one())
        return Chunk(
            range=part,
            outcome="replaced" if found.keys is None else "updated",
            rows=rows,
            counts=found.counts,
            moved=moved,
            bytes=pumped.bytes,
            source=found.source,
            versions=versions,
        )

    def _is_right(self, connection: Connection, part: KeyRange, found: Found) -> bool:
        """Whether what stayed and what was written now has prod's digest."""
        if found.kept is None or not self._into.has_versions:
            return False
        arrived = Digest(*run(connection, statements.digest(self._into, part, found.keys)).one())
        return found.kept + arrived == found.source

    def _write(
        self, connection: Connection, part: KeyRange, only: Iterable[int] | None
    ) -> tuple[Pumped, int]:
        """Copies the range's rows, or some of them; also the number taken from other liquidations."""
        copy_out = statements.copy_out(self._source, part, only)
        try:
            with connection.begin_nested():
                pumped = self._pump(connection, copy_out, self._into.table.identifier)
                self._all_taken(pumped.sent, pumped.taken)
                return pumped, 0
        except Permanent as refusal:
            if refusal.sqlstate != UNIQUE_VIOLATION or not self._into.keys.across_liquidations:
                raise
        run(connection, statements.create_staging(self._into))
        pumped = self._pump(connection, copy_out, statements.STAGING)
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

    def _pump(self, connection: Connection, copy_out: Composable, table: Identifier) -> Pumped:
        copy_in = statements.copy_in(table, self._into.matched)
        try:
            return pump(
                driver_of(self._reader),
                driver_of(connection),
                rendered(copy_out, self._reader).encode(),
                rendered(copy_in, connection).encode(),
                waiting=self._waiting,
            )
        except BaseException:
            drop_if_unusable(connection)
            raise

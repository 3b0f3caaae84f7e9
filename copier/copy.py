"""One copy of one liquidation: plan it, write it chunk by chunk, prove it.

    with Copy(prod, consulta, spec, 42) as copy:
        for chunk in copy.chunks():
            print(chunk)
        assert copy.prove().holds

The copy yields its chunks, the caller decides: progress, pause, cancel and shutdown live in the loop
around it. Running it again is the same operation: ranges that consulta holds already are compared
and left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from psycopg.sql import Composable
from sqlalchemy import Connection, Engine

from copier import statements
from copier.catalog import key_columns
from copier.digest import EMPTY, Comparison, Digest, Proof
from copier.errors import NoUsableKey, Permanent
from copier.keyset import KeyRange, Keyset, cut, keyset_of
from copier.match import Matched, match_columns
from copier.plan import Chunk, Limits, Plan
from copier.pump import Pumped, Waiting, pump
from copier.session import drop_if_unusable, rendered, run
from copier.source import Source
from copier.spec import CopySpec
from copier.target import Target, digest_of

UNIQUE_VIOLATION = "23505"

Record = Callable[[Connection, Chunk], None]


def record_nothing(connection: Connection, chunk: Chunk) -> None:
    """The record of a caller that keeps none."""


class Copy:
    """A copy under one snapshot. Use it as a context manager: the snapshot ends with it."""

    def __init__(
        self,
        prod: Engine,
        consulta: Engine,
        spec: CopySpec,
        liquidation_id: int,
        *,
        limits: Limits | None = None,
        label: str = "traspaso",
        waiting: Waiting = lambda: None,
    ) -> None:
        """Takes the snapshot of prod and matches both tables; writes nothing.

        Raises:
            SchemaError: the tables don't fit.
            DatabaseFailed: a side can't be reached.
        """
        self.spec = spec
        self.liquidation_id = liquidation_id
        self._limits = limits or Limits()
        self._waiting = waiting
        self._source = Source(prod)
        try:
            self._target = Target(
                consulta, lock_timeout_seconds=self._limits.lock_timeout_seconds, label=label
            )
            self._match()
        except BaseException:
            self.close()
            raise
        self._plan: Plan | None = None
        self._source_digests: dict[int, Digest] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the snapshot and gives both connections back."""
        self._source.close()
        if hasattr(self, "_target"):
            self._target.close()

    @property
    def matched(self) -> Matched:
        return self._matched

    def plan(self) -> Plan:
        """Counts the liquidation in the snapshot and cuts it into key ranges, once.

        Raises:
            NoUsableKey: prod holds rows whose key is NULL; they would lie in no range.
        """
        if self._plan is None:
            table, keys, number = self.spec.source_table, self._source_keys, self.liquidation_id
            total = self._source.count(statements.count(table, keys, number))
            if self._key_may_be_null:
                self._refuse_rows_without_key()
            bounds: list[tuple[str, ...]] = []
            if total > self._limits.chunk_rows:
                bounds = self._source.bounds(
                    statements.boundaries(table, keys, number, self._limits.chunk_rows)
                )
            self._plan = Plan(
                as_of=self._source.as_of,
                total=total,
                held=self._target.count(statements.count(self.spec.target_table, self._target_keys, number)),
                ranges=cut(bounds, total, self._limits.chunk_rows),
            )
        return self._plan

    def chunks(self, record: Record = record_nothing) -> Iterator[Chunk]:
        """Puts range after range in place, each committed together with its record, and yields it.

        ``record`` runs inside the chunk's transaction; what it raises rolls the chunk back and is
        raised here.

        Raises:
            DatabaseFailed: of the side that failed; nothing of that chunk is left.
        """
        plan = self.plan()
        for part in plan.ranges:
            if plan.held:
                self._source_digest(part)  # now, for consulta's transaction must not wait for it
            with self._target.transaction() as connection:
                chunk = self._put_in_place(connection, part, known_empty=plan.held == 0)
                record(connection, chunk)
            yield chunk

    def compare(self) -> Iterator[Comparison]:
        """Compares both sides range by range: prod's snapshot with one moment of consulta."""
        with self._target.one_moment() as connection, ThreadPoolExecutor(1) as other_side:
            for part in self.plan().ranges:
                ours = other_side.submit(self._source_digest, part)
                theirs = digest_of(connection, self._digest(part, of_source=False))
                yield Comparison(part, ours.result(), theirs)

    def prove(self) -> Proof:
        """The comparison of the whole liquidation."""
        return Proof.of(self.compare())

    def _match(self) -> None:
        source = self._source.table(self.spec.source_table)
        target = self._target.table(self.spec.target_table)
        names = key_columns(self.spec, source, target)
        ours = [source.column(name) for name in names]
        theirs = [target.column(name) for name in names]
        liquidation = self.spec.liquidation_column
        self._source_keys: Keyset = keyset_of(source.column(liquidation), ours, theirs)
        self._target_keys: Keyset = keyset_of(target.column(liquidation), theirs, ours)
        self._key_may_be_null = any(not column.not_null for column in ours)
        self._matched = match_columns(source, target)

    def _refuse_rows_without_key(self) -> None:
        table, keys = self.spec.source_table, self._source_keys
        found = self._source.count(statements.count_without_key(table, keys, self.liquidation_id))
        if found:
            names = ", ".join(column.name for column in keys.columns)
            raise NoUsableKey(
                f"key ({names}) is NULL in {found} row{'s' if found > 1 else ''} of table {table} of prod: "
                "fill it in there, or name another key"
            )

    def _put_in_place(self, connection: Connection, part: KeyRange, *, known_empty: bool) -> Chunk:
        started = time.monotonic()
        held = EMPTY if known_empty else digest_of(connection, self._digest(part, of_source=False))
        if held.rows and held == self._source_digest(part):
            return Chunk(part, "unchanged", held.rows, 0, 0, 0, time.monotonic() - started)
        if held.rows:
            run(
                connection,
                statements.delete(self.spec.target_table, self._target_keys, self.liquidation_id, part),
            )
        rows, moved, size = self._write(connection, part)
        return Chunk(
            range=part,
            outcome="replaced" if held.rows or moved else "copied",
            rows=rows,
            deleted=held.rows,
            moved=moved,
            bytes=size,
            seconds=time.monotonic() - started,
        )

    def _write(self, connection: Connection, part: KeyRange) -> tuple[int, int, int]:
        """Rows written, rows taken from other liquidations, bytes."""
        try:
            with connection.begin_nested():
                pumped = self._pump(
                    connection, part, statements.copy_in(self.spec.target_table.identifier, self._matched)
                )
                self._all_taken(pumped.sent, pumped.taken)
            return pumped.sent, 0, pumped.bytes
        except Permanent as refusal:
            moved_rows = refusal.sqlstate == UNIQUE_VIOLATION and self._target_keys.across_liquidations
            if not moved_rows:
                raise
        table = self.spec.target_table
        run(connection, statements.create_staging(table, self._matched))
        pumped = self._pump(connection, part, statements.copy_in(statements.STAGING, self._matched))
        moved = run(connection, statements.delete_moved(table, self._target_keys)).rowcount
        self._all_taken(pumped.sent, run(connection, statements.insert_staged(table, self._matched)).rowcount)
        return pumped.sent, moved, pumped.bytes

    def _all_taken(self, sent: int, taken: int) -> None:
        if sent != taken:
            table = self.spec.target_table
            raise Permanent(
                f"consulta took {taken} of {sent} rows (table {table}): a trigger or a rule there drops rows",
                side="consulta",
                condition="RowsDropped",
                table=table.name,
            )

    def _pump(self, connection: Connection, part: KeyRange, copy_in: Composable) -> Pumped:
        copy_out = statements.copy_out(
            self.spec.source_table, self._matched, self._source_keys, self.liquidation_id, part
        )
        try:
            return pump(
                self._source.driver,
                self._target.driver,
                rendered(copy_out, self._source.connection).encode(),
                rendered(copy_in, connection).encode(),
                waiting=self._waiting,
            )
        except BaseException:
            drop_if_unusable(connection)
            raise

    def _source_digest(self, part: KeyRange) -> Digest:
        if part.number not in self._source_digests:
            self._source_digests[part.number] = self._source.digest(self._digest(part, of_source=True))
        return self._source_digests[part.number]

    def _digest(self, part: KeyRange, *, of_source: bool) -> Composable:
        return statements.digest(
            self.spec.source_table if of_source else self.spec.target_table,
            self._matched,
            self._source_keys if of_source else self._target_keys,
            self.liquidation_id,
            part,
            of_source=of_source,
        )

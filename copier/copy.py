"""One copy of one liquidation: plan it, put it in place chunk by chunk, prove it.

    with Copy(prod, consulta, spec, 42) as copy:
        for chunk in copy.chunks():
            print(chunk)
        assert copy.prove().holds

The copy yields its chunks, the caller decides: progress, pause, cancel and shutdown live in the loop
around it. Running it again is the same operation: what consulta holds already is compared and left
alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from psycopg.sql import Composable
from sqlalchemy import Connection, Engine

from copier import statements
from copier.catalog import Table, read_table, refuse_same_table
from copier.chunk_writer import ChunkWriter, Record, Target
from copier.chunker import FOREIGN_KEYS, OTHER_ROWS, Chunker, Pace, RangeCursor
from copier.connections import Sessions, Waiting, run
from copier.errors import NoUsableKey, Permanent, Side, Transient, failures_of
from copier.lanes import side_by_side
from copier.model import (
    Chunk,
    Comparison,
    CopySpec,
    Counted,
    Fingerprint,
    KeyRange,
    Limits,
    Plan,
    Proof,
    TableName,
)
from copier.snapshot import Snapshot
from copier.table_slice import TableSlice, refuse_null_keys, slices
from copier.throttle import Throttle, Throttled
from copier.verify import compared

T = TypeVar("T")


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
        waiting: Waiting = lambda silent: None,
        sleep: Callable[[float], object] = time.sleep,
        throttled: Throttled = lambda lag_mb: None,
    ) -> None:
        """Takes the snapshot of prod and matches both tables; writes nothing.

        ``waiting`` is called each second in which a side is silent, with the seconds, whatever it was asked;
        ``sleep`` to keep a cap or to wait for a standby. Both are called in several threads and may raise to
        stop: a statement that is waited for is then cancelled, and where the server doesn't even answer that,
        its connection is closed. Where ``sleep`` returns something true, no further range is begun.
        ``throttled`` is told how many MB a standby lags while it is waited for, and None afterwards.

        Raises:
            SchemaError: the tables don't fit.
            DatabaseFailed: a side can't be reached, or somebody alters the table.
        """
        self._prod = prod
        self._consulta = consulta
        self._limits = limits or Limits()
        self._sessions = Sessions(
            label,
            waiting=waiting,
            lock_timeout_seconds=self._limits.lock_timeout_seconds,
            lost_seconds=self._limits.lost_seconds,
        )
        self._sleep = sleep
        self._brake = Throttle(
            consulta, self._limits.standby_lag_mb, self._sessions, throttled=throttled, sleep=sleep
        )
        self._targets: list[Target] = []
        self._plan: Plan | None = None
        self._done: dict[int, KeyRange] = {}
        self._known: dict[int, Chunk] = {}
        self._readers: list[Connection] = []
        self._steps: list[Generator[Any, None, None]] = []
        self._counted: Counted | None = None
        try:
            self._snapshot = self._moment_of(prod, "prod", spec.source_table)
            self._source, self._into = self._fit(spec, liquidation_id)
            self.fingerprint = Fingerprint.of(self._source, self._into)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Finishes the ranges in hand, ends the snapshot and gives all connections back."""
        for steps in self._steps:
            steps.close()
        self._sessions.close()

    def plan(self) -> Plan:
        """Counts the liquidation on both sides, once: in prod's snapshot, and in consulta as it is now.

        Raises:
            NoUsableKey: a side holds rows whose key is NULL, or prod several rows with one key.
        """
        if self._plan is None:
            with ThreadPoolExecutor(1) as other_side:
                held = other_side.submit(self._held)
                total = self._ask_prod(statements.count(self._source))
                plan = Plan(self._snapshot.as_of, total, held.result())
            if self._source.key_may_be_null:
                refuse_null_keys(self._source, self._ask_prod(statements.count_without_key(self._source)))
            if self._source.key_may_repeat and self._into.key_may_repeat:
                self._refuse_repeated_keys()
            self._plan = plan
        return self._plan

    def chunks(self, record: Record = record_nothing, *, hashed: bool = True) -> Generator[Chunk, None, None]:
        """Puts range after range in place, each committed together with its record, and yields it.

        ``record`` runs inside the chunk's transaction, in the thread of its lane; what it raises rolls
        the chunk back and is raised here. Where the caller stops, the ranges in hand are finished.
        ``hashed`` has prod's digests come with its rows, for the comparison at the end; who doesn't compare
        can save that.

        Raises:
            DatabaseFailed: of the side that failed; nothing of that chunk is left.
        """
        return self._begun(self._put_in_place(record, hashed))

    def compare(self) -> Generator[Comparison, None, None]:
        """Compares both sides range by range: prod's snapshot with one moment of consulta.

        The ranges are those of the chunks where all are in place; else they are cut for the purpose.
        """
        return self._begun(self._compared())

    def prove(self) -> Proof:
        """The comparison of the whole liquidation."""
        return self.proof(list(self.compare()))

    def proof(self, comparisons: Iterable[Comparison]) -> Proof:
        """What all comparisons together prove, once `compare` has given the last one."""
        if self._counted is None:
            raise ValueError("the sides have not been compared")
        return Proof.of(comparisons, self._counted)

    def blamed_triggers(self, proof: Proof) -> list[str]:
        """The triggers of consulta that fire on written rows, where rows that this copy wrote differ."""
        chunks = [self._known.get(each.range.number) for each in proof.differences]
        wrote = any(chunk is not None and chunk.outcome != "unchanged" for chunk in chunks)
        return [trigger.name for trigger in self._into.triggers] if wrote else []

    def _begun(self, steps: Generator[T, None, None]) -> Generator[T, None, None]:
        """Its lanes have to end before their connections do."""
        self._steps.append(steps)
        return steps

    def _put_in_place(self, record: Record, hashed: bool) -> Generator[Chunk, None, None]:
        plan = self.plan()
        over = threading.Event()
        pace = Pace(self._limits, self._row_bytes())
        cursor = self._cut()
        readers = self._lanes_of_prod()
        chunker = Chunker(cursor, pace, self._brake, lanes=len(readers), sleep=self._sleep, over=over)
        self._done = chunker.done
        self._known.clear()
        writers = [self._writer(reader, known_empty=not plan.holds, hashed=hashed) for reader in readers]

        def work(chunk_writer: ChunkWriter, part: KeyRange) -> Chunk:
            return finished(chunk_writer.put_in_place(part, record))

        def finished(chunk: Chunk) -> Chunk:
            self._known[chunk.range.number] = chunk
            chunker.finished(chunk)
            return chunk

        try:
            yield from side_by_side(writers, chunker.take, work, over)
        except Permanent as refusal:
            if not self._waits_for_other_rows(refusal):
                raise
            # What is left is put in place in order, by one lane; what is refused again comes last, together.
            chunker.begin_again()
            refused: list[KeyRange] = []
            while (part := chunker.take()) is not None:
                try:
                    yield work(writers[0], part)
                except Permanent as again:
                    if not self._waits_for_other_rows(again):
                        raise
                    refused.append(part)
            if refused and chunker.ended:
                for chunk in writers[0].put_in_place_together(refused, record):
                    yield finished(chunk)
        self._readers = readers  # all ended well

    def _waits_for_other_rows(self, refusal: Permanent) -> bool:
        """Whether the rows in the way, or missing, may be those of a range that isn't in place yet."""
        if refusal.sqlstate in FOREIGN_KEYS:
            return self._into.is_referenced and refusal.constraint not in self._references
        return refusal.sqlstate in OTHER_ROWS

    def _refuse_other_labels(self) -> None:
        """An enum's label is written as it is called now, whatever the snapshot: lanes may have seen two."""
        ours = _labels(self._snapshot.table)
        if ours:
            with failures_of("prod"):
                connection = self._sessions.open(self._prod, "prod", read_only=True)
                try:
                    self._sessions.tell(connection)
                    now = _labels(read_table(connection, "prod", self._source.table))
                finally:
                    self._sessions.shut(connection)
            if now != ours:
                raise Transient(
                    f"an enum of table {self._source.table} of prod was altered while it was copied",
                    side="prod",
                    condition="TableAltered",
                    table=self._source.table.name,
                )

    def _compared(self) -> Generator[Comparison, None, None]:
        self._refuse_other_labels()
        done = [self._done[number] for number in sorted(self._done)]
        if done and sum(part.rows for part in done) == self.plan().total:
            parts = iter(done)
            take = lambda: next(parts, None)  # noqa: E731
        else:
            self._known.clear()
            cursor = self._cut()
            take = lambda: cursor.next(self._limits.chunk_rows)  # noqa: E731
        moment = self._moment_of(self._consulta, "consulta", self._into.table)
        try:
            with failures_of("consulta"):
                held = int(run(moment.connection, statements.count(self._into)).scalar_one())
                made_of = str(run(moment.connection, statements.definition(self._into.table)).scalar_one())
            self._counted = Counted(self.plan().total, held)
            ours = self._readers or self._lanes_of_prod()
            theirs = moment.readers(len(ours), self._into, in_order=False)
            lanes = list(zip(ours, theirs, strict=False))
            yield from compared(lanes, take, self._source, self._into, self._known, definition=made_of)
        finally:
            moment.close()

    def _moment_of(self, engine: Engine, side: Side, table: TableName) -> Snapshot:
        return Snapshot(engine, side, table, self._sessions)

    def _fit(self, spec: CopySpec, liquidation_id: int) -> tuple[TableSlice, TableSlice]:
        source = self._snapshot.table
        with self._target().transaction() as connection:
            target = read_table(connection, "consulta", spec.target_table)
            refuse_same_table(self._snapshot.connection, connection, source, target)
        self._references = target.relations.references
        return slices(spec, source, target, liquidation_id)

    def _ask_prod(self, question: Composable) -> int:
        with failures_of("prod"):
            return int(run(self._snapshot.connection, question).scalar_one())

    def _held(self) -> int:
        """Rows of the liquidation in consulta."""
        with self._targets[0].transaction() as connection:
            held = int(run(connection, statements.count(self._into)).scalar_one())
            if held and self._into.key_may_be_null:
                found = run(connection, statements.count_without_key(self._into)).scalar_one()
                refuse_null_keys(self._into, int(found))
            return held

    def _refuse_repeated_keys(self) -> None:
        if self._ask_prod(statements.repeats_key(self._source)):
            raise NoUsableKey(
                f"key ({', '.join(self._source.key)}) names more than one row of table {self._source.table} "
                "of prod, and no unique index of consulta's table and its children forbids that: name "
                "another key"
            )

    def _target(self, rows: TableSlice | None = None) -> Target:
        target = Target(self._consulta, self._sessions, rows)
        self._targets.append(target)
        return target

    def _lanes_of_prod(self) -> list[Connection]:
        return self._snapshot.readers(self._limits.parallel, self._source)

    def _writer(self, reader: Connection, *, known_empty: bool, hashed: bool) -> ChunkWriter:
        return ChunkWriter(
            reader,
            self._target(self._into),
            self._source,
            self._into,
            known_empty=known_empty,
            hashed=hashed,
            waiting=self._sessions.ask,
        )

    def _cut(self) -> RangeCursor:
        return RangeCursor(self._snapshot.connection, statements.declare(self._source), self.plan().total)

    def _row_bytes(self) -> float:
        with failures_of("prod"):
            found = run(
                self._snapshot.connection, statements.row_bytes(self._source.table, self.plan().total)
            )
            average = found.scalar()
        return float(average or 0.0)


def _labels(table: Table) -> list[tuple[str, ...]]:
    """Those of all enums that the table's rows may hold."""
    kinds = (each for column in table.columns for each in column.type.kind.all())
    return [each.labels for each in kinds if each.labels]

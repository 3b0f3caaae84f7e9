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
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine

from copier import statements
from copier.brake import Brake, Throttled
from copier.catalog import read_table
from copier.comparison import compared
from copier.digest import Comparison, Proof
from copier.errors import NoUsableKey, Permanent, Side
from copier.failure import failures_of
from copier.fingerprint import Fingerprint
from copier.keyset import KeyRange
from copier.pace import Pace
from copier.parallel import side_by_side
from copier.plan import Chunk, Limits, Plan
from copier.pump import Waiting
from copier.ranges import RangeCursor
from copier.session import run
from copier.slices import Slice, slices
from copier.snapshot import Snapshot
from copier.spec import CopySpec
from copier.supply import OTHER_ROWS, Supply
from copier.target import Target
from copier.writer import Record, Writer

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
        waiting: Waiting = lambda: None,
        sleep: Callable[[float], object] = time.sleep,
        throttled: Throttled = lambda lag_mb: None,
    ) -> None:
        """Takes the snapshot of prod and matches both tables; writes nothing.

        ``waiting`` is called while a side is silent, ``sleep`` to keep a cap or to wait for a standby,
        both in the lanes' threads; they may raise to stop, and where ``sleep`` returns something true,
        no further range is begun. ``throttled`` is told how many MB a standby lags while the copy waits
        for it, and None when it goes on.

        Raises:
            SchemaError: the tables don't fit.
            DatabaseFailed: a side can't be reached.
        """
        self._consulta = consulta
        self._limits = limits or Limits()
        self._label = label
        self._waiting = waiting
        self._sleep = sleep
        self._brake = Brake(consulta, self._limits.standby_lag_mb, throttled=throttled, sleep=sleep)
        self._targets: list[Target] = []
        self._plan: Plan | None = None
        self._done: dict[int, KeyRange] = {}
        self._known: dict[int, Chunk] = {}
        self._readers: list[Connection] = []
        self._steps: list[Generator[Any, None, None]] = []
        self._snapshot = self._moment_of(prod, "prod")
        try:
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
        self._snapshot.close()
        for target in self._targets:
            target.close()

    def plan(self) -> Plan:
        """Counts the liquidation in the snapshot, and what consulta holds of it beside that, once.

        Raises:
            NoUsableKey: prod holds rows whose key is NULL; they would lie in no range.
        """
        if self._plan is None:
            with ThreadPoolExecutor(1) as other_side, failures_of("prod"):
                held = other_side.submit(self._targets[0].count, self._into)
                total = run(self._snapshot.connection, statements.count(self._source)).scalar_one()
                if self._source.key_may_be_null:
                    self._refuse_rows_without_key()
            self._plan = Plan(self._snapshot.as_of, int(total), held.result())
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
        return Proof.of(self.compare())

    def _begun(self, steps: Generator[T, None, None]) -> Generator[T, None, None]:
        """Its lanes have to end before their connections do."""
        self._steps.append(steps)
        return steps

    def _put_in_place(self, record: Record, hashed: bool) -> Generator[Chunk, None, None]:
        plan = self.plan()
        over = threading.Event()
        pace = Pace(self._limits, self._row_bytes())
        supply = Supply(
            self._cut(), pace, self._brake, lanes=self._limits.parallel, sleep=self._sleep, over=over
        )
        self._done = supply.done
        self._known.clear()
        readers = self._lanes_of_prod()
        writers = [self._writer(reader, known_empty=not plan.holds, hashed=hashed) for reader in readers]

        def work(writer: Writer, part: KeyRange) -> Chunk:
            chunk = writer.put_in_place(part, record)
            self._known[part.number] = chunk
            supply.finished(chunk)
            return chunk

        try:
            yield from side_by_side(writers, supply.take, work, over)
        except Permanent as refusal:
            if refusal.sqlstate not in OTHER_ROWS or len(writers) == 1:
                raise
            supply.begin_again()
            yield from side_by_side(writers[:1], supply.take, work, over)
        else:
            self._readers = readers  # all ended well

    def _compared(self) -> Generator[Comparison, None, None]:
        done = [self._done[number] for number in sorted(self._done)]
        if done and sum(part.rows for part in done) == self.plan().total:
            parts = iter(done)
            take = lambda: next(parts, None)  # noqa: E731
        else:
            self._known.clear()
            cursor = self._cut()
            take = lambda: cursor.next(self._limits.chunk_rows)  # noqa: E731
        moment = self._moment_of(self._consulta, "consulta")
        try:
            lanes = [
                (reader, moment.reader(by_index=self._into.has_index, in_order=False))
                for reader in self._readers or self._lanes_of_prod()
            ]
            yield from compared(lanes, take, self._source, self._into, self._known)
        finally:
            moment.close()

    def _moment_of(self, engine: Engine, side: Side) -> Snapshot:
        return Snapshot(engine, side, lock_timeout_seconds=self._limits.lock_timeout_seconds)

    def _fit(self, spec: CopySpec, liquidation_id: int) -> tuple[Slice, Slice]:
        with failures_of("prod"):
            source = read_table(self._snapshot.connection, "prod", spec.source_table)
            # Nobody can truncate or rewrite it from now on: the snapshot would see it empty.
            run(self._snapshot.connection, statements.hold(spec.source_table))
        with self._target().transaction() as connection:
            target = read_table(connection, "consulta", spec.target_table)
        return slices(spec, source, target, liquidation_id)

    def _refuse_rows_without_key(self) -> None:
        with failures_of("prod"):
            found = run(self._snapshot.connection, statements.count_without_key(self._source)).scalar_one()
        if found:
            names = ", ".join(column.name for column in self._source.keys.columns)
            raise NoUsableKey(
                f"key ({names}) is NULL in {found} row{'s' if found > 1 else ''} of table "
                f"{self._source.table} of prod: fill it in there, or name another key"
            )

    def _target(self, *, by_index: bool = False) -> Target:
        target = Target(
            self._consulta,
            lock_timeout_seconds=self._limits.lock_timeout_seconds,
            label=self._label,
            by_index=by_index,
        )
        self._targets.append(target)
        return target

    def _lanes_of_prod(self) -> list[Connection]:
        by_index = self._source.has_index
        return [self._snapshot.reader(by_index=by_index) for _ in range(self._limits.parallel)]

    def _writer(self, reader: Connection, *, known_empty: bool, hashed: bool) -> Writer:
        return Writer(
            reader,
            self._target(by_index=self._into.has_index),
            self._source,
            self._into,
            known_empty=known_empty,
            hashed=hashed,
            waiting=self._waiting,
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

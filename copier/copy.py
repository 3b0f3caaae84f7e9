"""One copy of one liquidation: plan it, put it in place, compare both sides.

    with Copy(source, target, spec, 42) as copy:
        result = copy.run(on_chunk=print)
        assert copy.verify(result).holds

`Copy.run` copies one key range after another, each in a transaction of its own. Running it again is the same
operation: what the target holds already is compared and left alone. `Copy.verify` compares both sides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Self, overload

from psycopg.sql import Composable
from sqlalchemy import Connection, Engine

from copier import statements
from copier.batch import COMMIT, Rows, run_batch
from copier.chunk_writer import ChunkWriter, Ledger, Record, Surplus, Target, recorded
from copier.chunker import LAST_ROWS, Chunker, ChunkSize, KnownRanges, RangeCursor
from copier.connections import OnSilence, Sessions, run
from copier.diff import counts_of
from copier.errors import (
    DEFAULT_NAMES,
    FOREIGN_KEYS,
    TAKEN,
    DatabaseFailed,
    NoUsableKey,
    Permanent,
    SideNames,
    Transient,
    failures_of,
)
from copier.foreign_keys import explained
from copier.missing_parents import refuse_missing_parents
from copier.model import (
    EMPTY,
    WHOLE,
    Chunk,
    CopySpec,
    Counted,
    Counts,
    KeyRange,
    Limits,
    Plan,
    Proof,
    RangeComparison,
    Referring,
)
from copier.parallel import both_sides, run_lanes
from copier.row_versions import (
    Baseline,
    Change,
    ExpectedChanges,
    SideNow,
    SideState,
    counts_by_versions,
    questions_of_state,
    state_of,
)
from copier.snapshot import Snapshot
from copier.system_catalog import Table, may_be_same, questions, read_table, refuse_same_table, table_of
from copier.table_slice import TableSlice, fingerprint, refuse_null_keys, slices
from copier.throttle import Throttle, Throttled
from copier.verify import SeenTogether, compared


def record_nothing(connection: Connection, chunk: Chunk) -> None:
    """The record of a caller that keeps none."""


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What `Copy.run` has done: the ``chunks`` that are in place, in the order of their ranges."""

    plan: Plan
    chunks: tuple[Chunk, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all ranges of the liquidation are in place."""
        return bool(self.chunks) and sum(chunk.range.rows for chunk in self.chunks) == self.plan.total


class Copy:
    """A copy under one snapshot. Use it as a context manager: the snapshot ends with it."""

    def __init__(
        self,
        source: Engine,
        target: Engine,
        spec: CopySpec,
        liquidation_id: int,
        *,
        names: SideNames = DEFAULT_NAMES,
        limits: Limits | None = None,
        label: str = "traspaso",
        baseline: Baseline | None = None,
        on_silence: OnSilence = lambda silent: None,
        sleep: Callable[[float], object] = time.sleep,
        throttled: Throttled = lambda lag_mb: None,
        around_chunk: Callable[[KeyRange], AbstractContextManager[object]] = nullcontext,
        moment: Snapshot | None = None,
        target_table: Table | None = None,
    ) -> None:
        """Takes the snapshot of the source and matches both tables; writes nothing.

        A snapshot that is open already may be given as ``moment``; it has to outlast this object. So may the
        ``target_table``, as it was just found.

        ``names`` are what errors call the two sides, and ``label`` is the name of all sessions. ``baseline``
        is what an earlier copy has proven: where row versions tell that rows are the same, they aren't read.
        ``on_silence`` is called each second in which a side is silent, with the seconds, whatever it was
        asked; ``sleep`` to keep a cap or to wait for a standby. Both are called in several threads and may
        raise to stop: a statement that is waited for is then cancelled, and where the server doesn't even
        answer that, its connection is closed. Where ``sleep`` returns something true, no further range is
        begun. ``throttled`` is called with the MB that a standby lags while it is waited for, and None
        afterwards. ``around_chunk`` gives what a range is put in place within, in the thread of its lane.

        Raises:
            SchemaError: the tables don't fit.
            DatabaseFailed: a side can't be reached, or somebody alters the table.
        """
        self._names = names
        self._source_engine = source
        self._target_engine = target
        self._limits = limits or Limits()
        self._sessions = Sessions(
            label,
            on_silence=on_silence,
            lock_timeout_seconds=self._limits.lock_timeout_seconds,
            lost_seconds=self._limits.lost_seconds,
        )
        self._sleep = sleep
        self._around_chunk = around_chunk
        self._throttled = throttled
        self._lanes: list[Target] = []
        self._together: Sequence[Table] = ()
        self._plan: Plan | None = None
        self._baseline = baseline
        self._change = Change.UNKNOWN
        self._left: Chunk | None = None
        self._has_run = False
        self._still: str | None = None
        #: Whether the last `run` knew by row versions what has changed since the baseline.
        self.builds_on_baseline = False
        self._proven: Baseline | None = None
        try:
            tables = [each.source_table for each in spec.line]
            self._snapshot, (self._connection, found) = both_sides(
                lambda: (
                    Snapshot(source, self._names.source, tables, self._sessions)
                    if moment is None
                    else moment.of(spec.source_table, self._sessions)
                ),
                lambda: self._looked_up(spec, target_table),
            )
            self._source, self._target = self._fit(spec, liquidation_id, found)
            self.fingerprint = fingerprint(self._source, self._target)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the snapshot and gives all connections back."""
        self._sessions.close()

    def rest(self) -> None:
        """Gives back the sessions that it has for itself; what is done next takes some again.

        That which holds the snapshot stays.
        """
        self._snapshot.rest()
        self._connection.rest()

    def plan(self) -> Plan:
        """Counts the liquidation on both sides, once: in the source's snapshot, and in the target just now.

        Raises:
            NoUsableKey: a side holds rows whose key is NULL, or the source several rows with one key.
        """
        if self._plan is None:
            source, target = both_sides(self._look_at_source, self._look_at_target)
            plan = Plan(self._snapshot.as_of, source.rows, target.rows)
            self._source_state, self._target_state = source, target
            if self._baseline is not None:
                self._change = self._baseline.change_to(source, target, self._limits)
                if self._change is Change.FEW:
                    self._baseline = self._baseline.joined(self._limits.chunk_rows)
            if self._source.key_may_be_null:
                refuse_null_keys(self._source, self._ask_source(statements.count_without_key(self._source)))
            if self._source.key_may_repeat and self._target.key_may_repeat:
                self._refuse_repeated_keys()
            self._plan = plan
        return self._plan

    def run(
        self,
        record: Record | Ledger = record_nothing,
        *,
        hashed: bool = True,
        on_chunk: Callable[[Chunk], object] = lambda chunk: None,
        should_stop: Callable[[], bool] = lambda: False,
        waiting: frozenset[str] = frozenset(),
    ) -> CopyResult:
        """Puts range after range in place, each committed together with its record.

        ``record`` runs inside the chunk's transaction, in the thread of its lane; what it raises rolls the
        chunk back and is raised here. A `Ledger` is sent together with the commit. ``on_chunk`` and then
        ``should_stop`` are called in this thread after each chunk; the lanes ask ``should_stop`` as well,
        before they begin a range together with a commit. Once ``should_stop`` gives True, or
        ``on_chunk`` raises, no further range is begun; those in hand are finished, and belong to the result
        without a call of ``on_chunk``. ``hashed`` has the source's digests come with its rows, for `verify`;
        who doesn't compare can save that. Columns that are ``waiting`` are NULL in the rows that are written;
        another run fills them in.

        Raises:
            ParentsMissing: the rows belong through others that the target lacks; nothing was written.
            DatabaseFailed: of the side that failed; nothing of that chunk is left.
        """
        in_place: dict[int, Chunk] = {}
        try:
            with (
                self.explaining(),
                closing(
                    self._put_in_place(record, in_place, should_stop, hashed=hashed, waiting=waiting)
                ) as chunks,
            ):
                for chunk in chunks:
                    on_chunk(chunk)
                    if should_stop():
                        break
        finally:
            for target in [self._connection, *self._lanes]:
                target.rest()
            self._lanes.clear()
        return CopyResult(self.plan(), tuple(in_place[number] for number in sorted(in_place)))

    @overload
    def verify(
        self,
        result: CopyResult | None = None,
        *,
        on_comparison: Callable[[RangeComparison], object] = ...,
        moment: Snapshot | None = ...,
        count_rows: bool = ...,
    ) -> Proof: ...

    @overload
    def verify(
        self,
        result: CopyResult | None = None,
        *,
        on_comparison: Callable[[RangeComparison], object] = ...,
        should_stop: Callable[[], bool],
        moment: Snapshot | None = ...,
        count_rows: bool = ...,
    ) -> Proof | None: ...

    def verify(
        self,
        result: CopyResult | None = None,
        *,
        on_comparison: Callable[[RangeComparison], object] = lambda comparison: None,
        should_stop: Callable[[], bool] = lambda: False,
        moment: Snapshot | None = None,
        count_rows: bool = False,
    ) -> Proof | None:
        """Compares both sides range by range: the source's snapshot with one moment of the target.

        That moment may be given; else it is taken now. The ranges are those of ``result`` where it is whole,
        and what its chunks know is not read again; else they are cut for the purpose. ``on_comparison`` and
        then ``should_stop`` are called in this thread after each range. Gives None where ``should_stop`` gave
        True. With ``count_rows`` the ranges that differ are read once more, and the proof says by how many
        rows.
        """
        if self._left is not None and self.is_proven_before(result):
            return self._proven_before(self._left, on_comparison)
        self._refuse_altered_enums()
        known: dict[int, Chunk] = {}
        if result is not None and result.is_whole:
            known = {chunk.range.number: chunk for chunk in result.chunks}
            key_ranges = iter([chunk.range for chunk in result.chunks])
            take = lambda: next(key_ranges, None)  # noqa: E731
        else:
            cursor = self._range_cursor()
            take = lambda: cursor.next(self._limits.chunk_rows)  # noqa: E731
        comparisons: list[RangeComparison] = []
        together = SeenTogether.of([*known.values()])
        moment = self._moment(moment, together)
        try:
            held, [[made_of]] = state_of(self._target, moment.table, moment.answers), moment.answers[1]
            if together is not None and together.is_still(moment.answers[0][0], made_of):
                steps = together.comparisons()
            else:
                steps = self._compared(moment, held, made_of, known, take)
            with closing(steps):
                for comparison in steps:
                    comparisons.append(comparison)
                    on_comparison(comparison)
                    if should_stop():
                        return None
            apart = Counts()
            for comparison in comparisons if count_rows else ():
                if not comparison.agrees:
                    [reader] = moment.readers(1, self._target, in_order=False)
                    own = self._source_readers()[0]
                    apart += counts_of(comparison, own, self._source, _Reader(reader), self._target)
                    if should_stop():
                        return None
        finally:
            moment.close()
        proof = Proof.of(comparisons, Counted(self.plan().total, held.rows), apart if count_rows else None)
        if proof.holds:
            self._proven = Baseline.of(self._source_state.vantage, held.vantage, comparisons)
        return proof

    def _compared(
        self,
        moment: Snapshot,
        held: SideState,
        made_of: str,
        known: Mapping[int, Chunk],
        take: Callable[[], KeyRange | None],
    ) -> Generator[RangeComparison, None, None]:
        """Range by range. ``held`` and ``made_of`` are what the target was found to be at this moment."""
        readers = self._source_readers()
        target_readers = moment.readers(len(readers), self._target, in_order=False)
        identity = self._target_state.vantage.identity
        return compared(
            list(zip(readers, target_readers, strict=False)),
            take,
            self._source,
            self._target,
            known,
            definition=made_of,
            is_same=identity is not None and identity == held.vantage.identity,
        )

    def _moment(self, given: Snapshot | None, together: SeenTogether | None) -> Snapshot:
        """One moment of the target, which has been asked for its state; its own session reads ranges too.

        Its rows are counted, and those since they were seen ``together`` hashed.
        """
        rows, asked = self._target, questions_of_state(self._target, self._target_table)
        if together is not None:
            asked[0] = statements.arrivals(rows, WHOLE, together.base)
        if given is not None:
            return given.of(rows.table, self._sessions, also=asked, reads=rows)
        return Snapshot(
            self._target_engine, self._names.target, rows.tables, self._sessions, also=asked, reads=rows
        )

    def baseline(self) -> Baseline | None:
        """What `verify` has proven, for a later copy of the liquidation; None where it can't build on it.

        It holds until one of the servers is started anew, so it may be kept anywhere.
        """
        return self._proven

    def is_proven_before(self, result: CopyResult | None) -> bool:
        """Whether row versions told that what was proven holds: then `verify` asks neither side."""
        return result is not None and self._left is not None and result.chunks == (self._left,)

    def _proven_before(self, chunk: Chunk, on_comparison: Callable[[RangeComparison], object]) -> Proof:
        """Of a liquidation that row versions have told to be as it was."""
        if self._baseline is None or chunk.source is None:
            raise ValueError("nothing was proven before")
        comparison = RangeComparison(chunk.range, chunk.source, chunk.source)
        on_comparison(comparison)
        vantages = self._source_state.vantage, self._target_state.vantage
        self._proven = replace(self._baseline, source=vantages[0], target=vantages[1])
        return Proof.of([comparison], Counted(self._source_state.rows, self._target_state.rows))

    @property
    def as_of(self) -> datetime:
        """The moment of the source."""
        return self._snapshot.as_of

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row on both sides."""
        return self._target.key

    def refuse_unwritable(self) -> None:
        """Raises PrivilegeMissing or ReadOnly where the target's role may not write as `run` will."""
        self._target_table.refuse_unwritable(updates=self._target.in_place)

    @property
    def is_left_as_it_is(self) -> bool:
        """Whether both sides hold what was proven before, as row versions tell."""
        self.plan()
        return self._change is Change.NONE

    def belongs_to(self, tables: Iterable[Table]) -> None:
        """It is copied together with these tables of the target, of which it is one."""
        self._together = tuple(tables)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """What a foreign key of the target refuses inside is raised with the tables between which it is."""
        try:
            yield
        except Permanent as refusal:
            meaning = self._meaning(refusal)
            if meaning is refusal:
                raise
            raise meaning from (refusal.__cause__ or refusal)

    def _meaning(self, refusal: Permanent) -> Permanent:
        def ask(question: Composable) -> Rows:
            connection = self._sessions.open(self._target_engine, self._names.target, read_only=True)
            try:
                return run_batch(connection, question)[0]
            finally:
                self._sessions.shut(connection)

        try:
            with failures_of(self._names.target):
                return explained(refusal, ask, self._target_table, self._together)
        except DatabaseFailed:  # what has failed is said all the same
            return refusal

    def leave(self, referring: Iterable[Referring]) -> None:
        """From now on surplus rows to which these foreign keys point stay for now: see `surplus`."""
        self._target = replace(self._target, referring=tuple(referring))

    def surplus(self) -> Surplus:
        """The rows of the target whose keys the source doesn't have. `run` removes them too."""
        return Surplus(
            self._snapshot.connection,
            self._connection,
            self._source,
            self._target,
            cut=self._range_cursor,
            rows=self._limits.chunk_rows,
        )

    def expected_changes(self, baseline: Baseline) -> ExpectedChanges | None:
        """What `run` would do to the rows that the target holds just now; None where that isn't known.

        It is known by row versions since the ``baseline``. Nothing is written.
        """
        plan = self.plan()
        if self._change is Change.NONE:
            return ExpectedChanges(Counts(unchanged=plan.total), plan.as_of)
        with self._connection.moment(self._target.tables) as moment:
            target = SideNow(moment, self._target, self._target_table)
            source = SideNow(self._snapshot, self._source, self._snapshot.table)
            found = counts_by_versions(source, target, baseline)
            moment.ask(COMMIT)
        return None if found.counts is None else ExpectedChanges(found.counts, plan.as_of)

    def blamed_triggers(self, result: CopyResult, proof: Proof) -> list[str]:
        """The triggers of the target that fire on written rows, where rows that this copy wrote differ."""
        if not result.is_whole:
            return []
        written = {chunk.range.number for chunk in result.chunks if chunk.outcome != "unchanged"}
        differ = any(each.range.number in written for each in proof.differences)
        return [trigger.name for trigger in self._target.triggers] if differ else []

    def _put_in_place(
        self,
        record: Record | Ledger,
        in_place: dict[int, Chunk],
        should_stop: Callable[[], bool],
        *,
        hashed: bool,
        waiting: frozenset[str],
    ) -> Generator[Chunk, None, None]:
        """Yields the chunks as they come. ``in_place`` gets each by its number as soon as it is committed."""
        self.refuse_unwritable()
        self.plan()
        is_first, self._has_run = not self._has_run, True
        self._still = self._definition if is_first and self._is_still() else None
        self.builds_on_baseline = self._change in {Change.NONE, Change.FEW}
        if self._change is Change.NONE:
            self._change = Change.UNKNOWN  # that was told of one moment: a second run looks at the values
            self._left = chunk = self._left_as_it_is(record)
            in_place[chunk.range.number] = chunk
            yield chunk
            return
        self._refuse_missing_parents()
        over = threading.Event()
        with closing(self._chunker(over)) as chunker:
            yield from self._in_lanes(
                chunker,
                over,
                record,
                in_place,
                should_stop,
                known_empty=is_first and not self.plan().holds,
                hashed=hashed,
                waiting=waiting,
            )

    def _chunker(self, over: threading.Event) -> Chunker:
        """Cuts the first ranges at once, while the lanes' connections are made."""
        few = self._baseline is not None and self._change is Change.FEW
        shared = self._snapshot.is_shared and not self._is_one_range
        return Chunker(
            KnownRanges(self._baseline.key_ranges()) if self._baseline and few else self._range_cursor(),
            ChunkSize(self._limits, self._row_bytes),
            Throttle(
                self._target_engine,
                self._names.target,
                self._limits,
                self._sessions,
                throttled=self._throttled,
                sleep=self._sleep,
            ),
            lanes=self._limits.parallel if shared else 1,
            over=over,
            beside=shared,
        )

    def _in_lanes(
        self,
        chunker: Chunker,
        over: threading.Event,
        record: Record | Ledger,
        in_place: dict[int, Chunk],
        should_stop: Callable[[], bool],
        *,
        known_empty: bool,
        hashed: bool,
        waiting: frozenset[str],
    ) -> Generator[Chunk, None, None]:
        readers = self._source_readers()
        with ThreadPoolExecutor(len(readers)) as at_once:
            make = partial(self._writer, known_empty=known_empty, hashed=hashed, waiting=waiting)
            # The first lane writes by the connection that has looked at the target.
            self._connection.serve(self._target)
            writers = [*at_once.map(make, readers, [self._connection, *(None for _ in readers[1:])])]

        def work(chunk_writer: ChunkWriter, key_range: KeyRange) -> Chunk:
            with self._around_chunk(key_range):
                chunk = chunk_writer.put_in_place(key_range, record, chunker.take_at_once, should_stop)
                return finished(chunk, chunk_writer.answers_in)

        def finished(chunk: Chunk, answers_in: float | None = None) -> Chunk:
            if self._change is Change.FEW:  # the range has as many rows as the source holds there now
                chunk = replace(chunk, range=replace(chunk.range, rows=chunk.rows))
            in_place[chunk.range.number] = chunk
            chunker.finished(chunk, answers_in)
            return chunk

        def take(chunk_writer: ChunkWriter) -> KeyRange | None:
            return chunk_writer.begun or chunker.take()

        def has_begun(chunk_writer: ChunkWriter) -> bool:
            return chunk_writer.begun is not None

        try:
            yield from run_lanes(writers, take, work, over, has_begun)
        except Permanent as refusal:
            if not self._waits_for_other_rows(refusal):
                raise
            # What is left is put in place in order, by one lane; what is refused again comes last,
            # together.
            chunker.begin_again()
            refused: list[KeyRange] = []
            while (key_range := chunker.take()) is not None:
                try:
                    yield work(writers[0], key_range)
                except Permanent as again:
                    if not self._waits_for_other_rows(again):
                        raise
                    refused.append(key_range)
            if refused and chunker.ended:
                for chunk in writers[0].put_in_place_together(refused, record):
                    yield finished(chunk)

    def _left_as_it_is(self, record: Record | Ledger) -> Chunk:
        """Both sides hold what was proven: one line says so, and nothing is read or written."""
        started = time.monotonic()
        total = self.plan().total
        key_range = KeyRange(1, None, None, total)
        digest = self._baseline.digest if self._baseline is not None else EMPTY
        chunk = Chunk(key_range, "unchanged", total, Counts(unchanged=total), source=digest)
        with self._connection.transaction() as begun:
            chunk = replace(chunk, seconds=time.monotonic() - started)
            recorded(begun, [chunk], record)
        return chunk

    def _waits_for_other_rows(self, refusal: Permanent) -> bool:
        """Whether the rows in the way, or missing, may be those of a range that isn't in place yet."""
        if refusal.sqlstate in FOREIGN_KEYS:
            return self._target.is_referenced and refusal.constraint not in self._references
        return refusal.sqlstate in TAKEN

    def _refuse_altered_enums(self) -> None:
        """An enum's label is written as it is called now, whatever the snapshot: lanes may have seen two."""
        labels = _labels(self._snapshot.table)
        if labels:
            with failures_of(self._names.source):
                connection = self._sessions.open(self._source_engine, self._names.source, read_only=True)
                try:
                    self._sessions.identify(connection)
                    now = _labels(read_table(connection, self._names.source, self._source.table))
                finally:
                    self._sessions.shut(connection)
            if now != labels:
                raise Transient(
                    f"an enum of table {self._source.table} of {self._names.source} was altered while it was "
                    "copied",
                    side=self._names.source,
                    condition="TableAltered",
                    table=self._source.table.name,
                )

    def _looked_up(self, spec: CopySpec, table: Table | None) -> tuple[Target, Table]:
        """The target, connected, and its table, which may have been found before."""
        connection = Target(self._target_engine, self._names.target, self._sessions)
        if table is None:
            tables = [each.target_table for each in spec.line]
            with connection.transaction() as begun:
                *found, _ = begun.ask(*questions(*tables), COMMIT)
            table = table_of(self._names.target, tables, found)
        return connection, table

    def _fit(self, spec: CopySpec, liquidation_id: int, target: Table) -> tuple[TableSlice, TableSlice]:
        source = self._snapshot.table
        if may_be_same(source, target):
            with self._connection.transaction() as begun:
                begun.flush()
                refuse_same_table(self._snapshot.connection, begun.connection, source, target, self._names)
        self._references = {key.name for key in target.relations.references}
        self._target_table = target
        return slices(spec, source, target, liquidation_id)

    def _ask_source(self, question: Composable) -> int:
        with failures_of(self._names.source):
            return int(run(self._snapshot.connection, question).scalar_one())

    def _look_at_source(self) -> SideState:
        """The source in the snapshot."""
        rows, table = self._source, self._snapshot.table
        asked = questions_of_state(rows, table, self._baseline.source if self._baseline else None)
        with failures_of(self._names.source):
            *answers, [size] = run_batch(
                self._snapshot.connection, *asked, statements.size(self._source.table)
            )
        state = state_of(rows, table, answers)
        # A table that was never analyzed doesn't know its rows: the average is then the most that it can be.
        self._row_bytes = float(size.bytes or 0) / max(size.rows or 0, state.rows, 1)
        return state

    def _look_at_target(self) -> SideState:
        """The target at one moment."""
        rows, table = self._target, self._target_table
        asked = questions_of_state(rows, table, self._baseline.target if self._baseline else None)
        without_key = [statements.count_without_key(rows)] if rows.key_may_be_null else []
        with self._connection.moment(rows.tables) as moment:
            answers = moment.ask(*asked, *without_key, COMMIT)
        for [[found]] in answers[len(asked) : -1]:
            refuse_null_keys(rows, int(found))
        [[self._definition]] = answers[1]
        return state_of(rows, table, answers[: len(asked)])

    def _refuse_missing_parents(self) -> None:
        def ask_source(question: Composable) -> Rows:
            with failures_of(self._names.source):
                return run_batch(self._snapshot.connection, question)[0]

        if self._target.parent is not None:
            with self._connection.moment(self._target.tables) as moment:
                refuse_missing_parents(
                    self._source, self._target, ask_source, lambda question: moment.ask(question)[0]
                )

    def _refuse_repeated_keys(self) -> None:
        if self._ask_source(statements.repeats_key(self._source)):
            raise NoUsableKey(
                f"key ({', '.join(self._source.key)}) names more than one row of table {self._source.table} "
                f"of {self._names.source}, and no unique index of {self._names.target}'s table and its "
                "children forbids that: name another key"
            )

    def _source_readers(self) -> list[Connection]:
        """As many as there are lanes: no more than there are ranges worth one.

        A single range is read by the session that has counted it, which has nothing to cut meanwhile.
        """
        most = max(1, -(-self.plan().total // min(LAST_ROWS, self._limits.chunk_rows)))
        count = min(self._limits.parallel, most)
        return self._snapshot.readers(count, self._source, alone=self._is_one_range)

    @property
    def _is_one_range(self) -> bool:
        """Whether all rows fit into the first range that is cut."""
        return self.plan().total <= min(LAST_ROWS, ChunkSize(self._limits, self._row_bytes).rows)

    def _writer(
        self,
        reader: Connection,
        connection: Target | None,
        *,
        known_empty: bool,
        hashed: bool,
        waiting: frozenset[str],
    ) -> ChunkWriter:
        if connection is None:
            connection = Target(self._target_engine, self._names.target, self._sessions, self._target)
            self._lanes.append(connection)
        return ChunkWriter(
            reader,
            connection,
            replace(self._source, waiting=waiting),
            self._target,
            known_empty=known_empty,
            hashed=hashed,
            on_silence=self._sessions.ask,
            looks_back=hashed and self._writers_tell,
            baseline=self._baseline if self._change is Change.FEW else None,
            still=self._still,
            # What the target fills by itself can't be compared: it isn't known whether it holds what it
            # was given before there was a rule.
            anew=bool(self._target.matched.defaulted) and self._change is Change.UNKNOWN,
        )

    def _is_still(self) -> bool:
        """Whether the target was found as it was proven, by its row versions."""
        return self._baseline is not None and self._baseline.is_still(self._target_state)

    @property
    def _writers_tell(self) -> bool:
        """Whether who wrote a range's rows tells later that they are the same: see `copier.verify`.

        Not of rows that belong through a parent: they come and go with its versions, not only with their own.
        """
        return self._target_state.vantage.identity is not None and self._target.parent is None

    def _range_cursor(self) -> RangeCursor:
        return RangeCursor(self._snapshot.connection, self._source, self.plan().total)


@dataclass(frozen=True, slots=True)
class _Reader:
    """A session in an open snapshot, as a `copier.diff.Look`."""

    connection: Connection

    def ask(self, *statements: Composable) -> list[Rows]:
        return run_batch(self.connection, *statements)


def _labels(table: Table) -> list[tuple[str, ...]]:
    """Those of all enums that the table's rows may hold."""
    kinds = (each for column in table.columns for each in column.type.kind.all())
    return [each.labels for each in kinds if each.labels]

"""Several tables of one liquidation as one copy: one moment of the source, one order, one proof.

    with CopySet(source, target, [heads, payslips, lines], 42) as copies:
        result = copies.run()
        assert copies.verify(result).holds

All tables of the source are locked, and then one snapshot is taken. The order comes from the foreign keys of
the target (`copier.set_order`): parents are written before the tables that refer to them, surplus rows go in
the opposite order, so that no foreign key is violated at any commit. Tables that don't depend on each other
are written side by side.

    1. Where a table to which others refer holds surplus rows: these go, children first.
    2. Each table is put in place, parents first, as by `copier.Copy`. A surplus row to which a row still
       refers, which is to refer to another one, stays until then.
    3. Foreign keys that had to wait are filled in.
    4. What is left of the surplus goes, children first.

What is done in 1 and 4, and before 3, has records with numbers below zero: only the ranges of a proof have
numbers from 1. To run a set again is the same operation.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Self, TypeVar

import psycopg
from psycopg.sql import Composable
from sqlalchemy import Connection, Engine

from copier.batch import COMMIT, Rows
from copier.chunk_writer import Ledger, Record, Target
from copier.connections import OnSilence, Sessions
from copier.copy import Copy, CopyResult, record_nothing
from copier.errors import (
    DEFAULT_NAMES,
    FOREIGN_KEYS,
    CascadeRefused,
    CopierError,
    DatabaseFailed,
    Permanent,
    SchemaError,
    SeveralMoments,
    SideNames,
    concerns_one_table,
)
from copier.model import Chunk, CopySpec, KeyRange, Limits, Plan, Proof, RangeComparison, Referring, quoted
from copier.parallel import both_sides
from copier.row_versions import Baseline
from copier.set_order import (
    ForeignKey,
    SetOrder,
    belonging,
    fixed_columns,
    foreign_keys_of,
    foreign_keys_question,
    order_of,
)
from copier.snapshot import Snapshot
from copier.system_catalog import Table, names_in, questions, several_moments, tables_of
from copier.throttle import Throttled

T = TypeVar("T")
R = TypeVar("R")

#: On either side the tables of a set have about so many sessions, but never less than two tables with theirs.
SESSIONS = 15


def tables_at_once(parallel: int) -> int:
    """So many tables of a set have sessions at the same time: in the source each one, and its lanes."""
    return max(2, SESSIONS // (1 + parallel))


class TableState(StrEnum):
    """What has become of one table of a set so far."""

    WAITS = "waits"
    COPYING = "copying"
    IN_PLACE = "in_place"
    PROVEN = "proven"


@dataclass(frozen=True, slots=True)
class CopySetResult:
    """What `CopySet.run` has done, by the names of the copies. ``as_of`` is the one moment of the source.

    ``missing`` are the copies that were not begun.
    """

    as_of: datetime
    results: Mapping[str, CopyResult]
    missing: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all ranges of all tables are in place."""
        return not self.missing and all(result.is_whole for result in self.results.values())


@dataclass(frozen=True, slots=True)
class SetProof:
    """The proof of each table, by the names of the copies, all at one moment of each side."""

    as_of: datetime
    proofs: Mapping[str, Proof]

    @property
    def holds(self) -> bool:
        """Whether each of them holds."""
        return all(proof.holds for proof in self.proofs.values())

    def reasons(self, names: SideNames) -> list[str]:
        """Why it doesn't hold, a line each, without a value of any row."""
        return [f"{name}: {reason}" for name, proof in self.proofs.items() for reason in proof.reasons(names)]


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What one table of a set is copied with; each as in `Copy`."""

    label: str | None = None
    baseline: Baseline | None = None
    on_silence: OnSilence | None = None
    throttled: Throttled = lambda lag_mb: None
    around_chunk: Callable[[KeyRange], AbstractContextManager[object]] = nullcontext


class CopySet:
    """A set under one snapshot. Use it as a context manager: the snapshot ends with it."""

    as_of: datetime
    order: SetOrder

    def __init__(
        self,
        source: Engine,
        target: Engine,
        specs: Sequence[CopySpec],
        liquidation_id: int,
        *,
        names: SideNames = DEFAULT_NAMES,
        limits: Limits | None = None,
        label: str = "traspaso",
        options: Mapping[str, TableOptions] | None = None,
        on_silence: OnSilence = lambda silent: None,
        sleep: Callable[[float], object] = time.sleep,
        only_compares: bool = False,
    ) -> None:
        """Locks all tables of the source, takes the snapshot, matches the tables; writes nothing.

        ``specs`` have different names and target tables. ``options`` has by these names what concerns one
        table; all else is as in `Copy`. One table alone is copied as by `Copy`. A set that ``only_compares``
        asks for no order, and its only use is `verify`, once: see `copier.copy_set`.

        Raises:
            ValueError: there are no specs, or two of them have one name or one target table.
            SchemaError: tables don't fit, no one snapshot holds all of them, or nothing can be written first.
            DatabaseFailed: a side can't be reached, or somebody alters a table.
        """
        _refuse_twice(specs)
        self._names = names
        self._limits = limits or Limits()
        self._target = target
        self._specs = {spec.name: spec for spec in specs}
        self._own = ExitStack()
        self._sessions = Sessions(
            label,
            on_silence=on_silence,
            lock_timeout_seconds=self._limits.lock_timeout_seconds,
            lost_seconds=self._limits.lost_seconds,
        )
        self._lanes = threading.BoundedSemaphore(self._limits.parallel)
        self._at_once = tables_at_once(self._limits.parallel)
        # Where each table can have sessions for itself all the time, none of them connects twice.
        self._keeps_sessions = len(specs) <= self._at_once
        self.copies: dict[str, Copy] = {}
        self.states = dict.fromkeys(self._specs, TableState.WAITS)
        self._own.callback(self._sessions.close)
        self._moment: Snapshot | None = None
        tables: dict[str, Table] = {}
        keys: tuple[ForeignKey, ...] = ()
        try:
            if len(specs) > 1:
                self._moment, (tables, keys) = both_sides(
                    lambda: self._common_moment(source), self._look_at_target
                )
            given = options or {}

            def begin(spec: CopySpec) -> Copy:
                own = given.get(spec.name, TableOptions())
                copy = Copy(
                    source,
                    target,
                    spec,
                    liquidation_id,
                    names=names,
                    limits=self._limits,
                    label=own.label or label,
                    baseline=own.baseline,
                    on_silence=own.on_silence or on_silence,
                    sleep=sleep,
                    throttled=own.throttled,
                    around_chunk=lambda chunk: self._in_turn(own.around_chunk(chunk)),
                    moment=self._moment,
                    target_table=tables.get(spec.name),
                )
                self._own.enter_context(copy)
                return self._rested(copy, copy)

            self.copies = dict(zip(self._specs, self._side_by_side(specs, begin), strict=True))
            self.as_of = next(iter(self.copies.values())).as_of
            self._only_compares = only_compares
            if only_compares:
                return
            self.order = order_of(
                [*self.copies],
                keys,
                belongs=belonging(specs),
                fixed={
                    name: fixed_columns(self._specs[name], copy.key) for name, copy in self.copies.items()
                },
            )
            for name, copy in self.copies.items():
                copy.belongs_to(tables.values())
                copy.leave(
                    Referring(self._specs[key.child].target_table, key.columns, key.parent_columns)
                    for key in self.order.refer_to(name)
                )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the snapshot and gives all connections back."""
        self._own.close()

    def plan(self) -> dict[str, Plan]:
        """Counts each table on both sides, once, by the names of the copies.

        Raises:
            NoUsableKey: a side holds rows whose key is NULL, or the source several rows with one key.
        """
        plans = self._side_by_side([*self.copies.values()], lambda copy: self._rested(copy, copy.plan()))
        return dict(zip(self.copies, plans, strict=True))

    def run(
        self,
        record: Callable[[str], Record | Ledger] = lambda name: record_nothing,
        *,
        on_chunk: Callable[[str, Chunk], object] = lambda name, chunk: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> CopySetResult:
        """Puts all tables in place; each range is committed together with its record.

        ``record`` gives the record of a table, by the name of its copy. ``on_chunk`` and ``should_stop`` are
        called after each chunk, in the thread of its table: several at once, where tables are written side
        by side. Once ``should_stop`` gives True nothing more is begun.

        Raises:
            DatabaseFailed: of the side that failed. `states` says which tables are in place.
        """
        for copy in self.copies.values():
            copy.refuse_unwritable()
        self.plan()
        records = {name: _Records(record(name)) for name in self.copies}
        # A table that row versions have told to be as it was has nothing that waits.
        second_pass = [
            name
            for name in self.order.names
            if self.order.waits(name) and not self.copies[name].is_left_as_it_is
        ]
        surplus = self._with_surplus()
        self._remove(surplus, records, should_stop)
        results: dict[str, CopyResult] = {}
        failed = threading.Event()

        def put_in_place(name: str) -> None:
            self.states[name] = TableState.COPYING
            stop = lambda: should_stop() or failed.is_set()  # noqa: E731
            try:
                if name in second_pass:
                    copy = self.copies[name]
                    before = records[name].before_second_pass
                    waiting = self.order.waits(name)
                    self._rested(copy, copy.run(before, hashed=False, should_stop=stop, waiting=waiting))
                else:
                    results[name] = self._run(name, records[name].of_ranges, on_chunk, stop)
            except BaseException:
                failed.set()
                raise

        for step in self.order.steps:
            if not should_stop():
                self._side_by_side(step, put_in_place, is_capped=self._limits.rows_per_second is not None)
        for name in second_pass:
            if not should_stop():
                results[name] = self._run(name, records[name].filled_in, on_chunk, should_stop)
        if not should_stop():
            for name in self.copies:
                self.copies[name].leave(())
            self._remove(surplus, records, should_stop, is_last=True)
        return CopySetResult(
            self.as_of,
            {name: results[name] for name in self.copies if name in results},
            tuple(name for name in self.copies if name not in results),
        )

    def verify(
        self,
        result: CopySetResult | None = None,
        *,
        on_comparison: Callable[[str, RangeComparison], object] = lambda name, comparison: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> SetProof | None:
        """Compares all tables: the source's snapshot with one moment of the target for all of them.

        Where row versions told that all of them are as they were proven, neither side is asked again.
        ``on_comparison`` gets the name of the copy too. Gives None where ``should_stop`` gave True. Where it
        is all that is done, the proofs say by how many rows tables differ.
        """
        found = result.results if result is not None else {}
        proofs: dict[str, Proof] = {}
        lines = [
            [each.target_table for each in spec.line]
            for name, spec in self._specs.items()
            if not self.copies[name].is_proven_before(found.get(name))
        ]
        moment: Snapshot | None = None
        try:
            if lines and self._moment is not None:
                first, *beside = lines
                moment = Snapshot(self._target, self._names.target, first, self._sessions, beside=beside)
            for name in self._specs if self._only_compares else self.order.names:
                proof = self.copies[name].verify(
                    found.get(name),
                    on_comparison=partial(on_comparison, name),
                    should_stop=should_stop,
                    moment=moment,
                    count_rows=self._only_compares,
                )
                self._rested(self.copies[name], proof)
                if self._only_compares:
                    self.copies[name].close()  # its sessions aren't kept until the last table was compared
                if proof is None:
                    return None
                proofs[name] = proof
                if proof.holds:
                    self.states[name] = TableState.PROVEN
        finally:
            if moment is not None:
                moment.close()
        return SetProof(self.as_of, {name: proofs[name] for name in self.copies})

    # How the tables are put in place.

    def _run(
        self,
        name: str,
        record: Record | Ledger,
        on_chunk: Callable[[str, Chunk], object],
        should_stop: Callable[[], bool],
    ) -> CopyResult:
        copy = self.copies[name]
        found = copy.run(record, on_chunk=partial(on_chunk, name), should_stop=should_stop)
        result = self._rested(copy, found)
        if result.is_whole:
            self.states[name] = TableState.IN_PLACE
        return result

    def _with_surplus(self) -> tuple[str, ...]:
        """Those tables, and all that refer to them, in which surplus rows may stand in another one's way."""
        holding = [
            name
            for name in self.order.referenced
            if self.copies[name].plan().holds and not self.copies[name].is_left_as_it_is
        ]
        return self.order.below(name for name in holding if self._has_surplus(self.copies[name]))

    def _has_surplus(self, copy: Copy) -> bool:
        return self._rested(copy, copy.surplus().is_there())

    def _remove(
        self,
        names: Sequence[str],
        records: Mapping[str, _Records],
        should_stop: Callable[[], bool],
        *,
        is_last: bool = False,
    ) -> None:
        """Children first. A table that refers to itself may keep some, unless this ``is_last``.

        A row may refer to one of them that is to refer to another one: `Copy.run` writes both together.
        """
        for name in names:
            if (columns := self.order.waits(name)) and not should_stop():
                own = records[name]
                with self.copies[name].explaining():
                    self.copies[name].surplus().loosen(own.of_ranges, sorted(columns), own.beside)
                self._rested(self.copies[name], None)
        for name in reversed(names):
            if should_stop():
                return
            own = records[name]
            of_itself = partial(self._is_of_self_reference, name)
            try:
                with self.copies[name].explaining():
                    self.copies[name].surplus().remove(own.of_ranges, own.beside, of_each_other=of_itself)
                self._rested(self.copies[name], None)
            except Permanent as refusal:
                if is_last or not of_itself(refusal):
                    raise

    def _is_of_self_reference(self, name: str, refusal: Permanent) -> bool:
        """Whether rows of one table that refer to each other are in the way, as far as the refusal tells.

        A key that acts may have gone on from them to other tables, and these are named then.
        """
        keys = [key for key in self.order.foreign_keys if key.child == name == key.parent]
        acts = any(key.on_delete in {"CASCADE", "SET NULL", "SET DEFAULT"} for key in keys)
        named = quoted(refusal.constraint or "") in {key.name for key in keys}
        return refusal.sqlstate in FOREIGN_KEYS and (named or (acts and isinstance(refusal, CascadeRefused)))

    # What several tables share.

    def _rested(self, copy: Copy, found: T) -> T:
        """What was found, once the table's sessions are for others, where there aren't enough for all."""
        if not self._keeps_sessions:
            copy.rest()
        return found

    @contextmanager
    def _in_turn(self, within: AbstractContextManager[object]) -> Iterator[None]:
        """No more chunks at once than lanes, whichever tables they are of."""
        with self._lanes, within:
            yield

    def _side_by_side(self, items: Sequence[T], do: Callable[[T], R], *, is_capped: bool = False) -> list[R]:
        """What becomes of each, in their order. All have ended when it returns or raises.

        One after the other where the source's moment can't be shared, or a cap is each table's own. Of
        several errors one that stays is raised.
        """
        if self._moment is None or len(items) == 1:
            return [do(item) for item in items]
        alone = is_capped or not all(table.is_shareable for table in self._moment.tables.values())
        with ThreadPoolExecutor(1 if alone else self._at_once) as pool:
            asked = [pool.submit(copy_context().run, do, item) for item in items]
        errors = [error for each in asked if (error := each.exception()) is not None]
        if errors:
            raise next((error for error in errors if isinstance(error, Permanent)), errors[0])
        return [each.result() for each in asked]

    def _common_moment(self, source: Engine) -> Snapshot:
        """One snapshot of all tables of the source.

        Raises:
            SeveralMoments: no one snapshot holds all of them.
        """
        lines = {
            spec.source_table: [each.source_table for each in spec.line] for spec in self._specs.values()
        }
        first, *beside = lines.values()
        moment = Snapshot(source, self._names.source, first, self._sessions, beside=beside)
        tables = [each for table in moment.tables.values() for each in table.line]
        reason = several_moments(each for table in tables for each in table.relations.all)
        if reason and len(moment.tables) > 1:
            raise SeveralMoments(self._names.source, ", ".join(map(str, moment.tables)), reason)
        return moment

    def _look_at_target(self) -> tuple[dict[str, Table], tuple[ForeignKey, ...]]:
        """What the target has, by the names of the copies, and the foreign keys between these tables."""
        lines = [[each.target_table for each in spec.line] for spec in self._specs.values()]
        names = names_in(lines)
        target = Target(self._target, self._names.target, self._sessions)
        try:
            with target.transaction() as begun:
                found = tables_of(self._names.target, lines, begun.ask(*questions(*names)))
                tables = {spec.name: found[spec.target_table] for spec in self._specs.values()}
                [keys, _] = begun.ask(foreign_keys_question(tables), COMMIT)
        finally:
            target.rest()
        return tables, foreign_keys_of(tables, keys)


def _refuse_twice(specs: Sequence[CopySpec]) -> None:
    if not specs:
        raise ValueError("a set has at least one copy")
    for what, found in (
        ("name", [spec.name for spec in specs]),
        ("target table", [str(spec.target_table) for spec in specs]),
    ):
        if twice := sorted({each for each in found if found.count(each) > 1}):
            raise ValueError(f"copies of one set have the same {what}: {', '.join(twice)}")


class _Records:
    """The records of one table. What isn't one of its ranges gets numbers below zero.

    Of a table with a second pass a row counts once: what was written before isn't updated by that pass.
    """

    def __init__(self, record: Record | Ledger) -> None:
        self.of_ranges = record
        self._number = 0
        self._written = 0
        self._lock = threading.Lock()

    def beside(self) -> int:
        """The next number for what isn't one of the ranges."""
        with self._lock:
            self._number -= 1
            return self._number

    @property
    def before_second_pass(self) -> Record | Ledger:
        return _changed(self.of_ranges, self._beside)

    @property
    def filled_in(self) -> Record | Ledger:
        return _changed(self.of_ranges, self._counted_once)

    def _beside(self, chunk: Chunk) -> Chunk:
        number = self.beside()
        with self._lock:
            self._written += chunk.counts.inserted + chunk.counts.updated
            counts = replace(chunk.counts, unchanged=0)
            return replace(chunk, range=replace(chunk.range, number=number, rows=0), rows=0, counts=counts)

    def _counted_once(self, chunk: Chunk) -> Chunk:
        with self._lock:
            again = min(self._written, chunk.counts.updated)
            self._written -= again
            return replace(chunk, counts=replace(chunk.counts, updated=chunk.counts.updated - again))


def _changed(record: Record | Ledger, change: Callable[[Chunk], Chunk]) -> Record | Ledger:
    """The same record, of chunks that were changed before."""
    if callable(record):
        keep = record
        return lambda connection, chunk: keep(connection, change(chunk))
    return _ChangedLedger(record, change)


class _ChangedLedger:
    def __init__(self, ledger: Ledger, change: Callable[[Chunk], Chunk]) -> None:
        self._ledger = ledger
        self._change = change

    def line(self, connection: Connection, chunk: Chunk) -> Composable:
        return self._ledger.line(connection, self._change(chunk))

    def written(self, chunk: Chunk, rows: Rows) -> None:
        self._ledger.written(chunk, rows)

    def refused(self, error: psycopg.Error) -> BaseException | None:
        return self._ledger.refused(error)


# ----------------------------------------------------------------------------
# Comparing a set
#
# A table that can't be compared, because it is missing or doesn't fit, keeps the others from nothing: it
# is named with what stands against it, and the others are compared.


@dataclass(frozen=True, slots=True)
class SetComparison:
    """What was found of each table, by the names of the copies, in the order in which they were given.

    ``as_of`` is the one moment of the source, None where no table could be compared. ``refused`` says why a
    table couldn't; each other one has its proof, which says by how many rows it differs.
    """

    as_of: datetime | None
    proofs: Mapping[str, Proof]
    refused: Mapping[str, CopierError]

    @property
    def holds(self) -> bool:
        """Whether all tables were compared, and are the same on both sides."""
        return not self.refused and all(proof.holds for proof in self.proofs.values())

    @property
    def is_empty(self) -> bool:
        """All tables were compared, and neither side holds a row of any."""
        return not self.refused and all(proof.is_empty for proof in self.proofs.values())


def compare_set(
    source: Engine,
    target: Engine,
    specs: Sequence[CopySpec],
    liquidation_id: int,
    *,
    names: SideNames = DEFAULT_NAMES,
    limits: Limits | None = None,
    label: str = "traspaso",
    on_silence: OnSilence = lambda silent: None,
    on_comparison: Callable[[str, RangeComparison], object] = lambda name, comparison: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SetComparison | None:
    """Compares these tables of a liquidation; None where ``should_stop`` gave True.

    ``on_comparison`` gets the name of the copy and a range of it, ``should_stop`` is asked after each. All
    else is as in `copier.Copy`.

    Raises:
        SeveralMoments: no one snapshot of the source holds all of the tables.
        DatabaseFailed: a side can't be reached.
    """
    refused: dict[str, CopierError] = {}
    while left := [spec for spec in specs if spec.name not in refused]:
        try:
            with CopySet(
                source,
                target,
                left,
                liquidation_id,
                names=names,
                limits=limits,
                label=label,
                on_silence=on_silence,
                only_compares=True,
            ) as tables:
                found = tables.verify(on_comparison=on_comparison, should_stop=should_stop)
            if found is None:
                return None
            return SetComparison(found.as_of, found.proofs, _in_order(specs, refused))
        except SeveralMoments:
            raise
        except (SchemaError, DatabaseFailed) as error:
            if not concerns_one_table(error):
                raise
            alone: dict[str, CopierError] = {}
            for spec in left:
                if should_stop():
                    return None
                try:
                    with Copy(
                        source,
                        target,
                        spec,
                        liquidation_id,
                        names=names,
                        limits=limits,
                        label=label,
                        on_silence=on_silence,
                    ) as copy:
                        copy.plan()
                except (SchemaError, DatabaseFailed) as its_own:
                    if not concerns_one_table(its_own):
                        raise
                    alone[spec.name] = its_own
            if not alone:  # it has passed meanwhile, or is of none of them alone
                raise
            refused |= alone
    return SetComparison(None, {}, _in_order(specs, refused))


def _in_order(specs: Sequence[CopySpec], refused: Mapping[str, CopierError]) -> dict[str, CopierError]:
    return {spec.name: refused[spec.name] for spec in specs if spec.name in refused}

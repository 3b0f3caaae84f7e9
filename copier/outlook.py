"""What a copy would do, found beforehand by the versions of rows since the last proof. Nothing is written.

At the last proof both sides held the same rows. `copier.row_versions` finds which rows of a side were written
since then. Every other row is one of the proven ones, unaltered. That gives what a copy would do in three
steps:

    1. Each side gives the keys of its rows that were written since the proof.
    2. The rows with these keys are looked up on the other side too, and compared by their hashes.
    3. The rows with all other keys are proven ones on both sides. They are only counted: the side that still
       has as many as there can be has all of them, and what the other side has fewer, it lacks.

An example. 10 rows were proven, with the keys 1 to 10. Since then row 3 was changed in the source, row 7
deleted, and a row 11 inserted. Nobody has written in the target.

    1. The source has 10 rows, and those with the keys 3 and 11 were written since. The target has 10, none.
    2. The target has a row 3, and its hash is another one: 1 row to change. It has no row 11: 1 to insert.
    3. Without row 3 there can be 9 proven rows. The target has 10 - 1 = 9, all of them. The source has
       10 - 2 = 8 rows that weren't written since. It lacks one: 1 row to delete, 8 unchanged.

The answer is exact, or it is None: not known. It isn't known where row versions can't be compared, where more
than `MOST_ROWS` rows were written, where in step 3 neither side has all, and where the time doesn't suffice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Engine

from copier import statements
from copier.batch import Rows, Statement
from copier.connections import BoundedMoment, until_timeout
from copier.diff import Look
from copier.errors import DEFAULT_NAMES, QUERY_CANCELED, SideNames, Transient, failures_of
from copier.model import WHOLE, Bound, CopySpec, Counts, TableName
from copier.parallel import both_sides
from copier.row_hash import identical_when_equal
from copier.row_versions import Baseline, SideState, Vantage, state_of
from copier.row_versions import questions as questions_of_state
from copier.snapshot import give_hash_key
from copier.system_catalog import Table, questions, refuse_same_table, table_of
from copier.table_slice import TableSlice, slices

#: So many rows that were written since the last proof are looked up, of both sides together.
MOST_ROWS = 50_000
#: The longest wait for a table that somebody alters, in seconds.
LOCK_SECONDS = 1.0
#: What the servers' activity views show of a look.
LABEL = "traspaso preview"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a copy would do to the target's rows by their keys, and when the source was seen for that."""

    counts: Counts
    as_of: datetime


@dataclass(frozen=True, slots=True)
class CountsByVersions:
    """What was found at one moment of each side.

    ``source`` and ``target`` have the rows of each. ``counts`` are what a copy would do; None: not known.
    ``inserted`` are the keys, as the source writes them, of all rows that would be inserted, where the target
    still holds all that was proven; else None.
    """

    source: SideState
    target: SideState
    counts: Counts | None
    inserted: tuple[Bound, ...] | None = None


@dataclass(frozen=True, slots=True)
class SideNow:
    """One side at one moment, and its rows of the liquidation."""

    look: Look
    rows: TableSlice
    table: Table


class Within:
    """A moment of a side that is asked until a time on the monotonic clock; then it raises `Transient`."""

    def __init__(self, moment: BoundedMoment, until: float, *first: Statement) -> None:
        """What is ``first`` is sent with the first question, for the whole transaction."""
        self._moment = moment
        self._until = until
        self._first = first

    def ask(self, *statements: Statement) -> list[Rows]:
        first, self._first = self._first, ()
        seconds = max(0.001, self._until - time.monotonic())
        return self._moment.ask(*first, *statements, seconds=seconds)[len(first) :]


def outlook(
    source: Engine,
    target: Engine,
    spec: CopySpec,
    liquidation_id: int,
    baseline: Baseline,
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
    label: str = LABEL,
) -> Outlook | None:
    """What a copy would do now, exactly; None where that isn't known.

    ``baseline`` is what an earlier copy of the liquidation has proven. ``names`` are what errors call the two
    sides, and ``label`` is the name of both sessions.

    Raises:
        SchemaError: the tables don't fit.
        DatabaseFailed: a side can't be reached.
    """
    until = time.monotonic() + timeout_seconds
    both = Moments(source, target, spec, names=names, timeout_seconds=timeout_seconds, label=label)
    try:
        with both as moments:
            source_now, target_now = moments.of(liquidation_id, until)
            found = (
                counts_by_versions_in_time(source_now, target_now, baseline) if moments.are_locked else None
            )
            return Outlook(found.counts, moments.as_of) if found and found.counts else None
    except Transient as error:
        if not is_for_want_of_time(error):
            raise
    return None


def unchanged(
    source: Engine,
    target: Engine,
    spec: CopySpec,
    baselines: Mapping[int, Baseline],
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
    label: str = LABEL,
) -> dict[int, Outlook]:
    """Of several liquidations those of which both sides hold what was proven, and nothing else.

    They are all seen at one moment of each side, with one question for each: of many small ones that costs a
    part of as many calls of `outlook`. ``baselines`` are what was proven before, by liquidation. Of those
    that aren't in the answer `outlook` may tell more.

    Raises:
        SchemaError: the tables don't fit.
        DatabaseFailed: a side can't be reached.
    """
    until = time.monotonic() + timeout_seconds
    both = Moments(source, target, spec, names=names, timeout_seconds=timeout_seconds, label=label)
    try:
        with both as moments:
            if not moments.are_locked:
                return {}
            first = moments.of(next(iter(baselines)), until)
            alike = all(side.rows.parent is None for side in first)
            pairs = [
                tuple(replace(side, rows=replace(side.rows, liquidation_id=each)) for side in first)
                if alike
                else moments.of(each, until)
                for each in baselines
            ]
            here = [(own, base.source) for (own, _), base in zip(pairs, baselines.values(), strict=True)]
            there = [(own, base.target) for (_, own), base in zip(pairs, baselines.values(), strict=True)]
            states = zip(
                baselines.items(), *both_sides(lambda: _states(here), lambda: _states(there)), strict=True
            )
            return {
                liquidation: Outlook(Counts(unchanged=ours.rows), moments.as_of)
                for (liquidation, base), ours, theirs in states
                if _is_as_proven(ours, base.source, base) and _is_as_proven(theirs, base.target, base)
            }
    except Transient as error:
        if not is_for_want_of_time(error):
            raise
    return {}


def _states(sides: Sequence[tuple[SideNow, Vantage]]) -> list[SideState]:
    """What one moment shows of several liquidations of one table, each since it was seen from there.

    Only the rows are asked for each of them: all else is of the moment and of the table.
    """
    first, base = sides[0]
    if not first.rows.has_versions:
        return [_state(first)] * len(sides)
    beginning = questions_of_state(first.rows, first.table, base)
    more = [statements.arrived(each.rows, seen_from.horizon) for each, seen_from in sides[1:]]
    with failures_of(first.rows.side):
        answers = first.look.ask(*beginning, *more)
    state = state_of(first.rows, first.table, answers[: len(beginning)])
    found = [(int(row[0]), int(row[1])) for [row] in answers[len(beginning) :]]
    return [state, *(replace(state, rows=rows, written=written) for rows, written in found)]


def _is_as_proven(state: SideState, seen_from: Vantage, baseline: Baseline) -> bool:
    """Whether the side holds the rows that were proven, and none that was written since."""
    return state.is_seen_from(seen_from) and not state.written and state.rows == baseline.digest.rows


def is_for_want_of_time(error: Transient) -> bool:
    """Whether no moment was to be had in time: somebody alters a table, or a statement took too long."""
    return error.condition == "TableAltered" or error.sqlstate == QUERY_CANCELED


class Moments:
    """One moment of each side, with the tables as they are then. Use it as a context manager."""

    def __init__(
        self,
        source: Engine,
        target: Engine,
        spec: CopySpec,
        *,
        names: SideNames,
        timeout_seconds: float,
        label: str = LABEL,
    ) -> None:
        """Connects to neither side yet. Each statement may take ``timeout_seconds``."""

        def side(engine: Engine, name: str, tables: Sequence[TableName]) -> BoundedMoment:
            return BoundedMoment(
                engine,
                name,
                label,
                timeout_seconds,
                tables=tables,
                asked=questions(*tables),
                lock_seconds=min(LOCK_SECONDS, timeout_seconds),
                settings=f"{statements.of_lane(by_index=False)}, ",
            )

        self._spec = spec
        self._names = names
        self._source_tables = tuple(each.source_table for each in spec.line)
        self._target_tables = tuple(each.target_table for each in spec.line)
        self.source = side(source, names.source, self._source_tables)
        self.target = side(target, names.target, self._target_tables)

    def __enter__(self) -> Moments:
        """Begins both side by side.

        Raises:
            TableMissing: a side has no such table.
            DatabaseFailed: a side can't be reached; a table is being altered.
        """
        with ExitStack() as begun:
            both_sides(lambda: begun.enter_context(self.source), lambda: begun.enter_context(self.target))
            self.source_table = table_of(self._names.source, self._source_tables, self.source.answers)
            self.target_table = table_of(self._names.target, self._target_tables, self.target.answers)
            self._begun = begun.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._begun.close()

    @property
    def as_of(self) -> datetime:
        """When the source was seen."""
        return self.source.as_of

    @property
    def are_locked(self) -> bool:
        """Whether no table can have been rewritten after its moment: else row versions tell nothing."""
        return self.source.is_locked and self.target.is_locked

    def of(self, liquidation_id: int, until: float) -> tuple[SideNow, SideNow]:
        """Both sides' rows of the liquidation, to be asked until that time on the monotonic clock.

        Raises:
            SchemaError: the tables don't fit.
        """
        refuse_same_table(
            self.source.connection, self.target.connection, self.source_table, self.target_table, self._names
        )
        source, target = slices(self._spec, self.source_table, self.target_table, liquidation_id)
        first = [statements.looking(each, qualified=source.holds_names) for each in (source, target)]
        return (
            SideNow(Within(self.source, until, first[0]), source, self.source_table),
            SideNow(Within(self.target, until, first[1]), target, self.target_table),
        )


def counts_by_versions_in_time(
    source: SideNow, target: SideNow, baseline: Baseline
) -> CountsByVersions | None:
    """As `counts_by_versions`, but only as far as the time of `Within` suffices.

    Where it suffices for counting both sides only, ``counts`` are None; where not even for that, it is None.

    Raises:
        DatabaseFailed: a side is lost.
    """
    counted: CountsByVersions | None = None
    with until_timeout():
        counted = _counted(source, target)
        return _compared(source, target, baseline, counted)
    return counted


def counts_by_versions(source: SideNow, target: SideNow, baseline: Baseline) -> CountsByVersions:
    """The rows of both sides, each at its moment, and what a copy would do, by the versions of rows.

    Raises:
        DatabaseFailed: a side is lost, or somebody has cancelled a statement.
    """
    return _compared(source, target, baseline, _counted(source, target))


def _counted(source: SideNow, target: SideNow) -> CountsByVersions:
    """The rows of both sides; what a copy would do isn't known yet."""
    return CountsByVersions(*both_sides(lambda: _state(source), lambda: _state(target)), None)


def _compared(
    source: SideNow, target: SideNow, baseline: Baseline, not_known: CountsByVersions
) -> CountsByVersions:
    """What a copy would do. ``not_known`` has the rows of both sides, given where it can't be known."""
    here, there = not_known.source, not_known.target
    if not (here.is_seen_from(baseline.source) and there.is_seen_from(baseline.target)):
        return not_known
    alike = _spelled_alike(source.rows)
    with failures_of(source.rows.side):
        give_hash_key(source.look.ask, source.rows)
    new_here, new_there = both_sides(
        lambda: _written_since(source, baseline.source), lambda: _written_since(target, baseline.target)
    )
    if len(new_here) + len(new_there) > MOST_ROWS or (new_there and not alike):
        return not_known
    if any(None in key for key in new_here):  # such a row lies in no range, and no copy takes it
        return not_known
    old_here, old_there = both_sides(
        lambda: _held_under(source, [key for key in new_there if key not in new_here]),
        lambda: _held_under(target, [key for key in new_here if key not in new_there]),
    )
    left = baseline.digest.rows - len(old_here) - len(old_there)
    rest_here = here.rows - len(new_here) - len(old_here)
    rest_there = there.rows - len(new_there) - len(old_there)
    if max(rest_here, rest_there) != left:
        return not_known
    some = _between(new_here | old_here, new_there | old_there, alike=alike)
    rest = Counts(
        inserted=max(0, rest_here - rest_there),
        deleted=max(0, rest_there - rest_here),
        unchanged=min(rest_here, rest_there),
    )
    inserted: tuple[Bound, ...] | None = None
    if rest_there == left and (alike or not some.inserted):
        missing = (key for key in new_here | old_here if key not in new_there | old_there)
        inserted = tuple(missing) if some.inserted else ()
    return CountsByVersions(here, there, some + rest, inserted)


def _between(here: dict[Bound, int], there: dict[Bound, int], *, alike: bool) -> Counts:
    """What is to be done where the source holds these rows, and the target those, by their keys.

    Where both sides may write one key differently, all of ``there`` were found by keys of ``here``, and the
    rows' hashes, which take the key in, say which are the same.
    """
    if alike:
        common = len(here.keys() & there.keys())
        unchanged = sum(1 for key, value in here.items() if there.get(key) == value)
    else:
        common = len(there)
        unchanged = len({*here.values()} & {*there.values()})
    return Counts(len(here) - common, common - unchanged, len(there) - common, unchanged)


def _spelled_alike(rows: TableSlice) -> bool:
    """Whether equal keys are written by the same characters on both sides."""
    names = {column.name for column in rows.keys.columns}
    return all(
        identical_when_equal(pair) and pair.source.type.base == pair.target.type.base
        for pair in rows.matched.compared
        if pair.name in names
    )


def _state(side: SideNow) -> SideState:
    with failures_of(side.rows.side):
        answers = side.look.ask(*questions_of_state(side.rows, side.table))
    return state_of(side.rows, side.table, answers)


def _written_since(side: SideNow, base: Vantage) -> dict[Bound, int]:
    """The hashes of the rows that were written since, by their keys; of one row more than are looked up."""
    with failures_of(side.rows.side):
        [found] = side.look.ask(statements.arrived_rows(side.rows, base.horizon, MOST_ROWS + 1))
    return {tuple(key): value for key, value in found}


def _held_under(side: SideNow, keys: Sequence[Bound]) -> dict[Bound, int]:
    """The hashes of the side's rows with these keys, by the keys as that side writes them."""
    if not keys:
        return {}
    with failures_of(side.rows.side):
        [found] = side.look.ask(statements.hashes_by_key(side.rows, WHOLE, keys))
    return {tuple(key): value for key, value in found}

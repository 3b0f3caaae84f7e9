"""A look at both sides before a copy: bounded in time, writes nothing.

`preview` says what both sides hold and what is to be minded: an index that is missing, triggers, rows of
others. A count that would take too long becomes the planner's estimate, and is said to be one.

`expected_changes` says what a copy would insert, change, delete and leave. Where an earlier copy has proven
the liquidation, row versions tell it (`copier.row_versions`): exactly, or it isn't known.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from psycopg import sql
from sqlalchemy import Connection, Engine

from copier import statements
from copier.batch import Rows, Statement, all_as_text, run_batch
from copier.chunk_writer import refuse_shared_keys
from copier.column_rules import ColumnRule, Treatment
from copier.columns import Number
from copier.connections import BoundedMoment, BoundedTransaction, run, until_timeout
from copier.errors import DEFAULT_NAMES, QUERY_CANCELED, SideNames, Transient, failures_of
from copier.missing_parents import Lacking, lacking, refuse_missing_parents
from copier.model import Bound, Catalogue, CopySpec, Counts, Fingerprint, TableName
from copier.parallel import both_sides
from copier.row_versions import (
    Baseline,
    CountsByVersions,
    ExpectedChanges,
    SideNow,
    SideState,
    Vantage,
    counts_by_versions_in_time,
    questions_of_state,
    state_of,
)
from copier.system_catalog import Column, Table, questions, read_table, refuse_same_table, table_of
from copier.table_slice import TableSlice, fingerprint, refuse_null_keys, slices

#: What the servers' activity views show of a look.
LABEL = "traspaso preview"
#: How long rows of other liquidations with the same keys are looked for, and for so many keys at once.
TAKEN_SECONDS, TAKEN_ROWS = 0.5, 5_000
#: The share of a preview's time that looking for what a copy would do may take.
EXPECTED_CHANGES_SHARE = 0.5
#: The longest wait for a table that somebody alters, in seconds.
LOCK_SECONDS = 1.0
#: The type that the extension lo makes of oid, as `copier.system_catalog` names it.
LARGE_OBJECT = "lo of extension lo"


@dataclass(frozen=True, slots=True)
class Count:
    """Rows of one side; not ``exact`` where counting took too long and the planner was asked instead.

    ``rows`` is None where not even the planner could be asked, because somebody holds the table.
    """

    rows: int | None
    exact: bool

    @property
    def known(self) -> int | None:
        """The rows where they were counted; an estimate says nothing for certain."""
        return self.rows if self.exact else None


@dataclass(frozen=True, slots=True)
class Advice:
    """A statement that would make the copy faster on that side, which is named as `SideNames` say."""

    side: str
    statement: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What both sides hold. ``exists``, ``label`` and ``changed_at`` are the catalogue's, or None.

    ``advice`` are the indexes that are missing. ``taken`` are the rows of other liquidations in the target
    that have a key of this one: the source no longer holds them there. ``triggers`` of the target fire before
    each row that is written, and may alter it. ``large_object_columns`` point to large objects of the source,
    or seem to: what they point to isn't copied. ``rules`` are the columns that aren't copied as they are,
    those without a rule of their own too. ``fingerprint`` is what a copy would be made of, and
    ``expected_changes`` what it would do, None where that isn't known. ``lacking`` are rows of tables that no
    copy brings, which the target would need before.
    """

    exists: bool | None
    label: str | None
    in_source: Count
    in_target: Count
    advice: tuple[Advice, ...]
    changed_at: datetime | None = None
    taken: Count = Count(0, exact=True)
    triggers: tuple[str, ...] = ()
    large_object_columns: tuple[str, ...] = ()
    rules: tuple[ColumnRule, ...] = ()
    fingerprint: Fingerprint | None = None
    expected_changes: ExpectedChanges | None = None
    lacking: tuple[Lacking, ...] = ()


def preview(
    source: Engine,
    target: Engine,
    spec: CopySpec,
    liquidation_id: int,
    *,
    names: SideNames = DEFAULT_NAMES,
    catalogue: Catalogue | None = None,
    baseline: Baseline | None = None,
    timeout_seconds: float = 10.0,
    parents_too: bool = False,
    brought: Collection[TableName] | None = None,
) -> Preview:
    """Looks at both sides at once. ``names`` are what errors call the two sides; ``baseline`` is what an
    earlier copy of the liquidation has proven.

    ``parents_too``: the rows through which these belong are copied before, in the same run. ``brought`` are
    the target tables of all copies of that run: what the target lacks of others is looked for; None for not.

    Raises:
        SchemaError: the tables don't fit.
        ParentsMissing: the rows belong through others that the target lacks.
        KeySharedInSource: copying would take rows of another liquidation that the source still holds there.
        DatabaseFailed: a side can't be reached.
    """
    if baseline is not None:
        until = time.monotonic() + timeout_seconds * EXPECTED_CHANGES_SHARE
        moments = _Moments(source, target, spec, names=names, timeout_seconds=timeout_seconds, label=LABEL)
        try:
            with moments:
                return _by_versions(
                    moments,
                    liquidation_id,
                    catalogue,
                    baseline,
                    until,
                    parents_too=parents_too,
                    brought=brought,
                )
        except Transient as error:
            if not _is_for_want_of_time(error):
                raise
    source_look = _look(source, names.source, timeout_seconds)
    target_look = _look(target, names.target, timeout_seconds)
    with ExitStack() as opened:
        source_table, target_table = both_sides(
            lambda: _table(opened.enter_context(source_look), *(each.source_table for each in spec.line)),
            lambda: _table(opened.enter_context(target_look), *(each.target_table for each in spec.line)),
        )
        refuse_same_table(source_look.connection, target_look.connection, source_table, target_table, names)
        source_rows, target_rows = slices(spec, source_table, target_table, liquidation_id)
        sides = _Sides(source_look, target_look, source_table, target_table, source_rows, target_rows)
        return _seen(sides, liquidation_id, catalogue, parents_too=parents_too, brought=brought)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both sides within their transactions."""

    source_look: BoundedTransaction
    target_look: BoundedTransaction
    source_table: Table
    target_table: Table
    source: TableSlice
    target: TableSlice

    @classmethod
    def of(cls, moments: _Moments, source: SideNow, target: SideNow) -> Self:
        return cls(moments.source, moments.target, source.table, target.table, source.rows, target.rows)


def _by_versions(
    moments: _Moments,
    liquidation_id: int,
    catalogue: Catalogue | None,
    baseline: Baseline,
    until: float,
    *,
    parents_too: bool,
    brought: Collection[TableName] | None,
) -> Preview:
    """The preview of one moment of each side; what a copy would do is looked for until that time."""
    source, target = moments.of(liquidation_id, until)
    by_versions = counts_by_versions_in_time(source, target, baseline) if moments.are_locked else None
    expected = _expected(by_versions, moments.as_of)
    sides = _Sides.of(moments, source, target)
    return _seen(
        sides, liquidation_id, catalogue, by_versions, expected, parents_too=parents_too, brought=brought
    )


def _seen(
    sides: _Sides,
    liquidation_id: int,
    catalogue: Catalogue | None,
    by_versions: CountsByVersions | None = None,
    expected: ExpectedChanges | None = None,
    *,
    parents_too: bool,
    brought: Collection[TableName] | None,
) -> Preview:
    """The preview. What is known ``by_versions`` isn't counted again."""
    sides.target_table.refuse_unwritable(updates=sides.target.in_place)
    if not parents_too:
        refuse_missing_parents(sides.source, sides.target, sides.source_look.rows, sides.target_look.rows)
    ((exists, label, changed_at), in_source), in_target = both_sides(
        lambda: (
            (None, None, None)
            if catalogue is None
            else _in_catalogue(sides.source_look, catalogue, liquidation_id),
            _rows_of(sides.source_look, sides.source, by_versions.source if by_versions else None),
        ),
        lambda: _rows_of(sides.target_look, sides.target, by_versions.target if by_versions else None),
    )
    with failures_of(sides.source.side):
        large_objects = _large_object_columns(sides.source_look.connection, sides.source_table)
    rules = altered_columns(sides.source)
    return Preview(
        exists=exists,
        label=label,
        in_source=in_source,
        in_target=in_target,
        advice=(*missing_index(sides.source), *missing_index(sides.target)),
        changed_at=changed_at,
        taken=_taken(sides, by_versions.inserted if by_versions else None)
        if in_source.exact
        else Count(0, exact=False),
        triggers=tuple(each.name for each in sides.target.triggers if each.before),
        large_object_columns=tuple(
            name for name in large_objects if all(name != rule.column for rule in rules)
        ),
        rules=rules,
        fingerprint=fingerprint(sides.source, sides.target),
        expected_changes=expected,
        lacking=()
        if brought is None or in_source.rows == 0 or (expected is not None and not _writes(expected.counts))
        else lacking(
            (sides.source_look, sides.target_look),
            (sides.source_table, sides.target_table),
            sides.source,
            brought,
        ),
    )


def _writes(counts: Counts) -> bool:
    """Whether a copy that does this writes any row, which a foreign key might refuse."""
    return bool(counts.inserted or counts.updated)


def missing_index(rows: TableSlice) -> Iterator[Advice]:
    """The warning of each index that is missing: without it every range reads the whole table."""
    for statement in rows.missing_indexes:
        yield Advice(rows.side, statement)


def is_known(
    source: Engine,
    catalogue: Catalogue,
    liquidation_id: int,
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
) -> bool:
    """Whether the source's catalogue has the liquidation.

    Raises:
        SchemaError: the catalogue's table or a column is missing.
        DatabaseFailed: the source can't be reached.
    """
    with _look(source, names.source, timeout_seconds) as look:
        return _in_catalogue(look, catalogue, liquidation_id)[0]


def _look(engine: Engine, side: str, timeout_seconds: float) -> BoundedTransaction:
    return BoundedTransaction(
        engine, side, LABEL, timeout_seconds, settings=f"{statements.of_lane(by_index=False)}, "
    )


def _table(look: BoundedTransaction, *names: TableName) -> Table:
    with failures_of(look.side):
        return read_table(look.connection, look.side, *names)


def _taken(sides: _Sides, inserted: Sequence[Bound] | None) -> Count:
    """Rows of other liquidations in the target with a key of this one in the source, until the time is over.

    ``inserted`` are the keys of which alone there may be any, None where that isn't known.

    Raises:
        KeySharedInSource: the source holds one of them in the other liquidation too.
    """
    source, target = sides.source, sides.target
    if not target.keys.across_liquidations:
        return Count(0, exact=True)
    reader, held = sides.source_look.connection, sides.target_look.connection
    until, found = time.monotonic() + TAKEN_SECONDS, 0
    opening: list[Statement] = [statements.declare(source)]
    with until_timeout():  # the last that is asked in both transactions
        if source.key_may_be_null:
            with failures_of(source.side):
                refuse_null_keys(source, int(run(reader, statements.count_without_key(source)).scalar_one()))
        while time.monotonic() < until:
            if inserted is None:
                with failures_of(source.side):
                    keys: Sequence[Bound] = all_as_text(reader, *opening, statements.fetch(TAKEN_ROWS))
                opening = []
            else:
                keys, inserted = inserted[:TAKEN_ROWS], inserted[TAKEN_ROWS:]
            if keys:
                with failures_of(target.side):
                    [others] = run_batch(held, statements.others_with_keys(target, keys))
                taken: list[statements.Held] = [(row.place, row.key) for row in others]
                refuse_shared_keys(reader, source, target, taken)
                found += len(others)
            if len(keys) < TAKEN_ROWS:
                return Count(found, exact=True)
    return Count(found, exact=False)


def altered_columns(rows: TableSlice) -> tuple[ColumnRule, ...]:
    """What becomes of each column that isn't copied as it is; new ones that are left out have no rule."""
    found = {name: ColumnRule(name, Treatment.OMIT) for name in rows.matched.left}
    found |= {rule.column: rule for rule in rows.spec.altering}
    return tuple(sorted(found.values()))


def _large_object_columns(connection: Connection, table: Table) -> tuple[str, ...]:
    """Those of type lo; and those of type oid, where the database has any large object."""
    names = {column.name: {each.name for each in column.type.kind.all()} for column in table.columns}
    wanted = {LARGE_OBJECT}
    if (
        any("oid" in held for held in names.values())
        and run(connection, statements.ANY_LARGE_OBJECT).scalar()
    ):
        wanted.add("oid")
    return tuple(name for name, held in names.items() if wanted & held)


def _rows_of(side: BoundedTransaction, rows: TableSlice, state: SideState | None) -> Count:
    """What was seen of the side already, or else what is counted now."""
    return Count(state.rows, exact=True) if state else _count(side, rows)


def _count(side: BoundedTransaction, rows: TableSlice) -> Count:
    """Exact; or the planner's estimate where the statement timeout ended the count; or not known."""
    if (counted := side.rows(statements.count(rows))) is not None:
        return Count(int(counted[0][0]), exact=True)
    plan = side.rows(statements.estimate(rows))
    return Count(None if plan is None else int(plan[0][0][0]["Plan"]["Plan Rows"]), exact=False)


def _in_catalogue(
    source: BoundedTransaction, catalogue: Catalogue, liquidation_id: int
) -> tuple[bool, str | None, datetime | None]:
    """Whether the liquidation is in the catalogue, its name, and when it last changed."""
    with failures_of(source.side):
        table = read_table(source.connection, source.side, catalogue.table)
        table.refuse_unreadable()
        changed = catalogue.changed_column
        statement = _entry(
            catalogue.table,
            table.column(catalogue.label_column),
            table.column(changed) if changed else None,
            table.column(catalogue.id_column),
            liquidation_id,
        )
        row: Sequence[Any] | None = run(source.connection, statement).one_or_none()
    return (False, None, None) if row is None else (True, row[0], row[1])


def _entry(
    table: TableName, label: Column, changed: Column | None, number: Column, liquidation_id: int
) -> sql.Composable:
    """A liquidation's name, and when it last changed: NULL where no column says that."""
    return sql.SQL("SELECT {}::text, {} FROM {} WHERE {} LIMIT 1").format(
        sql.Identifier(label.name),
        sql.SQL("NULL") if changed is None else _moment(changed),
        table.identifier,
        Number.of(number).is_exactly(liquidation_id),
    )


def _moment(column: Column) -> sql.Composable:
    """As timestamptz. A time without a zone is one of the server's own zone: the session's is UTC here."""
    name = sql.Identifier(column.name)
    if column.type.base == "timestamp with time zone":
        moment: sql.Composable = name
    elif column.type.base in {"timestamp without time zone", "date"}:
        zone = sql.SQL("(SELECT reset_val FROM pg_catalog.pg_settings WHERE pg_settings.name = 'TimeZone')")
        moment = sql.SQL("({}::timestamp AT TIME ZONE {})").format(name, zone)
    else:
        return sql.SQL("NULL")
    # Python's years, and a day to spare for the time zone.
    return sql.SQL("CASE WHEN {} BETWEEN '0001-01-02' AND '9999-12-30' THEN {} END").format(name, moment)


# ----------------------------------------------------------------------------
# What a copy would do


def expected_changes(
    source: Engine,
    target: Engine,
    spec: CopySpec,
    liquidation_id: int,
    baseline: Baseline,
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
    label: str = LABEL,
) -> ExpectedChanges | None:
    """What a copy would do now, exactly; None where that isn't known.

    ``baseline`` is what an earlier copy of the liquidation has proven. ``names`` are what errors call the two
    sides, and ``label`` is the name of both sessions.

    Raises:
        SchemaError: the tables don't fit.
        DatabaseFailed: a side can't be reached.
    """
    until = time.monotonic() + timeout_seconds
    both = _Moments(source, target, spec, names=names, timeout_seconds=timeout_seconds, label=label)
    try:
        with both as moments:
            source_now, target_now = moments.of(liquidation_id, until)
            found = (
                counts_by_versions_in_time(source_now, target_now, baseline) if moments.are_locked else None
            )
            return _expected(found, moments.as_of)
    except Transient as error:
        if not _is_for_want_of_time(error):
            raise
    return None


def _expected(found: CountsByVersions | None, as_of: datetime) -> ExpectedChanges | None:
    """None where it isn't known."""
    return ExpectedChanges(found.counts, as_of) if found and found.counts else None


def unchanged(
    source: Engine,
    target: Engine,
    spec: CopySpec,
    baselines: Mapping[int, Baseline],
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
    label: str = LABEL,
) -> dict[int, ExpectedChanges]:
    """Of several liquidations those of which both sides hold what was proven, and nothing else.

    They are all seen at one moment of each side, with one question for each: of many small ones that costs a
    part of as many calls of `expected_changes`, which may tell more of those that aren't in the answer.
    ``baselines`` are what was proven before, by liquidation.

    Raises:
        SchemaError: the tables don't fit.
        DatabaseFailed: a side can't be reached.
    """
    until = time.monotonic() + timeout_seconds
    both = _Moments(source, target, spec, names=names, timeout_seconds=timeout_seconds, label=label)
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
                liquidation: ExpectedChanges(Counts(unchanged=ours.rows), moments.as_of)
                for (liquidation, base), ours, theirs in states
                if _is_as_proven(ours, base.source, base) and _is_as_proven(theirs, base.target, base)
            }
    except Transient as error:
        if not _is_for_want_of_time(error):
            raise
    return {}


def _states(sides: Sequence[tuple[SideNow, Vantage]]) -> list[SideState]:
    """What one moment shows of several liquidations of one table, each since it was seen from there.

    Only the rows are asked for each of them: all else is of the moment and of the table.
    """
    first, base = sides[0]
    if not first.rows.has_versions:
        return [first.state()] * len(sides)
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


def _is_for_want_of_time(error: Transient) -> bool:
    """Whether no moment was to be had in time: somebody alters a table, or a statement took too long."""
    return error.condition == "TableAltered" or error.sqlstate == QUERY_CANCELED


class _Moments:
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

    def __enter__(self) -> _Moments:
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
            SideNow(_Within(self.source, until, first[0]), source, self.source_table),
            SideNow(_Within(self.target, until, first[1]), target, self.target_table),
        )


class _Within:
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

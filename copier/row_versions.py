"""What has changed since the last proof, told by the versions of rows. No value of an unchanged row is read.

PostgreSQL never alters a version of a row: each INSERT and UPDATE writes a new one, and its ``xmin`` is the
number of the transaction that wrote it. The *horizon* of a moment is a number below which every transaction
had ended. So a row that is visible now and has an xmin below the horizon was there at that moment already,
and is unaltered. That tells three cases apart:

    - No visible row has an xmin at or above the horizon, and there are as many rows as then: they are the
      same rows.
    - Some rows have: these were inserted or changed. Only they are asked for.
    - There are fewer of the older rows than there should be: some were deleted.

An example. 10 rows were proven, and the horizon was 500. Transaction 507 changes one of them. Now 10 rows are
visible, one with the xmin 507, and nine with one below 500: these nine are as they were. Had transaction 508
deleted another row, there would be eight of them, and the range of that row would be compared by its hashes.

Where rows belong through parents, a row counts as written since where it, or one of the rows through which it
belongs, was. A parent that moves to another liquidation is a new version, so all of its rows count as new.

That holds for one server, one table and one definition, which `Vantage.identity` names. Where that has
changed, all rows are compared. See docs/decisions for what row versions can't tell.

`Baseline` is what was proven. `RangeDiffByVersions` tells a copy what differs in one range, and
`counts_by_versions` tells what a copy would do to all rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache, reduce
from operator import xor
from typing import Any, Self

from psycopg.sql import Composable
from sqlalchemy import Connection

from copier import statements
from copier.batch import Rows, run_batch
from copier.connections import until_timeout
from copier.diff import Difference, Look, Patch, RangeDiff, Unchanged
from copier.errors import failures_of
from copier.model import EMPTY, WHOLE, Bound, Counts, Digest, KeyRange, Limits, RangeComparison, Seen
from copier.parallel import both_sides
from copier.row_hash import identical_when_equal
from copier.snapshot import give_hash_key
from copier.system_catalog import Table
from copier.table_slice import TableSlice

#: Digests of releases that hash rows otherwise don't compare: whoever changes `copier.row_hash` changes this.
HASHES = 1
#: Xids are compared by their ages, which say nothing after 2^31 transactions: a margin below that.
MOST_TRANSACTIONS = 2**31 - 2**24
#: Of at most this share of the rows the changed ones are asked for one by one; else all are compared.
FEW = 0.1
#: A range may have grown beyond the largest chunk by so much.
STRETCHED = 1.5
#: So many rows that were written since the last proof are looked up, of both sides together.
MOST_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Vantage:
    """One side at one moment. Every transaction below ``horizon``, a 64-bit xid, had ended by then.

    ``identity`` is another one for another server, timeline, start of the server, table, partition or
    definition. It is None where row versions tell nothing, as of a view or a foreign table.
    """

    identity: str | None
    horizon: int


@dataclass(frozen=True, slots=True)
class SideState:
    """What row versions show of one side at one moment.

    ``rows`` of the liquidation, of which ``written`` since the horizon that it was asked for; without one
    that is 0. ``newest`` is the next xid.
    """

    vantage: Vantage
    rows: int
    written: int = 0
    newest: int = 0

    def is_seen_from(self, base: Vantage) -> bool:
        """Whether row versions show if what was proven from there still holds."""
        return (
            self.vantage.identity is not None
            and self.vantage.identity == base.identity
            and 0 <= self.newest - base.horizon < MOST_TRANSACTIONS
        )


def questions_of_state(rows: TableSlice, table: Table, base: Vantage | None = None) -> list[Composable]:
    """What is asked of a side at one moment, for `state_of`; ``base`` is from where it was seen before.

    A view, which may stand now where a table was, has no versions that could be asked for.
    """
    return [
        statements.count(rows)
        if base is None or not rows.has_versions
        else statements.arrived(rows, base.horizon),
        statements.definition(rows.tables),
        *([statements.vantage(rows.tables)] if table.access.may_identify else []),
    ]


def state_of(rows: TableSlice, table: Table, answers: Sequence[Rows]) -> SideState:
    """The side, from the rows that each of the `questions_of_state` gave."""
    [counted], [[definition]], *more = answers
    if not more:
        return SideState(Vantage(None, 0), int(counted[0]))
    [[found]] = more
    comparable = found.comparable and not rows.key_may_repeat
    identity = _identity(found.server, definition, rows, table) if comparable else None
    return SideState(
        Vantage(identity, int(found.horizon)),
        rows=int(counted[0]),
        written=int(counted[1]) if len(counted) > 1 else 0,
        newest=int(found.newest),
    )


def _identity(server: str, definition: str, rows: TableSlice, table: Table) -> str:
    """Of the server, what the table is made of there, and how its rows are hashed."""
    key, rules = rows.spec.hashes_with, rows.spec.altering
    behind = tuple((each.name, each.columns, each.relations) for each in table.line)
    shape: tuple[object, ...] = (behind, rows.belongs_by, rows.key, rows.oldest, HASHES)
    if rules or rows.matched.left:
        shape += (rules, rows.matched.left, key.check if key else "")
    return hashlib.sha256("\n".join((server, definition, _canonical(shape))).encode()).hexdigest()


def _canonical(value: object) -> str:
    """The same text for the same value in every process."""
    kind: Any = type(value)
    if names := _names_in(kind):
        inner = ", ".join(f"{name}={_canonical(getattr(value, name))}" for name in names)
        return f"{kind.__name__}({inner})"
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(_canonical, value)))}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_canonical, value))})"
    return repr(value)


@cache
def _names_in(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a dataclass; none of anything else."""
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()


class Change(StrEnum):
    """What has become of a liquidation since its last proof, as row versions tell."""

    NONE = "none"  # both sides hold the same rows as then
    FEW = "few"  # only the changed ones are asked for
    MANY = "many"  # to compare all is no more work
    UNKNOWN = "unknown"  # row versions tell nothing: another server, table or definition


@dataclass(frozen=True, slots=True)
class ProvenRange:
    """A range of which both sides held the same rows."""

    lower: Bound | None
    upper: Bound | None
    digest: Digest


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was proven of a liquidation, and from where each side was seen then."""

    source: Vantage
    target: Vantage
    ranges: tuple[ProvenRange, ...]

    @property
    def digest(self) -> Digest:
        return sum((each.digest for each in self.ranges), EMPTY)

    @classmethod
    def of(cls, source: Vantage, target: Vantage, comparisons: Sequence[RangeComparison]) -> Self | None:
        """From comparisons that agree; None where row versions tell nothing of one of the sides."""
        if source.identity is None or target.identity is None:
            return None
        ordered = sorted(comparisons, key=lambda each: each.range.number)
        return cls(
            source,
            target,
            tuple(ProvenRange(each.range.lower, each.range.upper, each.source) for each in ordered),
        )

    def joined(self, most: int) -> Self:
        """The same with neighbouring ranges made one, as long as that had at most so many rows."""
        ranges: list[ProvenRange] = []
        for each in self.ranges:
            if ranges and ranges[-1].digest.rows + each.digest.rows <= most:
                before = ranges.pop()
                ranges.append(ProvenRange(before.lower, each.upper, before.digest + each.digest))
            else:
                ranges.append(each)
        return replace(self, ranges=tuple(ranges))

    def is_still(self, target: SideState) -> bool:
        """Whether the target holds the rows that were proven, as its row versions tell."""
        rows = self.digest.rows
        return target.is_seen_from(self.target) and (target.rows, target.written) == (rows, 0)

    def key_ranges(self) -> list[KeyRange]:
        """Its ranges, numbered from 1, with the rows that they had."""
        return [
            KeyRange(number, each.lower, each.upper, each.digest.rows)
            for number, each in enumerate(self.ranges, 1)
        ]

    def change_to(self, source: SideState, target: SideState, limits: Limits) -> Change:
        """What row versions tell of both sides since; see `Change`."""
        if not (source.is_seen_from(self.source) and target.is_seen_from(self.target)):
            return Change.UNKNOWN
        rows, most = self.digest.rows, limits.chunk_rows
        if (source.rows, source.written, target.rows, target.written) == (rows, 0, rows, 0):
            return Change.NONE
        changed = source.written + max(0, rows - source.rows) + target.written + abs(rows - target.rows)
        largest = max((each.digest.rows for each in self.ranges), default=0)
        few = changed <= min(FEW * rows, most / 2) and largest <= STRETCHED * most
        return Change.FEW if few else Change.MANY

    def as_json(self) -> dict[str, Any]:
        return {
            "source": [self.source.identity, str(self.source.horizon)],
            "target": [self.target.identity, str(self.target.horizon)],
            "ranges": [[each.lower, each.upper, each.digest.rows, each.digest.hex] for each in self.ranges],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        source, target = (Vantage(found[side][0], int(found[side][1])) for side in ("source", "target"))
        return cls(
            source,
            target,
            tuple(
                ProvenRange(_bound(lower), _bound(upper), Digest.from_hex(rows, value))
                for lower, upper, rows, value in found["ranges"]
            ),
        )


def _bound(found: Sequence[str] | None) -> Bound | None:
    return None if found is None else tuple(found)


class RangeDiffByVersions:
    """Tells what differs in one range of a baseline by the rows that were written since.

    Where the target was found as it was proven when the copy began, no row of it is looked at but those whose
    keys the source has written since. That nobody has written elsewhere in the meantime is for the proof to
    tell: it knows what has to be there by then, see `Seen`.

    Where they don't show it, `RangeDiff` compares the range: rows have gone, or somebody has written there in
    the target.
    """

    def __init__(
        self,
        reader: Connection,
        source: TableSlice,
        target: TableSlice,
        baseline: Baseline,
        by_values: RangeDiff,
        *,
        still: str | None = None,
    ) -> None:
        """``still`` is what the target's table was made of when it was found as it was proven; None where it
        wasn't found so.
        """
        self._still = still
        self._reader = reader
        self._source = source
        self._target = target
        self._baseline = baseline
        self._by_values = by_values

    def of(self, look: Look, key_range: KeyRange) -> Difference:
        """What differs in the source's range and the target's, as the target shows it at this moment."""
        return self._by_versions(look, key_range) or self._by_values.of(look, key_range)

    def _by_versions(self, look: Look, key_range: KeyRange) -> Unchanged | Patch | None:
        base = self._baseline
        known = base.ranges[key_range.number - 1].digest
        [[rows, keys, hashes]], definition = both_sides(
            lambda: self._ask_source(
                statements.arrivals_by_key(self._source, key_range, base.source.horizon)
            ),
            lambda: self._still or self._not_written_since(look, key_range, known),
        )
        if definition is None:
            return None
        changed = dict(zip(map(tuple, keys or ()), hashes or (), strict=True))
        before = self._held_under(look, key_range, list(changed))
        # Rows that either side has lost are missing in one of these numbers.
        if before is None or rows - len(changed) != known.rows - len(before):
            return None
        digest = Digest(rows, _xor(known.value, *before.values(), *changed.values()))
        missing = tuple(key for key, value in changed.items() if before.get(key) != value)
        surplus = tuple(key for key, value in before.items() if changed.get(key) != value)
        written = Digest(len(missing), _xor(*(changed[key] for key in missing)))
        seen = Seen(str(base.target.horizon), written, definition)
        if not missing and not surplus:
            return Unchanged(rows, digest, seen)
        return Patch(Counts.of(missing, surplus, rows - len(missing)), digest, missing, surplus, seen)

    def _not_written_since(self, look: Look, key_range: KeyRange, known: Digest) -> str | None:
        """What the target's table is made of, where the range holds what was proven there."""
        with failures_of(self._target.side):
            [[definition]], [[held, new_there]] = look.ask(
                statements.definition(self._target.tables),
                statements.arrived(self._target, self._baseline.target.horizon, key_range),
            )
        return str(definition) if held == known.rows and not new_there else None

    def _held_under(self, look: Look, key_range: KeyRange, keys: Sequence[Bound]) -> dict[Bound, int] | None:
        """The hashes of the target's rows with these keys, by their keys as the target writes them.

        None where one of them was written since.
        """
        if not keys:
            return {}
        horizon = self._baseline.target.horizon
        with failures_of(self._target.side):
            [found] = look.ask(statements.hashes_since(self._target, key_range, keys, horizon))
        return None if any(new for *_, new in found) else {tuple(key): value for key, value, _ in found}

    def _ask_source(self, statement: Composable) -> Rows:
        with failures_of(self._source.side):
            return run_batch(self._reader, statement)[0]


def _xor(*values: int) -> int:
    return reduce(xor, values, 0)


# ----------------------------------------------------------------------------
# What a copy would do
#
# At the last proof both sides held the same rows. Every row that wasn't written since is one of them,
# unaltered. That gives what a copy would do in three steps:
#
#     1. Each side gives the keys of its rows that were written since the proof.
#     2. The rows with these keys are looked up on the other side too, and compared by their hashes.
#     3. The rows with all other keys are proven ones on both sides. They are only counted: the side that
#        still has as many as there can be has all of them, and what the other side has fewer, it lacks.
#
# An example. 10 rows were proven, with the keys 1 to 10. Since then row 3 was changed in the source, row 7
# deleted, and a row 11 inserted. Nobody has written in the target.
#
#     1. The source has 10 rows, and those with the keys 3 and 11 were written since. The target has 10, none.
#     2. The target has a row 3, and its hash is another one: 1 row to change. It has no row 11: 1 to insert.
#     3. Without row 3 there can be 9 proven rows. The target has 10 - 1 = 9, all of them. The source has
#        10 - 2 = 8 rows that weren't written since. It lacks one: 1 row to delete, 8 unchanged.
#
# The answer is exact, or not known. It isn't known where row versions can't be compared, where more than
# `MOST_ROWS` rows were written, where in step 3 neither side has all, and where the time doesn't suffice.


@dataclass(frozen=True, slots=True)
class ExpectedChanges:
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

    def state(self) -> SideState:
        """What row versions show of it."""
        with failures_of(self.rows.side):
            answers = self.look.ask(*questions_of_state(self.rows, self.table))
        return state_of(self.rows, self.table, answers)

    def written_since(self, base: Vantage) -> dict[Bound, int]:
        """The hashes of the rows that were written since, by their keys: of `MOST_ROWS` + 1 at most."""
        with failures_of(self.rows.side):
            [found] = self.look.ask(statements.arrived_rows(self.rows, base.horizon, MOST_ROWS + 1))
        return {tuple(key): value for key, value in found}

    def held_under(self, keys: Sequence[Bound]) -> dict[Bound, int]:
        """The hashes of the rows with these keys, by the keys as this side writes them."""
        if not keys:
            return {}
        with failures_of(self.rows.side):
            [found] = self.look.ask(statements.hashes_by_key(self.rows, WHOLE, keys))
        return {tuple(key): value for key, value in found}


def counts_by_versions(source: SideNow, target: SideNow, baseline: Baseline) -> CountsByVersions:
    """The rows of both sides, each at its moment, and what a copy would do, by the versions of rows.

    Raises:
        DatabaseFailed: a side is lost, or somebody has cancelled a statement.
    """
    return _compared(source, target, baseline, _counted(source, target))


def counts_by_versions_in_time(
    source: SideNow, target: SideNow, baseline: Baseline
) -> CountsByVersions | None:
    """As `counts_by_versions`, but only as far as the time suffices that both sides are given.

    Where it suffices for counting both sides only, ``counts`` are None; where not even for that, it is None.

    Raises:
        DatabaseFailed: a side is lost.
    """
    counted: CountsByVersions | None = None
    with until_timeout():
        counted = _counted(source, target)
        return _compared(source, target, baseline, counted)
    return counted


def _counted(source: SideNow, target: SideNow) -> CountsByVersions:
    """The rows of both sides; what a copy would do isn't known yet."""
    return CountsByVersions(*both_sides(source.state, target.state), None)


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
        lambda: source.written_since(baseline.source), lambda: target.written_since(baseline.target)
    )
    if len(new_here) + len(new_there) > MOST_ROWS or (new_there and not alike):
        return not_known
    if any(None in key for key in new_here):  # such a row lies in no range, and no copy takes it
        return not_known
    old_here, old_there = both_sides(
        lambda: source.held_under([key for key in new_there if key not in new_here]),
        lambda: target.held_under([key for key in new_here if key not in new_there]),
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

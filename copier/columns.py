"""Matches the columns of the two tables: what is selected in the source, what is written in the target.

A pair is of the same type, or of a wider one in the target, to which the source casts its values, or refused
before the first row is read, with a line that says what to do. What a type is made of is never cast, so there
a value has to stay the same to the bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest

from psycopg import sql

from copier.catalog import Column, ColumnType, Kind, Table
from copier.errors import ColumnsDiffer, SideNames
from copier.keys import INTEGERS, cast_to, number_literal
from copier.model import MAX_LIQUIDATION_ID

#: Widenings between base types that keep every value.
WIDENINGS = {
    "smallint": {"integer", "bigint", "numeric"},
    "integer": {"bigint", "numeric"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "character varying": {"text"},
    "name": {"text"},
    "text": {"character varying"},
    "date": {"timestamp without time zone"},
}

#: Types that hold any text, and send it alike.
TEXTS = {"text", "character varying"}

#: Types, beside the integers, in which any number can be written.
COMPARABLE = frozenset({"text", "character varying", "bpchar", "numeric"})
#: PostgreSQL's own types in which some can.
NUMBERED = INTEGERS | COMPARABLE | {"real", "double precision", "oid", "name"}


def loss(source: ColumnType, target: ColumnType, names: SideNames) -> str | None:
    """Why a value of the source type may not survive in the target type; None where it does."""
    here, there = source.kind, target.kind
    if here.name != there.name and source.base != target.base:
        return _too_narrow(source.sql, source.base, target.sql, target.base, names)
    if found := _difference(here, there, "", names):
        return f"these are two types of one name, {found}: make them the same"
    if _decimals(here) != _decimals(there):
        return (
            f"money has {_decimals(here)} in {names.source} and {_decimals(there)} in {names.target} by the "
            f"lc_monetary of each database: set it alike on both"
        )
    if not (source.portable and target.portable) and here.spellings != there.spellings:
        return "it holds money, which the lc_monetary of each database writes otherwise: set it alike on both"
    if not here.is_builtin:  # what a modifier means only its extension knows
        kept = there.written in {here.written, there.name}
        return None if kept else f"make {names.target}'s column {source.sql}"
    return _too_narrow(source.sql, source.base, target.sql, target.base, names)


def modifier(type_sql: str) -> tuple[int, ...]:
    """``(14, 2)`` of ``numeric(14,2)``; empty where the type has none."""
    found = re.search(r"\((-?\d+)(?:,(-?\d+))?\)", type_sql)
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


def _difference(source: Kind, target: Kind, what: str, names: SideNames) -> str | None:
    """How two types differ, in words; None where a value is the same in both.

    ``what`` names the part that is compared. It is empty for a column's own type and its elements, whose
    modifier may be wider.
    """
    if source == target:
        return None
    if source.form == target.form == "base":
        return _difference_of_base(source, target, what, names)
    if source.name != target.name:
        return _apart(f"{what or 'the type'} is", source.written, target.written, names)
    if source.form != target.form:
        return _apart(f"{source.name} is of the kind", source.form, target.form, names)
    if source.form == "composite":
        return _difference_of_members(source, target, names)
    parts = {
        "domain": f"the base of {source.name}",
        "range": f"the subtype of {source.name}",
        "array": what and f"an element of {what}",
    }
    for (_, source_part), (_, target_part) in zip(source.parts, target.parts, strict=False):
        if found := _difference(source_part, target_part, parts.get(source.form, what), names):
            return found
    if source.details != target.details:
        return _apart(f"{source.name} is sorted", f"by {source.details}", f"by {target.details}", names)
    return None


def _apart(what: str, source: str, target: str, names: SideNames) -> str:
    """``what`` is one thing here and another one there."""
    return f"{what} {source} in {names.source} and {target} in {names.target}"


def _difference_of_base(source: Kind, target: Kind, what: str, names: SideNames) -> str | None:
    same_name = source.name == target.name
    if same_name and source.details != target.details and not source.spelled:  # money has words of its own
        return _apart(f"{source.name} is sent", f"by {source.details}", f"by {target.details}", names)
    if (same_name and not what) or _keeps_every_bit(source, target, names):
        return None
    return _apart(f"{what or 'the type'} is", source.written, target.written, names)


def _difference_of_members(source: Kind, target: Kind, names: SideNames) -> str | None:
    pairs = list(zip_longest(source.parts, target.parts))
    for number, members in enumerate(pairs, 1):
        here, there = (member[0] if member else "nothing" for member in members)
        if here != there:
            return _apart(f"member {number} of {source.name} is", here, there, names)
    for (name, source_part), (_, target_part) in pairs:
        if found := _difference(source_part, target_part, f"member {name} of {source.name}", names):
            return found
    return None


def _keeps_every_bit(source: Kind, target: Kind, names: SideNames) -> bool:
    """Whether a base type within another one takes any value as it is: another scale would not."""
    if not source.is_builtin:
        return target.written in {source.written, target.name} and source.name == target.name
    if source.name != target.name and not {source.name, target.name} <= TEXTS:
        return False
    if _too_narrow(source.written, source.name, target.written, target.name, names):
        return False
    here, there = modifier(source.written), modifier(target.written)
    return source.name != "numeric" or not there or (*here, 0)[1] == (*there, 0)[1]


def _decimals(kind: Kind) -> str:
    return ", ".join(sorted({each.details for each in kind.all() if each.spelled}))


def _too_narrow(
    source_sql: str, source_base: str, target_sql: str, target_base: str, names: SideNames
) -> str | None:
    """What the target's column has to be, where its type may not hold every value; None where it does."""
    if source_sql == target_sql:
        return None
    make = f"make {names.target}'s column"
    if source_base != target_base:
        if target_base not in WIDENINGS.get(source_base, ()):
            return f"{make} {source_sql}"
        if target_base == "character varying" and modifier(target_sql):
            return f"{make} text"
        if target_base == "numeric" and modifier(target_sql):
            return f"{make} numeric without precision"
        return None
    wide, narrow = modifier(target_sql), modifier(source_sql)
    element = source_base.removesuffix("[]")
    if element in {"bpchar", '"bit"'} or (element == "interval" and _fields(target_sql)):
        return f"{make} {source_sql}"
    if not wide:
        return None
    if not narrow:
        # Without a modifier times and intervals keep six digits, and every other type has no limit.
        full = _is_time(source_base) and wide == (6,)
        return None if full else f"{make} {source_sql}"
    if element == "numeric":
        precision, scale = (*wide, 0)[:2]
        old_precision, old_scale = (*narrow, 0)[:2]
        fits = scale >= old_scale and precision - scale >= old_precision - old_scale
        return None if fits else f"{make} {source_sql} or wider"
    return None if wide >= narrow else f"{make} {source_sql} or wider"


def _fields(interval_sql: str) -> bool:
    """Whether an interval keeps only some of its fields, as ``interval year to month`` does."""
    return " " in interval_sql


def _is_time(base: str) -> bool:
    return base.startswith(("time", "interval"))


# ------------------------------------------------------------------------------------------ pairs of columns


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of the source and the column of the target that takes it."""

    source: Column
    target: Column

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def is_cast(self) -> bool:
        """Whether the target's type is wider.

        One that isn't PostgreSQL's own only has another schema there.
        """
        return self.target.type.kind.is_builtin and self.source.type.sql != self.target.type.sql

    @property
    def selected(self) -> sql.Composable:
        """What the source selects: the column, cast where the target's type is wider."""
        column = sql.Identifier(self.source.name)
        return cast_to(column, self.target.type.sql) if self.is_cast else column

    @property
    def crosses_in_binary(self) -> bool:
        return self.source.type.portable and self.target.type.portable

    @property
    def selected_type(self) -> str:
        """The type, as the source writes it, of what is selected."""
        return (self.target if self.is_cast else self.source).type.sql


@dataclass(frozen=True, slots=True)
class Matched:
    """Both column lists in one order, and whether binary COPY can carry them.

    ``computed`` are columns that the target generates itself: compared with the source's, never written.
    """

    pairs: tuple[Pair, ...]
    computed: tuple[Pair, ...]
    binary: bool

    @property
    def compared(self) -> tuple[Pair, ...]:
        return self.pairs + self.computed


def match_columns(source: Table, target: Table) -> Matched:
    """Pairs the columns by name.

    Raises:
        ColumnsDiffer: at least one column can't be carried without loss; names them all.
    """
    names = SideNames(source.side, target.side)
    lines: list[str] = []
    pairs: list[Pair] = []
    computed: list[Pair] = []
    for column in target.columns:
        if not source.has(column.name):
            if column.not_null and not (column.has_default or column.is_identity):
                lines.append(
                    f"{column.name} is NOT NULL without a default in {target.side} and missing in "
                    f"{source.side}: give it a default, or drop NOT NULL"
                )
            continue
        pair = Pair(source.column(column.name), column)
        refusal = loss(pair.source.type, pair.target.type, names)
        if refusal is None:
            (computed if column.is_generated else pairs).append(pair)
        else:
            types = _apart(f"{column.name} is", pair.source.type.sql, column.type.sql, names)
            lines.append(f"{types}: {refusal}")
    lines += [
        f"{column.name} ({column.type.sql}) is missing in {target.side}: add it there"
        for column in source.columns
        if not target.has(column.name)
    ]
    if lines:
        raise ColumnsDiffer(str(target.name), lines)
    return Matched(tuple(pairs), tuple(computed), binary=all(pair.crosses_in_binary for pair in pairs))


# --------------------------------------------------------------------------------- the liquidation's number


@dataclass(frozen=True, slots=True)
class Number:
    """A column that holds a liquidation's number, whatever its type: an integer, text, a numeric.

    ``column`` is quoted; ``kind`` names its type, or what a domain is made of. What isn't written as
    PostgreSQL would write it (007, 2026-01) is the number of no liquidation.
    """

    column: sql.Composable
    kind: str

    @classmethod
    def of(cls, column: Column) -> Number:
        return cls(sql.Identifier(column.name), column.type.kind.base.name)

    @property
    def is_ordered(self) -> bool:
        """Whether the column itself sorts by number, and an index of it does."""
        return self.kind in INTEGERS

    @property
    def id(self) -> sql.Composable:
        """The number, or its digits."""
        return self.column if self.is_ordered else self.written

    @property
    def written(self) -> sql.Composable:
        """Without the blanks of a char(n) and the scale of a numeric; by bytes, whatever the collation."""
        bare = "pg_catalog.trim_scale({})" if self.kind == "numeric" else "{}"
        return sql.SQL('({}::text COLLATE "C")').format(sql.SQL(bare).format(self.column))

    @property
    def is_number(self) -> sql.Composable:
        """Whether it is from 1 to the largest bigint, and written as PostgreSQL would write it.

        A regular expression would take twice as long.
        """
        if self.is_ordered:
            return sql.SQL("{} > 0").format(self.column)
        return sql.SQL(
            "ltrim({w}, '0123456789') = '' AND {w} >= '1' "
            "AND (octet_length({w}) < {digits} OR octet_length({w}) = {digits} AND {w} <= {most})"
        ).format(
            w=self.written, digits=len(str(MAX_LIQUIDATION_ID)), most=sql.Literal(str(MAX_LIQUIDATION_ID))
        )

    @property
    def newest_first(self) -> sql.Composable:
        if self.is_ordered:
            return sql.SQL("{} DESC").format(self.column)
        return sql.SQL("octet_length({}) DESC, {} DESC").format(self.written, self.written)

    def is_exactly(self, number: int) -> sql.Composable:
        """As the preview compares it, where the column can be compared with any number."""
        if self.kind in INTEGERS | COMPARABLE:
            return sql.SQL("{} = {}").format(self.column, number_literal(number, self.kind))
        return sql.SQL("{} = {}").format(self.written, sql.Literal(str(number)))


def refuse_what_has_no_numbers(name: str, tables: tuple[Table, Table]) -> None:
    """Raises ColumnsDiffer where the liquidation column of this name can't hold any number."""
    lines = [
        f"{name} is {kind.sql} in {table.side}: liquidations have numbers here, so make it an integer, "
        f"a numeric or a text"
        for table in tables
        if not _takes_numbers((kind := table.column(name).type).kind.base)
    ]
    if lines:
        raise ColumnsDiffer(str(tables[-1].name), lines)


def _takes_numbers(kind: Kind) -> bool:
    """Of a type that isn't PostgreSQL's own, who made it knows."""
    return kind.form == "enum" or not kind.is_builtin or kind.name in NUMBERED

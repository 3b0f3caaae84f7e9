"""Whether a type of consulta keeps every value of prod's: the same type, a wider one, or why it doesn't.

A column's own type may be wider in consulta, because prod casts its values. What a type is made of is
never cast, so there a value has to stay the same to the bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest

from psycopg import sql

from copier.catalog import Column, ColumnType, Kind, Table
from copier.errors import ColumnsDiffer
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


def loss(source: ColumnType, target: ColumnType) -> str | None:
    """Why a value of the source type may not survive in the target type; None where it does."""
    ours, theirs = source.kind, target.kind
    if ours.name != theirs.name and source.base != target.base:
        return _too_narrow(source.sql, source.base, target.sql, target.base)
    if found := _difference(ours, theirs, ""):
        return f"these are two types of one name, {found}: make them the same"
    if _decimals(ours) != _decimals(theirs):
        return (
            f"money has {_decimals(ours)} in prod and {_decimals(theirs)} in consulta by the lc_monetary of "
            f"each database: set it alike on both"
        )
    if not (source.portable and target.portable) and ours.spellings != theirs.spellings:
        return "it holds money, which the lc_monetary of each database writes otherwise: set it alike on both"
    if not ours.is_builtin:  # what a modifier means only its extension knows
        kept = theirs.written in {ours.written, theirs.name}
        return None if kept else f"make consulta's column {source.sql}"
    return _too_narrow(source.sql, source.base, target.sql, target.base)


def modifier(type_sql: str) -> tuple[int, ...]:
    """``(14, 2)`` of ``numeric(14,2)``; empty where the type has none."""
    found = re.search(r"\((-?\d+)(?:,(-?\d+))?\)", type_sql)
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


def _difference(ours: Kind, theirs: Kind, what: str) -> str | None:
    """How two types differ, in words; None where a value is the same in both.

    ``what`` names the part that is looked at. It is empty for a column's own type and its elements, whose
    modifier may be wider.
    """
    if ours == theirs:
        return None
    if ours.form == theirs.form == "base":
        return _difference_of_base(ours, theirs, what)
    if ours.name != theirs.name:
        return f"{what or 'the type'} is {ours.written} in prod and {theirs.written} in consulta"
    if ours.form != theirs.form:
        return f"{ours.name} is of the kind {ours.form} in prod and {theirs.form} in consulta"
    if ours.form == "composite":
        return _difference_of_members(ours, theirs)
    names = {
        "domain": f"the base of {ours.name}",
        "range": f"the subtype of {ours.name}",
        "array": what and f"an element of {what}",
    }
    for (_, our_part), (_, their_part) in zip(ours.parts, theirs.parts, strict=False):
        if found := _difference(our_part, their_part, names.get(ours.form, what)):
            return found
    if ours.details != theirs.details:
        return f"{ours.name} is sorted by {ours.details} in prod and by {theirs.details} in consulta"
    return None


def _difference_of_base(ours: Kind, theirs: Kind, what: str) -> str | None:
    same_name = ours.name == theirs.name
    if same_name and ours.details != theirs.details and not ours.spelled:  # money has words of its own
        return f"{ours.name} is sent by {ours.details} in prod and by {theirs.details} in consulta"
    if (same_name and not what) or _keeps_every_bit(ours, theirs):
        return None
    return f"{what or 'the type'} is {ours.written} in prod and {theirs.written} in consulta"


def _difference_of_members(ours: Kind, theirs: Kind) -> str | None:
    pairs = list(zip_longest(ours.parts, theirs.parts))
    for number, (our_member, their_member) in enumerate(pairs, 1):
        here, there = (member[0] if member else "nothing" for member in (our_member, their_member))
        if here != there:
            return f"member {number} of {ours.name} is {here} in prod and {there} in consulta"
    for (name, our_part), (_, their_part) in pairs:
        if found := _difference(our_part, their_part, f"member {name} of {ours.name}"):
            return found
    return None


def _keeps_every_bit(ours: Kind, theirs: Kind) -> bool:
    """Whether a base type within another one takes any value as it is: another scale would not."""
    if not ours.is_builtin:
        return theirs.written in {ours.written, theirs.name} and ours.name == theirs.name
    if ours.name != theirs.name and not {ours.name, theirs.name} <= TEXTS:
        return False
    if _too_narrow(ours.written, ours.name, theirs.written, theirs.name):
        return False
    here, there = modifier(ours.written), modifier(theirs.written)
    return ours.name != "numeric" or not there or (*here, 0)[1] == (*there, 0)[1]


def _decimals(kind: Kind) -> str:
    return ", ".join(sorted({each.details for each in kind.all() if each.spelled}))


def _too_narrow(source_sql: str, source_base: str, target_sql: str, target_base: str) -> str | None:
    """What consulta's column has to be, where its type may not hold every value; None where it does."""
    if source_sql == target_sql:
        return None
    if source_base != target_base:
        if target_base not in WIDENINGS.get(source_base, ()):
            return f"make consulta's column {source_sql}"
        if target_base == "character varying" and modifier(target_sql):
            return "make consulta's column text"
        if target_base == "numeric" and modifier(target_sql):
            return "make consulta's column numeric without precision"
        return None
    wide, narrow = modifier(target_sql), modifier(source_sql)
    element = source_base.removesuffix("[]")
    if element in {"bpchar", '"bit"'} or (element == "interval" and _fields(target_sql)):
        return f"make consulta's column {source_sql}"
    if not wide:
        return None
    if not narrow:
        # Without a modifier times and intervals keep six digits, and every other type has no limit.
        full = _is_time(source_base) and wide == (6,)
        return None if full else f"make consulta's column {source_sql}"
    if element == "numeric":
        precision, scale = (*wide, 0)[:2]
        old_precision, old_scale = (*narrow, 0)[:2]
        fits = scale >= old_scale and precision - scale >= old_precision - old_scale
        return None if fits else f"make consulta's column {source_sql} or wider"
    return None if wide >= narrow else f"make consulta's column {source_sql} or wider"


def _fields(interval_sql: str) -> bool:
    """Whether an interval keeps only some of its fields, as ``interval year to month`` does."""
    return " " in interval_sql


def _is_time(base: str) -> bool:
    return base.startswith(("time", "interval"))


# ----------------------------------------------------------------------------
# Matches the columns of the two tables: what is selected in prod, what is written in consulta.
#
# A pair is the same type, a widening that loses nothing (then prod casts it), or refused before the
# first row is read, with a line that says what to do.


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of prod and the column of consulta that takes it."""

    source: Column
    target: Column

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def is_cast(self) -> bool:
        """Whether consulta's type is wider. One that isn't PostgreSQL's own only has another schema there."""
        return self.target.type.kind.is_builtin and self.source.type.sql != self.target.type.sql

    @property
    def selected(self) -> sql.Composable:
        """What prod selects: the column, cast where consulta's type is wider."""
        column = sql.Identifier(self.source.name)
        return cast_to(column, self.target.type.sql) if self.is_cast else column

    @property
    def crosses_in_binary(self) -> bool:
        return self.source.type.portable and self.target.type.portable

    @property
    def selected_type(self) -> str:
        """The type, as prod writes it, of what is selected."""
        return (self.target if self.is_cast else self.source).type.sql


@dataclass(frozen=True, slots=True)
class Matched:
    """Both column lists in one order, and whether binary COPY can carry them.

    ``computed`` are columns that consulta generates itself: compared with prod's, never written.
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
    lines: list[str] = []
    pairs: list[Pair] = []
    computed: list[Pair] = []
    for column in target.columns:
        if not source.has(column.name):
            if column.not_null and not (column.has_default or column.is_identity):
                lines.append(
                    f"{column.name} is NOT NULL without a default in consulta and missing in prod: "
                    "give it a default, or drop NOT NULL"
                )
            continue
        pair = Pair(source.column(column.name), column)
        refusal = loss(pair.source.type, pair.target.type)
        if refusal is None:
            (computed if column.is_generated else pairs).append(pair)
        else:
            here, there = pair.source.type.sql, column.type.sql
            lines.append(f"{column.name} is {here} in prod and {there} in consulta: {refusal}")
    lines += [
        f"{column.name} ({column.type.sql}) is missing in consulta: add it there"
        for column in source.columns
        if not target.has(column.name)
    ]
    if lines:
        raise ColumnsDiffer(str(target.name), lines)
    return Matched(tuple(pairs), tuple(computed), binary=all(pair.crosses_in_binary for pair in pairs))


# ----------------------------------------------------------------------------
# A liquidation's number, whatever type its column has: an integer, text, a numeric.
#
# What isn't written as PostgreSQL would write it (007, 2026-01) is the number of no liquidation.


#: Types, beside the integers, in which any number can be written.
COMPARABLE = frozenset({"text", "character varying", "bpchar", "numeric"})
#: PostgreSQL's own types in which some can.
NUMBERED = INTEGERS | COMPARABLE | {"real", "double precision", "oid", "name"}


@dataclass(frozen=True, slots=True)
class Number:
    """The column, quoted; ``kind`` names its type, or what a domain is made of."""

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

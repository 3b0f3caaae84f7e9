"""Matches the columns of the two tables: what is selected in the source, what is written in the target.

A pair is of the same type, or of a wider one in the target, to which the source casts its values, or refused
before the first row is read, with a line that says what to do. What a type is made of is never cast, so there
a value has to stay the same to the bit.

Where a rule stands for a column, the source selects what the rule makes of it (see `copier.column_rules`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from psycopg import sql

from copier import column_rules
from copier.column_rules import NewColumns, Treatment
from copier.errors import ColumnsAreNew, ColumnsDiffer, RulesDontFit, SideNames
from copier.keys import INTEGERS, cast_to, number_literal
from copier.model import MAX_LIQUIDATION_ID, CopySpec
from copier.system_catalog import Column, ColumnType, Kind, Table

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

#: Types that take a hash, and those that take a mask.
MASKS = TEXTS | {"bpchar"}
HASHES = MASKS | {"bytea", "uuid"}
#: Types whose values are texts, which can be masked.
MASKED = MASKS | {"name", "citext of extension citext"}

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
    """A column of the source and the column of the target that takes it.

    Where a rule's ``treatment`` makes another value of it, ``source`` is of the target's type already.
    """

    source: Column
    target: Column
    treatment: Treatment = Treatment.COPY

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
    def is_emptied(self) -> bool:
        """Whether the target holds NULL, whatever the source holds."""
        return self.treatment in {Treatment.NULL, Treatment.OMIT}

    @property
    def selected(self) -> sql.Composable:
        """What the source selects: the column, cast where the target's type is wider; or what a rule makes
        of it.
        """
        column = sql.Identifier(self.source.name)
        match self.treatment:
            case Treatment.NULL | Treatment.OMIT:
                return sql.SQL("NULL::text")
            case Treatment.MASK:
                return cast_to(column_rules.masked(column), self.target.type.sql)
            case Treatment.HASH:
                return self._hash(column)
        return cast_to(column, self.target.type.sql) if self.is_cast else column

    def _hash(self, column: sql.Composable) -> sql.Composable:
        value = column_rules.hashed(column)
        match self.target.type.base:
            case "bytea":
                return value
            case "uuid":
                value = sql.SQL("substr({}, 1, 16)").format(value)
        return cast_to(sql.SQL("encode({}, 'hex')").format(value), self.target.type.sql)

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
    ``left`` are columns of the source that aren't read; those that are ``defaulted`` among them are filled
    by the target, and can't be compared.
    """

    pairs: tuple[Pair, ...]
    computed: tuple[Pair, ...]
    binary: bool
    left: tuple[str, ...] = ()
    defaulted: tuple[str, ...] = ()

    @property
    def compared(self) -> tuple[Pair, ...]:
        return self.pairs + self.computed


def match_columns(source: Table, target: Table, spec: CopySpec | None = None) -> Matched:
    """Pairs the columns by name, and by the rules of ``spec``.

    Raises:
        ColumnsDiffer: at least one column can't be carried without loss; names them all.
        ColumnsAreNew: nobody has said whether a column may be copied.
        RulesDontFit: a rule can't be kept.
    """
    return _Matching(source, target, spec).matched()


class _Matching:
    """Gathers the pairs, and a line for each column that can't be one."""

    def __init__(self, source: Table, target: Table, spec: CopySpec | None) -> None:
        self._source = source
        self._target = target
        self._spec = spec
        self._names = SideNames(source.side, target.side)
        self._treatments = {rule.column: rule.treatment for rule in spec.rules} if spec else {}
        self._pairs: list[Pair] = []
        self._computed: list[Pair] = []
        self._left: list[str] = []
        self._defaulted: list[str] = []
        self._differ: list[str] = []
        self._new: dict[str, str] = {}
        self._broken: list[str] = []

    def matched(self) -> Matched:
        self._broken += self._unknown_rules()
        for column in self._target.columns:
            if self._source.has(column.name):
                self._match(self._source.column(column.name), column)
            elif column.not_null and not _fills_itself(column):
                self._differ.append(
                    f"{column.name} is NOT NULL without a default in {self._target.side} and missing in "
                    f"{self._source.side}: give it a default, or drop NOT NULL"
                )
        for column in self._source.columns:
            if not self._target.has(column.name):
                self._miss(column)
        self._refuse()
        pairs = tuple(self._pairs)
        return Matched(
            pairs,
            tuple(self._computed),
            binary=all(pair.crosses_in_binary for pair in pairs),
            left=tuple(self._left),
            defaulted=tuple(self._defaulted),
        )

    def _refuse(self) -> None:
        table, lines = str(self._target.name), [*self._broken, *self._new.values(), *self._differ]
        if self._broken:
            raise RulesDontFit(table, lines)
        if self._new:
            raise ColumnsAreNew(table, lines, list(self._new))
        if self._differ:
            raise ColumnsDiffer(table, lines)

    def _treatment(self, column: Column) -> Treatment | None:
        """What becomes of a column of the source. None, and a line, where nobody has said that."""
        if (found := self._treatments.get(column.name)) is not None:
            return found
        spec = self._spec
        if spec is None or spec.known_columns is None or column.name in spec.known_columns:
            return Treatment.COPY
        match spec.new_columns:
            case NewColumns.COPY:
                return Treatment.COPY
            case NewColumns.OMIT:
                return Treatment.OMIT
        self._new[column.name] = (
            f"{column.name} ({column.type.sql}) of {self._source.side} has no rule, and the last completed "
            "copy didn't have it as it is: add it to the columns of the copy, as "
            f'{column.name} = "copy" or {column.name} = "omit"'
        )
        return None

    def _match(self, source: Column, target: Column) -> None:
        match self._treatment(source):
            case None:
                return
            case Treatment.COPY:
                self._copy(source, target)
            case Treatment.OMIT:
                self._omit(source, target)
            case treatment:
                self._alter(source, target, treatment)

    def _copy(self, source: Column, target: Column) -> None:
        refusal = loss(source.type, target.type, self._names)
        if refusal is None:
            (self._computed if target.is_generated else self._pairs).append(Pair(source, target))
        else:
            types = _apart(f"{target.name} is", source.type.sql, target.type.sql, self._names)
            self._differ.append(f"{types}: {refusal}")

    def _omit(self, source: Column, target: Column) -> None:
        self._left.append(target.name)
        if target.is_generated:
            return
        if _fills_itself(target):
            self._defaulted.append(target.name)
        elif target.not_null or target.never_null:
            self._broken.append(
                f"{target.name} has the rule omit, and is NOT NULL without a default in {self._target.side}: "
                "drop NOT NULL there, or give it a default"
            )
        else:
            self._pairs.append(_as_target(source, target, Treatment.OMIT))

    def _alter(self, source: Column, target: Column, treatment: Treatment) -> None:
        refusal = next(self._refusals(source, target, treatment), None)
        if refusal is not None:
            self._broken.append(f"{target.name} has the rule {treatment}, and {refusal}")
        else:
            self._pairs.append(_as_target(source, target, treatment))

    def _refusals(self, source: Column, target: Column, treatment: Treatment) -> Iterator[str]:
        """Why the rule can't be kept, with what to do."""
        side, written = self._target.side, target.type.sql
        if target.is_generated:
            yield f"{side} computes it itself: omit it, and have it computed from what is copied"
        if treatment is Treatment.NULL:
            if target.not_null or target.never_null or target.is_identity:
                yield f"is NOT NULL in {side}: drop NOT NULL there, or omit it where it has a default"
            return
        needed = column_rules.HASH_LENGTH if treatment is Treatment.HASH else column_rules.MASK_LENGTH
        takes = HASHES if treatment is Treatment.HASH else MASKS
        if not target.type.kind.is_builtin or target.type.base not in takes:
            yield f"is {written} in {side}: make it text there"
        length = modifier(written)
        if target.type.base in MASKS and length and length[0] < needed:
            yield f"is {written} in {side}, too short for {needed} characters: make it text there"
        kind = source.type.kind
        if treatment is Treatment.MASK and kind.base.name not in MASKED:
            yield f"is {source.type.sql} in {self._source.side}, which is no text: use null, hash or omit"
        if treatment is Treatment.MASK and any(target.name in key for key in self._target.unique_keys):
            yield f"is part of a unique key in {side}, which two rows of one mask would break: use hash"
        if treatment is Treatment.HASH and (kind.names_objects or kind.spellings != {""}):
            yield f"is {source.type.sql}, which each server writes otherwise: use null or omit"
        if treatment is Treatment.HASH and (self._spec is None or self._spec.hash_key is None):
            yield "there is no key to hash with: set one"

    def _miss(self, column: Column) -> None:
        """A column that only the source has."""
        side = self._target.side
        match self._treatment(column):
            case Treatment.OMIT:
                self._left.append(column.name)
            case Treatment.COPY if self._treatments:
                self._differ.append(
                    f"{column.name} ({column.type.sql}) is missing in {side}: add it there, or leave it in "
                    f'{self._source.side}, as {column.name} = "omit"'
                )
            case Treatment.COPY:
                self._differ.append(f"{column.name} ({column.type.sql}) is missing in {side}: add it there")
            case Treatment() as treatment:
                self._broken.append(
                    f"{column.name} has the rule {treatment}, and is missing in {side}: add it there, or "
                    "omit it"
                )

    def _unknown_rules(self) -> Iterator[str]:
        for name, treatment in self._treatments.items():
            if not self._source.has(name):
                yield (
                    f"{name} has the rule {treatment}, and is missing in {self._source.side}: correct its "
                    "name, or take the rule away"
                )


def _fills_itself(column: Column) -> bool:
    return column.has_default or column.is_identity


def _as_target(source: Column, target: Column, treatment: Treatment) -> Pair:
    """The source's value is of the target's type, whatever the column holds there."""
    return Pair(replace(target, encoding=source.encoding), target, treatment)


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

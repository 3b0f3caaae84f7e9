"""Matches the columns of the two tables: what is selected in prod, what is written in consulta.

A pair is the same type, a widening that loses nothing (then prod casts it), or refused before the
first row is read, with a line that says what to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

from copier.catalog import Column, ColumnType, Table
from copier.errors import ColumnsDiffer
from copier.keyset import cast_to

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

#: What sends the values of types that hold any text alike.
TEXTS = {("pg_catalog", "textsend"), ("pg_catalog", "varcharsend")}


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of prod and the column of consulta that takes it."""

    source: Column
    target: Column

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def selected(self) -> sql.Composable:
        """What prod selects: the column, cast where consulta's type is wider."""
        column = sql.Identifier(self.source.name)
        if self.source.type.sql == self.target.type.sql:
            return column
        return cast_to(column, self.target.type.sql)

    @property
    def selected_type(self) -> str:
        """The type, as prod writes it, of what is selected."""
        return self.target.type.sql


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
    return Matched(tuple(pairs), tuple(computed), binary=all(_crosses_in_binary(pair) for pair in pairs))


def loss(source: ColumnType, target: ColumnType) -> str | None:
    """Why a value of the source type may not survive in the target type; None where it does."""
    if source.sql == target.sql:
        same = source.send == target.send or {source.send, target.send} == TEXTS
        return None if same else "these are two types of one name, make them the same"
    if source.base != target.base:
        if target.base not in WIDENINGS.get(source.base, ()):
            return f"make consulta's column {source.sql}"
        if target.base == "character varying" and modifier(target.sql):
            return "make consulta's column text"
        if target.base == "numeric" and modifier(target.sql):
            return "make consulta's column numeric without precision"
        return None
    wide, narrow = modifier(target.sql), modifier(source.sql)
    element = source.base.removesuffix("[]")
    if element in {"bpchar", '"bit"'} or (element == "interval" and _fields(target.sql)):
        return f"make consulta's column {source.sql}"
    if not wide:
        return None
    if not narrow:
        # Without a modifier times and intervals keep six digits, and every other type has no limit.
        full = _is_time(source.base) and wide == (6,)
        return None if full else f"make consulta's column {source.sql}"
    if element == "numeric":
        precision, scale = (*wide, 0)[:2]
        old_precision, old_scale = (*narrow, 0)[:2]
        fits = scale >= old_scale and precision - scale >= old_precision - old_scale
        return None if fits else f"make consulta's column {source.sql} or wider"
    return None if wide >= narrow else f"make consulta's column {source.sql} or wider"


def modifier(type_sql: str) -> tuple[int, ...]:
    """``(14, 2)`` of ``numeric(14,2)``; empty where the type has none."""
    found = re.search(r"\((-?\d+)(?:,(-?\d+))?\)", type_sql)
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


def _fields(interval_sql: str) -> bool:
    """Whether an interval keeps only some of its fields, as ``interval year to month`` does."""
    return " " in interval_sql


def _is_time(base: str) -> bool:
    return base.startswith(("time", "interval"))


def _crosses_in_binary(pair: Pair) -> bool:
    return all(side.type.portable and side.type.send for side in (pair.source, pair.target))

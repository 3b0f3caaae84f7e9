"""Matches the columns of the two tables: what is selected in prod, what is written in consulta.

A pair is the same type, a widening that loses nothing (then prod casts it), or refused before the
first row is read, with a line that says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from copier.catalog import Column, Table
from copier.errors import ColumnsDiffer
from copier.keyset import cast_to
from copier.loss import loss


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

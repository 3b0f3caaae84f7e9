"""A liquidation's number, whatever type its column has: an integer, text, a numeric.

What isn't written as PostgreSQL would write it (007, 2026-01) is the number of no liquidation.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from copier.catalog import Column, Table
from copier.errors import ColumnsDiffer
from copier.keyset import INTEGERS, number_literal
from copier.kinds import Kind
from copier.spec import MAX_LIQUIDATION_ID

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

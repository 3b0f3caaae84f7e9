"""Key ranges: how a liquidation is cut into chunks, and the WHERE that reads exactly one of them.

A range is (lower, upper], its bounds the key's values as PostgreSQL writes them, so that any ordered
type can be a key. The first range has no lower bound and the last no upper one: together they cover
every row, also those that only consulta has.

The predicate compares the row (liquidation, key) as a whole. With separate conditions the planner
may walk the primary key and filter away every other liquidation's rows on the way; and with an equality
beside the comparison the index would be read from the liquidation's first key on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from copier.catalog import Column
from copier.key_range import Bound, KeyRange

#: Types for which a bigint literal is compared by PostgreSQL's own integer operators.
INTEGERS = frozenset({"smallint", "integer", "bigint"})


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A key column as one side compares it; ``by_bytes`` where the sides' collations differ.

    ``operators`` is the schema of its type's own, which an extension may have put where no search_path looks.
    """

    name: str
    type_sql: str
    by_bytes: bool = False
    operators: str = "pg_catalog"

    @property
    def expression(self) -> sql.Composable:
        column = sql.Identifier(self.name)
        return sql.SQL('{} COLLATE "C"').format(column) if self.by_bytes else column

    def compared(
        self, ours: sql.Composable, operator: LiteralString, theirs: sql.Composable
    ) -> sql.Composable:
        """Both values compared by the type's own operator, wherever that is."""
        own = sql.SQL("OPERATOR({}.{})").format(sql.Identifier(self.operators), sql.SQL(operator))
        return sql.SQL("{} {} {}").format(ours, own, theirs)


@dataclass(frozen=True, slots=True)
class Keyset:
    """The liquidation's filter and the key's order on one side.

    ``across_liquidations`` tells that the key names a row whatever its liquidation, so that
    consulta may hold a row of this liquidation under another one.
    """

    liquidation_column: str
    liquidation_type: str
    columns: tuple[KeyColumn, ...]
    across_liquidations: bool = True

    @property
    def order(self) -> sql.Composable:
        return sql.SQL(", ").join([sql.Identifier(self.liquidation_column), *self._keys()])

    @property
    def values_as_text(self) -> sql.Composable:
        return sql.SQL("ARRAY[{}]::text[]").format(
            sql.SQL(", ").join(
                sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in self.columns
            )
        )

    @property
    def key_names(self) -> sql.Composable:
        return sql.SQL(", ").join(sql.Identifier(column.name) for column in self.columns)

    def liquidation(self, liquidation_id: int) -> sql.Composable:
        return number_literal(liquidation_id, self.liquidation_type)

    def whole(self, liquidation_id: int) -> sql.Composable:
        return sql.SQL("{} = {}").format(
            sql.Identifier(self.liquidation_column), self.liquidation(liquidation_id)
        )

    def within(self, liquidation_id: int, key_range: KeyRange) -> sql.Composable:
        """The condition for the rows of one range of one liquidation."""
        if key_range.lower is None and key_range.upper is None:
            return self.whole(liquidation_id)
        return sql.SQL("{} AND {}").format(
            self._beyond(">", ">=", liquidation_id, key_range.lower),
            self._beyond("<=", "<=", liquidation_id, key_range.upper),
        )

    def one_of(self, keys: Sequence[Bound]) -> sql.Composable:
        """The condition for the rows with one of these keys, written as bounds are.

        Where the liquidation alone is the key, there is but one row.
        """
        if not self.columns:
            return sql.SQL("true")
        names = [sql.Identifier(f"traspaso_key_{place}") for place, _ in enumerate(self.columns)]
        values = [
            cast_to(sql.Literal([key[place] for key in keys]), "text[]") for place, _ in enumerate(names)
        ]
        cast = [cast_to(name, column.type_sql) for name, column in zip(names, self.columns, strict=True)]
        comma = sql.SQL(", ")
        if self._has_own_operators:
            same = (
                column.compared(column.expression, "=", value)
                for column, value in zip(self.columns, cast, strict=True)
            )
            return sql.SQL("EXISTS (SELECT FROM unnest({}) AS wanted({}) WHERE {})").format(
                comma.join(values), comma.join(names), sql.SQL(" AND ").join(same)
            )
        return sql.SQL("({}) IN (SELECT {} FROM unnest({}) AS wanted({}))").format(
            comma.join(self._keys()), comma.join(cast), comma.join(values), comma.join(names)
        )

    def _beyond(
        self, operator: LiteralString, open_operator: LiteralString, liquidation_id: int, bound: Bound | None
    ) -> sql.Composable:
        if bound is None:
            return sql.SQL("{} {} {}").format(
                sql.Identifier(self.liquidation_column),
                sql.SQL(open_operator),
                self.liquidation(liquidation_id),
            )
        if self._has_own_operators:
            return sql.SQL("{} AND {}").format(
                self.whole(liquidation_id), self._beyond_by_columns(operator, bound)
            )
        return sql.SQL("({}) {} ({})").format(
            self.order, sql.SQL(operator), self._literals(liquidation_id, bound)
        )

    @property
    def _has_own_operators(self) -> bool:
        return any(column.operators != "pg_catalog" for column in self.columns)

    def _beyond_by_columns(self, operator: LiteralString, bound: Bound) -> sql.Composable:
        """The comparison of two rows, column by column: SQL can't name an operator for each within one."""
        beyond: sql.Composable | None = None
        for column, value in reversed([*zip(self.columns, bound, strict=True)]):
            literal = cast_to(sql.Literal(value), column.type_sql)
            if beyond is None:
                beyond = column.compared(column.expression, operator, literal)
                continue
            beyond = sql.SQL("{} AND ({} OR {})").format(
                column.compared(column.expression, ">=" if operator == ">" else "<=", literal),
                column.compared(column.expression, ">" if operator == ">" else "<", literal),
                sql.SQL("({})").format(beyond),
            )
        assert beyond is not None  # noqa: S101 - it has own operators, and so columns
        return beyond

    def _keys(self) -> list[sql.Composable]:
        return [column.expression for column in self.columns]

    def _literals(self, liquidation_id: int, bound: Bound) -> sql.Composable:
        values = (
            cast_to(sql.Literal(value), column.type_sql)
            for column, value in zip(self.columns, bound, strict=True)
        )
        return sql.SQL(", ").join([self.liquidation(liquidation_id), *values])


def keyset_of(liquidation: Column, keys: list[Column], others: list[Column]) -> Keyset:
    """The keyset of one side; ``others`` are the same key columns on the other side.

    A text key whose collation or collation version differs between the sides is compared by its
    bytes on both, because each side would cut the ranges elsewhere otherwise.
    """
    return Keyset(
        liquidation_column=liquidation.name,
        liquidation_type=liquidation.type.base,
        columns=tuple(
            KeyColumn(
                column.name,
                column.type.base,
                by_bytes=column.collation is not None
                and (column.collation != other.collation or not column.deterministic),
                operators=column.type.kind.base.operators,
            )
            for column, other in zip(keys, others, strict=True)
            if column.name != liquidation.name
        ),
        across_liquidations=all(column.name != liquidation.name for column in keys),
    )


def number_literal(number: int, column_type: str) -> sql.Composable:
    """A liquidation's number, parsed strictly before, to compare with a column of that type."""
    if column_type in INTEGERS:
        return cast_to(sql.Literal(number), "bigint")
    return cast_to(sql.Literal(str(number)), column_type)


def cast_to(value: sql.Composable, type_sql: str) -> sql.Composable:
    """``value::type``; the type's name was written by the server's own format_type."""
    return sql.SQL("{}::{}").format(value, sql.SQL(type_sql))

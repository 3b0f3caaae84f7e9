"""The key that names a row on both sides, and the WHERE that reads exactly one range of keys.

The same key cuts both sides into the same ranges, the chunks of a copy. A range is (lower, upper], its bounds
the key's values as PostgreSQL writes them, so that any ordered type can be a key. The first range has no
lower bound and the last no upper one: together they cover every row, also those that only the target has.

The predicate compares the row (liquidation, key) as a whole. With separate conditions the planner
may walk the primary key and filter away every other liquidation's rows on the way; and with an equality
beside the comparison the index would be read from the liquidation's first key on.

Rows that belong through a parent have no column of the liquidation: there the range compares the key alone,
and beside it stands that the row's columns are IN the keys of the parents. The planner begins by the parents
where they are few for a range, and by the range where its rows lie together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from copier.errors import NoUsableKey, SideNames
from copier.model import Bound, CopySpec, KeyRange, TableName
from copier.system_catalog import Column, Kind, Table

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
        self, left: sql.Composable, right: sql.Composable, operator: LiteralString = "="
    ) -> sql.Composable:
        """Two values compared by the type's own operator, wherever that is."""
        own = sql.SQL("OPERATOR({}.{})").format(sql.Identifier(self.operators), sql.SQL(operator))
        return sql.SQL("{} {} {}").format(left, own, right)


@dataclass(frozen=True, slots=True)
class Link:
    """A column that points to the ``parent`` column of another table; compared as `KeyColumn` is."""

    name: str
    parent: str
    by_bytes: bool = False
    operators: str = "pg_catalog"


@dataclass(frozen=True, slots=True)
class Through:
    """Rows belong to the liquidation of the row of ``table`` to which the ``links`` point.

    ``keys`` say how the rows of that table belong; their key columns don't matter.
    """

    links: tuple[Link, ...]
    table: TableName
    keys: Keyset

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(link.name for link in self.links)

    @property
    def tables(self) -> tuple[TableName, ...]:
        """Through which the rows belong, the nearest first."""
        return (self.table, *self.keys.parents)

    def points_to(self, where: Callable[[str], sql.Composable], row: str | None) -> sql.Composable:
        """Of a ``row``, by the name of its table in the statement: its parent is one of those ``where``.

        Its own columns stand outside of the subquery, so that they can't be taken for the parent's.
        """
        parent = f"traspaso_parent_{len(self.tables)}"
        return self._among(
            [identifier(link.name, row) for link in self.links],
            [sql.Identifier(parent, link.parent) for link in self.links],
            sql.SQL("{} AS {} WHERE {}").format(self.table.identifier, sql.Identifier(parent), where(parent)),
        )

    def is_pointed_to(self, table: TableName) -> sql.Composable:
        """Of a row of the parents' table: some row of this ``table`` points to it."""
        rows = "traspaso_rows"
        return self._among(
            [sql.Identifier(link.parent) for link in self.links],
            [sql.Identifier(rows, link.name) for link in self.links],
            sql.SQL("{} AS {}").format(table.identifier, sql.Identifier(rows)),
        )

    def _among(
        self, left: Sequence[sql.Composable], right: Sequence[sql.Composable], rows: sql.Composable
    ) -> sql.Composable:
        comma = sql.SQL(", ")
        left = [
            sql.SQL('{} COLLATE "C"').format(column) if link.by_bytes else column
            for link, column in zip(self.links, left, strict=True)
        ]
        operators = self.links[0].operators
        is_one: sql.Composable = sql.SQL("IN")
        if operators != "pg_catalog":
            is_one = sql.SQL("OPERATOR({}.=) ANY").format(sql.Identifier(operators))
        return sql.SQL("({}) {} (SELECT {} FROM {})").format(
            comma.join(left), is_one, comma.join(right), rows
        )


@dataclass(frozen=True, slots=True)
class Keyset:
    """The liquidation's filter and the key's order on one side.

    ``across_liquidations``: the key names a row whatever its liquidation, so that
    the target may hold a row of this liquidation under another one. Rows that belong ``through`` a parent
    have no ``liquidation_column``.
    """

    liquidation_column: str
    liquidation_type: str
    columns: tuple[KeyColumn, ...]
    across_liquidations: bool = True
    through: Through | None = None

    @property
    def place(self) -> tuple[str, ...]:
        """The columns of a row that say to which liquidation it belongs."""
        return (self.liquidation_column,) if self.through is None else self.through.columns

    @property
    def parents(self) -> tuple[TableName, ...]:
        """The tables through which the rows belong, the nearest first."""
        return () if self.through is None else self.through.tables

    @property
    def order(self) -> sql.Composable:
        own = [sql.Identifier(self.liquidation_column)] if self.through is None else []
        return sql.SQL(", ").join([*own, *self._keys()])

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

    def whole(self, liquidation_id: int, row: str | None = None) -> sql.Composable:
        """The condition for the rows of one liquidation; ``row`` is the name of their table, or an alias.

        It is NULL for a row whose parent isn't known.
        """
        if self.through is not None:
            keys = self.through.keys
            return self.through.points_to(lambda parent: keys.whole(liquidation_id, parent), row)
        return sql.SQL("{} = {}").format(
            identifier(self.liquidation_column, row), self.liquidation(liquidation_id)
        )

    def outside(self, liquidation_id: int, row: str | None = None) -> sql.Composable:
        """The condition for all other rows of the table, also those that belong to no liquidation."""
        if self.through is not None:
            return sql.SQL("({}) IS NOT TRUE").format(self.whole(liquidation_id, row))
        return sql.SQL("{} IS DISTINCT FROM {}").format(
            identifier(self.liquidation_column, row), self.liquidation(liquidation_id)
        )

    def through_any(
        self, liquidation_id: int, found: Callable[[str], sql.Composable], row: str | None = None
    ) -> sql.Composable | None:
        """Of a row of the liquidation: one of the rows through which it belongs is one of the ``found``.

        ``found`` gives a condition for a row of that name. None where rows have the liquidation's column.
        """
        if self.through is None:
            return None
        keys = self.through.keys

        def where(parent: str) -> sql.Composable:
            above = keys.through_any(liquidation_id, found, parent)
            either = [found(parent), *([] if above is None else [above])]
            return sql.SQL("{} AND ({})").format(
                keys.whole(liquidation_id, parent), sql.SQL(" OR ").join(either)
            )

        return self.through.points_to(where, row)

    def within(self, liquidation_id: int, key_range: KeyRange) -> sql.Composable:
        """The condition for the rows of one range of one liquidation."""
        if key_range.lower is None and key_range.upper is None:
            return self.whole(liquidation_id)
        if self.through is not None:
            bounds = ((">", key_range.lower), ("<=", key_range.upper))
            conditions = [self._beyond_key(sign, bound) for sign, bound in bounds if bound is not None]
            return sql.SQL(" AND ").join([*conditions, self.whole(liquidation_id)])
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
                column.compared(column.expression, value)
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

    def _beyond_key(self, operator: LiteralString, bound: Bound) -> sql.Composable:
        """The comparison of the key alone."""
        if self._has_own_operators:
            return self._beyond_by_columns(operator, bound)
        values = [
            cast_to(sql.Literal(value), column.type_sql)
            for column, value in zip(self.columns, bound, strict=True)
        ]
        comma = sql.SQL(", ")
        return sql.SQL("({}) {} ({})").format(comma.join(self._keys()), sql.SQL(operator), comma.join(values))

    @property
    def _has_own_operators(self) -> bool:
        return any(column.operators != "pg_catalog" for column in self.columns)

    def _beyond_by_columns(self, operator: LiteralString, bound: Bound) -> sql.Composable:
        """The comparison of two rows, column by column: SQL can't name an operator for each within one."""
        beyond: sql.Composable | None = None
        for column, value in reversed([*zip(self.columns, bound, strict=True)]):
            literal = cast_to(sql.Literal(value), column.type_sql)
            if beyond is None:
                beyond = column.compared(column.expression, literal, operator)
                continue
            beyond = sql.SQL("{} AND ({} OR {})").format(
                column.compared(column.expression, literal, ">=" if operator == ">" else "<="),
                column.compared(column.expression, literal, ">" if operator == ">" else "<"),
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


def keyset_of(liquidation: Column | Through, keys: list[Column], others: list[Column]) -> Keyset:
    """The keyset of one side; ``others`` are the same key columns on the other side.

    ``liquidation`` is the column of the liquidation, or through what the rows belong. A text key whose
    collation or collation version differs between the sides is compared by its bytes on both, because each
    side would cut the ranges elsewhere otherwise.
    """
    own = None if isinstance(liquidation, Through) else liquidation
    return Keyset(
        liquidation_column=own.name if own else "",
        liquidation_type=own.type.base if own else "",
        columns=tuple(
            KeyColumn(
                column.name,
                column.type.base,
                by_bytes=column.collation is not None
                and (column.collation != other.collation or not column.deterministic),
                operators=column.type.kind.base.operators,
            )
            for column, other in zip(keys, others, strict=True)
            if own is None or column.name != own.name
        ),
        across_liquidations=own is None or all(column.name != own.name for column in keys),
        through=liquidation if isinstance(liquidation, Through) else None,
    )


def identifier(column: str, row: str | None) -> sql.Identifier:
    """A column, of the table or alias ``row`` where that is given."""
    return sql.Identifier(column) if row is None else sql.Identifier(row, column)


def number_literal(number: int, column_type: str) -> sql.Composable:
    """A liquidation's number, parsed strictly before, to compare with a column of that type."""
    if column_type in INTEGERS:
        return cast_to(sql.Literal(number), "bigint")
    return cast_to(sql.Literal(str(number)), column_type)


def cast_to(value: sql.Composable, type_sql: str) -> sql.Composable:
    """``value::type``; the type's name was written by the server's own format_type."""
    return sql.SQL("{}::{}").format(value, sql.SQL(type_sql))


# ---------------------------------------------------------------------------------- which columns are the key


def key_columns(spec: CopySpec, source: Table, target: Table) -> tuple[str, ...]:
    """The columns that name a row: the configured key, else the target's first unique key.

    The primary key sorts first. The key must be unique and NOT NULL in the target, where a row
    of another liquidation may hold the same key and has to be found.

    Raises:
        ColumnMissing: a configured key column isn't in both tables.
        NoUsableKey: no unique index of NOT NULL columns covers it, the sides sort it differently, or a rule
            makes another value of a column by which rows are found.
    """
    names = _chosen(spec, source, target)
    _refuse_altered(spec, names)
    for name in names:
        _refuse_another_order(source.column(name), target.column(name), SideNames(source.side, target.side))
    return names


def _chosen(spec: CopySpec, source: Table, target: Table) -> tuple[str, ...]:
    for name in spec.key:
        source.column(name)
        target.column(name)
    usable = [
        key
        for key in target.unique_keys
        if all(source.has(name) and _names_a_row(target.column(name)) for name in key)
    ]
    if not spec.key:
        if usable:
            return usable[0]
        if target.deferrable:
            keys = ", ".join(target.deferrable)
            raise NoUsableKey(
                f"the key {keys} of table {target.name} of {target.side} is DEFERRABLE, and such a key finds "
                "no row: make it NOT DEFERRABLE there, or create a unique index of NOT NULL columns and "
                "name it as key"
            )
        raise NoUsableKey(
            f"table {target.name} of {target.side} has no primary key or unique index of NOT NULL columns "
            f"that {source.side} has too: create one there and, if it isn't the primary key, name it as key"
        )
    if not any(set(key) == set(spec.key) for key in usable):
        raise NoUsableKey(
            f"key ({', '.join(spec.key)}) is not a unique index of NOT NULL columns on table "
            f"{target.name} of {target.side}: create one, or name another key"
        )
    return spec.key


def _refuse_altered(spec: CopySpec, names: tuple[str, ...]) -> None:
    """Rows are found on both sides by the same values, and ranges are cut in the order of the source's."""
    for rule in spec.altering:
        if rule.column == spec.liquidation_column:
            raise NoUsableKey(
                f"column {rule.column} says which liquidation a row belongs to, so it has to be copied as it "
                f"is: take its rule {rule.treatment} away"
            )
        if rule.column in names:
            raise NoUsableKey(
                f"column {rule.column} is part of the key ({', '.join(names)}), by which rows are found on "
                f"both sides, so it has to be copied as it is: take its rule {rule.treatment} away, or name "
                "another key"
            )
        if spec.via is not None and rule.column in spec.via.columns:
            raise NoUsableKey(
                f"column {rule.column} points to the row of {spec.via.reference.table} through which a row "
                "belongs to a liquidation, so it has to be copied as it is: take its rule "
                f"{rule.treatment} away"
            )
    for rule in spec.via.parent.altering if spec.via is not None else ():
        if spec.via is not None and rule.column in spec.via.parent_columns:
            raise NoUsableKey(
                f"rows of {spec.source_table} belong to a liquidation through column {rule.column} of "
                f"{spec.via.reference.table}, so it has to be copied as it is there: take the rule "
                f"{rule.treatment} of the copy {spec.via.parent.name} away"
            )


def _names_a_row(column: Column) -> bool:
    """What the target generates itself is never written, and so can't find a row that has to move."""
    return column.not_null and not column.is_generated


def _refuse_another_order(source: Column, target: Column, names: SideNames) -> None:
    """Ranges cut in the source must be the same rows in the target.

    Collations of the columns themselves may differ, see `keyset_of`.
    """
    name, written = source.name, source.type.sql
    if (source.type.base, target.type.base) == ("real", "double precision"):
        raise NoUsableKey(
            f"key column {name} is real in {names.source} and double precision in {names.target}, where its "
            f"bounds would fall between other rows: make {names.target}'s column real, or name another key"
        )
    for side in (source, target):
        if side.type.kind.form == "domain" and side.type.kind.base.form == "enum":
            raise NoUsableKey(
                f"key column {side.name} is {side.type.sql}, a domain over an enum, which PostgreSQL doesn't "
                f"compare: make it the enum, or name another key"
            )
        if side.type.kind.names_objects:
            raise NoUsableKey(
                f"key column {side.name} is {side.type.sql}, which is sorted by numbers that each server "
                f"gives for itself: name another key"
            )
    if source.type.kind.spellings != target.type.kind.spellings:
        raise NoUsableKey(
            f"key column {name} is {written}, whose bounds the lc_monetary of each database "
            f"writes otherwise: set it alike on both, or name another key"
        )
    here, there = ([*_labels(side.type.kind)] for side in (source, target))
    common = {*here} & {*there}
    if [each for each in here if each in common] != [each for each in there if each in common]:
        raise NoUsableKey(
            f"key column {name} is an enum whose labels are in another order in {names.target} than in "
            f"{names.source}: create the type there with its labels in {names.source}'s order, or name "
            f"another key"
        )
    if _collations(source.type.kind) != _collations(target.type.kind):
        raise NoUsableKey(
            f"key column {name} is {written}, which holds text that {names.target} sorts otherwise than "
            f"{names.source}: name another key"
        )


def _labels(kind: Kind) -> Iterator[tuple[str, str]]:
    """Each with its enum: a composite may hold several."""
    for each in kind.all():
        for label in each.labels:
            yield each.name, label


def _collations(kind: Kind) -> list[tuple[str, ...]]:
    """What is compared by which locale within a value; the column's own is evened out."""
    return [each.collations for each in kind.all()]

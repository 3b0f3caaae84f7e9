"""Rows that belong to a liquidation through a parent: a line of a payslip, through the payslip.

Such a table has no column of the liquidation. Its rows point to those of another copied table, by columns of
their own, and these have the column, or point to a further table. Each side finds its rows by
its own parents.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from copier.columns import TEXTS, Pair, loss, refuse_what_has_no_numbers
from copier.errors import ColumnsDiffer, NoUsableKey, SideNames
from copier.keys import INTEGERS, Keyset, Link, Through
from copier.model import CopySpec, TableName, Via, quoted
from copier.row_hash import hashed, row_hash
from copier.system_catalog import Column, Table


@dataclass(frozen=True, slots=True)
class ParentSlice:
    """One side's rows of a liquidation through which rows of another table belong, by their ``key`` alone.

    ``copy`` is the name of the copy that brings them; ``oldest`` is the lower version of both servers'.
    """

    side: str
    table: TableName
    copy: str
    keys: Keyset
    key: tuple[Pair, ...]
    liquidation_id: int
    is_source: bool
    oldest: int

    @property
    def key_hash(self) -> sql.Composable:
        values = (hashed(pair, of_source=self.is_source) for pair in self.key)
        return row_hash(values, version=self.oldest)


def belonging(spec: CopySpec, table: Table) -> Column | Through:
    """How the table's rows belong: by this column of theirs, or through these rows."""
    if spec.via is None:
        return table.column(spec.liquidation_column)
    parent = _parent(table)
    return Through(
        tuple(
            _link(table.column(name), parent.column(of_parent))
            for name, of_parent in zip(spec.via.columns, spec.via.parent_columns, strict=True)
        ),
        parent.name,
        keys_of(spec.via.parent, parent),
    )


def _parent(table: Table) -> Table:
    if table.parent is None:
        raise ValueError(f"{table.name} was read without the table through which its rows belong")
    return table.parent


def keys_of(spec: CopySpec, table: Table) -> Keyset:
    """How the table's rows belong; without a key."""
    found = belonging(spec, table)
    if isinstance(found, Through):
        return Keyset("", "", (), through=found)
    return Keyset(found.name, found.type.base, ())


def parent_slices(
    spec: CopySpec, source: Table, target: Table, liquidation_id: int
) -> tuple[ParentSlice, ParentSlice] | None:
    """The parents of both sides; None where rows have the liquidation's column."""
    if spec.via is None:
        return None
    via, here, there = spec.via, _parent(source), _parent(target)
    key = tuple(Pair(here.column(name), there.column(name)) for name in via.parent_columns)

    def side(parent: Table) -> ParentSlice:
        return ParentSlice(
            side=parent.side,
            table=parent.name,
            copy=via.parent.name,
            keys=keys_of(via.parent, parent),
            key=key,
            liquidation_id=liquidation_id,
            is_source=parent is here,
            oldest=min(here.version, there.version),
        )

    return side(here), side(there)


def _link(column: Column, parent: Column) -> Link:
    by_bytes = column.collation is not None and column.collation != parent.collation
    return Link(column.name, parent.name, by_bytes, parent.type.kind.base.operators)


def refuse_unfit(spec: CopySpec, source: Table, target: Table) -> None:
    """Refuses ways by which it couldn't be told to which liquidation a row belongs.

    Raises:
        ColumnMissing: a column isn't in its table.
        ColumnsDiffer: the liquidation's column holds no numbers, or the columns that point to a parent, or
            their parent's, can't be compared.
        NoUsableKey: they may point to several parents at once.
    """
    if spec.via is None:
        refuse_what_has_no_numbers(spec.liquidation_column, (source, target))
        return
    parents = _parent(source), _parent(target)
    for table, parent in zip((source, target), parents, strict=True):
        _refuse_side(spec.via, table, parent)
    names = SideNames(source.side, target.side)
    lines = []
    for name in spec.via.parent_columns:
        here, there = (parent.column(name).type for parent in parents)
        if refusal := loss(here, there, names):
            lines.append(
                f"{name} is {here.sql} in {names.source} and {there.sql} in {names.target}: {refusal}"
            )
    if lines:
        raise ColumnsDiffer(str(parents[1].name), lines)
    refuse_unfit(spec.via.parent, *parents)


def _refuse_side(via: Via, table: Table, parent: Table) -> None:
    lines = []
    for name, of_parent in zip(via.columns, via.parent_columns, strict=True):
        here, there = table.column(name), parent.column(of_parent)
        if not _compare(here, there):
            lines.append(
                f"{name} is {here.type.sql} and {of_parent} of {parent.name}, to which it points, is "
                f"{there.type.sql} in {table.side}: make them the same type"
            )
        elif here.collation != there.collation and not (here.deterministic and there.deterministic):
            lines.append(
                f"{name} is compared by another collation than {of_parent} of {parent.name}, to which it "
                f"points, in {table.side}: make it the same"
            )
    operators = {parent.column(name).type.kind.base.operators for name in via.parent_columns}
    if len(operators) > 1:
        lines.append(
            f"{', '.join(via.columns)} are of types of several schemas in {table.side}: point to the parent "
            "by columns of PostgreSQL's own types"
        )
    if lines:
        raise ColumnsDiffer(str(table.name), lines)
    is_key = any({*key} <= {*via.parent_columns} for key in parent.unique_keys)
    if parent.relations.inherited or not is_key:
        columns = ", ".join(map(quoted, via.parent_columns))
        raise NoUsableKey(
            f"({columns}) may name several rows of table {parent.name} of {parent.side}, so that a row of "
            f"{table.name} could belong to several liquidations: create a unique index on ({columns}) of "
            "that table, or name other columns in via"
        )


def _compare(column: Column, parent: Column) -> bool:
    """Whether the server compares two columns by an operator that their indexes know."""
    here, there = column.type.kind.base, parent.type.kind.base
    alike: tuple[frozenset[str] | set[str], ...] = (INTEGERS | {"numeric"}, TEXTS)
    return here == there or here.name == there.name or any({here.name, there.name} <= each for each in alike)

"""Columns and tables as the system catalog would tell of them, for tests that ask no server."""

from __future__ import annotations

from copier import TableName
from copier.system_catalog import Column, ColumnType, Kind, Relations, Table


def kind(type_sql: str, base: str | None = None, *, portable: bool = True) -> ColumnType:
    """A type of PostgreSQL's own."""
    base = base or base_of(type_sql)
    return ColumnType(
        type_sql, base, ("pg_catalog", "a_send"), Kind("base", base, type_sql, has_binary=portable)
    )


def base_of(type_sql: str) -> str:
    """As format_type(oid, -1) writes the type without its modifier."""
    head, bracket, rest = type_sql.partition("(")
    plain = head + rest.partition(")")[2] if bracket else type_sql
    plain = plain.removesuffix(" year to month").removesuffix(" day to second")
    element, array = plain.removesuffix("[]"), "[]" if plain.endswith("[]") else ""
    return {"character": "bpchar", "bit": '"bit"'}.get(element, element) + array


def column(
    name: str,
    type_sql: str = "text",
    *,
    collation: str | None = None,
    portable: bool = True,
    exact: bool = True,
    **flags: bool,
) -> Column:
    wanted = {
        "not_null": False,
        "never_null": False,
        "has_default": False,
        "is_generated": False,
        "is_identity": False,
        "is_always": False,
    }
    return Column(
        name=name,
        type=kind(type_sql, portable=portable),
        collation=collation,
        deterministic=exact,
        encoding="UTF8",
        **{**wanted, **flags},
    )


def table(side: str, *columns: Column) -> Table:
    alone = Relations(
        (),
        frozenset(),
        actions=(),
        counts_rows=True,
        may_be_replaced=True,
        rules=(),
        triggers=(),
        is_referenced=False,
        carried_on=frozenset(),
        references=(),
        inherited=False,
    )
    return Table(side, TableName("public", "items"), "r", 18, 1, False, columns, (), (), alone)

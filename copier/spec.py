"""What is to be copied: the part of a configuration that the engine needs."""

from __future__ import annotations

from dataclasses import dataclass

from copier.names import TableName

#: The largest liquidation number: PostgreSQL's bigint.
MAX_LIQUIDATION_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CopySpec:
    """One filtered table on both sides.

    ``key`` names the columns of a unique key whose columns are NOT NULL; empty means the primary
    key of the target.
    """

    name: str
    source_table: TableName
    target_table: TableName
    liquidation_column: str
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Prod's table of liquidations: which exist, what people call them, when they changed, their period."""

    table: TableName
    id_column: str
    label_column: str
    changed_column: str | None = None
    period_column: str | None = None

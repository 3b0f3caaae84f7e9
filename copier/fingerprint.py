"""What a copy is made of, by name: kept with a job, so that what runs later is what was asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from copier.spec import CopySpec

if TYPE_CHECKING:
    from copier.slices import TableSlice


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Both tables, the liquidation column, the key's columns in their order, and all columns by name."""

    source_table: str
    target_table: str
    liquidation_column: str
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: TableSlice, target: TableSlice) -> Self:
        """As the engine has matched both sides."""
        return cls(
            source_table=str(source.table),
            target_table=str(target.table),
            liquidation_column=target.keys.liquidation_column,
            key=tuple(column.name for column in target.keys.columns),
            columns=tuple(sorted(pair.name for pair in target.matched.compared)),
        )

    def configured(self, spec: CopySpec) -> Self:
        """This one, with what a configuration alone tells about it put in its place."""
        return replace(
            self,
            source_table=str(spec.source_table),
            target_table=str(spec.target_table),
            liquidation_column=spec.liquidation_column,
            key=spec.key or self.key,
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"key": list(self.key), "columns": list(self.columns)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        return cls(
            str(found["source_table"]),
            str(found["target_table"]),
            str(found["liquidation_column"]),
            tuple(found["key"]),
            tuple(found["columns"]),
        )

    @property
    def digest(self) -> str:
        """Short, and another one for another copy."""
        return hashlib.sha256(json.dumps(self.as_json()).encode()).hexdigest()[:16]

    def differences(self, now: Fingerprint) -> list[str]:
        """What has changed from this one to that one, a line each."""
        lines = [
            f"{what} was {before}, is {after}"
            for what, before, after in (
                ("table of prod", self.source_table, now.source_table),
                ("table of consulta", self.target_table, now.target_table),
                ("liquidation column", self.liquidation_column, now.liquidation_column),
                ("key", f"({', '.join(self.key)})", f"({', '.join(now.key)})"),
            )
            if before != after
        ]
        gone = [name for name in self.columns if name not in now.columns]
        new = [name for name in now.columns if name not in self.columns]
        lines += [f"column {name} is not copied any more" for name in gone]
        lines += [f"column {name} is copied since" for name in new]
        return lines

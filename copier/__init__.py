"""Copies one filtered table between two PostgreSQL servers, and proves it.

Knows no Slack, no queue and no job: a notebook can use it with two SQLAlchemy engines. What a copy of one
table has no use for is loaded when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from copier.column_rules import ColumnRule, HashKey, NewColumns, Treatment
from copier.connections import Abort, Aborted
from copier.copy import Copy, CopyResult
from copier.errors import SideNames
from copier.missing_parents import Lacking
from copier.model import (
    MAX_LIQUIDATION_ID,
    Catalogue,
    Choice,
    Chunk,
    CopySpec,
    Counted,
    Counts,
    Digest,
    Fingerprint,
    KeyRange,
    Limits,
    ParentReference,
    Period,
    Plan,
    Proof,
    RangeComparison,
    TableName,
    Via,
    cores,
)
from copier.preview import Advice, Count, Preview, expected_changes, is_known, preview, unchanged
from copier.row_versions import Baseline, ExpectedChanges

if TYPE_CHECKING:
    from copier.copy_set import (
        CopySet,
        CopySetResult,
        SetComparison,
        SetProof,
        TableOptions,
        TableState,
        compare_set,
    )
    from copier.liquidation_search import Entry, choose, search
    from copier.set_explanation import (
        ExplainedKey,
        ExplainedTable,
        Explanation,
        OutsideKey,
        Use,
        explain,
        order_in_target,
    )

__all__ = [
    "MAX_LIQUIDATION_ID",
    "Abort",
    "Aborted",
    "Advice",
    "Baseline",
    "Catalogue",
    "Choice",
    "Chunk",
    "ColumnRule",
    "Copy",
    "CopyResult",
    "CopySet",
    "CopySetResult",
    "CopySpec",
    "Count",
    "Counted",
    "Counts",
    "Digest",
    "Entry",
    "ExpectedChanges",
    "ExplainedKey",
    "ExplainedTable",
    "Explanation",
    "Fingerprint",
    "HashKey",
    "KeyRange",
    "Lacking",
    "Limits",
    "NewColumns",
    "OutsideKey",
    "ParentReference",
    "Period",
    "Plan",
    "Preview",
    "Proof",
    "RangeComparison",
    "SetComparison",
    "SetProof",
    "SideNames",
    "TableName",
    "TableOptions",
    "TableState",
    "Treatment",
    "Use",
    "Via",
    "choose",
    "compare_set",
    "cores",
    "expected_changes",
    "explain",
    "is_known",
    "order_in_target",
    "preview",
    "search",
    "unchanged",
]

#: The module of each name that waits until somebody asks for it.
_LATER = {
    **dict.fromkeys(("Entry", "choose", "search"), "copier.liquidation_search"),
    **dict.fromkeys(
        (
            *("CopySet", "CopySetResult", "SetComparison", "SetProof", "TableOptions", "TableState"),
            "compare_set",
        ),
        "copier.copy_set",
    ),
    **dict.fromkeys(
        (
            *("ExplainedKey", "ExplainedTable", "Explanation", "OutsideKey", "Use"),
            *("explain", "order_in_target"),
        ),
        "copier.set_explanation",
    ),
}


def __getattr__(name: str) -> object:
    if (module := _LATER.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(module), name)
    globals()[name] = found
    return found

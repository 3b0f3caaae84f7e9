"""Copies one filtered table between two PostgreSQL servers, and proves it.

Knows no Slack, no queue and no job: a notebook can use it with two SQLAlchemy engines.
"""

from copier.copy import Chunk, Copy, Limits, Plan
from copier.digest import Digest, Proof, RangeDifference
from copier.names import TableName
from copier.spec import MAX_LIQUIDATION_ID, CopySpec

__all__ = [
    "MAX_LIQUIDATION_ID",
    "Chunk",
    "Copy",
    "CopySpec",
    "Digest",
    "Limits",
    "Plan",
    "Proof",
    "RangeDifference",
    "TableName",
]

"""Copies one filtered table between two PostgreSQL servers, and proves it.

Knows no Slack, no queue and no job: a notebook can use it with two SQLAlchemy engines.
"""

from copier.copy import Copy
from copier.counts import Counts
from copier.digest import Comparison, Counted, Digest, Proof
from copier.fingerprint import Fingerprint
from copier.names import TableName
from copier.plan import Chunk, Limits, Plan, cores
from copier.preview import Advice, Count, Preview, is_known, preview
from copier.search import Entry, search
from copier.spec import MAX_LIQUIDATION_ID, Catalogue, CopySpec

__all__ = [
    "MAX_LIQUIDATION_ID",
    "Advice",
    "Catalogue",
    "Chunk",
    "Comparison",
    "Copy",
    "CopySpec",
    "Count",
    "Counted",
    "Counts",
    "Digest",
    "Entry",
    "Fingerprint",
    "Limits",
    "Plan",
    "Preview",
    "Proof",
    "TableName",
    "cores",
    "is_known",
    "preview",
    "search",
]

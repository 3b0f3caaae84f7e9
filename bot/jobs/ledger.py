"""The ledger: a chunk's line, the job's counters and its lease, in the chunk's own transaction.

At the end the proof adds the digests of both sides to each line: together they are the receipt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from sqlalchemy import BigInteger, Connection, Integer, Text, column, update, values
from sqlalchemy.dialects.postgresql import insert

from bot.jobs.lifecycle import Claim, Lifecycle
from bot.jobs.models import CopyChunk, CopyJob
from bot.jobs.wishes import Orders
from copier import Chunk, Comparison

#: So often the proof's progress is written.
SETTLE_SECONDS = 0.5


class Ledger:
    """Records the chunks of one attempt. Hand `record` to the copy.

    ``told`` gets what is wanted of the job, at each chunk.
    """

    def __init__(
        self, lifecycle: Lifecycle, claim: Claim, told: Callable[[Orders], None] = lambda orders: None
    ) -> None:
        self._lifecycle = lifecycle
        self._claim = claim
        self._told = told
        self._gathered: list[Comparison] = []
        self._due = 0.0

    def record(self, connection: Connection, chunk: Chunk) -> None:
        """Writes the chunk's line and moves the counters; commits with the rows or not at all.

        Raises:
            StaleAttempt: another worker holds the job; the chunk is rolled back.
        """
        orders = self._lifecycle.step(
            connection,
            self._claim,
            copied_records=CopyJob.copied_records + chunk.rows,
            chunks_done=CopyJob.chunks_done + 1,
            inserted_records=CopyJob.inserted_records + chunk.counts.inserted,
            updated_records=CopyJob.updated_records + chunk.counts.updated,
            deleted_records=CopyJob.deleted_records + chunk.counts.deleted,
            unchanged_records=CopyJob.unchanged_records + chunk.counts.unchanged,
            moved_records=CopyJob.moved_records + chunk.moved,
            copied_bytes=CopyJob.copied_bytes + chunk.bytes,
            # Only new ground ends a row of failures: what was in place before proves nothing.
            **({} if chunk.outcome == "unchanged" else {"failures": 0, "error": None}),
        )
        connection.execute(
            insert(CopyChunk).values(
                job_id=self._claim.job_id,
                attempt=self._claim.attempt,
                number=chunk.range.number,
                lower_key=list(chunk.range.lower) if chunk.range.lower else None,
                upper_key=list(chunk.range.upper) if chunk.range.upper else None,
                outcome=chunk.outcome,
                records=chunk.rows,
                inserted_records=chunk.counts.inserted,
                updated_records=chunk.counts.updated,
                deleted_records=chunk.counts.deleted,
                unchanged_records=chunk.counts.unchanged,
                moved_records=chunk.moved,
                bytes=chunk.bytes,
                seconds=chunk.seconds,
            )
        )
        sys.audit("traspaso.chunk_recorded", self._claim.job_id, self._claim.attempt, chunk.range.number)
        self._told(orders)

    def compared(self, comparison: Comparison) -> None:
        """Both digests of a range are known. They are written with others, so that the proof isn't held up.

        Raises:
            StaleAttempt: another worker holds the job.
        """
        self._gathered.append(comparison)
        if time.monotonic() >= self._due:
            self.settle()

    def settle(self) -> None:
        """Adds the digests of both sides to the lines of their ranges, and the rows to the job's counter.

        Raises:
            StaleAttempt: another worker holds the job.
        """
        if not self._gathered:
            return
        found = values(
            column("number", Integer),
            column("rows", BigInteger),
            column("ours", Text),
            column("theirs", Text),
            name="found",
        ).data(
            [
                (each.range.number, each.target.rows, each.source.hex, each.target.hex)
                for each in self._gathered
            ]
        )
        with self._lifecycle.transaction(self._claim) as connection:
            orders = self._lifecycle.step(
                connection,
                self._claim,
                verified_records=CopyJob.verified_records + sum(each.source.rows for each in self._gathered),
            )
            connection.execute(
                update(CopyChunk)
                .where(
                    CopyChunk.job_id == self._claim.job_id,
                    CopyChunk.attempt == self._claim.attempt,
                    CopyChunk.number == found.c.number,
                )
                .values(
                    target_records=found.c.rows,
                    source_digest=found.c.ours,
                    target_digest=found.c.theirs,
                )
            )
        self._gathered.clear()
        self._due = time.monotonic() + SETTLE_SECONDS
        self._told(orders)

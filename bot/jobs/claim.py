"""A job in a worker's hands: its fencing token, what it is bound to, and the name of its sessions."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.engine import Row
from sqlalchemy.exc import DBAPIError

from bot.jobs.limits import transaction
from bot.jobs.models import CopyJob, Installation
from bot.jobs.statuses import Approval
from bot.jobs.terms import AgreedCounts
from copier import CopySpec, Fingerprint
from copier.errors import Side

log = logging.getLogger(__name__)

#: How long sessions that were told to end are waited for, in seconds.
END_SECONDS = 1.0
NOT_ALLOWED = "42501"
_LEFT = text(
    "SELECT pid, usename, application_name, coalesce(xact_start, backend_start) AS since "
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND application_name LIKE :earlier AND application_name <> :own ORDER BY pid"
)
_END = text("SELECT pg_terminate_backend(:pid)")
_ANEW = text("SELECT pg_stat_clear_snapshot()")

#: What an UPDATE that claims a job has to return.
CLAIMED: tuple[Any, ...] = (
    CopyJob.id,
    CopyJob.attempt,
    CopyJob.copy_name,
    CopyJob.liquidation_id,
    CopyJob.source_table,
    CopyJob.target_table,
    CopyJob.fingerprint,
    CopyJob.previewed_records,
    CopyJob.previewed_target_records,
    CopyJob.removal_confirmed,
    CopyJob.approval,
    CopyJob.channel_id,
    select(Installation.id).scalar_subquery().label("installation"),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in the hands of this worker. ``attempt`` is the fencing token.

    ``terms`` and ``fingerprint`` are what was pressed for; ``approved`` says that a second person agreed, and
    ``channel_id`` where one could be asked.
    """

    job_id: int
    attempt: int
    copy_name: str
    liquidation_id: int
    source_table: str
    target_table: str
    fingerprint: Fingerprint | None
    terms: AgreedCounts
    approved: bool
    channel_id: str | None
    installation: str

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From a row of `CLAIMED`."""
        return cls(
            job_id=row.id,
            attempt=row.attempt,
            copy_name=row.copy_name,
            liquidation_id=row.liquidation_id,
            source_table=row.source_table,
            target_table=row.target_table,
            fingerprint=Fingerprint.from_json(row.fingerprint) if row.fingerprint else None,
            terms=AgreedCounts(row.previewed_records, row.previewed_target_records, row.removal_confirmed),
            approved=row.approval == Approval.APPROVED,
            channel_id=row.channel_id,
            installation=row.installation,
        )

    @property
    def label(self) -> str:
        """What the databases' activity views show for this attempt."""
        return f"{self.label_of_all}/{self.attempt}"

    @property
    def label_of_all(self) -> str:
        """With which the labels of all attempts of this job begin, and those of no other installation."""
        return f"traspaso {self.installation} job {self.job_id}"

    def configured_otherwise(self, spec: CopySpec) -> list[str]:
        """What a configuration alone tells to be another copy than the one asked for, a line each."""
        tables = Fingerprint(self.source_table, self.target_table, spec.liquidation_column, spec.key)
        recorded = self.fingerprint or tables
        return recorded.differences(recorded.configured(spec))

    def made_otherwise(self, now: Fingerprint) -> list[str]:
        """The same, once both tables have been looked at."""
        return self.fingerprint.differences(now) if self.fingerprint else []


def end_sessions_of_earlier_attempts(engine: Engine, side: Side, claim: Claim) -> None:
    """Those that hang in the middle of something hold locks in consulta, and vacuum back in prod.

    Only in this database, and of this installation: others have jobs of the same number. One that can't be
    ended is named in the log, for somebody who may.
    """
    with transaction(engine, claim.label) as connection:
        left = _end(connection, claim)
        until = time.monotonic() + END_SECONDS
        while left and time.monotonic() < until:
            time.sleep(END_SECONDS / 10)
            left = _left(connection, claim)
    for session in left:
        log.warning(
            "%s: session %s of an earlier attempt (%s, user %s, since %s) can't be ended from here; "
            "whoever may there: SELECT pg_terminate_backend(%s)",
            side,
            session.pid,
            session.application_name,
            session.usename,
            session.since,
            session.pid,
        )


def _end(connection: Connection, claim: Claim) -> Sequence[Row[Any]]:
    """Those that are still there after each of them was told to end."""
    left = _left(connection, claim)
    for session in left:
        try:
            with connection.begin_nested():
                connection.execute(_END, {"pid": session.pid})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
                raise
    return _left(connection, claim) if left else left


def _left(connection: Connection, claim: Claim) -> Sequence[Row[Any]]:
    # Within a transaction the view shows what it has shown before.
    connection.execute(_ANEW)
    return connection.execute(_LEFT, {"earlier": f"{claim.label_of_all}/%", "own": claim.label}).all()

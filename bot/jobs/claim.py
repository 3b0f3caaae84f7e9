"""A job in a worker's hands: its fencing token, and the name under which databases show its sessions."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in the hands of this worker. ``attempt`` is the fencing token.

    ``retried_at`` is the attempt after which somebody pressed *Retry*; 0 where nobody did.
    """

    job_id: int
    attempt: int
    copy_name: str
    liquidation_id: int
    retried_at: int = 0

    @property
    def tries(self) -> int:
        """Attempts since the request, or since somebody asked for a new row of them."""
        return self.attempt - self.retried_at

    @property
    def label(self) -> str:
        """What the databases' activity views show for this attempt."""
        return f"{label_of(self.job_id)}/{self.attempt}"


def label_of(job_id: int) -> str:
    return f"traspaso job {job_id}"


def end_sessions_of_earlier_attempts(engine: Engine, claim: Claim) -> None:
    """A worker that hangs in the middle of a chunk would hold its rows' locks: end its session."""
    statement = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE usename = current_user AND pid <> pg_backend_pid() "
        "AND application_name LIKE :earlier AND application_name <> :own"
    )
    with engine.begin() as connection:
        connection.execute(statement, {"earlier": f"{label_of(claim.job_id)}/%", "own": claim.label})

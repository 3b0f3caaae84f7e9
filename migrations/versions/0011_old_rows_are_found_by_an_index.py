"""Old rows are found by an index, and a job keeps what its messages still say of pruned events"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"

INDEXES = {
    "copy_chunks_created_at_idx": "copy_chunks (created_at)",
    "copy_events_created_at_idx": "copy_events (created_at)",
    "outbox_done_at_idx": "outbox (done_at) WHERE done_at IS NOT NULL",
    "copy_jobs_finished_at_idx": "copy_jobs (finished_at) WHERE finished_at IS NOT NULL",
    # Whoever deletes a worker's row looks for the jobs that name it.
    "copy_jobs_worker_id_idx": "copy_jobs (worker_id) WHERE worker_id IS NOT NULL",
}
# No counter is in its condition any more: a row whose indexed columns all stay is updated within its page,
# and no index is written.
RATE = "(copy_name, id) WHERE status = 'completed'"
RATE_BEFORE = f"{RATE} AND total_records > 0 AND inserted_records + updated_records > 0"


def upgrade() -> None:
    op.add_column(
        "copy_jobs",
        sa.Column("kept", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        schema="traspaso",
    )
    op.add_column(
        "installation", sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True), schema="traspaso"
    )
    op.execute("DROP INDEX traspaso.copy_jobs_rate_idx")
    op.execute(f"CREATE INDEX copy_jobs_rate_idx ON traspaso.copy_jobs {RATE}")
    for name, what in INDEXES.items():
        table, _, rest = what.partition(" ")
        op.execute(f"CREATE INDEX {name} ON traspaso.{table} {rest}")


def downgrade() -> None:
    op.execute("DROP INDEX traspaso.copy_jobs_rate_idx")
    op.execute(f"CREATE INDEX copy_jobs_rate_idx ON traspaso.copy_jobs {RATE_BEFORE}")
    for name in INDEXES:
        op.execute(f"DROP INDEX traspaso.{name}")
    op.drop_column("installation", "pruned_at", schema="traspaso")
    op.drop_column("copy_jobs", "kept", schema="traspaso")

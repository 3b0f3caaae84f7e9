"""What people look up often is found by an index, however many jobs there have been"""

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"

INDEXES = {
    "users_slack_user_id_idx": "users (slack_user_id)",
    "copy_jobs_user_id_idx": "copy_jobs (user_id, id)",
    "copy_jobs_liquidation_id_idx": "copy_jobs (liquidation_id, id)",
    "copy_jobs_completed_idx": (
        "copy_jobs (target_table, liquidation_id, finished_at) WHERE status = 'completed'"
    ),
    "copy_jobs_rate_idx": (
        "copy_jobs (copy_name, id) WHERE status = 'completed' AND total_records > 0 "
        "AND inserted_records + updated_records > 0"
    ),
}


def upgrade() -> None:
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON traspaso.{what}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX traspaso.{name}")

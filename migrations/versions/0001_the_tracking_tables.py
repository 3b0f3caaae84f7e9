"""The tracking tables"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("slack_team_id", sa.Text(), nullable=False),
        sa.Column("slack_user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pkey")),
        sa.UniqueConstraint(
            "slack_team_id", "slack_user_id", name=op.f("users_slack_team_id_slack_user_id_key")
        ),
        schema="traspaso",
    )
    op.create_table(
        "copy_jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("source_table", sa.Text(), nullable=False),
        sa.Column("target_table", sa.Text(), nullable=False),
        sa.Column("liquidation_id", sa.BigInteger(), nullable=False),
        sa.Column("total_records", sa.BigInteger(), nullable=True),
        sa.Column("copied_records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("copy_name", sa.Text(), nullable=False),
        sa.Column("liquidation_label", sa.Text(), nullable=True),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_after", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("phase", sa.Text(), nullable=True),
        sa.Column("throttle", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("copying_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verifying_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("chunks_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("inserted_records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deleted_records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unchanged_records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("moved_records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("verified_records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("copied_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("target_records", sa.BigInteger(), nullable=True),
        sa.Column("source_digest", sa.Text(), nullable=True),
        sa.Column("target_digest", sa.Text(), nullable=True),
        sa.Column("error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("channel_id", sa.Text(), nullable=True),
        sa.Column("message_ts", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "phase IN ('counting', 'copying', 'verifying')", name=op.f("copy_jobs_phase_check")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'paused', 'completed', 'failed', 'cancelled')",
            name=op.f("copy_jobs_status_check"),
        ),
        sa.CheckConstraint("liquidation_id > 0", name=op.f("copy_jobs_liquidation_id_check")),
        sa.ForeignKeyConstraint(["user_id"], ["traspaso.users.id"], name=op.f("copy_jobs_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("copy_jobs_pkey")),
        sa.UniqueConstraint("request_key", name=op.f("copy_jobs_request_key_key")),
        schema="traspaso",
    )
    op.create_index(
        "copy_jobs_one_live_job",
        "copy_jobs",
        ["target_table", "liquidation_id"],
        unique=True,
        schema="traspaso",
        postgresql_where=sa.text("status IN ('pending', 'running', 'paused')"),
    )
    op.create_index("copy_jobs_status_idx", "copy_jobs", ["status", "id"], unique=False, schema="traspaso")
    op.create_table(
        "copy_chunks",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("lower_key", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("upper_key", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("inserted_records", sa.BigInteger(), nullable=False),
        sa.Column("updated_records", sa.BigInteger(), nullable=False),
        sa.Column("deleted_records", sa.BigInteger(), nullable=False),
        sa.Column("unchanged_records", sa.BigInteger(), nullable=False),
        sa.Column("moved_records", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("target_records", sa.BigInteger(), nullable=True),
        sa.Column("source_digest", sa.Text(), nullable=True),
        sa.Column("target_digest", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["traspaso.copy_jobs.id"], name=op.f("copy_chunks_job_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "attempt", "number", name=op.f("copy_chunks_pkey")),
        schema="traspaso",
    )
    op.create_table(
        "copy_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["traspaso.copy_jobs.id"], name=op.f("copy_events_job_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["traspaso.users.id"], name=op.f("copy_events_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("copy_events_pkey")),
        schema="traspaso",
    )
    op.create_index(
        "copy_events_job_id_idx", "copy_events", ["job_id", "id"], unique=False, schema="traspaso"
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["traspaso.copy_jobs.id"], name=op.f("outbox_job_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("outbox_pkey")),
        sa.UniqueConstraint("job_id", "kind", "attempt", name=op.f("outbox_job_id_kind_attempt_key")),
        schema="traspaso",
    )
    op.create_index(
        "outbox_due_idx",
        "outbox",
        ["next_try_at"],
        unique=False,
        schema="traspaso",
        postgresql_where=sa.text("done_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "outbox_due_idx", table_name="outbox", schema="traspaso", postgresql_where=sa.text("done_at IS NULL")
    )
    op.drop_table("outbox", schema="traspaso")
    op.drop_index("copy_events_job_id_idx", table_name="copy_events", schema="traspaso")
    op.drop_table("copy_events", schema="traspaso")
    op.drop_table("copy_chunks", schema="traspaso")
    op.drop_index("copy_jobs_status_idx", table_name="copy_jobs", schema="traspaso")
    op.drop_index(
        "copy_jobs_one_live_job",
        table_name="copy_jobs",
        schema="traspaso",
        postgresql_where=sa.text("status IN ('pending', 'running', 'paused')"),
    )
    op.drop_table("copy_jobs", schema="traspaso")
    op.drop_table("users", schema="traspaso")

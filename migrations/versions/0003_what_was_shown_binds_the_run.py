"""What was shown binds the run; an installation knows its own sessions"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    for added in (
        sa.Column("previewed_target_records", sa.BigInteger(), nullable=True),
        sa.Column("removal_confirmed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("fingerprint", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("question", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    ):
        op.add_column("copy_jobs", added, schema="traspaso")
    op.create_check_constraint(
        op.f("copy_jobs_question_check"),
        "copy_jobs",
        "question IS NULL OR status IN ('pending', 'cancelled')",
        schema="traspaso",
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("is_the_one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("is_the_one", name=op.f("installation_is_the_one_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("installation_pkey")),
        sa.UniqueConstraint("is_the_one", name=op.f("installation_is_the_one_key")),
        schema="traspaso",
    )
    op.execute(
        "INSERT INTO traspaso.installation (id) VALUES (left(replace(gen_random_uuid()::text, '-', ''), 8))"
    )


def downgrade() -> None:
    op.drop_table("installation", schema="traspaso")
    # A job that asks waits for an answer that the older release can't take.
    op.execute("DELETE FROM traspaso.outbox WHERE kind = 'question'")
    op.execute("""
        WITH ended AS (
          UPDATE traspaso.copy_jobs SET status = 'cancelled', finished_at = now(), updated_at = now()
           WHERE status = 'pending' AND question IS NOT NULL RETURNING id, attempt, channel_id),
        told AS (
          INSERT INTO traspaso.outbox (job_id, attempt, kind)
          SELECT id, attempt, 'ending' FROM ended WHERE channel_id IS NOT NULL
              ON CONFLICT (job_id, kind, attempt) DO UPDATE SET done_at = NULL, next_try_at = now())
        INSERT INTO traspaso.copy_events (job_id, attempt, kind) SELECT id, attempt, 'cancelled' FROM ended
    """)
    for column in ("previewed_target_records", "removal_confirmed", "fingerprint", "question"):
        op.drop_column("copy_jobs", column, schema="traspaso")

"""Who else is told, and of what: other destinations than Slack, followers of a job, reasons, reminders

The release before takes no kind of message that it doesn't know, and none that goes to a destination.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0008"
down_revision: str | None = "0007"

SCHEMA = "traspaso"
OUTBOX = ("occasion", "destination")
REASONS = ("request_reason", "approval_reason")
#: What the release before doesn't deliver.
KINDS = ["approved", "tell", "reminder", "last_reminder", "second_group"]
MOMENTS = ("approval_asked_at", "second_group_at")


def upgrade() -> None:
    op.alter_column("outbox", "job_id", existing_type=sa.BigInteger(), nullable=True, schema=SCHEMA)
    for name in OUTBOX:
        op.add_column("outbox", sa.Column(name, sa.Text(), nullable=True), schema=SCHEMA)
    op.add_column(
        "outbox",
        sa.Column("detail", JSONB(none_as_null=True), nullable=True),
        schema=SCHEMA,
    )
    op.create_index(
        "outbox_once_without_job",
        "outbox",
        ["kind"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("job_id IS NULL"),
    )
    for name in REASONS:
        op.add_column("copy_jobs", sa.Column(name, sa.Text(), nullable=True), schema=SCHEMA)
    for name in MOMENTS:
        op.add_column("copy_jobs", sa.Column(name, sa.DateTime(timezone=True), nullable=True), schema=SCHEMA)
    op.create_table(
        "job_followers",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "user_id", name="job_followers_pkey"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["traspaso.copy_jobs.id"], name="job_followers_job_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["traspaso.users.id"], name="job_followers_user_id_fkey"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("job_followers", schema=SCHEMA)
    for name in (*MOMENTS, *REASONS):
        op.drop_column("copy_jobs", name, schema=SCHEMA)
    op.execute("DELETE FROM traspaso.outbox WHERE job_id IS NULL OR occasion IS NOT NULL")
    op.execute(
        sa.text("DELETE FROM traspaso.outbox WHERE split_part(kind, ':', 1) = ANY(:kinds)").bindparams(
            sa.bindparam("kinds", KINDS, sa.ARRAY(sa.Text()))
        )
    )
    op.drop_index("outbox_once_without_job", "outbox", schema=SCHEMA)
    for name in ("detail", *OUTBOX):
        op.drop_column("outbox", name, schema=SCHEMA)
    op.alter_column("outbox", "job_id", existing_type=sa.BigInteger(), nullable=False, schema=SCHEMA)

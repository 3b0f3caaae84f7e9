"""What is owed to Slack is counted apart from its tries; workers say that they live"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"

# Only columns and a table are added, with defaults: processes of the release before go on working beside
# those of this one while it is rolled out.
OUTBOX: tuple[sa.Column[Any], ...] = (
    sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False),
    sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
    sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
    sa.Column("begun", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    sa.Column(
        "announced_at",
        sa.DateTime(timezone=True),
        server_default=sa.text("clock_timestamp()"),
        nullable=False,
    ),
    sa.Column("channel_id", sa.Text(), nullable=True),
    sa.Column("message_ts", sa.Text(), nullable=True),
)


def upgrade() -> None:
    for added in OUTBOX:
        op.add_column("outbox", added, schema="traspaso")
    # What was begun by the release before and isn't done may have arrived.
    op.execute("UPDATE traspaso.outbox SET begun = tries > 0 WHERE done_at IS NULL")
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("process", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("takes_jobs", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("workers_pkey")),
        schema="traspaso",
    )
    op.create_index("workers_beat_at_idx", "workers", ["beat_at"], schema="traspaso")
    op.add_column("copy_jobs", sa.Column("pinned", sa.Boolean(), nullable=True), schema="traspaso")
    op.add_column("copy_jobs", sa.Column("worker_id", sa.BigInteger(), nullable=True), schema="traspaso")
    op.create_foreign_key(
        op.f("copy_jobs_worker_id_fkey"),
        "copy_jobs",
        "workers",
        ["worker_id"],
        ["id"],
        source_schema="traspaso",
        referent_schema="traspaso",
        ondelete="SET NULL",
    )
    op.add_column(
        "installation",
        sa.Column("workers_missing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="traspaso",
    )


def downgrade() -> None:
    op.drop_column("installation", "workers_missing", schema="traspaso")
    op.drop_constraint(op.f("copy_jobs_worker_id_fkey"), "copy_jobs", schema="traspaso")
    op.drop_column("copy_jobs", "worker_id", schema="traspaso")
    op.drop_column("copy_jobs", "pinned", schema="traspaso")
    op.drop_table("workers", schema="traspaso")
    # The older release knows no message of these kinds.
    op.execute("DELETE FROM traspaso.outbox WHERE kind IN ('refresh', 'pin', 'left', 'doubles')")
    for added in OUTBOX:
        op.drop_column("outbox", added.name, schema="traspaso")

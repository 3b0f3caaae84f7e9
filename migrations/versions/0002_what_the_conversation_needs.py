"""Pause and cancel, four eyes, retry, and the freeze"""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    for added in (
        sa.Column("previewed_records", sa.BigInteger(), nullable=True),
        sa.Column("approval", sa.Text(), nullable=True),
        sa.Column("approval_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approval_by", sa.BigInteger(), nullable=True),
        sa.Column("approval_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_requested", sa.Text(), nullable=True),
        sa.Column("stopped_by", sa.BigInteger(), nullable=True),
        sa.Column("retried_at_attempt", sa.Integer(), server_default="0", nullable=False),
    ):
        op.add_column("copy_jobs", added, schema="traspaso")
    for column in ("approval_by", "stopped_by"):
        op.create_foreign_key(
            op.f(f"copy_jobs_{column}_fkey"),
            "copy_jobs",
            "users",
            [column],
            ["id"],
            source_schema="traspaso",
            referent_schema="traspaso",
        )
    for column, values in (
        ("approval", "'waiting', 'approved', 'rejected', 'expired'"),
        ("stop_requested", "'pause', 'cancel'"),
    ):
        op.create_check_constraint(
            op.f(f"copy_jobs_{column}_check"), "copy_jobs", f"{column} IN ({values})", schema="traspaso"
        )
    op.create_table(
        "copy_freezes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("frozen_by", sa.BigInteger(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lifted_by", sa.BigInteger(), nullable=True),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["frozen_by"], ["traspaso.users.id"], name=op.f("copy_freezes_frozen_by_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["lifted_by"], ["traspaso.users.id"], name=op.f("copy_freezes_lifted_by_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("copy_freezes_pkey")),
        schema="traspaso",
    )
    op.create_index(
        "copy_freezes_one_active",
        "copy_freezes",
        [sa.text("(lifted_at IS NULL)")],
        unique=True,
        schema="traspaso",
        postgresql_where=sa.text("lifted_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("copy_freezes", schema="traspaso")
    for column in (
        "previewed_records",
        "approval",
        "approval_until",
        "approval_by",
        "approval_at",
        "stop_requested",
        "stopped_by",
        "retried_at_attempt",
    ):
        op.drop_column("copy_jobs", column, schema="traspaso")

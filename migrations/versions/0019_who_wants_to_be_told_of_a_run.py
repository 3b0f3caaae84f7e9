"""Who wants a direct message when a run ends, and why a schedule copies a set"""

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"

SCHEMA = "traspaso"


def upgrade() -> None:
    op.create_table(
        "run_followers",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "user_id", name="run_followers_pkey"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["traspaso.copy_runs.id"], name="run_followers_run_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["traspaso.users.id"], name="run_followers_user_id_fkey"),
        schema=SCHEMA,
    )
    op.add_column("schedule_firings", sa.Column("set_name", sa.Text()), schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("schedule_firings", "set_name", schema=SCHEMA)
    op.drop_table("run_followers", schema=SCHEMA)

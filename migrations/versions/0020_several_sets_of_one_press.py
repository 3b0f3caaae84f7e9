"""Sets of several liquidations in one run: a worker of an earlier release can't take them as one set"""

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"

SCHEMA = "traspaso"


def upgrade() -> None:
    # A worker takes a set in one transaction, so all of its jobs are claimed at one moment. Two jobs of the
    # same table among them would be of two liquidations.
    op.create_index(
        "copy_jobs_one_set_at_once",
        "copy_jobs",
        ["run_id", "target_table", "worker_id", "claimed_at"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("run_id IS NOT NULL AND status = 'running'"),
    )


def downgrade() -> None:
    op.drop_index("copy_jobs_one_set_at_once", table_name="copy_jobs", schema=SCHEMA)

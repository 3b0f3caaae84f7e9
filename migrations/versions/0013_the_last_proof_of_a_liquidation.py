"""The last proof of each liquidation is kept, so that a later copy can tell by row versions what changed"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0013"
down_revision: str | None = "0012"

SCHEMA = "traspaso"


def upgrade() -> None:
    op.create_table(
        "proofs",
        sa.Column("source_table", sa.Text(), primary_key=True),
        sa.Column("target_table", sa.Text(), primary_key=True),
        sa.Column("liquidation_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("values_job_id", sa.BigInteger(), nullable=False),
        sa.Column("values_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("baseline", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], [f"{SCHEMA}.copy_jobs.id"], ondelete="CASCADE"),
        schema=SCHEMA,
    )
    op.create_index("proofs_job_id_idx", "proofs", ["job_id"], schema=SCHEMA)
    op.add_column("copy_jobs", sa.Column("values_job_id", sa.BigInteger()), schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("copy_jobs", "values_job_id", schema=SCHEMA)
    op.drop_table("proofs", schema=SCHEMA)

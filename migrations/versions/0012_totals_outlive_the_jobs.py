"""What all jobs have done together is kept apart from them, so that it stays when they are deleted"""

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"

SCHEMA = "traspaso"

#: What the jobs so far have done. Earlier attempts of a job have left no counters.
SO_FAR = """
    INSERT INTO traspaso.totals (copy_name, name, label, value, at)
    SELECT copy_name, 'ended', status, count(*), max(finished_at) FROM traspaso.copy_jobs
     WHERE status IN ('completed', 'failed', 'cancelled') GROUP BY copy_name, status
     UNION ALL
    SELECT copy_name, 'failures', coalesce(error->>'code', 'unknown'), count(*), max(finished_at)
      FROM traspaso.copy_jobs WHERE status = 'failed' GROUP BY 1, 3
     UNION ALL
    SELECT copy_name, name, label, sum(value), max(at)
      FROM traspaso.copy_jobs,
           LATERAL (VALUES ('rows', 'inserted', inserted_records), ('rows', 'updated', updated_records),
                           ('rows', 'deleted', deleted_records), ('rows', 'unchanged', unchanged_records),
                           ('bytes', '', copied_bytes)) AS counted (name, label, value),
           LATERAL (SELECT coalesce(finished_at, updated_at)) AS moment (at)
     WHERE status <> 'running' GROUP BY copy_name, name, label HAVING sum(value) > 0
"""


def upgrade() -> None:
    op.create_table(
        "totals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("copy_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name="totals_pkey"),
        schema=SCHEMA,
    )
    op.execute(SO_FAR)


def downgrade() -> None:
    op.drop_table("totals", schema=SCHEMA)

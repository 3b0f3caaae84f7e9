"""What the watch has seen of prod since each copy, and its rounds"""

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"

SCHEMA = "traspaso"
MOMENT = sa.DateTime(timezone=True)

_VIEW = """
    CREATE OR REPLACE VIEW traspaso.freshness AS
    SELECT f.target_table, f.liquidation_id, f.state,
           CASE WHEN f.is_proven THEN f.as_of END AS as_of,
           CASE WHEN f.is_proven THEN {equal} END AS known_equal_at,
           CASE WHEN f.is_proven THEN f.rows END AS rows,
           CASE WHEN f.is_proven THEN f.proven_job_id
                ELSE coalesce(f.running_job_id, f.unproven_job_id) END AS job_id
      FROM (
        SELECT s.*, j.id AS running_job_id,{equal_at}
               CASE WHEN j.id IS NOT NULL AND NOT (j.is_lost AND j.wrote) THEN 'being copied'
                    WHEN j.id IS NOT NULL OR s.unproven_job_id IS NOT NULL THEN 'incomplete'{moved}
                    ELSE 'complete' END AS state,
               j.id IS NULL AND s.unproven_job_id IS NULL AS is_proven
          FROM traspaso.standings s
          LEFT JOIN (
            SELECT id, target_table, liquidation_id, lease_until < now() AS is_lost,
                   inserted_records + updated_records + deleted_records + moved_records > 0 AS wrote
              FROM traspaso.copy_jobs WHERE status = 'running'
          ) j ON j.target_table = s.target_table AND j.liquidation_id = s.liquidation_id{drift}
         WHERE s.proven_job_id IS NOT NULL OR s.unproven_job_id IS NOT NULL OR j.id IS NOT NULL
      ) f
"""
#: As the migration before has it, and with what the watch knows of the proof that is there now.
WITHOUT = _VIEW.format(equal="f.as_of", equal_at="", moved="", drift="")
WITH = _VIEW.format(
    equal="greatest(f.as_of, f.equal_at)",
    equal_at=" d.equal_at,",
    moved="\n                    WHEN NOT d.equal THEN 'prod has moved on'",
    drift="""
          LEFT JOIN traspaso.drift d ON d.target_table = s.target_table
            AND d.liquidation_id = s.liquidation_id AND d.job_id = s.proven_job_id""",
)


def upgrade() -> None:
    op.create_table(
        "drift",
        sa.Column("liquidation_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("target_table", sa.Text(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("looked_at", MOMENT, nullable=False),
        sa.Column("known_at", MOMENT),
        sa.Column("equal", sa.Boolean()),
        sa.Column("equal_at", MOMENT),
        sa.Column("inserted_records", sa.BigInteger()),
        sa.Column("updated_records", sa.BigInteger()),
        sa.Column("deleted_records", sa.BigInteger()),
        sa.Column("told_at", MOMENT),
        sa.PrimaryKeyConstraint("liquidation_id", "target_table", name="drift_pkey"),
        schema=SCHEMA,
    )
    op.create_table(
        "watch_rounds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("began_at", MOMENT, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("claimed_until", MOMENT),
        sa.Column("looked", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("unknown", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("left_over", sa.Integer()),
        sa.Column("ended_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="watch_rounds_pkey"),
        sa.UniqueConstraint("due_at", name="watch_rounds_due_at_key"),
        schema=SCHEMA,
    )
    op.create_index(
        "watch_rounds_open_idx",
        "watch_rounds",
        ["due_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.execute(WITH)


def downgrade() -> None:
    op.execute(WITHOUT)
    op.drop_table("watch_rounds", schema=SCHEMA)
    op.drop_table("drift", schema=SCHEMA)

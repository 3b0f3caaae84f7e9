"""What consulta holds of each liquidation is kept apart from the jobs, and shown by a view for reports

A trigger keeps it, so that it is true whichever release ends a job, and in the same transaction.
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"

SCHEMA = "traspaso"

#: A job has its line from its first claim on. A proof says what is there. An attempt that has written
#: rows, or has found that both sides differ, and ends without a proof, leaves what nobody knows. Its counters
#: stay in the job's row until the next claim.
TRIGGER = """
    CREATE FUNCTION traspaso.keep_standing() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.status = 'completed' THEN
            INSERT INTO traspaso.standings AS s (liquidation_id, target_table, source_table, copy_name,
                                                 proven_job_id, proven_at, as_of, rows)
            VALUES (NEW.liquidation_id, NEW.target_table, NEW.source_table, NEW.copy_name,
                    NEW.id, NEW.finished_at, NEW.as_of, coalesce(NEW.target_records, NEW.total_records))
            ON CONFLICT (liquidation_id, target_table) DO UPDATE
               SET source_table = excluded.source_table, copy_name = excluded.copy_name,
                   proven_job_id = excluded.proven_job_id, proven_at = excluded.proven_at,
                   as_of = excluded.as_of, rows = excluded.rows, unproven_job_id = NULL;
        ELSIF NEW.status = 'running' THEN
            INSERT INTO traspaso.standings (liquidation_id, target_table)
            VALUES (NEW.liquidation_id, NEW.target_table) ON CONFLICT DO NOTHING;
        ELSIF OLD.status = 'running' AND (
            NEW.inserted_records + NEW.updated_records + NEW.deleted_records + NEW.moved_records > 0
            OR (NEW.status = 'failed' AND NEW.error->>'code' IN ('not_proven', 'altered_by_trigger'))
        ) THEN
            UPDATE traspaso.standings s SET unproven_job_id = NEW.id
             WHERE s.liquidation_id = NEW.liquidation_id AND s.target_table = NEW.target_table;
        END IF;
        RETURN NULL;
    END $$
"""

#: The jobs so far. What earlier attempts of a job have written is in the ledger.
PROVEN = """
    INSERT INTO traspaso.standings (liquidation_id, target_table, source_table, copy_name,
                                    proven_job_id, proven_at, as_of, rows)
    SELECT DISTINCT ON (liquidation_id, target_table) liquidation_id, target_table, source_table, copy_name,
           id, finished_at, as_of, coalesce(target_records, total_records)
      FROM traspaso.copy_jobs WHERE status = 'completed'
     ORDER BY liquidation_id, target_table, finished_at DESC
"""
UNPROVEN = """
    WITH written AS (
        SELECT j.id, j.liquidation_id, j.target_table,
               greatest(CASE WHEN j.inserted_records + j.updated_records + j.deleted_records
                                  + j.moved_records > 0 THEN j.claimed_at END,
                        CASE WHEN j.error->>'code' IN ('not_proven', 'altered_by_trigger')
                             THEN j.finished_at END,
                        (SELECT max(c.created_at) FROM traspaso.copy_chunks c
                          WHERE c.job_id = j.id AND c.inserted_records + c.updated_records
                                + c.deleted_records + c.moved_records > 0)) AS at
          FROM traspaso.copy_jobs j WHERE j.status <> 'completed'
    ), newest AS (
        SELECT DISTINCT ON (w.liquidation_id, w.target_table) w.*
          FROM written w LEFT JOIN traspaso.standings s USING (liquidation_id, target_table)
         WHERE w.at > coalesce(s.proven_at, '-infinity')
         ORDER BY w.liquidation_id, w.target_table, w.at DESC
    )
    INSERT INTO traspaso.standings (liquidation_id, target_table, unproven_job_id)
    SELECT liquidation_id, target_table, id FROM newest
    ON CONFLICT (liquidation_id, target_table) DO UPDATE SET unproven_job_id = excluded.unproven_job_id
"""
UNDER_WAY = """
    INSERT INTO traspaso.standings (liquidation_id, target_table)
    SELECT liquidation_id, target_table FROM traspaso.copy_jobs WHERE status = 'running'
    ON CONFLICT DO NOTHING
"""

#: One line for each target table and liquidation that a job has written, or has in hand.
VIEW = """
    CREATE VIEW traspaso.freshness AS
    SELECT f.target_table, f.liquidation_id, f.state,
           CASE WHEN f.is_proven THEN f.as_of END AS as_of,
           CASE WHEN f.is_proven THEN f.as_of END AS known_equal_at,
           CASE WHEN f.is_proven THEN f.rows END AS rows,
           CASE WHEN f.is_proven THEN f.proven_job_id
                ELSE coalesce(f.running_job_id, f.unproven_job_id) END AS job_id
      FROM (
        SELECT s.*, j.id AS running_job_id,
               CASE WHEN j.id IS NOT NULL AND NOT (j.is_lost AND j.wrote) THEN 'being copied'
                    WHEN j.id IS NOT NULL OR s.unproven_job_id IS NOT NULL THEN 'incomplete'
                    ELSE 'complete' END AS state,
               j.id IS NULL AND s.unproven_job_id IS NULL AS is_proven
          FROM traspaso.standings s
          LEFT JOIN (
            SELECT id, target_table, liquidation_id, lease_until < now() AS is_lost,
                   inserted_records + updated_records + deleted_records + moved_records > 0 AS wrote
              FROM traspaso.copy_jobs WHERE status = 'running'
          ) j ON j.target_table = s.target_table AND j.liquidation_id = s.liquidation_id
         WHERE s.proven_job_id IS NOT NULL OR s.unproven_job_id IS NOT NULL OR j.id IS NOT NULL
      ) f
"""


def upgrade() -> None:
    op.create_table(
        "standings",
        sa.Column("liquidation_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("target_table", sa.Text(), nullable=False),
        sa.Column("source_table", sa.Text()),
        sa.Column("copy_name", sa.Text()),
        sa.Column("proven_job_id", sa.BigInteger()),
        sa.Column("proven_at", sa.DateTime(timezone=True)),
        sa.Column("as_of", sa.DateTime(timezone=True)),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("unproven_job_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("liquidation_id", "target_table", name="standings_pkey"),
        schema=SCHEMA,
    )
    op.execute(TRIGGER)
    op.execute(
        "CREATE TRIGGER copy_jobs_keep_standing AFTER UPDATE OF status ON traspaso.copy_jobs "
        "FOR EACH ROW EXECUTE FUNCTION traspaso.keep_standing()"
    )
    for statement in (PROVEN, UNPROVEN, UNDER_WAY, VIEW):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP VIEW traspaso.freshness")
    op.execute("DROP TRIGGER copy_jobs_keep_standing ON traspaso.copy_jobs")
    op.execute("DROP FUNCTION traspaso.keep_standing()")
    op.drop_table("standings", schema=SCHEMA)

"""The columns that each copy carried last are kept, so that one that came since isn't copied by itself"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: str = "0017"
down_revision: str | None = "0016"

SCHEMA = "traspaso"


def upgrade() -> None:
    op.create_table(
        "known_columns",
        sa.Column("source_table", sa.Text(), primary_key=True),
        sa.Column("target_table", sa.Text(), primary_key=True),
        sa.Column("names", ARRAY(sa.Text()), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        schema=SCHEMA,
    )
    # What was copied before is known: the columns of the newest completed job of each pair of tables.
    op.execute("""
        INSERT INTO traspaso.known_columns (source_table, target_table, names, job_id)
        SELECT DISTINCT ON (source_table, target_table) source_table, target_table,
               ARRAY(SELECT name FROM jsonb_array_elements_text(fingerprint -> 'columns') AS name
                      WHERE NOT jsonb_exists(coalesce(fingerprint -> 'rules', '{}'), name)), id
          FROM traspaso.copy_jobs
         WHERE status = 'completed' AND jsonb_typeof(fingerprint -> 'columns') = 'array'
         ORDER BY source_table, target_table, id DESC
    """)


def downgrade() -> None:
    op.drop_table("known_columns", schema=SCHEMA)

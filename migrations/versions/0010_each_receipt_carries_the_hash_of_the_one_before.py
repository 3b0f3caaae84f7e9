"""Each job that ends leaves a receipt with the hash of the one before

No receipt refers to a job: it stays when the job's row is removed. A release before this one ends jobs
without a receipt; the chain goes on behind them.
"""

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE traspaso.receipts (
            number bigint PRIMARY KEY CHECK (number > 0),
            job_id bigint NOT NULL,
            attempt integer NOT NULL,
            at timestamptz NOT NULL,
            receipt jsonb NOT NULL,
            previous_hash text NOT NULL UNIQUE,
            hash text NOT NULL UNIQUE,
            CONSTRAINT hashes CHECK (hash ~ '^[0-9a-f]{64}$' AND previous_hash ~ '^[0-9a-f]{64}$')
        )
    """)
    op.execute("CREATE INDEX receipts_job_id_idx ON traspaso.receipts (job_id, number)")
    op.execute("CREATE INDEX receipts_at_idx ON traspaso.receipts (at)")


def downgrade() -> None:
    op.execute("DROP TABLE traspaso.receipts")

"""Several jobs that one press asked for share a card and a reply"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0016"
down_revision: str | None = "0015"

SCHEMA = "traspaso"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "copy_runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("set_name", sa.Text()),
        sa.Column("liquidations", ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("request_key", sa.Text()),
        sa.Column("round", sa.Integer(), server_default="0", nullable=False),
        sa.Column("channel_id", sa.Text()),
        sa.Column("message_ts", sa.Text()),
        sa.Column("pinned", sa.Boolean()),
        sa.Column("moved", JSONB()),
        sa.Column("created_at", moment, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", moment, server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", moment),
        sa.PrimaryKeyConstraint("id", name="copy_runs_pkey"),
        sa.ForeignKeyConstraint(["user_id"], [f"{SCHEMA}.users.id"], name="copy_runs_user_id_fkey"),
        sa.UniqueConstraint("request_key", name="copy_runs_request_key_key"),
        sa.CheckConstraint("kind IN ('several', 'set')", name="copy_runs_kind_check"),
        sa.CheckConstraint("(kind = 'set') = (set_name IS NOT NULL)", name="copy_runs_set_name_check"),
        schema=SCHEMA,
    )
    op.create_index("copy_runs_user_id_idx", "copy_runs", ["user_id", "id"], schema=SCHEMA)
    op.create_index("copy_runs_ended_at_idx", "copy_runs", ["ended_at"], schema=SCHEMA)
    op.add_column("copy_jobs", sa.Column("run_id", sa.BigInteger()), schema=SCHEMA)
    op.add_column("copy_jobs", sa.Column("run_position", sa.Integer()), schema=SCHEMA)
    _refers_to_the_run("copy_jobs", "SET NULL")
    op.create_index(
        "copy_jobs_run_id_idx",
        "copy_jobs",
        ["run_id", "run_position"],
        schema=SCHEMA,
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.add_column("outbox", sa.Column("run_id", sa.BigInteger()), schema=SCHEMA)
    _refers_to_the_run("outbox", "CASCADE")
    op.create_index(
        "outbox_once_in_a_round",
        "outbox",
        ["run_id", "kind", "attempt"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    _once_without_job("job_id IS NULL AND run_id IS NULL")


def downgrade() -> None:
    op.execute("DELETE FROM traspaso.outbox WHERE run_id IS NOT NULL")
    _once_without_job("job_id IS NULL")
    op.drop_column("outbox", "run_id", schema=SCHEMA)
    op.drop_column("copy_jobs", "run_position", schema=SCHEMA)
    op.drop_column("copy_jobs", "run_id", schema=SCHEMA)
    op.drop_table("copy_runs", schema=SCHEMA)


def _refers_to_the_run(table: str, when_deleted: str) -> None:
    op.create_foreign_key(
        f"{table}_run_id_fkey",
        table,
        "copy_runs",
        ["run_id"],
        ["id"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
        ondelete=when_deleted,
    )


def _once_without_job(which: str) -> None:
    op.drop_index("outbox_once_without_job", "outbox", schema=SCHEMA)
    op.create_index(
        "outbox_once_without_job",
        "outbox",
        ["kind"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text(which),
    )

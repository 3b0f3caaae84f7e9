"""Schedules and their firings, freezes that end by themselves, and copies that are to begin later"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0009"
down_revision: str | None = "0008"

SCHEMA = "traspaso"
MOMENT = sa.DateTime(timezone=True)
STATES = ("due", "done", "missed", "refused", "frozen", "failed")


def upgrade() -> None:
    for table, column, kind in (
        ("copy_jobs", "schedule", sa.Text()),
        ("copy_jobs", "start_at", MOMENT),
        ("copy_freezes", "until", MOMENT),
    ):
        op.add_column(table, sa.Column(column, kind, nullable=True), schema=SCHEMA)
    now, none = sa.text("now()"), sa.text("0")
    identity = sa.Identity(always=True)
    op.create_table(
        "freeze_windows",
        sa.Column("id", sa.BigInteger(), identity, primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("seen_at", MOMENT, nullable=False, server_default=now),
        sa.Column("begun_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.UniqueConstraint("name", "starts_at", name="freeze_windows_name_starts_at_key"),
        schema=SCHEMA,
    )
    op.create_index("freeze_windows_ends_at_idx", "freeze_windows", ["ends_at"], schema=SCHEMA)
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("handled_until", MOMENT, nullable=False, server_default=now),
        sa.Column("seen_at", MOMENT, nullable=False, server_default=now),
        sa.Column("retired_at", MOMENT),
        sa.PrimaryKeyConstraint("name", "definition", name="schedules_pkey"),
        schema=SCHEMA,
    )
    op.create_table(
        "schedule_firings",
        sa.Column("id", sa.BigInteger(), identity, primary_key=True),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("copy_name", sa.Text(), nullable=False),
        sa.Column("as_user", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("error", JSONB()),
        sa.Column("missed_before", sa.Integer(), nullable=False, server_default=none),
        sa.Column("liquidations", ARRAY(sa.BigInteger())),
        sa.Column("more_fit", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("results", JSONB(), nullable=False, server_default=sa.text("'[]'::jsonb")),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=none),
        sa.Column("next_try_at", MOMENT, nullable=False, server_default=now),
        sa.Column("claimed_until", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False, server_default=now),
        sa.Column("ended_at", MOMENT),
        sa.UniqueConstraint("schedule", "due_at", name="schedule_firings_schedule_due_at_key"),
        sa.CheckConstraint(
            f"state IN ({', '.join(map(repr, STATES))})", name=op.f("schedule_firings_state_check")
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "schedule_firings_open_idx",
        "schedule_firings",
        ["next_try_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_table(
        "channel_notices",
        sa.Column("id", sa.BigInteger(), identity, primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=none),
        sa.Column("begun", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("next_try_at", MOMENT, nullable=False, server_default=now),
        sa.Column("claimed_until", MOMENT),
        sa.Column("done_at", MOMENT),
        sa.Column("last_error", sa.Text()),
        sa.Column("created_at", MOMENT, nullable=False, server_default=now),
        sa.UniqueConstraint("kind", "subject_id", name="channel_notices_kind_subject_id_key"),
        schema=SCHEMA,
    )
    op.create_index(
        "channel_notices_due_idx",
        "channel_notices",
        ["next_try_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("done_at IS NULL"),
    )


def downgrade() -> None:
    # The release before would begin at once what was asked for later.
    op.execute(
        "UPDATE traspaso.copy_jobs SET status = 'cancelled', finished_at = now() "
        "WHERE status = 'pending' AND start_at > now()"
    )
    # And it would wait for ever for somebody to lift what ends by itself.
    op.execute(
        "UPDATE traspaso.copy_freezes SET lifted_at = until WHERE lifted_at IS NULL AND until <= now()"
    )
    for table in ("channel_notices", "schedule_firings", "schedules", "freeze_windows"):
        op.drop_table(table, schema=SCHEMA)
    op.drop_column("copy_freezes", "until", schema=SCHEMA)
    op.drop_column("copy_jobs", "start_at", schema=SCHEMA)
    op.drop_column("copy_jobs", "schedule", schema=SCHEMA)

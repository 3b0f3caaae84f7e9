"""The tracking schema's history, and the way to the newest version of it.

Two releases that migrate at the same moment wait for each other by an advisory lock.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

#: The advisory lock of whoever migrates: the bytes of "traspaso" as a bigint.
LOCK = int.from_bytes(b"traspaso")


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Brings the schema to ``revision``; nothing to do is fine."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Takes the schema back to ``revision``. Going to ``base`` deletes every job's record."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None before the first migration."""
    context = MigrationContext.configure(connection, opts={"version_table_schema": "traspaso"})
    return context.get_current_revision()


def newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config

"""The tracking schema's history, and the way to the newest version of it.

Two releases that migrate at the same moment wait for each other by an advisory lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from copier.connections import ask_while_waiting
from copier.exchange import driver_of

#: Where the tracking tables are, in consulta.
SCHEMA = "traspaso"

#: The advisory lock of whoever migrates: the bytes of "traspaso" as a bigint.
LOCK = int.from_bytes(b"traspaso")


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Brings the schema to ``revision``; nothing to do is fine."""
    with _alone(engine) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Takes the schema back to ``revision``. Going to ``base`` deletes every job's record."""
    with _alone(engine) as connection:
        command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None before the first migration."""
    context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
    return context.get_current_revision()


def newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that waits for the other release, however long that takes; and so may its statements."""
    with engine.connect() as connection:
        driver = driver_of(connection)
        before = ask_while_waiting(driver, None)
        try:
            with connection.begin():
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
                yield connection
        finally:
            ask_while_waiting(driver, before)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config

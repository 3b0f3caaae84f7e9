"""The tracking schema's history, and the way to the newest version of it.

Two releases that migrate at the same moment wait for each other by an advisory lock. Alembic, which takes
longer to load than the rest of a process, is loaded by whoever migrates; a check of the version needs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, column, func, select, table, text

from copier import privileges
from copier.connections import ask_while_waiting
from copier.errors import PrivilegeMissing, ReadOnly
from copier.exchange import driver_of

if TYPE_CHECKING:
    from alembic.config import Config

#: Where the tracking tables are, in consulta.
SCHEMA = "traspaso"

_ROLE = text("""
    SELECT quote_ident(current_database()) AS database, quote_ident(current_user) AS role,
           to_regnamespace(quote_ident(:schema)) IS NOT NULL AS has_schema,
           current_setting('transaction_read_only') = 'on' AS read_only
""")

#: The advisory lock of whoever migrates: the bytes of "traspaso" as a bigint.
LOCK = int.from_bytes(b"traspaso")

VERSIONS = Path(__file__).parent / "versions"

#: Alembic's own table.
_APPLIED = table("alembic_version", column("version_num"), schema=SCHEMA)


class UnknownVersion(Exception):
    """The schema is at a ``version`` that this release doesn't know."""

    def __init__(self, version: str) -> None:
        super().__init__(f"version {version} of the tracking tables isn't known here")
        self.version = version


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Brings the schema to ``revision``; nothing to do is fine."""
    from alembic import command

    with _alone(engine) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Takes the schema back to ``revision``. Going to ``base`` deletes every job's record."""
    from alembic import command

    with _alone(engine) as connection:
        command.downgrade(_config(connection), revision)


def move(engine: Engine, revision: str) -> None:
    """Takes the schema to ``revision``, forward or back.

    Raises:
        UnknownVersion: it is at a revision of a newer release, whose way back is not known here.
        PrivilegeMissing: the role may not create the schema.
    """
    from alembic import command

    known = versions()
    with _alone(engine) as connection:
        _check_privileges(connection)
        now = current(connection)
        if now is not None and now not in known:
            raise UnknownVersion(now)
        goes_back = now is not None and known.index(revision) < known.index(now)
        (command.downgrade if goes_back else command.upgrade)(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None before the first migration."""
    if connection.scalar(select(func.to_regclass(f"{SCHEMA}.alembic_version"))) is None:
        return None
    found: str | None = connection.scalar(select(_APPLIED.c.version_num))
    return found


def newest() -> str:
    """The last revision that this release knows."""
    return versions()[-1]


def versions() -> list[str]:
    """Every revision that this release knows, the oldest first: the name of its file begins with it."""
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))


def _check_privileges(connection: Connection) -> None:
    """Raises PrivilegeMissing where the role may not create the schema, or nothing in it."""
    found = connection.execute(_ROLE, {"schema": SCHEMA}).one()
    if found.read_only:
        raise ReadOnly("consulta", found.role, found.database)
    needed = privileges.of_migrating(privileges.Tracking(SCHEMA, ()), is_there=found.has_schema)
    if lacks := privileges.lacking(connection, needed):
        raise PrivilegeMissing("consulta", found.role, privileges.by_object(lacks))


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


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config

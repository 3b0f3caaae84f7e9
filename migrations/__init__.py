"""The tracking schema's history, and the way to the newest version of it.

A migration calls the schema ``traspaso``. An installation may have it under another name (`options`): each
statement of a migration then says that one in its place. So a released migration never changes.

Two releases that migrate at the same moment wait for each other by an advisory lock. Alembic, which takes
longer to load than the rest of a process, is loaded by whoever migrates; a check of the version needs none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, column, event, func, select, table, text
from sqlalchemy.exc import DBAPIError

from copier import privileges
from copier.batch import driver_of
from copier.connections import ask_while_waiting
from copier.errors import PrivilegeMissing, ReadOnly

if TYPE_CHECKING:
    from alembic.config import Config

#: Where the tracking tables are, in consulta, unless an installation says otherwise.
SCHEMA = "traspaso"
#: The option by which SQLAlchemy writes another schema's name for that one.
_TRANSLATED = "schema_translate_map"
#: The schema in a statement of a migration.
_NAMED = re.compile(rf'(?<![\w".]){SCHEMA}\.')

_ROLE = text("""
    SELECT quote_ident(current_database()) AS database, quote_ident(current_user) AS role,
           to_regnamespace(quote_ident(:schema)) IS NOT NULL AS has_schema,
           current_setting('transaction_read_only') = 'on' AS read_only
""")

#: The advisory lock of whoever migrates the schema of that name: its bytes as a bigint.
LOCK = int.from_bytes(b"traspaso")

VERSIONS = Path(__file__).parent / "versions"

#: Alembic's own table.
APPLIED = "alembic_version"


#: So long a migration waits for who holds a table, in seconds: meanwhile everybody else waits behind it.
LOCK_SECONDS = 10.0
#: The SQLSTATE of a lock that wasn't to be had in time.
_LOCKED = "55P03"

_HOLDERS = text("""
    SELECT DISTINCT a.pid, a.application_name
      FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.granted AND c.relnamespace = to_regnamespace(:schema) AND a.pid <> pg_backend_pid()
       AND a.xact_start < clock_timestamp() - make_interval(secs => :seconds)
     ORDER BY a.pid
""")


class TablesInUse(Exception):
    """A table was held for longer than a migration waits; nothing was changed.

    ``holders`` are the sessions that hold one: their process number on the server and their name.
    """

    def __init__(self, holders: list[tuple[int, str]]) -> None:
        super().__init__("the tracking tables are in use")
        self.holders = holders


class UnknownVersion(Exception):
    """The schema is at a ``version`` that this release doesn't know."""

    def __init__(self, version: str) -> None:
        super().__init__(f"version {version} of the tracking tables isn't known here")
        self.version = version


def options(schema: str) -> dict[str, Any]:
    """The execution options of an engine whose tracking tables are in ``schema``."""
    return {_TRANSLATED: {SCHEMA: schema}}


def schema_of(engine: Engine | Connection) -> str:
    """Where the tracking tables of that engine are."""
    translated: dict[str, str] = engine.get_execution_options().get(_TRANSLATED) or {}
    return translated.get(SCHEMA, SCHEMA)


def quoted(schema: str, connection: Connection) -> str:
    """The name as SQL takes it, whatever it is."""
    return connection.dialect.identifier_preparer.quote_identifier(schema)


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
        TablesInUse: somebody holds a table.
    """
    known = versions()
    try:
        _move(engine, revision, known)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCKED:
            raise
        with engine.connect() as connection:
            schema = quoted(schema_of(connection), connection)
            found = connection.execute(_HOLDERS, {"schema": schema, "seconds": LOCK_SECONDS}).all()
        raise TablesInUse([(row.pid, row.application_name) for row in found]) from error


def _move(engine: Engine, revision: str, known: list[str]) -> None:
    from alembic import command

    with _alone(engine) as connection:
        _check_privileges(connection)
        now = current(connection)
        if now is not None and now not in known:
            raise UnknownVersion(now)
        goes_back = now is not None and known.index(revision) < known.index(now)
        (command.downgrade if goes_back else command.upgrade)(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision that the database is at; None before the first migration."""
    schema = schema_of(connection)
    if connection.scalar(select(func.to_regclass(f"{quoted(schema, connection)}.{APPLIED}"))) is None:
        return None
    applied = table(APPLIED, column("version_num"), schema=schema)
    found: str | None = connection.scalar(select(applied.c.version_num))
    return found


def newest() -> str:
    """The last revision that this release knows."""
    return versions()[-1]


def versions() -> list[str]:
    """Every revision that this release knows, the oldest first: the name of its file begins with it."""
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))


def _check_privileges(connection: Connection) -> None:
    """Raises PrivilegeMissing where the role may not create the schema, or nothing in it."""
    schema = schema_of(connection)
    found = connection.execute(_ROLE, {"schema": schema}).one()
    if found.read_only:
        raise ReadOnly("consulta", found.role, found.database)
    needed = privileges.of_migrating(privileges.Tracking(schema, ()), is_there=found.has_schema)
    if lacks := privileges.lacking(connection, needed):
        raise PrivilegeMissing("consulta", found.role, privileges.by_object(lacks))


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that waits for the other release, however long that takes; and so may its statements.

    For a table it waits for `LOCK_SECONDS`.
    """
    with engine.connect() as connection:
        driver = driver_of(connection)
        before = ask_while_waiting(driver, None)
        try:
            with connection.begin():
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(select(func.pg_advisory_xact_lock(_lock(schema_of(connection)))))
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS:g} s'"))
                yield connection
        finally:
            ask_while_waiting(driver, before)


def _lock(schema: str) -> int:
    """The advisory lock of whoever migrates this schema. Others in the same database don't wait for it."""
    if schema == SCHEMA:
        return LOCK
    return int.from_bytes(hashlib.sha256(schema.encode()).digest()[:8], signed=True)


def name_schema(connection: Connection) -> None:
    """Has every statement of this connection, from now on, name the schema of its installation."""
    schema = schema_of(connection)
    if schema == SCHEMA:
        return
    name = quoted(schema, connection).replace("%", "%%")

    @event.listens_for(connection, "before_cursor_execute", retval=True)
    def named(*given: Any) -> tuple[str, Any]:
        _, _, statement, parameters, *_ = given
        return _NAMED.sub(lambda _: f"{name}.", statement), parameters


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config

"""Both servers: who is let in, how, as whom, with which privileges, through what and how many connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import Row, text
from sqlalchemy.engine import URL

import migrations
from bot import app
from bot.config import SIDES, VARIABLES, Settings, sentence_of
from bot.doctor.checks import (
    ANSWER_SECONDS,
    Check,
    Context,
    Finding,
    Prerequisite,
    Server,
    Unknown,
    failed,
    ok,
    warning,
)
from bot.errors import BotError, SchemaBehind
from bot.jobs.models import tracking_tables
from bot.jobs.transactions import with_limits
from copier import Treatment, statements
from copier.batch import driver_of
from copier.connections import BoundedTransaction, Sessions, at_most, run
from copier.errors import CopierError, SchemaError, failures_of
from copier.model import CopySpec, TableName, quoted
from copier.privileges import (
    Privilege,
    by_object,
    grants,
    lacking,
    of_defaults,
    of_migrating,
    of_recording,
    of_source,
    of_target,
    once,
)
from copier.system_catalog import Table, is_one_database, read_table

LABEL = "traspaso doctor"
#: The oldest PostgreSQL on either side.
OLDEST = 14
#: The threads of a worker, as the Procfile starts it.
THREADS = 4

_WHO = text("""
    SELECT current_user AS role, current_database() AS database, r.rolsuper AS is_superuser,
           pg_catalog.pg_is_in_recovery() AS in_recovery, current_setting('server_version') AS version,
           current_setting('server_version_num')::int / 10000 AS major, pg_catalog.pg_backend_pid() AS pid,
           (SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()) AS ssl,
           (SELECT s.reset_val = 'on' FROM pg_catalog.pg_settings s
             WHERE s.name = 'default_transaction_read_only') AS read_only,
           current_setting('hot_standby_feedback') = 'on' AS feedback,
           current_setting('max_standby_streaming_delay') AS delay
      FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
""")

#: Where the role could write: the tables that are asked for first.
_WRITES = """
    SELECT n.nspname AS schema, c.relname AS name, p.privileges, count(*) OVER () AS tables,
           pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (
       SELECT array_agg(each ORDER BY place) AS privileges
         FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) WITH ORDINALITY AS asked (each, place)
        WHERE CASE WHEN each IN ('INSERT', 'UPDATE') THEN pg_catalog.has_any_column_privilege(c.oid, each)
                   ELSE pg_catalog.has_table_privilege(c.oid, each) END) p
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND p.privileges IS NOT NULL
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
     ORDER BY NOT n.nspname || '.' || c.relname = ANY({}), 1, 2
     LIMIT 3
"""

_CONNECTIONS = text("""
    SELECT current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true), '0')::int AS server,
           r.rolconnlimit AS of_role, d.datconnlimit AS of_database, used.*
      FROM pg_catalog.pg_roles r, pg_catalog.pg_database d, (
        SELECT count(*) AS used,
               count(*) FILTER (WHERE a.usename = current_user) AS by_role,
               count(*) FILTER (WHERE a.datname = current_database()) AS in_database,
               count(*) FILTER (WHERE a.usename = current_user
                                  AND a.application_name LIKE 'traspaso%') AS ours
          FROM pg_catalog.pg_stat_activity a WHERE a.backend_type = 'client backend') used
     WHERE r.rolname = current_user AND d.datname = current_database()
""")


@dataclass(frozen=True)
class _Side:
    """One of the two sides, where its URL is, and what is found out of its server."""

    name: str
    url: Callable[[Context], URL | None]
    server: Callable[[Context], Prerequisite[Server]]

    def id(self, check: str) -> str:
        return f"{self.name}.{check}"


PROD = _Side(SIDES.source, lambda context: context.settings.prod, lambda context: context.prod)
CONSULTA = _Side(SIDES.target, lambda context: context.settings.consulta, lambda context: context.consulta)


@contextmanager
def look_at(server: Server) -> Iterator[BoundedTransaction]:
    """A read-only transaction whose questions are ended after a time; it waits for one of the permits."""
    with server.permits, BoundedTransaction(server.engine, server.name, LABEL, ANSWER_SECONDS) as look:
        yield look


@contextmanager
def asking(look: BoundedTransaction) -> Iterator[None]:
    """What fails inside leaves the transaction as it was."""
    with failures_of(look.side), look.connection.begin_nested():
        yield


# ----------------------------------------------------------------------------
# One side


def _side(side: _Side, context: Context) -> Iterator[Finding]:
    url = side.url(context)
    if url is None:
        variable = VARIABLES[side.name]
        yield failed(
            side.id("reachable"), f"{variable} can't be used: the settings say why", f"set {variable}"
        )
        raise Unknown(f"{variable} can't be used")
    engine = app.unpooled(url, execution_options=migrations.options(context.settings.tracking_schema))
    try:
        with BoundedTransaction(engine, side.name, LABEL, ANSWER_SECONDS) as look:
            with failures_of(side.name):
                found = look.connection.execute(_WHO).one()
                driver = driver_of(look.connection)
            yield ok(
                side.id("reachable"),
                f"{side.name} lets {quoted(found.role)} into the database {quoted(found.database)}",
            )
            side.server(context).set(Server(side.name, engine, found.role, found.database, found.in_recovery))
            yield of_version(side.name, found.major, found.version)
            yield _encrypted(side, found, driver)
            yield from _role(side, context, found, look)
            yield _standby(side, found)
            yield _pooler(side, found, driver)
            yield _connections(side, context, found, look)
    except CopierError as error:
        if side.server(context).is_set:
            raise
        yield from _not_reached(side, error)


def _not_reached(side: _Side, error: CopierError) -> Iterator[Finding]:
    said = sentence_of(error)
    if "statement pooling" in said or "transaction blocks not allowed" in said:
        yield failed(
            side.id("pooler"),
            f"the pooler before {side.name} pools single statements, and a copy is made of transactions",
            f"set pool_mode = transaction (or session) for {side.name} in PgBouncer",
        )
    what, _, step = said.rpartition(". ")
    if not what:
        what, step = said, f"Have {side.name}'s operator look at it, and look at the URL yourself"
    yield failed(side.id("reachable"), what, f"{step[:1].lower()}{step[1:]} ({VARIABLES[side.name]})")
    raise Unknown(f"{side.name} can't be reached")


def of_version(side: str, major: int, written: str) -> Finding:
    """What the version of a server means."""
    check = f"{side}.version"
    if major < OLDEST:
        return failed(
            check,
            f"{side} is PostgreSQL {written}; Traspaso needs {OLDEST} or newer",
            f"upgrade {side}, or take another server for it",
        )
    return ok(check, f"PostgreSQL {written}")


def _encrypted(side: _Side, found: Row[Any], driver: psycopg.Connection) -> Finding:
    check = side.id("encrypted")
    if driver.pgconn.ssl_in_use:
        onwards = driver.info.backend_pid == found.pid or found.ssl
        rest = "" if onwards else f"; from the pooler to {side.name} it goes on without encryption"
        return ok(check, f"the connection is encrypted{rest}")
    if _is_here(driver.info.hostaddr):
        return ok(check, f"not encrypted; {side.name} is reached on this machine, so nothing leaves it")
    return warning(
        check,
        f"rows and the password's proof travel to {side.name} ({driver.info.hostaddr}) without encryption",
        f"add ?sslmode=require (better: verify-full with sslrootcert) to {VARIABLES[side.name]}, and have "
        "TLS set up there where it refuses that",
    )


def _is_here(address: str) -> bool:
    """A socket's address is empty, or a path."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return True


def _role(side: _Side, context: Context, found: Row[Any], look: BoundedTransaction) -> Iterator[Finding]:
    check, role = side.id("role"), quoted(found.role)
    own = "`traspaso init` prints the SQL of a role of its own"
    if side is CONSULTA and found.read_only and not found.in_recovery:
        database = quoted(found.database)
        yield failed(
            check,
            f"transactions of {role} in {side.name} are read-only by default (default_transaction_read_only)",
            f"run in {side.name}: ALTER ROLE {role} IN DATABASE {database} "
            "SET default_transaction_read_only = off",
        )
        return
    if found.is_superuser:
        yield warning(
            check,
            f"{role} is a superuser of {side.name}: whoever gets hold of its password can do anything there",
            f"give Traspaso a role that is granted what it needs and no more; {own}",
        )
        return
    if side is CONSULTA:
        yield ok(check, f"{role} is no superuser, and may write")
        return
    wanted = [copy.source_table for copy in context.settings.file.copies]
    asked = [f"{each.schema}.{each.name}" for each in wanted]
    rows = look.rows(sql.SQL(_WRITES).format(sql.Literal(asked)))
    if rows is None:
        yield warning(check, f"what {role} may write to was not answered in time", "ask again later")
    elif not rows:
        yield ok(check, f"{role} can read, and write to no table of {side.name}")
    else:
        yield _may_write(check, role, rows)


def _may_write(check: str, role: str, rows: list[Any]) -> Finding:
    tables = [str(TableName(row.schema, row.name)) for row in rows]
    more = f" and {rows[0].tables - len(rows)} more" if rows[0].tables > len(rows) else ""
    if any(row.owned for row in rows):
        step = "give Traspaso a role that owns no table there; `traspaso init` prints the SQL of one"
    else:
        revokes = (
            f"REVOKE {', '.join(row.privileges)} ON TABLE {table} FROM {role}"
            for row, table in zip(rows, tables, strict=True)
        )
        step = f"run in prod: {'; '.join(revokes)} (or from PUBLIC, where everybody was granted it)"
    return warning(
        check,
        f"{role} could write to {', '.join(tables)}{more} of prod. Traspaso never does: its transactions "
        "there are read-only",
        step,
    )


def _standby(side: _Side, found: Row[Any]) -> Finding:
    check = side.id("standby")
    if not found.in_recovery:
        return ok(check, f"{side.name} is a primary")
    if side is CONSULTA:
        return failed(
            check,
            "consulta is a standby: nothing can be written there",
            "point CONSULTA_DATABASE_URL to the primary, or add target_session_attrs=read-write to its hosts",
        )
    what = "prod is a hot standby: one session reads each copy, as a standby's snapshot isn't shared"
    if found.feedback or found.delay == "-1":
        return ok(check, what)
    return warning(
        check,
        f"{what}; and it ends queries that are in the way of its primary's vacuum after {found.delay}, so a "
        "long copy may have to begin anew",
        "set hot_standby_feedback = on (or max_standby_streaming_delay = -1) on that standby",
    )


# ----------------------------------------------------------------------------
# A pooler before it


def _pooler(side: _Side, found: Row[Any], driver: psycopg.Connection) -> Finding:
    check = side.id("pooler")
    if driver.info.backend_pid == found.pid:
        return ok(check, f"nothing is between this machine and {side.name}")
    console = _console(driver)
    if console is None:
        return ok(
            check,
            f"a pooler is between (what it is and how it pools can't be seen from {VARIABLES[side.name]}); "
            "transactions work through it",
        )
    mode, size = console
    pools = f"PgBouncer is between, with pool_mode = {mode}"
    if size is None:
        return ok(check, pools)
    return ok(check, f"{pools} and {size} connections to {side.name} at most")


def _console(driver: psycopg.Connection) -> tuple[str, int | None] | None:
    """The mode and the size of this database's pool, where PgBouncer's console lets this role look."""
    options: dict[str, Any] = driver.info.get_parameters()
    options |= {"dbname": "pgbouncer", "connect_timeout": "3"}
    if driver.info.password:
        options["password"] = driver.info.password
    with suppress(psycopg.Error):
        opened: psycopg.Connection[Any] = psycopg.connect(
            **options, autocommit=True, cursor_factory=psycopg.ClientCursor
        )
        with opened, opened.cursor(row_factory=dict_row) as cursor:
            settings = {row["key"]: row["value"] for row in cursor.execute("SHOW CONFIG").fetchall()}
            pools = {row["name"]: row for row in cursor.execute("SHOW DATABASES").fetchall()}
        own = pools.get(driver.info.dbname, {})
        size = own.get("pool_size") or settings.get("default_pool_size")
        return own.get("pool_mode") or settings["pool_mode"], int(size) if size else None
    return None


# ----------------------------------------------------------------------------
# Connections


def wanted_by_a_copy(side: str, parallel: int, tables: int = 1) -> int:
    """Sessions of one copy at most, or of a set of so many tables, as docs/reliability.md has them."""
    if tables > 1:
        from copier.copy_set import tables_at_once

        at_once = min(tables, tables_at_once(parallel))
        if side == SIDES.source:
            return 1 + at_once * (parallel + 1)
        return at_once * parallel + 2 * tables + 3
    return parallel + 2 if side == SIDES.source else 2 * parallel + 5


def wanted_by_a_worker(side: str, parallel: int, tables: int = 1) -> int:
    """Of one worker at most."""
    own = 0 if side == SIDES.source else 4
    return THREADS * wanted_by_a_copy(side, parallel, tables) + own


def _connections(side: _Side, context: Context, found: Row[Any], look: BoundedTransaction) -> Finding:
    check = side.id("connections")
    with failures_of(side.name):
        row = look.connection.execute(_CONNECTIONS).one()
    limits = [(row.server - (row.used - row.ours), f"max_connections of {side.name}")]
    if row.of_role >= 0 and not found.is_superuser:
        limits.append((row.of_role - (row.by_role - row.ours), f"the limit of the role {quoted(found.role)}"))
    if row.of_database >= 0 and not found.is_superuser:
        limits.append((row.of_database - (row.in_database - row.ours), "the limit of its database"))
    free, limit = min(limits)
    if driver_of(look.connection).info.backend_pid != found.pid:
        # Its sessions are the pooler's.
        with suppress(TypeError):
            size = (_console(driver_of(look.connection)) or ("", None))[1]
            if size is not None and size < free:
                free, limit = size, "the pool of PgBouncer"
    workers = _workers(context)
    parallel = context.settings.file.work.parallel
    tables = max((len(each.copies) for each in context.settings.file.sets), default=1)
    one, all_of_them = (
        wanted_by_a_copy(side.name, parallel, tables),
        workers * wanted_by_a_worker(side.name, parallel, tables),
    )
    it = "copy" if tables == 1 else f"set of {tables} tables"
    they = "the worker" if workers == 1 else f"the {workers} workers"
    if free >= all_of_them:
        return ok(check, f"{free} are left for Traspaso; {they} of {THREADS} threads may take {all_of_them}")
    step = f"raise {limit}, lower [work] parallel (now {parallel}), or start workers of fewer threads"
    if free < one:
        return failed(check, f"{free} are left for Traspaso by {limit}, and one {it} may take {one}", step)
    return warning(
        check,
        f"{free} are left for Traspaso by {limit}, and {they} of {THREADS} threads may take {all_of_them}: "
        "copies beyond that wait, and try again",
        step,
    )


def _workers(context: Context) -> int:
    """Those that live, and one at least: it is going to be started."""
    try:
        return max(1, context.workers.get(ANSWER_SECONDS))
    except Unknown:
        return 1


# ----------------------------------------------------------------------------
# Privileges


def needed_in_prod(settings: Settings, database: str = "") -> list[Privilege]:
    """What prod's role needs. ``database`` is its name, where the URL names a service only."""
    return of_source(
        [copy.spec for copy in settings.file.copies],
        database=database or (settings.prod.database if settings.prod else None) or "",
        catalogue=settings.file.catalogue,
    )


def needed_in_consulta(
    settings: Settings,
    database: str = "",
    *,
    updates: Callable[[TableName], bool | None] = lambda table: None,
) -> list[Privilege]:
    """What consulta's role needs, which keeps the tracking tables too.

    ``updates`` says of a target table whether its rows are updated in place, or None where that isn't known.
    """
    return of_target(
        [copy.spec for copy in settings.file.copies],
        database=database or (settings.consulta.database if settings.consulta else None) or "",
        tracking=tracking_tables(settings.tracking_schema),
        watches_standbys=settings.file.work.standby_lag_mb is not None,
        updates=updates,
    )


def _privileges_in_prod(context: Context) -> Iterator[Finding]:
    server = context.prod.get()
    with look_at(server) as look:
        yield from _lacking(
            "prod.privileges", look, server, needed_in_prod(context.settings, server.database)
        )


_TRACKED = text("""
    SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = :schema) AS is_there,
           (SELECT bool_and(pg_catalog.pg_has_role(c.relowner, 'USAGE'))
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = :schema AND c.relkind = 'r') AS owned
""")


def _privileges_in_consulta(context: Context) -> Iterator[Finding]:
    server = context.consulta.get()
    tracking = tracking_tables(context.settings.tracking_schema)
    with look_at(server) as look:
        with failures_of(look.side):
            found = look.connection.execute(_TRACKED, {"schema": tracking.schema}).one()
        in_place: dict[TableName, bool] = {}
        beside: list[Privilege] = []
        for copy in context.settings.file.copies:
            target = _known(look, copy.target_table)
            in_place[copy.target_table] = target is not None and target.relations.is_referenced
            beside += _of_defaults(look, context.prod, copy.spec)
        needed = needed_in_consulta(context.settings, server.database, updates=in_place.__getitem__)
        always = [each for each in needed if not each.where]
        if found.is_there:
            # Who may create it on the database needn't any more.
            creating = {each.identity for each in of_migrating(tracking, server.database, is_there=False)}
            always = [each for each in always if each.identity not in creating]
            always += of_recording(tracking, owned=bool(found.owned))
            if found.owned is not False:
                always += of_migrating(tracking, server.database, is_there=True)
        yield from _lacking("consulta.privileges", look, server, once([*always, *beside]))


def _of_defaults(look: BoundedTransaction, prod: Prerequisite[Server], spec: CopySpec) -> list[Privilege]:
    """Sequences behind the defaults of columns that consulta fills; nothing where prod can't be asked."""
    try:
        with look_at(prod.get()) as other:
            source = _known(other, spec.source_table)
    except (Unknown, CopierError):
        return []
    if source is None:
        return []
    left = {rule.column for rule in spec.rules if rule.treatment is Treatment.OMIT}
    brought = [column.name for column in source.columns if column.name not in left]
    with asking(look):
        return of_defaults(look.connection, spec.target_table, brought)


def _lacking(
    check: str, look: BoundedTransaction, server: Server, needed: list[Privilege]
) -> Iterator[Finding]:
    with failures_of(look.side):
        missing = lacking(look.connection, needed)
    role = quoted(server.role)
    for what, names in by_object(missing):
        own = [each for each in missing if each.what == what]
        steps = ", ".join(dict.fromkeys(step for each in own for step in each.steps))
        yield failed(
            check,
            f"the role {role} of {look.side} lacks {', '.join(names)} on {what}, to {steps}",
            f"run in {look.side}: {'; '.join(grants(own, server.role))}",
            what,
        )
    if not missing:
        yield ok(check, f"the role {role} has all {len(needed)} privileges that it needs")


def _known(look: BoundedTransaction, name: TableName) -> Table | None:
    try:
        with asking(look):
            return read_table(look.connection, look.side, name)
    except SchemaError:  # said by the check of the copies
        return None


# ----------------------------------------------------------------------------
# Prod's snapshot, the tracking tables, and whether they are two


def _snapshot(context: Context) -> Iterator[Finding]:
    prod = context.prod.get()
    check = "prod.snapshot"
    if prod.in_recovery:
        yield ok(check, "one session holds the moment and reads it: a standby's snapshot isn't shared")
        return
    sessions = Sessions(LABEL, on_silence=at_most(ANSWER_SECONDS))
    try:
        with prod.permits, prod.permits, failures_of(prod.name):
            holder, reader = (
                sessions.open(prod.engine, prod.name, isolation="REPEATABLE READ", read_only=True)
                for _ in "12"
            )
            name = holder.execute(text("SELECT pg_catalog.pg_export_snapshot()")).scalar_one()
            run(reader, statements.snapshot(name))
            sessions.identify(reader)
    except CopierError as error:
        yield failed(
            check,
            f"a second session can't see the moment of the first: {sentence_of(error)}",
            "connect to prod itself, or by a pooler in transaction or session mode that leads to one server",
        )
        return
    finally:
        sessions.close()
    yield ok(check, "several sessions see one moment")


def _schema(context: Context) -> Iterator[Finding]:
    consulta = context.consulta.get()
    check = "consulta.schema"
    try:
        with consulta.permits:
            app.check_schema(with_limits(consulta.engine))
    except SchemaBehind as error:
        yield failed(check, str(error), "run `traspaso migrate`")
        raise Unknown("the tracking tables aren't this release's") from None
    except BotError as error:
        yield failed(check, str(error), "install the newer release here, or migrate back with it first")
        raise Unknown("the tracking tables aren't this release's") from None
    except CopierError as error:
        yield failed(check, sentence_of(error), "grant what consulta.privileges names")
        raise Unknown("the tracking tables can't be read") from None
    context.schema.set(None)
    yield ok(check, "the tracking tables are this release's")


_PLACE = text("SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()")


def _apart(context: Context) -> Iterator[Finding]:
    prod, consulta = context.prod.get(), context.consulta.get()
    with look_at(prod) as here, look_at(consulta) as there:
        with failures_of(prod.name):
            oid = here.connection.execute(_PLACE).scalar_one()
        with failures_of(consulta.name):
            other = there.connection.execute(_PLACE).scalar_one()
        is_one = oid == other and is_one_database(
            here.connection, there.connection, SIDES, database=oid, in_recovery=prod.in_recovery
        )
    if is_one:
        yield warning(
            "databases.apart",
            "prod and consulta are one and the same database: a copy stays inside of it",
            f"if that isn't meant, {SIDES.apart}",
        )
    else:
        yield ok("databases.apart", "prod and consulta are two databases")


def _ids(side: str, *checks: str) -> tuple[str, ...]:
    return tuple(f"{side}.{check}" for check in checks)


_OF_A_SIDE = ("reachable", "version", "encrypted", "role", "standby", "pooler", "connections")

CHECKS = (
    Check(_ids("prod", *_OF_A_SIDE), partial(_side, PROD), sets=("prod",)),
    Check(_ids("consulta", *_OF_A_SIDE), partial(_side, CONSULTA), sets=("consulta",)),
    Check(("prod.privileges",), _privileges_in_prod),
    Check(("consulta.privileges",), _privileges_in_consulta),
    Check(("prod.snapshot",), _snapshot),
    Check(("consulta.schema",), _schema, sets=("schema",)),
    Check(("databases.apart",), _apart),
)

"""What the roles of prod and consulta need for what is configured, and the checks of what they lack of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import text

from bot.config import Settings
from bot.doctor.databases import asking, look_at
from bot.doctor.examination import Check, Context, Prerequisite, Server, Unknown
from bot.doctor.findings import Finding, failed, ok
from bot.jobs.models import tracking_tables
from copier import TableName, Treatment
from copier.connections import BoundedTransaction
from copier.errors import CopierError, SchemaError, failures_of
from copier.model import CopySpec, quoted
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
from copier.system_catalog import Table, read_table


def of_prod(settings: Settings, database: str = "") -> list[Privilege]:
    """What prod's role needs. ``database`` is its name, where the URL names a service only."""
    return of_source(
        [copy.spec for copy in settings.file.copies],
        database=database or (settings.prod.database if settings.prod else None) or "",
        catalogue=settings.file.catalogue,
    )


def of_consulta(
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


# ----------------------------------------------------------------------------
# The checks


def _prod(context: Context) -> Iterator[Finding]:
    server = context.prod.get()
    with look_at(server) as look:
        yield from _lacking("prod.privileges", look, server, of_prod(context.settings, server.database))


_TRACKED = text("""
    SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = :schema) AS is_there,
           (SELECT bool_and(pg_catalog.pg_has_role(c.relowner, 'USAGE'))
              FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = :schema AND c.relkind = 'r') AS owned
""")


def _consulta(context: Context) -> Iterator[Finding]:
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
        needed = of_consulta(context.settings, server.database, updates=in_place.__getitem__)
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


CHECKS = (
    Check(("prod.privileges",), _prod),
    Check(("consulta.privileges",), _consulta),
)

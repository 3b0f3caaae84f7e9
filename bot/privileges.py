"""What the roles of prod and consulta have to be allowed, for what is configured and for the tracking tables.

No connection is needed: `traspaso init` prints it, and `traspaso doctor` asks the servers about it.
"""

from __future__ import annotations

from collections.abc import Callable

import migrations
from bot.config import Settings
from bot.jobs.models import Base
from copier import TableName
from copier.privileges import Privilege, Tracking, of_source, of_target


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
        tracking=tracking(settings.tracking_schema),
        watches_standbys=settings.file.work.standby_lag_mb is not None,
        updates=updates,
    )


def tracking(schema: str) -> Tracking:
    """The tracking tables, and Alembic's own, in this schema."""
    names = (table.name for table in Base.metadata.sorted_tables)
    return Tracking(schema, (*names, migrations.APPLIED))

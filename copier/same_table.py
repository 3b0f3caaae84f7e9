"""Whether prod and consulta are one table: comparing a table with itself would prove nothing."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, text

from copier.catalog import Table
from copier.errors import SameTable
from copier.failure import failures_of

# A lock that nobody else has, for as long as the transaction lasts: whoever sees it is on the same server.
# The system identifier doesn't tell, because a copy of a cluster keeps it.
_MARK = text("SELECT pg_catalog.pg_try_advisory_xact_lock(:high, :low)")
_SEEN = text("""
    SELECT EXISTS (SELECT FROM pg_catalog.pg_locks
                    WHERE locktype = 'advisory' AND objsubid = 2 AND database = :database
                      AND classid = CAST(:high AS oid) AND objid = CAST(:low AS oid))
""")
# Locks don't reach a standby. It follows a server of the same cluster, on the same timeline.
_CLUSTER = text("""
    SELECT s.system_identifier, c.timeline_id
      FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c
""")


def refuse_same_table(prod: Connection, consulta: Connection, source: Table, target: Table) -> None:
    """Both connections are inside a transaction.

    Raises:
        SameTable: rows of both come from the same table of the same database, or of its standby.
    """
    ours = {each.oid for each in source.relations.all if each.has_rows}
    theirs = {each.oid for each in target.relations.all if each.has_rows}
    if source.database != target.database or not ours & theirs:
        return
    if source.in_recovery:
        with failures_of("prod"):
            here = prod.execute(_CLUSTER).one()
        with failures_of("consulta"):
            same = here == consulta.execute(_CLUSTER).one()
    else:
        mark = {"high": secrets.randbits(31), "low": secrets.randbits(31)}
        with failures_of("consulta"):
            consulta.execute(_MARK, mark)
        with failures_of("prod"):
            same = prod.execute(_SEEN, {**mark, "database": source.database}).scalar_one()
    if same:
        raise SameTable(str(target.name))

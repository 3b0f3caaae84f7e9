"""The relations that the rows behind one name come from, and what their definitions do to a copy.

A table stands for its partitions and inheritance children too, a view for the tables that it reads. What
holds for the table alone, such as NOT NULL or the foreign keys that refer to it, is asked of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

#: The only wrapper whose remote transactions keep one snapshot for as long as the local one lasts
#: (https://www.postgresql.org/docs/current/postgres-fdw.html, Transaction Management).
ONE_SNAPSHOT_WRAPPER = "postgres_fdw"


@dataclass(frozen=True, slots=True)
class Relation:
    """One of them. ``kind`` is pg_class.relkind; ``server`` and ``wrapper`` are those of a foreign table.

    ``rewritten`` tells that its file is another one now than in the transaction's snapshot: a rewrite that
    isn't MVCC-safe, such as TRUNCATE or ALTER TABLE … TYPE, has committed since, and the snapshot may see
    the table empty.
    """

    oid: int
    kind: str
    name: str
    server: str | None
    wrapper: str | None
    rewritten: bool

    @property
    def has_rows(self) -> bool:
        """Whether it stores rows, here or on another server, and doesn't only stand for others."""
        return self.kind in {"r", "m", "f"}


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger that fires on rows that are written or removed: ``on`` INSERT, UPDATE or DELETE.

    ``before`` each row, or in its place: it may alter the row, or keep it from being written.
    """

    name: str
    on: frozenset[str]
    before: bool


@dataclass(frozen=True, slots=True)
class Relations:
    """All relations behind one table, itself first, and what stands in the way there.

    ``never_null`` are the columns that hold no NULL in any of them, by constraints that were validated.
    ``cascading`` names foreign keys of other tables that a DELETE would carry on, ``rules`` the rules that do
    something beside, or in the place of, a write. ``is_referenced`` tells that foreign keys point to rows;
    ``carried_on`` are the columns of which they would carry an UPDATE on. ``references`` names the foreign
    keys by which rows refer to other tables.
    ``inherited`` tells of inheritance children, for which a unique index of the parent doesn't hold.
    """

    all: tuple[Relation, ...]
    never_null: frozenset[str]
    cascading: tuple[str, ...]
    rules: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    is_referenced: bool
    carried_on: frozenset[str]
    references: frozenset[str]
    inherited: bool

    @property
    def foreign(self) -> tuple[Relation, ...]:
        return tuple(each for each in self.all if each.kind == "f")

    @property
    def rewritten(self) -> bool:
        return any(each.rewritten for each in self.all)

    @property
    def several_moments(self) -> str | None:
        """Why no one snapshot holds all rows; None where one does.

        A remote transaction has a snapshot of its own, taken a moment after the local one: rows that move
        between servers at that moment would be in none of them.
        """
        foreign = self.foreign
        for each in foreign:
            if each.wrapper != ONE_SNAPSHOT_WRAPPER:
                return f"{each.name} is a foreign table of {each.wrapper}, which keeps no snapshot"
        servers = sorted({each.server or "?" for each in foreign})
        if len(servers) > 1:
            return f"they are on the servers {', '.join(servers)}"
        local = [each.name for each in self.all if each.has_rows and each.kind != "f"]
        if foreign and local:
            return f"{foreign[0].name} is on the server {servers[0]}, {local[0]} is here"
        return None


# Partitions and children, and what a view's definition reads, down to the last one. A partition that is
# being detached concurrently is left out by queries.
_TREE = """
    WITH RECURSIVE tree (oid) AS (
      SELECT CAST(:oid AS oid)
      UNION
      SELECT below.oid FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
        CROSS JOIN LATERAL (
          SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i
           WHERE i.inhparent = c.oid AND NOT i.inhdetachpending
          UNION ALL
          SELECT d.refobjid FROM pg_catalog.pg_rewrite w
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
                 AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> c.oid
           WHERE c.relkind = 'v' AND w.ev_class = c.oid AND w.ev_type = '1') below)
"""

_RELATIONS = text(
    _TREE  # noqa: S608 - both parts are literals
    + """
    SELECT c.oid, c.relkind::text AS kind, c.oid::regclass::text AS name, s.srvname AS server,
           f.fdwname AS wrapper,
           c.relkind IN ('r', 'm')
             AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid) AS rewritten
      FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
      LEFT JOIN pg_catalog.pg_foreign_table t ON t.ftrelid = c.oid
      LEFT JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver
      LEFT JOIN pg_catalog.pg_foreign_data_wrapper f ON f.oid = s.srvfdw
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
     ORDER BY c.oid <> :oid, 3
"""
)

# Since version 18 NOT NULL may be declared and not validated; what a foreign table declares nobody checks.
_NEVER_NULL = text("""
    SELECT a.attname::text FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_attribute b ON b.attrelid = c.oid AND b.attname = a.attname
        WHERE c.oid = ANY(:family) AND (c.relkind = 'f' OR NOT b.attnotnull OR EXISTS (
          SELECT FROM pg_catalog.pg_constraint n
           WHERE n.conrelid = c.oid AND n.contype = 'n' AND n.conkey = ARRAY[b.attnum]
             AND NOT n.convalidated)))
""")

# A constraint or trigger that a partition has from its parent is told once, by the parent's where that is
# among the relations.
_FOREIGN_KEYS = text("""
    SELECT pg_catalog.quote_ident(c.conname) || ' of ' || c.conrelid::regclass::text AS name,
           c.confdeltype IN ('c', 'n', 'd') AS cascades,
           ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                  WHERE c.confupdtype IN ('c', 'n', 'd') AND a.attrelid = c.confrelid
                    AND a.attnum = ANY(c.confkey)) AS carried_on
      FROM pg_catalog.pg_constraint c
     WHERE c.contype = 'f' AND c.confrelid = ANY(:oids)
       AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'  -- since 18
       AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = c.conparentid AND p.confrelid = ANY(:oids))
     ORDER BY 1
""")

_REFERENCES = text("""
    SELECT c.conname::text FROM pg_catalog.pg_constraint c
     WHERE c.contype = 'f' AND c.conrelid = ANY(:oids) AND NOT c.confrelid = ANY(:oids)
""")

# INSTEAD rules of a view are how it is written to; all others do more, or less, than they are asked for.
_RULES = text("""
    SELECT pg_catalog.quote_ident(w.rulename) || ' on ' || c.oid::regclass::text
      FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
     WHERE c.oid = ANY(:oids) AND w.ev_type <> '1' AND w.ev_enabled IN ('O', 'A')
       AND NOT (c.relkind = 'v' AND w.is_instead)
     ORDER BY 1
""")

# Of tgtype: 1 each row, 2 BEFORE, 4 INSERT, 8 DELETE, 16 UPDATE, 64 INSTEAD OF.
_TRIGGERS = text("""
    SELECT pg_catalog.quote_ident(g.tgname) || ' on ' || g.tgrelid::regclass::text AS name,
           array_remove(ARRAY[CASE WHEN g.tgtype & 4 > 0 THEN 'INSERT' END,
                              CASE WHEN g.tgtype & 8 > 0 THEN 'DELETE' END,
                              CASE WHEN g.tgtype & 16 > 0 THEN 'UPDATE' END], NULL) AS on,
           g.tgtype & 3 = 3 OR g.tgtype & 64 > 0 AS before
      FROM pg_catalog.pg_trigger g
     WHERE g.tgrelid = ANY(:oids) AND NOT g.tgisinternal AND g.tgtype & 28 > 0
       AND g.tgenabled IN ('O', 'A')
       AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_trigger p WHERE p.oid = g.tgparentid AND p.tgrelid = ANY(:oids))
     ORDER BY 1
""")


def read_relations(connection: Connection, oid: int) -> Relations:
    """What is behind the relation with this OID, as the transaction sees it; the search_path is empty."""
    found = tuple(
        Relation(row.oid, row.kind, row.name, row.server, row.wrapper, row.rewritten)
        for row in connection.execute(_RELATIONS, {"oid": oid})
    )
    oids = [each.oid for each in found]
    # A view's own columns say nothing of NULL, and columns of other names stand behind them.
    family = oids if found[0].kind != "v" else [oid]
    keys = connection.execute(_FOREIGN_KEYS, {"oids": oids}).all()
    return Relations(
        all=found,
        never_null=frozenset(connection.scalars(_NEVER_NULL, {"oid": oid, "family": family})),
        cascading=tuple(key.name for key in keys if key.cascades),
        rules=tuple(connection.scalars(_RULES, {"oids": oids})),
        triggers=tuple(
            Trigger(row.name, frozenset(row.on), row.before)
            for row in connection.execute(_TRIGGERS, {"oids": oids})
        ),
        is_referenced=bool(keys),
        carried_on=frozenset(name for key in keys for name in key.carried_on),
        references=frozenset(connection.scalars(_REFERENCES, {"oids": oids})),
        inherited=found[0].kind == "r" and len(found) > 1,
    )

"""What a server says about a table: its columns, their types, its keys and indexes.

Everything comes from pg_catalog by bound parameters; nothing here writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from copier.errors import ColumnMissing, Side, TableMissing
from copier.names import TableName
from copier.relations import Relations, read_relations

#: OIDs below this are the same in every PostgreSQL (FirstNormalObjectId in its sources).
FIRST_USER_OID = 16384


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type. ``sql`` is how SQL writes it (``numeric(14,2)``); ``base`` drops the modifier.

    The base of ``character(9)`` is ``bpchar``, because ``character`` alone means one character.

    ``send`` is schema and name of the binary output function, None where the type has none;
    ``portable`` tells that its binary form carries no OID that only one server knows.
    """

    sql: str
    base: str
    send: tuple[str, str] | None
    portable: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One live column, in the table's order.

    ``encoding`` is that of its database; ``labels`` are those of the enum that its type is made of.
    ``not_null`` is declared; ``never_null`` holds, also in the partitions and children of the table.
    """

    name: str
    type: ColumnType
    not_null: bool
    has_default: bool
    is_generated: bool
    is_identity: bool
    collation: str | None
    deterministic: bool
    encoding: str
    never_null: bool
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """A column of a B-tree index: whether it is sorted there as by ``ORDER BY``, or by bytes."""

    name: str
    sorted: bool
    by_bytes: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view as one side has it.

    ``version`` is the server's, such as 18, and ``database`` the OID of its database there; ``in_recovery``
    tells that the server is a standby. ``relations`` are those behind the name.
    """

    side: Side
    name: TableName
    kind: str
    version: int
    database: int
    in_recovery: bool
    columns: tuple[Column, ...]
    unique_keys: tuple[tuple[str, ...], ...]
    indexes: tuple[tuple[IndexColumn, ...], ...]
    relations: Relations

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"

    @property
    def can_be_indexed(self) -> bool:
        return self.kind in {"r", "p", "m"}

    def column(self, name: str) -> Column:
        """Raises ColumnMissing where the table has no such column."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ColumnMissing(self.side, str(self.name), name)

    def has(self, name: str) -> bool:
        return any(column.name == name for column in self.columns)


_SEARCH_PATH = text("SELECT set_config('search_path', :path, true)")

_TABLE = text("""
    SELECT c.oid, c.relkind::text AS kind, current_setting('server_version_num')::int / 10000 AS version,
           (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) AS database,
           pg_catalog.pg_is_in_recovery() AS in_recovery
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = :schema AND c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
""")

# The empty search_path makes format_type qualify every name that isn't PostgreSQL's own. to_jsonb
# reads catalog columns that only some versions have (colllocale since 17, datlocprovider since 15).
# A modifier of -1, unlike NULL, writes types that hold any length: bpchar and "bit". What a column's
# binary form holds inside of it: a domain its base, a range its bounds, an array its elements, these
# with their type's OID, as a composite has its members; a regclass and its like are OIDs themselves.
_COLUMNS = text("""
    SELECT a.attname AS name,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS sql,
           pg_catalog.format_type(a.atttypid, -1) AS base,
           fn.nspname AS send_schema, f.proname AS send_name,
           inside.portable, inside.labels,
           a.attnotnull AS not_null,
           a.atthasdef AS has_default,
           a.attgenerated <> '' AS is_generated,
           a.attidentity <> '' AS is_identity,
           CASE WHEN a.attcollation = 0 THEN NULL
                WHEN l.collprovider = 'd' THEN concat_ws(':',
                  to_jsonb(d) ->> 'datlocprovider', to_jsonb(d) ->> 'datlocale',
                  to_jsonb(d) ->> 'daticulocale',
                  d.datcollate, to_jsonb(d) ->> 'datcollversion')
                ELSE concat_ws(':',
                  l.collprovider::text, to_jsonb(l) ->> 'colllocale', to_jsonb(l) ->> 'colliculocale',
                  l.collcollate, pg_catalog.pg_collation_actual_version(l.oid)) END AS collation,
           coalesce(l.collisdeterministic, true) AS deterministic,
           pg_catalog.getdatabaseencoding() AS encoding
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
      CROSS JOIN LATERAL (
        WITH RECURSIVE held (oid, with_oid) AS (
          SELECT t.oid, false
          UNION
          SELECT i.oid, h.typcategory = 'A' AND h.typtype = 'b'
            FROM held JOIN pg_catalog.pg_type h ON h.oid = held.oid
            LEFT JOIN pg_catalog.pg_range r ON h.oid IN (r.rngtypid, r.rngmultitypid)
            JOIN pg_catalog.pg_type i ON i.oid = CASE
                 WHEN h.typtype = 'd' THEN h.typbasetype
                 WHEN h.typtype IN ('r', 'm') THEN r.rngsubtype
                 WHEN h.typcategory = 'A' THEN h.typelem END)
        SELECT coalesce(bool_and(NOT ((with_oid OR h.typtype = 'c') AND h.oid >= :user_oid
                                      OR h.typname LIKE 'reg%' AND h.oid < :user_oid)), true) AS portable,
               ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
                      WHERE e.enumtypid IN (SELECT held.oid FROM held) ORDER BY e.enumsortorder) AS labels
          FROM held JOIN pg_catalog.pg_type h ON h.oid = held.oid) inside
      LEFT JOIN pg_catalog.pg_proc f ON f.oid = t.typsend
      LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace
      LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
      JOIN pg_catalog.pg_database d ON d.datname = current_database()
     WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attnum
""")

_INDEXES = text("""
    SELECT i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AS is_unique,
           i.indisprimary AS is_primary, k.columns, k.sorted, k.by_bytes
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
      JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname = 'btree'
     CROSS JOIN LATERAL (
       SELECT array_agg(coalesce(a.attname::text, '') ORDER BY n) AS columns,  -- '' for an expression
              array_agg(i.indcollation[n] = a.attcollation AND i.indoption[n] & 1 = 0 ORDER BY n) AS sorted,
              array_agg(i.indcollation[n] = 'pg_catalog."C"'::regcollation AND i.indoption[n] & 1 = 0
                        ORDER BY n) AS by_bytes
         FROM generate_series(0, i.indnkeyatts - 1) n
         LEFT JOIN pg_catalog.pg_attribute a
           ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n] AND a.attnum > 0) k
     WHERE i.indrelid = :oid AND i.indisvalid AND i.indisready AND i.indpred IS NULL
     ORDER BY i.indisprimary DESC, x.relname
""")


def read_table(connection: Connection, side: Side, name: TableName) -> Table:
    """The table as this server has it now.

    Raises:
        TableMissing: there is no such table or view.
    """
    found = connection.execute(_TABLE, {"schema": name.schema, "name": name.name}).one_or_none()
    if found is None:
        raise TableMissing(side, str(name))
    search_path = connection.scalar(text("SELECT current_setting('search_path')"))
    connection.execute(_SEARCH_PATH, {"path": ""})
    columns = connection.execute(_COLUMNS, {"oid": found.oid, "user_oid": FIRST_USER_OID}).all()
    indexes = connection.execute(_INDEXES, {"oid": found.oid}).all()
    relations = read_relations(connection, found.oid)
    connection.execute(_SEARCH_PATH, {"path": search_path})
    return Table(
        side=side,
        name=name,
        kind=found.kind,
        version=found.version,
        database=found.database,
        in_recovery=found.in_recovery,
        columns=tuple(
            Column(
                name=row.name,
                type=ColumnType(
                    sql=row.sql,
                    base=row.base,
                    send=(row.send_schema, row.send_name) if row.send_name else None,
                    portable=row.portable,
                ),
                not_null=row.not_null,
                has_default=row.has_default,
                is_generated=row.is_generated,
                is_identity=row.is_identity,
                collation=row.collation,
                deterministic=row.deterministic,
                encoding=row.encoding,
                never_null=row.name in relations.never_null,
                labels=tuple(row.labels),
            )
            for row in columns
        ),
        unique_keys=tuple(tuple(row.columns) for row in indexes if row.is_unique),
        indexes=tuple(tuple(map(IndexColumn, row.columns, row.sorted, row.by_bytes)) for row in indexes),
        relations=relations,
    )

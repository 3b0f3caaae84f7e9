"""What a server says about a table: its columns, their types, its keys and indexes.

Everything comes from pg_catalog by bound parameters; nothing here writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from copier.errors import ColumnMissing, Side, TableMissing
from copier.kinds import ColumnType
from copier.names import TableName
from copier.relations import Relations, read_relations
from copier.types import Types, collation_of


@dataclass(frozen=True, slots=True)
class Column:
    """One live column, in the table's order; ``encoding`` is that of its database.

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

_COLUMNS = text(f"""
    SELECT a.attname AS name,
           a.atttypid AS type_oid,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS sql,
           a.attnotnull AS not_null,
           a.atthasdef AS has_default,
           a.attgenerated <> '' AS is_generated,
           a.attidentity <> '' AS is_identity,
           {collation_of("a.attcollation")} AS collation,
           coalesce(l.collisdeterministic, true) AS deterministic,
           pg_catalog.getdatabaseencoding() AS encoding
      FROM pg_catalog.pg_attribute a
      LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
     WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attnum
""")  # noqa: S608 - of constants

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
    columns = connection.execute(_COLUMNS, {"oid": found.oid}).all()
    types = Types(connection, found.oid)
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
                type=types.column_type(row.type_oid, row.sql),
                not_null=row.not_null,
                has_default=row.has_default,
                is_generated=row.is_generated,
                is_identity=row.is_identity,
                collation=row.collation,
                deterministic=row.deterministic,
                encoding=row.encoding,
                never_null=row.name in relations.never_null,
            )
            for row in columns
        ),
        unique_keys=tuple(tuple(row.columns) for row in indexes if row.is_unique),
        indexes=tuple(tuple(map(IndexColumn, row.columns, row.sorted, row.by_bytes)) for row in indexes),
        relations=relations,
    )

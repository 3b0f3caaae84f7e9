"""What could be copied between two servers: tables with the liquidation's column, and the catalogue.

It looks at what the servers say of their tables, never at a row, and judges each pair by the engine's own
rules: what a copy would refuse is left out here with the same sentence. Sizes are those of the last ANALYZE.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, LiteralString

from psycopg import sql
from sqlalchemy import Engine

from copier.batch import driver_of, run_batch
from copier.connections import BoundedTransaction
from copier.errors import DEFAULT_NAMES, CopierError, SideNames, failures_of
from copier.model import Catalogue, CopySpec, TableName, Via
from copier.preview import Advice, missing_index
from copier.system_catalog import (
    FULL_ACCESS,
    KEY_COLUMNS,
    REFERENCED_COLUMNS,
    Column,
    Table,
    read_table,
    refuse_same_table,
)
from copier.table_slice import slices

#: What the servers' activity views show of it.
LABEL = "traspaso init"


@dataclass(frozen=True, slots=True)
class Server:
    """One side as it was found.

    ``version`` is the major one. ``role`` and ``database`` are plain names. ``is_here``: it is on this
    machine, or behind a socket. ``is_pooled``: a pooler such as PgBouncer stands before it.
    """

    side: str
    version: int
    database: str
    role: str
    is_superuser: bool
    is_standby: bool
    is_encrypted: bool
    is_here: bool
    is_pooled: bool


@dataclass(frozen=True, slots=True)
class Size:
    """What the last ANALYZE knows: ``rows`` is None without one. ``partitions`` counts the leaves."""

    rows: int | None
    bytes: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair of tables that can be copied.

    ``key`` names a row. ``parents`` are the candidates' source tables that its foreign keys refer to;
    ``needs`` are other tables of the target whose rows have to be there before. ``updates``: rows are updated
    in place. ``may_write``: the source's role could write. ``triggers`` fire before each row in the target.
    ``hides_rows`` names the sides whose tables have row-level security.
    """

    spec: CopySpec
    size: Size
    key: tuple[str, ...]
    advice: tuple[Advice, ...]
    parents: tuple[TableName, ...]
    needs: tuple[TableName, ...]
    updates: bool
    may_write: bool
    triggers: tuple[str, ...]
    hides_rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A table of the source that can't be copied as it is, and why. ``spec`` is None without a target."""

    table: TableName
    size: Size
    reason: str
    spec: CopySpec | None


@dataclass(frozen=True, slots=True)
class FoundCatalogue:
    """The catalogue, and what it was found by: a foreign key, or its name where ``by_name``."""

    catalogue: Catalogue
    why: str
    by_name: bool


@dataclass(frozen=True, slots=True)
class Discovery:
    """Both servers, and what could be copied between them: parents before what refers to them.

    ``through`` are pairs without the column, whose foreign keys lead to a candidate, if over several steps.
    """

    source: Server
    target: Server
    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]
    catalogue: FoundCatalogue | None
    through: tuple[Candidate, ...] = ()

    @property
    def sets(self) -> list[list[TableName]]:
        """Source tables that foreign keys tie together, two or more in each set."""
        groups: list[set[TableName]] = []
        for each in self.candidates:
            tied = {each.spec.source_table, *each.parents}
            for group in [group for group in groups if group & tied]:
                tied |= group
                groups.remove(group)
            groups.append(tied)
        order = [each.spec.source_table for each in self.candidates]
        return [[name for name in order if name in group] for group in groups if len(group) > 1]


def discover(
    source: Engine,
    target: Engine,
    column: str,
    *,
    names: SideNames = DEFAULT_NAMES,
    without_schemas: Sequence[str] = (),
    timeout_seconds: float = 30.0,
) -> Discovery:
    """Looks for tables with that ``column``, the liquidation's number. Writes nothing.

    Privileges that the roles lack are no obstacle: which ones there have to be follows from what is found.

    Raises:
        SameTable: both sides are one database.
        DatabaseFailed: a side can't be reached, or takes longer than ``timeout_seconds`` for one answer.
    """
    with (
        BoundedTransaction(source, names.source, LABEL, timeout_seconds) as source_look,
        BoundedTransaction(target, names.target, LABEL, timeout_seconds) as target_look,
    ):
        return _Looker(source_look, target_look, column, names, without_schemas).look()


# ----------------------------------------------------------------------------------------- what is asked


_SERVER: LiteralString = """
    SELECT current_setting('server_version_num')::int / 10000 AS version,
           current_database()::text AS database, current_user::text AS role,
           pg_catalog.pg_backend_pid() AS pid,
           (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS is_superuser,
           pg_catalog.pg_is_in_recovery() AS is_standby
"""

# Partitions and inheritance children belong to their parent.
_TABLES = """
    SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
           c.relrowsecurity AS hides_rows,
           pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE') AS may_write,
           {has_column} AS has_column, size.rows, size.bytes, size.partitions
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (
       WITH RECURSIVE tree (oid) AS (
         SELECT c.oid UNION
         SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
       SELECT CASE WHEN bool_and(l.reltuples >= 0) THEN sum(l.reltuples)::bigint END AS rows,
              coalesce(sum(l.relpages::bigint + coalesce(o.relpages, 0)), 0)::bigint
                * current_setting('block_size')::bigint AS bytes,
              count(*) FILTER (WHERE l.relispartition) AS partitions
         FROM tree JOIN pg_catalog.pg_class l ON l.oid = tree.oid AND l.relkind IN ('r', 'm', 'f')
         LEFT JOIN pg_catalog.pg_class o ON o.oid = l.reltoastrelid) size
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
       AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
       AND NOT n.nspname = ANY({without})
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
       AND {wanted}
     ORDER BY 1, 2
"""
_HAS_COLUMN = """EXISTS (SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attname = {column} AND a.attnum > 0 AND NOT a.attisdropped)"""

_FOREIGN_KEYS = f"""
    SELECT c.conname::text AS name, m.nspname::text AS schema, t.relname::text AS "table",
           n.nspname::text AS to_schema, r.relname::text AS to_table,
           {KEY_COLUMNS} AS columns, {REFERENCED_COLUMNS} AS to_columns
      FROM pg_catalog.pg_constraint c
      JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
      JOIN pg_catalog.pg_namespace m ON m.oid = t.relnamespace
      JOIN pg_catalog.pg_class r ON r.oid = c.confrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
     WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid <> c.confrelid
     ORDER BY 2, 3, 1
"""  # noqa: S608 - of constants

#: pg_class.relkind in words.
KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


@dataclass(frozen=True, slots=True)
class _Found:
    """A relation of one side."""

    name: TableName
    kind: str
    has_column: bool
    hides_rows: bool
    may_write: bool
    size: Size


class _Looker:
    """One look at both sides."""

    def __init__(
        self,
        source: BoundedTransaction,
        target: BoundedTransaction,
        column: str,
        names: SideNames,
        without_schemas: Sequence[str],
    ) -> None:
        self._source = source
        self._target = target
        self._column = column
        self._names = names
        self._without = list(without_schemas)

    def look(self) -> Discovery:
        has_column = sql.SQL(_HAS_COLUMN).format(column=sql.Literal(self._column))
        in_source = self._tables(self._source, has_column)
        names = sorted({each.name.name for each in in_source})
        same_name = sql.SQL("c.relname = ANY({})").format(_texts(names))
        in_target = self._tables(self._target, same_name)
        keys = {look.side: self._foreign_keys(look) for look in (self._source, self._target)}
        pairs = [(each, self._counterpart(each, in_target)) for each in in_source]
        judged = [self._judged(each, *found) for each, found in pairs]
        candidates = [each for each in judged if isinstance(each, Candidate)]
        known = {each.name for each in in_source}
        return Discovery(
            source=_server(self._source),
            target=_server(self._target),
            candidates=tuple(_parents_first(self._related(candidates, keys))),
            left_out=tuple(each for each in judged if isinstance(each, LeftOut)),
            catalogue=self._catalogue(in_source, keys[self._source.side]),
            through=tuple(self._through(candidates, known, keys[self._source.side])),
        )

    def _through(
        self, candidates: Sequence[Candidate], known: set[TableName], keys: list[Any]
    ) -> Iterator[Candidate]:
        """Those whose foreign keys lead to one of these, and then those that lead to them."""
        specs = {each.spec.source_table: each.spec for each in candidates}
        vias: dict[TableName, Via] = {}
        for key in keys:
            table, parent = TableName(key.schema, key.table), TableName(key.to_schema, key.to_table)
            if parent in specs and table not in known:
                vias.setdefault(table, Via(tuple(key.columns), specs[parent], tuple(key.to_columns)))
        if not vias:
            return
        same_name = sql.SQL("c.relname = ANY({})").format(_texts(sorted({name.name for name in vias})))
        in_source, in_target = (self._tables(look, same_name) for look in (self._source, self._target))
        found = []
        for each in in_source:
            if each.name not in vias:
                continue
            named = [other for other in in_target if other.name.name == each.name.name]
            same_schema = [other for other in named if other.name.schema == each.name.schema]
            counterpart = next(iter(same_schema or named), None)
            judged = self._judged(each, counterpart, "it isn't there", vias[each.name])
            if isinstance(judged, Candidate):
                found.append(judged)
        yield from found
        yield from self._through(found, known | vias.keys(), keys)

    def _tables(self, look: BoundedTransaction, wanted: sql.Composable) -> list[_Found]:
        has_column = sql.SQL(_HAS_COLUMN).format(column=sql.Literal(self._column))
        statement = sql.SQL(_TABLES).format(
            has_column=has_column, without=_texts(self._without), wanted=wanted
        )
        with failures_of(look.side):
            [rows] = run_batch(look.connection, statement)
        return [
            _Found(
                TableName(row.schema, row.name),
                row.kind,
                row.has_column,
                row.hides_rows,
                row.may_write,
                Size(row.rows, row.bytes, row.partitions),
            )
            for row in rows
        ]

    def _foreign_keys(self, look: BoundedTransaction) -> list[Any]:
        with failures_of(look.side):
            [rows] = run_batch(look.connection, _FOREIGN_KEYS)
        return rows

    # ------------------------------------------------------------------------------------------ one pair

    def _counterpart(self, of: _Found, in_target: list[_Found]) -> tuple[_Found | None, str]:
        """The target's table of that name: in the same schema, or the only one; or why there is none."""
        named = [each for each in in_target if each.name.name == of.name.name]
        fitting = [each for each in named if each.has_column]
        same_schema = [each for each in fitting if each.name.schema == of.name.schema]
        if found := same_schema or (fitting if len(fitting) == 1 else []):
            return found[0], ""
        there = ", ".join(str(each.name) for each in fitting or named)
        if fitting:
            return None, f"{self._names.target} has several tables of that name: {there}"
        if named:
            return None, f"{there} in {self._names.target} has no column {self._column}"
        return None, f"{self._names.target} has no table of that name"

    def _judged(
        self, found: _Found, counterpart: _Found | None, why: str, via: Via | None = None
    ) -> Candidate | LeftOut:
        if counterpart is None:
            return LeftOut(found.name, found.size, why, None)
        column = "" if via else self._column
        spec = CopySpec(found.name.name, found.name, counterpart.name, column, via=via)
        for side, each in ((self._names.source, found), (self._names.target, counterpart)):
            if each.kind in KINDS:
                return LeftOut(found.name, found.size, f"it is {KINDS[each.kind]} in {side}", spec)
        here, there = [each.source_table for each in spec.line], [each.target_table for each in spec.line]
        with failures_of(self._source.side):
            source = read_table(self._source.connection, self._source.side, *here)
        with failures_of(self._target.side):
            target = read_table(self._target.connection, self._target.side, *there)
        refuse_same_table(self._source.connection, self._target.connection, source, target, self._names)
        # Which privileges are missing is another question: the role that asks may be an administrator's.
        source, target = map(_allowed, (source, target))
        try:
            source_rows, target_rows = slices(spec, source, target, 1)
        except CopierError as error:
            return LeftOut(found.name, found.size, str(error), spec)
        return Candidate(
            spec=spec,
            size=found.size,
            key=source_rows.key,
            advice=(*missing_index(source_rows), *missing_index(target_rows)),
            parents=(),
            needs=(),
            updates=target_rows.in_place,
            may_write=found.may_write,
            triggers=tuple(each.name for each in target_rows.triggers if each.before),
            hides_rows=tuple(
                side
                for side, each in ((self._names.source, found), (self._names.target, counterpart))
                if each.hides_rows
            ),
        )

    # --------------------------------------------------------------------------------- what refers to what

    def _related(self, candidates: list[Candidate], keys: dict[str, list[Any]]) -> list[Candidate]:
        by_source = {each.spec.source_table: each.spec.source_table for each in candidates}
        by_target = {each.spec.target_table: each.spec.source_table for each in candidates}

        def references(table: TableName, side: str) -> list[TableName]:
            return [
                TableName(key.to_schema, key.to_table)
                for key in keys[side]
                if (key.schema, key.table) == (table.schema, table.name)
            ]

        def related(each: Candidate) -> Candidate:
            here = references(each.spec.source_table, self._source.side)
            there = references(each.spec.target_table, self._target.side)
            parents = [by_source[name] for name in here if name in by_source]
            parents += [by_target[name] for name in there if name in by_target]
            own = {each.spec.source_table}
            return replace(
                each,
                parents=tuple(sorted({*parents} - own)),
                needs=tuple(sorted({name for name in there if name not in by_target})),
            )

        return [related(each) for each in candidates]

    def _catalogue(self, in_source: list[_Found], keys: list[Any]) -> FoundCatalogue | None:
        """The table that most foreign keys of the liquidation's column refer to; or one of its name."""
        votes: dict[tuple[TableName, str], list[str]] = {}
        tables = {each.name for each in in_source}
        for key in keys:
            table = TableName(key.schema, key.table)
            if table in tables and key.columns == [self._column] and len(key.to_columns) == 1:
                vote = TableName(key.to_schema, key.to_table), key.to_columns[0]
                votes.setdefault(vote, []).append(f"the foreign key {key.name} of {table} refers to it")
        for (referred, number), whys in sorted(votes.items(), key=lambda vote: -len(vote[1])):
            return FoundCatalogue(self._described(self._read(referred), number), whys[0], by_name=False)
        for alike in self._named_alike():
            described = self._read(alike)
            for number in ("id", self._column):
                if (number,) in described.unique_keys and alike not in tables:
                    why = f"it has the name of the column {self._column}"
                    return FoundCatalogue(self._described(described, number), why, by_name=True)
        return None

    def _named_alike(self) -> list[TableName]:
        """Tables of the source that are called as the column is without its _id, or the plural of it."""
        stem = re.sub(r"(?i)_?(id|number|numero|nro|num)$", "", self._column) or self._column
        alike = sql.SQL("lower(c.relname) = ANY({})").format(
            _texts([f"{stem}{end}".lower() for end in ("s", "es", "")])
        )
        found = [each for each in self._tables(self._source, alike) if each.kind in {"r", "p"}]
        return [each.name for each in sorted(found, key=lambda each: -len(each.name.name))]

    def _read(self, name: TableName) -> Table:
        with failures_of(self._source.side):
            return read_table(self._source.connection, self._source.side, name)

    def _described(self, table: Table, number: str) -> Catalogue:
        others = [column for column in table.columns if column.name != number]
        return Catalogue(
            table=table.name,
            id_column=number,
            label_column=_chosen(others, LABELS, TEXTS, or_any=True) or number,
            changed_column=_chosen(others, CHANGES, MOMENTS),
            period_column=_chosen(others, PERIODS, {*TEXTS, "date", *MOMENTS}),
        )


# ------------------------------------------------------------------------------------- columns by their names


TEXTS = {"text", "character varying", "bpchar", "citext"}
MOMENTS = {"timestamp with time zone", "timestamp without time zone"}
#: What columns are called, in English and in Spanish, the likeliest first.
LABELS = (
    *("name", "nombre", "label", "title", "titulo", "título", "denominacion", "denominación"),
    *("description", "descripcion", "descripción", "detalle", "detail"),
)
PERIODS = (
    *("period", "periodo", "período", "month", "mes", "period_start", "period_date", "fecha_periodo"),
    *("period_from", "periodo_desde", "date", "fecha"),
)
CHANGES = (
    *("updated_at", "modified_at", "changed_at", "last_modified", "last_update", "actualizado_en"),
    *("actualizada_en", "modificado_en", "modificada_en", "fecha_modificacion", "fecha_actualizacion"),
    *("fecha_modificación", "fecha_actualización", "updated_on", "modified_on"),
)


def _chosen(
    columns: Sequence[Column], names: Sequence[str], types: set[str], *, or_any: bool = False
) -> str | None:
    """The first of the names that a column of one of the types has; else, if asked, any column of them."""
    fitting = [column.name for column in columns if column.type.kind.base.name in types]
    lowered = {name.lower(): name for name in reversed(fitting)}
    chosen = next((lowered[name] for name in names if name in lowered), None)
    return chosen or (fitting[0] if or_any and fitting else None)


# --------------------------------------------------------------------------------------------------- internal


def _allowed(table: Table) -> Table:
    """The same, as a role sees it that may do everything."""
    parent = None if table.parent is None else _allowed(table.parent)
    return replace(table, access=FULL_ACCESS, parent=parent)


def _server(look: BoundedTransaction) -> Server:
    with failures_of(look.side):
        [[row]] = run_batch(look.connection, _SERVER)
        driver = driver_of(look.connection)
    return Server(
        side=look.side,
        version=row.version,
        database=row.database,
        role=row.role,
        is_superuser=row.is_superuser,
        is_standby=row.is_standby,
        is_encrypted=bool(driver.pgconn.ssl_in_use),
        is_here=_is_here(driver.info.hostaddr, driver.info.host),
        is_pooled=driver.info.backend_pid != row.pid,  # a pooler gives its clients numbers of its own
    )


def _is_here(address: str, host: str) -> bool:
    try:
        return host.startswith("/") or ip_address(address).is_loopback
    except ValueError:
        return False


def _texts(values: Iterable[str]) -> sql.Composable:
    return sql.SQL("{}::text[]").format(sql.Literal(list(values)))


def _parents_first(candidates: list[Candidate]) -> Iterator[Candidate]:
    """The largest first, but none before what it refers to; a circle is begun with its largest."""
    left = sorted(candidates, key=lambda each: (-each.size.bytes, each.spec.source_table))
    placed: set[TableName] = set()
    while left:
        free = [each for each in left if {*each.parents} <= placed]
        chosen = (free or left)[0]
        left.remove(chosen)
        placed.add(chosen.spec.source_table)
        yield chosen

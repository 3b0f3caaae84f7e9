"""What a server says about a table: its columns and types, its keys and indexes, the tables behind it.

Everything is asked of the system catalog, several questions in one message. Nothing is written. A type is
read down to what it is made of, since two servers may have another type of the same name, and one extension's
type in two schemas: a domain has a base, an array its elements, a range its bounds, a composite its members
in their order.

A table stands for its partitions and inheritance children too, a view for the tables that it reads. What
holds for the table alone, such as NOT NULL or the foreign keys that refer to it, is asked of all of them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, LiteralString

from psycopg import sql
from sqlalchemy import Connection, text

from copier import privileges
from copier.batch import Rows, Statement, run_batch
from copier.errors import (
    ColumnMissing,
    PrivilegeMissing,
    ReadOnly,
    RowsHidden,
    SameTable,
    SideNames,
    TableMissing,
    failures_of,
)
from copier.model import TableName, quoted
from copier.privileges import Privilege

#: OIDs below this were given by hand, and are the same in every PostgreSQL (FirstGenbkiObjectId in its
#: sources); those below the other one are PostgreSQL's own too, but each version gives them anew.
FIRST_OWN_OID, FIRST_USER_OID = 10000, 16384

#: The OID of the collation "default", by which the strings in a jsonb are compared, and by which types such
#: as citext may compare whatever collation their column has.
DEFAULT_COLLATION = "100"

#: The only wrapper whose remote transactions keep one snapshot for as long as the local one lasts
#: (https://www.postgresql.org/docs/current/postgres-fdw.html, Transaction Management).
ONE_SNAPSHOT_WRAPPER = "postgres_fdw"

Form = Literal["base", "enum", "domain", "array", "range", "multirange", "composite"]
_FORMS: dict[str, Form] = {"e": "enum", "d": "domain", "r": "range", "m": "multirange", "c": "composite"}


#: The table's OID, of all relations behind it, and of those whose columns are the table's: settings of the
#: transaction, so that one message can find them and ask by them.
OID = "nullif(current_setting('traspaso.oid', true), '')::oid"
OIDS, FAMILY = "current_setting('traspaso.oids')::oid[]", "current_setting('traspaso.family')::oid[]"


# ------------------------------------------------------------------------------------------------------ types


@dataclass(frozen=True, slots=True)
class Kind:
    """A type as both sides can compare it: two that are equal are the same type.

    ``written`` is ``name`` with its modifier; a type of an extension is named by the extension, whatever its
    schema. ``details`` is what else makes it what it is: how a range sorts its bounds, how many decimals
    money has, how a type that isn't PostgreSQL's own is sent. ``parts`` are its base, elements, subtype,
    range or members, by their names.

    What isn't compared is known to one server only: whether it ``is_builtin``, its OID ``is_everywhere``,
    it ``has_binary`` form; the ``labels`` of an enum; the ``collations`` that it compares by; the schema of
    its ``operators``; how it is ``spelled``.
    """

    form: Form
    name: str
    written: str
    details: str = ""
    parts: tuple[tuple[str, Kind], ...] = ()
    is_builtin: bool = field(default=True, compare=False)
    is_everywhere: bool = field(default=True, compare=False)
    has_binary: bool = field(default=True, compare=False)
    labels: tuple[str, ...] = field(default=(), compare=False)
    collations: tuple[str, ...] = field(default=(), compare=False)
    operators: str = field(default="pg_catalog", compare=False)
    spelled: str = field(default="", compare=False)

    def all(self) -> Iterator[Kind]:
        """This type and all that it is made of."""
        yield self
        for _, part in self.parts:
            yield from part.all()

    @property
    def base(self) -> Kind:
        """What a domain is made of; else the type itself."""
        return self.parts[0][1].base if self.form == "domain" and self.parts else self

    @property
    def spellings(self) -> set[str]:
        """How the server writes what another may read as another value: money, by its lc_monetary."""
        return {each.spelled for each in self.all()}

    @property
    def names_objects(self) -> bool:
        """Whether it holds a regclass or its like: a number of one server, written as a name."""
        return any(_is_name(each) for each in self.all())

    def crosses_in_binary(self, *, with_oid: bool = False) -> bool:
        """Whether its binary form carries no OID that only one server knows.

        An array sends its elements ``with_oid`` of their type, and a composite its members.
        """
        if not self.has_binary or _is_name(self):
            return False
        if (with_oid or self.form == "composite") and not self.is_everywhere:
            return False
        inner = self.form in {"array", "composite"}
        return all(part.crosses_in_binary(with_oid=inner) for _, part in self.parts)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type. ``sql`` is how SQL writes it (``numeric(14,2)``); ``base`` drops the modifier.

    The base of ``character(9)`` is ``bpchar``, because ``character`` alone means one character.

    ``send`` is schema and name of the binary output function, None where the type has none;
    ``kind`` is what the type is, which the other side's can be compared with.
    """

    sql: str
    base: str
    send: tuple[str, str] | None
    kind: Kind

    @property
    def portable(self) -> bool:
        """Whether another server reads its binary form as the same value."""
        return self.send is not None and self.kind.crosses_in_binary()


def _is_name(kind: Kind) -> bool:
    return kind.is_builtin and kind.form == "base" and kind.name.startswith("reg")


def collation_of(oid: str) -> str:
    """The SQL for what a collation with this OID sorts by: provider, locale and version. NULL for none.

    to_jsonb reads columns of the system catalog that only some versions have (colllocale since 17,
    datlocprovider since 15).
    """
    return f"""(
        SELECT CASE WHEN l.collprovider = 'd' THEN concat_ws(':',
                 to_jsonb(d) ->> 'datlocprovider', to_jsonb(d) ->> 'datlocale',
                 to_jsonb(d) ->> 'daticulocale', d.datcollate, to_jsonb(d) ->> 'datcollversion')
               ELSE concat_ws(':',
                 l.collprovider::text, to_jsonb(l) ->> 'colllocale', to_jsonb(l) ->> 'colliculocale',
                 l.collcollate, pg_catalog.pg_collation_actual_version(l.oid)) END
          FROM pg_catalog.pg_collation l
          JOIN pg_catalog.pg_database d ON d.datname = current_database()
         WHERE l.oid = {oid})"""  # noqa: S608 - a column's name


# The empty search_path, under which this is asked, makes format_type qualify every name that isn't
# PostgreSQL's own. A modifier of -1, unlike NULL, writes types that hold any length: bpchar and "bit".
# The types come as an array, because a join with them would read all types that the server has.
_TYPES = f"""
    WITH RECURSIVE reached (oid) AS (
      SELECT a.atttypid FROM pg_catalog.pg_attribute a
       WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
      UNION
      SELECT part.oid
        FROM reached
        JOIN pg_catalog.pg_type t ON t.oid = reached.oid
        LEFT JOIN pg_catalog.pg_range r ON t.oid IN (r.rngtypid, r.rngmultitypid)
       CROSS JOIN LATERAL (
         SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype WHEN 'r' THEN r.rngsubtype
                               WHEN 'm' THEN r.rngtypid ELSE t.typelem END
         UNION ALL
         SELECT m.atttypid FROM pg_catalog.pg_attribute m
          WHERE t.typtype = 'c' AND m.attrelid = t.typrelid AND m.attnum > 0 AND NOT m.attisdropped
       ) part (oid)
       WHERE part.oid <> 0)
    SELECT t.oid, t.typname::text AS name, t.typtype::text AS form,
           pg_catalog.format_type(t.oid, -1) AS base,
           CASE WHEN e.typarray = t.oid THEN e.oid END AS element,
           t.typbasetype AS domain_oid, pg_catalog.format_type(t.typbasetype, t.typtypmod) AS domain_sql,
           r.rngtypid AS range, r.rngsubtype AS subtype,
           concat_ws(' ', o.opcname, c.proname, nullif(r.rngcollation, 0)::regcollation) AS sorts,
           {collation_of("r.rngcollation")} AS collation,
           CASE WHEN t.oid = 'pg_catalog.jsonb'::regtype OR t.typcollation <> 0 AND t.oid >= {FIRST_USER_OID}
                THEN concat_ws(':', {collation_of(DEFAULT_COLLATION)},
                  (SELECT d.datctype FROM pg_catalog.pg_database d WHERE d.datname = current_database()))
                END AS own_collation,
           member.names, member.oids, member.sqls, member.collations,
           x.extname::text AS extension,
           fn.nspname AS send_schema, f.proname AS send_name,
           t.typsend <> 0 AND t.typreceive <> 0 AS has_binary,
           ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l
                  WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder) AS labels,
           coalesce((SELECT n.nspname
              FROM pg_catalog.pg_opclass c
              JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
              JOIN pg_catalog.pg_amop p ON p.amopfamily = c.opcfamily AND p.amopstrategy = 3
                   AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
              JOIN pg_catalog.pg_operator b ON b.oid = p.amopopr
              JOIN pg_catalog.pg_namespace n ON n.oid = b.oprnamespace
             WHERE c.opcintype = t.oid AND c.opcdefault LIMIT 1), 'pg_catalog') AS operators,
           CASE WHEN t.oid = 'pg_catalog.money'::regtype
                THEN pg_catalog.cash_send(1::bigint::money) END AS one_money,
           CASE WHEN t.oid = 'pg_catalog.money'::regtype
                THEN (-1234567)::bigint::money::text END AS spelled
      FROM pg_catalog.pg_type t
      LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
      LEFT JOIN pg_catalog.pg_range r ON t.oid IN (r.rngtypid, r.rngmultitypid)
      LEFT JOIN pg_catalog.pg_opclass o ON o.oid = r.rngsubopc
      LEFT JOIN pg_catalog.pg_proc c ON c.oid = r.rngcanonical
      LEFT JOIN pg_catalog.pg_proc f ON f.oid = t.typsend
      LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace
      LEFT JOIN LATERAL (
        SELECT array_agg(m.attname::text ORDER BY m.attnum) AS names,
               array_agg(m.atttypid ORDER BY m.attnum) AS oids,
               array_agg(pg_catalog.format_type(m.atttypid, m.atttypmod) ORDER BY m.attnum) AS sqls,
               array_agg({collation_of("m.attcollation")} ORDER BY m.attnum) AS collations
          FROM pg_catalog.pg_attribute m
         WHERE t.typtype = 'c' AND m.attrelid = t.typrelid AND m.attnum > 0 AND NOT m.attisdropped) member
        ON true
      LEFT JOIN LATERAL (
        SELECT x.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
         WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
           AND (d.classid = 'pg_catalog.pg_type'::regclass AND d.objid IN (t.oid, r.rngtypid)
                OR d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = t.typrelid)
         LIMIT 1) x ON true
     WHERE t.oid = ANY (ARRAY(SELECT reached.oid FROM reached))
"""  # noqa: S608 - of constants


class Types:
    """All types that a table's columns reach."""

    def __init__(self, found: Rows) -> None:
        self._rows = {row.oid: row for row in found}

    def column_type(self, oid: int, written: str) -> ColumnType:
        """Of a column of this type, as format_type writes it with the column's modifier."""
        row = self._rows[oid]
        send = (row.send_schema, row.send_name) if row.send_name else None
        return ColumnType(written, row.base, send, self._kind(oid, written, ()))

    def _kind(self, oid: int, written: str, above: tuple[int, ...]) -> Kind:
        row = self._rows[oid]
        above = (*above, oid)

        def part(name: str, inner: int, sql: str | None = None) -> tuple[tuple[str, Kind], ...]:
            if inner in above:  # no server lets a type hold itself
                return ()
            return ((name, self._kind(inner, sql or self._rows[inner].base, above)),)

        own: dict[str, Any] = {
            "is_builtin": oid < FIRST_USER_OID,
            "is_everywhere": oid < FIRST_OWN_OID,
            "has_binary": row.has_binary,
        }
        if row.element is not None:
            [(_, element)] = part("element", row.element, written.removesuffix("[]"))
            name, written = f"{element.name}[]", f"{element.written}[]"
            own |= {"is_builtin": element.is_builtin}
            return Kind("array", name, written, parts=(("element", element),), **own)
        form = _FORMS.get(row.form, "base")
        name, written = _named(row, written, is_builtin=oid < FIRST_USER_OID)
        match form:
            case "domain":
                return Kind(form, name, name, parts=part("base", row.domain_oid, row.domain_sql), **own)
            case "range":
                own |= {"collations": _some(row.collation)}
                return Kind(form, name, name, row.sorts, part("subtype", row.subtype), **own)
            case "multirange":
                return Kind(form, name, name, parts=part("range", row.range), **own)
            case "composite":
                members = zip(row.names or (), row.oids or (), row.sqls or (), strict=True)
                parts = tuple(each for member in members for each in part(*member))
                own |= {"collations": _some(*(row.collations or ()))}
                return Kind(form, name, name, parts=parts, **own)
            case "enum":
                return Kind(form, name, name, labels=tuple(row.labels), **own)
        own |= {"operators": row.operators, "spelled": row.spelled or ""}
        return Kind("base", name, written, _details(row, oid), collations=_some(row.own_collation), **own)


def _named(row: Any, written: str, *, is_builtin: bool) -> tuple[str, str]:
    """The type's name, and the same with its modifier."""
    if is_builtin:
        return row.base, written
    modifier = written.removeprefix(row.base)
    if row.extension is None:
        return row.base, row.base + modifier
    return f"{row.name} of extension {row.extension}", f"{row.name}{modifier} of extension {row.extension}"


def _details(row: Any, oid: int) -> str:
    if row.one_money is not None:
        decimals = len(str(int.from_bytes(row.one_money, "big"))) - 1
        return f"{decimals} decimals"
    if oid < FIRST_USER_OID:
        return ""
    function = row.send_name or "no function"
    return function if row.extension or not row.send_name else f"{row.send_schema}.{function}"


def _some(*found: str | None) -> tuple[str, ...]:
    return tuple(each for each in found if each is not None)


# ------------------------------------------------------------------------------ the relations behind one name


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation. ``kind`` is pg_class.relkind; ``server`` and ``wrapper`` are those of a foreign table.

    ``rewritten``: its file is another one now than in the transaction's snapshot: a rewrite that
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
class Action:
    """A foreign key to a table, with an ON DELETE or ON UPDATE that changes the rows that refer to it.

    ``constraint`` and ``table`` are the plain names of the key and of the table that refers, whose OID is
    ``child``; ``name`` is both as SQL writes them. ``on_delete``: it acts where a row is deleted.
    """

    name: str
    constraint: str
    table: str
    child: int
    on_delete: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key by which rows refer to another ``table``: ``columns`` to its ``referenced`` ones, in this
    order.

    ``can_be_followed``: it is enforced for all rows of the table, and the role may read the other one.
    """

    name: str
    table: TableName
    columns: tuple[str, ...]
    referenced: tuple[str, ...]
    can_be_followed: bool


@dataclass(frozen=True, slots=True)
class Relations:
    """All relations behind one table, itself first, and what stands in the way there.

    ``never_null`` are the columns that hold no NULL in any of them, by constraints that were validated.
    ``actions`` are the foreign keys to its rows that would carry a DELETE or an UPDATE on to those that refer
    to them; ``counts_rows``: the server counts which rows a transaction changes, so that it is seen whether
    they did. ``may_be_replaced``: a row to which others refer may be deleted and inserted again in one
    statement. ``rules`` do something beside, or in the place of, a write. ``is_referenced``: foreign keys
    point to rows; ``carried_on`` are the columns of which they would carry an UPDATE on. ``references`` are
    the foreign keys by which rows refer to other tables.
    ``inherited``: there are inheritance children, for which a unique index of the parent doesn't hold.
    """

    all: tuple[Relation, ...]
    never_null: frozenset[str]
    actions: tuple[Action, ...]
    counts_rows: bool
    may_be_replaced: bool
    rules: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    is_referenced: bool
    carried_on: frozenset[str]
    references: tuple[Reference, ...]
    inherited: bool

    @property
    def alters_updated_alone(self) -> bool:
        """Whether triggers may alter a row that is updated, and none one that is deleted or inserted."""
        before = [each.on for each in self.triggers if each.before]
        return bool(before) and all(on == {"UPDATE"} for on in before)

    @property
    def cascading(self) -> tuple[str, ...]:
        """The foreign keys that would carry a DELETE on."""
        return tuple(each.name for each in self.actions if each.on_delete)

    @property
    def foreign(self) -> tuple[Relation, ...]:
        return tuple(each for each in self.all if each.kind == "f")

    @property
    def rewritten(self) -> bool:
        return any(each.rewritten for each in self.all)


def several_moments(relations: Iterable[Relation]) -> str | None:
    """Why no one snapshot holds the rows of all these relations; None where one does.

    A remote transaction has a snapshot of its own, taken a moment after the local one: rows that move
    between servers at that moment would be in none of them.
    """
    relations = tuple(relations)
    foreign = [each for each in relations if each.kind == "f"]
    for each in foreign:
        if each.wrapper != ONE_SNAPSHOT_WRAPPER:
            return f"{each.name} is a foreign table of {each.wrapper}, which keeps no snapshot"
    servers = sorted({each.server or "?" for each in foreign})
    if len(servers) > 1:
        return f"they are on the servers {', '.join(servers)}"
    local = [each.name for each in relations if each.has_rows and each.kind != "f"]
    if foreign and local:
        return f"{foreign[0].name} is on the server {servers[0]}, {local[0]} is here"
    return None


def _columns_of_key(numbers: str, table: str) -> str:
    return f"""ARRAY(SELECT a.attname::text FROM unnest(c.{numbers}) WITH ORDINALITY AS k (number, place)
                   JOIN pg_catalog.pg_attribute a ON a.attrelid = c.{table} AND a.attnum = k.number
                  ORDER BY k.place)"""  # noqa: S608 - columns' names


#: The columns of a foreign key ``c``, and those that it refers to, in the key's order.
KEY_COLUMNS = _columns_of_key("conkey", "conrelid")
REFERENCED_COLUMNS = _columns_of_key("confkey", "confrelid")

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

_RELATIONS = (
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
_NEVER_NULL = """
    SELECT a.attname::text FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_attribute b ON b.attrelid = c.oid AND b.attname = a.attname
        WHERE c.oid = ANY(:family) AND (c.relkind = 'f' OR NOT b.attnotnull OR EXISTS (
          SELECT FROM pg_catalog.pg_constraint n
           WHERE n.conrelid = c.oid AND n.contype = 'n' AND n.conkey = ARRAY[b.attnum]
             AND NOT n.convalidated)))
"""

# A constraint or trigger that a partition has from its parent is listed once, as the parent's where that is
# among the relations.
_FOREIGN_KEYS = """
    SELECT pg_catalog.quote_ident(c.conname) || ' of ' || c.conrelid::regclass::text AS name,
           c.conname::text AS constraint, c.conrelid AS child,
           (SELECT t.relname::text FROM pg_catalog.pg_class t WHERE t.oid = c.conrelid) AS table,
           c.confdeltype IN ('c', 'n', 'd') AS on_delete,
           c.confdeltype IN ('c', 'n', 'd') OR c.confupdtype IN ('c', 'n', 'd') AS acts,
           c.confdeltype <> 'a' AS keeps_row,
           current_setting('track_counts')::boolean AS counts_rows,
           ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                  WHERE c.confupdtype IN ('c', 'n', 'd') AND a.attrelid = c.confrelid
                    AND a.attnum = ANY(c.confkey)) AS carried_on
      FROM pg_catalog.pg_constraint c
     WHERE c.contype = 'f' AND c.confrelid = ANY(:oids)
       AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'  -- since 18
       AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = c.conparentid AND p.confrelid = ANY(:oids))
     ORDER BY 1
"""

_REFERENCES = f"""
    SELECT c.conname::text AS name, n.nspname::text AS schema, t.relname::text AS table,
           {KEY_COLUMNS} AS columns, {REFERENCED_COLUMNS} AS referenced,
           c.conrelid = :oid AND c.conparentid = 0
             AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'  -- since 18
             AND pg_catalog.has_table_privilege(t.oid, 'SELECT') AS can_be_followed
      FROM pg_catalog.pg_constraint c
      JOIN pg_catalog.pg_class t ON t.oid = c.confrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
     WHERE c.contype = 'f' AND c.conrelid = ANY(:oids) AND NOT c.confrelid = ANY(:oids)
     ORDER BY c.conname
"""  # noqa: S608 - of constants

# INSTEAD rules of a view are how it is written to; all others do more, or less, than they are asked for.
_RULES = """
    SELECT pg_catalog.quote_ident(w.rulename) || ' on ' || c.oid::regclass::text
      FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
     WHERE c.oid = ANY(:oids) AND w.ev_type <> '1' AND w.ev_enabled IN ('O', 'A')
       AND NOT (c.relkind = 'v' AND w.is_instead)
     ORDER BY 1
"""

# Of tgtype: 1 each row, 2 BEFORE, 4 INSERT, 8 DELETE, 16 UPDATE, 64 INSTEAD OF.
_TRIGGERS = """
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
"""


def _relations(answers: list[Rows]) -> Relations:
    """What is behind a table, as the answers tell."""
    found, never_null, keys, references, rules, triggers = answers
    relations = tuple(
        Relation(row.oid, row.kind, row.name, row.server, row.wrapper, row.rewritten) for row in found
    )
    return Relations(
        all=relations,
        never_null=frozenset(name for (name,) in never_null),
        actions=tuple(
            Action(key.name, key.constraint, key.table, key.child, key.on_delete) for key in keys if key.acts
        ),
        counts_rows=all(key.counts_rows for key in keys),
        may_be_replaced=not any(key.keeps_row for key in keys),
        rules=tuple(name for (name,) in rules),
        triggers=tuple(Trigger(row.name, frozenset(row.on), row.before) for row in triggers),
        is_referenced=bool(keys),
        carried_on=frozenset(name for key in keys for name in key.carried_on),
        references=tuple(
            Reference(
                row.name,
                TableName(row.schema, row.table),
                tuple(row.columns),
                tuple(row.referenced),
                row.can_be_followed,
            )
            for row in references
        ),
        inherited=relations[0].kind == "r" and len(relations) > 1,
    )


# -------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Column:
    """One live column, in the table's order; ``encoding`` is that of its database.

    ``not_null`` is declared; ``never_null`` holds, also in the partitions and children of the table.
    ``is_always``: GENERATED ALWAYS AS IDENTITY, which no UPDATE may set.
    """

    name: str
    type: ColumnType
    not_null: bool
    has_default: bool
    is_generated: bool
    is_identity: bool
    is_always: bool
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
class Access:
    """What the ``role`` may do with a table, by the system catalog.

    ``lacks`` are the privileges that it has not, of those that reading and writing the table needs.
    ``hidden``: row-level security applies to it. ``may_identify``: it may ask which server this is.
    ``read_only`` is the default of its transactions. ``role`` is written as SQL writes it, ``database`` is
    its plain name.
    """

    role: str
    database: str
    lacks: tuple[Privilege, ...]
    hidden: bool
    read_only: bool
    may_identify: bool = True


#: Of a role that may do everything.
FULL_ACCESS = Access(
    role="owner",
    database="",
    lacks=(),
    hidden=False,
    read_only=False,
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view as one side has it.

    ``deferrable`` names unique constraints that can't find a row, because they may be broken for a while.
    ``version`` is the server's, such as 18, and ``database`` the OID of its database there; ``in_recovery``:
    the server is a standby. ``relations`` are those behind the name. ``parent`` is the table through which
    its rows belong to a liquidation, where they have no column for it. ``started`` is when the server began,
    in seconds to the microsecond: no two of them have the same.
    """

    side: str
    name: TableName
    kind: str
    version: int
    database: int
    in_recovery: bool
    columns: tuple[Column, ...]
    unique_keys: tuple[tuple[str, ...], ...]
    indexes: tuple[tuple[IndexColumn, ...], ...]
    relations: Relations
    deferrable: tuple[str, ...] = ()
    access: Access = FULL_ACCESS
    started: str = ""
    parent: Table | None = None

    @property
    def line(self) -> tuple[Table, ...]:
        """This table, then those through which its rows belong."""
        return (self,) if self.parent is None else (self, *self.parent.line)

    def refuse_unreadable(self) -> None:
        """Raises PrivilegeMissing, or RowsHidden where row-level security hides rows from the role.

        Those of the tables through which the rows belong count as well.
        """
        for table in self.line:
            table._refuse(privileges.of_reading(table.name))
            if table.access.hidden:
                raise RowsHidden(table.side, table.access.role, str(table.name))

    def refuse_unwritable(self, *, updates: bool) -> None:
        """Raises PrivilegeMissing or ReadOnly; ``updates`` says that rows are updated in place."""
        if self.access.read_only:
            raise ReadOnly(self.side, self.access.role, quoted(self.access.database))
        self._refuse(privileges.of_writing(self.name, updates=updates))

    def _refuse(self, needed: Sequence[Privilege]) -> None:
        wanted = {each.identity for each in needed}
        lacks = [each for each in self.access.lacks if each.identity in wanted]
        if lacks:
            named = privileges.by_object(each.in_database(self.access.database) for each in lacks)
            raise PrivilegeMissing(self.side, self.access.role, named, str(self.name))

    @property
    def several_moments(self) -> str | None:
        """Why no one snapshot holds all rows, and those through which they belong; None where one does."""
        return several_moments(each for table in self.line for each in table.relations.all)

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"

    @property
    def is_shareable(self) -> bool:
        """Whether several sessions can read it at one and the same moment: see `copier.snapshot`."""
        alone = any(table.relations.foreign or table.kind == "v" for table in self.line)
        return not (self.in_recovery or alone)

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


_FIND: LiteralString = """
    SELECT set_config('traspaso.oid', coalesce((
      SELECT c.oid::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = {schema} AND c.relname = {name} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ), ''), true)
"""

_TABLE = """
    SELECT c.oid, c.relkind::text AS kind, current_setting('server_version_num')::int / 10000 AS version,
           (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) AS database,
           pg_catalog.pg_is_in_recovery() AS in_recovery,
           extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text AS started
      FROM pg_catalog.pg_class c WHERE c.oid = :oid
"""

_ACCESS = """
    SELECT quote_ident(current_user) AS role, current_database() AS database,
           pg_catalog.row_security_active(c.oid) AS hidden,
           (SELECT bool_and(pg_catalog.has_function_privilege(asked, 'EXECUTE'))
              FROM unnest(ARRAY['pg_control_system()', 'pg_control_recovery()', 'pg_walfile_name(pg_lsn)',
                                'pg_current_wal_insert_lsn()']) AS asked
           ) AND pg_catalog.has_table_privilege('pg_catalog.pg_stat_bgwriter', 'SELECT') AS may_identify,
           (SELECT s.reset_val = 'on' FROM pg_catalog.pg_settings s
             WHERE s.name = 'default_transaction_read_only') AS read_only
      FROM pg_catalog.pg_class c WHERE c.oid = :oid
"""

_DEFERRABLE = """
    SELECT pg_catalog.quote_ident(c.conname) AS name FROM pg_catalog.pg_constraint c
     WHERE c.conrelid = :oid AND c.contype IN ('p', 'u') AND c.condeferrable ORDER BY 1
"""

# A view's own columns say nothing of NULL, and columns of other names stand behind them.
_FIND_ALL = (
    "SELECT set_config('traspaso.oids', coalesce(("  # noqa: S608 - of literals
    + _TREE
    + "SELECT array_agg(c.oid)::text FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid "
    "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')), '{}'), true)"
)
_FIND_FAMILY = """
    SELECT set_config('traspaso.family', CASE WHEN EXISTS (
      SELECT FROM pg_catalog.pg_class c WHERE c.oid = :oid AND c.relkind <> 'v')
      THEN :oids ELSE ARRAY[:oid] END::text, true)
"""

_KEEP_SEARCH_PATH = "SELECT set_config('traspaso.search_path', current_setting('search_path'), true)"
_EMPTY_SEARCH_PATH = "SELECT set_config('search_path', '', true)"
_SEARCH_PATH = "SELECT set_config('search_path', current_setting('traspaso.search_path'), true)"

_COLUMNS = f"""
    SELECT a.attname AS name,
           a.atttypid AS type_oid,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS sql,
           a.attnotnull AS not_null,
           a.atthasdef AS has_default,
           a.attgenerated <> '' AS is_generated,
           a.attidentity <> '' AS is_identity,
           a.attidentity = 'a' AS is_always,
           {collation_of("a.attcollation")} AS collation,
           coalesce(l.collisdeterministic, true) AS deterministic,
           pg_catalog.getdatabaseencoding() AS encoding
      FROM pg_catalog.pg_attribute a
      LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
     WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attnum
"""  # noqa: S608 - of constants

_INDEXES = """
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
"""


def read_table(connection: Connection, side: str, *names: TableName) -> Table:
    """The first of these tables as this server has it now, with those through which its rows belong.

    Raises:
        TableMissing: there is no such table or view.
    """
    return table_of(side, names, run_batch(connection, *questions(*names)))


def questions(*names: TableName) -> list[Statement]:
    """All that is asked of the tables, for `table_of`; in a transaction, which keeps its search_path."""
    return [each for name in names for each in _questions(name)]


def _questions(name: TableName) -> list[Statement]:
    find = sql.SQL(_FIND).format(schema=sql.Literal(name.schema), name=sql.Literal(name.name))
    before = (_KEEP_SEARCH_PATH, _EMPTY_SEARCH_PATH, _FIND_ALL, _FIND_FAMILY)
    own = (_TABLE, _COLUMNS, _TYPES, _INDEXES, _DEFERRABLE, _ACCESS)
    related = (_RELATIONS, _NEVER_NULL, _FOREIGN_KEYS, _REFERENCES, _RULES, _TRIGGERS)
    asked = (_by_settings(each) for each in (*before, *own, *related))
    return [find, *asked, privileges.question(_asked_of(name)), _by_settings(_SEARCH_PATH)]


def _asked_of(name: TableName) -> list[Privilege]:
    """What a copy may need on the table."""
    return privileges.of_writing(name, updates=True)


def _by_settings(question: str) -> sql.Composable:
    """The question, of the table and the relations that the transaction's settings name."""
    settings = {"oid": OID, "oids": OIDS, "family": FAMILY}
    return sql.SQL(re.sub(r"(?<!:):(oids|oid|family)\b", lambda found: settings[found[1]], question))


def table_of(side: str, names: Sequence[TableName], answers: list[Rows]) -> Table:
    """The first of these tables, from the rows that each of the `questions` gave; the others are its parents.

    Raises:
        TableMissing: there is no such table or view.
    """
    return tables_of(side, [names], answers)[names[0]]


def tables_of(side: str, lines: Sequence[Sequence[TableName]], answers: list[Rows]) -> dict[TableName, Table]:
    """The first table of each of these lines, with the others as its parents; each was asked about once.

    ``answers`` are those to the `questions` about `names_in` the lines.

    Raises:
        TableMissing: there is no such table or view.
    """
    names = names_in(lines)
    each = len(answers) // len(names)
    found = {
        name: _table_of(side, name, answers[place * each : (place + 1) * each])
        for place, name in enumerate(names)
    }
    return {line[0]: _with_parents([found[name] for name in line]) for line in lines}


def names_in(lines: Iterable[Sequence[TableName]]) -> list[TableName]:
    """All tables of the lines, each once."""
    return [*dict.fromkeys(name for line in lines for name in line)]


def _with_parents(line: Sequence[Table]) -> Table:
    table, *behind = line
    return replace(table, parent=_with_parents(behind)) if behind else table


def _table_of(side: str, name: TableName, answers: list[Rows]) -> Table:
    tables, columns, of_types, indexes, deferrable, accesses, *of_relations, lacking = answers[5:-1]
    if not tables:
        raise TableMissing(side, str(name))
    [found], [access] = tables, accesses
    asked = _asked_of(name)
    types = Types(of_types)
    relations = _relations(of_relations)
    return Table(
        side=side,
        name=name,
        kind=found.kind,
        version=found.version,
        database=found.database,
        in_recovery=found.in_recovery,
        started=found.started,
        columns=tuple(
            Column(
                name=row.name,
                type=types.column_type(row.type_oid, row.sql),
                not_null=row.not_null,
                has_default=row.has_default,
                is_generated=row.is_generated,
                is_identity=row.is_identity,
                is_always=row.is_always,
                collation=row.collation,
                deterministic=row.deterministic,
                encoding=row.encoding,
                never_null=row.name in relations.never_null,
            )
            for row in columns
        ),
        unique_keys=tuple(tuple(row.columns) for row in indexes if row.is_unique),
        indexes=tuple(tuple(map(IndexColumn, row.columns, row.sorted, row.by_bytes)) for row in indexes),
        deferrable=tuple(each.name for each in deferrable),
        relations=relations,
        access=Access(
            role=access.role,
            database=access.database,
            lacks=tuple(asked[place] for (place,) in lacking),
            hidden=access.hidden,
            read_only=access.read_only,
            may_identify=access.may_identify,
        ),
    )


# --------------------------------------------------------------------------- whether both sides are one table


# A lock that nobody else has, for as long as the transaction lasts: whoever sees it is on the same server.
# The system identifier doesn't show that, because a copy of a cluster keeps it.
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


def may_be_same(source: Table, target: Table) -> bool:
    """Whether rows of both may come from one table: what each server says of itself doesn't rule it out."""
    source_oids = {each.oid for each in source.relations.all if each.has_rows}
    target_oids = {each.oid for each in target.relations.all if each.has_rows}
    if source.database != target.database or not source_oids & target_oids:
        return False
    return source.in_recovery or source.started == target.started


def refuse_same_table(
    source_connection: Connection,
    target_connection: Connection,
    source: Table,
    target: Table,
    names: SideNames,
) -> None:
    """Both connections are inside a transaction.

    Raises:
        SameTable: rows of both come from the same table of the same database, or of its standby.
    """
    if not may_be_same(source, target):
        return
    sides = SideNames(source.side, target.side)
    if is_one_database(
        source_connection, target_connection, sides, database=source.database, in_recovery=source.in_recovery
    ):
        raise SameTable(str(target.name), names)


def is_one_database(
    source_connection: Connection,
    target_connection: Connection,
    names: SideNames,
    *,
    database: int,
    in_recovery: bool,
) -> bool:
    """Whether two databases with this OID, in each of which a transaction is open, are one and the same.

    ``in_recovery``: the source is a standby. Then it is whether it follows the target's server.
    """
    if in_recovery:
        with failures_of(names.source):
            here = source_connection.execute(_CLUSTER).one()
        with failures_of(names.target):
            return bool(here == target_connection.execute(_CLUSTER).one())
    mark = {"high": secrets.randbits(31), "low": secrets.randbits(31)}
    with failures_of(names.target):
        target_connection.execute(_MARK, mark)
    with failures_of(names.source):
        return bool(source_connection.execute(_SEEN, {**mark, "database": database}).scalar_one())

"""Asks a server what the types of a table's columns are, down to what they are made of.

Everything comes from pg_catalog by bound parameters.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from copier.kinds import ColumnType, Form, Kind

#: OIDs below this were given by hand, and are the same in every PostgreSQL (FirstGenbkiObjectId in its
#: sources); those below the other one are PostgreSQL's own too, but each version gives them anew.
FIRST_OWN_OID, FIRST_USER_OID = 10000, 16384

#: The OID of the collation "default", by which the strings in a jsonb are compared, and by which types such
#: as citext may compare whatever collation their column has.
DEFAULT_COLLATION = "100"

_FORMS: dict[str, Form] = {"e": "enum", "d": "domain", "r": "range", "m": "multirange", "c": "composite"}


def collation_of(oid: str) -> str:
    """The SQL for what a collation with this OID sorts by: provider, locale and version. NULL for none.

    to_jsonb reads catalog columns that only some versions have (colllocale since 17, datlocprovider
    since 15).
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
_TYPES = text(f"""
    WITH RECURSIVE reached (oid) AS (
      SELECT a.atttypid FROM pg_catalog.pg_attribute a
       WHERE a.attrelid = :table AND a.attnum > 0 AND NOT a.attisdropped
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
      FROM reached
      JOIN pg_catalog.pg_type t ON t.oid = reached.oid
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
""")  # noqa: S608 - of constants


class Types:
    """All types that a table's columns reach."""

    def __init__(self, connection: Connection, table_oid: int) -> None:
        """Asks the server, in a transaction whose search_path is empty."""
        self._rows = {row.oid: row for row in connection.execute(_TYPES, {"table": table_oid})}

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

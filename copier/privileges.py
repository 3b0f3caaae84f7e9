"""What a copy needs to be allowed on both sides: each privilege, what it is needed for, and its GRANT.

The lists are pure: they come from what is configured, so the SQL for both roles is known before anything is
connected to. With a connection the server is asked which of them the role lacks, by `question`: the same
question that `copier.system_catalog` asks of every table, and by which a preview refuses what can't be
copied.

Column privileges count as the table's: of columns any will do, as a copy asks for those that both sides have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from psycopg import sql
from sqlalchemy import Connection

from copier.batch import run_batch
from copier.errors import grant
from copier.model import Catalogue, CopySpec, TableName, quoted

Kind = Literal["DATABASE", "SCHEMA", "TABLE", "SEQUENCE", "ROLE"]

#: Lets a role see how far standbys are, and what it is to be a member of for that.
STATISTICS, MONITOR = "pg_read_all_stats", "pg_monitor"


class Purpose(StrEnum):
    """What a privilege is needed for."""

    CONNECT = "connect"
    PREVIEW = "preview"
    SEARCH = "search the catalogue"
    SNAPSHOT = "lock the table and take the snapshot"
    COPY = "copy"
    STAGE = "stage rows in a temporary table"
    UPDATE = "update rows in place"
    VERIFY = "compare both sides"
    PAUSE = "pause while a standby lags"
    MIGRATE = "create and migrate the tracking tables"
    RECORD = "keep the tracking tables"


READING = (Purpose.PREVIEW, Purpose.SNAPSHOT, Purpose.COPY, Purpose.VERIFY)
IN_TARGET = (Purpose.PREVIEW, Purpose.COPY, Purpose.VERIFY)
OF_TARGET = (*IN_TARGET, Purpose.STAGE, Purpose.UPDATE)


@dataclass(frozen=True, slots=True)
class Privilege:
    """One privilege on one object, such as SELECT on TABLE public.items.

    ``schema`` is that of a table or a sequence. ``object`` is its name as the system catalog holds it: of a
    database empty for the one that is connected to. ``where`` is in which case only it is needed, as far as
    that isn't known; empty: always.
    """

    name: str
    kind: Kind
    object: str
    schema: str = ""
    steps: tuple[Purpose, ...] = ()
    where: str = ""

    @classmethod
    def on(cls, name: str, table: TableName, steps: Iterable[Purpose], where: str = "") -> Privilege:
        """One on a table or a view."""
        return cls(name, "TABLE", table.name, table.schema, tuple(steps), where)

    @property
    def written(self) -> str:
        """The object as SQL writes it."""
        return ".".join(quoted(part) for part in (self.schema, self.object) if part)

    @property
    def what(self) -> str:
        """The object as a GRANT names it, such as ``TABLE public.items``."""
        return self.written if self.kind == "ROLE" else f"{self.kind} {self.written}"

    def in_database(self, database: str) -> Privilege:
        """The same, where it is one on the database that is connected to, with its name."""
        return self if self.object or self.kind != "DATABASE" else replace(self, object=database)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Two with the same one are one privilege."""
        return self.kind, self.schema, self.object, self.name


@dataclass(frozen=True, slots=True)
class Tracking:
    """The tracking tables of whoever calls: the schema's name, and the names of the tables in it."""

    schema: str
    tables: tuple[str, ...]


# ------------------------------------------------------------------------------------------------ the lists


def of_reading(table: TableName, steps: Sequence[Purpose] = READING) -> list[Privilege]:
    """To read a table."""
    return [
        Privilege("USAGE", "SCHEMA", table.schema, steps=tuple(steps)),
        Privilege.on("SELECT", table, steps),
    ]


def of_writing(table: TableName, *, updates: bool | None) -> list[Privilege]:
    """To put rows of a table in place; ``updates``: rows are updated in place. None stands for not known."""
    needed = [
        Privilege("USAGE", "SCHEMA", table.schema, steps=OF_TARGET),
        Privilege.on("SELECT", table, IN_TARGET),
        Privilege.on("INSERT", table, [Purpose.COPY]),
    ]
    if updates is not False:
        where = "foreign keys refer to its rows" if updates is None else ""
        needed.append(Privilege.on("UPDATE", table, [Purpose.UPDATE], where))
    return [*needed, Privilege.on("DELETE", table, [Purpose.COPY]), staging()]


def staging(database: str = "") -> Privilege:
    """To stage rows in a temporary table."""
    return Privilege("TEMPORARY", "DATABASE", database, steps=(Purpose.STAGE,))


def of_source(
    specs: Iterable[CopySpec], *, database: str, catalogue: Catalogue | None = None
) -> list[Privilege]:
    """All that the role of the source needs for these copies, each privilege once."""
    needed = [Privilege("CONNECT", "DATABASE", database, steps=(Purpose.CONNECT,))]
    for spec in specs:
        for each in spec.line:
            needed += of_reading(each.source_table)
    if catalogue is not None:
        needed += of_reading(catalogue.table, (Purpose.PREVIEW, Purpose.SEARCH))
    return once(needed)


def of_target(
    specs: Iterable[CopySpec],
    *,
    database: str,
    tracking: Tracking | None = None,
    watches_standbys: bool = False,
    updates: Callable[[TableName], bool | None] = lambda table: None,
) -> list[Privilege]:
    """All that the role of the target needs, each privilege once.

    ``tracking`` are the tables that the same role keeps. ``watches_standbys``: copies pause while a standby
    lags. ``updates`` says of a table whether its rows are updated in place, or None where that isn't known.
    """
    needed = [Privilege("CONNECT", "DATABASE", database, steps=(Purpose.CONNECT,))]
    for spec in specs:
        needed += of_writing(spec.target_table, updates=updates(spec.target_table))
        for parent in spec.line[1:]:
            needed += of_reading(parent.target_table, IN_TARGET)
    needed = [each.in_database(database) for each in needed]
    if tracking is not None:
        needed += of_migrating(tracking, database)
        needed += of_recording(tracking)
    if watches_standbys:
        needed.append(Privilege(MONITOR, "ROLE", MONITOR, steps=(Purpose.PAUSE,)))
    return once(needed)


def of_migrating(tracking: Tracking, database: str = "", *, is_there: bool | None = None) -> list[Privilege]:
    """To create the tracking schema, or to change what is in it; ``is_there`` says whether it is, or None."""
    steps = (Purpose.MIGRATE,)
    create = Privilege("CREATE", "DATABASE", database, steps=steps)
    inside = [Privilege(name, "SCHEMA", tracking.schema, steps=steps) for name in ("USAGE", "CREATE")]
    if is_there is None:
        where = f"another role has created the schema {quoted(tracking.schema)}"
        return [create, *(replace(each, where=where) for each in inside)]
    return inside if is_there else [create]


def of_recording(tracking: Tracking, *, owned: bool | None = None) -> list[Privilege]:
    """To keep the tracking tables; whoever has migrated them owns them. ``owned`` says so, or None."""
    if owned:
        return []
    where = "" if owned is False else "another role runs the migrations, and after it has"
    steps = (Purpose.RECORD,)
    needed = [Privilege("USAGE", "SCHEMA", tracking.schema, steps=steps, where=where)]
    for table in tracking.tables:
        name = TableName(tracking.schema, table)
        needed += [
            Privilege.on(each, name, steps, where) for each in ("SELECT", "INSERT", "UPDATE", "DELETE")
        ]
    return needed


def once(privileges: Iterable[Privilege]) -> list[Privilege]:
    """Each privilege once, with all steps that need it, and all cases, unless it is always needed."""
    found: dict[tuple[str, str, str, str], Privilege] = {}
    for each in privileges:
        if (known := found.get(each.identity)) is None:
            found[each.identity] = each
            continue
        steps = tuple(dict.fromkeys([*known.steps, *each.steps]))
        either = dict.fromkeys([known.where, each.where])
        where = "" if "" in either else ", or ".join(either)
        found[each.identity] = replace(known, steps=steps, where=where)
    return list(found.values())


# -------------------------------------------------------------------------------------------------- as SQL


def by_object(privileges: Iterable[Privilege]) -> list[tuple[str, list[str]]]:
    """What a GRANT names, with the names of its privileges, in the order of the list."""
    found: dict[str, list[str]] = {}
    for each in privileges:
        names = found.setdefault(each.what, [])
        if each.name not in names:
            names.append(each.name)
    return list(found.items())


def grants(privileges: Iterable[Privilege], role: str) -> list[str]:
    """A GRANT for each object, without a semicolon; ``role`` is its plain name."""
    return [grant(names, what, quoted(role)) for what, names in by_object(privileges)]


def script(privileges: Sequence[Privilege], role: str) -> str:
    """The GRANTs as a script with comments. Those that only some case needs stand in comments themselves."""
    lines: list[str] = []
    always = [each for each in privileges if not each.where]
    for what, _ in by_object(always):
        own = [each for each in always if each.what == what]
        steps = dict.fromkeys(step for each in own for step in each.steps)
        lines += [f"-- to {', '.join(steps)}", *(f"{each};" for each in grants(own, role))]
    for where in dict.fromkeys(each.where for each in privileges if each.where):
        lines.append(f"-- only where {where}:")
        lines += [f"--   {each};" for each in grants([p for p in privileges if p.where == where], role)]
    return "".join(f"{line}\n" for line in lines)


# -------------------------------------------------------------------------------------- what a role lacks


#: An object that isn't there gives NULL: that it is missing is said by whoever looks for it.
_LACKING = """
    SELECT wanted.place
      FROM (VALUES {}) AS wanted (place, kind, schema, name, privilege)
     WHERE NOT coalesce(CASE wanted.kind
       WHEN 'DATABASE' THEN pg_catalog.has_database_privilege(current_database(), wanted.privilege)
       WHEN 'ROLE' THEN pg_catalog.pg_has_role({}, 'USAGE')
       WHEN 'SCHEMA' THEN (
         SELECT pg_catalog.has_schema_privilege(n.oid, wanted.privilege) FROM pg_catalog.pg_namespace n
          WHERE n.nspname = wanted.name)
       ELSE (
         SELECT CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, UPDATE')
                     WHEN wanted.privilege = 'DELETE' THEN pg_catalog.has_table_privilege(c.oid, 'DELETE')
                     ELSE pg_catalog.has_any_column_privilege(c.oid, wanted.privilege) END
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = wanted.schema AND c.relname = wanted.name
            AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))
       END, true)
     ORDER BY wanted.place
"""


def question(privileges: Sequence[Privilege]) -> sql.Composable:
    """Asks the server which of these, of at least one, the connected role lacks: their places in the list."""
    rows = [
        sql.SQL("({}, {}, {}, {}, {})").format(
            sql.Literal(place), *map(sql.Literal, (each.kind, each.schema, each.object, each.name))
        )
        for place, each in enumerate(privileges)
    ]
    return sql.SQL(_LACKING).format(sql.SQL(", ").join(rows), sql.Literal(STATISTICS))


def lacking(connection: Connection, privileges: Sequence[Privilege]) -> list[Privilege]:
    """Those of them that the connected role lacks. The database is the one that is connected to."""
    if not privileges:
        return []
    [(database,)], places = run_batch(
        connection, "SELECT pg_catalog.current_database()", question(privileges)
    )
    return [privileges[place].in_database(database) for (place,) in places]


#: Sequences that are asked for a value where one of these columns isn't given one.
_SEQUENCES = """
    SELECT DISTINCT n.nspname AS schema, s.relname AS name
      FROM pg_catalog.pg_attrdef d
      JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
      JOIN pg_catalog.pg_namespace own ON own.oid = c.relnamespace
      JOIN pg_catalog.pg_depend p ON p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid
           AND p.refclassid = 'pg_catalog.pg_class'::regclass
      JOIN pg_catalog.pg_class s ON s.oid = p.refobjid AND s.relkind = 'S'
      JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
     WHERE own.nspname = {} AND c.relname = {} AND NOT a.attname = ANY({}::name[]) ORDER BY 1, 2
"""


def of_defaults(connection: Connection, table: TableName, given: Sequence[str]) -> list[Privilege]:
    """For the columns of the target that a copy doesn't give: the sequences that their defaults ask."""
    asked = sql.SQL(_SEQUENCES).format(
        sql.Literal(table.schema), sql.Literal(table.name), sql.Literal(list(given))
    )
    [found] = run_batch(connection, asked)
    return [
        each
        for row in found
        for each in (
            Privilege("USAGE", "SCHEMA", row.schema, steps=(Purpose.COPY,)),
            Privilege("USAGE", "SEQUENCE", row.name, row.schema, (Purpose.COPY,)),
        )
    ]

"""In which order the tables of a set are written, by the foreign keys of the target between them.

Parents come before the tables that refer to them, and tables that don't depend on each other are one step.
Surplus rows go in the opposite order. Foreign keys that form a circle are taken apart where that is possible
without a change to the schema: one whose referring columns may be NULL is left empty at first, and is filled
in by a second pass. A foreign key from a table to itself needs no order: see `copier.copy`.

`order_of` is a pure function. `foreign_keys_question` is what the target is asked, and `foreign_keys_of`
reads the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from psycopg import sql

from copier.batch import Rows
from copier.errors import CircularReferences
from copier.model import CopySpec
from copier.system_catalog import KEY_COLUMNS, REFERENCED_COLUMNS, Table


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of the target between two tables of a set, which are named by their copies.

    ``columns`` of ``child`` refer to ``parent_columns`` of ``parent``. ``nullable`` are those of them that
    may be NULL. ``deferrable``: it may be checked at the end of a transaction. ``name`` is written as SQL
    writes it, and so are the actions ``on_delete`` and ``on_update``, such as CASCADE. ``is_indexed``: an
    index finds the rows that refer to one of the parent.
    """

    name: str
    child: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    nullable: frozenset[str] = frozenset()
    match_full: bool = False
    deferrable: bool = False
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    is_indexed: bool = True

    @property
    def is_self_reference(self) -> bool:
        return self.child == self.parent

    def waiting(self, fixed: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """The columns that are NULL until the second pass; none where it can't wait for one.

        ``fixed`` are columns of the child that always need their value, such as those of its key.
        """
        columns = tuple(each for each in self.columns if each in self.nullable and each not in fixed)
        return () if self.match_full and len(columns) < len(self.columns) else columns


@dataclass(frozen=True, slots=True)
class Belongs:
    """The rows of ``child`` belong to the liquidation through those of ``parent``, as by a foreign key."""

    child: str
    parent: str
    columns: tuple[str, ...] = ()
    parent_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetOrder:
    """The order of a set's tables, named by their copies.

    ``steps``: parents first; the tables of one step don't depend on each other. ``second_pass`` are the
    foreign keys that are filled in afterwards, and ``waiting`` the columns of each table that are NULL until
    then. ``foreign_keys`` are all between tables of the set, also from one to itself. ``belongs`` says which
    rows belong through others.
    """

    steps: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    second_pass: tuple[ForeignKey, ...] = ()
    waiting: Mapping[str, tuple[str, ...]] | None = None
    belongs: tuple[Belongs, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All tables, parents first."""
        return tuple(name for step in self.steps for name in step)

    def waits(self, name: str) -> frozenset[str]:
        """The columns of this table that are NULL until the second pass."""
        return frozenset((self.waiting or {}).get(name, ()))

    def refer_to(self, name: str) -> tuple[ForeignKey | Belongs, ...]:
        """By what rows of the set's other tables refer to rows of this one."""
        keys = tuple(key for key in self.foreign_keys if key.parent == name and not key.is_self_reference)
        known = {(key.child, key.columns) for key in keys}
        more = (each for each in self.belongs if each.parent == name)
        return (*keys, *(each for each in more if (each.child, each.columns) not in known))

    @property
    def referenced(self) -> tuple[str, ...]:
        """The tables to which others of the set refer, parents first."""
        return tuple(name for name in self.names if self.refer_to(name))

    def below(self, names: Iterable[str]) -> tuple[str, ...]:
        """These tables and all that refer to them, over several steps too; parents first."""
        found = set(names)
        while more := {each.child for name in found for each in self.refer_to(name)} - found:
            found |= more
        return tuple(name for name in self.names if name in found)


def order_of(
    names: Sequence[str],
    keys: Iterable[ForeignKey],
    *,
    belongs: Iterable[Belongs] = (),
    fixed: Mapping[str, frozenset[str]] | None = None,
) -> SetOrder:
    """The order of these tables; the same for the same tables and foreign keys, in whatever order they come.

    ``fixed`` are the columns of each table that can't be NULL at first: see `ForeignKey.waiting`.

    Raises:
        CircularReferences: foreign keys form a circle, and none of them can wait for a second pass.
    """
    fixed, belongs = fixed or {}, tuple(belongs)
    all_keys = tuple(sorted(keys, key=lambda key: (key.child, key.parent, key.name)))
    between = [key for key in all_keys if not key.is_self_reference]
    edges: dict[str, set[str]] = {name: set() for name in names}
    for each in belongs:
        edges[each.child].add(each.parent)
    can_wait = {key: key.waiting(fixed.get(key.child, frozenset())) for key in between}
    for key in between:
        if not can_wait[key]:
            edges[key.child].add(key.parent)
    if circle := _circle(edges):
        raise CircularReferences([*circle, circle[0]], _constraints_of(circle, between))
    second_pass: list[ForeignKey] = []
    for key in between:
        if can_wait[key]:
            before = set(edges[key.child])
            edges[key.child].add(key.parent)
            if _circle(edges):
                edges[key.child] = before
                second_pass.append(key)
    waiting: dict[str, tuple[str, ...]] = {}
    for key in second_pass:
        waiting[key.child] = tuple(dict.fromkeys([*waiting.get(key.child, ()), *can_wait[key]]))
    return SetOrder(_steps(names, edges), all_keys, tuple(second_pass), waiting, belongs)


def belonging(specs: Iterable[CopySpec]) -> list[Belongs]:
    """Through which tables of the set the rows of others belong to the liquidation."""
    specs = list(specs)
    names = {spec.source_table: spec.name for spec in specs}
    return [
        Belongs(spec.name, names[parent], spec.via.columns, spec.via.parent_columns)
        for spec in specs
        if spec.via is not None and (parent := spec.via.parent.source_table) in names
    ]


def fixed_columns(spec: CopySpec, key: Iterable[str]) -> frozenset[str]:
    """The columns that always need their value: the key's, and those that say where a row belongs."""
    return frozenset({*key, *(spec.via.columns if spec.via else [spec.liquidation_column])})


def _steps(names: Sequence[str], edges: Mapping[str, set[str]]) -> tuple[tuple[str, ...], ...]:
    place = {name: at for at, name in enumerate(names)}
    sorter = TopologicalSorter(edges)
    sorter.prepare()
    steps = []
    while sorter.is_active():
        ready = sorter.get_ready()
        steps.append(tuple(sorted(ready, key=lambda name: place[name])))
        sorter.done(*ready)
    return tuple(steps)


def _circle(edges: Mapping[str, set[str]]) -> list[str]:
    """Tables each of which refers to the next one, and the last to the first; none where there is none."""
    try:
        TopologicalSorter({name: sorted(edges[name]) for name in sorted(edges)}).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[:0:-1]  # of the last, which is the first again, it has two
    return []


def _constraints_of(circle: Sequence[str], keys: Sequence[ForeignKey]) -> list[str]:
    """The foreign keys by which the tables of the circle refer to each other."""
    pairs = set(zip(circle, [*circle[1:], circle[0]], strict=True))
    return [f"{key.name} of {key.child}" for key in keys if (key.child, key.parent) in pairs]


# -------------------------------------------------------------------- what the target's system catalog says

#: The columns of `foreign_keys_question` that say what a key does, and whether an index serves it.
ACTIONS = """
    CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                       WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END AS on_delete,
    CASE c.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                       WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END AS on_update,
    EXISTS (SELECT FROM pg_catalog.pg_index i
             WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
               AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey) AS is_indexed
"""

# A foreign key that a partition has from its parent is listed once, as the parent's where that is among the
# relations.
_QUESTION = f"""
    SELECT pg_catalog.quote_ident(c.conname) AS name, c.conrelid AS child, c.confrelid AS parent,
           {KEY_COLUMNS} AS columns, {REFERENCED_COLUMNS} AS parent_columns,
           ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)
                    AND NOT a.attnotnull) AS nullable,
           c.confmatchtype = 'f' AS match_full, c.condeferrable AS deferrable,
           {ACTIONS}
      FROM pg_catalog.pg_constraint c
     WHERE c.contype = 'f' AND c.conrelid = ANY({{oids}}::oid[]) AND c.confrelid = ANY({{oids}}::oid[])
       AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'  -- since 18
       AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_constraint p
          WHERE p.oid = c.conparentid AND p.conrelid = ANY({{oids}}::oid[])
            AND p.confrelid = ANY({{oids}}::oid[]))
     ORDER BY c.conrelid, c.conname
"""  # noqa: S608 - of constants


def foreign_keys_question(tables: Mapping[str, Table]) -> sql.Composable:
    """What the target is asked of its ``tables``, by the names of their copies."""
    oids = sorted({each.oid for table in tables.values() for each in table.relations.all})
    return sql.SQL(_QUESTION).format(oids=sql.Literal("{" + ",".join(map(str, oids)) + "}"))


def foreign_keys_of(tables: Mapping[str, Table], found: Rows) -> tuple[ForeignKey, ...]:
    """The foreign keys between the tables; one of a partition, or of what a view reads, is that table's."""
    owner = {each.oid: name for name, table in tables.items() for each in table.relations.all}
    return tuple(
        ForeignKey(
            name=row.name,
            child=owner[row.child],
            parent=owner[row.parent],
            columns=tuple(row.columns),
            parent_columns=tuple(row.parent_columns),
            nullable=frozenset(row.nullable),
            match_full=row.match_full,
            deferrable=row.deferrable,
            on_delete=row.on_delete,
            on_update=row.on_update,
            is_indexed=row.is_indexed,
        )
        for row in found
    )

"""What a set would do, without doing it: its order, how rows belong, what is missing, what is refused.

Only the system catalogs of both sides are read: no row is, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from psycopg import sql
from sqlalchemy import Engine

from copier import statements
from copier.batch import Rows, run_batch
from copier.connections import BoundedTransaction
from copier.errors import (
    DEFAULT_NAMES,
    CircularReferences,
    CopierError,
    SeveralMoments,
    SideNames,
    TableMissing,
    Transient,
    failures_of,
)
from copier.model import CopySpec, quoted
from copier.set_order import (
    ACTIONS,
    ForeignKey,
    SetOrder,
    belonging,
    fixed_columns,
    foreign_keys_of,
    foreign_keys_question,
    order_of,
)
from copier.system_catalog import KEY_COLUMNS, Table, Trigger, read_table, refuse_same_table, several_moments
from copier.table_slice import create_index, slices

#: What the servers' activity views show of it.
LABEL = "traspaso explain"
#: The system catalogs are the same for every liquidation.
ANY = 1


class Use(StrEnum):
    """What a foreign key is to the order of its set."""

    ORDER = "order"  # its parent is written first
    SECOND_PASS = "second_pass"  # noqa: S105 - it is filled in afterwards
    ITSELF = "itself"  # rows of one table, which are written together where that is needed
    UNSOLVED = "unsolved"  # it is part of a circle that nothing takes apart


@dataclass(frozen=True, slots=True)
class ExplainedKey:
    """A foreign key of the target between two copies of the set, by their names.

    ``on_delete`` and ``on_update`` are its actions as SQL writes them. ``missing_index`` is the statement
    that creates the one by which the rows are found that refer to one of the parent; None where it is there.
    """

    name: str
    child: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    use: Use
    deferrable: bool
    on_delete: str
    on_update: str
    missing_index: str | None


@dataclass(frozen=True, slots=True)
class OutsideKey:
    """A foreign key of the target between ``copy`` and an ``other`` table, which isn't in the set.

    ``refers``: rows of the copy refer to rows of the other table, which have to be there before; else it is
    the other way round, and a row to which one of the other table refers isn't deleted. ``columns`` are those
    that refer.
    """

    name: str
    copy: str
    other: str
    columns: tuple[str, ...]
    refers: bool
    on_delete: str
    on_update: str
    missing_index: str | None


@dataclass(frozen=True, slots=True)
class ExplainedTable:
    """One table of the set. ``step`` counts from 1; None where there is no order.

    ``belongs_by`` is in words how a row belongs to its liquidation. ``indexes`` has the columns of the
    B-tree indexes that each side has, and ``missing`` the statements that create those by which the rows
    would be found, by the side's name. ``triggers`` fire on what is written, and ``altering`` are those of
    them that may alter it. ``rules`` says what becomes of columns that have a rule. ``refused``
    are the sentences with which a copy would be refused.
    """

    name: str
    source_table: str
    target_table: str
    step: int | None
    key: tuple[str, ...]
    belongs_by: str
    indexes: Mapping[str, tuple[str, ...]]
    missing: Mapping[str, tuple[str, ...]]
    rules: Mapping[str, str]
    triggers: tuple[str, ...]
    altering: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A set as it would be copied. ``steps`` are empty where it has no order: ``refused`` says why."""

    steps: tuple[tuple[str, ...], ...]
    tables: tuple[ExplainedTable, ...]
    foreign_keys: tuple[ExplainedKey, ...]
    outside: tuple[OutsideKey, ...]
    refused: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether a copy would be refused before its first row."""
        return bool(self.refused) or any(table.refused for table in self.tables)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def explain(
    source: Engine,
    target: Engine,
    specs: Sequence[CopySpec],
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
) -> Explanation:
    """Looks at the system catalogs of both sides. ``names`` are what the sentences call them.

    Raises:
        DatabaseFailed: a side can't be reached.
    """
    found, keys, of_others = _looked_at(source, target, specs, names, timeout_seconds)
    tables = {each.spec.name: each.target for each in found if each.target is not None}
    refused, order = [], None
    try:
        order = _order(found, keys)
    except CircularReferences as circle:
        refused.append(str(circle))
    if (several := _several_moments(found, names)) is not None:
        refused.append(str(several))
    steps = order.steps if order is not None else ()
    at = {name: place for place, step in enumerate(steps, 1) for name in step}
    by_name = {each.spec.name: each for each in found}
    in_order = [by_name[name] for name in (order.names if order else by_name)]
    return Explanation(
        steps,
        tuple(each.explained(at.get(each.spec.name)) for each in in_order),
        tuple(_explained(key, order, by_name[key.child]) for key in keys),
        tuple(_outside(row, tables) for row in of_others),
        tuple(refused),
    )


def order_in_target(
    source: Engine,
    target: Engine,
    specs: Sequence[CopySpec],
    *,
    names: SideNames = DEFAULT_NAMES,
    timeout_seconds: float = 10.0,
) -> SetOrder:
    """The order in which these tables would be written. One that can't be used by itself is in it too: what
    is wrong with that one, `copier.preview` says.

    Raises:
        CircularReferences: they have no order.
        SeveralMoments: prod's tables can't be read at one moment.
        DatabaseFailed: a side can't be reached.
    """
    found, keys, _ = _looked_at(source, target, specs, names, timeout_seconds)
    if (several := _several_moments(found, names)) is not None:
        raise several
    return _order(found, keys)


@dataclass(frozen=True, slots=True)
class _Found:
    """What both sides have of one copy."""

    spec: CopySpec
    source: Table | None
    target: Table | None
    key: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]]
    triggers: tuple[Trigger, ...]
    refused: tuple[str, ...]

    @classmethod
    def of(
        cls, spec: CopySpec, here: BoundedTransaction, there: BoundedTransaction, names: SideNames
    ) -> _Found:
        refused: list[str] = []
        source = _table(here, [each.source_table for each in spec.line], refused)
        target = _table(there, [each.target_table for each in spec.line], refused)
        key, triggers = spec.key, tuple[Trigger, ...]()
        missing: dict[str, tuple[str, ...]] = {}
        if source is not None and target is not None:
            try:
                refuse_same_table(here.connection, there.connection, source, target, names)
                ours, theirs = slices(spec, source, target, ANY)
                key, triggers = theirs.key, theirs.triggers
                missing = {each.side: each.missing_indexes for each in (ours, theirs)}
                target.refuse_unwritable(updates=theirs.in_place)
            except Transient:
                raise
            except CopierError as error:
                refused.append(str(error))
        return cls(spec, source, target, key, missing, triggers, tuple(refused))

    def without_index(self, columns: Sequence[str]) -> str | None:
        """What creates an index on these columns of the target; None where one that is missing begins so."""
        if self.target is None:
            return None
        statement = create_index(
            self.target.name, map(quoted, columns), partitioned=self.target.is_partitioned
        )
        begun = (f"{statement[:-1]},", statement)
        return (
            None
            if any(each.startswith(begun) for each in self.missing.get(self.target.side, ()))
            else statement
        )

    def explained(self, step: int | None) -> ExplainedTable:
        sides = [table for table in (self.source, self.target) if table is not None]
        return ExplainedTable(
            name=self.spec.name,
            source_table=str(self.spec.source_table),
            target_table=str(self.spec.target_table),
            step=step,
            key=self.key,
            belongs_by=self.spec.belongs_by,
            indexes={
                table.side: tuple(", ".join(column.name for column in index) for index in table.indexes)
                for table in sides
            },
            missing=self.missing,
            rules={rule.column: str(rule.treatment) for rule in self.spec.rules},
            triggers=tuple(each.name for each in self.triggers),
            altering=tuple(each.name for each in self.triggers if each.before),
            refused=self.refused,
        )


def _table(look: BoundedTransaction, names: Sequence[Any], refused: list[str]) -> Table | None:
    """The table, or why it can't be used."""
    try:
        with failures_of(look.side):
            return read_table(look.connection, look.side, *names)
    except TableMissing as error:
        refused.append(str(error))
        return None


def _looked_at(
    source: Engine, target: Engine, specs: Sequence[CopySpec], names: SideNames, timeout_seconds: float
) -> tuple[list[_Found], tuple[ForeignKey, ...], Rows]:
    """What both sides have of each copy, the target's foreign keys between them, and the rows of
    `_outside_question`.
    """
    settings = f"{statements.of_lane(by_index=False)}, "
    with (
        BoundedTransaction(source, names.source, LABEL, timeout_seconds, settings=settings) as here,
        BoundedTransaction(target, names.target, LABEL, timeout_seconds, settings=settings) as there,
    ):
        found = [_Found.of(spec, here, there, names) for spec in specs]
        tables = {each.spec.name: each.target for each in found if each.target is not None}
        with failures_of(names.target):
            asked = [foreign_keys_question(tables), _outside_question(tables)] if tables else []
            rows, of_others = run_batch(there.connection, *asked) if asked else ([], [])
    return found, foreign_keys_of(tables, rows), of_others


def _order(found: Sequence[_Found], keys: Sequence[ForeignKey]) -> SetOrder:
    fixed = {each.spec.name: fixed_columns(each.spec, each.key) for each in found}
    specs = [each.spec for each in found]
    return order_of([spec.name for spec in specs], keys, belongs=belonging(specs), fixed=fixed)


def _several_moments(found: Sequence[_Found], names: SideNames) -> SeveralMoments | None:
    tables = [each.source for each in found if each.source is not None]
    reason = several_moments(each for own in tables for table in own.line for each in table.relations.all)
    if reason is None or any(table.several_moments for table in tables):  # that one says it itself
        return None
    return SeveralMoments(names.source, ", ".join(str(table.name) for table in tables), reason)


def _explained(key: ForeignKey, order: SetOrder | None, child: _Found) -> ExplainedKey:
    if key.is_self_reference:
        use = Use.ITSELF
    elif order is None:
        use = Use.UNSOLVED
    else:
        use = Use.SECOND_PASS if key in order.second_pass else Use.ORDER
    return ExplainedKey(
        name=key.name,
        child=key.child,
        parent=key.parent,
        columns=key.columns,
        parent_columns=key.parent_columns,
        use=use,
        deferrable=key.deferrable,
        on_delete=key.on_delete,
        on_update=key.on_update,
        missing_index=None if key.is_indexed else child.without_index(key.columns),
    )


# ------------------------------------------------------------------------------ tables that aren't in the set


# A key that a partition has from its parent is the parent's.
_OUTSIDE = f"""
    SELECT pg_catalog.quote_ident(c.conname) AS name, c.conrelid AS child, c.confrelid AS parent,
           pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname) AS other,
           t.relkind = 'p' AS partitioned, c.conrelid = ANY({{oids}}::oid[]) AS refers,
           {KEY_COLUMNS} AS columns,
           {ACTIONS}
      FROM pg_catalog.pg_constraint c
      JOIN pg_catalog.pg_class t
        ON t.oid = CASE WHEN c.conrelid = ANY({{oids}}::oid[]) THEN c.confrelid ELSE c.conrelid END
      JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
     WHERE c.contype = 'f' AND (c.conrelid = ANY({{oids}}::oid[])) <> (c.confrelid = ANY({{oids}}::oid[]))
       AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'  -- since 18
       AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_constraint p
          WHERE p.oid = c.conparentid
            AND (p.conrelid = ANY({{oids}}::oid[])) <> (p.confrelid = ANY({{oids}}::oid[])))
     ORDER BY refers DESC, c.conrelid, c.conname
"""  # noqa: S608 - of constants


def _outside_question(tables: Mapping[str, Table]) -> sql.Composable:
    """The foreign keys between the set's tables and others."""
    oids = sorted({each.oid for table in tables.values() for each in table.relations.all})
    return sql.SQL(_OUTSIDE).format(oids=sql.Literal("{" + ",".join(map(str, oids)) + "}"))


def _outside(row: Any, tables: Mapping[str, Table]) -> OutsideKey:
    oid = row.child if row.refers else row.parent
    copy, table = next(
        (name, table) for name, table in tables.items() if oid in {each.oid for each in table.relations.all}
    )
    child, partitioned = (
        (str(table.name), table.is_partitioned) if row.refers else (row.other, row.partitioned)
    )
    return OutsideKey(
        name=row.name,
        copy=copy,
        other=row.other,
        columns=tuple(row.columns),
        refers=row.refers,
        on_delete=row.on_delete,
        on_update=row.on_update,
        missing_index=None
        if row.is_indexed
        else create_index(child, map(quoted, row.columns), partitioned=partitioned),
    )

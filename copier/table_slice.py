"""One side's part of a copy: the liquidation's rows in its table, their order, and their hashes.

Where no index finds these rows, every range reads the whole table: `TableSlice.missing_indexes` are the
statements that create those, and `copier.preview` warns of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from copier.column_rules import HashKey
from copier.columns import Matched, Pair, match_columns
from copier.errors import EncodingUnknown, NoUsableKey, ReferencesCascade, RulesRewrite, SeveralMoments
from copier.keys import INTEGERS, KeyColumn, Keyset, key_columns, keyset_of
from copier.model import Bound, CopySpec, Fingerprint, KeyRange, Referring, TableName, quoted, rules_of
from copier.parents import ParentSlice, belonging, parent_slices, refuse_unfit
from copier.row_hash import Hashed, hashed, identical_when_equal, row_hash
from copier.system_catalog import Action, IndexColumn, Relations, Table, Trigger


@dataclass(frozen=True, slots=True)
class TableSlice:
    """One side's rows of a liquidation: where they are, how they are ordered, what stands for them.

    ``spec`` is the copy that they belong to, and ``side`` what the side is called. ``oldest`` is the lower
    version of both servers'. ``key_may_repeat`` says that no index keeps the key from naming two rows.
    ``is_referenced`` says that foreign keys of this side's database point to its rows, and ``in_place`` that
    a row's columns may then be updated: no foreign key would carry that on, or it would be seen, and no
    trigger alters only updated rows, or they can't be replaced.
    ``updated`` are those columns; ``always`` are those of them that no UPDATE may set: a row in which one of
    these differs is replaced. ``actions`` are the foreign keys that would change rows that refer to these
    where a row is deleted or updated: `copier.foreign_keys` sees each time whether they did; none where no
    DELETE has an action. ``relations`` are the OIDs behind the table.
    ``triggers`` are those that fire on what is written or removed. ``belongs_by`` is `CopySpec.belongs_by`,
    and ``parent`` are the rows through which these belong, where they have no column of the liquidation.
    ``missing_indexes`` are the statements that create those by which the rows would be found.

    In a set (`copier.copy_set`) surplus rows to which ``referring`` foreign keys of its other tables point
    stay for now, and the columns that are ``waiting`` are sent as NULL.
    """

    spec: CopySpec
    side: str
    table: TableName
    keys: Keyset
    belongs_by: str
    parent: ParentSlice | None
    matched: Matched
    liquidation_id: int
    is_source: bool
    key: tuple[str, ...]
    key_may_be_null: bool
    key_may_repeat: bool
    is_referenced: bool
    in_place: bool
    actions: tuple[Action, ...]
    relations: tuple[int, ...]
    updated: frozenset[str]
    always: frozenset[str]
    triggers: tuple[Trigger, ...]
    has_index: bool
    missing_indexes: tuple[str, ...]
    has_versions: bool
    oldest: int
    referring: tuple[Referring, ...] = ()
    waiting: frozenset[str] = frozenset()

    @property
    def hash_key(self) -> HashKey | None:
        """The key by which values are hashed here: the source's transactions are given it."""
        return self.spec.hashes_with if self.is_source else None

    def within(self, key_range: KeyRange, only: Sequence[Bound] | None = None) -> sql.Composable:
        """The range's rows, or those among them with one of these keys."""
        if only is None:
            return self.keys.within(self.liquidation_id, key_range)
        # Without the range: an equality is what the index is made for, and what the planner judges well.
        return sql.SQL("{} AND {}").format(self.keys.whole(self.liquidation_id), self.keys.one_of(only))

    def sent(self, pair: Pair, value: sql.Composable) -> sql.Composable:
        """What is sent of the source's column, whose value this is."""
        if pair.name not in self.waiting:
            return value
        return sql.SQL("CASE WHEN false THEN {} END").format(value)

    @property
    def tables(self) -> tuple[TableName, ...]:
        """The table, and those through which its rows belong."""
        return (self.table, *self.keys.parents)

    @property
    def holds_names(self) -> bool:
        """Whether the rows hold a regclass or its like: names of objects, which are to be read qualified."""
        return any(pair.source.type.kind.names_objects for pair in self.matched.compared)

    @property
    def values(self) -> list[Hashed]:
        """What is hashed of each compared column."""
        return [self._hashed(pair) for pair in self.matched.compared]

    @property
    def row_hash(self) -> sql.Composable:
        return self.hash_of(self.values)

    def hash_of(self, values: Iterable[Hashed]) -> sql.Composable:
        """A row's hash from its `values`, or from what stands for them, in their order.

        The liquidation's number is left out: it is the same in all rows.
        """
        pairs = zip(self.matched.compared, values, strict=True)
        return row_hash((value for pair, value in pairs if not self._is_number(pair)), version=self.oldest)

    def _is_number(self, pair: Pair) -> bool:
        """A numeric 42 may be spelled 42.0 as well, an integer may not."""
        return (
            self.keys.through is None
            and pair.name == self.keys.liquidation_column
            and {pair.source.type.base, pair.target.type.base} <= INTEGERS
        )

    @property
    def key_hash(self) -> sql.Composable:
        names = {column.name for column in self.keys.columns}
        values = (self._hashed(pair) for pair in self.matched.pairs if pair.name in names)
        return row_hash(values, version=self.oldest)

    def _hashed(self, pair: Pair) -> Hashed:
        return hashed(pair, of_source=self.is_source)


def slices(
    spec: CopySpec, source: Table, target: Table, liquidation_id: int
) -> tuple[TableSlice, TableSlice]:
    """The source's and the target's slice of the liquidation, their columns and keys matched.

    Raises:
        SchemaError: the tables don't fit.
        Permanent: a role may not read all rows of its table.
    """
    for table in (source, target):
        table.refuse_unreadable()
        if any(column.encoding == "SQL_ASCII" for column in table.columns):
            raise EncodingUnknown(table.side)
    if reason := source.several_moments:
        raise SeveralMoments(source.side, str(source.name), reason)
    if target.relations.cascading and not target.relations.counts_rows:
        raise ReferencesCascade(target.side, str(target.name), list(target.relations.cascading))
    if target.relations.rules:
        raise RulesRewrite(target.side, str(target.name), list(target.relations.rules))
    refuse_unfit(spec, source, target)
    names = key_columns(spec, source, target)
    matched = match_columns(source, target, spec)
    parents = parent_slices(spec, source, target, liquidation_id)
    updated = frozenset(
        pair.name for pair in matched.pairs if pair.name not in names or not identical_when_equal(pair)
    ).union(matched.defaulted)

    def side(table: Table, other: Table) -> TableSlice:
        relations = table.relations
        # A row that is deleted and inserted again is a deleted one to a key with an action. Where no key
        # minds that, no row is updated that a trigger would alter, such as one that stamps the time.
        may_update = bool(relations.cascading) or not relations.carried_on & updated
        if relations.alters_updated_alone and relations.may_be_replaced:
            may_update = False
        keys = keyset_of(
            belonging(spec, table),
            [table.column(name) for name in names],
            [other.column(name) for name in names],
        )
        return TableSlice(
            spec=spec,
            side=table.side,
            table=table.name,
            keys=keys,
            belongs_by=spec.belongs_by,
            parent=parents[0 if table is source else 1] if parents else None,
            matched=matched,
            liquidation_id=liquidation_id,
            is_source=table is source,
            key=names,
            key_may_be_null=any(not table.column(name).never_null for name in names),
            key_may_repeat=relations.inherited or not _is_unique(table, names),
            is_referenced=relations.is_referenced,
            in_place=relations.is_referenced and may_update,
            actions=relations.actions if relations.cascading else (),
            relations=tuple(each.oid for each in relations.all),
            updated=updated,
            always=updated.intersection(column.name for column in table.columns if column.is_always),
            triggers=_firing(relations, updated=may_update),
            has_versions=all(each.kind in {"r", "p"} and not each.relations.foreign for each in table.line),
            oldest=min(source.version, target.version),
            has_index=not any(_without_index(table, keys)),
            missing_indexes=tuple(
                each.statement for each in _without_index(table, keys) if each.table.can_be_indexed
            ),
        )

    return side(source, target), side(target, source)


def fingerprint(source: TableSlice, target: TableSlice) -> Fingerprint:
    """What a job of this copy is made of, as both sides were matched."""
    rules, hash_check = rules_of(source.spec)
    return Fingerprint(
        source_table=str(source.table),
        target_table=str(target.table),
        liquidation_column=target.belongs_by,
        key=tuple(column.name for column in target.keys.columns),
        columns=tuple(sorted(pair.name for pair in target.matched.compared if not pair.is_emptied)),
        rules=rules,
        hash_check=hash_check,
    )


def refuse_null_keys(rows: TableSlice, found: int) -> None:
    """``found`` rows have a key that is NULL: they would lie in no range.

    Raises:
        NoUsableKey: there is any.
    """
    if found:
        raise NoUsableKey(
            f"key ({', '.join(rows.key)}) is NULL in {found} row{'s' if found > 1 else ''} of table "
            f"{rows.table} of {rows.side}: fill it in there, or name another key"
        )


def _firing(relations: Relations, *, updated: bool) -> tuple[Trigger, ...]:
    """Those that fire on inserted and deleted rows, and on updated ones where rows are updated in place."""
    events = {"INSERT", "DELETE"} | ({"UPDATE"} if relations.is_referenced and updated else set())
    return tuple(trigger for trigger in relations.triggers if trigger.on & events)


def _is_unique(table: Table, names: tuple[str, ...]) -> bool:
    return any(set(key) <= set(names) for key in table.unique_keys)


# ----------------------------------------------------------------- the index by which the rows would be found


def create_index(table: TableName | str, columns: Iterable[str], *, partitioned: bool) -> str:
    """The statement. ``table`` and ``columns`` are as SQL writes them."""
    # Of a partitioned table PostgreSQL builds no index concurrently.
    how = "" if partitioned else " CONCURRENTLY"
    return f"CREATE INDEX{how} ON {table} ({', '.join(columns)})"


@dataclass(frozen=True, slots=True)
class _Index:
    """One by which the rows would be found: ``columns`` as SQL writes them."""

    table: Table
    columns: tuple[str, ...]

    @property
    def statement(self) -> str:
        return create_index(self.table.name, self.columns, partitioned=self.table.is_partitioned)


def _without_index(table: Table, keys: Keyset) -> Iterator[_Index]:
    """The indexes that are missing in the table and in those through which its rows belong."""
    if keys.through is None:
        if not any(_sorts(index, keys) for index in table.indexes):
            yield _Index(table, (quoted(keys.liquidation_column), *map(_as_sorted, keys.columns)))
        return
    if not _leads(table, keys):
        own = [key for key in keys.columns if key.name not in keys.place]
        yield _Index(table, (*map(quoted, keys.place), *map(_as_sorted, own)))
    while keys.through is not None and table.parent is not None:
        pointed_to = [link.parent for link in keys.through.links]
        keys, table = keys.through.keys, table.parent
        if not _leads(table, keys):  # with what is pointed to, it needn't be looked up in the table
            yield _Index(table, tuple(map(quoted, dict.fromkeys([*keys.place, *pointed_to]))))


def _as_sorted(key: KeyColumn) -> str:
    return quoted(key.name) + (' COLLATE "C"' if key.by_bytes else "")


def _leads(table: Table, keys: Keyset) -> bool:
    """Whether an index begins with the columns that say to which liquidation, or parent, a row belongs."""
    place = frozenset(keys.place)
    return any(frozenset(column.name for column in index[: len(place)]) == place for index in table.indexes)


def _sorts(index: tuple[IndexColumn, ...], keys: Keyset) -> bool:
    """Whether the index begins with (liquidation column, key), in their order: then it reads one range."""
    wanted = [KeyColumn(keys.liquidation_column, keys.liquidation_type), *keys.columns]
    return len(index) >= len(wanted) and all(
        column.name == key.name and (column.by_bytes if key.by_bytes else column.sorted)
        for column, key in zip(index, wanted, strict=False)
    )

"""The tables of every copy on both sides, and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

from bot.config import SIDES, CopySection
from bot.doctor.checks import Check, Context, Finding, Unknown, failed, ok, skipped, warning
from bot.doctor.databases import asking, look_at
from bot.jobs.baseline import with_known
from copier import NewColumns, TableName
from copier.columns import match_columns
from copier.connections import BoundedTransaction
from copier.errors import (
    ColumnsDiffer,
    CopierError,
    DatabaseFailed,
    EncodingUnknown,
    RowsHidden,
    SameTable,
    SchemaError,
)
from copier.keys import key_columns
from copier.model import CopySpec
from copier.parents import refuse_unfit
from copier.preview import missing_index
from copier.system_catalog import Table, read_table, refuse_same_table
from copier.table_slice import TableSlice, slices

#: What needs both tables.
_OF_BOTH = ("copy.columns", "copy.key", "copy.index")
_OF_TARGET = ("copy.foreign_keys", "copy.triggers", "copy.rules")
_OF_COPY = ("copy.tables", *_OF_BOTH, "copy.moment", *_OF_TARGET)


# ----------------------------------------------------------------------------
# Copies


def _copies(context: Context) -> Iterator[Finding]:
    if not context.settings.file.copies:
        raise Unknown("no [[copies]] could be read from the configuration")
    with ExitStack() as open_looks:
        looks: dict[str, BoundedTransaction | str] = {}
        for server in (context.prod, context.consulta):
            side = SIDES.source if server is context.prod else SIDES.target
            try:
                looks[side] = open_looks.enter_context(look_at(server.get()))
            except Unknown as why:
                looks[side] = str(why)
        for copy in context.settings.file.copies:
            yield from _copy(copy, looks)


def _copy(copy: CopySection, looks: dict[str, BoundedTransaction | str]) -> Iterator[Finding]:
    tables: dict[str, Table] = {}
    lacks: list[str] = []
    for side in (SIDES.source, SIDES.target):
        is_source = side == SIDES.source
        names = [each.source_table if is_source else each.target_table for each in copy.line]
        look = looks[side]
        if isinstance(look, str):
            yield skipped("copy.tables", look, about=f"{copy.name}, {side}")
            lacks.append(look)
            continue
        found = _table(copy, look, names)
        if isinstance(found, Table):
            tables[side] = found
            through = [f"; its rows belong to a liquidation through {names[1]}"] if len(names) > 1 else []
            yield ok("copy.tables", "".join([f"{side} has {names[0]}", *through]), f"{copy.name}, {side}")
        else:
            yield found
            lacks.append(f"the table of {side} can't be used")
    source, target = tables.get(SIDES.source), tables.get(SIDES.target)
    why = " and ".join(lacks)
    if source is None:
        yield skipped("copy.moment", why, about=copy.name)
    else:
        yield _moment(copy, source)
    if target is None:
        yield from (skipped(each, why, about=copy.name) for each in _OF_TARGET)
    else:
        yield from _target(copy, target)
    if source is None or target is None:
        yield from (skipped(each, why, about=copy.name) for each in _OF_BOTH)
    else:
        yield from _both(copy, source, target, looks)


def _table(copy: CopySection, look: BoundedTransaction, names: list[TableName]) -> Table | Finding:
    """The first of the tables, with those through which its rows belong, or why it can't be used."""
    about, setting = f"{copy.name}, {look.side}", f"{_setting(look.side)} of [[copies]] {copy.name}"
    try:
        with asking(look):
            table = read_table(look.connection, look.side, *names)
        for section, behind in zip(copy.line, table.line, strict=True):
            for column in section.via.columns if section.via else (section.liquidation_column,):
                behind.column(column)
    except SchemaError as error:
        if error.column:
            setting = "via or liquidation_column" if copy.via else "liquidation_column"
        return failed("copy.tables", str(error), f"check the name in {setting}, or create it there", about)
    for behind in table.line:
        if behind.access.hidden:
            hidden = RowsHidden(look.side, behind.access.role, str(behind.name))
            return failed("copy.tables", str(hidden), f"run in {look.side}: {hidden.lines[0]}", about)
    if any(column.encoding == "SQL_ASCII" for column in table.columns):
        words = str(EncodingUnknown(look.side))
        return failed("copy.tables", words, "copy from or into a database that knows its encoding", about)
    return table


def _setting(side: str) -> str:
    return "source_table" if side == SIDES.source else "target_table"


def _moment(copy: CopySection, source: Table) -> Finding:
    if (reason := source.several_moments) is None:
        return ok("copy.moment", "one snapshot holds all its rows", copy.name)
    return failed(
        "copy.moment",
        f"rows of {source.name} can't be read at one moment: {reason}",
        "copy from the server that holds the rows, or from a table that holds all of them",
        copy.name,
    )


def _target(copy: CopySection, target: Table) -> Iterator[Finding]:
    """What of consulta's table does more than keeping rows."""
    relations, name = target.relations, copy.name
    if relations.cascading and not relations.counts_rows:
        yield failed(
            "copy.foreign_keys",
            f"it couldn't be seen whether deleting rows of {target.name} changes other tables: "
            f"{', '.join(relations.cascading)} cascade, or set NULL or a default, on DELETE, and "
            "track_counts is off",
            "set track_counts on in consulta, or make them NO ACTION",
            name,
        )
    else:
        notes = []
        if relations.is_referenced:
            notes.append("foreign keys refer to its rows, which are updated in place")
        if relations.cascading:
            notes.append(
                f"{', '.join(relations.cascading)} cascade, or set NULL or a default, on DELETE: a row to "
                "which others refer isn't deleted"
            )
        if relations.references:
            own = ", ".join(sorted({key.name for key in relations.references}))
            notes.append(f"its own ({own}) want the rows that they point to first")
        yield ok("copy.foreign_keys", "; ".join(notes) or "none are in the way", name)
    before = [each.name for each in relations.triggers if each.before]
    after = [each.name for each in relations.triggers if not each.before]
    if before:
        yield warning(
            "copy.triggers",
            f"{', '.join(before)} of consulta fire before each row that is written, and may alter or drop "
            "it: then the comparison says so, and the copy is not completed",
            "have them let rows of Traspaso pass as they are, or copy into a table without them",
            name,
        )
    elif after:
        yield ok("copy.triggers", f"{', '.join(after)} fire after rows are written", name)
    else:
        yield ok("copy.triggers", "none fire", name)
    if relations.rules:
        yield failed(
            "copy.rules",
            f"rows of {target.name} can't be written as they are: its rules {', '.join(relations.rules)} "
            "would change what is written, or other tables",
            "drop them in consulta, or copy into another table",
            name,
        )
    else:
        yield ok("copy.rules", "none are in the way", name)


def _both(
    copy: CopySection, source: Table, target: Table, looks: dict[str, BoundedTransaction | str]
) -> Iterator[Finding]:
    name = copy.name
    here, there = looks[SIDES.source], looks[SIDES.target]
    spec = _spec(copy, there)
    if isinstance(here, BoundedTransaction) and isinstance(there, BoundedTransaction):
        try:
            refuse_same_table(here.connection, there.connection, source, target, SIDES)
        except SameTable as error:
            yield failed("copy.tables", str(error), SIDES.apart, name)
    yield from _columns(copy, spec, source, target)
    try:
        key = key_columns(spec, source, target)
        yield ok("copy.key", f"({', '.join(key)}) names a row", name)
    except SchemaError as error:
        yield failed(
            "copy.key",
            str(error),
            f"give {target.name} in consulta a primary key or a unique index of NOT NULL columns, and name "
            "it as key in [[copies]] where it isn't the primary key",
            name,
        )
    try:
        both = slices(spec, source, target, 1)
    except CopierError:
        yield skipped(
            "copy.index", "which index serves depends on columns and key, which don't fit", about=name
        )
        return
    yield from _indexes(name, ((source, both[0]), (target, both[1])))


def _spec(copy: CopySection, look: BoundedTransaction | str) -> CopySpec:
    """With the columns that the last completed copy had, as far as the tracking tables tell."""
    if isinstance(look, BoundedTransaction) and copy.for_new_columns is not NewColumns.COPY:
        with suppress(DatabaseFailed), asking(look):
            return with_known(look.connection, copy)
    return replace(copy.spec, known_columns=None)


def _columns(copy: CopySection, spec: CopySpec, source: Table, target: Table) -> Iterator[Finding]:
    try:
        refuse_unfit(spec, source, target)
        matched = match_columns(source, target, spec)
    except ColumnsDiffer as error:
        for line in error.lines:
            what, _, step = line.rpartition(": ")
            yield failed("copy.columns", what, step, copy.name)
        return
    except SchemaError as error:
        yield failed("copy.columns", str(error), "change the column, or name another one", copy.name)
        return
    casts = [pair.name for pair in matched.pairs if pair.is_cast]
    how = "in binary" if matched.binary else "as text"
    ruled = [f"{rule.column} ({rule.treatment})" for rule in copy.spec.altering]
    stays = f"; rules: {', '.join(ruled)}" if ruled else ""
    cast = f"; consulta's type is wider for {', '.join(casts)}" if casts else ""
    yield ok("copy.columns", f"{len(matched.pairs)} columns match, and travel {how}{cast}{stays}", copy.name)


def _indexes(name: str, sides: tuple[tuple[Table, TableSlice], ...]) -> Iterator[Finding]:
    for table, rows in sides:
        about = f"{name}, {table.side}"
        advice = list(missing_index(rows))
        for each in advice:
            yield warning(
                "copy.index",
                f"no index serves this copy in {table.side}: every chunk reads the whole table",
                f"run in {table.side}: {each.statement}",
                about,
            )
        if not advice:
            served = "an index serves it" if rows.has_index else "it has no index of its own, as a view"
            yield ok("copy.index", served, about)


# ----------------------------------------------------------------------------
# The catalogue


def _catalogue(context: Context) -> Iterator[Finding]:
    check, listed = "prod.catalogue", context.settings.file.liquidations
    if listed is None:
        yield skipped(check, "no [liquidations] is configured: names aren't shown, and any number is taken")
        return
    with look_at(context.prod.get()) as look:
        try:
            with asking(look):
                table = read_table(look.connection, look.side, listed.table)
            for column in (listed.id, listed.label, listed.changed, listed.period):
                if column is not None:
                    table.column(column)
        except SchemaError as error:
            yield failed(check, str(error), "check the names in [liquidations]")
            return
    if table.access.hidden:
        hidden = RowsHidden(look.side, table.access.role, str(listed.table))
        yield failed(check, str(hidden), f"run in prod: {hidden.lines[0]}")
        return
    yield ok(check, f"prod has {listed.table} with the configured columns")


CHECKS = (
    Check(_OF_COPY, _copies),
    Check(("prod.catalogue",), _catalogue),
)

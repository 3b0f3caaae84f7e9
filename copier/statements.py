"""Every statement the engine runs, built here and nowhere else, by pure functions.

Names come from the catalog or the configuration and are quoted; the liquidation and the bounds are
literals, because COPY takes no parameters.
"""

from __future__ import annotations

from psycopg import sql

from copier.catalog import Column
from copier.keyset import KeyRange, Keyset, number_literal
from copier.match import Matched, hashed
from copier.names import TableName

#: Makes text, and so casts and bounds, read the same on both sides. Row security that would hide rows
#: is an error instead, or else the rest would be taken for all. Valid for one transaction.
SETTINGS = (
    "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true), "
    "set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true), "
    "set_config('bytea_output', 'hex', true), set_config('client_encoding', 'UTF8', true), "
    "set_config('row_security', 'off', true)"
)

#: The first statement of prod's transaction: takes the snapshot, names it for other readers, and says
#: when that was. No other may come before it, because the first one takes the snapshot.
SNAPSHOT = f"{SETTINGS}, pg_catalog.pg_export_snapshot(), pg_catalog.clock_timestamp()"

#: The staging table of the rare chunk whose rows consulta holds under another liquidation.
STAGING = sql.Identifier("traspaso_staging")


def hold(table: TableName) -> sql.Composable:
    """Reads nothing, and takes the lock of a reader until the transaction ends."""
    return sql.SQL("SELECT FROM {} LIMIT 0").format(table.identifier)


def count(table: TableName, keys: Keyset, liquidation_id: int) -> sql.Composable:
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table.identifier, keys.whole(liquidation_id))


def count_without_key(table: TableName, keys: Keyset, liquidation_id: int) -> sql.Composable:
    return sql.SQL("SELECT count(*) FROM {} WHERE {} AND num_nulls({}) > 0").format(
        table.identifier, keys.whole(liquidation_id), keys.key_names
    )


def boundaries(table: TableName, keys: Keyset, liquidation_id: int, chunk_rows: int) -> sql.Composable:
    """Every ``chunk_rows``-th key in order, as an array of text: an index-only scan where there is one."""
    return sql.SQL(
        "SELECT {values} FROM (SELECT {keys}, row_number() OVER (ORDER BY {order}) AS traspaso_place "
        "FROM {table} WHERE {where}) AS placed WHERE traspaso_place % {step} = 0 ORDER BY traspaso_place"
    ).format(
        values=keys.values_as_text,
        keys=keys.key_names,
        order=keys.order,
        table=table.identifier,
        where=keys.whole(liquidation_id),
        step=sql.Literal(chunk_rows),
    )


def copy_out(
    table: TableName, matched: Matched, keys: Keyset, liquidation_id: int, part: KeyRange
) -> sql.Composable:
    return sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT {})").format(
        sql.SQL(", ").join(pair.selected for pair in matched.pairs),
        table.identifier,
        keys.within(liquidation_id, part),
        _format(matched),
    )


def copy_in(table: sql.Identifier, matched: Matched) -> sql.Composable:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(table, _names(matched), _format(matched))


def digest(
    table: TableName,
    matched: Matched,
    keys: Keyset,
    liquidation_id: int,
    part: KeyRange,
    *,
    of_source: bool,
) -> sql.Composable:
    """Rows of the range and the exclusive-or of their hashes; see `copier.digest`."""
    values = sql.SQL(", ").join(hashed(pair, of_source=of_source) for pair in matched.compared)
    return sql.SQL(
        "SELECT count(*), coalesce(bit_xor(pg_catalog.hash_record_extended(ROW({}), 0)), 0) FROM {} WHERE {}"
    ).format(values, table.identifier, keys.within(liquidation_id, part))


def delete(table: TableName, keys: Keyset, liquidation_id: int, part: KeyRange) -> sql.Composable:
    return sql.SQL("DELETE FROM {} WHERE {}").format(table.identifier, keys.within(liquidation_id, part))


def create_staging(table: TableName, matched: Matched) -> sql.Composable:
    return sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
        STAGING, _names(matched), table.identifier
    )


def delete_moved(table: TableName, keys: Keyset) -> sql.Composable:
    """Removes the rows whose key the staged rows bring, under whatever liquidation they sit."""
    same_key = sql.SQL(" AND ").join(
        sql.SQL("held.{name} = staged.{name}").format(name=sql.Identifier(column.name))
        for column in keys.columns
    )
    return sql.SQL("DELETE FROM {} AS held USING {} AS staged WHERE {}").format(
        table.identifier, STAGING, same_key
    )


def insert_staged(table: TableName, matched: Matched) -> sql.Composable:
    names = _names(matched)
    return sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}").format(
        table.identifier, names, names, STAGING
    )


def catalogue_label(table: TableName, label: Column, number: Column, liquidation_id: int) -> sql.Composable:
    return sql.SQL("SELECT {}::text FROM {} WHERE {} = {} LIMIT 1").format(
        sql.Identifier(label.name),
        table.identifier,
        sql.Identifier(number.name),
        number_literal(liquidation_id, number.type.base),
    )


def _names(matched: Matched) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(pair.name) for pair in matched.pairs)


def _format(matched: Matched) -> sql.SQL:
    return sql.SQL("binary") if matched.binary else sql.SQL("text")

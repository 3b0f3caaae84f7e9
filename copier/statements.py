"""Every statement the engine runs, built here and nowhere else, by pure functions.

Names come from the catalog or the configuration and are quoted; the liquidation, the bounds and the
hashes are literals, because COPY takes no parameters.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql
from sqlalchemy import text

from copier.catalog import Column
from copier.keyset import KeyRange, number_literal
from copier.match import Matched
from copier.names import TableName
from copier.slices import Slice

#: Makes text, and so casts and bounds, read the same on both sides. Row security that would hide rows
#: is an error instead, or else the rest would be taken for all. One backend a lane, and no time spent
#: on compiling: a chunk takes a second. Valid for one transaction.
SETTINGS = (
    "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true), "
    "set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true), "
    "set_config('bytea_output', 'hex', true), set_config('client_encoding', 'UTF8', true), "
    "set_config('row_security', 'off', true), set_config('jit', 'off', true), "
    "set_config('max_parallel_workers_per_gather', '0', true)"
)

#: For reading ranges where there is an index on (liquidation column, key). The planner thinks that a
#: comparison of rows holds for a third of the table, and would read all of it.
BY_INDEX = "SELECT set_config('enable_seqscan', 'off', true)"


#: The first statement of a snapshot's transaction: takes it, names it for other readers, and says
#: when that was. No other may come before it, because the first one takes the snapshot.
SNAPSHOT = f"{SETTINGS}, pg_catalog.pg_export_snapshot(), pg_catalog.clock_timestamp()"

#: For the transactions that hold a snapshot: they are idle while other lanes copy, and their cursor
#: is read to its end.
SNAPSHOT_SETTINGS = text(
    "SELECT set_config('idle_in_transaction_session_timeout', '0', true), "
    "set_config('cursor_tuple_fraction', '1.0', true), "
    "set_config('lock_timeout', :lock_timeout, true)"
)

#: The cursor that walks down the keys, and one step of it.
CURSOR = sql.Identifier("traspaso_keys")
FETCH = sql.SQL("FETCH NEXT FROM {}").format(CURSOR)
#: The one of an earlier walk, if there was one: no other cursor is open in these transactions.
CLOSE = sql.SQL("CLOSE ALL")

#: The staging table of the rare chunk whose rows consulta holds under another liquidation.
STAGING = sql.Identifier("traspaso_staging")


def snapshot(name: str) -> sql.Composable:
    return sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(name))


def hold(table: TableName) -> sql.Composable:
    """Reads nothing, and takes the lock of a reader until the transaction ends."""
    return sql.SQL("SELECT FROM {} LIMIT 0").format(table.identifier)


def count(rows: Slice) -> sql.Composable:
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
        rows.table.identifier, rows.keys.whole(rows.liquidation_id)
    )


def count_without_key(rows: Slice) -> sql.Composable:
    return sql.SQL("SELECT count(*) FROM {} WHERE {} AND num_nulls({}) > 0").format(
        rows.table.identifier, rows.keys.whole(rows.liquidation_id), rows.keys.key_names
    )


def estimate(rows: Slice) -> sql.Composable:
    """What the planner thinks the count would be."""
    return sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {} WHERE {}").format(
        rows.table.identifier, rows.keys.whole(rows.liquidation_id)
    )


def any_row(rows: Slice) -> sql.Composable:
    return sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(
        rows.table.identifier, rows.keys.whole(rows.liquidation_id)
    )


def declare(rows: Slice) -> sql.Composable:
    """Opens the cursor over the keys in order: an index-only scan where there is an index for it."""
    return sql.SQL("DECLARE {} NO SCROLL CURSOR FOR SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        CURSOR,
        rows.keys.values_as_text,
        rows.table.identifier,
        rows.keys.whole(rows.liquidation_id),
        rows.keys.order,
    )


def move(rows: int) -> sql.Composable:
    return sql.SQL("MOVE FORWARD {} FROM {}").format(sql.Literal(rows), CURSOR)


def digest(rows: Slice, part: KeyRange, only: Iterable[int] | None = None) -> sql.Composable:
    """Rows of the range and the exclusive-or of their hashes; see `copier.digest`."""
    return sql.SQL("SELECT count(*), {} FROM {} WHERE {}").format(
        _xor(rows.row_hash), rows.table.identifier, rows.within(part, only)
    )


def versions(rows: Slice, part: KeyRange) -> sql.Composable:
    """Rows of the range and the exclusive-or of their versions' hashes: no value is read."""
    return sql.SQL("SELECT count(*), {} FROM {} WHERE {}").format(
        _xor(rows.version_hash), rows.table.identifier, rows.within(part)
    )


def digest_and_versions(rows: Slice, part: KeyRange) -> sql.Composable:
    """Both of the above in one scan, where the table has versions; else NULL for them."""
    versioned = _xor(rows.version_hash) if rows.has_versions else sql.SQL("NULL::bigint")
    return sql.SQL("SELECT count(*), {}, {} FROM {} WHERE {}").format(
        _xor(rows.row_hash), versioned, rows.table.identifier, rows.within(part)
    )


def hashes(rows: Slice, part: KeyRange) -> sql.Composable:
    """The hashes of the range's keys and of its rows, as two byte strings in the same order."""
    return sql.SQL("SELECT {}, {} FROM {} WHERE {}").format(
        _joined(rows.key_hash), _joined(rows.row_hash), rows.table.identifier, rows.within(part)
    )


def sample(rows: Slice, part: KeyRange, one_in: int) -> sql.Composable:
    """Rows, exclusive-or of the keys' hashes, and the hashes of every n-th row by its key's hash."""
    return sql.SQL("SELECT count(*), {}, {} FILTER (WHERE {} & {} = 0) FROM {} WHERE {}").format(
        _xor(rows.key_hash),
        _joined(rows.row_hash),
        rows.key_hash,
        sql.Literal(one_in - 1),
        rows.table.identifier,
        rows.within(part),
    )


def key_hashes(rows: Slice, part: KeyRange) -> sql.Composable:
    return sql.SQL("SELECT {} FROM {} WHERE {}").format(
        _joined(rows.key_hash), rows.table.identifier, rows.within(part)
    )


def copy_out(rows: Slice, part: KeyRange, only: Iterable[int] | None = None) -> sql.Composable:
    return sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT {})").format(
        sql.SQL(", ").join(pair.selected for pair in rows.matched.pairs),
        rows.table.identifier,
        rows.within(part, only),
        _format(rows.matched),
    )


def copy_in(table: sql.Identifier, matched: Matched) -> sql.Composable:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(table, _names(matched), _format(matched))


def delete(rows: Slice, part: KeyRange, only: Iterable[int] | None = None) -> sql.Composable:
    return sql.SQL("DELETE FROM {} WHERE {}").format(rows.table.identifier, rows.within(part, only))


def create_staging(rows: Slice) -> sql.Composable:
    return sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
        STAGING, _names(rows.matched), rows.table.identifier
    )


def delete_moved(rows: Slice) -> sql.Composable:
    """Removes the rows whose key the staged rows bring, under whatever liquidation they sit."""
    same_key = sql.SQL(" AND ").join(
        sql.SQL("held.{name} = staged.{name}").format(name=sql.Identifier(column.name))
        for column in rows.keys.columns
    )
    return sql.SQL("DELETE FROM {} AS held USING {} AS staged WHERE {}").format(
        rows.table.identifier, STAGING, same_key
    )


def insert_staged(rows: Slice) -> sql.Composable:
    names = _names(rows.matched)
    return sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}").format(
        rows.table.identifier, names, names, STAGING
    )


def row_bytes(table: TableName, at_least: int) -> sql.Composable:
    """The table's average row with its TOASTed values; NULL for a view. It has ``at_least`` so many rows.

    A table that was never analyzed doesn't know its rows: the average is then the most that it can be.
    """
    return sql.SQL("""
        WITH parts AS (SELECT to_regclass({name}) AS oid
                       UNION SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass({name})))
        SELECT sum(pg_catalog.pg_table_size(oid)) / greatest(sum(greatest(reltuples, 0)), {rows}, 1)::float8
          FROM pg_catalog.pg_class JOIN parts USING (oid) WHERE relkind IN ('r', 'm')
    """).format(name=sql.Literal(str(table)), rows=sql.Literal(at_least))


def catalogue_entry(
    table: TableName, label: Column, changed: Column | None, number: Column, liquidation_id: int
) -> sql.Composable:
    """A liquidation's name, and when it last changed: NULL where no column tells."""
    return sql.SQL("SELECT {}::text, {} FROM {} WHERE {} = {} LIMIT 1").format(
        sql.Identifier(label.name),
        sql.SQL("NULL") if changed is None else _moment(changed),
        table.identifier,
        sql.Identifier(number.name),
        number_literal(liquidation_id, number.type.base),
    )


def _moment(column: Column) -> sql.Composable:
    """As timestamptz. A time without a zone is one of the server's own zone: the session's is UTC here."""
    name = sql.Identifier(column.name)
    if column.type.base == "timestamp with time zone":
        moment: sql.Composable = name
    elif column.type.base in {"timestamp without time zone", "date"}:
        zone = sql.SQL("(SELECT reset_val FROM pg_catalog.pg_settings WHERE pg_settings.name = 'TimeZone')")
        moment = sql.SQL("({}::timestamp AT TIME ZONE {})").format(name, zone)
    else:
        return sql.SQL("NULL")
    return sql.SQL("CASE WHEN isfinite({}) THEN {} END").format(name, moment)


def _xor(hashed: sql.Composable) -> sql.Composable:
    return sql.SQL("coalesce(bit_xor({}), 0)").format(hashed)


def _joined(hashed: sql.Composable) -> sql.Composable:
    return sql.SQL("string_agg(pg_catalog.int8send({}), ''::bytea)").format(hashed)


def _names(matched: Matched) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(pair.name) for pair in matched.pairs)


def _format(matched: Matched) -> sql.SQL:
    return sql.SQL("binary") if matched.binary else sql.SQL("text")

"""Every statement that the engine runs, built by pure functions, and the settings of its transactions.

Names come from the system catalog or the configuration and are quoted; the liquidation, the bounds and the
hashes are literals, because COPY takes no parameters.

A transaction sets what it needs for itself alone: behind PgBouncer in transaction mode a session has no
settings. Each group of settings is one statement, or what follows in it, so that a chunk asks for all of its
settings at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import LiteralString

from psycopg import sql

from copier.columns import Matched
from copier.keys import INTEGERS, cast_to, identifier
from copier.model import Bound, KeyRange, TableName
from copier.parents import ParentSlice
from copier.table_slice import TableSlice

#: The cursor over the keys, and one step of it.
CURSOR = sql.Identifier("traspaso_keys")
FETCH = sql.SQL("FETCH NEXT FROM {}").format(CURSOR)
#: Closes that of an earlier run, if there was one: no other cursor is open in these transactions.
CLOSE = sql.SQL("CLOSE ALL")

#: Whether the database has any large object; everybody may ask it.
ANY_LARGE_OBJECT = sql.SQL("SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)")

#: A row of the target that is under another liquidation: the columns that say so, and its key, as text.
Held = tuple[Sequence[str | None], Sequence[str]]
#: Types of a liquidation column whose values compare as numbers, however they are spelled.
NUMBERS = INTEGERS | {"numeric"}

#: The staging table of the rare chunk whose rows the target holds under another liquidation.
STAGING = sql.Identifier("traspaso_staging")

#: A running statement whose client has closed its line is ended within this time, in seconds.
CHECK_SECONDS = 5.0


# --------------------------------------------------------------------------------------------------- settings


#: Makes text, and so casts and bounds, read the same on both sides. Row security that would hide rows
#: is an error instead, or else the rest would be taken for all. No time is spent on compiling: a chunk
#: takes a second. What the role's own timeouts would cut off ends when it is done; servers before 17 know
#: no transaction_timeout.
_COMMON = (
    "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true), "
    "set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true), "
    "set_config('bytea_output', 'hex', true), set_config('client_encoding', 'UTF8', true), "
    "set_config('row_security', 'off', true), set_config('jit', 'off', true), "
    "set_config('quote_all_identifiers', 'off', true), set_config('array_nulls', 'on', true), "
    "set_config('statement_timeout', '0', true), "
    "CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL "
    "THEN set_config('transaction_timeout', '0', true) END"
)

#: Whose session it is, and when the server takes it for lost: where nothing is heard in the middle of a
#: transaction, and where the line itself is dead. A server on another system than Linux may not know how.
#: Over a Unix socket the line's settings do nothing.
LOST = (
    "set_config('application_name', :label, true), set_config('lock_timeout', :lock_timeout, true), "
    "set_config('idle_in_transaction_session_timeout', :lost, true), "
    "CASE WHEN position('linux' IN pg_catalog.version()) > 0 THEN "
    "set_config('tcp_keepalives_idle', :keepalives_idle, true) "
    "|| set_config('tcp_keepalives_interval', :keepalives_interval, true) "
    "|| set_config('tcp_keepalives_count', '3', true) "
    "|| set_config('tcp_user_timeout', :unsent, true) "
    "|| CASE WHEN current_setting('client_connection_check_interval', true) IS NOT NULL "
    "THEN set_config('client_connection_check_interval', :check, true) ELSE '' END END"
)


def lost_after(seconds: float, label: str, lock_timeout_seconds: float) -> dict[str, str]:
    """The parameters of `LOST`.

    Bytes that the client doesn't take may wait longer by the time that the other side waits for a lock.
    """
    return {
        "label": label,
        "lock_timeout": milliseconds(lock_timeout_seconds),
        "lost": milliseconds(seconds),
        "keepalives_idle": str(max(1, round(seconds / 2))),
        "keepalives_interval": str(max(1, round(seconds / 6))),
        "unsent": milliseconds(seconds + lock_timeout_seconds),
        "check": milliseconds(min(CHECK_SECONDS, seconds / 4)),
    }


def milliseconds(seconds: float) -> str:
    """A timeout as PostgreSQL writes it; never zero, which would mean no timeout."""
    return f"{max(1, round(seconds * 1000))}ms"


#: Begins a transaction that looks at one moment and writes nothing.
BEGIN_MOMENT: LiteralString = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

#: For the transactions that hold a snapshot: they are idle while other lanes copy, and their cursor
#: is read to its end.
HELD = f"{LOST}, set_config('cursor_tuple_fraction', '1.0', true)"

#: For a session that sees a moment which another one holds, and is held as long.
BESIDE = f"{_COMMON}, {HELD}"

#: Undoes what `of_lane` has chosen for one table, in a session that reads another one next.
ANY_PLAN: LiteralString = (
    "SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_sort TO DEFAULT; "
    "SET LOCAL enable_indexscan TO DEFAULT; SET LOCAL search_path TO DEFAULT"
)

#: The first statement of a snapshot's transaction that takes it, names it for other readers, and says when
#: that was. Only locks may be taken before it. A standby exports none: one that is imported there may be
#: wrong where a transaction has more than 64 subtransactions.
SNAPSHOT = (
    f"{_COMMON}, {HELD}, CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL "
    "ELSE pg_catalog.pg_export_snapshot() END AS name, pg_catalog.clock_timestamp() AS as_of"
)

#: One backend a lane.
_ALONE = "set_config('max_parallel_workers_per_gather', '0', true)"

#: For reading ranges where there is an index on (liquidation column, key). The planner thinks that a
#: comparison of rows holds for a third of the table, and would read all of it, or sort what it reads.
_BY_INDEX = "set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)"

#: The same where rows belong through a parent: the key alone is compared there, which the planner judges
#: well, and to sort what the parents lead to may be the least work.
_BY_PARENT = "set_config('enable_seqscan', 'off', true)"

#: Beside it, for digests of the target: a range that was replaced is in the index twice, and its pages are
#: read once where the index is read first.
_BY_BITMAP = "set_config('enable_indexscan', 'off', true)"

#: Makes the names that a regclass and its like are written by whole, whatever the databases' search_path.
_QUALIFIED = "set_config('search_path', '', true)"


def of_lane(
    *, by_index: bool, in_order: bool = True, qualified: bool = False, by_parent: bool = False
) -> str:
    """For one backend that looks, or reads and writes ranges.

    It reads them ``by_index``, and ``in_order`` of the key where that matters; names are written
    ``qualified`` where rows hold any. That is for who only reads: a trigger may need the search_path.
    ``by_parent``: the rows belong through a parent.
    """
    parts = [_COMMON, _ALONE]
    if qualified:
        parts.append(_QUALIFIED)
    if by_index and by_parent:
        parts.append(_BY_PARENT)
    elif by_index:
        parts.append(_BY_INDEX)
        if not in_order:
            parts.append(_BY_BITMAP)
    return ", ".join(parts)


def looking(rows: TableSlice, *, qualified: bool) -> sql.Composable:
    """The same for a transaction that looks at these rows and has its other settings already."""
    by_index = [_BY_INDEX if rows.parent is None else _BY_PARENT] if rows.has_index else []
    return sql.SQL(f"SELECT {', '.join([_ALONE, *by_index, *([_QUALIFIED] if qualified else [])])}")


def lane_of(rows: TableSlice, *, reads: bool = False, in_order: bool = True) -> str:
    """`of_lane` for ranges of these rows; ``reads``: it only reads."""
    return of_lane(
        by_index=rows.has_index,
        in_order=in_order,
        qualified=reads and rows.holds_names,
        by_parent=rows.parent is not None,
    )


# ---------------------------------------------------------------------------------- what is asked and written


def snapshot(name: str) -> sql.Composable:
    return sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(name))


def definition(tables: Sequence[TableName]) -> sql.Composable:
    """What the tables under these names are made of now, as one text: another one after any DDL on them or
    an enum.

    Rows keep their xmin where the table, a partition or a column is exchanged, or an enum's label renamed.
    """
    return sql.SQL("""
        WITH RECURSIVE tree (oid) AS (
          {roots}
          UNION
          SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
        SELECT pg_catalog.md5(string_agg(row, ',' ORDER BY row)) FROM (
          SELECT concat_ws(' ', 'c', c.oid, c.relfilenode, c.xmin, c.ctid)
            FROM pg_catalog.pg_class c JOIN tree USING (oid)
          UNION ALL SELECT concat_ws(' ', 'a', a.attrelid, a.attnum, a.xmin, a.ctid)
            FROM pg_catalog.pg_attribute a JOIN tree ON tree.oid = a.attrelid
          UNION ALL SELECT concat_ws(' ', 'd', d.oid, d.xmin, d.ctid)
            FROM pg_catalog.pg_attrdef d JOIN tree ON tree.oid = d.adrelid
          UNION ALL SELECT concat_ws(' ', 'e', e.oid, e.xmin, e.ctid) FROM pg_catalog.pg_enum e
        ) AS parts (row)
    """).format(roots=_roots(tables))


def _roots(tables: Sequence[TableName]) -> sql.Composable:
    """The OIDs of the tables under these names."""
    return sql.SQL("SELECT to_regclass(name)::oid FROM unnest({}::text[]) AS roots (name)").format(
        sql.Literal([str(table) for table in tables])
    )


def hold(table: TableName, rows: int = 0) -> sql.Composable:
    """Reads so many rows, and takes the lock of a reader until the transaction ends."""
    return sql.SQL("SELECT FROM {} LIMIT {}").format(table.identifier, sql.Literal(rows))


def count(rows: TableSlice) -> sql.Composable:
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
        rows.table.identifier, rows.keys.whole(rows.liquidation_id)
    )


def parent_digest(parents: ParentSlice) -> sql.Composable:
    """How many parents the liquidation has, and the exclusive-or of their keys' hashes."""
    return sql.SQL("SELECT count(*), coalesce(bit_xor({}), 0) FROM {} WHERE {} AND {}").format(
        parents.key_hash,
        parents.table.identifier,
        parents.keys.whole(parents.liquidation_id),
        _with_key(parents),
    )


def parent_keys(parents: ParentSlice, used_by: TableSlice | None = None) -> sql.Composable:
    """The hashes of the keys of the liquidation's parents, as one byte string.

    ``used_by``: only those to which rows of this table point.
    """
    used: sql.Composable = sql.SQL("true")
    if used_by is not None and used_by.keys.through is not None:
        used = used_by.keys.through.is_pointed_to(used_by.table)
    return sql.SQL("SELECT {} FROM {} WHERE {} AND {} AND {}").format(
        _joined(parents.key_hash),
        parents.table.identifier,
        parents.keys.whole(parents.liquidation_id),
        _with_key(parents),
        used,
    )


def pointed_to(rows: TableSlice, columns: Sequence[str], most: int) -> sql.Composable:
    """The different values of these columns, as text, where none of them is NULL; at most so many rows."""
    names = [sql.Identifier(name) for name in columns]
    as_text = sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in names)
    return sql.SQL("SELECT DISTINCT {} FROM {} WHERE {} AND num_nulls({}) = 0 LIMIT {}").format(
        as_text,
        rows.table.identifier,
        rows.keys.whole(rows.liquidation_id),
        sql.SQL(", ").join(names),
        sql.Literal(most),
    )


def not_there(
    table: TableName, columns: Sequence[str], types: Sequence[str], values: Sequence[Sequence[str]]
) -> sql.Composable:
    """How many of these values, as `pointed_to` has them, no row of the table has in these columns."""
    names = [sql.Identifier(f"k{place}") for place in range(len(columns))]
    arrays = [
        sql.SQL("{}::text[]").format(sql.Literal([row[n] for row in values])) for n in range(len(columns))
    ]
    same = [
        sql.SQL("o.{} = k.{}::{}").format(sql.Identifier(column), name, sql.SQL(of_type))
        for column, name, of_type in zip(columns, names, types, strict=True)
    ]
    return sql.SQL(
        "SELECT count(*) FROM unnest({}) AS k ({}) WHERE NOT EXISTS (SELECT FROM {} o WHERE {})"
    ).format(
        sql.SQL(", ").join(arrays), sql.SQL(", ").join(names), table.identifier, sql.SQL(" AND ").join(same)
    )


def _with_key(parents: ParentSlice) -> sql.Composable:
    """Of a parent: no column of the key that rows point to is NULL."""
    names = sql.SQL(", ").join(sql.Identifier(pair.name) for pair in parents.key)
    return sql.SQL("num_nulls({}) = 0").format(names)


def repeats_key(rows: TableSlice) -> sql.Composable:
    """Whether the key names more than one row."""
    return sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1)").format(
        rows.table.identifier, rows.keys.whole(rows.liquidation_id), rows.keys.order
    )


def count_without_key(rows: TableSlice) -> sql.Composable:
    return sql.SQL("SELECT count(*) FROM {} WHERE {} AND num_nulls({}) > 0").format(
        rows.table.identifier, rows.keys.whole(rows.liquidation_id), rows.keys.key_names
    )


def estimate(rows: TableSlice) -> sql.Composable:
    """What the planner thinks the count would be."""
    return sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {} WHERE {}").format(
        rows.table.identifier, rows.keys.whole(rows.liquidation_id)
    )


def declare(rows: TableSlice) -> sql.Composable:
    """Opens the cursor over the keys in order: an index-only scan where there is an index for it.

    It selects them as they are: most are only passed over, and casts would cost as much as the scan.
    """
    return sql.SQL("DECLARE {} NO SCROLL CURSOR FOR SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        CURSOR,
        rows.keys.key_names,
        rows.table.identifier,
        rows.keys.whole(rows.liquidation_id),
        rows.keys.order,
    )


def fetch(rows: int) -> sql.Composable:
    return sql.SQL("FETCH FORWARD {} FROM {}").format(sql.Literal(rows), CURSOR)


def move(rows: int) -> sql.Composable:
    return sql.SQL("MOVE FORWARD {} FROM {}").format(sql.Literal(rows), CURSOR)


def digest(rows: TableSlice, key_range: KeyRange) -> sql.Composable:
    """Rows of the range and the exclusive-or of their hashes; see `copier.model`."""
    return _digest_of(rows.row_hash, rows, key_range)


def digest_by_writer(rows: TableSlice, key_range: KeyRange) -> sql.Composable:
    """The same for each transaction that wrote rows of the range, its xid in front; at most of two."""
    return sql.SQL(
        "SELECT xmin::text, count(*), coalesce(bit_xor({}), 0) FROM {} WHERE {} GROUP BY xmin LIMIT 2"
    ).format(rows.row_hash, rows.table.identifier, rows.within(key_range))


def written_by(rows: TableSlice, key_range: KeyRange, xid: str) -> sql.Composable:
    """Rows of the range, and how many of them this transaction wrote."""
    return sql.SQL("SELECT count(*), count(*) FILTER (WHERE xmin = {}::xid) FROM {} WHERE {}").format(
        sql.Literal(xid), rows.table.identifier, rows.within(key_range)
    )


def arrivals(rows: TableSlice, key_range: KeyRange, base: str) -> sql.Composable:
    """Rows of the range; then rows and digest of those that no transaction before ``base`` wrote."""
    return sql.SQL(
        "SELECT count(*), count(*) FILTER (WHERE {new}), coalesce(bit_xor({hash}) FILTER (WHERE {new}), 0) "
        "FROM {table} WHERE {where}"
    ).format(
        new=_is_since(rows, base),
        hash=rows.row_hash,
        table=rows.table.identifier,
        where=rows.within(key_range),
    )


def arrivals_by_key(rows: TableSlice, key_range: KeyRange, horizon: int) -> sql.Composable:
    """Rows of the range; then keys, as arrays of text, and hashes of those written since the horizon."""
    return sql.SQL(
        "SELECT count(*), array_agg({key}) FILTER (WHERE {new}), array_agg({hash}) FILTER (WHERE {new}) "
        "FROM {table} WHERE {where}"
    ).format(
        key=rows.keys.values_as_text,
        new=_is_since(rows, str(horizon)),
        hash=rows.row_hash,
        table=rows.table.identifier,
        where=rows.within(key_range),
    )


def arrived(rows: TableSlice, horizon: int, key_range: KeyRange | None = None) -> sql.Composable:
    """Rows of the liquidation, or of one range of it, and how many of them were written since the horizon."""
    return sql.SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {} WHERE {}").format(
        _is_since(rows, str(horizon)),
        rows.table.identifier,
        rows.keys.whole(rows.liquidation_id) if key_range is None else rows.within(key_range),
    )


def arrived_rows(rows: TableSlice, horizon: int, most: int) -> sql.Composable:
    """Keys, as arrays of text, and hashes of at most so many rows of the liquidation, of those written since
    the horizon."""
    return sql.SQL("SELECT {}, {} FROM {} WHERE {} AND {} LIMIT {}").format(
        rows.keys.values_as_text,
        rows.row_hash,
        rows.table.identifier,
        rows.keys.whole(rows.liquidation_id),
        _is_since(rows, str(horizon)),
        sql.Literal(most),
    )


def hashes_by_key(rows: TableSlice, key_range: KeyRange, keys: Sequence[Bound]) -> sql.Composable:
    """Keys, as arrays of text, and hashes of the rows with one of these keys."""
    return sql.SQL("SELECT {}, {} FROM {} WHERE {}").format(
        rows.keys.values_as_text, rows.row_hash, rows.table.identifier, rows.within(key_range, keys)
    )


def hashes_since(
    rows: TableSlice, key_range: KeyRange, keys: Sequence[Bound], horizon: int
) -> sql.Composable:
    """The same, and of each of these rows whether it was written since the horizon."""
    return sql.SQL("SELECT {}, {}, {} FROM {} WHERE {}").format(
        rows.keys.values_as_text,
        rows.row_hash,
        _is_since(rows, str(horizon)),
        rows.table.identifier,
        rows.within(key_range, keys),
    )


def _is_since(rows: TableSlice, base: str) -> sql.Composable:
    """Of a row: it, or a row through which it belongs, was written by a transaction that isn't older than
    this xid8.

    Ages are compared because xids wrap around: a row so old that its xid has come round again looks new.
    """

    def new(row: str | None = None) -> sql.Composable:
        return sql.SQL("age({}) <= (SELECT age({}::xid8::xid))").format(
            identifier("xmin", row), sql.Literal(base)
        )

    parents = rows.keys.through_any(rows.liquidation_id, new)
    return new() if parents is None else sql.SQL("({} OR {})").format(new(), parents)


def vantage(tables: Sequence[TableName]) -> sql.Composable:
    """From where the tables are seen at this moment, for `copier.row_versions`.

    ``server`` is another text after a restart, a promotion, a restore or a crash. A server that goes on after
    the crash of one session may have lost commits that were seen. It resets its statistics then
    (postgresql.org/docs/current/monitoring-stats.html), and everybody may read when it did. Every transaction
    below the ``horizon`` has ended, and the ``newest`` xid is the next one that is given. ``comparable``: all
    that is behind the names are permanent tables, and the server says when it reset its statistics.
    """
    return sql.SQL("""
        WITH RECURSIVE tree (oid) AS (
          {roots}
          UNION
          SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
        SELECT concat_ws(' ', (SELECT system_identifier FROM pg_catalog.pg_control_system()),
                 CASE WHEN pg_catalog.pg_is_in_recovery()
                      THEN (SELECT 'standby ' || min_recovery_end_timeline
                              FROM pg_catalog.pg_control_recovery())
                      ELSE left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) END,
                 extract(epoch FROM pg_catalog.pg_postmaster_start_time()),
                 extract(epoch FROM writer.stats_reset),
                 (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())) AS server,
               pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text AS horizon,
               pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text AS newest,
               writer.stats_reset IS NOT NULL AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_class c JOIN tree USING (oid)
                   LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
                  WHERE c.relkind NOT IN ('r', 'p') OR c.relpersistence <> 'p'
                        OR c.relkind = 'r' AND m.amname <> 'heap') AS comparable
          FROM pg_catalog.pg_stat_bgwriter writer
    """).format(roots=_roots(tables))


def hashes(rows: TableSlice, key_range: KeyRange, first: int | None = None) -> sql.Composable:
    """The hashes of the range's rows in the order of the keys, as one byte string, and the xid8 of the
    oldest transaction that hadn't ended by then.

    ``first`` asks for so many rows only.
    """
    first_only = sql.SQL(" ORDER BY {} LIMIT {}").format(rows.keys.order, sql.Literal(first))
    return sql.SQL(
        "SELECT string_agg(pg_catalog.int8send({}), ''::bytea ORDER BY {}), "
        "pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text "
        "FROM (SELECT * FROM {} WHERE {}{}) AS part"
    ).format(
        rows.row_hash,
        rows.keys.order,
        rows.table.identifier,
        rows.within(key_range),
        sql.SQL("") if first is None else first_only,
    )


def keys_at(rows: TableSlice, key_range: KeyRange, places: Iterable[int]) -> sql.Composable:
    """The keys, as arrays of text, of the rows at these places, from 0, in the order of the keys."""
    return sql.SQL(
        "SELECT {} FROM (SELECT *, row_number() OVER (ORDER BY {}) - 1 AS traspaso_place FROM {} WHERE {}) "
        "AS part WHERE traspaso_place = ANY({}::bigint[])"
    ).format(
        rows.keys.values_as_text,
        rows.keys.order,
        rows.table.identifier,
        rows.within(key_range),
        sql.Literal("{" + ",".join(map(str, places)) + "}"),
    )


def key_digest(rows: TableSlice, key_range: KeyRange) -> sql.Composable:
    """Rows of the range and the exclusive-or of their keys' hashes."""
    return _digest_of(rows.key_hash, rows, key_range)


def key_hashes_in_order(rows: TableSlice, key_range: KeyRange) -> sql.Composable:
    """The hashes of the keys in their order, as one byte string."""
    return sql.SQL(
        "SELECT string_agg(pg_catalog.int8send({}), ''::bytea ORDER BY {}) FROM {} WHERE {}"
    ).format(rows.key_hash, rows.keys.order, rows.table.identifier, rows.within(key_range))


def key_hashes(rows: TableSlice, key_range: KeyRange) -> sql.Composable:
    return sql.SQL("SELECT {} FROM {} WHERE {}").format(
        _joined(rows.key_hash), rows.table.identifier, rows.within(key_range)
    )


def copy_out(rows: TableSlice, key_range: KeyRange, only: Sequence[Bound] | None = None) -> sql.Composable:
    return sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT {})").format(
        sql.SQL(", ").join(rows.sent(pair, pair.selected) for pair in rows.matched.pairs),
        rows.table.identifier,
        rows.within(key_range, only),
        _format(rows.matched),
    )


def copy_out_hashed(rows: TableSlice, key_range: KeyRange) -> sql.Composable:
    """The same of a whole range in binary, each row with its hash in front of it: the source is read once.

    What a type sends is computed once, hashed, and sent on as the bytes that it is. OFFSET keeps the planner
    from computing it in both places.
    """
    names = [sql.Identifier(f"c{place}") for place in range(len(rows.matched.compared))]
    named = list(zip(rows.values, names, strict=True))
    return sql.SQL(
        "COPY (SELECT {}, {} FROM (SELECT {} FROM {} WHERE {} OFFSET 0) AS part) TO STDOUT (FORMAT binary)"
    ).format(
        rows.hash_of(replace(value, value=name) for value, name in named),
        sql.SQL(", ").join(
            rows.sent(pair, name) for pair, name in zip(rows.matched.pairs, names, strict=False)
        ),
        sql.SQL(", ").join(sql.SQL("{} AS {}").format(value.value, name) for value, name in named),
        rows.table.identifier,
        rows.within(key_range),
    )


def copy_in(table: sql.Identifier, matched: Matched) -> sql.Composable:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(table, _names(matched), _format(matched))


def delete(rows: TableSlice, key_range: KeyRange, only: Sequence[Bound] | None = None) -> sql.Composable:
    return sql.SQL("DELETE FROM {} WHERE {}").format(rows.table.identifier, rows.within(key_range, only))


def remove(rows: TableSlice, key_range: KeyRange, keys: Sequence[Bound]) -> sql.Composable:
    """Deletes the rows with these keys that may go now; gives how many."""
    return sql.SQL(
        "WITH gone AS (DELETE FROM {} AS held WHERE {} AND {} RETURNING 1) SELECT count(*) FROM gone"
    ).format(rows.table.identifier, rows.within(key_range, keys), _may_go(rows))


def loosen(
    rows: TableSlice, key_range: KeyRange, keys: Sequence[Bound], columns: Sequence[str]
) -> sql.Composable:
    """Has the rows with these keys refer to nothing by these columns any more; gives how many did."""
    return sql.SQL(
        "WITH loosened AS (UPDATE {} SET {} WHERE {} AND num_nonnulls({}) > 0 RETURNING 1) "
        "SELECT count(*) FROM loosened"
    ).format(
        rows.table.identifier,
        sql.SQL(", ").join(sql.SQL("{} = NULL").format(sql.Identifier(name)) for name in columns),
        rows.within(key_range, keys),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
    )


def _may_go(rows: TableSlice) -> sql.Composable:
    """Of a row that is ``held``: no row of the set's other tables refers to it."""
    if not rows.referring:
        return sql.SQL("true")
    return sql.SQL(" AND ").join(
        sql.SQL("NOT EXISTS (SELECT FROM {} AS referring WHERE {})").format(
            each.table.identifier,
            sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("referring", own), sql.Identifier("held", to))
                for own, to in zip(each.columns, each.to, strict=True)
            ),
        )
        for each in rows.referring
    )


def touched(rows: TableSlice) -> sql.Composable:
    """How many rows this transaction has updated or deleted until now, by the server's own counters.

    A row for each table to which ``rows.actions`` would carry a change on, in their order, without repeats:
    its number among them.
    """
    return sql.SQL("""
        SELECT place, coalesce(sum(pg_catalog.pg_stat_get_xact_tuples_updated(oid)
                                   + pg_catalog.pg_stat_get_xact_tuples_deleted(oid)), 0)::bigint AS rows
          FROM unnest({children}::oid[]) WITH ORDINALITY AS children (child, place)
         CROSS JOIN LATERAL (
           SELECT child AS oid UNION SELECT relid FROM pg_catalog.pg_partition_tree(child)
           UNION SELECT unnest({own}::oid[]) WHERE child = ANY({own}::oid[])) AS parts
         GROUP BY place ORDER BY place
    """).format(children=_oids(dict.fromkeys(each.child for each in rows.actions)), own=_oids(rows.relations))


def _oids(oids: Iterable[int]) -> sql.Literal:
    return sql.Literal("{" + ",".join(map(str, oids)) + "}")


def create_staging(rows: TableSlice) -> sql.Composable:
    return sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(
        STAGING, _names(rows.matched), rows.table.identifier
    )


def held_elsewhere(rows: TableSlice) -> sql.Composable:
    """Rows of other liquidations with one of the staged keys: what places them there, and keys, as text."""
    return sql.SQL(
        "SELECT {place} AS place, {key} AS key FROM {table} AS held "
        "JOIN {staging} AS staged ON {same} WHERE {outside}"
    ).format(
        place=_as_text("held", rows.keys.place),
        key=_as_text("held", rows.key),
        table=rows.table.identifier,
        staging=STAGING,
        same=_same_key(rows),
        outside=rows.keys.outside(rows.liquidation_id, "held"),
    )


def others_with_keys(rows: TableSlice, keys: Sequence[Bound]) -> sql.Composable:
    """Rows of other liquidations with one of these keys: what places them there, and keys, as text."""
    return sql.SQL(
        "SELECT {place} AS place, {key} AS key FROM {table} AS held WHERE {one_of} AND {outside}"
    ).format(
        place=_as_text("held", rows.keys.place),
        key=rows.keys.values_as_text,
        table=rows.table.identifier,
        one_of=rows.keys.one_of(keys),
        outside=rows.keys.outside(rows.liquidation_id, "held"),
    )


def holds_any(rows: TableSlice, held: Sequence[Held]) -> sql.Composable:
    """Whether the source has rows of these keys in these other liquidations, as the target writes them.

    Where rows belong through a parent: whether it has any row of these keys outside of the liquidation.
    """
    placed = rows.keys.place if rows.keys.through is None else ()
    names = [*placed, *rows.key]
    pairs = {pair.name: pair for pair in rows.matched.compared}
    columns = list(zip(*([*place[: len(placed)], *key] for place, key in held), strict=True))
    wanted = [sql.Identifier(f"traspaso_wanted_{place}") for place, _ in enumerate(names)]
    keys = {column.name: column for column in rows.keys.columns}
    values = [
        (pairs[name].selected, cast_to(value, pairs[name].selected_type))
        for name, value in zip(names, wanted, strict=True)
    ]
    if (
        placed and rows.keys.liquidation_type not in NUMBERS
    ):  # the target's spelling may be one that the source's type can't read
        values[0] = (cast_to(pairs[names[0]].selected, "text"), wanted[0])
    same: list[sql.Composable] = [
        sql.SQL("{} IS NOT DISTINCT FROM {}").format(*pair) for pair in values[: len(placed)]
    ]
    same += [keys[name].compared(*pair) for name, pair in zip(rows.key, values[len(placed) :], strict=True)]
    if not placed:
        same.append(rows.keys.outside(rows.liquidation_id, "traspaso_rows"))
    return sql.SQL(
        "SELECT EXISTS (SELECT FROM {} AS traspaso_rows JOIN unnest({}) AS traspaso_wanted({}) ON {})"
    ).format(
        rows.table.identifier,
        sql.SQL(", ").join(cast_to(sql.Literal(list(column)), "text[]") for column in columns),
        sql.SQL(", ").join(wanted),
        sql.SQL(" AND ").join(same),
    )


def repeats_staged_key(rows: TableSlice) -> sql.Composable:
    """Whether the source has sent several rows with one key."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in rows.key)
    return sql.SQL("SELECT EXISTS (SELECT FROM {} GROUP BY {} HAVING count(*) > 1)").format(STAGING, names)


def merge(
    rows: TableSlice,
    surplus: Sequence[tuple[KeyRange, Sequence[Bound] | None]],
    taken: Sequence[Held],
    *,
    in_place: bool,
) -> sql.Composable:
    """Puts the staged rows in place and removes surplus ones, all in one statement.

    ``surplus`` are ranges, and the keys of the rows in them that may have to go; None stands for all of them.
    Foreign keys are checked when the whole statement is done, so what refers to what doesn't matter. A row
    whose key is there is updated ``in_place``, or else deleted and inserted, which frees its unique values
    first: a row of this liquidation, or one of those that are ``taken`` from others, and of no other. Gives
    the number of staged rows that are in place then, and of rows that were deleted or updated.
    """
    table, same = rows.table.identifier, _same_key(rows)
    own = sql.SQL("{} AND {}").format(same, _own_or_taken(rows, taken))
    gone = sql.SQL(
        "DELETE FROM {} AS held WHERE ({}) AND NOT EXISTS (SELECT FROM {} AS staged WHERE {}) AND {}"
    ).format(
        table,
        sql.SQL(" OR ").join(
            sql.SQL("({})").format(rows.within(key_range, only)) for key_range, only in surplus
        )
        if surplus
        else sql.SQL("false"),
        STAGING,
        same,
        _may_go(rows),
    )
    names = _names(rows.matched)
    changed = _update(rows, own) if in_place else _delete_staged(rows, own)
    left = sql.SQL("AND NOT EXISTS (SELECT FROM {} AS held WHERE {})").format(table, same)
    return sql.SQL(
        "WITH gone AS ({gone} RETURNING 1), changed AS ({changed} RETURNING 1), "
        "brought AS (INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} "
        "FROM {staging} AS staged WHERE (SELECT count(*) FROM gone) >= 0 "
        "AND (SELECT count(*) FROM changed) >= 0 {left} RETURNING 1) "
        "SELECT ({taken}), (SELECT count(*) FROM gone) + (SELECT count(*) FROM changed)"
    ).format(
        gone=gone,
        changed=changed,
        table=table,
        names=names,
        staging=STAGING,
        left=left if in_place else sql.SQL(""),
        taken=sql.SQL(
            "(SELECT count(*) FROM changed) + (SELECT count(*) FROM brought)"
            if in_place
            else "SELECT count(*) FROM brought"
        ),
    )


def _update(rows: TableSlice, same: sql.Composable) -> sql.Composable:
    values = [
        sql.SQL("{name} = staged.{name}").format(name=sql.Identifier(pair.name))
        for pair in rows.matched.pairs
        if pair.name in rows.updated - rows.always
    ]
    kept = [
        sql.SQL("held.{name} IS NOT DISTINCT FROM staged.{name}").format(name=sql.Identifier(name))
        for name in sorted(rows.always)
    ]
    values += [sql.SQL("{} = DEFAULT").format(sql.Identifier(name)) for name in rows.matched.defaulted]
    if not values:  # all columns are the key: to set one to what it is leaves the row as it is
        values = [sql.SQL("{name} = staged.{name}").format(name=sql.Identifier(rows.key[0]))]
    return sql.SQL("UPDATE {} AS held SET {} FROM {} AS staged WHERE {}").format(
        rows.table.identifier, sql.SQL(", ").join(values), STAGING, sql.SQL(" AND ").join([same, *kept])
    )


def _delete_staged(rows: TableSlice, same: sql.Composable) -> sql.Composable:
    return sql.SQL("DELETE FROM {} AS held USING {} AS staged WHERE {}").format(
        rows.table.identifier, STAGING, same
    )


def _own_or_taken(rows: TableSlice, taken: Sequence[Held]) -> sql.Composable:
    """Of a row that is ``held``: it is of this liquidation, or one of those that are taken from others.

    Whoever has put it elsewhere in the meantime, or has put another one in its place, keeps it.
    """
    if not rows.keys.across_liquidations:
        return sql.SQL("true")
    own = rows.keys.whole(rows.liquidation_id, "held")
    if not taken:
        return own
    names = [*rows.keys.place, *rows.key]
    columns = zip(*([*place, *key] for place, key in taken), strict=True)
    marks = [sql.Identifier(f"taken_{place}") for place, _ in enumerate(names)]
    return sql.SQL("({} OR EXISTS (SELECT FROM unnest({}) AS taken({}) WHERE {}))").format(
        own,
        sql.SQL(", ").join(cast_to(sql.Literal(list(column)), "text[]") for column in columns),
        sql.SQL(", ").join(marks),
        sql.SQL(" AND ").join(
            sql.SQL("{}::text IS NOT DISTINCT FROM {}").format(sql.Identifier("held", name), mark)
            for name, mark in zip(names, marks, strict=True)
        ),
    )


def _same_key(rows: TableSlice) -> sql.Composable:
    """Of a row that is ``held`` and one that is ``staged``, under whatever liquidation the key names them."""
    keys = [
        column.compared(sql.Identifier("held", column.name), sql.Identifier("staged", column.name))
        for column in rows.keys.columns
    ]
    if not rows.keys.across_liquidations:
        number = sql.Identifier(rows.keys.liquidation_column)
        keys.append(sql.SQL("held.{name} = staged.{name}").format(name=number))
    return sql.SQL(" AND ").join(keys)


def _as_text(alias: str, names: Sequence[str]) -> sql.Composable:
    return sql.SQL("ARRAY[{}]::text[]").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(alias, name)) for name in names)
    )


def size(table: TableName) -> sql.Composable:
    """The table's bytes with its TOASTed values, and its rows as far as it knows; NULLs for a view."""
    return sql.SQL("""
        WITH parts AS (SELECT to_regclass({name}) AS oid
                       UNION SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass({name})))
        SELECT sum(pg_catalog.pg_table_size(oid)) AS bytes, sum(greatest(reltuples, 0))::float8 AS rows
          FROM pg_catalog.pg_class JOIN parts USING (oid) WHERE relkind IN ('r', 'm')
    """).format(name=sql.Literal(str(table)))


def _digest_of(hashed: sql.Composable, rows: TableSlice, key_range: KeyRange) -> sql.Composable:
    return sql.SQL("SELECT count(*), coalesce(bit_xor({}), 0) FROM {} WHERE {}").format(
        hashed, rows.table.identifier, rows.within(key_range)
    )


def _joined(hashed: sql.Composable) -> sql.Composable:
    return sql.SQL("string_agg(pg_catalog.int8send({}), ''::bytea)").format(hashed)


def _names(matched: Matched) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(pair.name) for pair in matched.pairs)


def _format(matched: Matched) -> sql.SQL:
    return sql.SQL("binary") if matched.binary else sql.SQL("text")

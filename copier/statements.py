"""Every statement the engine runs, built here and nowhere else, by pure functions.

Names come from the catalog or the configuration and are quoted; the liquidation, the bounds and the
hashes are literals, because COPY takes no parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from psycopg import sql

from copier.keyset import Bound, KeyRange
from copier.match import Matched
from copier.names import TableName
from copier.slices import Slice

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


def declare(rows: Slice) -> sql.Composable:
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


def move(rows: int) -> sql.Composable:
    return sql.SQL("MOVE FORWARD {} FROM {}").format(sql.Literal(rows), CURSOR)


def digest(rows: Slice, part: KeyRange) -> sql.Composable:
    """Rows of the range and the exclusive-or of their hashes; see `copier.digest`."""
    return _digest_of(rows.row_hash, rows, part)


def arrivals(rows: Slice, part: KeyRange, base: str) -> sql.Composable:
    """Rows of the range; then rows and digest of those among them that no transaction before ``base`` wrote.

    Ages are compared because xids wrap around: a row so old that its xid has come round again looks new.
    """
    is_new = sql.SQL("age(xmin) <= (SELECT age({}::xid8::xid))").format(sql.Literal(base))
    return sql.SQL(
        "SELECT count(*), count(*) FILTER (WHERE {new}), coalesce(bit_xor({hash}) FILTER (WHERE {new}), 0) "
        "FROM {table} WHERE {where}"
    ).format(new=is_new, hash=rows.row_hash, table=rows.table.identifier, where=rows.within(part))


def hashes(rows: Slice, part: KeyRange, first: int | None = None) -> sql.Composable:
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
        rows.within(part),
        sql.SQL("") if first is None else first_only,
    )


def keys_at(rows: Slice, part: KeyRange, places: Iterable[int]) -> sql.Composable:
    """The keys, as arrays of text, of the rows at these places, from 0, in the order of the keys."""
    return sql.SQL(
        "SELECT {} FROM (SELECT *, row_number() OVER (ORDER BY {}) - 1 AS traspaso_place FROM {} WHERE {}) "
        "AS part WHERE traspaso_place = ANY({}::bigint[])"
    ).format(
        rows.keys.values_as_text,
        rows.keys.order,
        rows.table.identifier,
        rows.within(part),
        sql.Literal("{" + ",".join(map(str, places)) + "}"),
    )


def key_digest(rows: Slice, part: KeyRange) -> sql.Composable:
    """Rows of the range and the exclusive-or of their keys' hashes."""
    return _digest_of(rows.key_hash, rows, part)


def key_hashes(rows: Slice, part: KeyRange) -> sql.Composable:
    return sql.SQL("SELECT {} FROM {} WHERE {}").format(
        _joined(rows.key_hash), rows.table.identifier, rows.within(part)
    )


def copy_out(rows: Slice, part: KeyRange, only: Sequence[Bound] | None = None) -> sql.Composable:
    return sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT {})").format(
        sql.SQL(", ").join(pair.selected for pair in rows.matched.pairs),
        rows.table.identifier,
        rows.within(part, only),
        _format(rows.matched),
    )


def copy_out_hashed(rows: Slice, part: KeyRange) -> sql.Composable:
    """The same of a whole range in binary, each row with its hash in front of it: prod is read once.

    What a type sends is computed once, hashed, and sent on as the bytes that it is. OFFSET keeps the planner
    from computing it in both places.
    """
    names = [sql.Identifier(f"c{place}") for place in range(len(rows.matched.compared))]
    named = list(zip(rows.values, names, strict=True))
    return sql.SQL(
        "COPY (SELECT {}, {} FROM (SELECT {} FROM {} WHERE {} OFFSET 0) AS part) TO STDOUT (FORMAT binary)"
    ).format(
        rows.hash_of(replace(value, value=name) for value, name in named),
        sql.SQL(", ").join(names[: len(rows.matched.pairs)]),
        sql.SQL(", ").join(sql.SQL("{} AS {}").format(value.value, name) for value, name in named),
        rows.table.identifier,
        rows.within(part),
    )


def copy_in(table: sql.Identifier, matched: Matched) -> sql.Composable:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(table, _names(matched), _format(matched))


def delete(rows: Slice, part: KeyRange, only: Sequence[Bound] | None = None) -> sql.Composable:
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


def _digest_of(hashed: sql.Composable, rows: Slice, part: KeyRange) -> sql.Composable:
    return sql.SQL("SELECT count(*), coalesce(bit_xor({}), 0) FROM {} WHERE {}").format(
        hashed, rows.table.identifier, rows.within(part)
    )


def _joined(hashed: sql.Composable) -> sql.Composable:
    return sql.SQL("string_agg(pg_catalog.int8send({}), ''::bytea)").format(hashed)


def _names(matched: Matched) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(pair.name) for pair in matched.pairs)


def _format(matched: Matched) -> sql.SQL:
    return sql.SQL("binary") if matched.binary else sql.SQL("text")

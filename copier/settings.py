"""What a transaction sets, for itself alone: behind PgBouncer in transaction mode a session has no settings.

Each is one statement, or what follows in it, so that a chunk asks for all of its settings at once.
"""

from __future__ import annotations

#: A running statement whose client has closed its line is ended within this time, in seconds.
CHECK_SECONDS = 5.0

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


#: The first statement of a transaction that looks at one moment and writes nothing.
ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

#: For the transactions that hold a snapshot: they are idle while other lanes copy, and their cursor
#: is read to its end.
HELD = f"{LOST}, set_config('cursor_tuple_fraction', '1.0', true)"

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

#: Beside it, for digests of consulta: a range that was replaced is in the index twice, and its pages are
#: read once where the index is read first.
_BY_BITMAP = "set_config('enable_indexscan', 'off', true)"


#: Makes the names that a regclass and its like are written by whole, whatever the databases' search_path.
_QUALIFIED = "set_config('search_path', '', true)"


def of_lane(*, by_index: bool, in_order: bool = True, qualified: bool = False) -> str:
    """For one backend that looks, or reads and writes ranges.

    It reads them ``by_index``, and ``in_order`` of the key where that matters; names are written
    ``qualified`` where rows hold any. That is for who only reads: a trigger may need the search_path.
    """
    parts = [_COMMON, _ALONE]
    if qualified:
        parts.append(_QUALIFIED)
    if by_index:
        parts.append(_BY_INDEX)
        if not in_order:
            parts.append(_BY_BITMAP)
    return ", ".join(parts)

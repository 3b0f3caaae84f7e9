"""Holds a copy back between two chunks: by a cap in rows a second, and while a standby of the target lags.

The cap is kept by waiting before a chunk until its rows are due. It holds from the first second, for all
lanes of a copy together.

What a standby has not replayed yet is asked of the target itself (`pg_stat_replication`). A role without
`pg_monitor` doesn't see the standbys' positions: that is an error, it isn't taken for no lag.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine, text

from copier import statements
from copier.connections import Sessions
from copier.errors import Permanent, failures_of
from copier.model import Limits

#: Seconds between two looks while the copy is held back.
LOOK_SECONDS = 1.0

_LAG = text(
    f"SELECT {statements.LOST}, count(*) FILTER (WHERE state IS NULL) AS hidden, "  # noqa: S608 - our own words
    "coalesce(max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn)), 0)::float8 / 1048576 AS mb "
    "FROM pg_stat_replication WHERE state IS NULL OR state IN ('streaming', 'catchup')"
)

Throttled = Callable[[float | None], None]


class RowCap:
    """A cap in rows a second; None: there is none."""

    def __init__(self, rows_per_second: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rows_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._due: float | None = None

    def pause_before(self, rows: int) -> float:
        """How many seconds to wait before a chunk of so many rows; asked once for each chunk.

        Rows become due at the cap's rate from the first call on. What was due and not taken for more than a
        second is lost: a copy that was slow for a time doesn't go faster than the cap afterwards.
        """
        if self._rate is None:
            return 0.0
        with self._lock:
            now = self._clock()
            begin = now if self._due is None else max(self._due, now - 1.0)
            self._due = begin + rows / self._rate
            return max(0.0, self._due - now)


class Throttle:
    """Waits between two chunks, for all lanes of one copy."""

    def __init__(
        self,
        target: Engine,
        side: str,
        limits: Limits,
        sessions: Sessions,
        *,
        throttled: Throttled,
        sleep: Callable[[float], object],
    ) -> None:
        """``throttled`` gets the lag in MB while a standby is waited for, and None afterwards.

        ``sleep`` waits for so many seconds; it ends the wait for good by returning something true.
        """
        self._target = target
        self._side = side
        self._limit_mb = limits.standby_lag_mb
        self._cap = RowCap(limits.rows_per_second)
        self._sessions = sessions
        self._throttled = throttled
        self._sleep = sleep
        self._lock = threading.Lock()
        #: Whether there is anything to wait for.
        self.is_set = limits.standby_lag_mb is not None or limits.rows_per_second is not None

    def wait_for_cap(self, rows: int, over: threading.Event) -> bool:
        """True when a chunk of so many rows is due; False where ``sleep`` or ``over`` ends the wait."""
        pause = self._cap.pause_before(rows)
        return not pause or not (self._sleep(pause) or over.is_set())

    def wait_for_standbys(self, over: threading.Event) -> bool:
        """True as soon as every standby is near enough; False where ``sleep`` or ``over`` ends the wait.

        One lane looks for all: the others wait behind it.

        Raises:
            Permanent: the role may not see how far the standbys are.
        """
        if self._limit_mb is None:
            return True
        with self._lock:
            if (lag := self._lag_mb()) <= self._limit_mb:
                return True
            try:
                while lag > self._limit_mb:
                    self._throttled(lag)
                    if self._sleep(LOOK_SECONDS) or over.is_set():
                        return False
                    lag = self._lag_mb()
            finally:
                self._throttled(None)
            return True

    def _lag_mb(self) -> float:
        with failures_of(self._side):
            connection = self._sessions.open(self._target, self._side)
            try:
                row = connection.execute(_LAG, self._sessions.values).one()
            finally:
                self._sessions.shut(connection)
        if row.hidden:
            raise Permanent(
                f"{self._side}'s role may not see how far the standbys are: grant it pg_monitor, "
                "or leave standby_lag_mb out",
                side=self._side,
                condition="StandbyLagHidden",
            )
        return float(row.mb)

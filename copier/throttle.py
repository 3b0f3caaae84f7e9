"""Holds a copy back while a standby of the target can't keep up with it.

What a standby has not replayed yet is asked of the target itself (`pg_stat_replication`), between two
chunks. A role without `pg_monitor` sees no standby's position; that is said, not taken for no lag.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import Engine, text

from copier import statements
from copier.connections import Sessions
from copier.errors import Permanent, failures_of

#: Seconds between two looks while the copy is held back.
LOOK_SECONDS = 1.0

_LAG = text(
    f"SELECT {statements.LOST}, count(*) FILTER (WHERE state IS NULL) AS hidden, "  # noqa: S608 - our own words
    "coalesce(max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn)), 0)::float8 / 1048576 AS mb "
    "FROM pg_stat_replication WHERE state IS NULL OR state IN ('streaming', 'catchup')"
)

Throttled = Callable[[float | None], None]


class Throttle:
    """Waits between two chunks; calls ``throttled`` with the lag in MB while it does, and None afterwards."""

    def __init__(
        self,
        target: Engine,
        side: str,
        limit_mb: float | None,
        sessions: Sessions,
        *,
        throttled: Throttled,
        sleep: Callable[[float], object],
    ) -> None:
        self._target = target
        self._side = side
        self._limit = limit_mb
        self._sessions = sessions
        self._throttled = throttled
        self._sleep = sleep
        self._lock = threading.Lock()

    @property
    def is_set(self) -> bool:
        """Whether there is anything to wait for."""
        return self._limit is not None

    def hold(self, over: threading.Event) -> bool:
        """True as soon as every standby is near enough; False where ``sleep`` or ``over`` ends the wait.

        One lane looks for all: the others wait behind it.

        Raises:
            Permanent: the role may not see how far the standbys are.
        """
        if self._limit is None:
            return True
        with self._lock:
            if (lag := self._lag_mb()) <= self._limit:
                return True
            try:
                while lag > self._limit:
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

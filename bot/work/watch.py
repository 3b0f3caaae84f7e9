"""The watch: looks by the clock whether prod has moved on since each copy. In each worker; one does a round.

It reads both sides by row versions (`copier.outlook`) and writes what it knows into the tracking tables, and
nothing else. It gives way to copies: between two liquidations it waits as long as one runs, or could. What
is left at the end of its time comes first in the next round.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from bot.config import SIDES, CopySection
from bot.jobs.drift import Round, RoundLost, Rounds, Watching
from bot.jobs.known_columns import spec_of
from bot.periodic import PeriodicThread, still_working
from copier import Outlook, outlook
from copier.errors import CopierError, Transient

log = logging.getLogger(__name__)

#: Seconds between two looks for a round that another process has left.
LEFT_SECONDS = 5.0
#: Seconds between two looks whether copies still run, and after a side that was away.
BUSY_SECONDS, AWAY_SECONDS = 1.0, 20.0
#: The name of its sessions.
LABEL = "traspaso watch"


class Watch:
    """The looks at the clock, and a thread that works on the rounds."""

    def __init__(
        self,
        rounds: Rounds,
        copies: Sequence[CopySection],
        *,
        prod: Engine,
        consulta: Engine,
        timeout_seconds: float,
        told: Callable[[], None],
    ) -> None:
        """Both engines keep their connections, so that a round opens one to each side.

        ``timeout_seconds`` is for one look; ``told`` is called where the channel is owed something.
        """
        self._rounds = rounds
        self._copies = copies
        self._prod = prod
        self._consulta = consulta
        self._timeout = timeout_seconds
        self._told = told
        self._over = threading.Event()
        self._thread = PeriodicThread(
            "watch",
            self.run_due,
            every_seconds=LEFT_SECONDS,
            at_once=True,
            what="the watch can't go on",
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = 15.0) -> None:
        """Waits so long for the look in hand; another process goes on with the round."""
        self._over.set()
        self._thread.stop(timeout_seconds)

    def look(self) -> None:
        """One look at the clock."""
        if self._rounds.look():
            self._thread.wake()

    def run_due(self) -> int:
        """Works on the rounds that are due; how many it took in hand."""
        taken = 0
        while not self._over.is_set() and (found := self._rounds.take()):
            taken += 1
            try:
                self.run(found)
            except RoundLost:
                log.warning("the round of %s is another process's by now", found.due_at)
            finally:
                self._prod.dispose()
                self._consulta.dispose()
        return taken

    def run(self, found: Round) -> None:
        """Goes on with a claimed round until nothing or no time is left, or this process ends.

        Raises:
            RoundLost: another process works on it.
        """
        until = time.monotonic() + found.seconds
        looked = 0
        while time.monotonic() < until:
            if self._over.is_set():
                return
            still_working()
            if self._rounds.is_busy():
                self._rounds.hold(found)
                self._over.wait(BUSY_SECONDS)
                continue
            watching = self._rounds.next(found)
            if watching is None:
                break
            try:
                seen = self._look_at(watching)
            except Transient as error:
                log.warning("the watch waits for a side that is away: %s", error)
                self._rounds.hold(found)
                self._over.wait(min(AWAY_SECONDS, max(0.0, until - time.monotonic())))
                continue
            self._rounds.saw(found, watching, seen)
            looked += 1
        left = self._rounds.end(found)
        log.info("the watch looked at %s liquidations, %s are left for the next round", looked, left)
        self._told()

    def _look_at(self, watching: Watching) -> Outlook | None:
        """What a copy would do now; None where that isn't known.

        Raises:
            Transient: a side is away.
        """
        if watching.baseline is None:
            return None
        pair = watching.source_table, watching.target_table
        fitting = [each for each in self._copies if (str(each.source_table), str(each.target_table)) == pair]
        copy = next((each for each in fitting if each.name == watching.copy_name), fitting[0])
        try:
            return outlook(
                self._prod,
                self._consulta,
                spec_of(self._consulta, copy),
                watching.liquidation_id,
                watching.baseline,
                names=SIDES,
                timeout_seconds=self._timeout,
                label=LABEL,
            )
        except Transient:
            raise
        except CopierError as error:
            log.warning("the watch can't look at liquidation %s: %s", watching.liquidation_id, error)
            return None

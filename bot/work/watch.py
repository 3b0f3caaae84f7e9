"""The watch: looks by the clock whether prod has moved on since each copy. In each worker; one does a round.

It reads both sides by row versions (`copier.preview`) and writes what it knows into the tracking tables, and
nothing else. It gives way to copies: between two liquidations it waits as long as one runs, or could. What
is left at the end of its time comes first in the next round.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from bot.config import SIDES, CopySection
from bot.jobs.baseline import spec_of
from bot.jobs.models import ClaimLost
from bot.jobs.watch import Round, Rounds, Watching
from bot.periodic import PeriodicThread, still_working
from copier import CopySpec, ExpectedChanges, expected_changes, unchanged
from copier.errors import CopierError, Transient

log = logging.getLogger(__name__)

#: Seconds between two looks for a round that another process has left.
LEFT_SECONDS = 5.0
#: Seconds between two looks whether copies still run, and after a side that was away.
BUSY_SECONDS, AWAY_SECONDS = 1.0, 20.0
#: So many liquidations are seen at one moment, as long as they have no more rows than that together: what a
#: copy waits for is short, and so is what a moment holds back.
AT_ONCE, ROWS_AT_ONCE = 100, 200_000
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
            except ClaimLost:
                log.warning("the round of %s is another process's by now", found.due_at)
            finally:
                self._prod.dispose()
                self._consulta.dispose()
        return taken

    def run(self, found: Round) -> None:
        """Goes on with a claimed round until nothing or no time is left, or this process ends.

        Raises:
            ClaimLost: another process works on it.
        """
        until = time.monotonic() + found.seconds
        looked = 0
        left: deque[Watching] = deque()  # that are looked at one by one
        while time.monotonic() < until:
            if self._over.is_set():
                return
            still_working()
            if self._rounds.is_busy():
                left.clear()  # a copy may put another proof in the place of theirs
                self._rounds.hold(found)
                self._over.wait(BUSY_SECONDS)
                continue
            seen: list[tuple[Watching, ExpectedChanges | None]]
            try:
                if left:
                    watching = left.popleft()
                    seen = [(watching, self._look_at(watching))]
                elif together := _together(self._rounds.next(found, AT_ONCE)):
                    seen = self._unchanged(together)
                    known = {each.liquidation_id for each, _ in seen}
                    left.extend(each for each in together if each.liquidation_id not in known)
                else:
                    break
            except Transient as error:
                log.warning("the watch waits for a side that is away: %s", error)
                left.clear()
                self._rounds.hold(found)
                self._over.wait(min(AWAY_SECONDS, max(0.0, until - time.monotonic())))
                continue
            if seen:
                self._rounds.saw(found, seen)
                looked += len(seen)
        rest = self._rounds.end(found)
        log.info("the watch looked at %s liquidations, %s are left for the next round", looked, rest)
        self._told()

    def _unchanged(self, together: Sequence[Watching]) -> list[tuple[Watching, ExpectedChanges | None]]:
        """Those of several of one copy of which both sides hold what was proven.

        Raises:
            Transient: a side is away.
        """
        baselines = {each.liquidation_id: each.baseline for each in together if each.baseline is not None}
        if len(baselines) < 2:
            return []
        try:
            found = unchanged(
                self._prod,
                self._consulta,
                self._spec(together[0]),
                baselines,
                names=SIDES,
                timeout_seconds=self._timeout,
                label=LABEL,
            )
        except Transient:
            raise
        except CopierError:
            return []  # why that is so is said of each
        return [(each, found[each.liquidation_id]) for each in together if each.liquidation_id in found]

    def _spec(self, watching: Watching) -> CopySpec:
        pair = watching.source_table, watching.target_table
        fitting = [each for each in self._copies if (str(each.source_table), str(each.target_table)) == pair]
        copy = next((each for each in fitting if each.name == watching.copy_name), fitting[0])
        return spec_of(self._consulta, copy)

    def _look_at(self, watching: Watching) -> ExpectedChanges | None:
        """What a copy would do now; None where that isn't known.

        Raises:
            Transient: a side is away.
        """
        if watching.baseline is None:
            return None
        try:
            return expected_changes(
                self._prod,
                self._consulta,
                self._spec(watching),
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


def _together(several: Sequence[Watching]) -> list[Watching]:
    """The first, and those behind it that can be seen at one moment with it."""
    found: list[Watching] = []
    rows = 0
    for each in several:
        rows += each.baseline.digest.rows if each.baseline else 0
        if found and (rows > ROWS_AT_ONCE or _copied_as(each) != _copied_as(found[0])):
            break
        found.append(each)
    return found


def _copied_as(watching: Watching) -> tuple[str, str, str]:
    return watching.copy_name, watching.source_table, watching.target_table

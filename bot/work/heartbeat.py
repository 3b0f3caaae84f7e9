"""Renews the lease of a running job while a chunk, a count or a comparison takes its time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from bot.errors import StaleAttempt
from bot.jobs.lifecycle import Claim, Lifecycle
from bot.jobs.wishes import Orders

#: How long a beat that hangs is waited for when the attempt is over. What it does later changes nothing.
LEAVE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that lives as long as the attempt. ``is_stale`` tells that the job is no longer ours.

    ``told`` gets what is wanted of the job, at each beat.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        claim: Claim,
        told: Callable[[Orders], None],
        *,
        every_seconds: float,
    ) -> None:
        self._lifecycle = lifecycle
        self._claim = claim
        self._told = told
        self._every = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{claim.job_id}", daemon=True)
        self.is_stale = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(LEAVE_SECONDS)

    def check(self) -> None:
        """Called while a side is silent.

        Raises:
            StaleAttempt: another worker holds the job.
        """
        if self.is_stale:
            raise StaleAttempt(self._claim.job_id, self._claim.attempt)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                self._told(self._lifecycle.renew(self._claim))
            except StaleAttempt:
                self.is_stale = True
                return
            except SQLAlchemyError as error:
                # Consulta is away: the copy itself will notice. The next beat tries again.
                log.warning("job %s: the lease was not renewed: %s", self._claim.job_id, type(error).__name__)
            except Exception:
                log.exception("job %s: the heartbeat stumbled; it goes on", self._claim.job_id)

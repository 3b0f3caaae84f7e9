"""Shows a running job's progress every few seconds, in a thread beside the copy.

Whatever shows it may be slow or fail; the copy never waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from bot.jobs.snapshot import JobView
from bot.jobs.store import JobRepository

#: How long a picture that hangs is waited for when the attempt is over.
LEAVE_SECONDS = 5.0

log = logging.getLogger(__name__)

Show = Callable[[JobView], None]


class Ticker:
    """Alive for one attempt: reads the job's row and hands it to ``show``."""

    def __init__(self, store: JobRepository, job_id: int, show: Show, *, every_seconds: float) -> None:
        self._store = store
        self._job_id = job_id
        self._show = show
        self._every = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ticker-{job_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                job = self._store.snapshot(self._job_id)
                if job is not None and job.status.is_live:
                    self._show(job)
            except Exception as error:
                log.warning("job %s: progress not shown: %s", self._job_id, type(error).__name__)

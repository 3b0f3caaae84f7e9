"""Runs the verifications that people ask for, two at a time, in threads of their own: no listener waits.

They read both sides and write nothing. When the process ends they are broken off between two parts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from sqlalchemy import Engine

from bot.config import SIDES, CopySection
from bot.messages.verification import VerificationResult
from copier import Catalogue, Comparison, Copy, Limits, is_known

log = logging.getLogger(__name__)

#: Verifications that run at once in this process.
AT_ONCE = 2


class Interrupted(Exception):
    """The process ends; the comparison has no result."""


class VerificationRunner:
    """Runs what `begin` is given, two at a time and the rest in the order in which they came."""

    def __init__(
        self, prod: Engine, consulta: Engine, limits: Limits, catalogue: Catalogue | None = None
    ) -> None:
        self._prod = prod
        self._consulta = consulta
        self._limits = limits
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._taken = 0
        self._over = threading.Event()
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # Not an executor's threads, which the process would wait for however long a server takes.
        self._threads = [
            threading.Thread(target=self._run, name=f"verification-{number}", daemon=True)
            for number in range(AT_ONCE)
        ]

    def ahead(self) -> int:
        """How many are before one that is begun now; zero where it wouldn't have to wait."""
        with self._lock:
            return self._taken if self._taken >= AT_ONCE else 0

    def begin(self, work: Callable[[], None]) -> None:
        """Runs ``work``, which calls `verify` and handles what that raises, as soon as there is room.

        After `stop` it is run at once, by the caller: `verify` raises Interrupted then.
        """
        with self._lock:
            is_over = self._over.is_set()
            if not is_over:
                self._taken += 1
                for thread in self._threads:
                    if thread.ident is None:
                        thread.start()
                self._waiting.put(work)
        if is_over:
            work()

    def verify(self, copy: CopySection, liquidation_id: int) -> VerificationResult:
        """Compares both sides now.

        Raises:
            Interrupted: the process ends.
            SchemaError: the tables don't fit.
            DatabaseFailed: a side can't be reached.
        """
        if self._over.is_set():
            raise Interrupted
        began = time.monotonic()
        comparisons: list[Comparison] = []
        with Copy(
            self._prod,
            self._consulta,
            copy.spec,
            liquidation_id,
            names=SIDES,
            limits=self._limits,
            label="traspaso verify",
            on_silence=self._may_wait,
        ) as both:
            as_of = both.plan().as_of
            proof = both.verify(on_comparison=comparisons.append, should_stop=self._over.is_set)
            if proof is None:
                raise Interrupted
        known = None
        if proof.is_empty and self._catalogue is not None:
            known = is_known(self._prod, self._catalogue, liquidation_id, names=SIDES)
        return VerificationResult(
            liquidation_id=liquidation_id,
            copy_name=copy.name,
            proof=proof,
            parts=len(comparisons),
            as_of=as_of,
            seconds=time.monotonic() - began,
            known=known,
        )

    def _may_wait(self, silent: float) -> None:
        """Asked while a side is silent."""
        if self._over.is_set():
            raise Interrupted

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Breaks off what runs and what waits; each says so to whoever asked, if there is time for it."""
        with self._lock:  # so that nothing is put behind the end of the queue
            self._over.set()
            for _ in self._threads:
                self._waiting.put(None)
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while work := self._waiting.get():
            try:
                work()
            except Exception:
                log.exception("a verification failed; the next one comes")
            finally:
                with self._lock:
                    self._taken -= 1

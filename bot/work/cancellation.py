"""Stops a running copy at its next chunk's end, or sooner where a side stands still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bot.jobs.models import StopRequest
from copier.errors import Transient
from copier.parallel import asking_while_waiting

T = TypeVar("T")

#: How long a step in consulta is waited for once a stop is requested, and how often that is looked at.
STEP_SECONDS, ASK_SECONDS = 5.0, 0.5


class BrokenOff(Exception):
    """A stop was requested, and a side stood still: the work in hand was not waited for."""


class StopSwitch:
    """Set by a signal, a middleware or the job's row, read between two chunks and while a side is silent."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._parts: list[StopSwitch] = []
        self._requested: StopRequest | None = None
        self._since = 0.0
        self._at_once = False
        self._whole = self

    def request(self, stop: StopRequest, *, at_once: bool = False) -> None:
        """``at_once`` where a side that stands still isn't to be waited for any more."""
        with self._lock:
            if self._requested is None:
                self._since = time.monotonic()
            self._at_once = self._at_once or at_once
            if self._requested is None or stop.outranks(self._requested):
                self._requested = stop
            self._event.set()
            parts = list(self._parts)
        for part in parts:
            part.request(stop, at_once=at_once)

    def obey(self, stop: StopRequest | None) -> None:
        """The request that the job's row holds, if any."""
        if stop is not None:
            self.request(stop)

    @property
    def requested(self) -> StopRequest | None:
        """The strongest request so far."""
        return self._requested

    def is_requested(self) -> bool:
        return self._requested is not None

    def check(self, silent: float, patience: float) -> None:
        """Called while a side has been silent for so many seconds.

        Raises:
            BrokenOff: a stop was requested, and nothing has moved for ``patience`` seconds since then.
        """
        if self._requested is None:
            return
        if self._at_once or min(silent, time.monotonic() - self._since) >= patience:
            raise BrokenOff

    @property
    def whole(self) -> StopSwitch:
        """The process's own, of which this may be a part."""
        return self._whole

    def wait(self, seconds: float) -> bool:
        """True as soon as a stop is requested, False after ``seconds`` without one."""
        return self._event.wait(seconds)

    @contextmanager
    def part(self) -> Iterator[StopSwitch]:
        """A switch for one of several copies: it turns with this one, or alone."""
        part = StopSwitch()
        part._whole = self._whole
        with self._lock:
            self._parts.append(part)
            stop, at_once = self._requested, self._at_once
        if stop is not None:
            part.request(stop, at_once=at_once)
        try:
            yield part
        finally:
            with self._lock:
                self._parts.remove(part)


def in_time(step: Callable[[], T], stop: StopSwitch) -> T:
    """What the step gives; it isn't waited for much longer than until a stop is requested.

    Raises:
        Transient: the step has neither ended nor failed by then. It may still be done: it is fenced.
    """
    requested_for = 0.0

    def ask(silent: float) -> None:
        nonlocal requested_for
        requested_for += ASK_SECONDS if stop.requested else 0.0
        if requested_for >= STEP_SECONDS:
            raise Transient(
                "consulta doesn't answer, and the process ends", side="consulta", condition="NoAnswer"
            )

    return asking_while_waiting(step, ask, every_seconds=ASK_SECONDS, name="step")

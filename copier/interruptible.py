"""Statements that can be broken off: whoever waits for a server is asked every second whether to go on.

psycopg's own wait ends when the server answers, and a server whose line is alive may never answer: its
process is stopped, or it waits for a lock. Here the waiting thread itself gives up. It asks the server to
cancel the statement first; where that doesn't help either, it closes the connection.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.waiting import Ready, Wait

from copier.given_up import GivenUp

#: How long a server may stay silent before `waiting` is asked, in seconds.
PATIENCE_SECONDS = 1.0
#: How long a request to cancel, and then the end of the cancelled statement, are waited for, in seconds.
CANCEL_SECONDS = 2.0

#: How much later than its own timeout a server may end a statement before it counts as lost, in seconds.
LATE_SECONDS = 5.0

#: Called with the seconds in which a side has been silent. What it raises ends the wait.
Waiting = Callable[[float], None]

_EVENTS = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}


def at_most(seconds: float) -> Waiting:
    """For connections whose statements are short: a server that is silent for so long counts as lost."""

    def waiting(silent: float) -> None:
        if silent >= seconds:
            raise psycopg.OperationalError(f"the server has not answered for {seconds:g} s")

    return waiting


def look_limit(timeout_seconds: float) -> Waiting:
    """For looks whose statements the server itself ends after this time, where it can."""
    return at_most(timeout_seconds + LATE_SECONDS)


def ask_while_waiting(driver: psycopg.Connection, waiting: Waiting | None) -> Waiting | None:
    """From now on each wait of this connection asks ``waiting``. Gives what it asked before.

    psycopg does all its waiting in one method; a connection that somebody else has made gets another one.
    """
    before: _Waits | None = vars(driver).pop("wait", None)
    if waiting is not None:
        vars(driver)["wait"] = _Waits(driver, waiting)
    return before.waiting if before else None


@contextmanager
def alone_with(driver: psycopg.Connection, waiting: Waiting) -> Iterator[None]:
    """Keeps other threads off the connection, as psycopg does for each statement of its own."""
    began = time.monotonic()
    while not driver.lock.acquire(timeout=PATIENCE_SECONDS):
        waiting(time.monotonic() - began)
    try:
        yield
    finally:
        driver.lock.release()


def cancel(driver: psycopg.Connection) -> bool:
    """Asks the server to end the running statement. False where it can't be asked."""
    try:
        driver.cancel_safe(timeout=CANCEL_SECONDS)
    except (psycopg.Error, OSError):
        return False
    return True


class _Waits:
    """Stands for the ``wait`` of one connection."""

    def __init__(self, driver: psycopg.Connection, waiting: Waiting) -> None:
        self._driver = driver
        self.waiting = waiting

    def __call__(self, steps: Any, *_: object, **__: object) -> Any:
        """Carries psycopg's steps out, as psycopg's own does, and asks in between."""
        place = self._driver.pgconn.socket
        poll = select.poll()
        try:
            wanted = next(steps)
            poll.register(place, _EVENTS[wanted])
            heard = time.monotonic()
            while True:
                ready = self._ready(steps, poll, place, heard)
                if ready != Ready.NONE:
                    heard = time.monotonic()
                if (now_wanted := steps.send(ready)) != wanted:
                    wanted = now_wanted
                    poll.modify(place, _EVENTS[wanted])
        except StopIteration as end:
            return end.value

    def _ready(self, steps: Any, poll: select.poll, place: int, heard: float) -> Ready:
        """What the socket is ready for; nothing, where it was silent and it is to be waited on."""
        try:
            ready = _ready(poll, PATIENCE_SECONDS)
            if ready == Ready.NONE:
                self.waiting(time.monotonic() - heard)
        except psycopg.Error:
            self._break_off(steps, poll, place)
            raise
        except Exception as reason:
            self._break_off(steps, poll, place)
            raise GivenUp(reason) from None  # whose own cause this error is going to be
        except BaseException:  # Ctrl-C
            self._break_off(steps, poll, place)
            raise
        return ready

    def _break_off(self, steps: Any, poll: select.poll, place: int) -> None:
        """The statement ends, or its connection does."""
        if not (cancel(self._driver) and _ends(steps, poll, place)):
            steps.close()
            self._driver.close()


def _ends(steps: Any, poll: select.poll, place: int) -> bool:
    """Whether the statement ends in time. How it ends doesn't matter any more."""
    until = time.monotonic() + CANCEL_SECONDS
    try:
        while (left := until - time.monotonic()) > 0:
            poll.modify(place, _EVENTS[steps.send(_ready(poll, left))])
    except StopIteration:
        return True
    except (psycopg.Error, OSError):
        return True
    return False


def _ready(poll: select.poll, seconds: float) -> Ready:
    found = poll.poll(seconds * 1000)
    if not found:
        return Ready.NONE
    events = found[0][1]
    readable = events & ~select.POLLOUT  # or broken: reading tells
    writable = events & (select.POLLOUT | select.POLLERR | select.POLLHUP)
    return Ready.RW if readable and writable else Ready.R if readable else Ready.W

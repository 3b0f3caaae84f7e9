"""Threads for what people ask for: so many at once, so few for one person, and one search of each person.

A command or a press takes a permit before it is acknowledged, as of a semaphore; where there is none, that is
what the person is told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from enum import Enum

from bot import tracing
from copier import Abort, Entry

log = logging.getLogger(__name__)


class Full(Enum):
    """Why there is no permit."""

    ONES_OWN = "the person has too much under way"
    OF_ALL = "all together have"


@dataclass(frozen=True)
class Caps:
    """How much may be under way: ``threads`` of all run, ``at_once`` of one person; the rest waits."""

    threads: int
    at_once: int
    waiting: int
    waiting_of_one: int


class Permit:
    """One piece of work of one person that a pool takes. It is given back when the work has ended."""

    def __init__(self, pool: WorkPool, person: str) -> None:
        self._pool = pool
        self._person = person

    def begin(self, work: Callable[[], None]) -> None:
        """Runs the work as soon as there is a thread for it. What it raises is logged."""
        context = copy_context()  # of the payload that asked for it
        self._pool.begin(self._person, lambda: context.run(self._traced, work))

    @staticmethod
    def _traced(work: Callable[[], None]) -> None:
        with tracing.span("answer"):
            work()


class WorkPool:
    """The threads for one kind of work, and its permits. Whose work waits gets the next thread in the order
    in which it came, but nobody gets more than ``at_once`` of them.
    """

    def __init__(self, name: str, caps: Caps) -> None:
        self._caps = caps
        self._threads = ThreadPoolExecutor(caps.threads, thread_name_prefix=name)
        self._lock = threading.Condition()
        self._taken: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._waiting: deque[tuple[str, Callable[[], None]]] = deque()

    def take(self, person: str) -> Permit | Full:
        """A permit for somebody; or why there is none."""
        caps = self._caps
        with self._lock:
            if self._taken[person] >= caps.at_once + caps.waiting_of_one:
                return Full.ONES_OWN
            if self._taken.total() >= caps.threads + caps.waiting:
                return Full.OF_ALL
            self._taken[person] += 1
        return Permit(self, person)

    def begin(self, person: str, work: Callable[[], None]) -> None:
        """Called once for each permit."""
        with self._lock:
            self._waiting.append((person, work))
            self._start()

    def _start(self) -> None:
        """Gives the free threads to those who wait. Under the lock."""
        left: deque[tuple[str, Callable[[], None]]] = deque()
        while self._waiting and self._running.total() < self._caps.threads:
            person, work = self._waiting.popleft()
            if self._running[person] >= self._caps.at_once:
                left.append((person, work))
                continue
            self._running[person] += 1
            self._threads.submit(self._run, person, work)
        self._waiting.extendleft(reversed(left))

    def _run(self, person: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("what %s asked for was not answered", person)
        finally:
            with self._lock:
                for counter in (self._taken, self._running):
                    counter[person] -= 1
                    if not counter[person]:
                        del counter[person]
                self._start()
                self._lock.notify_all()

    def drain(self, timeout_seconds: float) -> None:
        """Waits for a moment in which nothing runs or waits."""
        with self._lock:
            self._lock.wait_for(lambda: not self._taken, timeout_seconds)


class WorkPools:
    """The pools of the bot, by what the work may have to wait for: none takes the threads of another."""

    def __init__(self) -> None:
        #: What needs no database: help.
        self.words = WorkPool("words", Caps(4, at_once=2, waiting=40, waiting_of_one=4))
        #: What reads or changes rows of the tracking tables.
        self.answers = WorkPool("answer", Caps(32, at_once=4, waiting=100, waiting_of_one=12))
        #: A look at both sides of a liquidation.
        self.looks = WorkPool("look", Caps(8, at_once=2, waiting=24, waiting_of_one=4))
        #: A press of *Copy*, which looks at both sides too.
        self.presses = WorkPool("press", Caps(32, at_once=24, waiting=60, waiting_of_one=8))
        #: App Home: the one that waits shows what is newest then.
        self.homes = WorkPool("home", Caps(4, at_once=1, waiting=60, waiting_of_one=1))
        #: The sentence for whoever got no permit, where an acknowledgement can't say it.
        self.notices = WorkPool("notice", Caps(2, at_once=1, waiting=20, waiting_of_one=0))

    def drain(self, timeout_seconds: float) -> None:
        """Waits that long, all in all, for the work in hand."""
        until = time.monotonic() + timeout_seconds
        for pool in (self.words, self.answers, self.looks, self.presses, self.homes, self.notices):
            pool.drain(max(0.0, until - time.monotonic()))


# ----------------------------------------------------------------------------
# Searches
#
# Slack sends a search with every few letters, and shows only what answers the last one. So a newer search
# ends the one before: whoever waits for it goes on at once, and its server is told to stop.


#: Searches at once, and so many more may wait; one that waits for a server that is away keeps its place for
#: as long as connecting takes.
AT_ONCE, WAITING = 8, 8
#: Threads that tell servers to stop.
STOPPING = 4

#: Finds the entries, until it is aborted.
Find = Callable[[Abort], list[Entry]]


class Superseded(Exception):
    """The same person has typed on."""


class TooManySearches(Exception):
    """There is no room for another one now."""


class _Search:
    """One search: ``found`` is what whoever asked waits for."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self.abort = Abort()
        self.found: Future[list[Entry]] = Future()


class Searches:
    """What is searched at this moment, by person."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._most = at_once + waiting
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="search")
        self._stopping = ThreadPoolExecutor(STOPPING, thread_name_prefix="search-end")
        self._lock = threading.Lock()
        self._of: dict[str, _Search] = {}

    def find(self, person: str, find: Find, seconds: float) -> list[Entry]:
        """What ``find`` gives, within so many seconds. The search of the same person before ends.

        Raises:
            Superseded: a newer one of the same person has begun.
            TooManySearches: other people's take all the room.
            TimeoutError: it takes longer. It is ended.
        """
        search = _Search(find)
        with self._lock:
            before = self._of.get(person)
            if before is None and len(self._of) >= self._most:
                raise TooManySearches
            self._of[person] = search
        if before is not None:
            self._end(before, Superseded())
        self._threads.submit(self._run, search)
        try:
            return search.found.result(seconds)
        except TimeoutError as late:
            self._end(search, late)
            raise
        finally:
            with self._lock:
                if self._of.get(person) is search:
                    del self._of[person]

    def _end(self, search: _Search, why: Exception) -> None:
        with suppress(InvalidStateError):  # it has ended by itself
            search.found.set_exception(why)
            self._stopping.submit(search.abort.now)

    def _run(self, search: _Search) -> None:
        if search.found.done():
            return
        try:
            found = search.find(search.abort)
        except BaseException as error:  # whoever waits raises it
            with suppress(InvalidStateError):
                search.found.set_exception(error)
        else:
            with suppress(InvalidStateError):
                search.found.set_result(found)

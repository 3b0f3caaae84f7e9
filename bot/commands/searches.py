"""Searches for the modal's menu: one of each person, of which the newest wins, and so many at once of all.

Slack sends a search with every few letters, and shows only what answers the last one. So a newer search ends
the one before: whoever waits for it goes on at once, and its server is told to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress

from copier import Abort, Entry

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

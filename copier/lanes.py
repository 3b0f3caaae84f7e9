"""Several lanes, each a thread, work through one source of items and hand their results to one consumer.

Each thread begins with the context variables of whoever starts it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextvars import copy_context
from typing import TypeVar

from copier.errors import Permanent

Lane = TypeVar("Lane")
Item = TypeVar("Item")
Result = TypeVar("Result")


def run_lanes(
    lanes: Sequence[Lane],
    take: Callable[[], Item | None],
    work: Callable[[Lane, Item], Result],
    over: threading.Event,
) -> Generator[Result, None, None]:
    """Yields the results as they come; with one lane, in the order of the items and in this thread.

    ``take`` gives the next item, None where there is none; ``work`` what one lane makes of it. Where a lane
    fails, or the generator is closed, no lane begins another item and those in hand are finished; ``over`` is
    set then, for whoever waits in ``take``. What the others finish is yielded before the error is raised.
    """
    if len(lanes) == 1:
        while (item := take()) is not None:
            yield work(lanes[0], item)
        return
    results: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()

    def run(lane: Lane) -> None:
        try:
            while not over.is_set() and (item := take()) is not None and not over.is_set():
                results.put(work(lane, item))
        except BaseException as error:
            over.set()
            results.put(error)
        finally:
            results.put(None)

    threads = [
        threading.Thread(target=copy_context().run, args=(run, lane), name="copy-lane", daemon=True)
        for lane in lanes
    ]
    for thread in threads:
        thread.start()
    failure: BaseException | None = None
    try:
        running = len(threads)
        while running:
            result = results.get()
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                # What passes by itself has to be tried again: the lane's reader may be of no use any more.
                failure = result if failure is None or isinstance(failure, Permanent) else failure
            else:
                yield result
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if failure is not None:
        raise failure

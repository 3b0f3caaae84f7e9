"""Lets several lanes work through one chunker of ranges, and hands their results to one consumer.

A lane that fails, or a consumer that has had enough, stops the others after the range in hand: what
was begun is finished or rolled back, never left hanging. ``over`` tells it to whoever waits in ``take``.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from copier.errors import Permanent

Lane = TypeVar("Lane")
Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    lanes: Sequence[Lane],
    take: Callable[[], Item | None],
    work: Callable[[Lane, Item], Result],
    over: threading.Event,
) -> Iterator[Result]:
    """Yields the results as they come; with one lane, in the order of the items and in this thread.

    Where a lane fails, what the others finish is yielded before its error is raised.
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

    threads = [threading.Thread(target=run, args=(lane,), name="copy-lane", daemon=True) for lane in lanes]
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

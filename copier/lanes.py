"""Several lanes, each a thread, take items from one place and give their results to one consumer.

Each thread sees the context variables of the caller.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

from copier.errors import Permanent

Lane = TypeVar("Lane")
Item = TypeVar("Item")
Result = TypeVar("Result")


def run_lanes(
    lanes: Sequence[Lane],
    take: Callable[[Lane], Item | None],
    work: Callable[[Lane, Item], Result],
    over: threading.Event,
    has_begun: Callable[[Lane], bool] = lambda lane: False,
) -> Generator[Result, None, None]:
    """Yields the results as they come; with one lane, in the order of the items and in this thread.

    ``take`` gives the next item, None where there is none; ``work`` what one lane makes of it. Where a lane
    fails, or the generator is closed, no lane begins another item and those in hand are finished; ``over`` is
    set then, for whoever waits in ``take``. What the others finish is yielded before the error is raised.
    ``has_begun`` says that the item which a lane takes next is in hand already: that one is finished too.
    """
    if len(lanes) == 1:
        yield from _one_lane(lanes[0], take, work, has_begun)
        return
    results: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()

    def run(lane: Lane) -> None:
        try:
            while has_begun(lane) or not over.is_set():
                in_hand = has_begun(lane)
                if (item := take(lane)) is None or (over.is_set() and not in_hand):
                    return
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


def _one_lane(
    lane: Lane,
    take: Callable[[Lane], Item | None],
    work: Callable[[Lane, Item], Result],
    has_begun: Callable[[Lane], bool],
) -> Generator[Result, None, None]:
    try:
        while (item := take(lane)) is not None:
            yield work(lane, item)
    finally:
        while has_begun(lane) and (item := take(lane)) is not None:
            with suppress(
                Exception
            ):  # nobody wants more, or another error is raised: as where lanes are many
                work(lane, item)

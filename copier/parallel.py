"""Calls in threads of their own: both sides at the same time, several lanes, one call that may be given up.

`both_sides` asks both sides at once. `run_lanes` has several lanes, each a thread, take items from one place
and give their results to one consumer. `asking_while_waiting` waits for a call and asks meanwhile whether to
go on. What is called sees the context variables of its caller.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

from copier.errors import Permanent

S = TypeVar("S")
T = TypeVar("T")
Lane = TypeVar("Lane")
Item = TypeVar("Item")
Result = TypeVar("Result")


def both_sides(source: Callable[[], S], target: Callable[[], T]) -> tuple[S, T]:
    """What the two calls give, which are made at the same time: the source's in this thread.

    Both have ended when it returns or raises. Where both fail, the source's error is raised.
    """
    with ThreadPoolExecutor(1) as other_side:
        asked = other_side.submit(copy_context().run, target)
        found = source()
        return found, asked.result()


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
            # Nobody wants more, or another error is raised: as where there are many lanes.
            with suppress(Exception):
                work(lane, item)


def asking_while_waiting(
    call: Callable[[], T],
    ask: Callable[[float], object],
    *,
    every_seconds: float,
    name: str,
    too_late: Callable[[T], object] = lambda result: None,
) -> T:
    """What ``call`` gives, or the error that it raises. It is made in a daemon thread of this ``name``.

    Until it has ended, ``ask`` is called again and again with the seconds since the beginning. What ``ask``
    raises is raised at once, and nobody waits for the call any more: what it gives then gets ``too_late``.
    """
    box: Future[T] = Future()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:
            try:
                box.set_exception(error)
            except InvalidStateError:  # nobody waits for it any more
                return
        else:
            try:
                box.set_result(result)
            except InvalidStateError:
                too_late(result)

    began = time.monotonic()
    threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True).start()
    while True:
        try:
            return box.result(timeout=every_seconds)
        except TimeoutError:
            if box.done():
                return box.result()
            try:
                ask(time.monotonic() - began)
            except BaseException:
                if not box.cancel() and box.exception() is None:
                    too_late(box.result())
                raise

"""Calls in threads of their own: both sides asked at the same time; one call that is waited for while asking.

What is called sees the context variables of its caller.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def both_sides(source: Callable[[], S], target: Callable[[], T]) -> tuple[S, T]:
    """What the two calls give, which are made at the same time: the source's in this thread.

    Both have ended when it returns or raises. Where both fail, the source's error is raised.
    """
    with ThreadPoolExecutor(1) as other_side:
        asked = other_side.submit(copy_context().run, target)
        found = source()
        return found, asked.result()


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

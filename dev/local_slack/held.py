"""Calls that are carried out late: they arrived, nobody may be waiting for them any more, and they happen all
the same. What arrives meanwhile is carried out at once, so calls don't happen in the order in which they were
sent."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Held:
    """Each call waits in a task of its own, which no client's leaving ends."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, asyncio.Task[Any]] = {}

    def hold(self, seconds: float, carry_out: Callable[[], T]) -> "asyncio.Task[T]":
        """Carry it out in `seconds`, or when it is let go."""
        let_go = asyncio.Event()

        async def wait() -> T:
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(let_go.wait(), seconds)
                return carry_out()
            finally:
                del self._waiting[let_go]

        task = asyncio.create_task(wait())
        self._waiting[let_go] = task
        return task

    async def let_go(self) -> int:
        """Carry out now what is held, in the order of its arrival; how many calls that were."""
        waiting = dict(self._waiting)
        for event in waiting:
            event.set()
        await asyncio.gather(*waiting.values())
        return len(waiting)

"""Time and identity in the local Slack: a clock that can be moved on, unique message times, ids, and a bell
that rings whenever the state changed (so that nobody has to sleep and hope)."""

import asyncio
import secrets
import time


class Clock:
    """Wall time plus what `advance` added. `ts()` never repeats and never goes back."""

    def __init__(self) -> None:
        self._offset_seconds = 0.0
        self._last_micros = 0

    def now(self) -> float:
        return time.time() + self._offset_seconds

    def advance(self, seconds: float) -> None:
        self._offset_seconds += seconds

    def ts(self) -> str:
        self._last_micros = max(int(self.now() * 1_000_000), self._last_micros + 1)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"


class Changes:
    """A counter of changes that can be waited for. Lives on the server's event loop."""

    def __init__(self) -> None:
        self.seq = 0
        self.closed = False
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        self.seq += 1
        self._wake()

    def close(self) -> None:
        self.closed = True
        self._wake()

    async def wait(self, since: int, timeout_seconds: float) -> int:
        """Return once the counter is beyond `since`, or when the time is over."""
        if self.seq > since or self.closed:
            return self.seq
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait_for(waiter, timeout_seconds)
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)
        return self.seq

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(5).upper()


def short_id() -> str:
    """Like the block ids Slack makes up itself."""
    return secrets.token_urlsafe(4)[:5]

"""Time and identity in the local Slack: a clock that can be moved on, unique message times, ids, and a bell
that rings whenever the state changed (so that nobody has to sleep and hope)."""

import asyncio
import secrets
import time
from collections import deque
from itertools import takewhile


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


Topic = tuple[str, ...]
REMEMBERED = 5_000


class Changes:
    """A counter of changes that can be waited for, and what the last ones were about: ("message", channel,
    ts), ("pins", channel), ("modal", user)… Lives on the server's event loop."""

    def __init__(self) -> None:
        self.seq = 0
        self.closed = False
        self._journal: deque[tuple[int, Topic]] = deque(maxlen=REMEMBERED)
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self, *topic: str) -> None:
        self.seq += 1
        self._journal.append((self.seq, topic))
        self._wake()

    def since(self, seq: int) -> list[Topic] | None:
        """What changed after `seq`, each thing once; None where that is too long ago to be known."""
        if not self.seq - len(self._journal) <= seq <= self.seq:
            return None
        newest = takewhile(lambda entry: entry[0] > seq, reversed(self._journal))
        return list(dict.fromkeys(topic for _, topic in newest))[::-1]

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

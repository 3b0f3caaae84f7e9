"""The queue: Dramatiq over Redis. It carries a job's id and nothing else; the row is the truth.

A lost message is put on the queue again by the sweeper, a repeated one finds its job claimed. So
nothing here retries, and no result is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import dramatiq
import redis
from dramatiq import BrokerConnectionError
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend

log = logging.getLogger(__name__)

QUEUE = "copies"
ACTOR = "copy_liquidation"

#: Progress edits of all processes together within a minute. Slack allows 50 calls of chat.update;
#: the rest is kept for endings.
EDITS_A_MINUTE = 40


def not_here(job_id: int) -> None:
    """What a process that only puts jobs on the queue would do with one."""
    raise RuntimeError(f"job {job_id} was given to a process that is no worker")


class JobQueue:
    """Puts jobs on the queue, and shares one limit of progress edits among all processes."""

    def __init__(
        self,
        redis_url: str,
        *,
        on_put: Callable[[int], None],
        perform: Callable[[int], None] = not_here,
    ) -> None:
        """``perform`` does the work of one job, in a worker; ``on_put`` notes that an id is on the queue."""
        self._on_put = on_put
        client = redis.Redis.from_url(redis_url, socket_connect_timeout=5, socket_timeout=30)
        self.broker = RedisBroker(client=client, middleware=[])  # type: ignore[no-untyped-call]
        declare = dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=self.broker)
        self._actor = declare(perform)
        self._edits = WindowRateLimiter(  # type: ignore[no-untyped-call]
            RedisBackend(client=client), "traspaso-card-edits", limit=EDITS_A_MINUTE, window=60
        )

    def put(self, job_id: int, *, delay_seconds: float = 0.0) -> bool:
        """False where Redis can't be reached: the sweeper tries again later."""
        try:
            self._actor.send_with_options(
                args=(job_id,), delay=round(delay_seconds * 1000) if delay_seconds else None
            )
        except (redis.RedisError, BrokerConnectionError) as error:
            log.warning("job %s: not on the queue yet, Redis failed: %s", job_id, type(error).__name__)
            return False
        self._on_put(job_id)
        return True

    def may_edit(self) -> bool:
        """Takes one progress edit from the shared minute; without Redis there are none."""
        try:
            with self._edits.acquire(raise_on_failure=False) as acquired:
                return bool(acquired)
        except redis.RedisError:
            return False

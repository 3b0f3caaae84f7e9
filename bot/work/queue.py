"""The queue: Dramatiq over Redis. It carries a job's id and nothing else; the row is the truth.

Where Redis can't be used, or loses a message, a worker with room takes the job by its row; a repeated
message finds its job claimed. So nothing here retries, nothing here raises, and no result is kept.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend

from bot.work.edits import OwnEdits
from bot.work.redis_watch import RedisWatch

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
        # Whoever tells something about a job doesn't wait for a Redis that stands still.
        briefly = redis.Redis.from_url(redis_url, socket_connect_timeout=1, socket_timeout=1)
        self.watch = RedisWatch(redis_url)
        self.broker = RedisBroker(client=client, middleware=[])  # type: ignore[no-untyped-call]
        declare = dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=self.broker)
        self._actor = declare(perform)
        self._edits = WindowRateLimiter(  # type: ignore[no-untyped-call]
            RedisBackend(client=briefly), "traspaso-card-edits", limit=EDITS_A_MINUTE, window=60
        )
        self._own_edits = OwnEdits()

    def put(self, job_id: int, *, delay_seconds: float = 0.0) -> bool:
        """False where Redis can't be used: a worker with room takes the job by its row. Raises nothing."""
        if not self.watch.usable:
            return False
        try:
            self._actor.send_with_options(
                args=(job_id,), delay=round(delay_seconds * 1000) if delay_seconds else None
            )
        except Exception as error:  # also what the client raises for an option that it doesn't take
            log.warning("job %s: not on the queue, Redis failed: %s", job_id, type(error).__name__)
            self.watch.look()
            return False
        try:
            sys.audit("traspaso.enqueued", job_id)
            self._on_put(job_id)
        except Exception as error:  # it is on the queue; a second message would do no harm
            log.warning("job %s: not noted as queued: %s", job_id, type(error).__name__)
        return True

    def may_edit(self) -> bool:
        """Takes one progress edit from the minute that all share; without Redis from this process's own."""
        if self.watch.usable:
            try:
                with self._edits.acquire(raise_on_failure=False) as acquired:
                    return bool(acquired)
            except Exception as error:
                log.info("the shared limit of edits can't be asked: %s", type(error).__name__)
                self.watch.look()
        return self._own_edits.take()

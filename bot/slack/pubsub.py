"""What the processes of one bot tell each other, over Redis: any of them may get what somebody does next.

Only conveniences travel here, such as who shows App Home to whom. What has to be true is a row. Without
Redis nothing is heard, and each process goes on by what it knows itself.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bot.periodic import PeriodicThread
from migrations import SCHEMA

log = logging.getLogger(__name__)

#: The channel in Redis. Releases beside this one publish there too, so its name stays.
CHANNEL = "traspaso-neighbours"
#: The subject of a process's last word.
LEAVES = "leaves"
#: For so long one look waits for something to be said, and after so long a Redis that failed is asked again.
LOOK_SECONDS, AGAIN_SECONDS = 1.0, 5.0

#: What the client raises where Redis can't be used: TypeError for an option of its URL that it doesn't take.
UNUSABLE = (redis.RedisError, TypeError)

Subscriber = Callable[[dict[str, Any]], None]


class PubSub:
    """One process of the bot: it publishes, and hears what the others publish between `start` and `stop`."""

    def __init__(self, redis_url: str, schema: str = SCHEMA) -> None:
        """Connects with the first word. Installations with another ``schema`` hear nothing of it."""
        self._channel = CHANNEL if schema == SCHEMA else f"{CHANNEL}:{schema}"
        self._client = redis.Redis.from_url(
            redis_url,
            socket_connect_timeout=1,
            socket_timeout=1,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._name = uuid4().hex
        self._subscribers: dict[str, Subscriber] = {}
        self._over = self._listens = False
        # `/healthz` and the metrics show the thread by this name.
        self._thread = PeriodicThread(
            "neighbours",
            self._listen,
            every_seconds=AGAIN_SECONDS,
            at_once=True,
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """At once where Redis is there: what is said last is heard here too, and means nothing to others."""
        self._over = True
        if self._listens:
            with suppress(*UNUSABLE):
                self._client.publish(self._channel, json.dumps({"from": self._name, "subject": LEAVES}))
        self._thread.stop(2 * LOOK_SECONDS)

    def subscribe(self, subject: str, call: Subscriber) -> None:
        """Has ``call`` called with what other processes say about the subject."""
        self._subscribers[subject] = call

    def publish(self, subject: str, **what: Any) -> None:
        """Tells the others, if Redis is there."""
        said = json.dumps({"from": self._name, "subject": subject, "what": what})
        try:
            self._client.publish(self._channel, said)
        except UNUSABLE as error:
            log.info("the bot's other processes weren't told of %s: %s", subject, type(error).__name__)

    def _listen(self) -> None:
        """Until it is over, or Redis can't be used: `bot.work.queue` says that, and why, once."""
        try:
            with self._client.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]
                heard.subscribe(self._channel)
                self._listens = True
                while not self._over:
                    message = heard.get_message(timeout=LOOK_SECONDS)
                    if message is not None:
                        self._take(str(message["data"]))
        except UNUSABLE as error:
            log.debug("nothing is heard of the bot's other processes: %s", type(error).__name__)
        finally:
            self._listens = False

    def _take(self, data: str) -> None:
        """What can't be read is of another release."""
        try:
            said = json.loads(data)
            call = self._subscribers.get(said["subject"])
            if said["from"] != self._name and call is not None:
                call(said["what"])
        except Exception:
            log.exception("what another process of the bot said was not understood")

"""The queue, Dramatiq over Redis: it carries a job's id and nothing else, because the row is the truth.

Where Redis can't be used, or loses a message, a worker with room takes the job by its row; a repeated
message finds its job claimed. So nothing here retries, nothing here raises, and no result is kept.
`RedisHealth` says in the log that Redis can't be used, and why, and when it can be used again.
"""

from __future__ import annotations

import logging
import re
import socket
import sys
from collections.abc import Callable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.retry import Retry

from bot import tracing
from bot.periodic import PeriodicThread

log = logging.getLogger(__name__)

#: With what Dramatiq begins its keys in Redis.
NAMESPACE = "dramatiq"
QUEUE = "copies"
ACTOR = "copy_liquidation"

#: The option of a message that carries the trace in which it was sent.
TRACE = "traspaso_trace"

#: Seconds between two looks, and for how long one waits for Redis.
LOOK_SECONDS, ANSWER_SECONDS = 5.0, 2.0
#: What a look writes: a server that only lets itself be read is no queue.
PROBE = "traspaso-can-be-used"
NO_TLS = "it speaks no TLS there: write redis:// in REDIS_URL"
#: The names by which Dramatiq's consumers log; each fails twice a second without Redis.
CONSUMERS = ("dramatiq.worker.ConsumerThread(copies)", "dramatiq.worker.ConsumerThread(copies.DQ)")
#: What an error of the client means, the first that fits: its class, a pattern in its words, and ours, which
#: have neither the URL nor the password.
REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (
        TypeError,
        r"unexpected keyword argument '(\w+)'",
        "REDIS_URL has the option {0}, which the client doesn't take there: remove it",
    ),
    (
        errors.AuthenticationError,
        "",
        "it refuses the user or the password, or wants one: look at REDIS_URL",
    ),
    (errors.AuthorizationError, "", "it refuses the user of REDIS_URL"),
    (errors.NoPermissionError, "", "the user of REDIS_URL may not write there"),
    (
        errors.ReadOnlyError,
        "",
        "it is a replica that can only be read: REDIS_URL has to name the primary",
    ),
    (errors.OutOfMemoryError, "", "its memory is full (maxmemory), and it takes nothing more"),
    (errors.BusyLoadingError, "", "it is loading its data"),
    (errors.TimeoutError, "", "it doesn't answer"),
    (errors.ConnectionError, "(?i)certificate", "its certificate isn't trusted"),
    (errors.ConnectionError, "refused|No such file", "nobody listens there"),
    (
        errors.ConnectionError,
        "Connection closed|reset",
        "it closes the connection: where it wants TLS, write rediss:// in REDIS_URL",
    ),
    (errors.ConnectionError, "Name or service|resolution|getaddr|nodename", "nobody knows that host"),
    (errors.ResponseError, "DB index", "it has no database of the number in REDIS_URL"),
)


class RedisHealth(PeriodicThread):
    """Looks every few seconds whether Redis can be used. ``usable`` is what the last look found."""

    def __init__(self, redis_url: str) -> None:
        super().__init__("redis-watch", self.see, every_seconds=LOOK_SECONDS)
        self._client = redis.Redis.from_url(
            redis_url,
            socket_connect_timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._said: str | None = None
        self.usable = True

    def start(self) -> None:
        """Has looked once when it returns."""
        for name in CONSUMERS:
            logging.getLogger(name).addFilter(lambda record: self.usable)
        self.see()
        super().start()

    def see(self) -> None:
        """Looks, and says what has changed."""
        reason = self.reason()
        self.usable = reason is None
        if reason == self._said:
            return
        if reason is None:
            log.info("Redis at %s can be used again", self.place)
        else:
            log.error(
                "Redis at %s can't be used: %s. Copies go on without it: workers with room take jobs by "
                "their rows",
                self.place,
                reason,
            )
        self._said = reason

    @property
    def place(self) -> str:
        """Host and port, or the socket; nothing else of the URL."""
        settings = self._client.connection_pool.connection_kwargs
        if path := settings.get("path"):
            return str(path)
        return f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"

    def reason(self) -> str | None:
        """Why it can't be used; None where it can."""
        try:
            self._client.set(PROBE, 1, ex=60)
        except Exception as error:
            return NO_TLS if self._speaks_no_tls() else reason_of(error)
        return None

    def _speaks_no_tls(self) -> bool:
        """A plain Redis takes the begin of TLS for half a command, and waits for the rest."""
        pool = self._client.connection_pool
        if not issubclass(pool.connection_class, redis.SSLConnection):
            return False
        address = pool.connection_kwargs.get("host", "localhost"), pool.connection_kwargs.get("port", 6379)
        try:
            with socket.create_connection(address, ANSWER_SECONDS) as plain:
                plain.sendall(b"PING\r\n")
                return plain.recv(1) in {b"+", b"-"}
        except OSError:
            return False


def reason_of(error: BaseException) -> str:
    """What is wrong; the class of an error that we don't know."""
    for kind, pattern, words in REASONS:
        if isinstance(error, kind) and (found := re.search(pattern, str(error))):
            return words.format(*found.groups())
    return f"the client says {type(error).__name__}"


def not_here(job_id: int) -> None:
    """What a process that only puts jobs on the queue would do with one."""
    raise RuntimeError(f"job {job_id} was given to a process that is no worker")


class _Broker(RedisBroker):
    """Drops what can't be read, and says so.

    Dramatiq's own consumer would break off at it, begin again, and meet it anew whenever it is redelivered.
    """

    def do_fetch(self, queue_name: str, prefetch: int) -> list[bytes]:
        """Up to ``prefetch`` messages of the queue, in Redis's own order."""
        found: list[bytes] = super().__getattr__("do_fetch")(  # type: ignore[no-untyped-call]
            queue_name, prefetch
        )
        readable = [each for each in found if _can_be_read(each)]
        if unreadable := {each for each in found if not _can_be_read(each)}:
            self._drop(queue_name, unreadable)
        return readable

    def _drop(self, queue_name: str, unreadable: set[bytes]) -> None:
        """Only the hash of the messages knows their ids."""
        for message_id, data in self.client.hscan_iter(f"{self.namespace}:{queue_name}.msgs"):
            if data in unreadable:
                self.do_ack(queue_name, message_id)
                log.warning("a message on the queue %s can't be read: it was dropped", queue_name)


def _can_be_read(data: bytes) -> bool:
    """Whether it is a message as `JobQueue.put` makes them."""
    try:
        message = dramatiq.Message[None].decode(data)
        [job_id] = message.args
        return (message.actor_name, type(job_id)) == (ACTOR, int) and "redis_message_id" in message.options
    except Exception:  # whatever the bytes make Dramatiq say
        return False


class JobQueue:
    """Puts jobs on the queue; in a worker also takes them from it."""

    def __init__(self, redis_url: str, *, on_put: Callable[[int], None], namespace: str = NAMESPACE) -> None:
        """``on_put`` notes that an id is on the queue, which those with the same ``namespace`` share."""
        self._on_put = on_put
        client = redis.Redis.from_url(redis_url, socket_connect_timeout=5, socket_timeout=30)
        self.health = RedisHealth(redis_url)
        self.broker = _Broker(client=client, middleware=[], namespace=namespace)  # type: ignore[no-untyped-call]
        self.broker.declare_queue(QUEUE)

    def consume(self, perform: Callable[[int], None]) -> None:
        """Has Dramatiq's threads call ``perform`` with the id of each message, once this is their broker."""
        dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=self.broker)(perform)

    def put(self, job_id: int, *, delay_seconds: float = 0.0) -> bool:
        """False where Redis can't be used: a worker with room takes the job by its row. Raises nothing."""
        if not self.health.usable:
            return False
        try:
            with tracing.span("send", tracing.SpanKind.PRODUCER, messaging__system="dramatiq", job=job_id):
                carried = tracing.carrier()
                options = {TRACE: carried} if carried else {}
                message = dramatiq.Message[None](QUEUE, ACTOR, (job_id,), {}, options)
                self.broker.enqueue(message, delay=round(delay_seconds * 1000) if delay_seconds else None)
        except Exception as error:  # also what the client raises for an option that it doesn't take
            log.warning("job %s: not on the queue, Redis failed: %s", job_id, type(error).__name__)
            self.health.wake()
            return False
        try:
            sys.audit("traspaso.enqueued", job_id)
            self._on_put(job_id)
        except Exception as error:  # it is on the queue; a second message would do no harm
            log.warning("job %s: not noted as queued: %s", job_id, type(error).__name__)
        return True

"""Which requests are Slack's own, and new: by their signature, their time, and whether they came before.

Slack signs each request with the app's signing secret, over its time and its body. Who has seen one could
send it again within the five minutes for which its time is good; so a signature is taken once. Redis keeps
those that were taken, for all processes, and each process its own. Where Redis can't be used a repetition is
known in the process that it came to before, and only there: requests go on then, because a repeated one can
do no harm in the tables (a press has one job, a decision is one update).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from slack_sdk.signature import SignatureVerifier

log = logging.getLogger(__name__)

#: Seconds by which the time of a request may differ from ours. Slack's recommendation.
TOLERANCE_SECONDS = 5 * 60
#: A Redis that has failed is asked again after so many seconds.
WITHOUT_SECONDS = 5.0
#: The same reason is logged once in so many seconds.
QUIET_SECONDS = 10.0

SIGNATURE, TIMESTAMP = "x-slack-signature", "x-slack-request-timestamp"


class Refusal(Enum):
    """Why a request is not taken; its value is said in the log."""

    UNSIGNED = "it has no signature, or no time: it isn't Slack's"
    FORGED = "its signature isn't Slack's; if Slack sent it, SLACK_SIGNING_SECRET is that of another app"
    OLD = "its time is more than five minutes from now; if Slack sent it, set this machine's clock right"
    REPEATED = "the same request came before"


class SignedRequests:
    """Looks at each request before anything reads it."""

    def __init__(
        self, signing_secret: str, redis_url: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Connects with the first request. ``clock`` is that of the world, in seconds since 1970."""
        self._verifier = SignatureVerifier(signing_secret)
        self._clock = clock
        self._client = redis.Redis.from_url(
            redis_url, socket_connect_timeout=0.5, socket_timeout=0.5, retry=Retry(NoBackoff(), 0)
        )
        self._without_until = 0.0
        self._lock = threading.Lock()
        self._taken: dict[str, float] = {}
        self._said: dict[Refusal, tuple[float, int]] = {}

    def refusal(self, body: bytes, headers: Mapping[str, str]) -> Refusal | None:
        """Why this request is not to be taken; None where it is, for this once.

        ``headers`` have small letters. Logs each reason now and then, without anything of the request.
        """
        refusal = self._refusal(body, headers)
        if refusal is not None:
            self._say(refusal)
        return refusal

    def _refusal(self, body: bytes, headers: Mapping[str, str]) -> Refusal | None:
        signature, timestamp = headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, "")
        if not signature or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
            return Refusal.UNSIGNED
        if abs(self._clock() - int(timestamp)) > TOLERANCE_SECONDS:
            return Refusal.OLD
        if not self._is_signed(body, timestamp, signature):
            return Refusal.FORGED
        return None if self._is_new(signature, int(timestamp)) else Refusal.REPEATED

    def _is_signed(self, body: bytes, timestamp: str, signature: str) -> bool:
        try:
            own = self._verifier.generate_signature(timestamp=timestamp, body=body)
        except UnicodeDecodeError:
            return False
        return own is not None and hmac.compare_digest(own.encode(), signature.encode())

    def _is_new(self, signature: str, timestamp: int) -> bool:
        """Takes the signature, once: here, and in Redis for all processes."""
        now = self._clock()
        until = timestamp + TOLERANCE_SECONDS + 1
        name = hashlib.sha256(signature.encode()).hexdigest()
        with self._lock:
            # In the order in which they came, which is nearly that in which they end.
            while self._taken and next(iter(self._taken.values())) < now:
                del self._taken[next(iter(self._taken))]
            if name in self._taken:
                return False
            self._taken[name] = until
        return self._is_new_to_all(name, max(1, int(until - now) + 1))

    def _is_new_to_all(self, name: str, seconds: int) -> bool:
        if time.monotonic() < self._without_until:
            return True
        try:
            return bool(self._client.set(f"traspaso-request:{name}", 1, nx=True, ex=seconds))
        except Exception as error:  # whatever a server answers that is no Redis, or not ours
            log.warning(
                "Redis isn't asked whether a request came before (%s): each process looks by itself",
                type(error).__name__,
            )
            self._without_until = time.monotonic() + WITHOUT_SECONDS
            return True

    def _say(self, refusal: Refusal) -> None:
        """Whoever sends many doesn't fill the log."""
        now = time.monotonic()
        with self._lock:
            quiet_until, unsaid = self._said.get(refusal, (0.0, 0))
            if now < quiet_until:
                self._said[refusal] = (quiet_until, unsaid + 1)
                return
            self._said[refusal] = (now + QUIET_SECONDS, 0)
        more = f" (and {unsaid} more like it before)" if unsaid else ""
        log.warning("a request was refused: %s%s", refusal.value, more)

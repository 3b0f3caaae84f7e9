"""Keeps all processes together below Slack's rate limits, so that Slack never has to refuse a call for them.

A limit holds for the app and not for a process, so what was called is noted in Redis: for each method the
calls of the last minute, for each channel when the next post may go. A call for which there is no room
waits a moment; where that would take longer it is refused here, in the words in which Slack refuses it
(429, Retry-After), so that callers know only one kind of refusal. What Slack refuses nevertheless holds
all processes back for as long as it says. Without Redis calls go through, and Slack says it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import redis
from redis.commands.core import Script
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot import metrics, tracing
from bot.slack.client import PACED, retry_after, trouble_of

log = logging.getLogger(__name__)

POST, EDIT = "chat.postMessage", "chat.update"
#: Slack's windows, a second longer: a call arrives later than it was let through, one more than another.
WINDOW_SECONDS = 61.0
#: Of what Slack allows a minute so much is used.
SHARE = 0.96
#: Posts to one channel: one a second, and so many at once. Slack takes short bursts, without saying how long.
POST_SECONDS, POSTS_AT_ONCE = 1.05, 3
#: What can be left out may use so much of a minute: the rest is for what has to be said.
SPARE_SHARE = 0.5
#: Without Redis each process makes so many calls a minute that could be left out. Four processes together
#: stay below what Slack allows.
OWN_SPARE_A_MINUTE = 10
#: For so long a call waits for its turn: what a modal may wait for, whose trigger lives three seconds.
PATIENCE_SECONDS = 1.5

#: A Redis that has failed is asked again after so many seconds.
WITHOUT_SECONDS = 5.0

#: Calls a minute that Slack allows: https://docs.slack.dev/apis/web-api/rate-limits
TIER_2, TIER_3, TIER_4 = 20, 50, 100
PER_MINUTE: Mapping[str, int] = {
    POST: 300,
    EDIT: TIER_3,
    "chat.delete": TIER_3,
    "chat.postEphemeral": TIER_4,
    "conversations.history": TIER_3,
    "conversations.info": TIER_3,
    "conversations.join": TIER_3,
    "conversations.open": TIER_3,
    "conversations.replies": TIER_3,
    "files.completeUploadExternal": TIER_4,
    "files.getUploadURLExternal": TIER_4,
    "pins.add": TIER_2,
    "pins.remove": TIER_2,
    "usergroups.list": TIER_2,
    "usergroups.users.list": TIER_2,
    "users.info": TIER_4,
    "views.open": TIER_4,
    "views.publish": TIER_4,
    "views.push": TIER_4,
    "views.update": TIER_4,
}

#: KEYS: the calls of the method, when the next post to the channel may go, until when Slack wants to be left
#: alone. ARGV: this call, its limit and window; the seconds between posts and how many at once, zero for what
#: is no post. Answers the seconds to wait; where it says zero the call is noted.
TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local limit, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local every, burst = tonumber(ARGV[4]), tonumber(ARGV[5])
local wait = tonumber(redis.call('GET', KEYS[3]) or '0') - now
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local excess = redis.call('ZCARD', KEYS[1]) - limit
if excess >= 0 then
    local oldest = redis.call('ZRANGE', KEYS[1], excess, excess, 'WITHSCORES')
    wait = math.max(wait, tonumber(oldest[2]) + window - now)
end
local due = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0'))
if burst > 0 then
    wait = math.max(wait, due - every * (burst - 1) - now)
end
if wait > 0 then
    return string.format('%.3f', wait + 0.001)
end
redis.call('ZADD', KEYS[1], string.format('%.6f', now), ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(window) + 1)
if burst > 0 then
    redis.call('SET', KEYS[2], string.format('%.6f', due + every), 'EX', math.ceil(every * burst) + 1)
end
return '0'
"""
#: KEYS: the calls of the method. ARGV: its window. Answers how many there were in it. It writes, so that it
#: fails where a call could not be noted: on a replica that can only be read.
COUNT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.6f', now - tonumber(ARGV[1])))
return redis.call('ZCARD', KEYS[1])
"""
#: KEYS: until when Slack wants to be left alone. ARGV: for how many seconds.
HOLD_BACK = """
local time = redis.call('TIME')
local until_then = tonumber(time[1]) + tonumber(time[2]) / 1e6 + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.6f', until_then), 'EX', math.ceil(tonumber(ARGV[1])) + 1)
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Calls of one method in a window of so many seconds."""

    calls: int
    window_seconds: float = WINDOW_SECONDS


def allowances() -> dict[str, Allowance]:
    """What is used of what Slack allows."""
    return {method: Allowance(int(limit * SHARE)) for method, limit in PER_MINUTE.items()}


class CallWindow:
    """At most ``limit`` calls of this process within a minute."""

    def __init__(
        self, limit: int = OWN_SPARE_A_MINUTE, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: deque[float] = deque()

    def take(self) -> bool:
        """Takes one call if there is one left."""
        with self._lock:
            now = self._clock()
            while self._taken and self._taken[0] <= now - 60:
                self._taken.popleft()
            if len(self._taken) >= self._limit:
                return False
            self._taken.append(now)
            return True


class Pacing:
    """What all processes of one Slack app have called, in one Redis."""

    def __init__(
        self,
        redis_url: str,
        allowed: Mapping[str, Allowance] | None = None,
        *,
        prefix: str = "traspaso-pace",
    ) -> None:
        """Connects with the first call. Those with the same ``prefix`` share what was called."""
        client = redis.Redis.from_url(redis_url, socket_connect_timeout=1, socket_timeout=1)
        self._prefix = prefix
        self._allowed = allowances() if allowed is None else allowed
        self._take = client.register_script(TAKE)
        self._count = client.register_script(COUNT)
        self._hold_back = client.register_script(HOLD_BACK)
        self._without_until = 0.0
        self._own_spare: dict[str, CallWindow] = {}

    def take(self, method: str, channel: str | None = None) -> float:
        """Zero where the call may be made, and is noted; else the seconds after which to ask again."""
        allowed = self._allowed.get(method)
        if allowed is None:
            return 0.0
        posts = (POST_SECONDS, POSTS_AT_ONCE) if method == POST and channel else (0, 0)
        call = (uuid4().hex, allowed.calls, allowed.window_seconds, *posts)
        return float(self._asked(self._take, self._keys(method, channel), call) or 0.0)

    def has_spare(self, method: str) -> bool:
        """Whether a call may be made that could as well be left out, such as an edit of a card's progress.

        This alone decides the pace of progress edits. Without Redis a process has a few a minute of its own,
        and each question that is answered with True counts as one.
        """
        allowed = self._allowed[method]
        made = self._asked(self._count, self._keys(method)[:1], (allowed.window_seconds,))
        if made is None:
            return self._own_spare.setdefault(method, CallWindow()).take()
        return int(made) < allowed.calls * SPARE_SHARE

    def refused(self, method: str, channel: str | None, seconds: float) -> None:
        """Slack has refused a call: for so many seconds nobody makes another one."""
        self._asked(self._hold_back, self._keys(method, channel)[-1:], (seconds,))

    def _keys(self, method: str, channel: str | None = None) -> list[str]:
        place = f"{method}:{channel}" if channel else method
        return [
            f"{self._prefix}:calls:{method}",
            f"{self._prefix}:next:{place}",
            f"{self._prefix}:until:{place}",
        ]

    def _asked(self, script: Script, keys: list[str], arguments: tuple[str | float, ...]) -> Any:
        """What Redis answers; None where it fails. Then it is left alone for a while."""
        if time.monotonic() < self._without_until:
            return None
        try:
            return script(keys=keys, args=arguments)
        except Exception as error:  # whatever a server answers that is no Redis, or not ours
            log.info("Slack's calls are not paced: %s", type(error).__name__)
            self._without_until = time.monotonic() + WITHOUT_SECONDS
            return None


class PacedClient(WebClient):
    """A client that repeats nothing by itself, and asks the pacing before each call."""

    def __init__(self, pacing: Pacing, patience_seconds: float = PATIENCE_SECONDS, **options: Any) -> None:
        super().__init__(**options, retry_handlers=[])
        self.pacing = pacing
        self._patience = patience_seconds

    def api_call(self, api_method: str, **request: Any) -> SlackResponse:
        """Raises SlackApiError with status 429 where there is no room for the call in time."""
        sent = request.get("json") or request.get("data") or request.get("params") or {}
        channel = sent.get("channel") if api_method == POST and isinstance(sent, dict) else None
        left = self._patience
        while (seconds := self.pacing.take(api_method, channel)) > 0:
            if seconds > left:
                metrics.slack_called(api_method, PACED, None)
                raise self._no_room(api_method, seconds)
            time.sleep(seconds)
            metrics.slack_waited(api_method, seconds)
            left -= seconds
        began = time.monotonic()
        outcome = "ok"
        try:
            with tracing.span(f"slack {api_method}", tracing.SpanKind.CLIENT):
                return super().api_call(api_method, **request)
        except Exception as error:
            outcome = trouble_of(error).value
            if isinstance(error, SlackApiError) and error.response.status_code == 429:
                log.warning("Slack refused %s in spite of the pacing", api_method)
                metrics.slack_refused(api_method)
                self.pacing.refused(api_method, channel, retry_after(error))
            raise
        finally:
            metrics.slack_called(api_method, outcome, time.monotonic() - began)

    def _no_room(self, method: str, seconds: float) -> SlackApiError:
        response = SlackResponse(
            client=self,
            http_verb="POST",
            api_url=f"{self.base_url}{method}",
            req_args={},
            data={"ok": False, "error": "ratelimited", PACED: True},
            headers={"Retry-After": f"{seconds:.1f}"},
            status_code=429,
        )
        said = f"no room for {method} within Slack's rate limit"
        return SlackApiError(said, response)  # type: ignore[no-untyped-call]

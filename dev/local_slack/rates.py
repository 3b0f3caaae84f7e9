"""Slack's rate limits: a sliding minute for each method, a bucket for each channel that messages go to.

`scale` multiplies every allowance (2.0 is twice as generous); `enabled` turns them off. A refused call does
not count."""

import math
from collections import deque

from dev.local_slack.clock import Clock
from dev.local_slack.errors import RateLimited

WINDOW_SECONDS = 60.0
PER_MINUTE = {
    **dict.fromkeys(
        (
            "pins.add",
            "pins.remove",
            "pins.list",
            "usergroups.list",
            "usergroups.users.list",
            "users.list",
            "conversations.list",
        ),
        20,
    ),
    **dict.fromkeys(
        (
            "chat.update",
            "chat.delete",
            "conversations.info",
            "conversations.open",
            "conversations.join",
            "conversations.history",
            "conversations.replies",
        ),
        50,
    ),
    **dict.fromkeys(
        (
            "views.open",
            "views.update",
            "views.push",
            "views.publish",
            "users.info",
            "conversations.members",
            "chat.postEphemeral",
            "files.getUploadURLExternal",
            "files.completeUploadExternal",
            "files.info",
        ),
        100,
    ),
    "chat.postMessage": 300,  # the workspace cap, on top of the bucket of each channel
}
POST_BURST = 4
POST_PER_SECOND = 1.0


class RateLimits:
    def __init__(self, clock: Clock, *, enabled: bool = True, scale: float = 1.0) -> None:
        self.enabled = enabled
        self.scale = scale
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}
        self._buckets: dict[str, tuple[float, float]] = {}

    def reset(self) -> None:
        self._calls.clear()
        self._buckets.clear()

    def check(self, method: str, channel: str | None) -> None:
        """Count this call, or raise `RateLimited`."""
        if not self.enabled:
            return
        now = self._clock.now()
        self._check_window(method, now)
        if method == "chat.postMessage" and channel is not None:
            self._check_bucket(channel, now)
        if method in PER_MINUTE:
            self._calls[method].append(now)

    def _check_window(self, method: str, now: float) -> None:
        if method not in PER_MINUTE:
            return
        calls = self._calls.setdefault(method, deque())
        while calls and calls[0] <= now - WINDOW_SECONDS:
            calls.popleft()
        if len(calls) >= PER_MINUTE[method] * self.scale:
            raise RateLimited(max(1, math.ceil(calls[0] + WINDOW_SECONDS - now)))

    def _check_bucket(self, channel: str, now: float) -> None:
        burst, per_second = POST_BURST * self.scale, POST_PER_SECOND * self.scale
        tokens, since = self._buckets.get(channel, (burst, now))
        tokens = min(burst, tokens + (now - since) * per_second)
        if tokens < 1:
            raise RateLimited(max(1, math.ceil((1 - tokens) / per_second)))
        self._buckets[channel] = (tokens - 1, now)

"""What Slack says of the workspace's user groups, asked seldom: it allows 20 such calls a minute.

One look serves everybody who asks for as long as its answer is young enough for them, those included who
ask while it is under way. An answer is as old as the beginning of its look, so it never says what was true
before that. A look that failed speaks for a second. Where Slack asks for a pause, it is left alone for so
long: its limit is of the method, not of one group.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from slack_sdk import WebClient

from bot.slack import Trouble, retry_after, trouble_of

#: How long a look that failed is the answer, in seconds: for those who came just after it.
FAILED_SECONDS = 1.0

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Age:
    """How old an answer may be, in seconds; and how old while Slack asks for a pause."""

    most: float
    in_a_pause: float


#: To show something. In a pause rather an answer of some minutes than none.
LOOK = Age(60.0, 5 * 60.0)
#: To do something: who was removed is refused four seconds later, and that is 15 looks a minute at most.
#: In a pause nobody's press rests on anything older: it is refused, and says that Slack gives no answer.
PRESS = Age(4.0, 4.0)


@dataclass(eq=False)
class _Look(Generic[Found]):
    """One call, under way until ``ended``; a failed one is the answer until ``speaks_until``."""

    began: float
    done: threading.Event = field(default_factory=threading.Event)
    ended: float | None = None
    speaks_until: float = 0.0
    found: Found | None = None
    error: BaseException | None = None


class Shared(Generic[Found]):
    """What one method of Slack answers, by what it is asked for."""

    def __init__(self, ask: Callable[[str], Found], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()  # never held during a call
        self._newest: dict[str, _Look[Found]] = {}
        self._answered: dict[str, _Look[Found]] = {}
        self._refused: _Look[Found] | None = None
        self._quiet_until = 0.0

    def get(self, key: str, age: Age) -> Found:
        """An answer that is younger.

        Raises:
            SlackApiError, OSError and their like: what kept Slack from giving one.
        """
        look, is_ours = self._look_for(key, age)
        if is_ours:
            self._make(key, look)
        look.done.wait()
        if look.error is not None and _asks_for_a_pause(look.error):
            with self._lock:
                look = self._kept(key, age.in_a_pause) or look
        if look.error is not None:
            raise look.error.with_traceback(None)
        assert look.found is not None  # noqa: S101 - a look without an error has found something
        return look.found

    def _look_for(self, key: str, age: Age) -> tuple[_Look[Found], bool]:
        """The look that answers, and whether it has yet to be made."""
        with self._lock:
            now = self._clock()
            if (kept := self._kept(key, age.most)) is not None:
                return kept, False
            newest = self._newest.get(key)
            if newest is not None and newest.ended is None and now - newest.began < age.most:
                return newest, False
            if newest is not None and newest.error is not None and newest.speaks_until > now:
                return newest, False
            if self._refused is not None and self._quiet_until > now:
                return self._refused, False
            look = self._newest[key] = _Look[Found](now)
            return look, True

    def _kept(self, key: str, seconds: float) -> _Look[Found] | None:
        """The last answer, where it is younger. Under the lock."""
        answered = self._answered.get(key)
        young = answered is not None and self._clock() - answered.began < seconds
        return answered if young else None

    def _make(self, key: str, look: _Look[Found]) -> None:
        try:
            look.found = self._ask(key)
        except BaseException as error:  # raised by `get`, for all who wait for it
            look.error = error
        with self._lock:
            look.ended = self._clock()
            look.speaks_until = look.ended + FAILED_SECONDS
            if look.error is None:
                before = self._answered.get(key)
                if before is None or before.began < look.began:
                    self._answered[key] = look
            elif _asks_for_a_pause(look.error):
                self._refused, self._quiet_until = look, look.ended + retry_after(look.error)
        look.done.set()


class Groups:
    """Who is in which group. A group is named by its id or its handle."""

    def __init__(self, client: WebClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._members = Shared(self._ask_for_members, clock)
        self._ids = Shared(self._ask_for_ids, clock)

    def members(self, name: str, age: Age) -> frozenset[str]:
        """The users of a group, as `Shared.get` answers."""
        return self._members.get(self._id_of(name, age), age)

    def _id_of(self, name: str, age: Age) -> str:
        if is_id(name):
            return name
        # Which group a handle names hardly ever changes: that may be as old as for a look.
        ids = self._ids.get("", Age(LOOK.most, max(LOOK.most, age.in_a_pause)))
        # Slack's own answer to a group that isn't there, for a handle as for an id.
        return ids.get(name.removeprefix("@"), name)

    def _ask_for_members(self, group: str) -> frozenset[str]:
        return frozenset(self._client.usergroups_users_list(usergroup=group)["users"])

    def _ask_for_ids(self, _: str) -> dict[str, str]:
        return {group["handle"]: group["id"] for group in self._client.usergroups_list()["usergroups"]}


def is_id(name: str) -> bool:
    """Whether a group is named by its id rather than its handle."""
    return name.startswith("S") and name.isalnum() and name.isupper()


def _asks_for_a_pause(error: BaseException) -> bool:
    return trouble_of(error) is Trouble.LATER

"""Who may copy, and what Slack knows of people: members of user groups, names and languages.

Groups and single users come from the configuration; a copy may name its own, who count in the place of the
global ones. Who is in a group is asked of Slack, which allows 20 such calls a minute: so one call serves
everybody for as long as its answer is young enough for them (see `CachedCall`). Access fails closed: where
Slack doesn't say who is in a group, nobody is let through on its account.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.characters import clean_name
from bot.config import CopySection, SlackSection
from bot.i18n import Translator, translator
from bot.jobs.repository import Requester
from bot.slack.client import CONNECTION_ERRORS, Trouble, error_name, retry_after, trouble_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MaxAge:
    """How old an answer of Slack may be, in seconds; and how old while Slack asks for a pause."""

    seconds: float
    in_a_pause: float


#: To show something. In a pause rather an answer of some minutes than none.
TO_SHOW = MaxAge(60.0, 5 * 60.0)
#: To do something: who was removed is refused four seconds later, and that is 15 calls a minute at most.
#: In a pause nobody's press rests on anything older: it is refused, and says that Slack gives no answer.
TO_PRESS = MaxAge(4.0, 4.0)
#: How long a failed call is the answer, in seconds: for those who came just after it.
FAILED_SECONDS = 1.0
#: How long a person's name and language are remembered, in seconds.
PERSON_SECONDS = 600.0

Answer = TypeVar("Answer")


# ----------------------------------------------------------------------------
# Permissions


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """``groups`` names, as mentions or handles, the groups to ask for; ``reason`` why it can't be known."""

    allowed: bool
    groups: list[str]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Allowed:
    """Groups and single users, as the configuration writes them."""

    groups: tuple[str, ...]
    users: tuple[str, ...]


class Access:
    """Answers whether somebody may copy, and who may."""

    def __init__(
        self,
        client: WebClient,
        slack: SlackSection,
        copies: Sequence[CopySection] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._groups = Groups(client, clock)
        self._slack = slack
        self._copies = copies

    @property
    def shared_names(self) -> list[str]:
        """The groups that may run each copy that doesn't name its own people."""
        return [_shown(name) for name in self._slack.admin_groups]

    def listed(self, copy: CopySection) -> list[str]:
        """Groups and single users, as the configuration writes them."""
        return [*self._of(copy).groups, *self._of(copy).users]

    def who_may(self, copy: CopySection) -> list[str]:
        """Groups and single users, as a message shows them."""
        return who_may(self._slack, copy)

    def may_run(self, user_id: str, copy: CopySection, age: MaxAge = TO_SHOW) -> AccessDecision:
        """Whether somebody may run this copy."""
        return self._decision(user_id, self._of(copy), age)

    def may_use(self, user_id: str, age: MaxAge = TO_SHOW) -> AccessDecision:
        """Whether somebody may run any of the copies: for what concerns none in particular."""
        own = [each for each in self._copies if each.names_its_people]
        groups = [*self._slack.admin_groups, *(name for each in own for name in each.allowed_groups)]
        users = [*self._slack.admin_users, *(name for each in own for name in each.allowed_users)]
        people = _Allowed(tuple(dict.fromkeys(groups)), tuple(dict.fromkeys(users)))
        return self._decision(user_id, people, age)

    def _decision(self, user_id: str, people: _Allowed, age: MaxAge) -> AccessDecision:
        groups, users = people.groups, people.users
        names = [_shown(name) for name in groups]
        if user_id in users:
            return AccessDecision(True, names)
        reason = None
        for group in groups:
            try:
                if user_id in self._groups.members(group, age):
                    return AccessDecision(True, names)
            except (SlackApiError, *CONNECTION_ERRORS) as error:
                reason = reason or error_name(error)
        return AccessDecision(False, names, reason)

    def not_for(self, user_id: str, names: Collection[str]) -> frozenset[str]:
        """Those among the copies of these names that somebody surely may not run, the unknown included."""
        decisions = {copy.name: self.may_run(user_id, copy) for copy in self._copies if copy.name in names}
        refused = {name for name, each in decisions.items() if not each.allowed and each.reason is None}
        return frozenset(refused | (set(names) - decisions.keys()))

    def _of(self, copy: CopySection) -> _Allowed:
        return _allowed_for(self._slack, copy)


def who_may(slack: SlackSection, copy: CopySection) -> list[str]:
    """The groups and single users of a copy, as a message shows them."""
    people = _allowed_for(slack, copy)
    return [*(_shown(name) for name in people.groups), *(f"<@{user}>" for user in people.users)]


def mentions(names: Sequence[str]) -> tuple[str, ...]:
    """People, groups and handles as a message mentions them, whichever of them each name is."""
    return tuple(f"<@{name}>" if _is_user(name) else _shown(name) for name in names)


def _allowed_for(slack: SlackSection, copy: CopySection) -> _Allowed:
    if copy.names_its_people:
        return _Allowed(copy.allowed_groups, copy.allowed_users)
    return _Allowed(slack.admin_groups, slack.admin_users)


def _shown(name: str) -> str:
    return f"<!subteam^{name}>" if is_id(name) else f"@{name.removeprefix('@')}"


def _is_user(name: str) -> bool:
    return name[:1] in {"U", "W"} and name.isalnum() and name.isupper()


# ----------------------------------------------------------------------------
# Groups


@dataclass(eq=False)
class _Call(Generic[Answer]):
    """One call, under way until ``ended``; a failed one is the answer until ``valid_until``."""

    began: float
    done: threading.Event = field(default_factory=threading.Event)
    ended: float | None = None
    valid_until: float = 0.0
    found: Answer | None = None
    error: BaseException | None = None


class CachedCall(Generic[Answer]):
    """The answers of one method of Slack, by what it is asked for; many threads ask.

    Who asks while a call is under way waits for that one. An answer is as old as the beginning of its call,
    so it never says what was true before that. Where Slack asks for a pause, nothing is asked for so long:
    its limit is of the method, not of one group.
    """

    def __init__(self, ask: Callable[[str], Answer], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()  # never held during a call
        self._newest: dict[str, _Call[Answer]] = {}
        self._answers: dict[str, _Call[Answer]] = {}
        self._rate_limited: _Call[Answer] | None = None
        self._paused_until = 0.0

    def get(self, key: str, age: MaxAge) -> Answer:
        """An answer that is younger.

        Raises:
            SlackApiError, OSError and their like: what kept Slack from giving one.
        """
        call, is_ours = self._call_for(key, age)
        if is_ours:
            self._make(key, call)
        call.done.wait()
        if call.error is not None and _asks_for_a_pause(call.error):
            with self._lock:
                call = self._young_answer(key, age.in_a_pause) or call
        if call.error is not None:
            raise call.error.with_traceback(None)
        assert call.found is not None  # noqa: S101 - a call without an error has found something
        return call.found

    def _call_for(self, key: str, age: MaxAge) -> tuple[_Call[Answer], bool]:
        """The call whose outcome is the answer, and whether it has yet to be made."""
        with self._lock:
            now = self._clock()
            if (kept := self._young_answer(key, age.seconds)) is not None:
                return kept, False
            newest = self._newest.get(key)
            if newest is not None and newest.ended is None and now - newest.began < age.seconds:
                return newest, False
            if newest is not None and newest.error is not None and newest.valid_until > now:
                return newest, False
            if self._rate_limited is not None and self._paused_until > now:
                return self._rate_limited, False
            call = self._newest[key] = _Call[Answer](now)
            return call, True

    def _young_answer(self, key: str, seconds: float) -> _Call[Answer] | None:
        """The last answer, where it is younger. Under the lock."""
        answered = self._answers.get(key)
        young = answered is not None and self._clock() - answered.began < seconds
        return answered if young else None

    def _make(self, key: str, call: _Call[Answer]) -> None:
        try:
            call.found = self._ask(key)
        except BaseException as error:  # raised by `get`, for all who wait for it
            call.error = error
        with self._lock:
            call.ended = self._clock()
            call.valid_until = call.ended + FAILED_SECONDS
            if call.error is None:
                before = self._answers.get(key)
                if before is None or before.began < call.began:
                    self._answers[key] = call
            elif _asks_for_a_pause(call.error):
                self._rate_limited, self._paused_until = call, call.ended + retry_after(call.error)
        call.done.set()


class Groups:
    """Who is in which group. A group is named by its id or its handle."""

    def __init__(self, client: WebClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._members = CachedCall(self._ask_for_members, clock)
        self._ids = CachedCall(self._ask_for_ids, clock)

    def members(self, name: str, age: MaxAge) -> frozenset[str]:
        """The users of a group, as `CachedCall.get` answers."""
        return self._members.get(self._id_of(name, age), age)

    def _id_of(self, name: str, age: MaxAge) -> str:
        if is_id(name):
            return name
        # Which group a handle names hardly ever changes: that may be as old as for showing.
        ids = self._ids.get("", MaxAge(TO_SHOW.seconds, max(TO_SHOW.seconds, age.in_a_pause)))
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


# ----------------------------------------------------------------------------
# People


class People:
    """Looks people up; one that Slack doesn't tell about has an id, and the channels' language."""

    def __init__(self, client: WebClient, default_language: str) -> None:
        self._client = client
        self._default = default_language
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str, str | None]] = {}

    def requester(self, team_id: str, user_id: str) -> Requester:
        name, locale = self._look_up(user_id)
        return Requester(team_id, user_id, name, locale)

    def language_of(self, user_id: str) -> Translator:
        """The translator for messages that this person alone reads."""
        return translator(self._look_up(user_id)[1] or self._default)

    def _look_up(self, user_id: str) -> tuple[str, str | None]:
        with self._lock:
            known = self._known.get(user_id)
        if known and time.monotonic() - known[0] < PERSON_SECONDS:
            return known[1], known[2]
        try:
            user = self._client.users_info(user=user_id, include_locale=True)["user"]
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("user %s: not looked up: %s", user_id, error_name(error))
            return user_id, None
        name = clean_name(str(user.get("real_name") or user.get("name") or "")) or user_id
        locale = user.get("locale")
        with self._lock:
            self._known[user_id] = (time.monotonic(), name, locale)
        return name, locale

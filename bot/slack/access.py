"""What Slack says of the workspace's user groups, asked seldom: it allows 20 such calls a minute.

One look serves everybody who asks for as long as its answer is young enough for them, those included who
ask while it is under way. An answer is as old as the beginning of its look, so it never says what was true
before that. A look that failed speaks for a second. Where Slack asks for a pause, it is left alone for so
long: its limit is of the method, not of one group.
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

from bot.config import CopySection, SlackSection
from bot.i18n import Translator, translator
from bot.jobs.repository import Requester
from bot.slack.client import CONNECTION_ERRORS, Trouble, error_name, retry_after, trouble_of

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


# ----------------------------------------------------------------------------
# Who may copy: members of the configured user groups, and single users for workspaces without groups.
#
# A copy may name its own people, who count in the place of the global ones. Whoever asks says how old Slack's
# answer may be (see `bot.slack.access`): a minute to look, seconds to press. It fails closed: where Slack
# doesn't say who is in a group, nobody is let through on its account.


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """``groups`` names, as mentions or handles, the groups to ask for; ``reason`` why it can't be known."""

    allowed: bool
    groups: list[str]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _People:
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

    def may_run(self, user_id: str, copy: CopySection, age: Age = LOOK) -> AccessDecision:
        """Whether somebody may run this copy."""
        return self._decision(user_id, self._of(copy), age)

    def may_use(self, user_id: str, age: Age = LOOK) -> AccessDecision:
        """Whether somebody may run any of the copies: for what concerns none in particular."""
        own = [each for each in self._copies if each.names_its_people]
        groups = [*self._slack.admin_groups, *(name for each in own for name in each.allowed_groups)]
        users = [*self._slack.admin_users, *(name for each in own for name in each.allowed_users)]
        people = _People(tuple(dict.fromkeys(groups)), tuple(dict.fromkeys(users)))
        return self._decision(user_id, people, age)

    def _decision(self, user_id: str, people: _People, age: Age) -> AccessDecision:
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
        verdicts = {copy.name: self.may_run(user_id, copy) for copy in self._copies if copy.name in names}
        refused = {name for name, each in verdicts.items() if not each.allowed and each.reason is None}
        return frozenset(refused | (set(names) - verdicts.keys()))

    def _of(self, copy: CopySection) -> _People:
        return _people_of(self._slack, copy)


def who_may(slack: SlackSection, copy: CopySection) -> list[str]:
    """The groups and single users of a copy, as a message shows them."""
    people = _people_of(slack, copy)
    return [*(_shown(name) for name in people.groups), *(f"<@{user}>" for user in people.users)]


def mentions(names: Sequence[str]) -> tuple[str, ...]:
    """People, groups and handles as a message mentions them, whichever of them each name is."""
    return tuple(f"<@{name}>" if _is_user(name) else _shown(name) for name in names)


def _people_of(slack: SlackSection, copy: CopySection) -> _People:
    if copy.names_its_people:
        return _People(copy.allowed_groups, copy.allowed_users)
    return _People(slack.admin_groups, slack.admin_users)


def _shown(name: str) -> str:
    return f"<!subteam^{name}>" if is_id(name) else f"@{name.removeprefix('@')}"


def _is_user(name: str) -> bool:
    return name[:1] in {"U", "W"} and name.isalnum() and name.isupper()


# ----------------------------------------------------------------------------
# What Slack knows of the person who writes: name and language, asked once in a while.


log = logging.getLogger(__name__)

#: How long an answer is believed, in seconds.
CACHE_SECONDS = 600.0


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
        if known and time.monotonic() - known[0] < CACHE_SECONDS:
            return known[1], known[2]
        try:
            user = self._client.users_info(user=user_id, include_locale=True)["user"]
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("user %s: not looked up: %s", user_id, error_name(error))
            return user_id, None
        name = str(user.get("real_name") or user.get("name") or user_id)
        locale = user.get("locale")
        with self._lock:
            self._known[user_id] = (time.monotonic(), name, locale)
        return name, locale

"""Who may copy, and what Slack knows of people: members of user groups, names and languages.

Groups and single users come from the configuration; a copy may name its own, who count in the place of the
global ones. Who is in a group is asked of Slack, which allows 20 such calls a minute: so one call serves
everybody for as long as its answer is young enough for them (see `CachedCall`), and who isn't in a group
can't use up the minute of those who are. Access fails closed: where Slack doesn't say who is in a group,
nobody is let through on its account.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import time_expressions
from bot.config import CopySection, SlackSection
from bot.errors import AddressUnknown
from bot.i18n import Translator, translator
from bot.jobs.repository import Requester
from bot.slack.client import CONNECTION_ERRORS, PASSING, Trouble, error_name, retry_after, trouble_of
from bot.untrusted_text import clean_name

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MaxAge:
    """How old an answer of Slack may be, in seconds; and how old while Slack asks for a pause.

    ``no``: how old one may be that refuses somebody, once `SPARE_A_MINUTE` and `OWN_A_MINUTE` are used up.
    None for no other.
    """

    seconds: float
    in_a_pause: float
    no: float | None = None


#: To show something. In a pause rather an answer of some minutes than none.
TO_SHOW = MaxAge(60.0, 5 * 60.0)
#: To do something: who was removed is refused four seconds later. That is 15 calls a minute at most; where
#: several groups are configured the seconds are multiplied by their number, so that it stays 15.
#: In a pause nobody's press rests on anything older: it is refused, and says that Slack gives no answer.
TO_PRESS = MaxAge(4.0, 4.0, no=60.0)
#: Not even a refusal may be older: for what is decided once, without anybody there to press again.
TO_DECIDE = MaxAge(4.0, 4.0)
#: Look-ups at groups within a minute, of all that were made, up to which a refusal is looked up anew. The
#: rest of the minute is for those who were in a group when it was looked up last.
SPARE_A_MINUTE = 5
#: So many look-ups within a minute each person causes nevertheless: somebody may have just joined.
OWN_A_MINUTE = 2
#: Of so many people it is remembered that they have caused some.
PEOPLE_KEPT = 1_000
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
        own = [name for each in copies if each.names_its_people for name in each.allowed_groups]
        self._how_many = len({*slack.admin_groups, *own})

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

    def may_approve(
        self, user_id: str, copy: CopySection, age: MaxAge, *, second_group: bool
    ) -> AccessDecision:
        """Whether somebody may approve this copy: who may run it, and its second group once that is asked."""
        decision = self._decision(user_id, self._of(copy), age)
        if decision.allowed or not second_group or copy.approval_second_group is None:
            return decision
        second = self._decision(user_id, _Allowed((copy.approval_second_group,), ()), age)
        groups = [*decision.groups, *second.groups]
        return AccessDecision(second.allowed, groups, second.reason or decision.reason)

    def may_use(self, user_id: str, age: MaxAge = TO_SHOW) -> AccessDecision:
        """Whether somebody may run any of the copies: for what concerns none in particular."""
        own = [each for each in self._copies if each.names_its_people]
        groups = [*self._slack.admin_groups, *(name for each in own for name in each.allowed_groups)]
        users = [*self._slack.admin_users, *(name for each in own for name in each.allowed_users)]
        people = _Allowed(tuple(dict.fromkeys(groups)), tuple(dict.fromkeys(users)))
        return self._decision(user_id, people, age)

    def may_audit(self, user_id: str, age: MaxAge = TO_SHOW) -> AccessDecision:
        """Whether somebody may see the receipts of all copies: the people of the global lists, and operators.

        Whom a copy names as its own sees that copy alone.
        """
        people = [name for name in self._slack.operators if is_user(name)]
        groups = [name for name in self._slack.operators if not is_user(name)]
        every = _Allowed(
            tuple(dict.fromkeys([*self._slack.admin_groups, *groups])),
            (*self._slack.admin_users, *people),
        )
        return self._decision(user_id, every, age)

    def _decision(self, user_id: str, people: _Allowed, age: MaxAge) -> AccessDecision:
        groups, users = people.groups, people.users
        names = [_shown(name) for name in groups]
        if user_id in users:
            return AccessDecision(True, names)
        reason = None
        age = self._stretched(age)
        # Where they were last: that look alone says it of whoever is in one of many groups.
        for group in sorted(groups, key=lambda each: not self._groups.was_in(each, user_id)):
            try:
                if self._groups.is_in(group, user_id, age):
                    return AccessDecision(True, names)
            except (SlackApiError, *CONNECTION_ERRORS) as error:
                reason = reason or error_name(error)
        return AccessDecision(False, names, reason)

    def _stretched(self, age: MaxAge) -> MaxAge:
        """With several groups an answer may be older, up to what is young enough to show something."""
        seconds = min(age.seconds * max(1, self._how_many), max(age.seconds, TO_SHOW.seconds))
        return replace(age, seconds=seconds, in_a_pause=max(seconds, age.in_a_pause))

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


def second_groups(copies: Sequence[CopySection]) -> dict[str, str]:
    """The group that is asked to approve after a while, as a message shows it, by the copies' names."""
    return {copy.name: _shown(copy.approval_second_group) for copy in copies if copy.approval_second_group}


def mentions(names: Sequence[str]) -> tuple[str, ...]:
    """People, groups and handles as a message mentions them, whichever of them each name is."""
    return tuple(f"<@{name}>" if is_user(name) else _shown(name) for name in names)


def _allowed_for(slack: SlackSection, copy: CopySection) -> _Allowed:
    if copy.names_its_people:
        return _Allowed(copy.allowed_groups, copy.allowed_users)
    return _Allowed(slack.admin_groups, slack.admin_users)


def _shown(name: str) -> str:
    return f"<!subteam^{name}>" if is_id(name) else f"@{name.removeprefix('@')}"


def is_user(name: str) -> bool:
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

    There is one call at a time for each key, and everybody who asks meanwhile waits for it. An answer is as
    old as the beginning of its call, so it never says what was true before that: to whom the call under way
    is too old, the next one says it, which all of them share. Where Slack asks for a pause, nothing is asked
    for so long: its limit is of the method, not of one key.
    """

    def __init__(
        self,
        ask: Callable[[str], Answer],
        clock: Callable[[], float] = time.monotonic,
        *,
        failed_seconds: float = FAILED_SECONDS,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._failed_seconds = failed_seconds
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
        oldest = self._clock() - age.seconds
        while True:
            call, is_ours = self._call_for(key, oldest)
            if is_ours:
                self._make(key, call)
            call.done.wait()
            if call.began > oldest or call.error is not None:
                break
        if call.error is not None and _asks_for_a_pause(call.error):
            with self._lock:
                call = self._younger(key, self._clock() - age.in_a_pause) or call
        if call.error is not None:
            raise call.error.with_traceback(None)
        assert call.found is not None  # noqa: S101 - a call without an error has found something
        return call.found

    def known(self, key: str, seconds: float) -> Answer | None:
        """The last answer, where it is younger; asks nothing and waits for nothing."""
        with self._lock:
            answered = self._younger(key, self._clock() - seconds)
        return answered.found if answered is not None else None

    def _call_for(self, key: str, oldest: float) -> tuple[_Call[Answer], bool]:
        """The call to wait for, and whether it has yet to be made."""
        with self._lock:
            now = self._clock()
            if (kept := self._younger(key, oldest)) is not None:
                return kept, False
            newest = self._newest.get(key)
            if newest is not None and newest.ended is None:
                return newest, False
            if newest is not None and newest.error is not None and newest.valid_until > now:
                return newest, False
            if self._rate_limited is not None and self._paused_until > now:
                return self._rate_limited, False
            call = self._newest[key] = _Call[Answer](now)
            return call, True

    def _younger(self, key: str, oldest: float) -> _Call[Answer] | None:
        """The last answer, where its call was begun after that. Under the lock."""
        answered = self._answers.get(key)
        return answered if answered is not None and answered.began > oldest else None

    def _make(self, key: str, call: _Call[Answer]) -> None:
        try:
            call.found = self._ask(key)
        except BaseException as error:  # raised by `get`, for all who wait for it
            call.error = error
        with self._lock:
            call.ended = self._clock()
            call.valid_until = call.ended + self._failed_seconds
            if call.error is None:
                self._answers[key] = call
            elif _asks_for_a_pause(call.error):
                self._rate_limited, self._paused_until = call, call.ended + retry_after(call.error)
        call.done.set()


class Groups:
    """Who is in which group. A group is named by its id or its handle."""

    def __init__(self, client: WebClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._members = CachedCall(self._ask_for_members, clock)
        self._ids = CachedCall(self._ask_for_ids, clock)
        self._lock = threading.Lock()
        self._looked: deque[float] = deque(maxlen=SPARE_A_MINUTE)
        self._caused: dict[str, deque[float]] = {}

    def is_in(self, name: str, user_id: str, age: MaxAge) -> bool:
        """Whether somebody is in a group, as `CachedCall.get` answers."""
        group = self._id_of(name, age)
        if age.no is not None and self._members.known(group, age.seconds) is None:
            refusing = self._members.known(group, age.no)
            if refusing is not None and user_id not in refusing and not self._has_spare(user_id):
                return False
        return user_id in self._members.get(group, age)

    def was_in(self, name: str, user_id: str) -> bool:
        """Whether somebody was in a group when it was looked up last, lately; asks nothing."""
        known = None if is_id(name) else self._ids.known("", TO_SHOW.in_a_pause)
        group = known.get(name.removeprefix("@"), name) if known else name
        return user_id in (self._members.known(group, TO_SHOW.in_a_pause) or ())

    def _has_spare(self, user_id: str) -> bool:
        """Whether the last minute has seen few look-ups, or few that this person was the reason for."""
        with self._lock:
            minute_ago = self._clock() - 60
            if len(self._looked) < SPARE_A_MINUTE or self._looked[0] <= minute_ago:
                return True
            if len(self._caused) >= PEOPLE_KEPT:
                self._caused.clear()
            caused = self._caused.setdefault(user_id, deque(maxlen=OWN_A_MINUTE))
            if len(caused) == OWN_A_MINUTE and caused[0] > minute_ago:
                return False
            caused.append(self._clock())
            return True

    def _id_of(self, name: str, age: MaxAge) -> str:
        if is_id(name):
            return name
        # Which group a handle names hardly ever changes: that may be as old as for showing.
        ids = self._ids.get("", MaxAge(TO_SHOW.seconds, max(TO_SHOW.seconds, age.in_a_pause)))
        # Slack's own answer to a group that isn't there, for a handle as for an id.
        return ids.get(name.removeprefix("@"), name)

    def _ask_for_members(self, group: str) -> frozenset[str]:
        with self._lock:
            self._looked.append(self._clock())
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


@dataclass(frozen=True, slots=True)
class _Told:
    """What Slack tells of a person; None for what it doesn't."""

    name: str
    locale: str | None = None
    time_zone: str | None = None
    team: str | None = None


class People:
    """Looks people up; one that Slack doesn't tell about has an id, and the channels' language."""

    def __init__(self, client: WebClient, default_language: str) -> None:
        self._client = client
        self._default = default_language
        self._told = CachedCall(self._ask, failed_seconds=0.0)

    def requester(self, team_id: str, user_id: str) -> Requester:
        told = self._look_up(user_id)
        return Requester(team_id, user_id, told.name, told.locale)

    def named(self, user_id: str) -> Requester:
        """The same of somebody who has sent nothing now: in the team that Slack tells."""
        told = self._look_up(user_id)
        return Requester(told.team or "", user_id, told.name, told.locale)

    def time_zone_of(self, user_id: str) -> str:
        """The IANA name of the time zone that their Slack shows; UTC where Slack doesn't tell."""
        found = self._look_up(user_id).time_zone or "UTC"
        try:
            time_expressions.zone(found)
        except ValueError:
            return "UTC"
        return found

    def language_of(self, user_id: str) -> Translator:
        """The translator for messages that this person alone reads."""
        return translator(self._look_up(user_id).locale or self._default)

    def known_language(self, user_id: str) -> Translator:
        """The same without asking Slack: the channels' language where it hasn't told yet."""
        told = self._told.known(user_id, float("inf"))
        return translator((told.locale if told else None) or self._default)

    def address_of(self, user_id: str) -> str:
        """Their e-mail address, which needs the scope users:read.email.

        Raises:
            AddressUnknown: Slack tells none.
        """
        try:
            user = self._client.users_info(user=user_id)["user"]
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            raise AddressUnknown(error_name(error), passes=trouble_of(error) in PASSING) from None
        address = str((user.get("profile") or {}).get("email") or "")
        if "@" not in address or not address.isprintable():
            raise AddressUnknown("no_email", passes=False)
        return address

    def _look_up(self, user_id: str) -> _Told:
        try:
            return self._told.get(user_id, MaxAge(PERSON_SECONDS, float("inf")))
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            log.warning("user %s: not looked up: %s", user_id, error_name(error))
            return _Told(user_id)

    def _ask(self, user_id: str) -> _Told:
        user = self._client.users_info(user=user_id, include_locale=True)["user"]
        name = clean_name(str(user.get("real_name") or user.get("name") or "")) or user_id
        return _Told(name, user.get("locale"), user.get("tz"), user.get("team_id"))

"""Who may copy: members of the configured user groups, and single users for workspaces without groups.

A copy may name its own people, who count in the place of the global ones. Membership is cached,
because asking is a tier 2 method (20 a minute); a press, which starts something, asks anew. It fails
closed: where Slack doesn't say who is in a group, nobody is let through on its account.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.config_file import CopySection, SlackSection
from bot.slack import CONNECTION_ERRORS, error_name

#: How long an answer of Slack is believed, in seconds.
CACHE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """``groups`` names, as mentions or handles, the groups to ask for; ``reason`` why it can't be known."""

    allowed: bool
    groups: list[str]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _People:
    """Groups and single users, as the configuration writes them."""

    groups: tuple[str, ...]
    users: tuple[str, ...]


class Permissions:
    """Answers whether somebody may copy, and who may."""

    def __init__(
        self,
        client: WebClient,
        slack: SlackSection,
        copies: Sequence[CopySection] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._slack = slack
        self._copies = copies
        self._clock = clock
        self._lock = threading.Lock()
        self._ids: tuple[float, dict[str, str]] | None = None
        self._members: dict[str, tuple[float, frozenset[str]]] = {}

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

    def may_run(self, user_id: str, copy: CopySection, *, anew: bool = False) -> Verdict:
        """Whether somebody may run this copy. ``anew`` believes no earlier answer."""
        return self._verdict(user_id, self._of(copy), anew=anew)

    def may_use(self, user_id: str, *, anew: bool = False) -> Verdict:
        """Whether somebody may run any of the copies: for what concerns none in particular."""
        own = [each for each in self._copies if each.names_its_people]
        groups = [*self._slack.admin_groups, *(name for each in own for name in each.allowed_groups)]
        users = [*self._slack.admin_users, *(name for each in own for name in each.allowed_users)]
        people = _People(tuple(dict.fromkeys(groups)), tuple(dict.fromkeys(users)))
        return self._verdict(user_id, people, anew=anew)

    def _verdict(self, user_id: str, people: _People, *, anew: bool) -> Verdict:
        groups, users = people.groups, people.users
        names = [_shown(name) for name in groups]
        if user_id in users:
            return Verdict(True, names)
        reason = None
        for group in groups:
            try:
                if user_id in self._members_of(group, anew=anew):
                    return Verdict(True, names)
            except (SlackApiError, *CONNECTION_ERRORS) as error:
                reason = reason or error_name(error)
        return Verdict(False, names, reason)

    def not_for(self, user_id: str, names: Collection[str]) -> frozenset[str]:
        """Those among the copies of these names that somebody surely may not run, the unknown included."""
        verdicts = {copy.name: self.may_run(user_id, copy) for copy in self._copies if copy.name in names}
        refused = {name for name, each in verdicts.items() if not each.allowed and each.reason is None}
        return frozenset(refused | (set(names) - verdicts.keys()))

    def _of(self, copy: CopySection) -> _People:
        return _people_of(self._slack, copy)

    def _members_of(self, name: str, *, anew: bool) -> frozenset[str]:
        with self._lock:
            known = self._members.get(name)
            if known and not anew and self._clock() - known[0] < CACHE_SECONDS:
                return known[1]
            answer = self._client.usergroups_users_list(usergroup=self._id_of(name))
            members = frozenset(answer["users"])
            self._members[name] = (self._clock(), members)
            return members

    def _id_of(self, name: str) -> str:
        if _is_id(name):
            return name
        if self._ids is None or self._clock() - self._ids[0] >= CACHE_SECONDS:
            answer = self._client.usergroups_list()
            self._ids = (self._clock(), {group["handle"]: group["id"] for group in answer["usergroups"]})
        found = self._ids[1].get(name.removeprefix("@"))
        # Slack's own answer to a group that isn't there, for a handle as for an id.
        return found or name


def who_may(slack: SlackSection, copy: CopySection) -> list[str]:
    """The groups and single users of a copy, as a message shows them."""
    people = _people_of(slack, copy)
    return [*(_shown(name) for name in people.groups), *(f"<@{user}>" for user in people.users)]


def _people_of(slack: SlackSection, copy: CopySection) -> _People:
    if copy.names_its_people:
        return _People(copy.allowed_groups, copy.allowed_users)
    return _People(slack.admin_groups, slack.admin_users)


def _shown(name: str) -> str:
    return f"<!subteam^{name}>" if _is_id(name) else f"@{name.removeprefix('@')}"


def _is_id(name: str) -> bool:
    return name.startswith("S") and name.isalnum() and name.isupper()

"""Who may copy: members of the configured user groups, and single users for workspaces without groups.

A copy may name its own people, who count in the place of the global ones. Whoever asks says how old Slack's
answer may be (see `bot.groups`): a minute to look, seconds to press. It fails closed: where Slack doesn't
say who is in a group, nobody is let through on its account.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.config_file import CopySection, SlackSection
from bot.groups import LOOK, Age, Groups, is_id
from bot.slack import CONNECTION_ERRORS, error_name


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

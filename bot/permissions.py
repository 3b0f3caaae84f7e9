"""Who may copy: members of the configured user groups, and single users for workspaces without groups.

Membership is cached, because asking is a tier 2 method (20 a minute); a press, which starts something,
asks anew. It fails closed: where Slack doesn't say who is in a group, nobody is let through on its
account.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.config_file import SlackSection
from bot.slack import CONNECTION_ERRORS, error_name

#: How long an answer of Slack is believed, in seconds.
CACHE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """``groups`` names, as mentions or handles, the groups to ask for; ``reason`` why it can't be known."""

    allowed: bool
    groups: list[str]
    reason: str | None = None


class Permissions:
    """Answers whether somebody may copy."""

    def __init__(
        self, client: WebClient, slack: SlackSection, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._slack = slack
        self._clock = clock
        self._lock = threading.Lock()
        self._ids: tuple[float, dict[str, str]] | None = None
        self._members: dict[str, tuple[float, frozenset[str]]] = {}

    @property
    def group_names(self) -> list[str]:
        """The groups as a message shows them: a mention for an id, the handle for a handle."""
        return [
            f"<!subteam^{name}>" if _is_id(name) else f"@{name.removeprefix('@')}"
            for name in self._slack.admin_groups
        ]

    def may_copy(self, user_id: str, *, anew: bool = False) -> Verdict:
        """``anew`` believes no earlier answer of Slack."""
        if user_id in self._slack.admin_users:
            return Verdict(True, self.group_names)
        try:
            allowed = any(user_id in self._members_of(name, anew=anew) for name in self._slack.admin_groups)
        except (SlackApiError, *CONNECTION_ERRORS) as error:
            return Verdict(False, self.group_names, reason=error_name(error))
        return Verdict(allowed, self.group_names)

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


def _is_id(name: str) -> bool:
    return name.startswith("S") and name.isalnum() and name.isupper()

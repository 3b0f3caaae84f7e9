"""What Slack knows of the person who writes: name and language, asked once in a while."""

from __future__ import annotations

import logging
import threading
import time

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.i18n import Translator, translator
from bot.jobs.store import Requester
from bot.slack import CONNECTION_ERRORS, error_name

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

"""The manifest of the Slack app: as it is, for HTTP mode, or for a second app in the same workspace."""

from __future__ import annotations

from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import yaml

from bot.packaged_files import shipped

#: Where the bot takes what Slack sends in HTTP mode.
EVENTS_PATH = "/slack/events"
#: Slack's longest names of an app, of its bot, and of a command.
LONGEST_APP, LONGEST_BOT, LONGEST_COMMAND = 35, 80, 32


class BadUrl(ValueError):
    """Slack can't send requests there."""


def read() -> dict[str, Any]:
    """The manifest that this release comes with."""
    found: dict[str, Any] = yaml.safe_load(shipped("manifest.yml"))
    return found


def as_yaml(manifest: dict[str, Any]) -> str:
    return yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=1000)


def request_url(written: str) -> str:
    """Where Slack is to send requests: the public address of the bot, with the bot's path where it has none.

    Raises:
        BadUrl: it isn't an https URL.
    """
    parts = urlsplit(written)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise BadUrl("write the public https URL of the bot, such as https://traspaso.example.com")
    return f"https://{parts.netloc}{parts.path if parts.path.strip('/') else EVENTS_PATH}"


def for_http(manifest: dict[str, Any], url: str) -> dict[str, Any]:
    """The same app without Socket Mode: everything goes to ``url``, as `request_url` gives it."""
    changed = deepcopy(manifest)
    for command in changed["features"]["slash_commands"]:
        command["url"] = url
    settings = changed["settings"]
    settings["socket_mode_enabled"] = False
    settings["event_subscriptions"] = {"request_url": url, **settings["event_subscriptions"]}
    # Menus that search, such as that of the liquidations, ask at an address of their own.
    settings["interactivity"] |= {"request_url": url, "message_menu_options_url": url}
    return changed


def with_suffix(manifest: dict[str, Any], suffix: str) -> dict[str, Any]:
    """A second app beside the first: its name and its commands end with the ``suffix``."""
    changed = deepcopy(manifest)
    display, bot = changed["display_information"], changed["features"]["bot_user"]
    display["name"] = f"{display['name'][: LONGEST_APP - len(suffix) - 3]} ({suffix})"
    bot["display_name"] = f"{bot['display_name']}-{suffix}"[:LONGEST_BOT]
    for command in changed["features"]["slash_commands"]:
        command["command"] = f"{command['command']}-{suffix}"
    return changed

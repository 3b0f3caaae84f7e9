"""App Home, the panel: opening it and filtering it. What it shows is in `bot.messages.home`."""

from __future__ import annotations

from typing import Any

from slack_bolt import Ack, App

from bot.commands.conversation import Surface, user_of
from bot.messages.home import ALL, FILTERS_BLOCK, STATUS_ACTION, WHO_ACTION, filters_of


def register(app: App, surface: Surface) -> None:
    tab = AppHome(surface)
    app.event("app_home_opened")(tab.opened)
    app.action(STATUS_ACTION)(tab.filtered)
    app.action(WHO_ACTION)(tab.filtered)


class AppHome:
    """The conversation on the tab."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def opened(self, event: dict[str, Any]) -> None:
        if event.get("tab") == "home":
            self._surface.home_publisher.opened(str(event["user"]))

    def filtered(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        _, user_id = user_of(body)
        chosen = body["view"]["state"]["values"].get(FILTERS_BLOCK, {})
        self._surface.home_publisher.filtered(
            user_id, filters_of(_value(chosen, STATUS_ACTION), _value(chosen, WHO_ACTION), user_id)
        )


def _value(chosen: dict[str, Any], action_id: str) -> str:
    option = (chosen.get(action_id) or {}).get("selected_option") or {}
    return str(option.get("value", ALL))

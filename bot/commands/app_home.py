"""App Home: opening the tab and filtering it. What it shows is in `bot.messages.home`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.commands.concurrency import Permit, WorkPool
from bot.commands.conversation import BotParts, user_of
from bot.messages.home import ALL, FILTERS_BLOCK, STATUS_ACTION, WHO_ACTION, filters_of
from bot.slack.home_publisher import HomePublisher

if TYPE_CHECKING:
    from slack_bolt import Ack, App


def connect(app: App, parts: BotParts) -> None:
    """Adds the event and the two filters."""
    tab = AppHome(parts.home_publisher, parts.callers.pools.homes)
    app.event("app_home_opened")(tab.opened)
    app.action(STATUS_ACTION)(tab.filtered)
    app.action(WHO_ACTION)(tab.filtered)


class AppHome:
    """The conversation on the tab. Whoever gets no permit has one that waits, and it shows what is newest."""

    def __init__(self, home_publisher: HomePublisher, pool: WorkPool) -> None:
        self._home_publisher = home_publisher
        self._pool = pool

    def opened(self, event: dict[str, Any]) -> None:
        if event.get("tab") == "home":
            self._show(str(event["user"]))

    def filtered(self, ack: Ack, body: dict[str, Any]) -> None:
        ack()
        _, user_id = user_of(body)
        chosen = body["view"]["state"]["values"].get(FILTERS_BLOCK, {})
        filters = filters_of(_value(chosen, STATUS_ACTION), _value(chosen, WHO_ACTION), user_id)
        self._home_publisher.choose(user_id, filters)
        self._show(user_id)

    def _show(self, user_id: str) -> None:
        permit = self._pool.take(user_id)
        if isinstance(permit, Permit):
            permit.begin(lambda: self._home_publisher.opened(user_id))


def _value(chosen: dict[str, Any], action_id: str) -> str:
    option = (chosen.get(action_id) or {}).get("selected_option") or {}
    return str(option.get("value", ALL))

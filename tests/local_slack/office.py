"""A small Bolt app, unmodified and connected by its base URL alone, that shows every kind of interaction."""

import re
import threading
from typing import Any

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from dev.local_slack.client import LocalSlack

Json = dict[str, Any]


def button(text: str, action_id: str, value: str = "42") -> Json:
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": text},
        "action_id": action_id,
        "value": value,
        "confirm": {
            "title": {"type": "plain_text", "text": "Sure?"},
            "text": {"type": "mrkdwn", "text": "Really?"},
            "confirm": {"type": "plain_text", "text": "Yes"},
            "deny": {"type": "plain_text", "text": "No"},
        },
    }


def card(title: str, *buttons: Json) -> list[Json]:
    blocks: list[Json] = [{"type": "header", "text": {"type": "plain_text", "text": title}}]
    return [*blocks, {"type": "actions", "elements": list(buttons)}] if buttons else blocks


def form(title: str = "Copy") -> Json:
    def label(text: str) -> Json:
        return {"type": "plain_text", "text": text}

    return {
        "type": "modal",
        "callback_id": "form",
        "title": label(title),
        "submit": label("Start"),
        "close": label("Cancel"),
        "notify_on_close": True,
        "private_metadata": "round-trip",
        "blocks": [
            {
                "type": "input",
                "block_id": "reason_block",
                "label": label("Reason"),
                "element": {"type": "plain_text_input", "action_id": "reason"},
            },
            {
                "type": "input",
                "block_id": "table_block",
                "optional": True,
                "label": label("Table"),
                "element": {"type": "external_select", "action_id": "table", "min_query_length": 1},
            },
            {"type": "actions", "block_id": "tools", "elements": [button("Preview", "preview")]},
        ],
    }


def home(said: str = "Copies") -> Json:
    menu = {
        "type": "external_select",
        "action_id": "table",
        "min_query_length": 1,
        "placeholder": {"type": "plain_text", "text": "Search a table"},
    }
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": said}},
            {"type": "actions", "block_id": "home_tools", "elements": [menu]},
        ],
    }


class Office:
    """`held` keeps slow listeners back until a test lets them go; `seen` are the payloads that arrived."""

    def __init__(self, slack: LocalSlack) -> None:
        self.slack = slack
        self.ana, self.bob = slack.user("U0ANA"), slack.user("U0BOB")
        self.held = threading.Event()
        self.seen: list[Json] = []
        self.submission: Json = {}
        client = WebClient(token=slack.bot_token, base_url=slack.api_url)
        self.app = App(
            client=client, token_verification_enabled=False, raise_error_for_unhandled_request=False
        )
        self._register()
        # A connection is stale after four of these; while the SDK changes to another one, it hears nothing
        # for three seconds.
        self._handler = SocketModeHandler(self.app, slack.app_token, ping_interval=1.0)
        self._handler.connect()
        slack.wait_connected()

    def leave(self) -> None:
        self.held.set()
        self._handler.close()

    def payload(self, kind: str) -> Json:
        """The newest payload of this kind."""
        return next(body for body in reversed(self.seen) if kind in (body.get("type"), body.get("command")))

    def _register(self) -> None:
        app, seen = self.app, self.seen

        @app.middleware
        def remember(body: Json, next: Any) -> None:
            seen.append(body)
            next()

        @app.command("/copy-liquidation")
        def copy(ack: Any, command: Json, respond: Any) -> None:
            if command["text"] == "bad":
                ack(blocks=[{"type": "nonsense"}], text="x")
            elif command["text"] == "public":
                ack(text="For all to see", response_type="in_channel")
            elif command["text"] == "ask":
                ack(text="Copy?", blocks=card("Copy 42?", button("Copy", "confirm"), button("No", "deny")))
            else:
                ack(f"Copying {command['text']}")

        @app.command("/slow")
        def slow(ack: Any) -> None:
            self.held.wait(20)
            ack("too late")

        @app.command("/form")
        def open_form(ack: Any, client: WebClient, command: Json) -> None:
            ack()
            client.views_open(trigger_id=command["trigger_id"], view=form())

        @app.action("confirm")
        def confirm(ack: Any, respond: Any) -> None:
            ack()
            respond(text="Started", blocks=card("Started"), replace_original=True)

        @app.action("deny")
        def deny(ack: Any, respond: Any) -> None:
            ack()
            respond(delete_original=True)

        @app.action(re.compile("^size"))
        def sized(ack: Any) -> None:
            ack()

        @app.action("hold")
        def hold(ack: Any) -> None:
            self.held.wait(20)
            ack()

        @app.action("preview")
        def preview(ack: Any, body: Json, client: WebClient) -> None:
            ack()
            client.views_update(view_id=body["view"]["id"], hash=body["view"]["hash"], view=form("Preview"))

        @app.options("table")
        def tables(ack: Any, payload: Json) -> None:
            names = [name for name in ("concepts", "contracts", "employees") if payload["value"] in name]
            ack(options=[{"text": {"type": "plain_text", "text": n.title()}, "value": n} for n in names])

        @app.action("table")
        def chosen(ack: Any, body: Json, client: WebClient, payload: Json) -> None:
            ack()
            if body["container"]["type"] == "view" and body["view"]["type"] == "home":
                said = payload["selected_option"]["text"]["text"]
                client.views_publish(user_id=body["user"]["id"], view=home(f"Copies of {said}"))

        @app.view("form")
        def submitted(ack: Any) -> None:
            if self.submission.get("hold"):
                self.held.wait(20)
            ack(**{key: value for key, value in self.submission.items() if key != "hold"})

        @app.view_closed("form")
        def closed(ack: Any) -> None:
            ack()

        @app.event("message")
        def heard(ack: Any) -> None:
            ack()

        @app.event("app_home_opened")
        def home_opened(event: Json, client: WebClient) -> None:
            client.views_publish(user_id=event["user"], view=home())

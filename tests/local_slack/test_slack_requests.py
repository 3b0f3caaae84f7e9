"""HTTP mode as an unmodified Bolt app sees it: signed requests, answers in the body, and what comes again."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from slack_bolt import App
from slack_bolt.adapter.asgi import SlackRequestHandler
from slack_bolt.response import BoltResponse
from slack_sdk import WebClient

from dev.local_slack.client import LocalSlack
from dev.local_slack.results import NotPossible
from dev.local_slack.server import LocalSlackServer
from dev.ports import candidate_port

from .conftest import MANIFEST
from .office import card, form, home

Json = dict[str, Any]


class Shop:
    """A small Bolt app behind its own adapter. `heard` are the headers and kinds of what came."""

    def __init__(self, slack: LocalSlack, port: int) -> None:
        self.slack = slack
        self.heard: list[tuple[str, dict[str, str]]] = []
        self.held = threading.Event()
        client = WebClient(token=slack.bot_token, base_url=slack.api_url)
        self.app = App(client=client, signing_secret=slack.signing_secret, token_verification_enabled=False)
        self._register()
        config = uvicorn.Config(
            SlackRequestHandler(self.app), port=port, ws="none", log_config=None, access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        slack.wait_for(lambda: self._server.started)

    def close(self) -> None:
        self.held.set()
        self._server.should_exit = True
        self._thread.join(10)

    def _register(self) -> None:
        app = self.app

        @app.middleware
        def remember(request: Any, body: Json, next: Any) -> Any:
            headers = {name: values[0] for name, values in request.headers.items()}
            self.heard.append((str(body.get("type") or body.get("command")), headers))
            if "event" in body and "x-slack-retry-num" not in headers:
                return BoltResponse(status=500)
            if body.get("text") == "slow":
                self.held.wait(20)
            return next()

        @app.command("/copy-liquidation")
        def copy(ack: Any, command: Json) -> None:
            if command["text"] == "nothing":
                ack()
            elif command["text"] == "fail":
                raise RuntimeError
            else:
                ack(f"Copying {command['text']}")

        @app.command("/form")
        def open_form(ack: Any, client: WebClient, command: Json) -> None:
            ack(blocks=card("Here it comes"), text="Here it comes")
            client.views_open(trigger_id=command["trigger_id"], view=form())

        @app.options("table")
        def tables(ack: Any) -> None:
            ack(options=[{"text": {"type": "plain_text", "text": "Año"}, "value": "año"}])

        @app.action("preview")
        def preview(ack: Any) -> None:
            ack()

        @app.view("form")
        def submitted(ack: Any) -> None:
            ack(response_action="errors", errors={"reason_block": "Say why"})

        @app.event("app_home_opened")
        def home_opened(event: Json, client: WebClient) -> None:
            client.views_publish(user_id=event["user"], view=home())


@pytest.fixture
def shop() -> Iterator[Shop]:
    with LocalSlackServer(manifest=MANIFEST) as server:
        slack = LocalSlack(server.url)
        port = candidate_port()
        shop = Shop(slack, port)
        slack.use_request_url(f"http://127.0.0.1:{port}/slack/events")
        yield shop
        shop.close()
        slack.close()


def test_commands_windows_and_menus_come_as_signed_requests(shop: Shop) -> None:
    ana, slack = shop.slack.user("U0ANA"), shop.slack
    done = ana.command("/copy-liquidation año 42", channel="C0PAYROLL")
    assert (done.acked, done.ack_payload) == (True, {"text": "Copying año 42"})
    assert ana.messages("C0PAYROLL")[-1].plain == "Copying año 42"
    assert ana.command("/copy-liquidation nothing", channel="C0PAYROLL").ack_payload is None
    assert ana.command("/form", channel="C0PAYROLL").acked
    assert "Here it comes" in ana.messages("C0PAYROLL")[-1].plain
    modal = slack.wait_for(ana.modal)
    [option] = ana.options("table", "a")
    assert option["value"] == "año"
    assert ana.press(modal, "preview").acked
    assert ana.submit({"reason": "because"}).errors == {"reason_block": "Say why"}
    kinds = [kind for kind, _ in shop.heard]
    assert kinds[-3:] == ["block_suggestion", "block_actions", "view_submission"]
    assert {each.status for each in slack.envelopes()} == {200}


def test_an_event_that_fails_comes_again_and_says_why(shop: Shop) -> None:
    assert shop.slack.user("U0ANA").open_home().plain
    first, again = (headers for kind, headers in shop.heard if kind == "event_callback")
    assert "x-slack-retry-num" not in first
    assert (again["x-slack-retry-num"], again["x-slack-retry-reason"]) == ("1", "http_error")


def test_what_goes_wrong_is_said_to_the_person_in_slacks_words(shop: Shop) -> None:
    ana = shop.slack.user("U0ANA")
    failed = ana.command("/copy-liquidation fail", channel="C0PAYROLL")
    assert failed.error == "http_service_error"
    assert failed.shown == '/copy-liquidation failed with the error "http_service_error"'
    assert ana.command("/slow", channel="C0PAYROLL").error == "http_client_error"  # Bolt answers 404
    slow = ana.command("/copy-liquidation slow", channel="C0PAYROLL")
    assert slow.error == "operation_timeout"


def test_a_clock_that_is_wrong_makes_every_request_an_old_one(shop: Shop) -> None:
    shop.slack.skew_signatures(400)
    refused = shop.slack.user("U0ANA").command("/copy-liquidation 42", channel="C0PAYROLL")
    assert refused.error == "http_client_error"
    assert shop.slack.answered()[-1] == 401


def test_a_url_that_doesn_t_give_the_word_back_is_not_taken(shop: Shop) -> None:
    base = f"http://127.0.0.1:{candidate_port()}"
    for url in (f"{base}/slack/events", f"{shop.slack.url}/api/auth.test"):
        with pytest.raises(NotPossible, match="challenge parameter"):
            shop.slack.use_request_url(url)
    with pytest.raises(NotPossible, match="nothing leaves this machine"):
        shop.slack.use_request_url("https://example.com/slack/events")


def test_without_a_request_url_it_is_socket_mode_again(shop: Shop) -> None:
    shop.slack.use_request_url(None)
    nobody = shop.slack.user("U0ANA").command("/copy-liquidation 42", channel="C0PAYROLL")
    assert nobody.error == "dispatch_failed"
    assert not shop.heard[1:]  # but for the word


def test_the_same_request_can_come_twice_byte_for_byte(shop: Shop) -> None:
    shop.slack.duplicate_next_envelope()
    shop.slack.user("U0ANA").command("/copy-liquidation 42", channel="C0PAYROLL")
    one, another = (headers for kind, headers in shop.heard if kind == "/copy-liquidation")
    assert one["x-slack-signature"] == another["x-slack-signature"]


def test_whoever_asks_for_a_signature_can_send_a_request_as_slack_would(shop: Shop) -> None:
    url = shop.slack.ask("info")["app"]["request_url"]
    body = "ssl_check=0&command=%2Fcopy-liquidation&text=7&user_id=U0ANA&team_id=T0ACME"
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    good = httpx.post(url, content=body, headers={**shop.slack.sign(body), **form_type}, trust_env=False)
    bad = httpx.post(url, content=body + "7", headers={**shop.slack.sign(body), **form_type}, trust_env=False)
    assert (good.status_code, good.text) == (200, "Copying 7")
    assert bad.status_code == 401

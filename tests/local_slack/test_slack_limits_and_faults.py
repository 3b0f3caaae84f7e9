"""Rate limits, faults, and waiting without sleeping."""

import threading
import time
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from dev.local_slack.client import LocalSlack

ROOM = "C0PAYROLL"


def answer_of(call: Any, **args: Any) -> Any:
    with pytest.raises(SlackApiError) as caught:
        call(**args)
    return caught.value.response


def test_a_channel_takes_a_short_burst_of_messages(slack: LocalSlack, web: WebClient) -> None:
    for n in range(4):
        web.chat_postMessage(channel=ROOM, text=str(n))
    refused = answer_of(web.chat_postMessage, channel=ROOM, text="4")
    assert (refused.status_code, refused["error"], refused.headers["Retry-After"]) == (
        429,
        "ratelimited",
        "1",
    )
    assert web.chat_postMessage(channel="C0OPEN", text="another channel has its own")["ok"]
    slack.advance_clock(1)
    assert web.chat_postMessage(channel=ROOM, text="4")["ok"]


def test_fifty_edits_a_minute_and_no_more(slack: LocalSlack, web: WebClient) -> None:
    ts = web.chat_postMessage(channel=ROOM, text="0")["ts"]
    for n in range(50):
        web.chat_update(channel=ROOM, ts=ts, text=str(n))
    refused = answer_of(web.chat_update, channel=ROOM, ts=ts, text="51")
    assert refused.status_code == 429 and 50 <= int(refused.headers["Retry-After"]) <= 60
    slack.advance_clock(60)
    assert web.chat_update(channel=ROOM, ts=ts, text="51")["ok"]


def test_rate_limits_can_be_scaled_and_turned_off(slack: LocalSlack, web: WebClient) -> None:
    slack.rate_limits(scale=0.1)
    assert [web.pins_list(channel=ROOM)["ok"] for _ in range(2)] == [True, True]
    assert answer_of(web.pins_list, channel=ROOM).status_code == 429
    slack.rate_limits(enabled=False)
    assert all(web.pins_list(channel=ROOM)["ok"] for _ in range(30))


def test_a_fault_hits_only_what_it_matches_and_only_so_often(slack: LocalSlack, web: WebClient) -> None:
    slack.fault("chat.postMessage", error="channel_not_found", match={"channel": ROOM})
    assert web.chat_postMessage(channel="C0OPEN", text="a")["ok"]
    assert answer_of(web.chat_postMessage, channel=ROOM, text="a")["error"] == "channel_not_found"
    assert web.chat_postMessage(channel=ROOM, text="a")["ok"]
    slack.fault("*", status=429, retry_after=7, times=None)
    assert answer_of(web.auth_test).headers["Retry-After"] == "7"
    assert answer_of(web.users_info, user="U0ANA").status_code == 429
    slack.clear_faults()
    assert web.auth_test()["ok"]


def test_a_server_error_stores_nothing(slack: LocalSlack, web: WebClient) -> None:
    slack.fault("chat.postMessage", status=500)
    assert answer_of(web.chat_postMessage, channel=ROOM, text="a").status_code == 500
    assert slack.user("U0ANA").messages(ROOM) == []


def test_a_dropped_connection_may_have_stored_the_message(slack: LocalSlack, web: WebClient) -> None:
    slack.fault("chat.postMessage", accept_then_drop=True)
    with pytest.raises(OSError):
        web.chat_postMessage(channel=ROOM, text="a")
    assert [m.text for m in slack.user("U0ANA").messages(ROOM)] == ["a"]
    (call,) = slack.calls("chat.postMessage")
    assert (call.status, call.response["ok"]) == (0, True)


def test_the_sdks_default_retry_posts_twice(slack: LocalSlack) -> None:
    slack.fault("chat.postMessage", accept_then_drop=True)
    WebClient(token=slack.bot_token, base_url=slack.api_url).chat_postMessage(channel=ROOM, text="a")
    assert [m.text for m in slack.user("U0ANA").messages(ROOM)] == ["a", "a"]


def test_a_call_can_take_its_time(slack: LocalSlack, web: WebClient) -> None:
    slack.fault("auth.test", delay=0.2)
    web.auth_test()
    assert slack.calls("auth.test")[-1].seconds >= 0.2


def test_calls_are_written_down(slack: LocalSlack, web: WebClient) -> None:
    web.chat_postMessage(channel=ROOM, text="a")
    web.pins_list(channel=ROOM)
    first, second = slack.calls()
    assert (first.method, second.method) == ("chat.postMessage", "pins.list")
    assert first.args == {"channel": ROOM, "text": "a"} and first.user_or_token == slack.bot_token
    assert first.seq < second.seq and second.status == 200 and second.response["ok"]


def test_waiting_ends_as_soon_as_it_happens(slack: LocalSlack, web: WebClient) -> None:
    started = time.monotonic()
    poster = threading.Timer(0.1, lambda: web.chat_postMessage(channel=ROOM, text="a"))
    poster.start()
    found = slack.wait_for(lambda: slack.user("U0ANA").messages(ROOM))
    assert found[0].text == "a" and time.monotonic() - started < 0.9
    poster.join()


def test_waiting_in_vain_tells_what_there_was(slack: LocalSlack, web: WebClient) -> None:
    web.chat_postMessage(channel=ROOM, text="Something else")
    with pytest.raises(AssertionError, match=r"(?s)U0BOT: Something else.*chat\.postMessage 200 ok"):
        slack.wait_for(lambda: None, timeout=0.1)


def test_arguments_may_come_as_json_form_or_query(slack: LocalSlack) -> None:
    http = httpx.Client(
        base_url=slack.api_url, headers={"Authorization": f"Bearer {slack.bot_token}"}, trust_env=False
    )
    blocks = '[{"type":"divider"}]'
    assert http.post("chat.postMessage", data={"channel": ROOM, "blocks": blocks}).json()["ok"]
    assert http.post("chat.postMessage", params={"channel": ROOM, "text": "a"}).json()["ok"]
    assert http.post("chat.postMessage", json={"channel": ROOM, "text": "a"}).json()["ok"]
    assert http.post("chat.postMessage", data={"channel": ROOM, "blocks": "["}).json()["error"] == (
        "invalid_blocks_format"
    )
    assert http.get("conversations.info", params={"channel": ROOM}).json()["ok"]
    broken = http.post("chat.postMessage", content="{", headers={"Content-Type": "application/json"})
    assert broken.json()["error"] == "invalid_json"

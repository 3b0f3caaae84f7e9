"""Calls that happen after the client gave up, and what is refused for good: edits, posts, pins, answers and
whole conversations that the bot has no part in."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from dev.local_slack.client import LocalSlack
from dev.local_slack.documented_errors import COMMON_ERRORS, DOCUMENTED_ERRORS
from dev.local_slack.results import Call, NotPossible

from .office import Office

ROOM = "C0PAYROLL"
LONG = 600.0


@pytest.fixture
def hasty(slack: LocalSlack) -> WebClient:
    """Gives up after a second, and repeats nothing."""
    return WebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[], timeout=1)


@pytest.fixture
def posted(web: WebClient) -> str:
    return str(web.chat_postMessage(channel=ROOM, text="0 %")["ts"])


@pytest.fixture
def raw(slack: LocalSlack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    with httpx.Client(base_url=slack.api_url, headers=headers, trust_env=False) as client:
        yield client


def texts(slack: LocalSlack, channel: str = ROOM) -> list[str]:
    return [message.text for message in slack.user("U0ANA").messages(channel)]


def error_of(call: Any, **args: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**args)
    return str(caught.value.response["error"])


def happened(slack: LocalSlack, method: str) -> Call:
    """The newest call of this method, once it was carried out."""

    def look() -> Call | None:
        call = slack.calls(method)[-1]
        return call if call.applied_at is not None else None

    return slack.wait_for(look)


# ------------------------------------------------------------------------------------------------------- late


def test_an_edit_is_applied_though_its_client_has_gone(
    slack: LocalSlack, hasty: WebClient, posted: str
) -> None:
    slack.fault("chat.update", applied_after=1.5, hang=True, match={"channel": ROOM})
    with pytest.raises(TimeoutError):
        hasty.chat_update(channel=ROOM, ts=posted, text="50 %")
    assert texts(slack) == ["0 %"]
    call = happened(slack, "chat.update")
    assert texts(slack) == ["50 %"]
    assert (call.status, call.held) == (0, True) and call.outcome is not None and call.outcome["ok"]
    assert call.applied_at is not None and call.applied_at - call.at >= 1.5


def test_edits_that_arrive_meanwhile_are_applied_at_once_and_the_late_one_over_them(
    slack: LocalSlack, hasty: WebClient, web: WebClient, posted: str
) -> None:
    slack.fault("chat.update", applied_after=LONG, hang=True)
    with pytest.raises(TimeoutError):
        hasty.chat_update(channel=ROOM, ts=posted, text="50 %")
    web.chat_update(channel=ROOM, ts=posted, text="done")
    assert texts(slack) == ["done"]
    assert [call.args["text"] for call in slack.held_calls()] == ["50 %"]
    assert slack.apply_held() == 1
    assert texts(slack) == ["50 %"]
    assert slack.held_calls() == []
    web.chat_update(channel=ROOM, ts=posted, text="done")
    assert texts(slack) == ["done"]


def test_held_calls_are_let_go_in_the_order_of_their_arrival(
    slack: LocalSlack, hasty: WebClient, posted: str
) -> None:
    slack.fault("chat.update", applied_after=LONG, accept_then_drop=True, times=3)
    for text in ("1", "2", "3"):
        with pytest.raises(OSError):
            hasty.chat_update(channel=ROOM, ts=posted, text=text)
    assert slack.apply_held() == 3
    assert texts(slack) == ["3"]
    times = [call.applied_at or 0 for call in slack.calls("chat.update")]
    assert times == sorted(times)


def test_an_edit_is_answered_with_an_error_at_once_and_applied_all_the_same(
    slack: LocalSlack, web: WebClient, posted: str
) -> None:
    slack.fault("chat.update", applied_after=LONG, status=500)
    with pytest.raises(SlackApiError) as caught:
        web.chat_update(channel=ROOM, ts=posted, text="50 %")
    assert caught.value.response.status_code == 500
    slack.fault("chat.update", applied_after=LONG, error="fatal_error")
    assert error_of(web.chat_update, channel=ROOM, ts=posted, text="60 %") == "fatal_error"
    assert texts(slack) == ["0 %"]
    slack.apply_held()
    assert texts(slack) == ["60 %"]
    first, second = slack.calls("chat.update")
    assert (first.status, first.response["error"]) == (500, "internal_error")
    assert (second.status, second.response["error"]) == (200, "fatal_error")


def test_a_late_edit_is_answered_where_its_client_waited(
    slack: LocalSlack, web: WebClient, posted: str
) -> None:
    slack.fault("chat.update", applied_after=0.3)
    began = time.monotonic()
    assert web.chat_update(channel=ROOM, ts=posted, text="50 %")["text"] == "50 %"
    assert time.monotonic() - began >= 0.3
    assert slack.calls("chat.update")[-1].status == 200


def test_posts_and_pins_happen_late_too(slack: LocalSlack, hasty: WebClient, posted: str) -> None:
    slack.fault("chat.postMessage", applied_after=LONG, hang=True)
    slack.fault("pins.add", applied_after=LONG, accept_then_drop=True)
    with pytest.raises(TimeoutError):
        hasty.chat_postMessage(channel=ROOM, text="Late")
    with pytest.raises(OSError):
        hasty.pins_add(channel=ROOM, timestamp=posted)
    assert texts(slack) == ["0 %"] and slack.pins(ROOM) == []
    slack.apply_held()
    assert texts(slack) == ["0 %", "Late"]
    assert [pin.ts for pin in slack.pins(ROOM)] == [posted]


def test_a_late_edit_of_a_message_that_was_deleted_meanwhile_comes_to_nothing(
    slack: LocalSlack, web: WebClient, posted: str
) -> None:
    slack.fault("chat.update", applied_after=LONG, status=500)
    with pytest.raises(SlackApiError):
        web.chat_update(channel=ROOM, ts=posted, text="50 %")
    slack.delete_message(ROOM, posted)
    slack.apply_held()
    assert slack.calls("chat.update")[-1].outcome == {"ok": False, "error": "message_not_found"}
    assert texts(slack) == []


def test_what_is_refused_at_the_door_is_not_held(slack: LocalSlack, web: WebClient, posted: str) -> None:
    slack.fault("chat.update", applied_after=LONG, hang=True)
    slack.revoke_token()
    assert error_of(web.chat_update, channel=ROOM, ts=posted, text="50 %") == "token_revoked"
    assert slack.held_calls() == []


def test_a_call_hangs_until_its_client_leaves_though_it_was_carried_out(
    slack: LocalSlack, hasty: WebClient
) -> None:
    slack.fault("chat.postMessage", hang=True)
    with pytest.raises(TimeoutError):
        hasty.chat_postMessage(channel=ROOM, text="Arrived")
    assert texts(slack) == ["Arrived"]
    assert slack.calls("chat.postMessage")[-1].status == 0
    with pytest.raises(NotPossible, match="either hangs or is dropped"):
        slack.fault("chat.postMessage", hang=True, accept_then_drop=True)


def test_a_held_call_says_so_in_a_report_of_what_went_wrong(
    slack: LocalSlack, web: WebClient, posted: str
) -> None:
    slack.fault("chat.update", applied_after=LONG, status=500)
    with pytest.raises(SlackApiError):
        web.chat_update(channel=ROOM, ts=posted, text="50 %")
    with pytest.raises(AssertionError, match=re.escape("chat.update 500 internal_error, held")):
        slack.wait_for(lambda: None, timeout=0.1)


# ------------------------------------------------------------------------------------------- refused for good


@pytest.mark.parametrize("error", ["edit_window_closed", "cant_update_message", "msg_too_long"])
def test_the_edits_of_one_message_are_refused_for_good(
    slack: LocalSlack, web: WebClient, posted: str, error: str
) -> None:
    other = str(web.chat_postMessage(channel=ROOM, text="Other")["ts"])
    slack.fault("chat.update", error=error, times=None, match={"channel": ROOM, "ts": posted})
    for _ in range(3):
        assert error_of(web.chat_update, channel=ROOM, ts=posted, text="50 %") == error
    web.chat_update(channel=ROOM, ts=other, text="Edited")
    assert texts(slack) == ["0 %", "Edited"]


@pytest.mark.parametrize("method", list(DOCUMENTED_ERRORS))
def test_any_error_of_a_method_is_answered_in_one_channel_until_it_is_taken_away(
    slack: LocalSlack, raw: httpx.Client, posted: str, method: str
) -> None:
    errors = [*DOCUMENTED_ERRORS[method], "an_error_that_slack_will_add"]
    args = {"channel": ROOM, "text": "x", "ts": posted, "timestamp": posted}
    slack.rate_limits(enabled=False)
    for error in errors:
        fault = slack.fault(method, error=error, times=None, match={"channel": ROOM})
        for sent in ({"json": args}, {"data": args}, {"params": args}):
            assert raw.post(method, **sent).json() == {"ok": False, "error": error}  # type: ignore[arg-type]
        assert slack.remove_fault(fault) and slack.faults() == []
    assert not slack.remove_fault(99)


def test_every_documented_list_has_the_common_errors_and_none_twice() -> None:
    for names in DOCUMENTED_ERRORS.values():
        assert list(names) == sorted(set(names))
        assert set(COMMON_ERRORS) < set(names)


def test_a_fault_knows_a_channel_by_its_name_and_a_message_by_whatever_a_method_calls_it(
    slack: LocalSlack, web: WebClient, posted: str
) -> None:
    slack.fault("*", error="restricted_action", times=None, match={"channel": "payroll"})
    assert error_of(web.chat_postMessage, channel="#payroll", text="x") == "restricted_action"
    assert error_of(web.pins_add, channel=ROOM, timestamp=posted) == "restricted_action"
    slack.clear_faults()
    slack.fault("*", error="fatal_error", times=None, match={"ts": posted})
    assert error_of(web.pins_add, channel=ROOM, timestamp=posted) == "fatal_error"
    assert error_of(web.chat_getPermalink, channel=ROOM, message_ts=posted) == "fatal_error"
    assert error_of(web.chat_update, channel=ROOM, ts=posted, text="x") == "fatal_error"
    web.chat_postMessage(channel=ROOM, text="x")
    slack.clear_faults()
    slack.fault("chat.postMessage", error="messages_tab_disabled", times=None, match={"channel": "U0ANA"})
    assert error_of(web.chat_postMessage, channel="U0ANA", text="x") == "messages_tab_disabled"
    assert error_of(web.chat_postMessage, channel="D0ANA", text="x") == "messages_tab_disabled"
    assert web.chat_postMessage(channel="U0BOB", text="x")["ok"]


def test_replies_in_a_thread_can_be_refused_where_posts_are_not(
    slack: LocalSlack, web: WebClient, posted: str
) -> None:
    locked = "restricted_action_thread_locked"
    slack.fault("chat.postMessage", error=locked, times=None, match={"channel": ROOM, "thread_ts": posted})
    assert error_of(web.chat_postMessage, channel=ROOM, text="x", thread_ts=posted) == locked
    assert web.chat_postMessage(channel=ROOM, text="x")["ok"]


def test_faults_are_listed_with_what_is_left_of_them(slack: LocalSlack, web: WebClient) -> None:
    often = slack.fault("auth.test", error="fatal_error", times=3)
    always = slack.fault("pins.add", error="too_many_pins", times=None, match={"channel": ROOM})
    error_of(web.auth_test)
    assert [(fault["id"], fault["method"], fault["times"]) for fault in slack.faults()] == [
        (often, "auth.test", 2),
        (always, "pins.add", None),
    ]


# ---------------------------------------------------------------------------------------------- response_urls


def respond_to(office: Office, user: str, room: str) -> str:
    """A fresh response_url of this person."""
    office.slack.user(user).command("/copy-liquidation 42", channel=room)
    return str(office.payload("/copy-liquidation")["response_url"])


def use(url: str, text: str = "Said") -> httpx.Response:
    return httpx.post(url, json={"text": text}, trust_env=False)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ({"status": 401}, "invalid_auth"),
        ({"status": 404}, "expired_url"),
        ({"status": 404, "error": "used_url"}, "used_url"),
        ({"status": 429, "retry_after": 7}, "ratelimited"),
        ({"status": 500}, "internal_error"),
    ],
)
def test_a_response_url_is_refused_and_nothing_is_shown(
    office: Office, room: str, refusal: dict[str, Any], error: str
) -> None:
    url = respond_to(office, "U0ANA", room)
    office.slack.refuse_response_urls(**refusal, times=2)
    for _ in range(2):
        answer = use(url, "Lost")
        assert (answer.status_code, answer.json()["error"]) == (refusal["status"], error)
        assert answer.headers.get("Retry-After") == ("7" if refusal["status"] == 429 else None)
    assert office.slack.calls("response_url")[-1].response["error"] == error
    uses = [use(url).status_code for _ in range(6)]
    assert uses == [200] * 5 + [404]  # those that were refused didn't count
    assert "Lost" not in [message.text for message in office.ana.messages(room)]


def test_response_urls_are_refused_to_one_user_for_ever_and_to_others_not(office: Office, room: str) -> None:
    anas, bobs = respond_to(office, "U0ANA", room), respond_to(office, "U0BOB", room)
    office.slack.refuse_response_urls(404, error="used_url", user="U0ANA")
    assert [use(anas).status_code for _ in range(3)] == [404] * 3
    assert use(bobs).status_code == 200
    office.slack.clear_faults()
    assert use(anas).status_code == 200


def test_a_response_is_shown_late_or_its_answer_is_lost(office: Office, room: str) -> None:
    url = respond_to(office, "U0ANA", room)
    office.slack.fault("response_url", applied_after=LONG, status=500)
    office.slack.fault("response_url", accept_then_drop=True)
    assert use(url, "Late").status_code == 500
    with pytest.raises(httpx.TransportError):
        use(url, "Unanswered")
    assert office.ana.messages(room)[-1].text == "Unanswered"
    office.slack.apply_held()
    assert office.ana.messages(room)[-1].text == "Late"


def test_a_fault_of_every_method_leaves_response_urls_alone(office: Office, room: str) -> None:
    url = respond_to(office, "U0ANA", room)
    office.slack.fault("*", status=500, times=None)
    assert use(url).status_code == 200


# -------------------------------------------------------------------------- where the bot has no part at all


@pytest.mark.parametrize("other", ["U0BOB", "U0ANA"])
def test_a_command_in_a_conversation_of_people_names_a_channel_that_the_bot_can_never_reach(
    office: Office, other: str
) -> None:
    channel = office.ana.dm_with(other)
    done = office.ana.command("/copy-liquidation 42", channel=channel)
    assert done.acked and office.ana.messages(channel)[-1].text == "Copying 42"
    body = office.payload("/copy-liquidation")
    assert (body["channel_id"], body["channel_name"]) == (channel, "directmessage")
    assert channel.startswith("D") and channel not in ("D0ANA", "D0BOB")
    web = office.app.client
    ts = office.ana.say(channel, "Between us")
    for call, args in [
        (web.chat_postMessage, {"text": "x"}),
        (web.chat_postEphemeral, {"text": "x", "user": "U0ANA"}),
        (web.chat_update, {"ts": ts, "text": "x"}),
        (web.chat_delete, {"ts": ts}),
        (web.chat_getPermalink, {"message_ts": ts}),
        (web.pins_add, {"timestamp": ts}),
        (web.pins_remove, {"timestamp": ts}),
        (web.pins_list, {}),
        (web.conversations_info, {}),
        (web.conversations_members, {}),
        (web.conversations_history, {}),
        (web.conversations_replies, {"ts": ts}),
        (web.conversations_open, {}),
    ]:
        assert error_of(call, channel=channel, **args) == "channel_not_found"
    before = office.slack.set_scopes([*office.slack.ask("info")["scopes"], "im:read", "channels:join"])
    assert error_of(web.conversations_join, channel=channel) == "channel_not_found"
    known = [each["id"] for each in web.conversations_list(types="im")["channels"]]
    office.slack.set_scopes(before)
    assert channel not in known
    assert use(str(body["response_url"]), "Only this way").status_code == 200
    assert office.ana.messages(channel)[-1].text == "Only this way"


def test_a_conversation_of_two_is_one_for_both_and_closed_to_others(office: Office) -> None:
    channel = office.ana.dm_with("U0BOB")
    assert office.bob.dm_with("U0ANA") == channel
    heard = len(office.slack.envelopes())
    office.bob.say(channel, "Psst")
    assert office.ana.messages(channel)[-1].text == "Psst"
    assert len(office.slack.envelopes()) == heard
    with pytest.raises(NotPossible):
        office.slack.user("U0CARLA").messages(channel)
    assert office.ana.dm_with("U0BOT") == office.ana.dm


def test_other_clients_are_served_while_a_call_hangs(
    slack: LocalSlack, hasty: WebClient, web: WebClient
) -> None:
    slack.fault("auth.test", hang=True)
    gave_up = threading.Event()

    def wait() -> None:
        with pytest.raises(TimeoutError):
            hasty.auth_test()
        gave_up.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    slack.wait_for(lambda: slack.calls("auth.test"))
    assert web.chat_postMessage(channel=ROOM, text="Meanwhile")["ok"]
    waiting.join()
    assert gave_up.is_set()

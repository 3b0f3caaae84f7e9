"""Under the hood: each fault that a person can set there, once, by its button, and what it does to a bot."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Locator, expect
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from tests.local_slack.office import Office

from .conftest import OpenDesk
from .desk import Desk

Opened = tuple[Desk, Locator]


@pytest.fixture
def drawer(office: Office, room: str, open_desk: OpenDesk) -> Opened:
    """Bob's window with the faults before him."""
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.press("Under the hood")
    hood = bob.page.get_by_role("region", name="Under the hood")
    hood.get_by_role("tab", name="Faults").click()
    return bob, hood


def set_fault(drawer: Opened, what: str, value: str = "", times: int = 1) -> None:
    """For `chat.postMessage`; returns as soon as the list has it."""
    desk, hood = drawer
    hood.get_by_label("Method").fill("chat.postMessage")
    hood.get_by_label("What goes wrong").select_option(label=what)
    hood.get_by_label("Error, or seconds").fill(value)
    hood.get_by_label("Times").fill(str(times))
    desk.press("Set the fault", hood)
    expect(hood.get_by_role("listitem")).to_contain_text("chat.postMessage")


def web_of(office: Office) -> WebClient:
    """Repeats nothing by itself."""
    return WebClient(token=office.slack.bot_token, base_url=office.slack.api_url, retry_handlers=[])


def refused(office: Office, room: str) -> SlackApiError:
    with pytest.raises(SlackApiError) as caught:
        web_of(office).chat_postMessage(channel=room, text="Lost")
    return caught.value


def test_too_many_calls_are_refused_with_the_seconds_to_wait(
    office: Office, room: str, drawer: Opened
) -> None:
    set_fault(drawer, "too many calls (429)", "7", times=2)
    for _ in range(2):
        answer = refused(office, room).response
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    expect(drawer[1].get_by_role("listitem")).to_have_count(0)
    web_of(office).chat_postMessage(channel=room, text="Taken")
    expect(drawer[0].row("Taken")).to_be_visible()


def test_a_call_fails_with_a_500_and_nothing_happens(office: Office, room: str, drawer: Opened) -> None:
    set_fault(drawer, "fails (500)")
    assert refused(office, room).response.status_code == 500
    assert office.bob.messages(room) == []


def test_a_call_happens_though_its_answer_is_lost(office: Office, room: str, drawer: Opened) -> None:
    set_fault(drawer, "happens, but the answer is lost")
    with pytest.raises(OSError):
        web_of(office).chat_postMessage(channel=room, text="Arrived")
    expect(drawer[0].row("Arrived")).to_be_visible()


def test_a_call_takes_as_long_as_was_set(office: Office, room: str, drawer: Opened) -> None:
    set_fault(drawer, "takes long", "1")
    began = time.monotonic()
    web_of(office).chat_postMessage(channel=room, text="Late")
    assert time.monotonic() - began >= 1


def test_all_faults_are_cleared_at_once(office: Office, room: str, drawer: Opened) -> None:
    set_fault(drawer, "answers an error", "fatal_error", times=9)
    drawer[0].press("Clear all faults", drawer[1])
    expect(drawer[1].get_by_role("listitem")).to_have_count(0)
    web_of(office).chat_postMessage(channel=room, text="Taken")


@pytest.mark.parametrize("button", ["Cut the sockets", "Ask the sockets to reconnect"])
def test_the_bot_loses_its_socket_and_comes_back(
    office: Office, room: str, drawer: Opened, button: str
) -> None:
    opened = len(office.slack.calls("apps.connections.open"))
    drawer[0].press(button, drawer[1])
    office.slack.wait_for(lambda: len(office.slack.calls("apps.connections.open")) > opened, timeout=60)
    office.slack.wait_connected()
    drawer[0].say("/copy-liquidation 42")
    expect(drawer[0].row("Copying 42")).to_be_visible()


def test_the_next_envelope_comes_twice_and_the_one_after_it_once(
    office: Office, room: str, drawer: Opened
) -> None:
    desk, hood = drawer
    desk.press("Deliver the next envelope twice", hood)
    expect(hood.get_by_role("listitem")).to_have_text("next envelope: twice")
    hood.get_by_role("tab", name="Socket Mode").click()
    for text in ("1", "2"):
        desk.say(f"/copy-liquidation {text}")
        expect(desk.row(f"Copying {text}")).to_be_visible()
    expect(hood.locator("summary", has_text="/copy-liquidation 1")).to_contain_text("×2")
    expect(hood.locator("summary", has_text="/copy-liquidation 2")).not_to_contain_text("×")


def test_a_revoked_token_is_good_for_nothing_until_it_is_restored(
    office: Office, room: str, drawer: Opened
) -> None:
    desk, hood = drawer
    desk.press("Revoke the token", hood)
    expect(hood.get_by_role("listitem")).to_have_text("token: token_revoked")
    assert refused(office, room).response["error"] == "token_revoked"
    desk.press("Restore the token", hood)
    expect(hood.get_by_role("listitem")).to_have_count(0)
    web_of(office).chat_postMessage(channel=room, text="Taken")


def test_the_newest_pinned_message_is_unpinned_or_deleted(office: Office, room: str, drawer: Opened) -> None:
    desk, hood = drawer
    web = web_of(office)
    older, newer = (str(web.chat_postMessage(channel=room, text=text)["ts"]) for text in ("Older", "Newer"))
    for ts in (older, newer):
        web.pins_add(channel=room, timestamp=ts)
    expect(desk.page.get_by_role("button", name="2 pinned messages")).to_be_visible()
    desk.press("Unpin the newest pinned message", hood)
    expect(desk.page.get_by_role("button", name="1 pinned message")).to_be_visible()
    assert [pin.ts for pin in office.slack.pins(room)] == [older]
    desk.press("Delete the newest pinned message", hood)
    expect(desk.row("Older")).to_have_count(0)
    expect(desk.row("Newer")).to_be_visible()
    with pytest.raises(SlackApiError, match="message_not_found"):
        web.chat_update(channel=room, ts=older, text="Gone")


def test_the_clock_is_moved_on_and_what_was_yesterday_says_so(
    office: Office, room: str, drawer: Opened
) -> None:
    desk, hood = drawer
    before = float(office.slack.ask("info")["now"])
    web_of(office).chat_postMessage(channel=room, text="Before")
    hood.get_by_label("Seconds", exact=True).fill("86400")
    desk.press("Move the clock on", hood)
    office.slack.wait_for(lambda: float(office.slack.ask("info")["now"]) >= before + 86_400)
    web_of(office).chat_postMessage(channel=room, text="After")
    expect(desk.row("After")).to_have_attribute("data-day", "Today")
    desk.page.reload()
    expect(desk.row("Before")).to_have_attribute("data-day", "Yesterday")

"""Under the hood: each fault that a person can set there, once, by its button, and what it does to a bot."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, expect
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from dev.local_slack.documented_errors import COMMON_ERRORS, DOCUMENTED_ERRORS
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


def form_of(drawer: Opened, name: str = "Faults of methods") -> Locator:
    return drawer[1].get_by_role("form", name=name)


def set_fault(
    drawer: Opened,
    what: str,
    *,
    method: str = "chat.postMessage",
    error: str | None = None,
    other: str = "",
    seconds: float | None = None,
    times: int | None = 1,
    where: str = "everywhere",
    message: str = "every message",
) -> Locator:
    """The row that the list of faults has of it."""
    desk, hood = drawer
    form = form_of(drawer)
    before = hood.get_by_role("listitem").count()
    form.get_by_role("combobox", name="Method", exact=True).fill(method)
    form.get_by_role("combobox", name="What goes wrong", exact=True).select_option(label=what)
    if error is not None:
        form.get_by_role("combobox", name="Error", exact=True).select_option(error)
    if what == "answers an error":
        form.get_by_role("textbox", name="Any other error", exact=True).fill(other)
    if seconds is not None:
        form.get_by_role("spinbutton", name="For how many seconds", exact=True).fill(str(seconds))
    form.get_by_role("combobox", name="Where", exact=True).select_option(label=where)
    form.get_by_role("combobox", name="Which message", exact=True).select_option(label=message)
    form.get_by_role("checkbox", name="for ever", exact=True).set_checked(times is None)
    if times is not None:
        form.get_by_role("spinbutton", name="Times", exact=True).fill(str(times))
    desk.press("Set the fault", form)
    expect(hood.get_by_role("listitem")).to_have_count(before + 1)
    row = hood.get_by_role("listitem").last
    expect(row).to_contain_text(method)
    return row


def web_of(office: Office) -> WebClient:
    """Repeats nothing by itself."""
    return WebClient(token=office.slack.bot_token, base_url=office.slack.api_url, retry_handlers=[])


def hasty_of(office: Office) -> WebClient:
    """Gives up after a second."""
    return WebClient(
        token=office.slack.bot_token, base_url=office.slack.api_url, retry_handlers=[], timeout=1
    )


def refused(office: Office, room: str) -> SlackApiError:
    with pytest.raises(SlackApiError) as caught:
        web_of(office).chat_postMessage(channel=room, text="Lost")
    return caught.value


def test_too_many_calls_are_refused_with_the_seconds_to_wait(
    office: Office, room: str, drawer: Opened
) -> None:
    set_fault(drawer, "too many calls (429)", seconds=7, times=2)
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
    set_fault(drawer, "takes long", seconds=1)
    began = time.monotonic()
    web_of(office).chat_postMessage(channel=room, text="Late")
    assert time.monotonic() - began >= 1


def test_all_faults_are_cleared_at_once(office: Office, room: str, drawer: Opened) -> None:
    set_fault(drawer, "answers an error", error="fatal_error", times=9)
    drawer[0].press("Clear all faults", drawer[1])
    expect(drawer[1].get_by_role("listitem")).to_have_count(0)
    web_of(office).chat_postMessage(channel=room, text="Taken")


def test_a_call_happens_late_or_is_never_answered_and_what_came_meanwhile_is_overwritten(
    office: Office, room: str, drawer: Opened, pictures: Path
) -> None:
    desk, hood = drawer
    ts = str(web_of(office).chat_postMessage(channel=room, text="0 %")["ts"])
    set_fault(drawer, "is never answered, and happens late", method="chat.update", seconds=600)
    with pytest.raises(TimeoutError):
        hasty_of(office).chat_update(channel=room, ts=ts, text="50 %")
    row = set_fault(drawer, "fails (500), but happens late", method="pins.add", seconds=600, times=2)
    expect(row).to_contain_text("pins.add: 500, happens after 600 s, 2 times")
    with pytest.raises(SlackApiError):
        web_of(office).pins_add(channel=room, timestamp=ts)
    web_of(office).chat_update(channel=room, ts=ts, text="Done")
    expect(desk.row("Done")).to_be_visible()
    desk.shoot(pictures, "drawer-faults")
    hood.get_by_role("tab", name="Web API calls").click()
    expect(hood.locator("summary", has_text="0 no answer, to happen")).to_be_visible()
    hood.get_by_role("tab", name="Faults").click()
    desk.press("Let happen what is late", hood)
    expect(desk.row("50 %")).to_be_visible()
    expect(desk.page.get_by_role("button", name="1 pinned message")).to_be_visible()
    hood.get_by_role("tab", name="Web API calls").click()
    expect(hood.locator("summary", has_text="happened +")).to_have_count(2)


def test_a_call_that_is_carried_out_is_never_answered(office: Office, room: str, drawer: Opened) -> None:
    set_fault(drawer, "happens, but is never answered")
    with pytest.raises(TimeoutError):
        hasty_of(office).chat_postMessage(channel=room, text="Arrived")
    expect(drawer[0].row("Arrived")).to_be_visible()


def test_an_error_of_a_method_is_answered_in_one_channel_until_the_fault_is_removed(
    office: Office, room: str, drawer: Opened
) -> None:
    desk, hood = drawer
    web, here = web_of(office), f"# {room.lower()}"
    kept = set_fault(drawer, "answers an error", method="pins.remove", error="not_pinned", times=None)
    row = set_fault(drawer, "answers an error", error="ekm_access_denied", times=None, where=here)
    expect(row).to_contain_text(f"chat.postMessage: in #{room.lower()}, ekm_access_denied, for ever")
    for _ in range(2):
        assert refused(office, room).response["error"] == "ekm_access_denied"
    assert web.chat_postMessage(channel="C0PAYROLL", text="Elsewhere")["ok"]
    desk.press("Remove this fault", row)
    expect(hood.get_by_role("listitem")).to_have_count(1)
    expect(kept).to_contain_text("pins.remove: not_pinned, for ever")
    assert web.chat_postMessage(channel=room, text="Taken")["ok"]


def test_the_errors_offered_are_those_of_the_method_and_any_other_can_be_written(
    office: Office, room: str, drawer: Opened
) -> None:
    form = form_of(drawer)
    offered = form.get_by_role("combobox", name="Error", exact=True)
    for method in ("chat.postMessage", "pins.add"):
        form.get_by_role("combobox", name="Method", exact=True).fill(method)
        found = offered.locator("option").all_text_contents()
        assert sorted(set(found)) == list(DOCUMENTED_ERRORS[method])
    form.get_by_role("combobox", name="Method", exact=True).fill("users.info")
    assert offered.locator("option").all_text_contents() == list(COMMON_ERRORS)
    set_fault(drawer, "answers an error", other="an_error_of_next_year")
    assert refused(office, room).response["error"] == "an_error_of_next_year"


@pytest.mark.parametrize("error", ["edit_window_closed", "cant_update_message", "msg_too_long"])
def test_the_edits_of_the_newest_pinned_message_are_refused_for_good(
    office: Office, room: str, drawer: Opened, error: str
) -> None:
    web = web_of(office)
    card, other = (str(web.chat_postMessage(channel=room, text=text)["ts"]) for text in ("Card", "Other"))
    web.pins_add(channel=room, timestamp=card)
    expect(drawer[0].page.get_by_role("button", name="1 pinned message")).to_be_visible()
    set_fault(
        drawer,
        "answers an error",
        method="chat.update",
        error=error,
        times=None,
        message="the newest one pinned here",
    )
    for _ in range(2):
        with pytest.raises(SlackApiError, match=error):
            web.chat_update(channel=room, ts=card, text="Changed")
    web.chat_update(channel=room, ts=other, text="Edited")
    expect(drawer[0].row("Edited")).to_be_visible()
    expect(drawer[0].row("Card")).to_be_visible()


def test_the_response_urls_of_one_person_are_refused_as_often_as_was_set(
    office: Office, room: str, drawer: Opened
) -> None:
    desk, hood = drawer
    form = form_of(drawer, "Faults of response URLs")
    form.get_by_role("combobox", name="A response_url answers", exact=True).select_option("404 used_url")
    form.get_by_role("combobox", name="Whose", exact=True).select_option(label="Bob Brown")
    form.get_by_role("spinbutton", name="Times", exact=True).fill("2")
    desk.press("Refuse response URLs", form)
    expect(hood.get_by_role("listitem")).to_contain_text("response_url: of Bob Brown, 404, used_url, 2 times")
    urls = []
    for person in (office.bob, office.ana):
        person.command("/copy-liquidation 42", channel=room)
        urls.append(str(office.payload("/copy-liquidation")["response_url"]))
    answers = [httpx.post(urls[0], json={"text": "Said"}, trust_env=False) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 200]
    assert answers[0].json()["error"] == "used_url"
    assert httpx.post(urls[1], json={"text": "Said"}, trust_env=False).status_code == 200
    expect(hood.get_by_role("listitem")).to_have_count(0)


def test_a_command_is_typed_in_a_conversation_with_a_colleague_and_in_ones_own(
    office: Office, room: str, open_desk: OpenDesk, pictures: Path
) -> None:
    ana = open_desk(office.slack.url, "U0ANA", room)
    people = ana.page.get_by_role("navigation", name="Mensajes directos")
    for name, other in [("Bob Brown", "U0BOB"), ("Ana Álvarez (usted)", "U0ANA")]:
        people.get_by_role("link", name=name).click()
        expect(ana.page.get_by_role("heading", name=name)).to_be_visible()
        ana.say("/copy-liquidation 42")
        expect(ana.row("Copying 42")).to_be_visible()
        body = office.payload("/copy-liquidation")
        assert (body["channel_id"], body["channel_name"]) == (office.ana.dm_with(other), "directmessage")
        with pytest.raises(SlackApiError, match="channel_not_found"):
            web_of(office).chat_postMessage(channel=body["channel_id"], text="Nobody reads this")
        ana.say(f"A word to {other}")
        expect(ana.row(f"A word to {other}")).to_be_visible()
        ana.shoot(pictures, f"people-{other}")
    bob = open_desk(office.slack.url, "U0BOB", office.bob.dm_with("U0ANA"))
    expect(bob.page.get_by_role("heading", name="Ana Álvarez")).to_be_visible()
    expect(bob.row("A word to U0BOB")).to_be_visible()
    expect(bob.row("Copying 42")).to_have_count(0)


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
    hood.get_by_role("spinbutton", name="Seconds", exact=True).fill("86400")
    desk.press("Move the clock on", hood)
    office.slack.wait_for(lambda: float(office.slack.ask("info")["now"]) >= before + 86_400)
    web_of(office).chat_postMessage(channel=room, text="After")
    expect(desk.row("After")).to_have_attribute("data-day", "Today")
    desk.page.reload()
    expect(desk.row("Before")).to_have_attribute("data-day", "Yesterday")

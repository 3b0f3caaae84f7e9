"""A bot edits while somebody is about to press, choose or type: nothing of that is lost."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Route, expect

from tests.local_slack.office import Office, button, card

from .conftest import OpenDesk
from .kit import options

Json = dict[str, Any]


def unasked(text: str, action_id: str) -> Json:
    """A button that takes effect at once."""
    return {name: value for name, value in button(text, action_id).items() if name != "confirm"}


def blocks(title: str) -> list[Json]:
    """Without block ids: Slack makes up new ones with each edit."""
    row = card(title, button("Copy", "size_go"))
    more = {"type": "overflow", "action_id": "size_more", "options": options("Pause", "Stop")}
    row[1]["elements"] += [more, unasked("Quiet", "size_quiet")]
    return row


def posted(office: Office, room: str) -> str:
    return str(office.app.client.chat_postMessage(channel=room, text="t", blocks=blocks("First"))["ts"])


def edit(office: Office, room: str, ts: str, title: str) -> None:
    office.app.client.chat_update(channel=room, ts=ts, text="t", blocks=blocks(title))


def pressed(office: Office, action: str) -> list[Json]:
    """The presses of this button so far."""
    found = [body["actions"][0] for body in office.seen if body.get("type") == "block_actions"]
    return [each for each in found if each["action_id"] == action]


def test_a_dialog_that_asks_outlives_an_edit_and_its_yes_counts(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    ts, before = posted(office, room), len(pressed(office, "size_go"))
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.press("Copy", bob.row("First"))
    dialog = bob.page.get_by_role("alertdialog", name="Sure?")
    expect(dialog).to_be_visible()
    edit(office, room, ts, "Second")
    expect(bob.row("Second")).to_be_visible()
    bob.press("Yes", dialog)
    office.slack.wait_for(lambda: len(pressed(office, "size_go")) == before + 1)
    expect(bob.page.get_by_role("status")).to_be_hidden()


def test_a_menu_of_actions_stays_open_while_its_message_is_edited(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    ts, before = posted(office, room), len(pressed(office, "size_more"))
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.press("More actions", bob.row("First"))
    stop = bob.room.get_by_role("menuitem", name="Stop")
    expect(stop).to_be_visible()
    edit(office, room, ts, "Second")
    expect(bob.row("Second")).to_be_visible()
    stop.click()
    office.slack.wait_for(lambda: len(pressed(office, "size_more")) == before + 1)


def test_a_menu_keeps_all_its_choices_and_the_one_pointed_at_while_its_message_is_edited(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    def choosing(title: str) -> list[Json]:
        sizes = options("Small", "Medium", "Large")
        menu = {
            "type": "static_select",
            "action_id": "size_one",
            "options": sizes,
            "initial_option": sizes[0],
        }
        return [*card(title), {"type": "actions", "elements": [menu]}]

    before = len(pressed(office, "size_one"))
    ts = str(office.app.client.chat_postMessage(channel=room, text="t", blocks=choosing("First"))["ts"])
    bob = open_desk(office.slack.url, "U0BOB", room)
    menu = bob.row("First").get_by_role("combobox")
    menu.click()
    menu.press("ArrowDown")
    office.app.client.chat_update(channel=room, ts=ts, text="t", blocks=choosing("Second"))
    expect(bob.row("Second")).to_be_visible()
    expect(bob.room.get_by_role("option")).to_have_count(3)
    bob.page.keyboard.press("Enter")
    [chosen] = office.slack.wait_for(lambda: pressed(office, "size_one")[before:])
    assert chosen["selected_option"]["value"] == "medium"


def test_a_press_counts_though_the_message_is_edited_before_the_finger_is_lifted(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    ts, before = posted(office, room), len(pressed(office, "size_quiet"))
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.row("First").get_by_role("button", name="Quiet").hover()
    bob.page.mouse.down()
    edit(office, room, ts, "Second")
    heard = office.slack.ask("changes")["seq"]
    office.slack.user("U0ANA").say(room, "seen by now")
    bob.page.wait_for_function("seq => Number(document.body.dataset.heard) >= seq", arg=heard)
    bob.page.mouse.up()
    expect(bob.row("Second")).to_be_visible()
    office.slack.wait_for(lambda: len(pressed(office, "size_quiet")) == before + 1)


def test_a_button_goes_on_spinning_while_its_message_is_edited(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    def waiting(title: str) -> list[Json]:
        return card(title, unasked("Wait", "hold"))

    ts = str(office.app.client.chat_postMessage(channel=room, text="t", blocks=waiting("First"))["ts"])
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.press("Wait", bob.row("First"))
    wait = bob.room.get_by_role("button", name="Wait")
    expect(wait).to_have_attribute("aria-busy", "true")
    office.app.client.chat_update(channel=room, ts=ts, text="t", blocks=waiting("Second"))
    expect(bob.row("Second")).to_be_visible()
    expect(wait).to_have_attribute("aria-busy", "true")
    office.held.set()
    expect(wait).not_to_have_attribute("aria-busy", "true")


def test_what_is_posted_while_a_channel_or_a_thread_opens_is_there(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    ts = posted(office, room)
    bob = open_desk(office.slack.url, "U0BOB", "C0OPEN")

    def say_meanwhile(text: str, thread_ts: str | None = None) -> Any:
        def handle(route: Route) -> None:
            answer = route.fetch()
            office.slack.user("U0ANA").say(room, text, thread_ts)
            office.slack.user("U0ANA").say("C0OPEN", "goes by")
            route.fulfill(response=answer)

        return handle

    bob.page.route(f"**/history/{room}**", say_meanwhile("Meanwhile"), times=1)
    bob.page.get_by_role("link", name=f"# {room.lower()}").click()
    expect(bob.row("Meanwhile")).to_be_visible()
    bob.page.route(f"**/thread/{room}/**", say_meanwhile("A reply meanwhile", ts), times=1)
    bob.row("First").hover()
    bob.press("Reply in thread", bob.row("First"))
    expect(bob.pane).to_contain_text("A reply meanwhile")


def test_the_channel_that_was_opened_last_is_the_one_that_shows(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    posted(office, room)
    bob = open_desk(office.slack.url, "U0BOB", "C0PAYROLL")
    held: list[Route] = []
    bob.page.route("**/history/C0OPEN**", lambda route: held.append(route), times=1)
    bob.page.get_by_role("link", name="# general").click()
    bob.page.get_by_role("link", name=f"# {room.lower()}").click()
    expect(bob.row("First")).to_be_visible()
    [late] = held
    with bob.page.expect_response("**/history/C0OPEN**"):
        late.continue_()
    expect(bob.row("First")).to_be_visible()
    expect(bob.page.get_by_role("heading", name=f"# {room.lower()}")).to_be_visible()


def test_a_half_written_reply_stays_while_the_thread_goes_on(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    ts = posted(office, room)
    bob = open_desk(office.slack.url, "U0BOB", f"{room}?thread={ts}")
    reply = bob.pane.get_by_role("textbox")
    reply.press_sequentially("half a sen")
    edit(office, room, ts, "Second")
    office.slack.user("U0ANA").say(room, "Somebody else's", ts)
    expect(bob.pane).to_contain_text("Somebody else's")
    expect(reply).to_be_focused()
    bob.page.keyboard.type("tence")
    expect(reply).to_have_value("half a sentence")

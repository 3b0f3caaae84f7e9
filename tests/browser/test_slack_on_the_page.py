"""What a person can do on the page, with a small Bolt app at the other end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from slack_sdk.errors import SlackApiError

from bot.i18n import translator
from bot.messages import run
from dev.messages import situations
from tests.local_slack.office import Office, button, card, form
from tests.local_slack.test_slack_files import picture

from .conftest import OpenDesk
from .kit import ATTACHMENTS, BLOCKS, TABLES, set_of, words

#: A task's state, as a screen reader says it to Ana.
STATES = {
    "pending": "pendiente",
    "in_progress": "en curso",
    "complete": "completa",
    "error": "con error",
}


def test_every_block_is_drawn_and_an_unknown_one_shows_as_such(
    office: Office, room: str, open_desk: OpenDesk, pictures: Path
) -> None:
    office.app.client.chat_postMessage(channel=room, text="t", blocks=BLOCKS, attachments=ATTACHMENTS)
    ana = open_desk(office.slack.url, "U0ANA", room)
    row = ana.row("Everything 🎉")
    for tag, text in [
        ("strong", "bold"),
        ("em", "italic"),
        ("s", "struck"),
        ("code", "code"),
        ("pre", "fixed"),
    ]:
        expect(row.locator(tag, has_text=text).first).to_be_visible()
    expect(row.get_by_role("link", name="link", exact=True)).to_have_attribute("href", "https://example.com")
    expect(row.locator(".mention.me")).to_have_text("@Ana Álvarez")
    expect(row).to_contain_text("@liquidation-admins")
    expect(row.locator("blockquote")).to_have_text("quoted & escaped <b>")
    expect(row.locator("time", has_text="noviembre de 2026")).to_be_visible()
    expect(row.get_by_role("region", name="Tabla").get_by_role("columnheader")).to_have_text(
        ["Range", "Rows"]
    )
    expect(row.get_by_role("img", name="A chart")).to_be_visible()
    drawn = row.get_by_role("img", name="Rows per second; rows: 1 min 1,200, 2 min 2,500")
    expect(drawn).to_be_visible()
    expect(drawn.locator("polyline")).to_have_count(1)
    box = drawn.bounding_box()
    assert box is not None
    assert 100 < box["height"] < box["width"] <= 560
    expect(row.locator(".chart .legend")).to_contain_text("rows/s")
    expect(row.get_by_role("radio")).to_have_count(2)
    expect(row.get_by_role("link", name="How to copy")).to_have_attribute("href", "https://example.com/watch")
    expect(row).to_contain_text("Bloque desconocido: card")
    colours = row.locator(".attachment rect").evaluate_all(
        "all => all.map(each => each.getAttribute('fill'))"
    )
    assert colours == ["#36a64f", "#a30200", "#dddddd"]
    expect(row.get_by_role("link", name="Liquidation 42")).to_be_visible()
    expect(row.locator(".attachment").first.locator("code")).to_have_text("7 s")
    expect(row).to_contain_text("Only a fallback")
    ana.page.set_viewport_size({"width": 1280, "height": 1800})
    ana.shoot(pictures, "every-block")


def test_the_card_of_a_set_moves_on_table_by_table_where_it_is_edited(
    office: Office, room: str, open_desk: OpenDesk, pictures: Path
) -> None:
    """One message from the first table to the last, in a window and on a phone."""
    t = translator("es")
    web = office.app.client
    states = [
        set_of(situations.COPYING, situations.QUEUED, situations.QUEUED),
        set_of(situations.COMPLETED, situations.COPYING, situations.QUEUED),
        set_of(situations.COMPLETED, situations.FAILED, situations.CANCELLED),
        set_of(*[situations.COMPLETED] * 3),
    ]
    first = run.card(states[0], t)
    ts = str(web.chat_postMessage(channel=room, text=first.text, blocks=first.blocks)["ts"])
    wide = open_desk(office.slack.url, "U0ANA", room)
    narrow = open_desk(office.slack.url, "U0ANA", room, phone=True)
    seen = set()
    for n, state in enumerate(states):
        now = run.card(state, t)
        [block] = [each for each in now.blocks if each["type"] == "plan"]
        expected = [STATES[task["status"]] for task in block["tasks"]]
        seen |= set(expected)
        web.chat_update(channel=room, ts=ts, text=now.text, blocks=now.blocks)
        for desk in (wide, narrow):
            plan = desk.row("Liquidación 42").get_by_role("list")
            tasks = plan.get_by_role("listitem")
            for place, (table, word) in enumerate(zip(TABLES, expected, strict=True)):
                expect(tasks.nth(place)).to_contain_text(table)
                expect(tasks.nth(place).get_by_role("img", name=word)).to_be_visible()
            expect(tasks).to_have_count(3)
            assert not desk.too_wide
        wide.shoot(pictures, f"plan-{n}")
        narrow.shoot(pictures, f"plan-{n}-phone")
    assert seen == set(STATES.values())


def test_what_is_chosen_in_menus_boxes_and_pickers_reaches_the_bot(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    office.app.client.chat_postMessage(channel=room, text="t", blocks=BLOCKS)
    bob = open_desk(office.slack.url, "U0BOB", room)
    row = bob.row("Everything")

    def chosen(action: str) -> dict[str, object]:
        def arrived() -> dict[str, object] | None:
            actions = [body["actions"][0] for body in office.seen if body.get("type") == "block_actions"]
            return next((each for each in reversed(actions) if each["action_id"] == action), None)

        return office.slack.wait_for(arrived)

    row.get_by_role("combobox", name="Size").click()
    row.get_by_role("option", name="L", exact=True).click()
    assert chosen("size_one")["selected_option"] == {
        "text": {"type": "plain_text", "text": "L", "emoji": True},
        "value": "l",
    }
    who = row.get_by_role("combobox", name="Who")
    who.fill("car")
    who.press("Enter")
    assert chosen("size_who")["selected_user"] == "U0CARLA"
    row.get_by_role("combobox", name="Several").click()
    row.get_by_role("option", name="Blue").click()
    assert [o["value"] for o in chosen("size_many")["selected_options"]] == ["blue"]  # type: ignore[attr-defined]
    expect(row.locator(".chip")).to_have_text(re.compile("Blue"))
    row.locator("input[type=date]").fill("2026-11-24")
    assert chosen("size_day")["selected_date"] == "2026-11-24"
    row.get_by_role("checkbox", name="Digests").check()
    assert [o["value"] for o in chosen("size_ticks")["selected_options"]] == ["digests"]  # type: ignore[attr-defined]
    row.get_by_role("radio", name="Later").check()
    assert chosen("size_pick")["selected_option"]["value"] == "later"  # type: ignore[index]
    row.get_by_role("button", name="More actions").click()
    row.get_by_role("menuitem", name="Stop").click()
    assert chosen("size_more")["selected_option"]["value"] == "stop"  # type: ignore[index]


def test_a_menu_stays_open_where_the_bot_edits_the_message_around_it(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    sent = office.app.client.chat_postMessage(channel=room, text="t", blocks=BLOCKS)
    bob = open_desk(office.slack.url, "U0BOB", room)
    row = bob.row("Everything")
    who = row.get_by_role("combobox", name="Who")
    who.fill("car")
    expect(row.get_by_role("option", name="Carla")).to_be_visible()
    edited = [*BLOCKS, *card("Edited meanwhile")]
    office.app.client.chat_update(channel=room, ts=str(sent["ts"]), text="t", blocks=edited)
    expect(row).to_contain_text("Edited meanwhile")
    who.press("Enter")
    expect(who).to_have_value(re.compile("Carla"))


def test_a_button_asks_first_spins_while_it_waits_and_warns_of_a_late_answer(
    office: Office, room: str, open_desk: OpenDesk, pictures: Path
) -> None:
    office.app.client.chat_postMessage(
        channel=room, text="t", blocks=card("Slow one", button("Wait", "hold"))
    )
    bob = open_desk(office.slack.url, "U0BOB", room)
    wait = bob.row("Slow one").get_by_role("button", name="Wait")
    before = len(office.slack.envelopes())
    wait.click()
    dialog = bob.page.get_by_role("alertdialog", name="Sure?")
    expect(dialog).to_contain_text("Really?")
    bob.shoot(pictures, "confirm")
    bob.press("No", dialog)
    expect(dialog).to_be_hidden()
    assert len(office.slack.envelopes()) == before
    wait.click()
    bob.press("Yes", dialog)
    expect(wait).to_have_attribute("aria-busy", "true")
    warning = bob.row("Slow one").get_by_role("img", name="Slack didn't get an answer in time")
    expect(warning).to_be_visible()
    expect(wait).not_to_have_attribute("aria-busy", "true")
    bob.shoot(pictures, "late-answer")


def test_a_modal_shows_its_errors_in_place_and_keeps_what_was_typed(
    office: Office, room: str, open_desk: OpenDesk, pictures: Path
) -> None:
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.say("/form")
    expect(bob.modal.get_by_role("heading", name="Copy")).to_be_visible()
    bob.press("Start", bob.modal)
    expect(bob.modal.get_by_role("alert")).to_have_text("Please complete this required field.")
    table = bob.modal.get_by_role("combobox", name="Table")
    table.fill("contr")
    bob.modal.get_by_role("option", name="Contracts").click()
    bob.modal.get_by_role("textbox", name="Reason").fill("because")
    office.submission = {"response_action": "errors", "errors": {"reason_block": "Say more"}}
    bob.press("Start", bob.modal)
    expect(bob.modal.get_by_role("alert")).to_have_text("Say more")
    expect(bob.modal.get_by_role("textbox", name="Reason")).to_have_value("because")
    expect(table).to_have_value("Contracts")
    bob.shoot(pictures, "modal-with-error")
    office.submission = {"response_action": "push", "view": form("Second")}
    bob.press("Start", bob.modal)
    expect(bob.modal.get_by_role("heading", name="Second")).to_be_visible()
    bob.press("Back", bob.modal)
    expect(bob.modal.get_by_role("heading", name="Copy")).to_be_visible()
    office.submission = {"hold": True}
    bob.press("Start", bob.modal)
    expect(bob.modal.locator("[data-busy]")).to_be_visible()
    expect(bob.modal.get_by_role("alert").first).to_contain_text("We had some trouble connecting")
    office.held.set()
    office.submission = {}
    bob.press("Start", bob.modal)
    expect(bob.modal).to_be_hidden()
    state = office.payload("view_submission")["view"]["state"]["values"]
    assert state["table_block"]["table"]["selected_option"]["value"] == "contracts"
    assert state["reason_block"]["reason"]["value"] == "because"


def test_the_bot_can_redraw_a_modal_while_somebody_types_in_it(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.say("/form")
    reason = bob.modal.get_by_role("textbox", name="Reason")
    reason.press_sequentially("half a sen")
    view = office.bob.modal()
    assert view is not None
    office.app.client.views_update(view_id=view.id, view=form("Redrawn"))
    expect(bob.modal.get_by_role("heading", name="Redrawn")).to_be_visible()
    expect(reason).to_be_focused()
    bob.page.keyboard.type("tence")
    expect(reason).to_have_value("half a sentence")


def test_the_home_tab_has_a_menu_whose_choice_redraws_it(
    office: Office, open_desk: OpenDesk, pictures: Path
) -> None:
    bob = open_desk(office.slack.url, "U0BOB", "home")
    home = bob.page.get_by_role("tabpanel", name="Home")
    expect(home.get_by_role("heading", name="Copies", exact=True)).to_be_visible()
    table = home.get_by_role("combobox", name="Search a table")
    table.fill("empl")
    home.get_by_role("option", name="Employees").click()
    expect(home.get_by_role("heading", name="Copies of Employees")).to_be_visible()
    bob.shoot(pictures, "home")
    bob.page.get_by_role("tab", name="Messages").click()
    expect(home).to_be_hidden()
    bob.say("Hello, bot")
    expect(bob.row("Hello, bot")).to_be_visible()


def test_what_only_one_person_sees_is_gone_when_the_page_is_loaded_again(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    ana, bob = (open_desk(office.slack.url, user, room) for user in ("U0ANA", "U0BOB"))
    ana.say("/copy-liquidation 42")
    expect(ana.row("Copying 42")).to_contain_text("Solo visible para usted")
    office.app.client.chat_postMessage(channel=room, text="For all")
    expect(bob.row("For all")).to_be_visible()
    expect(bob.room).not_to_contain_text("Copying 42")
    ana.page.get_by_role("link", name="# general").click()
    ana.page.get_by_role("link", name=f"# {room.lower()}").click()
    expect(ana.row("Copying 42")).to_be_visible()
    ana.page.reload()
    expect(ana.row("For all")).to_be_visible()
    expect(ana.room).not_to_contain_text("Copying 42")


def test_commands_are_offered_in_a_channel_and_refused_in_a_thread_in_slacks_words(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    office.app.client.chat_postMessage(channel=room, text="A parent")
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.say("/nonsense")
    expect(bob.row("/nonsense is not a valid command.")).to_be_visible()
    bob.say("/slow")
    failed = bob.row('/slow failed with the error "operation_timeout"')
    expect(failed).to_be_visible()
    office.held.set()
    bob.row("A parent").hover()
    bob.press("Reply in thread", bob.row("A parent"))
    reply = bob.pane.get_by_role("textbox")
    reply.fill("/form")
    expect(bob.pane.get_by_role("option")).to_have_count(0)
    reply.press("Enter")
    expect(bob.pane).to_contain_text("/form is not supported in threads. Sorry!")
    reply.fill("Thanks @ana")
    reply.press("Enter")
    expect(bob.pane.locator(".mention")).to_have_text("@Ana Álvarez")
    expect(bob.room.get_by_role("button", name="1 reply")).to_be_visible()


def test_a_picture_of_the_bot_shows_in_its_thread(
    office: Office, room: str, open_desk: OpenDesk, pictures: Path
) -> None:
    client = office.app.client
    parent = client.chat_postMessage(channel=room, text="Copied")["ts"]
    client.files_upload_v2(
        channel=room,
        thread_ts=parent,
        content=picture(240, 80),
        filename="p.png",
        title="Proof",
        alt_txt="Green",
    )
    bob = open_desk(office.slack.url, "U0BOB", f"{room}?thread={parent}")
    shown = bob.pane.get_by_role("img", name="Green")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") == 240
    bob.shoot(pictures, "picture-in-thread")


def test_a_message_in_another_channel_is_marked_once_with_the_times_one_is_mentioned(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    bob = open_desk(office.slack.url, "U0BOB", "C0OPEN")
    client = office.app.client
    ts = client.chat_postMessage(channel=room, text="<@U0BOB> 0 %")["ts"]
    client.chat_update(channel=room, ts=ts, text="<@U0BOB> 50 %")
    client.chat_postMessage(channel=room, text="<@U0BOB> and again")
    link = bob.page.get_by_role("link", name=f"# {room.lower()}")
    expect(link).to_have_attribute("data-mentions", "2")
    link.click()
    expect(bob.row("and again")).to_be_visible()
    expect(link).not_to_have_attribute("data-mentions", "2")


def test_who_looks_can_be_changed_and_the_channel_stays(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    ana = open_desk(office.slack.url, "U0ANA", room)
    ana.page.get_by_role("navigation", name="Ver como").get_by_role("link", name="Bob Brown").click()
    expect(ana.page.get_by_role("textbox", name=f"Message #{room.lower()}")).to_be_visible()
    assert ana.page.url.endswith(f"/as/U0BOB/{room}")


def test_a_channel_that_is_not_there_leads_to_one_that_is(office: Office, open_desk: OpenDesk) -> None:
    ana = open_desk(office.slack.url, "U0ANA", "C0NOWHERE")
    expect(ana.page.get_by_role("status")).to_have_text("U0ANA sees no channel C0NOWHERE")
    expect(ana.page.get_by_role("heading", name="# payroll")).to_be_visible()
    ana.troubles.clear()


HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'


def test_nothing_that_a_bot_says_can_run_in_the_page(office: Office, room: str, open_desk: OpenDesk) -> None:
    link = "javascript:window.ran=1"
    cell = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]}
    cell["elements"][0]["elements"] = [{"type": "link", "url": link, "text": HOSTILE}]  # type: ignore[index]
    blocks = [
        {"type": "header", "text": words(HOSTILE)},
        {"type": "section", "text": {"type": "mrkdwn", "text": f"{HOSTILE} <{link}|press> &lt;script&gt;"}},
        {"type": "markdown", "text": f"{HOSTILE}\n\n[press]({link}) ![x](https://example.com/x.png)"},
        {"type": "table", "rows": [[{"type": "raw_text", "text": HOSTILE}, cell]]},
        {"type": "actions", "elements": [{**button(HOSTILE[:70], "size_x", f'">{HOSTILE}'), "url": link}]},
        {"type": "image", "image_url": link, "alt_text": f'">{HOSTILE}'},
    ]
    old = [
        {"color": f'">{HOSTILE}', "title": HOSTILE, "title_link": link, "text": HOSTILE, "footer": HOSTILE}
    ]
    office.app.client.chat_postMessage(channel=room, text=HOSTILE, blocks=blocks, attachments=old)
    office.slack.ask("say", user="U0BOB", channel=room, text=HOSTILE)
    ana = open_desk(office.slack.url, "U0ANA", room)
    expect(ana.room.get_by_role("article")).to_have_count(2)
    expect(ana.room.get_by_role("heading")).to_have_text(HOSTILE)
    assert ana.page.locator("#list script, #list [onerror], #list a[href^=javascript]").count() == 0
    assert ana.page.locator("#list img").count() == 0
    assert not ana.scripts_ran


def test_faults_are_set_in_the_drawer_and_every_call_is_seen_there(
    office: Office, room: str, open_desk: OpenDesk, pictures: Path
) -> None:
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.press("Under the hood")
    hood = bob.page.get_by_role("region", name="Under the hood")
    hood.get_by_role("tab", name="Faults").click()
    hood.get_by_role("combobox", name="Method", exact=True).fill("chat.postMessage")
    hood.get_by_role("combobox", name="What goes wrong").select_option(label="answers an error")
    hood.get_by_role("combobox", name="Error", exact=True).select_option("restricted_action")
    bob.press("Set the fault", hood)
    expect(hood.get_by_role("listitem")).to_contain_text("chat.postMessage: restricted_action, once")
    bob.shoot(pictures, "faults")
    with pytest.raises(SlackApiError, match="restricted_action"):
        office.app.client.chat_postMessage(channel=room, text="Lost")
    expect(hood.get_by_role("listitem")).to_have_count(0)
    hood.get_by_role("tab", name="Web API calls").click()
    call = hood.locator("summary", has_text="chat.postMessage").first
    expect(call).to_contain_text("restricted_action")
    call.click()
    expect(hood.locator("pre", has_text="Lost")).to_be_visible()
    bob.say("/copy-liquidation 7")
    hood.get_by_role("tab", name="Socket Mode").click()
    envelope = hood.locator("summary", has_text="/copy-liquidation 7")
    expect(envelope).to_contain_text(re.compile(r"ack.*\d ms"))
    hood.get_by_role("tab", name="Faults").click()
    bob.press("Archive this channel", hood)
    expect(bob.page.get_by_text("This channel is archived")).to_be_visible()
    bob.press("Unarchive this channel", hood)
    expect(bob.box).to_be_visible()


def test_a_person_deletes_and_unpins_what_the_bot_has_posted(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    client = office.app.client
    for text in ("Stays", "Goes"):
        client.pins_add(channel=room, timestamp=client.chat_postMessage(channel=room, text=text)["ts"])
    bob = open_desk(office.slack.url, "U0BOB", room)
    expect(bob.page.get_by_role("button", name="2 pinned messages")).to_be_visible()
    bob.row("Goes").hover()
    bob.press("Delete message", bob.row("Goes"))
    expect(bob.page.get_by_role("button", name="1 pinned message")).to_be_visible()
    expect(bob.room.get_by_role("article")).to_have_count(1)
    bob.row("Stays").hover()
    bob.press("Unpin", bob.row("Stays"))
    expect(bob.page.locator("#bar")).to_be_hidden()
    assert office.slack.pins(room) == []


def test_the_page_follows_on_after_its_stream_was_cut(office: Office, room: str, open_desk: OpenDesk) -> None:
    bob = open_desk(office.slack.url, "U0BOB", room)
    bob.page.context.set_offline(True)
    office.app.client.chat_postMessage(channel=room, text="While away")
    bob.page.context.set_offline(False)
    expect(bob.row("While away")).to_be_visible()
    bob.troubles.clear()


def test_ten_thousand_messages_leave_the_page_as_quick_as_ten(
    office: Office, room: str, open_desk: OpenDesk
) -> None:
    office.slack.ask("fill", channel=room, n=10_000)
    bob = open_desk(office.slack.url, "U0BOB", room)
    expect(bob.row("Message 10,000")).to_be_visible()
    rows = bob.room.get_by_role("article")
    assert rows.count() == 50
    for n in range(300):
        office.app.client.chat_postMessage(channel=room, text=f"More {n}")
    expect(bob.row("More 299")).to_be_visible()
    assert rows.count() <= 200
    ts = office.app.client.chat_postMessage(channel=room, text="0 %")["ts"]
    expect(bob.row("0 %")).to_be_visible()
    drawn = bob.page.evaluate(
        "() => { window.drawn = 0; new MutationObserver(found => { for (const each of found)"
        " window.drawn += each.addedNodes.length; }).observe(document.querySelector('#list'),"
        " {childList: true}); return window.drawn; }"
    )
    assert drawn == 0
    office.app.client.chat_update(channel=room, ts=ts, text="100 %")
    expect(bob.row("100 %")).to_be_visible()
    assert bob.page.evaluate("window.drawn") == 1
    bob.room.evaluate("list => list.parentElement.scrollTop = 0")
    expect(bob.row("More 60")).to_be_attached()

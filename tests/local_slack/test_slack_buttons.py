"""Buttons, menus and response_url."""

import httpx
import pytest

from dev.local_slack.results import NotPossible

from .office import Office, button, card


def test_a_press_replaces_the_ephemeral_message_it_came_from(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation ask", channel=room)
    (question,) = office.ana.messages(room)
    assert [b.text for b in question.buttons] == ["Copy", "No"]
    assert question.plain == "Copy 42?\n[Copy] [No]"
    assert office.ana.press(question, "Copy").acked
    after = office.slack.wait_for(lambda: [m for m in office.ana.messages(room) if m.plain == "Started"])
    assert after[0].ts == question.ts and after[0].ephemeral


def test_a_press_can_delete_the_message_it_came_from(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation ask", channel=room)
    office.ana.press(office.ana.messages(room)[0], "deny")
    office.slack.wait_for(lambda: office.ana.messages(room) == [])


def test_the_payload_of_a_press_has_the_keys_of_slacks_own(office: Office, room: str) -> None:
    posted = office.app.client.chat_postMessage(
        channel=room, text="t", blocks=card("T", button("Go", "confirm"))
    )
    office.ana.press(office.ana.messages(room)[0], "Go")
    body = office.payload("block_actions")
    assert body["container"] == {
        "type": "message",
        "message_ts": posted["ts"],
        "channel_id": room,
        "is_ephemeral": False,
    }
    assert body["message"]["ts"] == posted["ts"] and body["state"] == {"values": {}}
    (action,) = body["actions"]
    assert (action["action_id"], action["value"], action["type"]) == ("confirm", "42", "button")
    assert action["text"]["text"] == "Go" and action["block_id"] and action["action_ts"]
    assert body.keys() >= {"user", "api_app_id", "token", "trigger_id", "team", "channel", "response_url"}
    public = office.slack.wait_for(lambda: [m for m in office.bob.messages(room) if m.plain == "Started"])
    assert public[0].ts == posted["ts"] and not public[0].ephemeral


def test_an_ephemeral_press_carries_no_message(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation ask", channel=room)
    office.ana.press(office.ana.messages(room)[0], "Copy")
    body = office.payload("block_actions")
    assert "message" not in body and body["container"]["is_ephemeral"] is True


def test_only_the_reader_of_an_ephemeral_message_can_press_it(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation ask", channel=room)
    (question,) = office.ana.messages(room)
    with pytest.raises(NotPossible):
        office.bob.press(question, "Copy")
    with pytest.raises(NotPossible, match=r"there is: Copy \(confirm\), No \(deny\)"):
        office.ana.press(question, "Pause")


def test_a_late_ack_leaves_a_warning_beside_the_button(office: Office, room: str) -> None:
    office.held.clear()
    office.app.client.chat_postMessage(channel=room, text="t", blocks=card("T", button("Wait", "hold")))
    (message,) = office.ana.messages(room)
    pressed = office.ana.press(message, "Wait")
    assert (pressed.acked, pressed.warning) == (False, True)
    assert office.ana.messages(room)[0].warnings == ["hold"]
    assert office.bob.messages(room)[0].warnings == []
    office.held.set()


def test_a_stale_screen_can_still_be_pressed(office: Office, room: str) -> None:
    client = office.app.client
    ts = client.chat_postMessage(channel=room, text="t", blocks=card("T", button("Go", "confirm")))["ts"]
    (before,) = office.ana.messages(room)
    client.chat_update(channel=room, ts=ts, text="t", blocks=card("T"))
    with pytest.raises(NotPossible):
        office.ana.press(before, "Go")
    assert office.ana.press(before, "Go", stale=True).acked


def test_a_response_url_works_five_times(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation 1", channel=room)
    url = office.payload("/copy-liquidation")["response_url"]
    answers = [httpx.post(url, json={"text": f"{n}"}, trust_env=False) for n in range(6)]
    assert [a.status_code for a in answers] == [200] * 5 + [404]
    assert answers[0].text == "ok" and answers[5].json() == {"ok": False, "error": "used_url"}
    assert [m.plain for m in office.ana.messages(room)] == ["Copying 1", "0", "1", "2", "3", "4"]
    assert office.bob.messages(room) == []


def test_a_response_url_lives_thirty_minutes(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation 1", channel=room)
    url = office.payload("/copy-liquidation")["response_url"]
    office.slack.advance_clock(30 * 60 + 1)
    assert httpx.post(url, json={"text": "?"}, trust_env=False).json()["error"] == "expired_url"


def test_a_response_url_checks_blocks_and_can_speak_to_the_channel(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation 1", channel=room)
    url = office.payload("/copy-liquidation")["response_url"]
    bad = httpx.post(url, json={"text": "x", "blocks": [{"type": "section"}]}, trust_env=False)
    assert bad.status_code == 400 and bad.json()["error"] == "invalid_blocks"
    httpx.post(url, json={"text": "All", "response_type": "in_channel"}, trust_env=False)
    assert [m.plain for m in office.bob.messages(room)] == ["All"]


def test_what_stands_in_the_inputs_of_a_message_comes_with_each_press(office: Office, room: str) -> None:
    select = {
        "type": "static_select",
        "action_id": "size",
        "options": [{"text": {"type": "plain_text", "text": size}, "value": size} for size in ("S", "L")],
    }
    field = {
        "type": "input",
        "block_id": "why",
        "label": {"type": "plain_text", "text": "Why"},
        "element": {"type": "plain_text_input", "action_id": "reason"},
    }
    blocks = [field, {"type": "actions", "block_id": "row", "elements": [select, button("Go", "size2")]}]
    office.app.client.chat_postMessage(channel=room, text="t", blocks=blocks)
    (message,) = office.ana.messages(room)
    office.ana.press(message, "size", value="L")
    office.ana.press(message, "Go", values={"reason": "because"})
    state = office.payload("block_actions")["state"]["values"]
    assert state["row"]["size"]["selected_option"]["value"] == "L"
    assert state["why"]["reason"]["value"] == "because"
    office.bob.press(office.bob.messages(room)[0], "Go")
    assert office.payload("block_actions")["state"]["values"]["row"]["size"]["selected_option"] is None

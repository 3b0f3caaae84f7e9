"""Modals, option loads and the home tab."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from dev.local_slack.results import NotPossible, View

from .office import Office, card, form


@pytest.fixture
def modal(office: Office, room: str) -> View:
    office.submission = {}
    office.held.clear()
    office.ana.command("/form", channel=room)
    return office.slack.wait_for(office.ana.modal)


def fresh_trigger(office: Office, room: str) -> str:
    office.ana.command("/copy-liquidation trigger", channel=room)
    return str(office.payload("/copy-liquidation")["trigger_id"])


def error_of(caught: pytest.ExceptionInfo[SlackApiError]) -> Any:
    return caught.value.response["error"]


def test_a_submitted_modal_closes_and_its_values_arrive(office: Office, modal: View) -> None:
    assert modal.plain.startswith("Copy\nReason")
    (option,) = office.ana.options("table", "contr")
    assert option["value"] == "contracts"
    assert office.ana.submit({"reason": "because", "table": "contracts"}).acked
    assert office.ana.modal() is None
    view = office.payload("view_submission")["view"]
    assert view["state"]["values"]["reason_block"]["reason"] == {
        "type": "plain_text_input",
        "value": "because",
    }
    chosen = view["state"]["values"]["table_block"]["table"]["selected_option"]
    assert chosen["value"] == "contracts"
    assert (view["private_metadata"], view["callback_id"]) == ("round-trip", "form")


def test_a_required_input_must_be_filled_before_anything_is_sent(office: Office, modal: View) -> None:
    before = len(office.slack.envelopes())
    done = office.ana.submit({})
    assert done.errors == {"reason_block": "Please complete this required field."}
    assert len(office.slack.envelopes()) == before and office.ana.modal() is not None


def test_errors_from_the_bot_stand_in_the_modal(office: Office, modal: View) -> None:
    office.submission = {"response_action": "errors", "errors": {"reason_block": "Too short"}}
    assert office.ana.submit({"reason": "x"}).errors == {"reason_block": "Too short"}
    still = office.ana.modal()
    assert still is not None and "! Too short" in still.plain and still.inputs["reason"] == "x"


def test_the_bot_can_update_push_and_clear(office: Office, modal: View) -> None:
    office.submission = {"response_action": "update", "view": form("Second")}
    office.ana.submit({"reason": "x"})
    second = office.ana.modal()
    assert second is not None and second.title["text"] == "Second" and second.id == modal.id
    assert second.hash != modal.hash
    office.submission = {"response_action": "push", "view": form("Third")}
    office.ana.submit({"reason": "x"})
    third = office.ana.modal()
    assert third is not None and third.previous_view_id == modal.id and third.root_view_id == modal.id
    office.submission = {"response_action": "clear"}
    office.ana.submit({"reason": "x"})
    assert office.ana.modal() is None


def test_a_fourth_modal_on_the_stack_is_refused(office: Office, modal: View) -> None:
    office.submission = {"response_action": "push", "view": form("More")}
    assert [office.ana.submit({"reason": "x"}).error for _ in range(3)] == [None, None, "push_limit_reached"]
    office.ana.close_modal(everything=True)


def test_a_malformed_ack_is_trouble_connecting(office: Office, modal: View) -> None:
    office.submission = {"response_action": "errors", "errors": {"no_such_block": "?"}}
    assert office.ana.submit({"reason": "x"}).shown == "We had some trouble connecting. Try again?"


def test_a_late_ack_of_a_modal_is_trouble_connecting(office: Office, modal: View) -> None:
    office.submission = {"hold": True}
    done = office.ana.submit({"reason": "x"})
    assert (done.error, done.shown) == ("operation_timeout", "We had some trouble connecting. Try again?")
    still = office.ana.modal()
    assert still is not None and still.trouble == done.shown
    office.held.set()


def test_closing_a_modal_tells_the_bot_that_asked_for_it(office: Office, modal: View) -> None:
    assert office.ana.close_modal().envelope_id
    assert office.payload("view_closed")["is_cleared"] is False
    with pytest.raises(NotPossible, match="no modal open"):
        office.ana.submit({})


def test_a_button_in_a_modal_keeps_what_was_typed(office: Office, modal: View) -> None:
    office.submission = {"response_action": "errors", "errors": {"reason_block": "no"}}
    office.ana.submit({"reason": "typed"})
    office.ana.press(modal, "Preview")
    shown = office.slack.wait_for(
        lambda: (view := office.ana.modal()) and view.title["text"] == "Preview" and view
    )
    assert isinstance(shown, View) and shown.inputs["reason"] == "typed"
    body = office.payload("block_actions")
    assert body["container"] == {"type": "view", "view_id": modal.id} and "response_url" not in body


def test_a_stale_hash_conflicts(office: Office, modal: View) -> None:
    client = office.app.client
    client.views_update(view_id=modal.id, hash=modal.hash, view=form("New"))
    with pytest.raises(SlackApiError) as caught:
        client.views_update(view_id=modal.id, hash=modal.hash, view=form("Newer"))
    assert error_of(caught) == "hash_conflict"


def test_a_trigger_is_good_once_and_for_three_seconds(office: Office, room: str) -> None:
    client, trigger = office.app.client, fresh_trigger(office, room)
    client.views_open(trigger_id=trigger, view=form())
    with pytest.raises(SlackApiError) as caught:
        client.views_open(trigger_id=trigger, view=form())
    assert error_of(caught) == "exchanged_trigger_id"
    trigger = fresh_trigger(office, room)
    office.slack.advance_clock(3.1)
    with pytest.raises(SlackApiError) as caught:
        client.views_open(trigger_id=trigger, view=form())
    assert error_of(caught) == "expired_trigger_id"
    with pytest.raises(SlackApiError) as caught:
        client.views_open(trigger_id="1.2.3", view=form())
    assert error_of(caught) == "invalid_trigger_id"


def test_an_invalid_view_says_where(office: Office, room: str) -> None:
    with pytest.raises(SlackApiError) as caught:
        office.app.client.views_open(trigger_id=fresh_trigger(office, room), view=form("T" * 25))
    assert error_of(caught) == "invalid_arguments"
    assert caught.value.response["response_metadata"]["messages"] == [
        "[ERROR] failed to match all allowed schemas [json-pointer:/view]",
        "[ERROR] must be less than 25 characters [json-pointer:/view/title/text]",
    ]


def test_a_modal_with_an_input_needs_a_submit_button(office: Office, room: str) -> None:
    view = {key: value for key, value in form().items() if key != "submit"}
    with pytest.raises(SlackApiError) as caught:
        office.app.client.views_open(trigger_id=fresh_trigger(office, room), view=view)
    assert "must define `submit`" in str(caught.value)


def test_a_view_over_250_kb_is_too_large(office: Office, room: str) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}} for _ in range(90)]
    with pytest.raises(SlackApiError) as caught:
        office.app.client.views_open(
            trigger_id=fresh_trigger(office, room), view={**form(), "blocks": blocks}
        )
    assert error_of(caught) == "view_too_large"


def test_options_are_not_loaded_for_a_query_that_is_too_short(office: Office, modal: View) -> None:
    before = len(office.slack.envelopes())
    assert office.ana.options("table", "") == []
    assert len(office.slack.envelopes()) == before
    office.ana.options("table", "con")
    body = office.payload("block_suggestion")
    assert (body["action_id"], body["block_id"], body["value"]) == ("table", "table_block", "con")


def test_opening_the_home_tab_waits_for_what_the_bot_publishes(office: Office) -> None:
    home = office.bob.open_home()
    assert (home.type, home.plain.splitlines()[0]) == ("home", "Copies")
    event = office.payload("event_callback")["event"]
    assert (event["type"], event["user"], event["tab"]) == ("app_home_opened", "U0BOB", "home")
    assert card("Copies")[0]["text"]["text"] == home.blocks[0]["text"]["text"]


def test_a_menu_of_the_home_tab_loads_its_options_and_the_choice_comes_back(office: Office) -> None:
    home = office.ana.open_home()
    (option,) = office.ana.options("table", "contr", home)
    body = office.payload("block_suggestion")
    assert body["container"] == {"type": "view", "view_id": home.id}
    assert (body["view"]["type"], body["block_id"]) == ("home", "home_tools")
    assert office.ana.press(home, "table", value=option).acked
    chosen = office.slack.wait_for(
        lambda: (now := office.ana.home()) and "Copies of Contracts" in now.plain and now
    )
    assert isinstance(chosen, View)
    state = office.payload("block_actions")["view"]["state"]["values"]["home_tools"]["table"]
    assert state["selected_option"] == option


def test_what_is_typed_in_a_modal_arrives_with_a_press_of_its_button(office: Office, modal: View) -> None:
    office.ana.press(modal, "Preview", values={"reason_block/reason": "typed before"})
    state = office.payload("block_actions")["view"]["state"]["values"]
    assert state["reason_block"]["reason"]["value"] == "typed before"
    with pytest.raises(NotPossible, match="no input 'salary'"):
        office.ana.submit({"salary": 1})


def test_all_open_modals_can_be_looked_at(office: Office, modal: View) -> None:
    office.submission = {"response_action": "push", "view": form("Second")}
    office.ana.submit({"reason": "x"})
    assert [view.title["text"] for view in office.ana.modals()] == ["Copy", "Second"]
    office.ana.close_modal()
    assert [view.id for view in office.ana.modals()] == [modal.id]

"""Slash commands as the person who types them sees them."""

import pytest

from dev.local_slack.client import LocalSlack
from dev.local_slack.results import NotPossible

from .office import Office


def test_a_command_reaches_the_bot_and_its_ack_shows_only_to_who_typed_it(office: Office, room: str) -> None:
    done = office.ana.command("/copy-liquidation 42", channel=room)
    assert done.acked and done.error is None and 0 < done.ack_seconds < 3
    (reply,) = office.ana.messages(room)
    assert (reply.plain, reply.ephemeral, reply.user) == ("Copying 42", True, "U0BOT")
    assert office.bob.messages(room) == []


def test_the_payload_of_a_command_has_the_keys_of_slacks_own(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation   42  now ", channel=room)
    body = office.payload("/copy-liquidation")
    assert body["text"] == "42  now"
    assert (body["user_id"], body["user_name"], body["channel_id"]) == ("U0ANA", "ana", room)
    assert body["is_enterprise_install"] == "false"
    assert body.keys() >= {
        *("token", "team_id", "team_domain", "enterprise_id", "channel_name", "command", "api_app_id"),
        *("response_url", "trigger_id"),
    }


def test_an_ack_can_answer_the_whole_channel(office: Office, room: str) -> None:
    office.ana.command("/copy-liquidation public", channel=room)
    assert [m.plain for m in office.bob.messages(room)] == ["For all to see"]


def test_an_ack_with_bad_blocks_is_a_failed_command(office: Office, room: str) -> None:
    done = office.ana.command("/copy-liquidation bad", channel=room)
    assert done.error == "invalid_command_response"


def test_a_command_not_acked_within_three_seconds_tells_the_person(office: Office, room: str) -> None:
    office.held.clear()
    done = office.ana.command("/slow", channel=room)
    assert (done.acked, done.error) == (False, "operation_timeout")
    (told,) = office.ana.messages(room)
    assert told.text == '/slow failed with the error "operation_timeout"'
    assert told.ephemeral and told.user == "USLACKBOT"
    office.held.set()


def test_without_a_connected_bot_a_command_fails_at_once(slack: LocalSlack) -> None:
    done = slack.user("U0ANA").command("/copy-liquidation 42", channel="C0PAYROLL")
    assert done.shown == '/copy-liquidation failed with the error "dispatch_failed"'
    assert slack.user("U0ANA").messages("C0PAYROLL")[0].text == done.shown


def test_a_command_that_the_manifest_does_not_know_never_reaches_the_bot(office: Office, room: str) -> None:
    before = len(office.slack.envelopes())
    done = office.ana.command("/foo", channel=room)
    assert done.shown is not None and done.shown.startswith("/foo is not a valid command.")
    assert len(office.slack.envelopes()) == before


def test_commands_do_not_work_in_threads(office: Office, room: str) -> None:
    ts = office.ana.say(room, "Hello")
    done = office.ana.command("/copy-liquidation 42", channel=room, thread_ts=ts)
    assert done.shown == "/copy-liquidation is not supported in threads. Sorry!"
    assert [m.text for m in office.ana.messages(room)] == ["Hello"]
    assert [m.text for m in office.ana.thread(room, ts)] == ["Hello", done.shown]


def test_a_person_cannot_type_where_they_are_not(slack: LocalSlack) -> None:
    with pytest.raises(NotPossible):
        slack.user("U0CARLA").command("/copy-liquidation 42", channel="C0SECRET")


def test_an_envelope_can_come_twice(office: Office, room: str) -> None:
    office.slack.duplicate_next_envelope()
    done = office.ana.command("/copy-liquidation twice", channel=room)
    copies = office.slack.wait_for(
        lambda: [e for e in office.slack.envelopes() if e.id == done.envelope_id and e.acks == 2]
    )
    assert copies[0].deliveries == 2
    assert [m.plain for m in office.ana.messages(room)] == ["Copying twice"]

"""Messages, threads, pins, channels and people through the real SDK."""

from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from dev.local_slack.client import LocalSlack
from dev.local_slack.server import LocalSlackServer

from .conftest import MANIFEST
from .office import button, card

ROOM = "C0PAYROLL"


def refused(call: Any, **args: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**args)
    return str(caught.value.response["error"])


def test_a_posted_message_is_there_for_everyone(slack: LocalSlack, web: WebClient) -> None:
    posted = web.chat_postMessage(
        channel=ROOM, text="Copy 42", blocks=card("Copy 42", button("Cancel", "cancel"))
    )
    (seen,) = slack.user("U0CARLA").messages(ROOM)
    assert (seen.ts, seen.user, seen.text) == (posted["ts"], "U0BOT", "Copy 42")
    assert seen.plain == "Copy 42\n[Cancel]"
    assert seen.buttons[0] == ("Cancel", "cancel", "42", None)
    assert all(block["block_id"] for block in posted["message"]["blocks"]), "Slack makes up missing ids"


def test_times_of_messages_never_repeat(slack: LocalSlack, web: WebClient) -> None:
    slack.rate_limits(enabled=False)
    times = [web.chat_postMessage(channel=ROOM, text=str(n))["ts"] for n in range(20)]
    assert times == sorted(set(times))


def test_text_alone_deletes_the_blocks_and_marks_the_message_as_edited(
    slack: LocalSlack, web: WebClient
) -> None:
    note = {"event_type": "copy", "event_payload": {"id": 42}}
    ts = web.chat_postMessage(channel=ROOM, text="a", blocks=card("A"), metadata=note)["ts"]
    web.chat_update(channel=ROOM, ts=ts, text="b", blocks=card("B"))
    (message,) = slack.user("U0ANA").messages(ROOM)
    assert (message.plain, message.edited, message.metadata) == ("B", None, note)
    web.chat_update(channel=ROOM, ts=ts, text="c")
    (message,) = slack.user("U0ANA").messages(ROOM)
    assert (message.plain, message.blocks, message.metadata) == ("c", None, note)
    assert message.edited is not None and message.edited["user"] == "U0BOT"


def test_only_own_messages_can_be_changed(slack: LocalSlack, web: WebClient) -> None:
    ts = slack.user("U0ANA").say(ROOM, "mine")
    assert refused(web.chat_update, channel=ROOM, ts=ts, text="x") == "cant_update_message"
    assert refused(web.chat_delete, channel=ROOM, ts=ts) == "cant_delete_message"
    assert refused(web.chat_update, channel=ROOM, ts="1.000001", text="x") == "message_not_found"


def test_text_must_be_there_and_not_too_long(web: WebClient) -> None:
    ts = web.chat_postMessage(channel=ROOM, text="a")["ts"]
    assert refused(web.chat_update, channel=ROOM, ts=ts, text="x" * 4001) == "msg_too_long"
    assert (
        refused(web.api_call, api_method="chat.postMessage", json={"channel": ROOM, "text": ""}) == "no_text"
    )


def test_an_ephemeral_message_cannot_be_updated_and_is_in_no_history(
    slack: LocalSlack, web: WebClient
) -> None:
    ts = web.chat_postEphemeral(channel=ROOM, user="U0ANA", text="psst")["message_ts"]
    assert [m.plain for m in slack.user("U0ANA").messages(ROOM)] == ["psst"]
    assert slack.user("U0BOB").messages(ROOM) == []
    assert refused(web.chat_update, channel=ROOM, ts=ts, text="x") == "message_not_found"
    assert web.conversations_history(channel=ROOM)["messages"] == []


def test_a_message_to_a_person_goes_to_the_conversation_with_them(slack: LocalSlack, web: WebClient) -> None:
    channel = web.chat_postMessage(channel="U0ANA", text="Done")["channel"]
    assert channel == web.conversations_open(users="U0ANA")["channel"]["id"]
    assert [m.plain for m in slack.user("U0ANA").messages(channel)] == ["Done"]


def test_the_bot_writes_in_public_channels_but_does_not_know_private_ones(
    slack: LocalSlack, web: WebClient
) -> None:
    assert web.chat_postMessage(channel="C0OPEN", text="hi")["ok"]
    assert refused(web.chat_postMessage, channel="C0SECRET", text="hi") == "channel_not_found"
    assert refused(web.conversations_history, channel="C0OPEN") == "not_in_channel"
    slack.set_scopes(["chat:write"])
    assert refused(web.chat_postMessage, channel="C0OPEN", text="hi") == "not_in_channel"


def test_a_missing_scope_is_named(slack: LocalSlack, web: WebClient) -> None:
    slack.set_scopes(["chat:write", "commands"])
    with pytest.raises(SlackApiError) as caught:
        web.pins_list(channel=ROOM)
    assert caught.value.response["needed"] == "pins:read"
    assert caught.value.response["provided"] == "chat:write,commands"


def test_an_archived_channel_takes_no_more(slack: LocalSlack, web: WebClient) -> None:
    ts = web.chat_postMessage(channel=ROOM, text="a")["ts"]
    slack.archive(ROOM)
    assert refused(web.chat_postMessage, channel=ROOM, text="b") == "is_archived"
    assert refused(web.chat_update, channel=ROOM, ts=ts, text="b") == "is_inactive"


def test_tokens_are_checked(slack: LocalSlack, web: WebClient) -> None:
    assert web.auth_test()["user_id"] == "U0BOT"
    assert refused(WebClient(base_url=slack.api_url).auth_test) == "not_authed"
    assert refused(WebClient(token="xoxb-other", base_url=slack.api_url).auth_test) == "invalid_auth"
    assert refused(web.apps_connections_open, app_token=slack.bot_token) == "not_allowed_token_type"
    slack.revoke_token()
    assert refused(web.auth_test) == "token_revoked"
    slack.restore_token()
    assert web.auth_test()["ok"]
    assert refused(web.reactions_add, channel=ROOM, name="eyes", timestamp="1.000001") == "unknown_method"


def test_a_thread_counts_its_replies(slack: LocalSlack, web: WebClient) -> None:
    ts = web.chat_postMessage(channel=ROOM, text="Copy 42")["ts"]
    first = web.chat_postMessage(channel=ROOM, text="25%", thread_ts=ts)["ts"]
    last = web.chat_postMessage(channel=ROOM, text="50%", thread_ts=first)["ts"]
    (parent,) = slack.user("U0ANA").messages(ROOM)
    assert (parent.reply_count, parent.latest_reply, parent.reply_users) == (2, last, ["U0BOT"])
    assert [m["text"] for m in web.conversations_replies(channel=ROOM, ts=ts)["messages"]] == [
        "Copy 42",
        "25%",
        "50%",
    ]
    assert [m["text"] for m in web.conversations_history(channel=ROOM)["messages"]] == ["Copy 42"]
    slack.delete_message(ROOM, ts)
    assert [m.text for m in slack.user("U0ANA").thread(ROOM, ts)] == [
        "This message was deleted.",
        "25%",
        "50%",
    ]


def test_history_pages_newest_first_and_between_times(slack: LocalSlack, web: WebClient) -> None:
    slack.rate_limits(enabled=False)
    times = [web.chat_postMessage(channel=ROOM, text=str(n))["ts"] for n in range(7)]
    pages = [
        [m["text"] for m in page["messages"]] for page in web.conversations_history(channel=ROOM, limit=3)
    ]
    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    between = web.conversations_history(channel=ROOM, oldest=times[2], latest=times[4])["messages"]
    assert [m["text"] for m in between] == ["3"]
    between = web.conversations_history(channel=ROOM, oldest=times[2], latest=times[4], inclusive=True)[
        "messages"
    ]
    assert [m["text"] for m in between] == ["4", "3", "2"]


def test_metadata_is_found_again_when_asked_for(web: WebClient) -> None:
    note = {"event_type": "copy", "event_payload": {"id": 42}}
    web.chat_postMessage(channel=ROOM, text="a", metadata=note)
    full = web.conversations_history(channel=ROOM, include_all_metadata=True)["messages"][0]
    assert full["metadata"] == note
    assert "event_payload" not in web.conversations_history(channel=ROOM)["messages"][0]["metadata"]
    bad = {"event_type": "copy"}
    assert refused(web.chat_postMessage, channel=ROOM, text="a", metadata=bad) == "invalid_metadata_schema"


def test_pins_come_and_go(slack: LocalSlack, web: WebClient) -> None:
    ts = web.chat_postMessage(channel=ROOM, text="a")["ts"]
    assert refused(web.pins_remove, channel=ROOM, timestamp=ts) == "no_pin"
    web.pins_add(channel=ROOM, timestamp=ts)
    assert refused(web.pins_add, channel=ROOM, timestamp=ts) == "already_pinned"
    assert [m.ts for m in slack.pins(ROOM)] == [ts] and slack.pins(ROOM)[0].pinned
    assert web.pins_list(channel=ROOM)["items"][0]["message"]["ts"] == ts
    slack.unpin(ROOM, ts)
    assert slack.pins(ROOM) == []
    assert refused(web.pins_add, channel=ROOM, timestamp="1.000001") == "message_not_found"


def test_a_channel_has_room_for_a_hundred_pins(slack: LocalSlack, web: WebClient) -> None:
    slack.add_pins(ROOM, 100)
    ts = web.chat_postMessage(channel=ROOM, text="a")["ts"]
    assert refused(web.pins_add, channel=ROOM, timestamp=ts) == "too_many_pins"


def test_a_deleted_message_is_not_pinned_any_more(slack: LocalSlack, web: WebClient) -> None:
    ts = web.chat_postMessage(channel=ROOM, text="a")["ts"]
    web.pins_add(channel=ROOM, timestamp=ts)
    slack.delete_message(ROOM, ts)
    assert slack.pins(ROOM) == [] and slack.user("U0ANA").messages(ROOM) == []
    assert refused(web.chat_update, channel=ROOM, ts=ts, text="b") == "message_not_found"


def test_the_bot_can_join_a_public_channel_if_it_has_the_scope(slack: LocalSlack, web: WebClient) -> None:
    slack.kick_bot(ROOM)
    assert refused(web.pins_list, channel=ROOM) == "not_in_channel"
    assert refused(web.conversations_join, channel=ROOM) == "missing_scope"
    slack.set_scopes(["channels:join", "pins:read"])
    assert web.conversations_join(channel=ROOM)["channel"]["is_member"]
    assert web.pins_list(channel=ROOM)["items"] == []


def test_people_have_a_time_zone_and_a_locale(web: WebClient) -> None:
    user = web.users_info(user="U0ANA", include_locale=True)["user"]
    assert (user["tz"], user["locale"], user["real_name"]) == ("Europe/Madrid", "es-ES", "Ana Álvarez")
    assert "locale" not in web.users_info(user="U0ANA")["user"]
    assert refused(web.users_info, user="U0NOBODY") == "user_not_found"


def test_groups_have_members_and_may_be_unavailable(slack: LocalSlack, web: WebClient) -> None:
    (group,) = web.usergroups_list()["usergroups"]
    assert (group["id"], group["handle"]) == ("S0ADMINS", "liquidation-admins")
    slack.remove_from_group("U0BOB")
    assert web.usergroups_users_list(usergroup="S0ADMINS")["users"] == ["U0ANA"]
    assert refused(web.usergroups_users_list, usergroup="S0NONE") == "no_such_subteam"
    slack.disable_usergroups()
    assert refused(web.usergroups_users_list, usergroup="S0ADMINS") == "plan_upgrade_required"


def test_channels_tell_what_they_are(web: WebClient) -> None:
    assert {
        c["name"] for c in web.conversations_list(types="public_channel,private_channel")["channels"]
    } == {
        "payroll",
        "general",
    }
    info = web.conversations_info(channel=ROOM, include_num_members=True)["channel"]
    assert (info["is_member"], info["is_private"], info["num_members"]) == (True, False, 4)
    pages = [page["members"] for page in web.conversations_members(channel=ROOM, limit=3)]
    assert [len(page) for page in pages] == [3, 1]
    link = web.chat_getPermalink(channel=ROOM, message_ts=web.chat_postMessage(channel=ROOM, text="a")["ts"])
    assert link["permalink"].startswith("https://acme.slack.com/archives/C0PAYROLL/p1")


def test_a_seed_file_replaces_parts_of_the_workspace(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yml"
    seed.write_text("channels: [{id: C0ONLY, name: only, members: [U0ANA, U0BOT]}]\n")
    with LocalSlackServer(manifest=MANIFEST, seed=seed) as server:
        slack = LocalSlack(server.url)
        web = WebClient(token=slack.bot_token, base_url=slack.api_url)
        assert [c["id"] for c in web.conversations_list()["channels"]] == ["C0ONLY"]
        assert web.chat_postMessage(channel="#only", text="by name")["channel"] == "C0ONLY"
        slack.close()


def test_an_empty_manifest_grants_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yml"
    manifest.touch()
    with LocalSlackServer(manifest=manifest) as server:
        slack = LocalSlack(server.url)
        assert refused(WebClient(token=slack.bot_token, base_url=slack.api_url).users_list) == "missing_scope"
        slack.close()

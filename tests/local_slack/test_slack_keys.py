"""What the local Slack sends has at least the keys that the samples of Slack's own SDKs have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest
from slack_sdk import WebClient

from dev.local_slack.client import LocalSlack

from .office import Office, button, card, form, home
from .sample_keys import ANSWERS, ENVELOPES, FRAMES
from .test_slack_files import picture

Json = dict[str, Any]


def keys_of(value: Any, prefix: str = "") -> Iterator[str]:
    """Nested ones after a dot; what is in a list's entries after `[]`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{prefix}{key}"
            yield from keys_of(inner, f"{prefix}{key}.")
    elif isinstance(value, list):
        for entry in value:
            yield from keys_of(entry, f"{prefix.removesuffix('.')}[].")


def missing(sent: Json, wanted: tuple[str, str]) -> list[str]:
    return sorted(set(wanted[1].split()) - set(keys_of(sent)))


@pytest.fixture(scope="module")
def payloads(office: Office) -> dict[str, Json]:
    """One of each kind, by what the office's app was sent."""
    slack, ana, room = office.slack, office.ana, "C0PAYROLL"
    sent = office.app.client.chat_postMessage(
        channel=room, text="t", blocks=card("Card", button("Copy", "size_go"))
    )
    [message] = [each for each in ana.messages(room) if each.ts == sent["ts"]]
    ana.press(message, "size_go")
    for close in (False, True):
        ana.command("/form", channel=room)
        view = slack.wait_for(ana.modal)
        ana.options("table", "con")
        ana.press(view, "preview")
        office.submission = {}
        ana.close_modal() if close else ana.submit({"reason": "because"})
    ana.open_home()
    kinds: dict[str, Json] = {}
    for each in office.slack.envelopes():
        payload = each.payload
        kind = str(payload.get("type", each.type))
        if kind == "block_actions":
            kind += f" in a {payload['container']['type']}"
        kinds[payload["event"]["type"] if "event" in payload else kind] = payload
    return kinds


@pytest.mark.parametrize("kind", ENVELOPES)
def test_a_payload_has_the_keys_of_slacks_own_sample(payloads: dict[str, Json], kind: str) -> None:
    assert missing(payloads[kind], ENVELOPES[kind]) == []


def test_the_socket_says_what_slacks_says(slack: LocalSlack) -> None:
    async def listen() -> dict[str, Json]:
        opened = WebClient(token=slack.app_token, base_url=slack.api_url).apps_connections_open(
            app_token=slack.app_token
        )
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession() as session, session.ws_connect(str(opened["url"])) as socket:
            frames = [await socket.receive_json()]
            for act in (
                lambda: slack.user("U0ANA").command("/copy-liquidation 42", channel="C0PAYROLL"),
                lambda: slack.user("U0ANA").say("C0PAYROLL", "hi"),
            ):
                doing = loop.run_in_executor(None, act)
                frames.append(await socket.receive_json())
                await socket.send_json({"envelope_id": frames[-1]["envelope_id"]})
                await doing
            leaving = loop.run_in_executor(None, slack.disconnect_sockets, "refresh_requested")
            frames.append(await socket.receive_json())
            await leaving
            return {str(frame["type"]): frame for frame in frames}

    frames = asyncio.run(listen())
    assert [missing(frames[kind], sample) for kind, sample in FRAMES.items()] == [[]] * len(FRAMES)


@pytest.fixture(scope="module")
def answers(office: Office) -> dict[str, Json]:
    """What each method answers, by the method's name."""
    web, ana, room = office.app.client, office.ana, "C0PAYROLL"
    app_token = office.slack.app_token
    metadata = {"event_type": "kind", "event_payload": {"job": "1"}}
    posted = web.chat_postMessage(channel=room, text="t", blocks=card("Card"), metadata=metadata)
    ts = str(posted["ts"])
    found = {
        "chat.postMessage": posted,
        "chat.update": web.chat_update(channel=room, ts=ts, text="t", blocks=card("Card")),
        "apps.connections.open": web.apps_connections_open(app_token=app_token),
        "auth.test": web.auth_test(),
    }
    web.chat_postMessage(channel=room, text="reply", thread_ts=ts, blocks=card("Reply"), metadata=metadata)
    content = picture(10, 10)
    upload = web.files_getUploadURLExternal(filename="p.png", length=len(content))
    httpx.post(str(upload["upload_url"]), content=content, trust_env=False)
    found |= {
        "chat.postEphemeral": web.chat_postEphemeral(channel=room, user="U0ANA", text="x"),
        "chat.getPermalink": web.chat_getPermalink(channel=room, message_ts=ts),
        "pins.add": web.pins_add(channel=room, timestamp=ts),
        "pins.list": web.pins_list(channel=room),
        "conversations.history": web.conversations_history(channel=room, include_all_metadata=True),
        "conversations.replies": web.conversations_replies(channel=room, ts=ts, include_all_metadata=True),
        "conversations.info": web.conversations_info(channel=room),
        "conversations.list": web.conversations_list(),
        "conversations.members": web.conversations_members(channel=room),
        "conversations.open": web.conversations_open(users="U0ANA"),
        "users.info": web.users_info(user="U0ANA", include_locale=True),
        "users.list": web.users_list(),
        "usergroups.list": web.usergroups_list(),
        "usergroups.users.list": web.usergroups_users_list(usergroup="S0ADMINS"),
        "views.publish": web.views_publish(user_id="U0ANA", view=home()),
        "files.getUploadURLExternal": upload,
        "files.completeUploadExternal": web.files_completeUploadExternal(
            files=[{"id": upload["file_id"], "title": "Proof"}], channel_id=room
        ),
        "pins.remove": web.pins_remove(channel=room, timestamp=ts),
    }
    ana.command("/form", channel=room)
    view = office.slack.wait_for(ana.modal)
    found["views.update"] = web.views_update(view_id=view.id, view=form("Again"))
    ana.close_modal()
    found["chat.delete"] = web.chat_delete(channel=room, ts=ts)
    bodies: dict[str, Json] = {method: dict(answer.data) for method, answer in found.items()}  # type: ignore[arg-type]
    return bodies | {"views.open": office.slack.calls("views.open")[-1].response}


@pytest.mark.parametrize("method", ANSWERS)
def test_an_answer_has_the_keys_of_slacks_own_sample(answers: dict[str, Json], method: str) -> None:
    assert missing(answers[method], ANSWERS[method]) == []

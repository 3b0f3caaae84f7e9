"""The payloads of Socket Mode, with the keys that Slack's have."""

import time

from dev.local_slack.core import Core
from dev.local_slack.inputs import initial_values
from dev.local_slack.jsontypes import Json
from dev.local_slack.state import Channel, Message, View
from dev.local_slack.wire import message_json, view_json


def command(core: Core, user: str, channel: Channel, name: str, text: str) -> Json:
    return {
        "token": core.ws.app.verification_token,
        "team_id": core.ws.team.id,
        "team_domain": core.ws.team.domain,
        "enterprise_id": None,
        "channel_id": channel.id,
        "channel_name": _channel_name(channel),
        "user_id": user,
        "user_name": core.ws.users[user].name,
        "command": name,
        "text": text,
        "api_app_id": core.ws.app.id,
        "is_enterprise_install": "false",
        "response_url": core.new_response_url(channel, user),
        "trigger_id": core.new_trigger(user),
    }


def message_action(core: Core, user: str, message: Message, action: Json) -> Json:
    """A press in a message. Slack sends no `message` for an ephemeral one."""
    channel = core.ws.channels[message.channel]
    ephemeral = message.visible_to is not None
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    payload = {
        **_interaction(core, "block_actions", user),
        "container": container,
        "trigger_id": core.new_trigger(user),
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        "state": {"values": initial_values(message.blocks or [], message.values.get(user, {}))},
        "response_url": core.new_response_url(channel, user, message.ts),
        "actions": [action],
    }
    if not ephemeral:
        payload["message"] = message_json(core, message)
    return payload


def view_action(core: Core, user: str, view: View, action: Json) -> Json:
    return {
        **_interaction(core, "block_actions", user),
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": core.new_trigger(user),
        "view": view_json(core, view),
        "actions": [action],
    }


def view_submission(core: Core, user: str, view: View) -> Json:
    return {
        **_interaction(core, "view_submission", user),
        "trigger_id": core.new_trigger(user),
        "view": view_json(core, view),
        "response_urls": [],
    }


def view_closed(core: Core, user: str, view: View, *, cleared: bool) -> Json:
    return {**_interaction(core, "view_closed", user), "view": view_json(core, view), "is_cleared": cleared}


def block_suggestion(
    core: Core, user: str, where: View | Message, block_id: str, action_id: str, query: str
) -> Json:
    payload = {
        **_interaction(core, "block_suggestion", user),
        "action_id": action_id,
        "block_id": block_id,
        "value": query,
    }
    if isinstance(where, View):
        return payload | {"container": {"type": "view", "view_id": where.id}, "view": view_json(core, where)}
    channel = core.ws.channels[where.channel]
    return payload | {
        "container": {
            "type": "message",
            "message_ts": where.ts,
            "channel_id": channel.id,
            "is_ephemeral": where.visible_to is not None,
        },
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        "message": message_json(core, where),
    }


def event(core: Core, body: Json) -> Json:
    return {
        "token": core.ws.app.verification_token,
        "team_id": core.ws.team.id,
        "context_team_id": core.ws.team.id,
        "context_enterprise_id": None,
        "api_app_id": core.ws.app.id,
        "event": body,
        "type": "event_callback",
        "event_id": "Ev" + core.clock.ts().replace(".", ""),
        "event_time": int(core.clock.now()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": core.ws.team.id,
                "user_id": core.bot,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": "4-local",
    }


def action(element: Json, block_id: str, changed: Json) -> Json:
    """One entry of `actions`; `changed` holds what was chosen."""
    kept = ("type", "action_id", "text", "value", "style", "url", "placeholder", "initial_option")
    return {
        **{name: element[name] for name in kept if name in element},
        **changed,
        "block_id": block_id,
        "action_ts": f"{time.time():.6f}",
    }


def _interaction(core: Core, kind: str, user: str) -> Json:
    return {
        "type": kind,
        "user": {
            "id": user,
            "username": core.ws.users[user].name,
            "name": core.ws.users[user].name,
            "team_id": core.ws.team.id,
        },
        "api_app_id": core.ws.app.id,
        "token": core.ws.app.verification_token,
        "team": {"id": core.ws.team.id, "domain": core.ws.team.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _channel_name(channel: Channel) -> str:
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name

"""How state looks on the wire: the JSON objects that Slack's answers and payloads are made of."""

from dev.local_slack.core import Core
from dev.local_slack.jsontypes import Json
from dev.local_slack.state import Channel, File, Group, Message, User, View


def message_json(core: Core, message: Message, *, all_metadata: bool = True) -> Json:
    channel = core.ws.channels[message.channel]
    body: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
    body["team"] = core.ws.team.id
    if message.bot_id:
        body["bot_id"] = message.bot_id
        body["app_id"] = core.ws.app.id
        body["bot_profile"] = {
            "id": message.bot_id,
            "app_id": core.ws.app.id,
            "user_id": core.ws.app.bot_user,
            "name": core.ws.app.name,
            "deleted": False,
            "updated": 1700000000,
            "team_id": core.ws.team.id,
        }
    for name in ("blocks", "attachments", "edited", "subtype", "thread_ts"):
        if getattr(message, name) is not None:
            body[name] = getattr(message, name)
    if message.broadcast:
        body["subtype"] = "thread_broadcast"
    if message.metadata is not None:
        body["metadata"] = (
            message.metadata if all_metadata else {"event_type": message.metadata.get("event_type", "")}
        )
    if message.files:
        body |= {"files": [file_json(core, core.ws.files[file]) for file in message.files], "upload": False}
    replies = channel.replies(message.ts)
    if replies:
        users = list(dict.fromkeys(reply.user for reply in replies))
        body |= {
            "thread_ts": message.ts,
            "reply_count": len(replies),
            "reply_users_count": len(users),
            "latest_reply": replies[-1].ts,
            "reply_users": users,
            "is_locked": False,
            "subscribed": False,
        }
    elif message.is_reply:
        parent = channel.public_message(message.thread_ts or "")
        body["parent_user_id"] = parent.user if parent else message.user
    if channel.is_pinned(message.ts):
        body["pinned_to"] = [channel.id]
    return body


def file_json(core: Core, file: File) -> Json:
    """A file as it stands in a message. Its address needs no token here, so that a browser can show it."""
    address = f"{core.url}/files/{file.id}"
    kind = file.name.rpartition(".")[2].lower() if "." in file.name else "binary"
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "filetype": kind,
        "pretty_type": kind.upper(),
        "user": file.user,
        "size": file.size,
        "mode": "hosted",
        "is_external": False,
        "is_public": file.shared,
        "url_private": address,
        "url_private_download": address,
        "alt_txt": file.alt_text,
    }


def channel_json(core: Core, channel: Channel) -> Json:
    body: Json = {
        "id": channel.id,
        "created": channel.created,
        "creator": channel.creator or core.bot,
        "is_archived": channel.is_archived,
        "is_im": channel.is_im,
        "is_org_shared": False,
        "context_team_id": core.ws.team.id,
        "updated": channel.created * 1000,
    }
    if channel.is_im:
        other = next((user for user in channel.members if user != core.bot), core.bot)
        return body | {"user": other, "is_user_deleted": False, "is_open": True, "priority": 0}
    return body | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.is_private,
        "is_group": False,
        "is_mpim": False,
        "is_private": channel.is_private,
        "is_general": channel.name == "general",
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "shared_team_ids": [core.ws.team.id],
        "unlinked": 0,
        "is_member": core.bot in channel.members,
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "previous_names": [],
    }


def user_json(core: Core, user: User, *, locale: bool) -> Json:
    # Without the scope Slack leaves the address out, and says nothing of it.
    email = {"email": user.email} if user.email and "users:read.email" in core.ws.scopes else {}
    body: Json = {
        "id": user.id,
        "team_id": core.ws.team.id,
        "name": user.name,
        "deleted": user.deleted,
        "color": "4a6fa5",
        "real_name": user.real_name,
        "tz": user.tz,
        "tz_label": user.tz,
        "tz_offset": user.tz_offset,
        "profile": {
            "title": "",
            "phone": "",
            "status_text": "",
            "status_emoji": "",
            "status_expiration": 0,
            "real_name": user.real_name,
            "real_name_normalized": user.real_name,
            "display_name": user.name,
            "display_name_normalized": user.name,
            "first_name": user.real_name.split(" ")[0],
            "last_name": user.real_name.partition(" ")[2],
            "team": core.ws.team.id,
            **email,
        },
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "is_email_confirmed": True,
        "who_can_share_contact_card": "EVERYONE",
        "updated": 1700000000,
    }
    return body | {"locale": user.locale} if locale else body


def group_json(core: Core, group: Group, *, users: bool) -> Json:
    body: Json = {
        "id": group.id,
        "team_id": core.ws.team.id,
        "is_usergroup": True,
        "is_subteam": True,
        "name": group.name,
        "description": "",
        "handle": group.handle,
        "is_external": False,
        "date_create": 1700000000,
        "date_update": 1700000000,
        "date_delete": 1700000001 if group.disabled else 0,
        "auto_type": None,
        "auto_provision": False,
        "enterprise_subteam_id": "",
        "created_by": "U0ANA",
        "updated_by": "U0ANA",
        "deleted_by": None,
        "prefs": {"channels": [], "groups": []},
        "user_count": len(group.users),
        "channel_count": 0,
    }
    return body | {"users": list(group.users)} if users else body


def view_json(core: Core, view: View) -> Json:
    body = view.body
    result: Json = {
        "id": view.id,
        "team_id": core.ws.team.id,
        "type": view.type,
        "blocks": body.get("blocks", []),
        "private_metadata": body.get("private_metadata", ""),
        "callback_id": body.get("callback_id", ""),
        "state": {"values": view.values},
        "hash": view.hash,
        "title": body.get("title") or {"type": "plain_text", "text": "View Title", "emoji": True},
        "clear_on_close": bool(body.get("clear_on_close")),
        "notify_on_close": bool(body.get("notify_on_close")),
        "close": body.get("close"),
        "submit": body.get("submit"),
        "previous_view_id": view.previous_id,
        "root_view_id": view.root_id,
        "app_id": core.ws.app.id,
        "external_id": body.get("external_id", ""),
        "app_installed_team_id": core.ws.team.id,
        "bot_id": core.ws.app.bot_id,
    }
    return result

"""conversations.*: channels, their members and what was said in them."""

from dev.local_slack.access import joined_channel, need_scope, scope_for, visible_channel
from dev.local_slack.args import Args
from dev.local_slack.core import Core
from dev.local_slack.errors import SlackError
from dev.local_slack.jsontypes import Json
from dev.local_slack.method import Method
from dev.local_slack.paging import page
from dev.local_slack.state import Channel, Message
from dev.local_slack.wire import channel_json, message_json


def info(core: Core, args: Args) -> Json:
    channel = _readable(core, args, "read")
    body = channel_json(core, channel)
    if args.flag("include_num_members"):
        body["num_members"] = len(channel.members)
    return {"ok": True, "channel": body}


def list_channels(core: Core, args: Args) -> Json:
    kinds = (args.text("types") or "public_channel").split(",")
    found = []
    for channel in core.ws.channels.values():
        kind = "im" if channel.is_im else "private_channel" if channel.is_private else "public_channel"
        known = core.bot in channel.members or kind == "public_channel"
        if kind in kinds and known and not (channel.is_archived and args.flag("exclude_archived")):
            need_scope(core, scope_for(channel, "read"))
            found.append(channel)
    channels, metadata = page(found, args, default=100, most=1000)
    return {"ok": True, "channels": [channel_json(core, c) for c in channels], "response_metadata": metadata}


def members(core: Core, args: Args) -> Json:
    channel = _readable(core, args, "read")
    found, metadata = page(channel.members, args, default=100, most=1000)
    return {"ok": True, "members": found, "response_metadata": metadata}


def history(core: Core, args: Args) -> Json:
    """Newest first, without thread replies and without what only one person sees."""
    channel = _joined(core, args)
    shown = [m for m in channel.messages.values() if m.visible_to is None and (not m.is_reply or m.broadcast)]
    messages, metadata = page(_between(shown, args)[::-1], args, default=100, most=999)
    return {
        "ok": True,
        "messages": [_message(core, m, args) for m in messages],
        "has_more": bool(metadata["next_cursor"]),
        "pin_count": len(channel.pins),
        "channel_actions_ts": None,
        "channel_actions_count": 0,
        "response_metadata": metadata,
    }


def replies(core: Core, args: Args) -> Json:
    """The parent, then its replies, oldest first."""
    channel = _joined(core, args)
    ts = args.need("ts", "thread_not_found")
    parent = channel.public_message(ts)
    answers = channel.replies(ts)
    if parent is None and not answers:
        raise SlackError("thread_not_found")
    found, metadata = page(_between(answers, args), args, default=1000, most=1000)
    messages = found if parent is None else [parent, *found]
    return {
        "ok": True,
        "messages": [_message(core, m, args) for m in messages],
        "has_more": bool(metadata["next_cursor"]),
        "response_metadata": metadata,
    }


def open_conversation(core: Core, args: Args) -> Json:
    if args.given("channel"):
        channel = visible_channel(core, args.need("channel"))
    else:
        users = args.need("users", "users_list_not_supplied").split(",")
        if len(users) > 1:
            need_scope(core, "mpim:write")
        if users[0] not in core.ws.users:
            raise SlackError("user_not_found")
        if core.ws.users[users[0]].is_bot:
            raise SlackError("cannot_dm_bot")
        channel = core.dm(users[0])
    return {
        "ok": True,
        "no_op": True,
        "already_open": True,
        "channel": channel_json(core, channel) if args.flag("return_im") else {"id": channel.id},
    }


def join(core: Core, args: Args) -> Json:
    channel = visible_channel(core, args.need("channel", "channel_not_found"))
    if channel.is_private or channel.is_im:
        raise SlackError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackError("is_archived")
    already = core.bot in channel.members
    if not already:
        channel.members.append(core.bot)
        core.changes.ring("channel", channel.id)
    body: Json = {"ok": True, "channel": channel_json(core, channel)}
    if already:
        body |= {"warning": "already_in_channel", "response_metadata": {"warnings": ["already_in_channel"]}}
    return body


def _readable(core: Core, args: Args, verb: str) -> Channel:
    channel = visible_channel(core, args.need("channel", "channel_not_found"))
    need_scope(core, scope_for(channel, verb))
    return channel


def _joined(core: Core, args: Args) -> Channel:
    channel = joined_channel(core, args.need("channel", "channel_not_found"))
    need_scope(core, scope_for(channel, "history"))
    return channel


def _between(messages: list[Message], args: Args) -> list[Message]:
    oldest, latest = _time(args, "oldest"), _time(args, "latest")
    inclusive = args.flag("inclusive")

    def fits(message: Message) -> bool:
        micros = _micros(message.ts)
        if inclusive and micros in (oldest, latest):
            return True
        return (oldest is None or micros > oldest) and (latest is None or micros < latest)

    return [message for message in messages if fits(message)]


def _time(args: Args, name: str) -> int | None:
    value = args.text(name)
    if not value:
        return None
    try:
        return _micros(value)
    except ValueError:
        raise SlackError(f"invalid_ts_{name}") from None


def _micros(ts: str) -> int:
    """Exact, where a float would lose the last digit."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0")[:6] or 0)


def _message(core: Core, message: Message, args: Args) -> Json:
    return message_json(core, message, all_metadata=args.flag("include_all_metadata"))


METHODS = {
    "conversations.info": Method(info),
    "conversations.list": Method(list_channels),
    "conversations.members": Method(members),
    "conversations.history": Method(history),
    "conversations.replies": Method(replies),
    "conversations.open": Method(open_conversation, ("im:write", "channels:manage")),
    "conversations.join": Method(join, ("channels:join",)),
}

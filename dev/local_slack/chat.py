"""chat.*: posting, editing and deleting messages."""

import re
from typing import Any

from dev.local_slack.access import visible_channel, writable_channel
from dev.local_slack.args import Args
from dev.local_slack.blocks import check_message_blocks, complete_blocks
from dev.local_slack.core import Core
from dev.local_slack.errors import SlackError
from dev.local_slack.jsontypes import Blocks, Json
from dev.local_slack.method import Method
from dev.local_slack.state import Channel, Message
from dev.local_slack.wire import message_json

LONGEST_TEXT = 4000
LONGEST_MARKDOWN = 12000
_TS = re.compile(r"^\d{1,12}\.\d{6}$")


def post_message(core: Core, args: Args) -> Json:
    channel = writable_channel(core, _conversation(core, args))
    text, blocks = content(args)
    message = core.post(
        channel,
        user=core.bot,
        text=text,
        blocks=blocks,
        thread_ts=thread_of(args),
        metadata=_metadata(args),
        attachments=args.object("attachments"),
        broadcast=args.flag("reply_broadcast") and args.given("thread_ts"),
    )
    return {"ok": True, "channel": channel.id, "ts": message.ts, "message": message_json(core, message)}


def post_ephemeral(core: Core, args: Args) -> Json:
    channel = visible_channel(core, args.need("channel", "channel_not_found"))
    if core.bot not in channel.members:
        raise SlackError("not_in_channel")
    if channel.is_archived:
        raise SlackError("is_archived")
    user = args.need("user", "user_not_found")
    if user not in core.ws.users:
        raise SlackError("user_not_found")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    text, blocks = content(args)
    message = core.post(
        channel, user=core.bot, text=text, blocks=blocks, visible_to=user, thread_ts=thread_of(args)
    )
    return {"ok": True, "message_ts": message.ts}


def update(core: Core, args: Args) -> Json:
    channel = writable_channel(core, args.need("channel", "channel_not_found"), archived_error="is_inactive")
    message = _own_message(core, channel, args, "cant_update_message")
    text, blocks = content(args)
    message.text = text
    message.blocks = blocks or None
    message.edited = {"user": core.bot, "ts": core.clock.ts()} if not blocks else None
    if args.given("attachments"):
        message.attachments = args.object("attachments")
    if args.object("metadata") is not None:
        message.metadata = _metadata(args)
    core.touch(message)
    return {
        "ok": True,
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": message_json(core, message),
    }


def delete(core: Core, args: Args) -> Json:
    channel = writable_channel(core, args.need("channel", "channel_not_found"))
    message = _own_message(core, channel, args, "cant_delete_message")
    core.delete(channel, message)
    return {"ok": True, "channel": channel.id, "ts": message.ts}


def get_permalink(core: Core, args: Args) -> Json:
    channel = visible_channel(core, args.need("channel", "channel_not_found"))
    message = channel.public_message(args.need("message_ts", "message_not_found"))
    if message is None:
        raise SlackError("message_not_found")
    return {"ok": True, "channel": channel.id, "permalink": core.permalink(message)}


def content(args: Args) -> tuple[str, Blocks | None]:
    """Text and blocks, checked; one of them there must be."""
    text, markdown, blocks = args.text("text") or "", args.text("markdown_text") or "", args.object("blocks")
    if markdown:
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > LONGEST_MARKDOWN:
            raise SlackError("msg_too_long")
        return markdown, None
    if not text.strip() and not blocks and not args.object("attachments"):
        raise SlackError("no_text")
    if len(text) > LONGEST_TEXT:
        raise SlackError("msg_too_long")
    return text, checked_blocks(blocks)


def checked_blocks(blocks: Any) -> Blocks | None:
    if not blocks:
        return None
    check_message_blocks(blocks)
    return complete_blocks(blocks)


def _conversation(core: Core, args: Args) -> str:
    """A message to a person goes to the conversation with them."""
    target = args.need("channel", "channel_not_found")
    user = core.ws.users.get(target)
    if user is None:
        return target
    if user.is_bot or user.deleted:
        raise SlackError("channel_not_found")
    return core.dm(target).id


def _own_message(core: Core, channel: Channel, args: Args, error: str) -> Message:
    message = channel.public_message(args.need("ts", "message_not_found"))
    if message is None or message.subtype == "tombstone":
        raise SlackError("message_not_found")
    if message.user != core.bot:
        raise SlackError(error)
    return message


def thread_of(args: Args) -> str | None:
    """The parent that a message is to answer."""
    thread_ts = args.text("thread_ts") or None
    if thread_ts is not None and not _TS.match(thread_ts):
        raise SlackError("invalid_thread_ts")
    return thread_ts


def _metadata(args: Args) -> Json | None:
    metadata = args.object("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise SlackError("invalid_metadata_format")
    if metadata == {}:
        return None
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_schema")
    return metadata


METHODS = {
    "chat.postMessage": Method(post_message, ("chat:write",)),
    "chat.postEphemeral": Method(post_ephemeral, ("chat:write",)),
    "chat.update": Method(update, ("chat:write",)),
    "chat.delete": Method(delete, ("chat:write",)),
    "chat.getPermalink": Method(get_permalink),
}

"""pins.*: a channel has room for a hundred."""

from dev.local_slack.access import joined_channel
from dev.local_slack.args import Args
from dev.local_slack.core import Core
from dev.local_slack.errors import SlackError
from dev.local_slack.jsontypes import Json
from dev.local_slack.method import Method
from dev.local_slack.state import Channel, Message, Pin
from dev.local_slack.wire import message_json

MOST_PINS = 100


def add(core: Core, args: Args) -> Json:
    channel, message = _pinnable(core, args)
    if channel.is_pinned(message.ts):
        raise SlackError("already_pinned")
    if len(channel.pins) >= MOST_PINS:
        raise SlackError("too_many_pins")
    pin(core, channel, message.ts, core.bot)
    return {"ok": True}


def remove(core: Core, args: Args) -> Json:
    channel, message = _pinnable(core, args)
    if not channel.is_pinned(message.ts):
        raise SlackError("no_pin")
    unpin(core, channel, message.ts)
    return {"ok": True}


def list_pins(core: Core, args: Args) -> Json:
    channel = joined_channel(core, args.need("channel", "channel_not_found"))
    items = []
    for entry in reversed(channel.pins):
        message = channel.public_message(entry.ts)
        if message is not None:
            items.append(
                {
                    "type": "message",
                    "created": entry.created,
                    "created_by": entry.created_by,
                    "channel": channel.id,
                    "message": message_json(core, message) | {"permalink": core.permalink(message)},
                }
            )
    return {"ok": True, "items": items}


def pin(core: Core, channel: Channel, ts: str, user: str) -> None:
    channel.pins.append(Pin(ts, int(core.clock.now()), user))
    _touch(core, channel, ts)


def unpin(core: Core, channel: Channel, ts: str) -> None:
    channel.pins = [entry for entry in channel.pins if entry.ts != ts]
    _touch(core, channel, ts)


def _touch(core: Core, channel: Channel, ts: str) -> None:
    core.changes.ring("pins", channel.id)
    core.changes.ring("message", channel.id, ts)


def _pinnable(core: Core, args: Args) -> tuple[Channel, Message]:
    channel = joined_channel(core, args.need("channel", "channel_not_found"))
    if channel.is_archived:
        raise SlackError("is_archived")
    message = channel.public_message(args.need("timestamp", "no_item_specified"))
    if message is None or message.subtype == "tombstone":
        raise SlackError("message_not_found")
    return channel, message


METHODS = {
    "pins.add": Method(add, ("pins:write",)),
    "pins.remove": Method(remove, ("pins:write",)),
    "pins.list": Method(list_pins, ("pins:read",)),
}

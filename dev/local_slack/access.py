"""Who may do what: scopes from the manifest, membership of channels, and what Slack answers otherwise."""

from dev.local_slack.core import Core
from dev.local_slack.errors import SlackError
from dev.local_slack.state import Channel


def need_scope(core: Core, *scopes: str) -> None:
    """Any one of them is enough."""
    if scopes and not set(scopes) & set(core.ws.scopes):
        raise SlackError("missing_scope", needed=scopes[0], provided=",".join(core.ws.scopes))


def scope_for(channel: Channel, verb: str) -> str:
    family = "im" if channel.is_im else "groups" if channel.is_private else "channels"
    return f"{family}:{verb}"


def visible_channel(core: Core, channel_id: str | None) -> Channel:
    """A channel that the bot can know of; a private one without the bot does not exist for it."""
    channel = core.ws.channels.get(channel_id or "")
    if channel is None or ((channel.is_private or channel.is_im) and core.bot not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def joined_channel(core: Core, channel_id: str | None) -> Channel:
    channel = visible_channel(core, channel_id)
    if core.bot not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def writable_channel(core: Core, name_or_id: str | None, *, archived_error: str = "is_archived") -> Channel:
    """Where the bot may write: where it is a member, or any public channel with `chat:write.public`."""
    found = core.find_channel(name_or_id or "")
    channel = visible_channel(core, found.id if found else None)
    if channel.is_archived:
        raise SlackError(archived_error)
    if core.bot not in channel.members and "chat:write.public" not in core.ws.scopes:
        raise SlackError("not_in_channel")
    return channel

"""What every part of the local Slack shares: the state, its clock, its bell, and the rules that more than one
part applies (who sees which channel, how a message comes to be)."""

from dataclasses import dataclass, field

from dev.local_slack.clock import Changes, Clock, new_id
from dev.local_slack.jsontypes import Blocks, Json
from dev.local_slack.rates import RateLimits
from dev.local_slack.seed import SLACKBOT
from dev.local_slack.state import Channel, Message, ResponseUrl, Trigger, Workspace


@dataclass
class Core:
    ws: Workspace
    url: str = ""
    clock: Clock = field(default_factory=Clock)
    changes: Changes = field(default_factory=Changes)
    rates: RateLimits = field(init=False)

    def __post_init__(self) -> None:
        self.rates = RateLimits(self.clock)

    @property
    def bot(self) -> str:
        return self.ws.app.bot_user

    def find_channel(self, name_or_id: str) -> Channel | None:
        """By id, or by name as `chat.postMessage` accepts it."""
        if name_or_id in self.ws.channels:
            return self.ws.channels[name_or_id]
        name = name_or_id.removeprefix("#")
        return next((c for c in self.ws.channels.values() if c.name == name and not c.is_im), None)

    def dm(self, user: str) -> Channel:
        """The conversation of the bot and one person, made on first use."""
        channel_id = _dm_id(user)
        if channel_id not in self.ws.channels:
            self.ws.channels[channel_id] = Channel(
                id=channel_id, name="directmessage", is_im=True, members=[user, self.bot], creator=self.bot
            )
            self.changes.ring("channel", channel_id)
        return self.ws.channels[channel_id]

    def is_read_only(self, channel: Channel) -> bool:
        """Whether it is the bot's conversation with a person, and the manifest lets only the bot write."""
        return self.ws.messages_read_only and channel.is_im and self.bot in channel.members

    @staticmethod
    def people_dm_id(user: str, other: str) -> str:
        return "D" + "".join(sorted(each.removeprefix("U") for each in (user, other)))

    def people_dm(self, user: str, other: str) -> Channel:
        """The conversation of two people, or of somebody with themselves; the bot has no part in it."""
        channel_id = self.people_dm_id(user, other)
        if channel_id not in self.ws.channels:
            members = list(dict.fromkeys((user, other)))
            self.ws.channels[channel_id] = Channel(
                id=channel_id, name="directmessage", is_im=True, members=members, creator=user
            )
            self.changes.ring("channel", channel_id)
        return self.ws.channels[channel_id]

    def dm_of(self, user: str, channel_id: str) -> Channel | None:
        """The direct message of this id that this person has, or would have once they write in it."""
        if channel_id == _dm_id(user):
            return self.dm(user)
        others = (other.id for other in self.ws.users.values() if not other.is_bot and other.id != SLACKBOT)
        other = next((other for other in others if self.people_dm_id(user, other) == channel_id), None)
        return None if other is None else self.people_dm(user, other)

    def channel_id(self, target: str) -> str:
        """Of a channel by its id or name, or of the bot's conversation with a person."""
        channel = self.find_channel(target)
        if channel is not None:
            return channel.id
        return _dm_id(target) if target in self.ws.users else target

    def post(
        self,
        channel: Channel,
        *,
        user: str,
        text: str,
        blocks: Blocks | None = None,
        visible_to: str | None = None,
        thread_ts: str | None = None,
        metadata: Json | None = None,
        attachments: list[Json] | None = None,
        broadcast: bool = False,
        files: list[str] | None = None,
    ) -> Message:
        message = Message(
            ts=self.clock.ts(),
            channel=channel.id,
            user=user,
            text=text,
            blocks=blocks or None,
            attachments=attachments,
            bot_id=self.ws.app.bot_id if user == self.bot else None,
            thread_ts=self._parent_of(channel, thread_ts),
            broadcast=broadcast,
            metadata=metadata,
            visible_to=visible_to,
            files=files or [],
        )
        channel.add(message)
        self.touch(message)
        return message

    def touch(self, message: Message) -> None:
        """It changed; a reply changes what stands below its parent too."""
        self.changes.ring("message", message.channel, message.ts)
        if message.is_reply:
            self.changes.ring("message", message.channel, message.thread_ts or "")

    def slackbot_says(self, channel: Channel, user: str, text: str, thread_ts: str | None = None) -> Message:
        return self.post(channel, user=SLACKBOT, text=text, visible_to=user, thread_ts=thread_ts)

    def delete(self, channel: Channel, message: Message) -> None:
        """A deleted message with replies leaves a tombstone, or its thread would lose its head."""
        if message.visible_to is None and channel.replies(message.ts):
            message.subtype, message.user, message.bot_id = "tombstone", SLACKBOT, None
            message.text, message.blocks, message.metadata = "This message was deleted.", None, None
            message.files = []
            channel.pins = [pin for pin in channel.pins if pin.ts != message.ts]
        else:
            channel.remove(message.ts)
        self.touch(message)
        self.changes.ring("pins", channel.id)

    def new_trigger(self, user: str) -> str:
        trigger = Trigger(id=new_id("") + ".1.local", user=user, issued_at=self.clock.now())
        self.ws.triggers[trigger.id] = trigger
        return trigger.id

    def new_response_url(self, channel: Channel, user: str, message_ts: str | None = None) -> str:
        entry = ResponseUrl(new_id("R"), channel.id, user, self.clock.now(), message_ts)
        self.ws.response_urls[entry.id] = entry
        return f"{self.url}/response/{entry.id}"

    def permalink(self, message: Message) -> str:
        host = f"https://{self.ws.team.domain}.slack.com"
        link = f"{host}/archives/{message.channel}/p{message.ts.replace('.', '')}"
        if message.is_reply:
            link += f"?thread_ts={message.thread_ts}&cid={message.channel}"
        return link

    @staticmethod
    def _parent_of(channel: Channel, thread_ts: str | None) -> str | None:
        """A reply to a reply belongs to the thread of that reply."""
        target = channel.message(thread_ts) if thread_ts else None
        return target.thread_ts if target is not None and target.is_reply else thread_ts


def _dm_id(user: str) -> str:
    return "D" + user.removeprefix("U")

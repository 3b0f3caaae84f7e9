"""The whole state of the local Slack, as plain data: what exists, and nothing about how it is reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dev.local_slack.jsontypes import Blocks, Json


@dataclass
class Team:
    id: str
    name: str
    domain: str


@dataclass
class App:
    """The bot's app as installed in the workspace. With a `request_url` it is in HTTP mode."""

    id: str
    name: str
    bot_id: str
    bot_user: str
    bot_token: str
    app_token: str
    verification_token: str = "local-verification-token"
    signing_secret: str = "10ca1510ca1510ca1510ca1510ca1510"
    request_url: str | None = None
    signature_skew: float = 0.0
    config_token: str = "xoxe.xoxp-local-traspaso"


@dataclass
class User:
    id: str
    name: str
    real_name: str
    email: str = ""
    locale: str = "en-US"
    tz: str = "Europe/Madrid"
    tz_offset: int = 3600
    is_admin: bool = False
    is_bot: bool = False
    deleted: bool = False


@dataclass
class Message:
    """`visible_to` is the only reader of an ephemeral message. `marks` are the warning signs at buttons and
    `values` what stands in its inputs, both for each person."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: Blocks | None = None
    attachments: list[Json] | None = None
    bot_id: str | None = None
    thread_ts: str | None = None
    broadcast: bool = False
    metadata: Json | None = None
    edited: Json | None = None
    subtype: str | None = None
    visible_to: str | None = None
    files: list[str] = field(default_factory=list)
    marks: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, dict[str, Json]] = field(default_factory=dict)

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts


@dataclass
class Pin:
    ts: str
    created: int
    created_by: str


@dataclass
class Channel:
    """Messages by their ts, oldest first; `threads` has the replies of each parent."""

    id: str
    name: str
    is_private: bool = False
    is_im: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    creator: str = ""
    created: int = 1700000000
    members: list[str] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)
    threads: dict[str, list[str]] = field(default_factory=dict)
    pins: list[Pin] = field(default_factory=list)

    def add(self, message: Message) -> None:
        self.messages[message.ts] = message
        if message.is_reply:
            self.threads.setdefault(message.thread_ts or "", []).append(message.ts)

    def message(self, ts: str) -> Message | None:
        return self.messages.get(ts)

    def public_message(self, ts: str) -> Message | None:
        message = self.messages.get(ts)
        return message if message is not None and message.visible_to is None else None

    def thread(self, ts: str) -> list[Message]:
        """All replies, those that only one person sees included."""
        return [self.messages[reply] for reply in self.threads.get(ts, [])]

    def replies(self, ts: str) -> list[Message]:
        return [message for message in self.thread(ts) if message.visible_to is None]

    def is_pinned(self, ts: str) -> bool:
        return any(pin.ts == ts for pin in self.pins)

    def remove(self, ts: str) -> None:
        message = self.messages.pop(ts, None)
        if message is not None and message.is_reply:
            self.threads[message.thread_ts or ""].remove(ts)
        self.pins = [pin for pin in self.pins if pin.ts != ts]


@dataclass
class File:
    """`content` comes with the upload itself; `shared` once it was put into a channel."""

    id: str
    name: str
    title: str
    mimetype: str
    size: int
    user: str
    created: int
    alt_text: str = ""
    content: bytes | None = None
    shared: bool = False


@dataclass
class Group:
    id: str
    handle: str
    name: str
    users: list[str] = field(default_factory=list)
    disabled: bool = False


@dataclass(frozen=True)
class Command:
    """A slash command as the manifest declares it."""

    name: str
    description: str = ""
    hint: str = ""


@dataclass
class View:
    """A modal or a home tab; its reader sees `trouble` and `errors`, and `options` as they were loaded."""

    id: str
    user: str
    body: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    trouble: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    values: dict[str, Json] = field(default_factory=dict)
    options: dict[str, list[Json]] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return str(self.body["type"])


@dataclass
class Trigger:
    id: str
    user: str
    issued_at: float
    used: bool = False


@dataclass
class ResponseUrl:
    id: str
    channel: str
    user: str
    created_at: float
    message_ts: str | None = None
    uses: int = 0


@dataclass
class Call:
    """One call of the Web API; `status` 0 means that there was no answer, or is none yet. A `held` call is
    carried out later than it came, at `applied_at` with its `outcome`, whatever was answered."""

    seq: int
    at: float
    method: str
    user_or_token: str
    args: Json
    status: int
    response: Json
    seconds: float
    held: bool = False
    applied_at: float | None = None
    outcome: Json | None = None


@dataclass
class Envelope:
    """One envelope of Socket Mode, or one request of HTTP mode, where `status` is that of the answer; `acks`
    counts the answers, `late` says that the first came after 3 s."""

    id: str
    type: str
    payload: Json
    sent_at: float
    connection: str | None = None
    deliveries: int = 0
    acks: int = 0
    ack_seconds: float | None = None
    ack_payload: Json | None = None
    late: bool = False
    error: str | None = None
    status: int | None = None


@dataclass
class Fault:
    """Something to go wrong: `times` None means always; `match` compares arguments of the call. With
    `applied_after` the call is carried out so many seconds after it came, whatever is answered. No answer
    comes with `accept_then_drop`, which closes the connection, and `hang`, which leaves it to the client."""

    method: str
    error: str | None = None
    status: int | None = None
    retry_after: int | None = None
    delay: float = 0.0
    accept_then_drop: bool = False
    hang: bool = False
    applied_after: float | None = None
    times: int | None = 1
    match: Json = field(default_factory=dict)
    id: int = 0

    @property
    def silent(self) -> bool:
        return self.accept_then_drop or self.hang


@dataclass
class Workspace:
    """`answered` has the status of each answer of a request URL, also to what came twice."""

    team: Team
    app: App
    users: dict[str, User]
    channels: dict[str, Channel]
    groups: dict[str, Group]
    scopes: list[str] = field(default_factory=list)
    commands: dict[str, Command] = field(default_factory=dict)
    bot_events: list[str] = field(default_factory=list)
    home_enabled: bool = False
    messages_read_only: bool = False
    manifest: Json = field(default_factory=dict)
    token_error: str | None = None
    next_comes_twice: bool = False
    groups_error: str | None = None
    modals: dict[str, list[View]] = field(default_factory=dict)
    homes: dict[str, View] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    response_urls: dict[str, ResponseUrl] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def all_views(self) -> Iterator[View]:
        for stack in self.modals.values():
            yield from stack
        yield from self.homes.values()

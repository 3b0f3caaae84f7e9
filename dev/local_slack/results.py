"""What `LocalSlack` hands out: plain results with just enough on them to be read in a test."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Generic, NamedTuple, TypeVar

from dev.local_slack.jsontypes import Blocks, Json
from dev.local_slack.plain import plain

T = TypeVar("T")


class NotPossible(LookupError):
    """The person cannot do that in Slack; says what there would be to act on instead."""


class Button(NamedTuple):
    text: str
    action_id: str
    value: str | None
    style: str | None


@dataclass(frozen=True)
class Interaction:
    """`shown`: what Slack itself told the person when something went wrong; `warning`: the sign at it."""

    acked: bool
    ack_seconds: float
    error: str | None
    envelope_id: str
    ack_payload: Json | None
    shown: str | None = None
    warning: bool = False
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    ts: str
    user: str
    text: str
    channel: str
    blocks: Blocks | None = None
    thread_ts: str | None = None
    ephemeral: bool = False
    visible_to: str | None = None
    metadata: Json | None = None
    edited: Json | None = None
    subtype: str | None = None
    reply_count: int = 0
    reply_users: list[str] = field(default_factory=list)
    latest_reply: str | None = None
    pinned: bool = False
    files: list[Json] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def plain(self) -> str:
        return plain(self.blocks, self.text)

    @property
    def buttons(self) -> list[Button]:
        return buttons_of(self.blocks)


@dataclass(frozen=True)
class View:
    id: str
    type: str
    user: str
    blocks: Blocks
    hash: str
    title: Json
    submit: Json | None
    close: Json | None
    callback_id: str
    private_metadata: str
    state: Json
    errors: dict[str, str]
    trouble: str | None
    root_view_id: str
    previous_view_id: str | None

    @property
    def plain(self) -> str:
        lines = [] if self.type == "home" else [str(self.title.get("text", ""))]
        lines.append(plain(self.blocks))
        lines += [f"! {text}" for text in [*self.errors.values(), *([self.trouble] if self.trouble else [])]]
        ends = [end["text"] for end in (self.close, self.submit) if end]
        return "\n".join([*lines, " ".join(f"[{text}]" for text in ends)]).rstrip()

    @property
    def buttons(self) -> list[Button]:
        return buttons_of(self.blocks)

    @property
    def inputs(self) -> dict[str, Any]:
        """What stands in each input now, by action id."""
        found: dict[str, Any] = {}
        for actions in self.state["values"].values():
            for action_id, state in actions.items():
                found[action_id] = next((value for key, value in state.items() if key != "type"), None)
        return found


@dataclass(frozen=True)
class Call:
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


@dataclass(frozen=True)
class Envelope:
    id: str
    type: str
    payload: Json
    sent_at: float
    connection: str | None
    deliveries: int
    acks: int
    ack_seconds: float | None
    ack_payload: Json | None
    late: bool
    error: str | None
    status: int | None = None


class Kind(Generic[T]):
    """Builds one result from what the server sent, ignoring what the result has no place for."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._names = {f.name for f in fields(kind)}  # type: ignore[arg-type]

    def __call__(self, body: Json) -> T:
        return self._kind(**{name: value for name, value in body.items() if name in self._names})


def buttons_of(blocks: Blocks | None) -> list[Button]:
    return list(_buttons(blocks))


def _buttons(value: Any) -> Iterator[Button]:
    if isinstance(value, list):
        for item in value:
            yield from _buttons(item)
    elif isinstance(value, dict):
        if value.get("type") in ("button", "icon_button"):
            yield Button(
                value["text"]["text"], value.get("action_id", ""), value.get("value"), value.get("style")
            )
        else:
            for item in value.values():
                yield from _buttons(item)

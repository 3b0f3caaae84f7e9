"""What people do in Slack's client, and what they see of it: commands, presses and option loads."""

from dataclasses import dataclass, field
from typing import Any

from dev.local_slack import payloads
from dev.local_slack.blocks import elements_of
from dev.local_slack.chat import checked_blocks
from dev.local_slack.checker import Checker
from dev.local_slack.core import Core
from dev.local_slack.delivery import Delivery
from dev.local_slack.elements import check_option, check_option_group
from dev.local_slack.errors import InvalidBlocks, NotPossible
from dev.local_slack.inputs import entered, fill, initial_values, value_key
from dev.local_slack.jsontypes import Blocks, Json
from dev.local_slack.sockets import ACK_SECONDS
from dev.local_slack.state import Channel, Envelope, Message, View

NOT_A_COMMAND = (
    '{name} is not a valid command. In Slack, all messages that start with the "/" character are interpreted '
    "as commands.\nIf you are trying to send a message and not run a command, try preceding the "
    '"/" with an empty space.'
)
_PRESSABLE = {"button", "icon_button", "workflow_button", "feedback_buttons"}


@dataclass
class Outcome:
    """How an interaction ended for the person: `shown` is what Slack told them when it went wrong."""

    acked: bool
    ack_seconds: float
    error: str | None = None
    envelope_id: str = ""
    ack_payload: Json | None = None
    shown: str | None = None
    warning: bool = False
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, envelope: Envelope) -> "Outcome":
        seconds = ACK_SECONDS if envelope.ack_seconds is None else envelope.ack_seconds
        return cls(
            acked=envelope.error is None,
            ack_seconds=0.0 if envelope.error == "dispatch_failed" else seconds,
            error=envelope.error,
            envelope_id=envelope.id,
            ack_payload=envelope.ack_payload,
        )


async def run_command(
    core: Core, delivery: Delivery, user: str, channel: Channel, line: str, thread_ts: str | None
) -> Outcome:
    name, _, text = line.strip().partition(" ")
    refusal = None
    if thread_ts is not None:
        refusal = f"{name} is not supported in threads. Sorry!"
    elif name not in core.ws.commands:
        refusal = NOT_A_COMMAND.format(name=name)
    if refusal is not None:
        core.slackbot_says(channel, user, refusal, thread_ts)
        return Outcome(acked=False, ack_seconds=0.0, error="not_a_command", shown=refusal)
    envelope = await delivery.deliver(
        "slash_commands", payloads.command(core, user, channel, name, text.strip()), accepts_payload=True
    )
    outcome = Outcome.of(envelope)
    if envelope.error is None:
        try:
            _show_reply(core, user, channel, envelope.ack_payload or {})
        except InvalidBlocks:
            outcome.error = "invalid_command_response"
    if outcome.error is not None:
        outcome.shown = f'{name} failed with the error "{outcome.error}"'
        core.slackbot_says(channel, user, outcome.shown)
    return outcome


def _show_reply(core: Core, user: str, channel: Channel, reply: Json) -> None:
    text, blocks = str(reply.get("text") or ""), reply.get("blocks")
    if text or blocks:
        visible_to = None if reply.get("response_type") == "in_channel" else user
        core.post(channel, user=core.bot, text=text, blocks=checked_blocks(blocks), visible_to=visible_to)


async def press_in_message(
    core: Core,
    delivery: Delivery,
    user: str,
    message: Message,
    wanted: str,
    value: Any,
    block_id: str | None,
    on_screen: Blocks | None,
    values: Json,
) -> Outcome:
    block, element, changed = find_element(on_screen or message.blocks or [], wanted, value, block_id, {})
    state = message.values[user] = initial_values(message.blocks or [], message.values.get(user, {}))
    fill(message.blocks or [], state, values, {})
    if changed and element["type"] != "overflow":
        state.setdefault(block["block_id"], {})[element["action_id"]] = changed
    mark_id = str(element.get("action_id"))
    action = payloads.action(element, block["block_id"], changed)
    envelope = await delivery.deliver(
        "interactive", payloads.message_action(core, user, message, action), accepts_payload=False
    )
    outcome = Outcome.of(envelope)
    marks = message.marks.setdefault(user, [])
    if mark_id in marks:
        marks.remove(mark_id)
    if outcome.error is not None:
        outcome.warning = True
        marks.append(mark_id)
    core.touch(message)
    return outcome


async def press_in_view(
    core: Core, delivery: Delivery, view: View, wanted: str, value: Any, block_id: str | None, values: Json
) -> Outcome:
    fill(view.body["blocks"], view.values, values, view.options)
    block, element, changed = find_element(view.body["blocks"], wanted, value, block_id, view.options)
    if changed and element["type"] != "overflow":
        view.values.setdefault(block["block_id"], {})[element["action_id"]] = changed
    action = payloads.action(element, block["block_id"], changed)
    envelope = await delivery.deliver(
        "interactive", payloads.view_action(core, view.user, view, action), accepts_payload=False
    )
    outcome = Outcome.of(envelope)
    outcome.warning = outcome.error is not None
    return outcome


async def load_options(
    core: Core, delivery: Delivery, user: str, where: View | Message, action_id: str, query: str
) -> list[Json]:
    """What an external menu offers for `query`; nothing while the query is shorter than the menu asks for."""
    blocks = where.body["blocks"] if isinstance(where, View) else where.blocks or []
    block, element, _ = find_element(blocks, action_id, None, None, {})
    if not element["type"].endswith("external_select"):
        raise NotPossible(f"{action_id} is a {element['type']}, its options are not loaded")
    if len(query) < int(element.get("min_query_length", 3)):
        return []
    envelope = await delivery.deliver(
        "interactive",
        payloads.block_suggestion(core, user, where, block["block_id"], action_id, query),
        accepts_payload=True,
    )
    options = _loaded(envelope.ack_payload or {})
    if isinstance(where, View):
        where.options[action_id] = options
    return options


def _loaded(payload: Json) -> list[Json]:
    """Slack shows nothing at all when one of the options is not fit to be shown."""
    check = Checker()
    groups = payload.get("option_groups") or []
    for n, group in enumerate(groups):
        check_option_group(check, group, f"/option_groups/{n}")
    options = list(payload.get("options") or [])
    if check.items(options, "/options", 100, minimum=0):
        for n, option in enumerate(options):
            check_option(check, option, f"/options/{n}")
    if check.reasons:
        return []
    return options + [option for group in groups for option in group["options"]]


def find_element(
    blocks: Blocks, wanted: str, value: Any, block_id: str | None, loaded: dict[str, list[Json]]
) -> tuple[Json, Json, Json]:
    """Block, element and what changes in it, found by action id, visible text, or an overflow's option. A
    block that isn't there any more was on a screen before the bot edited: then any block will do."""
    seen = []
    is_there = any(block.get("block_id") == block_id for block in blocks)
    for block in blocks:
        if is_there and block.get("block_id") != block_id:
            continue
        for element in elements_of(block):
            label = (element.get("text") or {}).get("text")
            seen.append(f"{label or element['type']} ({element.get('action_id')})")
            if wanted in (element.get("action_id"), label) and (
                element["type"] not in ("button", "icon_button")
                or value is None
                or element.get("value") == value
            ):
                return block, element, _change(element, value, loaded)
            if element["type"] == "overflow" and wanted in [o["text"]["text"] for o in element["options"]]:
                return block, element, entered(element, wanted, [])
    raise NotPossible(f"there is no {wanted!r} to act on here; there is: {', '.join(seen) or 'nothing'}")


def _change(element: Json, value: Any, loaded: dict[str, list[Json]]) -> Json:
    if element["type"] in _PRESSABLE or value is None:
        return {}
    changed = entered(element, value, loaded.get(str(element.get("action_id")), []))
    return changed if value_key(element) in changed else {}

"""What people do with modals and the home tab, and what the bot's answer makes of them."""

import asyncio
from typing import Any

from dev.local_slack import payloads
from dev.local_slack.core import Core
from dev.local_slack.delivery import Delivery
from dev.local_slack.errors import NotPossible, SlackError
from dev.local_slack.inputs import fill, problem_with
from dev.local_slack.interactions import Outcome
from dev.local_slack.jsontypes import Json
from dev.local_slack.state import View
from dev.local_slack.views import checked_view, push_view, replace_view
from dev.local_slack.wire import view_json

TROUBLE = "We had some trouble connecting. Try again?"
HOME_SECONDS = 3.0


def top_modal(core: Core, user: str) -> View | None:
    stack = core.ws.modals.get(user)
    return stack[-1] if stack else None


def need_modal(core: Core, user: str) -> View:
    view = top_modal(core, user)
    if view is None:
        raise NotPossible(f"{user} has no modal open")
    return view


async def submit(core: Core, delivery: Delivery, user: str, values: Json) -> Outcome:
    view = need_modal(core, user)
    if view.body.get("submit") is None:
        raise NotPossible("this modal has no submit button")
    fill(view.body["blocks"], view.values, values, view.options)
    view.trouble, view.errors = None, _unfit(view)
    if view.errors:
        core.changes.ring("modal", user)
        return Outcome(acked=False, ack_seconds=0.0, error="incomplete", errors=view.errors)
    envelope = await delivery.deliver(
        "interactive", payloads.view_submission(core, user, view), accepts_payload=True
    )
    outcome = Outcome.of(envelope)
    if outcome.error is None:
        outcome.error = _apply(core, user, view, envelope.ack_payload)
    if outcome.error is not None:
        view.trouble = outcome.shown = TROUBLE
    outcome.errors = view.errors
    core.changes.ring("modal", user)
    return outcome


def _unfit(view: View) -> dict[str, str]:
    """What Slack's client refuses to send at all."""
    errors = {}
    for block in view.body["blocks"]:
        if block["type"] == "input":
            element = block["element"]
            state = view.values[block["block_id"]][element["action_id"]]
            problem = problem_with(element, state, optional=bool(block.get("optional")))
            if problem:
                errors[block["block_id"]] = problem
    return errors


def _apply(core: Core, user: str, view: View, payload: Any) -> str | None:
    """Do what the ack says; a malformed one is an error that the person sees."""
    stack = core.ws.modals.get(user) or []
    if not payload:
        if view in stack:
            stack.remove(view)
        return None
    action = payload.get("response_action") if isinstance(payload, dict) else None
    try:
        if action == "clear":
            core.ws.modals.pop(user, None)
        elif action == "errors":
            ids = {block["block_id"] for block in view.body["blocks"] if block["type"] == "input"}
            errors = payload.get("errors")
            if not isinstance(errors, dict) or not errors or not set(errors) <= ids:
                return "malformed_ack"
            view.errors = {str(block): str(text) for block, text in errors.items()}
        elif action == "update":
            replace_view(core, view, checked_view(core, payload.get("view"), "modal", replaces=view))
        elif action == "push":
            push_view(core, user, checked_view(core, payload.get("view"), "modal"))
        else:
            return "malformed_ack"
    except SlackError as error:
        return error.error
    return None


async def close(core: Core, delivery: Delivery, user: str, *, everything: bool) -> Outcome:
    """Cancel the top view (or the whole stack); the bot hears of it if the view asked for that."""
    view = need_modal(core, user)
    stack = core.ws.modals[user]
    closed = stack[::-1] if everything or view.body.get("clear_on_close") else [view]
    core.ws.modals[user] = [v for v in stack if v not in closed]
    core.changes.ring("modal", user)
    outcome = Outcome(acked=True, ack_seconds=0.0)
    for gone in closed:
        if gone.body.get("notify_on_close"):
            payload = payloads.view_closed(core, user, gone, cleared=len(closed) > 1)
            envelope = await delivery.deliver("interactive", payload, accepts_payload=False)
            outcome = Outcome.of(envelope)
    return outcome


async def open_home(core: Core, delivery: Delivery, user: str) -> View | None:
    """Look at the bot's home tab; wait for what it publishes in answer."""
    before = core.ws.homes.get(user)
    old_hash = before.hash if before else None
    if "app_home_opened" in core.ws.bot_events:
        event: Json = {
            "type": "app_home_opened",
            "user": user,
            "channel": core.dm(user).id,
            "tab": "home",
            "event_ts": core.clock.ts(),
        }
        if before is not None:
            event["view"] = view_json(core, before)
        await delivery.deliver_event(payloads.event(core, event))
        deadline = asyncio.get_running_loop().time() + HOME_SECONDS
        seq = core.changes.seq
        while (now := core.ws.homes.get(user)) is None or now.hash == old_hash:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            seq = await core.changes.wait(seq, left)
    return core.ws.homes.get(user)


async def say(
    core: Core, delivery: Delivery, user: str, channel_id: str, text: str, thread_ts: str | None
) -> str:
    """A person writes; the bot hears of it where it is a member and subscribed to."""
    channel = core.ws.channels[channel_id]
    message = core.post(channel, user=user, text=text, thread_ts=thread_ts)
    family = "im" if channel.is_im else "groups" if channel.is_private else "channels"
    kinds = []
    if f"message.{family}" in core.ws.bot_events:
        kinds.append(("message", {"channel_type": "group" if family == "groups" else family.rstrip("s")}))
    if "app_mention" in core.ws.bot_events and f"<@{core.bot}>" in text:
        kinds.append(("app_mention", {}))
    for kind, extra in kinds if core.bot in channel.members else []:
        event: Json = {
            "type": kind,
            "user": user,
            "text": text,
            "ts": message.ts,
            "channel": channel.id,
            "event_ts": message.ts,
            "team": core.ws.team.id,
            **extra,
        }
        if message.thread_ts is not None:
            event["thread_ts"] = message.thread_ts
        await delivery.deliver_event(payloads.event(core, event))
    return message.ts

"""views.*: modals (a stack of three at most) and the home tab."""

import json
import secrets
from typing import Any

from dev.local_slack.args import Args
from dev.local_slack.blocks import check_blocks, complete_blocks
from dev.local_slack.checker import Checker
from dev.local_slack.clock import new_id
from dev.local_slack.core import Core
from dev.local_slack.errors import InvalidBlocks, SlackError
from dev.local_slack.inputs import initial_values
from dev.local_slack.jsontypes import Json
from dev.local_slack.method import Method
from dev.local_slack.state import View
from dev.local_slack.wire import view_json

LARGEST_VIEW_BYTES = 250_000
MOST_MODALS = 3
TRIGGER_SECONDS = 3.0
_COMMON = ("blocks", "private_metadata", "callback_id", "external_id")
_MODAL = ("title", "submit", "close", "clear_on_close", "notify_on_close", "submit_disabled")


def open_view(core: Core, args: Args) -> Json:
    body = checked_view(core, args.object("view"), "modal")
    user = _use_trigger(core, args)
    view = new_view(core, user, body)
    core.ws.modals[user] = [view]
    core.changes.ring("modal", user)
    return {"ok": True, "view": view_json(core, view)}


def push(core: Core, args: Args) -> Json:
    body = checked_view(core, args.object("view"), "modal")
    user = _use_trigger(core, args)
    view = push_view(core, user, body)
    return {"ok": True, "view": view_json(core, view)}


def update(core: Core, args: Args) -> Json:
    view = _find(core, args)
    body = checked_view(core, args.object("view"), view.type, replaces=view)
    if args.given("hash") and args.text("hash") != view.hash:
        raise SlackError("hash_conflict")
    replace_view(core, view, body)
    return {"ok": True, "view": view_json(core, view)}


def publish(core: Core, args: Args) -> Json:
    user = args.need("user_id", "invalid_arguments")
    if user not in core.ws.users:
        raise SlackError("user_not_found")
    if not core.ws.home_enabled:
        raise SlackError("not_enabled")
    body = checked_view(core, args.object("view"), "home")
    old = core.ws.homes.get(user)
    if args.given("hash") and (old is None or args.text("hash") != old.hash):
        raise SlackError("hash_conflict")
    if old is None:
        old = core.ws.homes[user] = new_view(core, user, body)
        core.changes.ring("home", user)
    else:
        replace_view(core, old, body)
    return {"ok": True, "view": view_json(core, old)}


def checked_view(core: Core, view: Any, kind: str, replaces: View | None = None) -> Json:
    """The view as it will be stored, or the reasons why it can't be."""
    check = Checker()
    if not isinstance(view, dict):
        raise InvalidBlocks(["missing required field: view [json-pointer:/view]"], error="invalid_arguments")
    if len(json.dumps(view, ensure_ascii=False).encode()) > LARGEST_VIEW_BYTES:
        raise SlackError("view_too_large")
    if view.get("type") != kind:
        check.add("/view/type", f"unsupported type: {view.get('type')}")
    _check_fields(check, view, kind)
    if check.reasons:
        raise InvalidBlocks(
            ["failed to match all allowed schemas [json-pointer:/view]", *check.reasons],
            error="invalid_arguments",
        )
    external_id = view.get("external_id")
    if external_id and any(
        v is not replaces and v.body.get("external_id") == external_id for v in core.ws.all_views()
    ):
        raise SlackError("duplicate_external_id")
    return {**view, "blocks": complete_blocks(view["blocks"])}


def _check_fields(check: Checker, view: Json, kind: str) -> None:
    required = ("type", "blocks", "title") if kind == "modal" else ("type", "blocks")
    optional = (*_COMMON, *_MODAL) if kind == "modal" else (*_COMMON, "title", "submit", "close")
    if not check.fields(view, "/view", required=required, optional=optional):
        return
    if kind == "modal":
        for name in ("title", "submit", "close"):
            if view.get(name) is not None:
                check.text(view[name], f"/view/{name}", 24)
    for name, most in (("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)):
        if view.get(name) is not None:
            check.string(view[name], f"/view/{name}", most, minimum=0)
    check_blocks(check, view["blocks"], "/view/blocks", kind)
    if kind == "modal" and view.get("submit") is None and isinstance(view["blocks"], list):
        for n, block in enumerate(view["blocks"]):
            if isinstance(block, dict) and block.get("type") == "input":
                check.add(f"/view/blocks/{n}/input", "must define `submit` to use an `input` block in modals")


def new_view(core: Core, user: str, body: Json, previous: View | None = None) -> View:
    view_id = new_id("V")
    view = View(
        id=view_id,
        user=user,
        body=body,
        hash=_new_hash(core),
        root_id=previous.root_id if previous else view_id,
        previous_id=previous.id if previous else None,
    )
    view.values = initial_values(body["blocks"], {})
    return view


def push_view(core: Core, user: str, body: Json) -> View:
    stack = core.ws.modals.get(user) or []
    if not stack:
        raise SlackError("expired_trigger_id")
    if len(stack) >= MOST_MODALS:
        raise SlackError("push_limit_reached")
    view = new_view(core, user, body, previous=stack[-1])
    stack.append(view)
    core.changes.ring("modal", user)
    return view


def replace_view(core: Core, view: View, body: Json) -> None:
    """What was typed into blocks that are still there stays, as long as their ids do."""
    view.body, view.hash, view.trouble, view.errors = body, _new_hash(core), None, {}
    view.values = initial_values(body["blocks"], view.values)
    core.changes.ring(view.type, view.user)


def _use_trigger(core: Core, args: Args) -> str:
    trigger = core.ws.triggers.get(args.need("trigger_id"))
    if trigger is None:
        raise SlackError("invalid_trigger_id")
    if trigger.used:
        raise SlackError("exchanged_trigger_id")
    if core.clock.now() - trigger.issued_at > TRIGGER_SECONDS:
        raise SlackError("expired_trigger_id")
    trigger.used = True
    return trigger.user


def _find(core: Core, args: Args) -> View:
    for view in core.ws.all_views():
        if args.given("view_id") and view.id == args.text("view_id"):
            return view
        if args.given("external_id") and view.body.get("external_id") == args.text("external_id"):
            return view
    raise SlackError("not_found")


def _new_hash(core: Core) -> str:
    return f"{int(core.clock.now())}.{secrets.token_hex(4)}"


METHODS = {
    "views.open": Method(open_view),
    "views.push": Method(push),
    "views.update": Method(update),
    "views.publish": Method(publish),
}

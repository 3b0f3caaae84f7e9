"""What a person puts into inputs and menus, as Slack writes it into `state.values` and `actions`."""

from typing import Any

from dev.local_slack.blocks import elements_of
from dev.local_slack.elements import TYPED, all_options
from dev.local_slack.errors import NotPossible
from dev.local_slack.jsontypes import Blocks, Json

_KEYS = {
    "users_select": "selected_user",
    "multi_users_select": "selected_users",
    "channels_select": "selected_channel",
    "multi_channels_select": "selected_channels",
    "conversations_select": "selected_conversation",
    "multi_conversations_select": "selected_conversations",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "radio_buttons": "selected_option",
    "static_select": "selected_option",
    "external_select": "selected_option",
    "overflow": "selected_option",
    "checkboxes": "selected_options",
    "multi_static_select": "selected_options",
    "multi_external_select": "selected_options",
    "rich_text_input": "rich_text_value",
    "file_input": "files",
}
_INITIAL = {
    "selected_option": "initial_option",
    "selected_options": "initial_options",
    "selected_user": "initial_user",
    "selected_users": "initial_users",
    "selected_channel": "initial_channel",
    "selected_channels": "initial_channels",
    "selected_conversation": "initial_conversation",
    "selected_conversations": "initial_conversations",
    "selected_date": "initial_date",
    "selected_time": "initial_time",
    "selected_date_time": "initial_date_time",
    "value": "initial_value",
    "rich_text_value": "initial_value",
}
_LISTS = {"selected_options", "selected_users", "selected_channels", "selected_conversations", "files"}
_STATELESS = {"button", "overflow", "icon_button", "feedback_buttons", "workflow_button"}


def value_key(element: Json) -> str:
    return _KEYS.get(element["type"], "value")


def initial_values(blocks: Blocks, kept: dict[str, Json]) -> dict[str, Json]:
    """The state of fresh inputs; `kept` is what was there before, for ids that are still the same."""
    values: dict[str, Json] = {}
    for block in blocks:
        for element in elements_of(block):
            if element["type"] in _STATELESS:
                continue
            before = kept.get(block["block_id"], {}).get(element["action_id"])
            if before is None or before.get("type") != element["type"]:
                key = value_key(element)
                before = {
                    "type": element["type"],
                    key: element.get(_INITIAL.get(key, ""), [] if key in _LISTS else None),
                }
            values.setdefault(block["block_id"], {})[element["action_id"]] = before
    return values


def entered(element: Json, value: Any, loaded: list[Json]) -> Json:
    """What choosing or typing `value` makes of this element. Options go by value, text, or as they are."""
    key = value_key(element)
    if key == "selected_option":
        value = None if value is None else _option(element, value, loaded)
    elif key == "selected_options":
        value = [_option(element, item, loaded) for item in value or []]
    elif element["type"] in TYPED and key == "value":
        value = None if value in (None, "") else str(value)
    return {"type": element["type"], key: value}


def problem_with(element: Json, state: Json, *, optional: bool) -> str | None:
    """Why Slack's client would not even send this, in its words."""
    value = state.get(value_key(element))
    if value in (None, [], ""):
        return None if optional else "Please complete this required field."
    if isinstance(value, str):
        if len(value) < int(element.get("min_length") or 0):
            return f"This must be at least {element['min_length']} characters."
        if len(value) > int(element.get("max_length") or 3000):
            return f"This must be at most {element.get('max_length') or 3000} characters."
    return None


def fill(blocks: Blocks, state: dict[str, Json], entries: Json, loaded: dict[str, list[Json]]) -> None:
    """Type and choose, in a modal, a home tab or a message; `entries` go by action id, or by `block/action`
    where an action id stands in more than one block, also by a block of before an edit. Changes `state`."""
    rest = dict(entries)
    for block in blocks:
        for element in elements_of(block):
            action_id = element["action_id"]
            names = (f"{block['block_id']}/{action_id}", action_id)
            before = (name for name in rest if name.endswith(f"/{action_id}"))
            name = next((n for n in (*names, *before) if n in rest), None)
            if name is not None and action_id in state.get(block["block_id"], {}):
                options = loaded.get(action_id, [])
                state[block["block_id"]][action_id] = entered(element, rest.pop(name), options)
    if rest:
        raise NotPossible(f"there is no input {', '.join(map(repr, rest))} to fill in")


def _option(element: Json, wanted: Any, loaded: list[Json]) -> Json:
    offered = all_options(element) + loaded
    if isinstance(wanted, dict):
        if element["type"].endswith("external_select"):
            return wanted
        wanted = wanted.get("value")
    for option in offered:
        if wanted in (option.get("value"), option.get("text", {}).get("text")):
            return option
    names = ", ".join(str(option.get("value")) for option in offered) or "none"
    raise NotPossible(f"{element.get('action_id')} offers no option {wanted!r}; it offers: {names}")

"""The rules for what stands inside blocks: buttons, menus, inputs, their options and confirm dialogs."""

from collections.abc import Callable
from typing import Any

from dev.local_slack.checker import Checker
from dev.local_slack.jsontypes import Json

BOTH = ("plain_text", "mrkdwn")
_INPUT = ("action_id", "confirm", "focus_on_load", "placeholder")
_CONVERSATIONS = (*_INPUT, "default_to_current_conversation", "response_url_enabled", "filter")

# element type: (required fields, optional fields)
FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "button": (("text",), ("action_id", "url", "value", "style", "confirm", "accessibility_label")),
    "icon_button": (
        ("icon", "text"),
        ("action_id", "value", "confirm", "accessibility_label", "visible_to_user_ids"),
    ),
    "feedback_buttons": (("positive_button", "negative_button"), ("action_id",)),
    "workflow_button": (("text", "workflow"), ("action_id", "style", "accessibility_label")),
    "image": (("alt_text",), ("image_url", "slack_file")),
    "overflow": (("options",), ("action_id", "confirm")),
    "checkboxes": (("options",), ("action_id", "initial_options", "confirm", "focus_on_load")),
    "radio_buttons": (("options",), ("action_id", "initial_option", "confirm", "focus_on_load")),
    "static_select": ((), (*_INPUT, "options", "option_groups", "initial_option")),
    "multi_static_select": (
        (),
        (*_INPUT, "options", "option_groups", "initial_options", "max_selected_items"),
    ),
    "external_select": ((), (*_INPUT, "initial_option", "min_query_length")),
    "multi_external_select": ((), (*_INPUT, "initial_options", "min_query_length", "max_selected_items")),
    "users_select": ((), (*_INPUT, "initial_user")),
    "multi_users_select": ((), (*_INPUT, "initial_users", "max_selected_items")),
    "conversations_select": ((), (*_CONVERSATIONS, "initial_conversation")),
    "multi_conversations_select": ((), (*_CONVERSATIONS, "initial_conversations", "max_selected_items")),
    "channels_select": ((), (*_INPUT, "initial_channel", "response_url_enabled")),
    "multi_channels_select": ((), (*_INPUT, "initial_channels", "max_selected_items")),
    "datepicker": ((), (*_INPUT, "initial_date")),
    "timepicker": ((), (*_INPUT, "initial_time", "timezone")),
    "datetimepicker": ((), ("action_id", "confirm", "focus_on_load", "initial_date_time")),
    "plain_text_input": (
        (),
        (*_INPUT, "initial_value", "multiline", "min_length", "max_length", "dispatch_action_config"),
    ),
    "number_input": (
        ("is_decimal_allowed",),
        (*_INPUT, "initial_value", "min_value", "max_value", "dispatch_action_config"),
    ),
    "email_text_input": ((), (*_INPUT, "initial_value", "dispatch_action_config")),
    "url_text_input": ((), (*_INPUT, "initial_value", "dispatch_action_config")),
    "rich_text_input": ((), (*_INPUT, "initial_value", "dispatch_action_config")),
    "file_input": ((), ("action_id", "filetypes", "max_files")),
}

MENUS = {name for name in FIELDS if name.endswith("_select")}
PICKERS = {"datepicker", "timepicker", "datetimepicker"}
CHOICES = {"checkboxes", "radio_buttons"}
TYPED = {
    "plain_text_input",
    "number_input",
    "email_text_input",
    "url_text_input",
    "rich_text_input",
    "file_input",
}
IN_ACTIONS = {"button", "workflow_button", "overflow"} | MENUS | PICKERS | CHOICES
IN_ACCESSORY = IN_ACTIONS | {"image"}
IN_INPUT = MENUS | PICKERS | CHOICES | TYPED
IN_CONTEXT_ACTIONS = {"feedback_buttons", "icon_button"}
_MOST_OPTIONS = {"overflow": 5, "checkboxes": 10, "radio_buttons": 10}


def check_element(
    check: Checker, element: Any, path: str, allowed: set[str], action_ids: set[str] | None = None
) -> None:
    if not check.object(element, path):
        return
    kind = element.get("type")
    if kind is None:
        check.add(path, "missing required field: type")
        return
    if kind not in allowed:
        check.add(f"{path}/type", f"unsupported type: {kind}")
        return
    required, optional = FIELDS[kind]
    if not check.fields(element, path, required=("type", *required), optional=optional):
        return
    check.unique(
        "action_id",
        element.get("action_id"),
        f"{path}/action_id",
        set() if action_ids is None else action_ids,
    )
    if element.get("placeholder") is not None:
        check.text(element["placeholder"], f"{path}/placeholder", 150)
    if element.get("confirm") is not None:
        _check_confirm(check, element["confirm"], f"{path}/confirm")
    if kind in _KINDS:
        _KINDS[kind](check, element, path)
    elif kind == "overflow" or kind in MENUS or kind in CHOICES:
        _check_options(check, element, path)


def _check_button(check: Checker, element: Json, path: str) -> None:
    check.text(element["text"], f"{path}/text", 75)
    if element.get("value") is not None:
        check.string(element["value"], f"{path}/value", 2000, minimum=0)
    if element.get("url") is not None:
        check.string(element["url"], f"{path}/url", 3000)
    if element.get("style") is not None:
        check.choice(element["style"], f"{path}/style", ("primary", "danger"))
    if element.get("accessibility_label") is not None:
        check.string(element["accessibility_label"], f"{path}/accessibility_label", 75)


def _check_icon_button(check: Checker, element: Json, path: str) -> None:
    check.text(element["text"], f"{path}/text", 75)
    if element.get("value") is not None:
        check.string(element["value"], f"{path}/value", 2000, minimum=0)


def _check_feedback(check: Checker, element: Json, path: str) -> None:
    for name in ("positive_button", "negative_button"):
        if check.object(element[name], f"{path}/{name}") and check.fields(
            element[name], f"{path}/{name}", required=("text", "value"), optional=("accessibility_label",)
        ):
            check.text(element[name]["text"], f"{path}/{name}/text", 75)


def _check_image(check: Checker, element: Json, path: str) -> None:
    check.string(element["alt_text"], f"{path}/alt_text", 2000)
    if element.get("image_url") is None and element.get("slack_file") is None:
        check.add(path, "must define either `image_url` or `slack_file`")
    elif element.get("image_url") is not None:
        check.string(element["image_url"], f"{path}/image_url", 3000)


def _check_typed(check: Checker, element: Json, path: str) -> None:
    if isinstance(element.get("initial_value"), str):
        check.string(element["initial_value"], f"{path}/initial_value", 3000, minimum=0)


def _check_moment(check: Checker, element: Json, path: str) -> None:
    at = element.get("initial_date_time")
    if at is not None and not (type(at) is int and len(str(at)) == 10):
        check.add(f"{path}/initial_date_time", "must be a UNIX timestamp of 10 digits")


_KINDS: dict[str, Callable[[Checker, Json, str], None]] = {
    "button": _check_button,
    "icon_button": _check_icon_button,
    "feedback_buttons": _check_feedback,
    "image": _check_image,
    "datetimepicker": _check_moment,
    **dict.fromkeys(TYPED, _check_typed),
}


def _check_options(check: Checker, element: Json, path: str) -> None:
    kind = element["type"]
    if kind in ("static_select", "multi_static_select") and not (
        element.get("options") or element.get("option_groups")
    ):
        check.add(path, "must define either `options` or `option_groups`")
        return
    if element.get("options") is not None:
        _check_list(check, element["options"], f"{path}/options", _MOST_OPTIONS.get(kind, 100), kind)
    if element.get("option_groups") is not None and check.items(
        element["option_groups"], f"{path}/option_groups", 100
    ):
        for n, group in enumerate(element["option_groups"]):
            check_option_group(check, group, f"{path}/option_groups/{n}")
    chosen = element.get("initial_options") or (
        [element["initial_option"]] if element.get("initial_option") else []
    )
    offered = [o.get("value") for o in all_options(element)]
    for option in chosen:
        if kind.endswith("static_select") or kind in CHOICES:
            if not isinstance(option, dict) or option.get("value") not in offered:
                check.add(f"{path}/initial_option", "initial option was not found in the options list")
        else:
            check_option(check, option, f"{path}/initial_option")


def _check_list(check: Checker, options: Any, path: str, maximum: int, kind: str = "") -> None:
    if check.items(options, path, maximum):
        for n, option in enumerate(options):
            check_option(check, option, f"{path}/{n}", rich=kind in CHOICES)


def check_option(check: Checker, option: Any, path: str, *, rich: bool = False) -> None:
    if not check.object(option, path):
        return
    if not check.fields(option, path, required=("text", "value"), optional=("description", "url")):
        return
    check.text(option["text"], f"{path}/text", 75, BOTH if rich else ("plain_text",))
    check.string(option["value"], f"{path}/value", 150)
    if option.get("description") is not None:
        check.text(option["description"], f"{path}/description", 75, BOTH if rich else ("plain_text",))


def check_option_group(check: Checker, group: Any, path: str) -> None:
    if check.object(group, path) and check.fields(group, path, required=("label", "options"), optional=()):
        check.text(group["label"], f"{path}/label", 75)
        _check_list(check, group["options"], f"{path}/options", 100)


def _check_confirm(check: Checker, confirm: Any, path: str) -> None:
    if not check.object(confirm, path):
        return
    if not check.fields(confirm, path, required=("title", "text", "confirm", "deny"), optional=("style",)):
        return
    check.text(confirm["title"], f"{path}/title", 100)
    check.text(confirm["text"], f"{path}/text", 300, BOTH)
    check.text(confirm["confirm"], f"{path}/confirm", 30)
    check.text(confirm["deny"], f"{path}/deny", 30)


def all_options(element: Json) -> list[Json]:
    """The options of a menu, grouped or not."""
    options = list(element.get("options") or [])
    for group in element.get("option_groups") or []:
        options += group.get("options") or [] if isinstance(group, dict) else []
    return [option for option in options if isinstance(option, dict)]

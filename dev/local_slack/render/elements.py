"""What a person can act on, as HTML. `data-block` and `data-action` say which element it is, `data-input` how
its value is read, and `data-press` that the bot hears of a change at once."""

import json
from typing import Any

from dev.local_slack.elements import MENUS, all_options
from dev.local_slack.inputs import value_key
from dev.local_slack.jsontypes import Json
from dev.local_slack.render.html import Html, el, join, safe_link
from dev.local_slack.render.sight import Sight, said
from dev.local_slack.state import Channel


def element_html(sight: Sight, block: Json, element: Json, *, label: str | None = None) -> Html:
    """`label` is the id of the label of an input block; without one the element speaks for itself."""
    kind = str(element.get("type"))
    if kind in MENUS:
        shown = _menu(sight, block, element, label)
    elif kind in _KINDS:
        shown = _KINDS[kind](sight, block, element, label)
    else:
        shown = el("span", sight.reader.t("Unknown block: {kind}", kind=kind), class_="unknown")
    if element.get("action_id") not in sight.warnings or not element.get("action_id"):
        return shown
    return el("span", shown, warning(sight), class_="act")


def warning(sight: Sight) -> Html:
    words = sight.reader.t("Slack didn't get an answer in time")
    return el("span", "⚠", class_="warning", role="img", aria_label=words, title=words)


def _marks(block: Json, element: Json, label: str | None = None) -> dict[str, Any]:
    """A change is heard of at once, except in an input block that doesn't ask for it."""
    press = block.get("type") != "input" or bool(block.get("dispatch_action"))
    return {
        "data_block": block.get("block_id"),
        "data_action": element.get("action_id"),
        "data_press": press,
        "aria_labelledby": label,
        "aria_label": None if label else said(element.get("placeholder")) or None,
    }


def _confirm(sight: Sight, element: Json) -> Html | None:
    asked = element.get("confirm")
    if not isinstance(asked, dict):
        return None
    style = "danger" if asked.get("style") == "danger" else "primary"
    return el(
        "template",
        el("h2", sight.text(asked.get("title"))),
        el("div", sight.text(asked.get("text")), class_="says"),
        el(
            "footer",
            el("button", sight.text(asked.get("deny")), type="button", class_="button", value="no"),
            el(
                "button",
                sight.text(asked.get("confirm")),
                type="button",
                class_=f"button {style}",
                value="yes",
            ),
        ),
        class_="confirm",
    )


def _button(sight: Sight, block: Json, element: Json, label: str | None) -> Html:
    marks = _marks(block, element)
    button = el(
        "button",
        sight.text(element.get("text")),
        type="button",
        class_=f"button {element.get('style', '')}".strip(),
        data_button=True,
        data_value=element.get("value"),
        data_url=safe_link(str(element.get("url") or "")),
        **{**marks, "aria_label": element.get("accessibility_label")},
    )
    return el("span", button, _confirm(sight, element), class_="act")


def _feedback(sight: Sight, block: Json, element: Json, label: str | None) -> Html:
    pair = [element["positive_button"], element["negative_button"]]
    return join(*(_button(sight, block, {**element, **each}, label) for each in pair))


def _overflow(sight: Sight, block: Json, element: Json, label: str | None) -> Html:
    items = [
        el(
            "button",
            sight.text(option.get("text")),
            type="button",
            role="menuitem",
            data_button=True,
            data_value=option.get("value"),
            data_url=safe_link(str(option.get("url") or "")),
            **_marks(block, element),
        )
        for option in element.get("options") or []
    ]
    more = sight.reader.t("More actions")
    toggle = el("button", "⋯", type="button", class_="button more", aria_haspopup="menu", aria_label=more)
    return el(
        "span",
        toggle,
        el("div", *items, role="menu", hidden=True),
        _confirm(sight, element),
        class_="overflow",
    )


def _menu(sight: Sight, block: Json, element: Json, label: str | None) -> Html:
    """One menu for all kinds: where its options come from is `data-source`."""
    kind = str(element["type"])
    multi = kind.startswith("multi_")
    chosen = _chosen(sight, sight.state(block, element).get(value_key(element)))
    placeholder = said(element.get("placeholder")) or sight.reader.t("Choose an option")
    marks = _marks(block, element, label)
    box = el(
        "input",
        type="text",
        role="combobox",
        autocomplete="off",
        aria_expanded="false",
        aria_autocomplete="list",
        placeholder=placeholder,
        value="" if multi or not chosen else chosen[0]["label"],
        aria_labelledby=label,
        aria_label=None if label else placeholder,
    )
    return el(
        "span",
        el("span", class_="chips"),
        box,
        el("span", role="listbox", aria_label=placeholder, hidden=True),
        _confirm(sight, element),
        class_="menu",
        data_input="menu",
        data_multi=multi,
        data_source="bot" if "external" in kind else "page",
        data_min=element.get("min_query_length", 3) if "external" in kind else 0,
        data_options=json.dumps(_offered(sight, element)),
        data_chosen=json.dumps(chosen),
        **{**marks, "aria_labelledby": None, "aria_label": None},
    )


def _offered(sight: Sight, element: Json) -> list[Json]:
    """`label` is shown, `value` is what the bot gets; `group` and `hint` where there are some."""
    core, kind = sight.reader.core, str(element["type"])
    if "users" in kind:
        people = [user for user in core.ws.users.values() if not user.is_bot and not user.deleted]
        return [{"label": user.real_name, "value": user.id, "hint": f"@{user.name}"} for user in people]
    if "channels" in kind or "conversations" in kind:
        channels = [c for c in core.ws.channels.values() if _may_choose(sight, c)]
        return [{"label": f"#{channel.name}", "value": channel.id} for channel in channels]
    groups = element.get("option_groups") or []
    if groups:
        return [{**_option(o), "group": said(group["label"])} for group in groups for o in group["options"]]
    return [_option(option) for option in all_options(element)]


def _may_choose(sight: Sight, channel: Channel) -> bool:
    return not channel.is_im and (not channel.is_private or sight.reader.user.id in channel.members)


def _option(option: Json) -> Json:
    shown = {"label": said(option.get("text")), "value": option.get("value")}
    return shown | ({"hint": said(option["description"])} if option.get("description") else {})


def _chosen(sight: Sight, value: Any) -> list[Json]:
    """Options, or ids of people and channels, as the menu shows them; options keep their own form."""
    found = []
    for each in value if isinstance(value, list) else [value] if value else []:
        if isinstance(each, dict):
            found.append({**_option(each), "option": each})
        else:
            name = sight.reader.name(each) if each.startswith("U") else "#" + sight.reader.channel_name(each)
            found.append({"label": name, "value": each})
    return found


def _choices(sight: Sight, block: Json, element: Json, label: str | None) -> Html:
    state = sight.state(block, element)
    one = element["type"] == "radio_buttons"
    marked = [state.get("selected_option")] if one else state.get("selected_options") or []
    values = [option.get("value") for option in marked if isinstance(option, dict)]
    name = f"{block.get('block_id')}/{element.get('action_id')}"
    rows = [
        el(
            "label",
            el(
                "input",
                type="radio" if one else "checkbox",
                name=name,
                value=option.get("value"),
                checked=option.get("value") in values,
            ),
            el(
                "span",
                sight.text(option.get("text")),
                el("small", sight.text(option["description"])) if option.get("description") else None,
            ),
        )
        for option in element.get("options") or []
    ]
    return el(
        "span",
        *rows,
        _confirm(sight, element),
        class_="choices",
        role="radiogroup" if one else "group",
        data_input="one" if one else "some",
        **_marks(block, element, label),
    )


def _picker(sight: Sight, block: Json, element: Json, label: str | None) -> Html:
    kind = {"datepicker": "date", "timepicker": "time", "datetimepicker": "datetime-local"}[element["type"]]
    value = sight.state(block, element).get(value_key(element))
    if kind == "datetime-local" and value:
        value = sight.reader.moment(value).strftime("%Y-%m-%dT%H:%M")
    field = el("input", type=kind, value=value, data_input=kind, **_marks(block, element, label))
    return el("span", field, _confirm(sight, element), class_="act")


def _typed(sight: Sight, block: Json, element: Json, label: str | None) -> Html:
    value = sight.state(block, element).get(value_key(element)) or ""
    shared = {
        "data_input": "text",
        "placeholder": said(element.get("placeholder")) or None,
        "maxlength": element.get("max_length"),
        "autofocus": bool(element.get("focus_on_load")),
        **_marks(block, element, label),
    }
    if element.get("multiline"):
        return el("textarea", str(value), rows=4, **shared)
    kinds = {"number_input": "number", "email_text_input": "email", "url_text_input": "url"}
    step = {"step": "any"} if element.get("is_decimal_allowed") else {}
    return el("input", type=kinds.get(element["type"], "text"), value=value, **step, **shared)


_KINDS = {
    "button": _button,
    "workflow_button": _button,
    "icon_button": _button,
    "feedback_buttons": _feedback,
    "overflow": _overflow,
    "checkboxes": _choices,
    "radio_buttons": _choices,
    "datepicker": _picker,
    "timepicker": _picker,
    "datetimepicker": _picker,
    "plain_text_input": _typed,
    "number_input": _typed,
    "email_text_input": _typed,
    "url_text_input": _typed,
}

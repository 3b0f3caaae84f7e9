"""Modals and the home tab."""

from dev.local_slack.render.blocks import blocks_html
from dev.local_slack.render.html import Html, el
from dev.local_slack.render.reader import Reader
from dev.local_slack.render.sight import Sight, said
from dev.local_slack.state import View


def modal_html(reader: Reader, view: View, depth: int) -> Html:
    """The one on top; `depth` counts the stack, and from two on there is a way back."""
    body = view.body
    back = (
        el("button", "‹", type="button", class_="icon", data_close="one", aria_label=reader.t("Back"))
        if depth > 1
        else None
    )
    submit = body.get("submit")
    close = said(body.get("close")) or reader.t("Cancel" if submit else "Close")
    return el(
        "form",
        el(
            "header",
            back,
            el("h2", said(body.get("title")), id="modal-title"),
            el("button", "✕", type="button", class_="icon", data_close="all", aria_label=reader.t("Close")),
        ),
        el("div", f"⚠ {view.trouble}", class_="trouble", role="alert") if view.trouble else None,
        el("div", blocks_html(_sight(reader, view), body["blocks"]), class_="content"),
        el(
            "footer",
            el("button", close, type="button", class_="button", data_close="one"),
            el(
                "button",
                said(submit),
                type="submit",
                class_="button primary",
                disabled=bool(body.get("submit_disabled")),
            )
            if submit
            else None,
        ),
        novalidate=True,
        data_view=view.id,
        data_hash=view.hash,
    )


def home_html(reader: Reader, view: View | None) -> Html:
    if view is None:
        words = reader.t("{name} has no home tab yet", name=reader.core.ws.app.name)
        return el("p", words, class_="empty")
    shown = blocks_html(_sight(reader, view), view.body["blocks"])
    return el("div", shown, class_="content", data_view=view.id, data_hash=view.hash)


def _sight(reader: Reader, view: View) -> Sight:
    return Sight(reader, view.values, errors=view.errors)

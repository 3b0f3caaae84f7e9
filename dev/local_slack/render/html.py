"""HTML that can't be broken out of: an element is built from parts, and a plain text among them is escaped.

Only `el`, `join` and a parser that escapes by itself make `Html`; everything that came from a bot or a
person is a `str` until then.
"""

import html
from typing import Any

_VOID = {"img", "input", "br", "hr"}


class Html(str):
    """Markup that is safe to be put into a page."""

    __slots__ = ()


Node = str | None


def el(name: str, /, *children: Node, **attributes: Any) -> Html:
    """`el("a", "text", href=…, class_="link", data_ts="1.2", hidden=True)`; None and False are left out."""
    opened = "".join([f"<{name}", *(_attribute(key, value) for key, value in attributes.items()), ">"])
    return Html(opened if name in _VOID else f"{opened}{join(*children)}</{name}>")


def join(*children: Node) -> Html:
    return Html("".join(child if isinstance(child, Html) else html.escape(child or "") for child in children))


def safe_link(address: str) -> str | None:
    """Where a link may lead: what could run something here leads nowhere."""
    scheme = address.strip().partition(":")[0].lower()
    return address.strip() if scheme in {"http", "https", "mailto", "tel"} else None


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'

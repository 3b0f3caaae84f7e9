"""Cursors: an opaque text that says where the next page starts."""

import base64
from typing import TypeVar

from dev.local_slack.args import Args
from dev.local_slack.errors import SlackError
from dev.local_slack.jsontypes import Json

T = TypeVar("T")


def page(items: list[T], args: Args, *, default: int, most: int) -> tuple[list[T], Json]:
    """One page of `items`, and the `response_metadata` that leads to the next."""
    limit = args.number("limit", default)
    if not 1 <= limit <= most:
        raise SlackError("invalid_limit")
    start = _decode(args.text("cursor"))
    end = start + limit
    cursor = _encode(end) if end < len(items) else ""
    return items[start:end], {"next_cursor": cursor}


def _encode(position: int) -> str:
    return base64.b64encode(f"next:{position}".encode()).decode()


def _decode(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor).decode().removeprefix("next:"))
    except ValueError:
        raise SlackError("invalid_cursor") from None

"""The arguments of one Web API call, however they were sent: JSON body, form or query."""

import json
from typing import Any

from aiohttp import web

from dev.local_slack.errors import SlackError
from dev.local_slack.jsontypes import Json

_JSON_IN_TEXT = ("blocks", "view", "metadata", "attachments")


class Args:
    def __init__(self, values: Json) -> None:
        self.values = values

    def given(self, name: str) -> bool:
        return self.values.get(name) not in (None, "")

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return None if value is None else str(value)

    def need(self, name: str, error: str = "invalid_arguments") -> str:
        if not self.given(name):
            raise SlackError(error)
        return str(self.values[name])

    def flag(self, name: str) -> bool:
        return str(self.values.get(name, "")).lower() in ("1", "true")

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.values.get(name) or default)
        except (TypeError, ValueError):
            raise SlackError("invalid_arguments") from None

    def object(self, name: str) -> Any:
        return self.values.get(name)


async def read_args(request: web.Request) -> Args:
    values: Json = dict(request.query)
    if request.content_type == "application/json":
        body = await request.text()
        if body:
            try:
                parsed = json.loads(body)
            except ValueError:
                raise SlackError("invalid_json") from None
            if not isinstance(parsed, dict):
                raise SlackError("json_not_object")
            values |= parsed
    elif request.can_read_body:
        values |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    for name in _JSON_IN_TEXT:
        if isinstance(values.get(name), str) and values[name]:
            try:
                values[name] = json.loads(values[name])
            except ValueError:
                raise SlackError(f"invalid_{name}_format") from None
    return Args(values)

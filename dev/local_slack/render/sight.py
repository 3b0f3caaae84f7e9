"""One message or view as one person has it before them: what stands in its inputs, what went wrong at its
buttons, and the texts that both kinds of Slack's text objects make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dev.local_slack.jsontypes import Json
from dev.local_slack.render.html import Html, join
from dev.local_slack.render.mrkdwn import mrkdwn, plain_text
from dev.local_slack.render.reader import Reader


@dataclass(frozen=True)
class Sight:
    """`values` by block and action id; `warnings` are action ids, `errors` go by block id."""

    reader: Reader
    values: dict[str, Json] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def text(self, value: Any) -> Html:
        """A text object of either kind; nothing for None."""
        if not isinstance(value, dict):
            return join(str(value or ""))
        content = str(value.get("text", ""))
        if value.get("type") == "mrkdwn":
            return mrkdwn(content, self.reader)
        return plain_text(content, emoji=value.get("emoji", True) is not False)

    def state(self, block: Json, element: Json) -> Json:
        """What stands in this input, in the shape of Slack's `state.values`."""
        found: Json = self.values.get(block.get("block_id", ""), {}).get(element.get("action_id", ""), {})
        return found


def said(value: Any) -> str:
    """A text object as a bare string, for labels that can't hold markup."""
    return str(value.get("text", "")) if isinstance(value, dict) else str(value or "")

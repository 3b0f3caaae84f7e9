"""One name for JSON as it travels: Slack's payloads are open-ended, so their values are not typed further."""

from typing import Any

Json = dict[str, Any]
Blocks = list[Json]

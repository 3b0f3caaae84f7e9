"""Collects what is wrong with a piece of Block Kit, in Slack's words, each with the place it was found at."""

from collections.abc import Iterable
from typing import Any

from dev.local_slack.jsontypes import Json


class Checker:
    """What returns a bool says whether the value is fit to be looked into further."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def add(self, path: str, reason: str) -> None:
        self.reasons.append(f"{reason} [json-pointer:{path}]")

    def object(self, value: Any, path: str) -> bool:
        if isinstance(value, dict):
            return True
        self.add(path, "must provide an object")
        return False

    def fields(self, value: Json, path: str, *, required: Iterable[str], optional: Iterable[str]) -> bool:
        """No field missing, none unknown."""
        required = tuple(required)
        missing = [name for name in required if value.get(name) is None]
        for name in missing:
            self.add(path, f"missing required field: {name}")
        for name in value.keys() - set(required) - set(optional):
            self.add(path, f"invalid additional property: {name}")
        return not missing

    def string(self, value: Any, path: str, maximum: int, minimum: int = 1) -> bool:
        if not isinstance(value, str):
            self.add(path, "must be a string")
            return False
        if len(value) < minimum:
            self.add(path, f"must be more than {minimum - 1} characters")
        if len(value) > maximum:
            self.add(path, f"must be less than {maximum + 1} characters")
        return True

    def items(self, value: Any, path: str, maximum: int, minimum: int = 1) -> bool:
        if not isinstance(value, list):
            self.add(path, "must provide an array")
            return False
        if len(value) < minimum:
            self.add(path, f"no less than {minimum} items allowed" if minimum > 1 else "must provide an item")
        if len(value) > maximum:
            self.add(path, f"no more than {maximum} items allowed")
        return True

    def text(self, value: Any, path: str, maximum: int, kinds: tuple[str, ...] = ("plain_text",)) -> None:
        """A text object."""
        if not self.object(value, path):
            return
        if not self.fields(value, path, required=("type", "text"), optional=("emoji", "verbatim")):
            return
        if value["type"] not in kinds:
            self.add(f"{path}/type", f"unsupported type: {value['type']}")
            return
        self.string(value["text"], f"{path}/text", maximum)

    def choice(self, value: Any, path: str, allowed: Iterable[str]) -> None:
        if value not in set(allowed):
            self.add(path, f"must be one of: {', '.join(sorted(allowed))}")

    def unique(self, name: str, value: Any, path: str, seen: set[str]) -> None:
        """The id is fit to be one, and is the only one of its name so far."""
        if value is None or not self.string(value, path, 255):
            return
        if value in seen:
            self.add(path, f'`{name}` "{value}" already exists')
        seen.add(value)

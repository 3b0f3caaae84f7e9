"""The campaign's end of the hooks: an event for each point that a process reaches, and its leave to go on."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """A thread of the process ``name`` stands at this point."""

    point: str
    args: tuple[Any, ...]
    name: str
    pid: int
    thread: int
    at: float = field(default_factory=time.monotonic)

    @property
    def moment(self) -> str:
        """The point, and what tells its occurrences apart: whose snapshot, which message."""
        more = self.args[1:2]
        match self.point:
            case "snapshot":
                more = self.args[:1]
            case "delivery" | "delivered":
                pass
            case "post" | "posted":
                more = (str(more[0]).split("-", 1)[0],)
            case "edit" | "pin":
                more = ("of an end",) if more[0] in ENDS else ("while it runs",)
            case _:
                more = ()
        return " ".join([self.point, *map(str, more)])


#: States in which nothing more comes.
ENDS = frozenset({"completed", "failed", "cancelled"})


def nothing(event: Event) -> None:
    """What is done at a point while no run goes on."""


class Listener:
    """Calls `told` for each event, in a thread of its own; the process waits until that returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: Callable[[Event], None] = nothing
        self.failed: list[BaseException] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen(128)
        threading.Thread(target=self._accept, name="chaos-listener", daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line,), name="chaos-line", daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line, line.makefile("rb") as words, suppress(OSError):
            for word in words:
                body = json.loads(word)
                event = Event(body["point"], tuple(body["args"]), body["name"], body["pid"], body["thread"])
                try:
                    self.told(event)
                except Exception as error:  # the campaign's own mistake: it has to hear of it
                    self.failed.append(error)
                line.sendall(b".")

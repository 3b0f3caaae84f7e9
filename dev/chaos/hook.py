"""In a process of the product: at each named point it tells the campaign, and waits for leave to go on.

The hook itself does nothing else. Whoever answers may kill or stop the process meanwhile, or do anything to
what it talks to, at exactly that moment. Without the environment variable nothing is installed; where the
campaign is gone, the process goes on.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from typing import Any

from dev.chaos.points import PREFIX

#: Path of the campaign's socket, and the process's name there.
SOCKET, NAME = "TRASPASO_CHAOS_SOCKET", "TRASPASO_CHAOS_NAME"


def install() -> None:
    """From here on this process reports its points, if the environment says where."""
    path = os.environ.get(SOCKET)
    if path:
        sys.addaudithook(Hook(path, os.environ.get(NAME, "?")))


class Hook:
    """An audit hook with a connection a thread."""

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._name = name
        self._local = threading.local()

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not event.startswith(PREFIX):
            return
        message = {
            "point": event.removeprefix(PREFIX),
            "args": args,
            "name": self._name,
            "pid": os.getpid(),
            "thread": threading.get_ident(),
        }
        try:
            line = self._line()
            line.sendall(json.dumps(message, default=str).encode() + b"\n")
            line.recv(1)
        except OSError:
            self._local.line = None

    def _line(self) -> socket.socket:
        line: socket.socket | None = getattr(self._local, "line", None)
        if line is None:
            line = socket.socket(socket.AF_UNIX)
            line.connect(self._path)
            self._local.line = line
        return line

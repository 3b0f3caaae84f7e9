"""A server that lets nobody in, and says so with the SQLSTATE and the words that it is given.

For what no server here says: other languages, other poolers. It speaks PostgreSQL's protocol up to there.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

#: What a client may ask before it says who it is: TLS, and GSSAPI. The answer is no.
_ENCRYPTION = {b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"}


class RefusingServer:
    """A context manager. ``attempts`` counts the logins that were refused."""

    def __init__(self, sqlstate: str, words: str, severity: str = "FATAL") -> None:
        fields = {"S": severity, "V": "FATAL", "C": sqlstate, "M": words}
        body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
        self._answer = b"E" + struct.pack("!I", len(body) + 4) + body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.attempts = 0
        threading.Thread(target=self._run, daemon=True).start()

    def url(self, database: str = "payroll", options: str = "") -> str:
        return f"postgresql://reader:hunter2-very-secret@127.0.0.1:{self.port}/{database}{options}"

    def _run(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client = self._listener.accept()[0]
                with client, suppress(OSError, struct.error):  # gone before it has said anything
                    self._refuse(client)

    def _refuse(self, client: socket.socket) -> None:
        client.settimeout(10)
        while True:
            (length,) = struct.unpack("!I", client.recv(4, socket.MSG_WAITALL))
            if client.recv(length - 4, socket.MSG_WAITALL)[:4] not in _ENCRYPTION:
                break
            client.sendall(b"N")
        self.attempts += 1
        client.sendall(self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

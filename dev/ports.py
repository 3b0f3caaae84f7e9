"""TCP ports for servers that can't choose one themselves, and that must keep theirs over a restart.

A port that is looked for now and bound a moment later may be lost in between. Two things against it:
whoever uses such a port tries again with another when the server can't bind it, and the ports lie below the
range from which the system takes those of outgoing connections. (A client that knocks at a closed port of
*that* range may even end up connected to itself, and so keep the server from coming back.)
"""

from __future__ import annotations

import random
import socket

FIRST, LAST = 15_000, 32_000
ATTEMPTS = 20


def candidate_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    for _ in range(200):
        port = random.randrange(FIRST, LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {FIRST} and {LAST} on 127.0.0.1")

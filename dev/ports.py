"""TCP ports for servers that can't choose one themselves, and that must keep theirs over a restart.

A port that is looked for now and bound a moment later may be lost in between. Two things against it:
whoever uses such a port tries again with another when the server can't bind it, and the ports lie below the
range from which the system takes those of outgoing connections. (A client that knocks at a closed port of
*that* range may even end up connected to itself, and so keep the server from coming back.) Of several
processes of one test run each has a part of the range, so that none takes the port of another's server
that is down for a moment.
"""

from __future__ import annotations

import os
import random
import socket

FIRST, LAST = 15_000, 32_000
PARTS = 17
ATTEMPTS = 20

_random = random.SystemRandom()  # Hypothesis makes the other one repeat itself


def candidate_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    ports = _our_part(os.environ.get("PYTEST_XDIST_WORKER", ""))
    for _ in range(200):
        port = _random.choice(ports)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {ports[0]} and {ports[-1]} on 127.0.0.1")


def _our_part(worker: str) -> range:
    """Of the range; all of it for a process that is no worker of pytest-xdist (``gw0``, ``gw1``, …)."""
    if not worker.startswith("gw"):
        return range(FIRST, LAST)
    size = (LAST - FIRST) // PARTS
    first = FIRST + int(worker.removeprefix("gw")) % PARTS * size
    return range(first, first + size)

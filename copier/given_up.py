"""Given up."""

from __future__ import annotations

import psycopg


class GivenUp(psycopg.OperationalError):
    """A statement was broken off, for this ``reason``. The connection is closed or can be rolled back."""

    def __init__(self, reason: Exception) -> None:
        super().__init__("the statement was broken off")
        self.reason = reason

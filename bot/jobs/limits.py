"""Limits of the tracking tables' transactions: none waits for ever, whatever holds a row or the server.

Copies share the connections and set their own, because a count or a merge may take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event, text

from copier import settings
from copier.interruptible import ask_while_waiting, at_most
from copier.sessions import LOST_SECONDS

#: Seconds that a transaction of the tracking tables waits for a lock, and that a statement of it may take.
LOCK_SECONDS, STATEMENT_SECONDS = 5.0, 10.0
#: A server that should have ended a statement and says nothing counts as lost after so many seconds.
SILENT_SECONDS = 12.0
#: The execution option that names a session, and the name of those without.
LABEL, NOBODYS = "traspaso_label", "traspaso"

_LIMITS = text(f"SELECT {settings.LOST}, set_config('statement_timeout', :statement, true)")


def with_limits(engine: Engine) -> Engine:
    """The same connections, for the tracking tables: each transaction begins with its limits."""
    limited = engine.execution_options()
    event.listen(limited, "begin", _begun)
    return limited


def give_up_silent_servers(engine: Engine) -> None:
    """Each new connection counts as lost where its server is silent for too long.

    Who asks for what may take longer, as a copy does, says so: `copier.interruptible.ask_while_waiting`.
    """

    @event.listens_for(engine, "connect")
    def connected(driver: psycopg.Connection, record: object) -> None:
        ask_while_waiting(driver, at_most(SILENT_SECONDS))


@contextmanager
def transaction(engine: Engine, label: str) -> Iterator[Connection]:
    """One whose session has this name on the server."""
    with engine.connect() as session:
        connection = session.execution_options(**{LABEL: label})
        with connection.begin():
            yield connection


def _begun(connection: Connection) -> None:
    options: dict[str, Any] = dict(connection.get_execution_options())
    values = settings.lost_after(LOST_SECONDS, options.get(LABEL, NOBODYS), LOCK_SECONDS)
    connection.execute(_LIMITS, {**values, "statement": settings.milliseconds(STATEMENT_SECONDS)})

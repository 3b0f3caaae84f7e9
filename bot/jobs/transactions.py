"""Transactions of the tracking tables: their limits, their sessions' names, and moments by consulta's clock.

No transaction waits for ever, whatever holds a row or the server. Copies share the connections and set limits
of their own, because a count or a merge may take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Connection, Engine, event, func, or_, text

from copier import statements
from copier.connections import LOST_SECONDS, ask_while_waiting, at_most

#: Nothing is put off for longer, but for pins in lost channels. Consulta's clock may be set back: a moment
#: that lies further ahead was written before.
LONGEST = timedelta(minutes=10)
#: Seconds that a transaction of the tracking tables waits for a lock, and that a statement of it may take.
LOCK_SECONDS, STATEMENT_SECONDS = 5.0, 10.0
#: A server that should have ended a statement and says nothing counts as lost after so many seconds.
SILENT_SECONDS = 12.0
#: The execution option that names a session, and the name of those without.
LABEL, NOBODYS = "traspaso_label", "traspaso"

_LIMITS = text(f"SELECT {statements.LOST}, set_config('statement_timeout', :statement, true)")


def has_come(moment: Any, *, early: timedelta = timedelta()) -> ColumnElement[bool]:
    """A condition: the moment is over, or comes within ``early``.

    One that lies further ahead than `LONGEST` is over too.
    """
    now = func.clock_timestamp()
    return or_(moment <= now + early, moment > now + LONGEST)


def with_limits(engine: Engine) -> Engine:
    """The same connections, for the tracking tables: each transaction begins with its limits."""
    limited = engine.execution_options()
    event.listen(limited, "begin", _begun)
    return limited


def give_up_silent_servers(engine: Engine) -> None:
    """Each new connection counts as lost where its server is silent for too long.

    Who asks for what may take longer, as a copy does, says so: `copier.connections.ask_while_waiting`.
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
    values = statements.lost_after(LOST_SECONDS, options.get(LABEL, NOBODYS), LOCK_SECONDS)
    connection.execute(_LIMITS, {**values, "statement": statements.milliseconds(STATEMENT_SECONDS)})

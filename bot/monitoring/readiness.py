"""Whether all that this process depends on is there: what ``/readyz`` says.

Every check has a time limit, and what it found counts for two seconds, so that probes can't load what they
look at. No sentence has a password, a token or a value of a row.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, Engine, text

from bot.config import SIDES, sentence_of
from bot.errors import BotError
from bot.monitoring import rows
from bot.monitoring.bounded import Bounded, NoAnswer
from copier.errors import CopierError, failures_of

if TYPE_CHECKING:
    from slack_sdk.socket_mode.builtin import SocketModeClient

    from bot.work.queue import RedisHealth

log = logging.getLogger(__name__)


T = TypeVar("T")


class NotReady(Exception):
    """A check's sentence: what is wrong, and the next step."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check has found, in how many milliseconds."""

    name: str
    ok: bool
    ms: float
    says: str


@dataclass(frozen=True, slots=True)
class ConsultaState:
    """``schema`` is what is wrong with the tracking tables; the rest is known only where nothing is."""

    schema: str | None
    no_worker: bool = False
    outbox_seconds: float = 0.0


class Readiness:
    """The checks of one process. ``slack`` gives the sentence on its connection, or raises NotReady."""

    def __init__(
        self,
        prod: Engine,
        tracking: Engine,
        redis: RedisHealth,
        check_version: Callable[[Connection], None],
        *,
        outbox_seconds: float,
        slack: Callable[[], str] | None = None,
    ) -> None:
        self._tracking = tracking
        self._check_version = check_version
        self._outbox_seconds = outbox_seconds
        self._slack = slack
        self._prod = Bounded("prod", lambda: _answers(prod, SIDES.source))
        self._consulta = Bounded("consulta", self._look_at_consulta)
        self._redis = Bounded("redis", lambda: _usable(redis))

    def results(self) -> list[CheckResult]:
        """All checks, one after the other; they look at the same time."""
        for look in (self._prod, self._consulta, self._redis):
            look.begin()
        found = []
        if self._slack is not None:
            found.append(_result("slack", 0.0, self._slack))
        found.append(_asked("prod", self._prod, lambda said: said))
        found.append(_asked("consulta", self._consulta, lambda state: "it answers"))
        found.append(_asked("schema", self._consulta, _schema))
        found.append(_asked("workers", self._consulta, _workers))
        found.append(_asked("outbox", self._consulta, self._outbox))
        found.append(_asked("redis", self._redis, lambda said: said))
        return found

    def _look_at_consulta(self) -> ConsultaState:
        with failures_of(SIDES.target), self._tracking.begin() as connection:
            rows.limit(connection)
            try:
                self._check_version(connection)
            except BotError as error:
                return ConsultaState(str(error))
            waits = [each.seconds for each in rows.owed(connection) if each.kind not in rows.PATIENT]
            return ConsultaState(None, rows.no_worker(connection), max(waits, default=0.0))

    def _outbox(self, state: ConsultaState) -> str:
        _known(state)
        if state.outbox_seconds > self._outbox_seconds:
            raise NotReady(
                f"a message has waited for {state.outbox_seconds:.0f} s, and {self._outbox_seconds:.0f} s is "
                "the limit (health.outbox_seconds): the log says what Slack answers"
            )
        return f"the oldest message has waited for {state.outbox_seconds:.0f} s"


def _answers(engine: Engine, side: str) -> str:
    with failures_of(side), engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return "it answers"


def _usable(redis: RedisHealth) -> str:
    if reason := redis.reason():
        raise NotReady(f"Redis at {redis.place} can't be used: {reason}")
    return "it can be used"


def _known(state: ConsultaState) -> None:
    if state.schema is not None:
        raise NotReady("not known: the tracking tables aren't this release's")


def _schema(state: ConsultaState) -> str:
    if state.schema is not None:
        raise NotReady(state.schema)
    return "the tracking tables are this release's"


def _workers(state: ConsultaState) -> str:
    _known(state)
    if state.no_worker:
        raise NotReady("no worker is alive, so copies wait: start one")
    return "a worker is alive"


def _asked(name: str, look: Bounded[T], says: Callable[[T], str]) -> CheckResult:
    try:
        found = look.get()
    except Exception as error:
        return CheckResult(name, False, look.seconds * 1000, _sentence(error))
    return _result(name, look.seconds * 1000, lambda: says(found))


def _result(name: str, ms: float, says: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult(name, True, ms, says())
    except Exception as error:
        return CheckResult(name, False, ms, _sentence(error))


def _sentence(error: Exception) -> str:
    """An error that nobody foresaw is named by its class: its words may hold anything."""
    if isinstance(error, (NotReady, NoAnswer, BotError)):
        return str(error)
    if isinstance(error, CopierError):
        return sentence_of(error)
    log.error("a check failed: %s", type(error).__name__)
    return f"it could not be looked at: {type(error).__name__}"


#: Slack is pinged every two seconds; without an answer for so long the line counts as lost.
PONG_SECONDS = 15.0


def socket_sentence(client: SocketModeClient) -> str:
    """Raises NotReady with what is wrong."""
    session = client.current_session
    if session is None or not client.is_connected():
        raise NotReady("not connected to Slack: the log says why, and when the next try is")
    pong = session.last_ping_pong_time
    if pong is None:
        return "connected just now"
    seconds = max(0.0, time.time() - pong)
    if seconds > PONG_SECONDS:
        raise NotReady(f"Slack has not answered a ping for {seconds:.0f} s: it is connected to anew soon")
    return f"connected, the last pong came {seconds:.1f} s ago"


def socket_threads(client: SocketModeClient) -> Mapping[str, bool]:
    """The SDK's own threads, and whether they live; the one that looks after the line begins with it."""
    found = {
        "socket-reader": client.current_session_runner,
        "socket-messages": client.message_processor,
        **({"socket-monitor": client.current_app_monitor} if client.current_app_monitor_started else {}),
    }
    return {name: thread.is_alive() for name, thread in found.items()}

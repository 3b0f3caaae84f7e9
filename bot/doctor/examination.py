"""The checks side by side, each in a thread of its own and none longer than its time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy import Engine

from bot.config import Settings, sentence_of
from bot.doctor.findings import IDS, Finding, failed, ok, skipped
from bot.errors import BotError
from copier.errors import CopierError

log = logging.getLogger(__name__)

#: How long all checks together may take, in seconds, and how long one question to a server may.
LIMIT_SECONDS, ANSWER_SECONDS = 25.0, 5.0

Value = TypeVar("Value")


class Unknown(Exception):
    """Something can't be looked at, for this reason."""


class Prerequisite(Generic[Value]):
    """What one check finds out and others build upon."""

    def __init__(self) -> None:
        self._found: Future[Value] = Future()

    def set(self, value: Value) -> None:
        self._found.set_result(value)

    @property
    def is_set(self) -> bool:
        return self._found.done()

    def fail(self, why: str) -> None:
        """It can't be found out: whoever builds upon it is skipped for this reason."""
        if not self._found.done():
            self._found.set_exception(Unknown(why))

    def get(self, seconds: float = LIMIT_SECONDS) -> Value:
        """Waits for it.

        Raises:
            Unknown: it can't be found out.
        """
        try:
            return self._found.result(seconds)
        except TookTooLong:
            raise Unknown("what it builds upon took too long") from None


#: So many connections to each side are open at once: a server that has few left can be looked at too.
CONNECTIONS = 3


@dataclass(frozen=True)
class Server:
    """One side that lets Traspaso in. ``role`` and ``database`` are plain names.

    Whoever connects by ``engine`` holds one of the ``turns`` for so long.
    """

    name: str
    engine: Engine
    role: str
    database: str
    in_recovery: bool
    turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(CONNECTIONS))


@dataclass(frozen=True)
class Context:
    """What the checks are given: the settings, as far as they can be read, and what they tell each other.

    ``slack`` is the bot's id, of the app as it is installed; ``slack_date`` how far Slack's clock is ahead,
    in seconds. ``clock`` is this machine's, in seconds since 1970. ``sends``: each notification target gets a
    message.
    """

    settings: Settings
    wrong: Sequence[str] = ()
    clock: Callable[[], float] = time.time
    sends: bool = False
    prod: Prerequisite[Server] = field(default_factory=Prerequisite)
    consulta: Prerequisite[Server] = field(default_factory=Prerequisite)
    schema: Prerequisite[None] = field(default_factory=Prerequisite)
    slack: Prerequisite[str] = field(default_factory=Prerequisite)
    slack_date: Prerequisite[float] = field(default_factory=Prerequisite)
    workers: Prerequisite[int] = field(default_factory=Prerequisite)


@dataclass(frozen=True)
class Check:
    """A look that gives the findings of these ids, at least one of each. ``sets`` names the
    prerequisites that it finds out."""

    ids: tuple[str, ...]
    look: Callable[[Context], Iterator[Finding]]
    sets: tuple[str, ...] = ()


class _Run:
    """One check in its thread."""

    def __init__(self, check: Check, context: Context, limit_seconds: float) -> None:
        self.check = check
        self._context = context
        self._limit = limit_seconds
        self._lock = threading.Lock()
        self._found: list[Finding] = []
        self._is_over = False
        self.thread = threading.Thread(target=self._look, name=f"doctor-{check.ids[0]}", daemon=True)

    def findings(self) -> list[Finding]:
        """What it has found; where the time is over, what it hasn't come to fails with that."""
        with self._lock:
            self._is_over = True
            found = [*self._found]
        found += [
            failed(each, f"no answer within {self._limit:g} s", "see what keeps that server, and ask again")
            for each in self._open(found)
        ]
        return found

    def _open(self, found: list[Finding]) -> list[str]:
        ids = {each.id for each in found}
        return [each for each in self.check.ids if each not in ids]

    def _add(self, finding: Finding) -> None:
        with self._lock:
            if not self._is_over:
                self._found.append(finding)

    def _look(self) -> None:
        why = "what it builds upon wasn't found"
        try:
            for finding in self.check.look(self._context):
                self._add(finding)
        except Unknown as unknown:
            why = str(unknown)
            for each in self._open(self._found):
                self._add(skipped(each, why))
        except (CopierError, BotError) as error:
            why = sentence_of(error)
            self._broke_off(why, "do what it says, and run `traspaso doctor` again")
        except Exception as error:
            log.exception("the doctor's look at %s broke off", self.check.ids[0])
            why = f"the look at it broke off ({type(error).__name__})"
            self._broke_off(why, "`traspaso -v doctor` says where")
        finally:
            for name in self.check.sets:
                getattr(self._context, name).fail(why)

    def _broke_off(self, why: str, step: str) -> None:
        first, *others = [*self._open(self._found)] or [self.check.ids[-1]]
        self._add(failed(first, why, step))
        for each in others:
            self._add(skipped(each, f"the look at {first} broke off before it"))


def examine(
    context: Context, checks: Sequence[Check], *, limit_seconds: float = LIMIT_SECONDS
) -> list[Finding]:
    """All findings, in the order of the ids; one a check at least. Takes ``limit_seconds`` at most."""
    runs = [_Run(check, context, limit_seconds) for check in (*checks, Check(("settings",), _settings))]
    until = time.monotonic() + limit_seconds
    for run in runs:
        run.thread.start()
    for run in runs:
        run.thread.join(max(0.0, until - time.monotonic()))
    found = [finding for run in runs for finding in run.findings()]
    return sorted(found, key=lambda finding: IDS.index(finding.id))


def _settings(context: Context) -> Iterator[Finding]:
    for line in context.wrong:
        yield failed("settings", line, "change it in the environment, .env or traspaso.toml")
    if not context.wrong:
        copies = ", ".join(copy.name for copy in context.settings.file.copies)
        yield ok("settings", f"all there, for the copies {copies}")

"""What a check of the doctor is, what it says, and how all of them run side by side.

A finding is a line, under an id that stays the same from release to release. Each check has a thread of its
own, and takes no longer than its time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from sqlalchemy import Engine

from bot.config import Settings, sentence_of
from bot.errors import BotError
from bot.i18n import N_
from copier.errors import CopierError

log = logging.getLogger(__name__)


# ----------------------------------------------------------------------------
# What a check says


class FindingStatus(StrEnum):
    """How it is. A warning works, and wants somebody's eye."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. ``about`` is what it is about where a check has several lines, such as the name of a copy.

    ``step`` is what to do next: empty where there is nothing to do.
    """

    id: str
    status: FindingStatus
    sentence: str
    step: str = ""
    about: str = ""


def ok(check: str, sentence: str, about: str = "") -> Finding:
    return Finding(check, FindingStatus.OK, sentence, about=about)


def warning(check: str, sentence: str, step: str, about: str = "") -> Finding:
    return Finding(check, FindingStatus.WARNING, sentence, step, about)


def failed(check: str, sentence: str, step: str, about: str = "") -> Finding:
    return Finding(check, FindingStatus.FAILED, sentence, step, about)


def skipped(check: str, sentence: str, step: str = "", about: str = "") -> Finding:
    return Finding(check, FindingStatus.SKIPPED, sentence, step, about)


#: Every check by its id, in the order in which they are shown, with what people call it.
TITLES = {
    "settings": N_("Settings"),
    "slack.bot_token": N_("Slack: bot token"),
    "slack.scopes": N_("Slack: scopes"),
    "slack.app_token": N_("Slack: app-level token"),
    "slack.socket": N_("Slack: socket"),
    "slack.groups": N_("Slack: groups"),
    "slack.people": N_("Slack: people"),
    "slack.channels": N_("Slack: channels"),
    "slack.manifest": N_("Slack: manifest"),
    "prod.reachable": N_("Prod: reachable"),
    "prod.version": N_("Prod: version"),
    "prod.encrypted": N_("Prod: encrypted"),
    "prod.role": N_("Prod: role"),
    "prod.standby": N_("Prod: standby"),
    "prod.pooler": N_("Prod: pooler"),
    "prod.connections": N_("Prod: connections"),
    "prod.snapshot": N_("Prod: snapshot"),
    "prod.privileges": N_("Prod: privileges"),
    "prod.catalogue": N_("Prod: catalogue"),
    "consulta.reachable": N_("Consulta: reachable"),
    "consulta.version": N_("Consulta: version"),
    "consulta.encrypted": N_("Consulta: encrypted"),
    "consulta.role": N_("Consulta: role"),
    "consulta.standby": N_("Consulta: standby"),
    "consulta.pooler": N_("Consulta: pooler"),
    "consulta.connections": N_("Consulta: connections"),
    "consulta.privileges": N_("Consulta: privileges"),
    "consulta.schema": N_("Consulta: tracking tables"),
    "databases.apart": N_("Two databases"),
    "copy.tables": N_("Copy: tables"),
    "copy.columns": N_("Copy: columns"),
    "copy.key": N_("Copy: key"),
    "copy.moment": N_("Copy: one moment"),
    "copy.index": N_("Copy: index"),
    "copy.foreign_keys": N_("Copy: foreign keys"),
    "copy.triggers": N_("Copy: triggers"),
    "copy.rules": N_("Copy: rules"),
    "redis.reachable": N_("Redis: reachable"),
    "redis.version": N_("Redis: version"),
    "redis.persistence": N_("Redis: persistence"),
    "redis.eviction": N_("Redis: eviction"),
    "workers.alive": N_("Workers: alive"),
    "workers.version": N_("Workers: version"),
    "clock.prod": N_("Clock: prod"),
    "clock.consulta": N_("Clock: consulta"),
    "clock.slack": N_("Clock: Slack"),
    "notify.reachable": N_("Notifications"),
    "notify.sent": N_("Notifications: sent"),
}

IDS = tuple(TITLES)


# ----------------------------------------------------------------------------
# What a check is


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

    Whoever connects by ``engine`` holds one of the ``permits`` for so long.
    """

    name: str
    engine: Engine
    role: str
    database: str
    in_recovery: bool
    permits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(CONNECTIONS))


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


# ----------------------------------------------------------------------------
# All of them, side by side


class _Running:
    """One check in its thread, a daemon: an executor's would keep the process until a hung server answers."""

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


def run_checks(
    context: Context, checks: Sequence[Check], *, limit_seconds: float = LIMIT_SECONDS
) -> list[Finding]:
    """All findings, in the order of the ids; one a check at least. Takes ``limit_seconds`` at most."""
    running = [
        _Running(check, context, limit_seconds) for check in (*checks, Check(("settings",), _settings))
    ]
    until = time.monotonic() + limit_seconds
    for each in running:
        each.thread.start()
    for each in running:
        each.thread.join(max(0.0, until - time.monotonic()))
    found = [finding for each in running for finding in each.findings()]
    return sorted(found, key=lambda finding: IDS.index(finding.id))


def _settings(context: Context) -> Iterator[Finding]:
    for line in context.wrong:
        yield failed("settings", line, "change it in the environment, .env or traspaso.toml")
    if not context.wrong:
        copies = ", ".join(copy.name for copy in context.settings.file.copies)
        yield ok("settings", f"all there, for the copies {copies}")

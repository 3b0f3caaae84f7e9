"""Whether a service is healthy, and whether a process is ready: what ``/healthz`` and ``/readyz`` say.

No sentence has a password, a token or a value of a row.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from sqlalchemy import Connection, Engine, text

from bot import periodic
from bot.config import SIDES, sentence_of
from bot.errors import BotError
from bot.monitoring import queries
from copier.errors import CopierError, failures_of

if TYPE_CHECKING:
    from slack_sdk.socket_mode.builtin import SocketModeClient
    from slack_sdk.socket_mode.interval_runner import IntervalRunner

    from bot.work.queue import RedisHealth

log = logging.getLogger(__name__)

T = TypeVar("T")


# ----------------------------------------------------------------------------
# Healthy: the threads of a service live, and none hangs
#
# No other server is asked. A worker's service may be several processes (``dramatiq --processes 4``), and one
# of them answers for all. So each writes every second into a folder that they share what its threads do; a
# process that says nothing any more is told from one that has ended in order, which takes its file away.


#: No work of a thread takes so long: a statement is given up after ten seconds, a call of Slack too.
HUNG_SECONDS = 180.0
#: A process that has not written for so long is stuck as a whole.
SILENT_SECONDS = 30.0
#: Seconds between two reports.
WRITE_SECONDS = 1.0

#: Threads that aren't ours, by name, and whether each lives.
OtherThreads = Callable[[], Mapping[str, bool]]


@dataclass(frozen=True, slots=True)
class ThreadHealth:
    """One thread, or one process: what it does, or what is wrong with it."""

    name: str
    ok: bool
    says: str


def own_threads(others: OtherThreads = dict, hung_seconds: float = HUNG_SECONDS) -> list[ThreadHealth]:
    """The threads of this process."""
    found = []
    for state in periodic.states():
        problem = state.problem(hung_seconds)
        doing = "works" if state.is_working else "waits"
        found.append(
            ThreadHealth(
                state.name, problem is None, problem or f"it {doing}, for {state.seconds:.1f} s so far"
            )
        )
    for name, lives in sorted(others().items()):
        found.append(ThreadHealth(name, lives, "it lives" if lives else "it has ended"))
    return found


class SharedHealth:
    """The reports of all processes of a service, in a ``folder`` that nobody else can write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / f"{os.getpid()}.threads"

    def write(self, threads: list[ThreadHealth]) -> None:
        report = {
            "at": time.monotonic(),  # of the machine, so the same for its processes
            "threads": [[each.name, each.ok, each.says] for each in threads],
        }
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(report), "utf-8")
        new.replace(self._file)

    def of_all(self) -> list[ThreadHealth]:
        """Everybody's, each with its process's number before its name."""
        found = []
        for file in sorted(self.folder.glob("*.threads")):
            try:
                report = json.loads(file.read_text("utf-8"))
            except (OSError, ValueError):  # it has ended just now
                continue
            silent = time.monotonic() - report["at"]
            if silent > SILENT_SECONDS:
                found.append(
                    ThreadHealth(f"process {file.stem}", False, f"it has said nothing for {silent:.0f} s")
                )
                continue
            found += [ThreadHealth(f"{file.stem}/{name}", ok, says) for name, ok, says in report["threads"]]
        return found

    def leave(self) -> None:
        """This process ends; the last one takes the folder away."""
        with suppress(OSError):
            self._file.unlink()
        if not list(self.folder.glob("*.threads")):
            shutil.rmtree(self.folder, ignore_errors=True)


def folder_of_service() -> Path:
    """A folder for the children of this process's parent, which nobody else can write or foresee the use of.

    One of our own where another user has taken the name.
    """
    parent = os.getppid()
    _clear_away()
    folder = Path(tempfile.gettempdir()) / f"traspaso-{os.getuid()}-{parent}-{_began(parent)}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="traspaso-"))


def _clear_away() -> None:
    """Services that were killed have left their folders."""
    if not Path("/proc/self").exists():
        return
    for folder in Path(tempfile.gettempdir()).glob(f"traspaso-{os.getuid()}-*-*"):
        with suppress(OSError, ValueError):
            parent, _, began = folder.name.removeprefix(f"traspaso-{os.getuid()}-").partition("-")
            if _began(int(parent)) != began and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)


def _began(process: int) -> str:
    """When the process began, in ticks since the machine did: its number may be given out again."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    return "0"


# ----------------------------------------------------------------------------
# Ready: all that this process depends on is there
#
# Every check has a time limit, and what it found counts for two seconds, so that probes can't load what they
# look at.


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
        self._prod = CachedProbe("prod", lambda: _answers(prod, SIDES.source))
        self._consulta = CachedProbe("consulta", self._look_at_consulta)
        self._redis = CachedProbe("redis", lambda: _usable(redis))

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
            queries.limit(connection)
            try:
                self._check_version(connection)
            except BotError as error:
                return ConsultaState(str(error))
            waits = [each.seconds for each in queries.owed(connection) if each.kind not in queries.PATIENT]
            return ConsultaState(None, queries.no_worker(connection), max(waits, default=0.0))

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


def _asked(name: str, look: CachedProbe[T], says: Callable[[T], str]) -> CheckResult:
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


# ----------------------------------------------------------------------------
# The connection to Slack


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


def socket_runners(client: SocketModeClient) -> Mapping[str, IntervalRunner]:
    """The SDK's own threads; the one that looks after the line begins with it."""
    return {
        "socket-reader": client.current_session_runner,
        "socket-messages": client.message_processor,
        **({"socket-monitor": client.current_app_monitor} if client.current_app_monitor_started else {}),
    }


def socket_threads(client: SocketModeClient) -> Mapping[str, bool]:
    """Whether each of the SDK's own threads lives."""
    return {name: runner.is_alive() for name, runner in socket_runners(client).items()}


# ----------------------------------------------------------------------------
# A look that may hang, on behalf of many who ask and none of whom waits for long


class NoAnswer(Exception):
    """What was looked at hasn't answered in time; ``seconds`` is how long it has been silent."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer in {seconds:.1f} s")
        self.seconds = seconds


class CachedProbe(Generic[T]):
    """Looks at most once at a time, in a thread of its own, and keeps what it has found for a moment.

    So whatever asks, and however often, the other side sees one question every ``keep_seconds``; and whoever
    asks has an answer after ``wait_seconds``. A look that hangs isn't begun a second time.
    """

    def __init__(
        self, name: str, look: Callable[[], T], *, keep_seconds: float = 2.0, wait_seconds: float = 3.0
    ) -> None:
        self._name = name
        self._look = look
        self._keep = keep_seconds
        self._wait = wait_seconds
        self._lock = threading.Lock()
        self._found: Future[T] | None = None
        self._began = self._ended = 0.0

    @property
    def seconds(self) -> float:
        """How long the last look took, or has taken so far."""
        ended = self._ended if self._found is not None and self._found.done() else time.monotonic()
        return max(0.0, ended - self._began)

    def begin(self) -> Future[T]:
        """The look that counts now: the one under way, the last one, or a new one."""
        with self._lock:
            found, now = self._found, time.monotonic()
            if found is not None and (not found.done() or now - self._ended < self._keep):
                return found
            self._found, self._began = Future(), now
            threading.Thread(
                target=self._run, args=(self._found,), name=f"look-{self._name}", daemon=True
            ).start()
            return self._found

    def get(self) -> T:
        """What the look has found.

        Raises:
            NoAnswer: it hasn't come back in time.
            Exception: what the look raised.
        """
        found = self.begin()
        left = self._began + self._wait - time.monotonic()
        try:
            return found.result(max(0.0, left))
        except TimeoutError:
            if found.done():  # a TimeoutError of the look itself
                raise
            raise NoAnswer(self.seconds) from None

    def _run(self, found: Future[T]) -> None:
        try:
            result = self._look()
        except BaseException as error:
            self._ended = time.monotonic()
            found.set_exception(error)
        else:
            self._ended = time.monotonic()
            found.set_result(result)

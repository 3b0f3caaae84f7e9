"""Starts many processes of the product quickly: each is forked from one that has imported the libraries.

To import them takes longer than most tests do. `ForkServer` starts one process (`python -m dev.fork_server`)
that imports them once, and reads the catalogues of sentences. It has one thread, and neither connection nor
engine. For each order it forks a child that becomes what the command line would have started: a leader of its
own session, with the environment, the folder and the log file of the order, in which the program runs as
`__main__`. Signals, exit codes, the end of the interpreter and what a kill -9 leaves are those of a process
that was started the usual way. Where the environment would make the interpreter or a library begin otherwise,
`takes` says no.

When whoever started the server closes it or is gone, it kills what is left of its children and ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import queue
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from dev.guard import MARK, ROOT

#: Imported once. Not `prometheus_client` nor OpenTelemetry's SDK: they read the environment when imported.
PRELOADED = (
    *(
        "bot.app",
        "bot.worker",
        "bot.cli.copy_commands",
        "bot.cli.job_commands",
        "bot.cli.operator_commands",
        "bot.commands.copy_runs",
        "bot.startup_checks",
        "migrations",
    ),
    *("bot.notify.relay", "bot.slack.home_publisher", "bot.slack.pubsub", "bot.slack.ephemeral"),
    *("slack_bolt", "slack_bolt.adapter.socket_mode.internals", "structlog", "dramatiq.cli", "redis.client"),
    *("alembic.command", "alembic.autogenerate", "rich.table", "rich.console", "cronsim", "apprise"),
    *("babel.dates", "babel.numbers", "babel.lists", "babel.messages.mofile", "babel.support"),
    *("sqlalchemy.dialects.postgresql.psycopg", "dramatiq.brokers.redis", "dramatiq.__main__"),
    *("bot.commands.app_home", "bot.commands.buttons", "bot.commands.copy_verify", "bot.slack.rate_limit"),
    *("bot.monitoring.health", "bot.monitoring.queries", "alembic.config"),
    *("encodings.idna", "encodings.utf_8_sig", "multiprocessing.sharedctypes", "multiprocessing.popen_fork"),
)
#: Variables that the interpreter, the C library or a library reads at its start, by their beginnings.
READ_AT_THE_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "PSYCOPG_", "dramatiq_", "OTEL_PYTHON_")
#: How often the server looks whether it has been left alone, in seconds.
LOOK_SECONDS = 1.0


class Process(Protocol):
    """What `dev.processes.Child` needs of a process; `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...


class Forked:
    """A child of the fork server, with what `subprocess.Popen` has for it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None
        self._over = threading.Event()

    def end(self, status: int) -> None:
        """It has ended so: with this exit code, or negative: by this signal."""
        self._status = status
        self._over.set()

    def poll(self) -> int | None:
        """None while it runs."""
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired after so many seconds."""
        if not self._over.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        assert self._status is not None
        return self._status

    def terminate(self) -> None:
        """SIGTERM, while it runs."""
        if not self._over.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


class ForkServer:
    """The constructor starts the server, and doesn't wait for its imports. Several threads may use it."""

    def __init__(self) -> None:
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TRASPASO_", "OTEL_", "PG")) and name != MARK
        }
        self._environment["PYTHONUNBUFFERED"] = "1"
        self._lock = threading.Lock()
        self._started: queue.SimpleQueue[Forked | None] = queue.SimpleQueue()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dev.fork_server", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                env=self._environment,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name="fork-server", daemon=True).start()

    def takes(self, argv: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether it can stand in: a module or one of our programs, under an environment like its own."""
        python, program = Path(argv[0]), Path(argv[0])
        is_module = python.name in {"python", Path(sys.executable).name} and argv[1:2] == ["-m"]
        is_program = program.parent == Path(sys.executable).parent and program.name in {
            "dramatiq",
            "traspaso",
        }
        return (is_module or is_program) and _read_at_the_start(environment) == _read_at_the_start(
            self._environment
        )

    def start(self, argv: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path) -> Forked:
        """Returns when the child is a session of its own. Raises RuntimeError where the server is gone."""
        order = {"argv": list(argv), "environment": dict(environment), "cwd": str(cwd), "log": str(log)}
        with self._lock:
            with suppress(OSError):
                self._socket.sendall(json.dumps(order).encode() + b"\n")
            forked = self._started.get()
        if forked is None:
            self._started.put(None)
            raise RuntimeError("the fork server has ended; its words are among pytest's")
        return forked

    def close(self) -> None:
        """Ends the server, and what is left of its children."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._process.wait()

    def _listen(self) -> None:
        living: dict[int, Forked] = {}
        with suppress(OSError), self._socket.makefile("rb") as answers:
            for line in answers:
                match json.loads(line):
                    case {"started": int(pid)}:
                        living[pid] = Forked(pid)
                        self._started.put(living[pid])
                    case {"ended": int(pid), "status": int(status)}:
                        living.pop(pid).end(status)
        self._process.wait()
        for forked in living.values():
            forked.end(-signal.SIGKILL)
        self._started.put(None)


def _read_at_the_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_THE_START)}


# ---------------------------------------------------------------------------------------------- the server

Order = dict[str, Any]


class _Server:
    def __init__(self, connection: socket.socket, parent: int) -> None:
        self._connection = connection
        self._parent = parent
        self._children: set[int] = set()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)

    def next_order(self) -> Order | None:
        """Comes back in each child, with what it is to become; and in the server at its end, with None."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        pending = b""
        while os.getppid() == self._parent:
            readable, _, _ = select.select([self._connection, self._woken], [], [], LOOK_SECONDS)
            if self._woken in readable:
                self._woken.recv(4096)
            self._reap()
            if self._connection not in readable:
                continue
            block = self._connection.recv(65536)
            if not block:
                break
            *orders, pending = (pending + block).split(b"\n")
            for order in orders:
                if self._fork():
                    return dict(json.loads(order))
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        return None

    def _fork(self) -> bool:
        """Whether this is the child."""
        ready, begun = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (self._connection, self._wake, self._woken):
                each.close()
            os.close(ready)
            os.close(begun)
            return True
        os.close(begun)
        os.read(ready, 1)  # it is closed when the child leads its session
        os.close(ready)
        self._children.add(pid)
        self._tell({"started": pid})
        return False

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            self._tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _tell(self, answer: dict[str, int]) -> None:
        with suppress(BrokenPipeError):
            self._connection.sendall(json.dumps(answer).encode() + b"\n")


def _become(order: Order, collected_after: tuple[int, int, int]) -> None:
    """Runs the program of the order in this process; what it raises ends the process, as it would.

    ``collected_after`` are the interpreter's own thresholds of garbage: what was imported has raised them.
    """
    gc.set_threshold(*collected_after)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["cwd"])
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    time.tzset()
    main_module = types.ModuleType("__main__")
    sys.modules["__main__"] = main_module
    first, *rest = order["argv"]
    if rest[:1] == ["-m"]:
        name, *arguments = rest[1:]
        sys.path[0] = order["cwd"]
        sys.argv = ["-m", *arguments]
        if (there := sys.modules.get(name)) is not None and not hasattr(there, "__path__"):
            del sys.modules[name]  # its code runs as `__main__`; who imports it gets a module of its own
        runpy._run_module_as_main(name)  # type: ignore[attr-defined]  # what the interpreter calls for -m
    else:
        sys.path[0] = str(Path(first).parent)
        sys.argv = [first, *rest]
        main_module.__file__ = first
        code = compile(Path(first).read_bytes(), first, "exec")
        exec(code, main_module.__dict__)


def main() -> None:
    connection, parent = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    collected_after = gc.get_threshold()
    for name in PRELOADED:
        importlib.import_module(name)
    i18n = importlib.import_module("bot.i18n")
    for language in i18n.LANGUAGES:
        i18n.translator(language)  # keeps its catalogue
    if threading.active_count() != 1:
        raise RuntimeError("what is imported has started a thread; no child could have it")
    gc.collect()
    gc.freeze()
    order = _Server(connection, parent).next_order()
    if order is not None:
        _become(order, collected_after)


if __name__ == "__main__":
    main()

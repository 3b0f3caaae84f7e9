"""A process that is forked for a test is like one that its user starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from dev.fork_server import ForkServer
from dev.guard import ROOT, Guard, wait_gone
from dev.processes import PRODUCT_PROGRAMS, Child

#: Says what a program can see of how it was started, and ends as it is told.
PROBE = """
import atexit, gc, json, logging, os, random, signal, sys, threading, time

def mark():
    print("at the end", flush=True)

atexit.register(mark)
beside = threading.Thread(target=lambda: print("in a thread", flush=True))
beside.start()
beside.join()
handlers = {str(each): str(signal.getsignal(each)).partition(" at ")[0] for each in signal.valid_signals()}
root = logging.getLogger()
seen = {
    "argv": sys.argv, "name": __name__, "main": sys.modules["__main__"].__file__, "spec": __spec__.name,
    "path": sys.path, "folder": os.getcwd(), "environment": dict(os.environ),
    "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "signals": handlers, "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "logging": [str(root.handlers), root.level], "gc": [gc.isenabled(), gc.get_threshold()],
    "stdin": sys.stdin.read(), "encoding": sys.stdout.encoding, "umask": os.umask(0o22), "zone": time.tzname,
    "files": [n for n in range(100) if os.path.exists(f"/proc/self/fd/{n}")],
}
print("seen", json.dumps(seen, default=str), random.random())
print("to stderr", file=sys.stderr)
if sys.argv[1] == "exit":
    sys.exit(sys.argv[2] if not sys.argv[2].isdigit() else int(sys.argv[2]))
if sys.argv[1] == "raise":
    raise RuntimeError("a failure")
signal.pause()
"""

Start = Callable[..., Child]


@pytest.fixture
def start(guard: Guard, forks: ForkServer, tmp_path: Path) -> Start:
    """A child whose module is PROBE; forked, unless it is started the usual way."""
    (tmp_path / "probe.py").write_text(PROBE, "utf-8")
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", "SETTING": "ñandú"}
    environment |= {
        name: value for name, value in os.environ.items() if name.startswith(("LC_", "LANG", "TZ"))
    }
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}

    def begin(*arguments: str, usually: bool = False) -> Child:
        argv = [sys.executable, "-m", "probe", *arguments]
        assert forks.takes(argv, environment)
        log = tmp_path / f"{usually}.log"
        where: dict[str, Any] = {"guard": guard, "cwd": tmp_path, "forks": None if usually else forks}
        return Child("probe", argv, environment, log, **where)

    return begin


def seen_by(child: Child) -> dict[str, Any]:
    line = child.wait_for_line("seen").removeprefix("seen ")
    found: dict[str, Any] = json.loads(line[: line.rindex("}") + 1])
    return found


@pytest.mark.parametrize(
    "arguments", [("exit", "0"), ("exit", "78"), ("exit", "in words"), ("raise", "x")], ids=" ".join
)
def test_it_sees_says_and_ends_with_the_same(start: Start, arguments: tuple[str, str]) -> None:
    forked, usual = start(*arguments), start(*arguments, usually=True)
    assert forked.wait(20) == usual.wait(20)
    seen, expected = seen_by(forked), seen_by(usual)
    assert seen == expected
    assert seen["environment"]["SETTING"] == "ñandú"
    assert forked.log().splitlines()[-1] == usual.log().splitlines()[-1] == "at the end"
    for word in ("in a thread", "to stderr"):
        assert word in forked.log().splitlines()
    assert ("RuntimeError: a failure" in forked.log()) == (arguments[0] == "raise")
    assert ("in words" in forked.log().splitlines()) == (arguments[1] == "in words")


def test_no_two_have_the_same_random_numbers(start: Start) -> None:
    numbers = []
    for _ in range(2):
        child = start("exit", "0")
        numbers.append(child.wait_for_line("seen").rpartition(" ")[2])
        child.wait(20)
    assert len(set(numbers)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_ends_it_as_it_ends_any_other(start: Start, number: signal.Signals) -> None:
    codes = []
    for usually in (False, True):
        child = start("wait", "x", usually=usually)
        child.wait_for_line("to stderr")
        os.kill(child.pid, number)
        codes.append(child.wait(20))
    assert codes[0] == codes[1] == -number


def test_nothing_is_left_open_of_what_the_libraries_could_have_opened(
    forks: ForkServer, start: Start
) -> None:
    child = start("wait", "x")
    child.wait_for_line("seen")
    assert psutil.Process(child.pid).net_connections() == []
    assert psutil.Process(child.pid).num_threads() == psutil.Process(child.pid).parent().num_threads() == 1
    child.kill()
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("argv", "environment"),
    [
        (["sleep", "1"], {}),
        ([sys.executable, "-c", "pass"], {}),
        ([sys.executable, "-m", "bot"], {"PYTHONPATH": "/another/release"}),
        ([sys.executable, "-m", "bot"], {"LD_PRELOAD": "shim.so"}),
        ([sys.executable, "-m", "bot"], {"TZ": "America/Argentina/Salta"}),
        ([str(PRODUCT_PROGRAMS / "honcho"), "start"], {}),
        (["/another/environment/bin/traspaso", "status"], {}),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_would_begin_otherwise_is_started_the_usual_way(
    forks: ForkServer, argv: list[str], environment: dict[str, str]
) -> None:
    assert not forks.takes(argv, {**os.environ, "PYTHONUNBUFFERED": "1"} | environment)


PARENT = """
import os, sys, time
from pathlib import Path
from dev.fork_server import ForkServer
forks = ForkServer()
environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
argv = [sys.executable, "-m", "probe", "wait"]
children = [forks.start(argv, environment, Path(sys.argv[1]), Path(sys.argv[1]) / "log") for _ in range(2)]
print(*(child.pid for child in children), forks._process.pid, flush=True)
time.sleep(600)
"""


def test_the_server_and_its_children_go_with_whoever_started_it(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(
        "import signal\nsignal.signal(15, signal.SIG_IGN)\nsignal.pause()", "utf-8"
    )
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        processes = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(processes) == 3
        parent.kill()
    assert wait_gone(processes, 20.0) == []

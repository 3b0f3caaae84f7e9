"""Nothing stays behind, however the process ends that started it all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dev.guard import ROOT, Guard, wait_gone
from dev.postgres import PostgresServer
from dev.processes import Child

# Starts a cluster, and a child that has a child in another session; says who they are and waits for its end.
PARENT = """
import json, signal, sys
import psutil
from dev.guard import Guard
from dev.postgres import PostgresServer
from dev.processes import Child
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it ignored

with Guard() as guard:
    folder = guard.temp_folder("traspaso-test-")
    server = PostgresServer(folder, "prod", guard=guard)
    server.start()
    program = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.{manner});" \\
        "subprocess.Popen([sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(600)']," \\
        "start_new_session=True); time.sleep(600)"
    child = Child("child", [sys.executable, "-c", program], {}, folder / "child.log", guard=guard)
    child.wait_for_line("1")
    pids = [p.pid for p in psutil.Process().children(recursive=True)]
    print(json.dumps({"folder": str(folder), "pids": pids, "guardian": guard.pid}), flush=True)
    {ending}
"""


def start_parent(ending: str, manner: str) -> tuple[subprocess.Popen[str], Path, list[psutil.Process]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.replace("{ending}", ending).replace("{manner}", manner)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    said = json.loads(parent.stdout.readline())
    assert len(said["pids"]) > 6
    return parent, Path(said["folder"]), [psutil.Process(pid) for pid in said["pids"]]


@pytest.mark.parametrize(
    ("ending", "number", "manner"),
    [
        ("signal.pause()", signal.SIGKILL, "SIG_DFL"),
        ("signal.pause()", signal.SIGTERM, "SIG_DFL"),
        ("signal.pause()", signal.SIGINT, "SIG_DFL"),
        ("raise RuntimeError('a crash')", None, "SIG_IGN"),
    ],
    ids=["kill -9", "SIGTERM", "Ctrl-C", "an exception, and children deaf to SIGTERM"],
)
def test_no_process_and_no_folder_outlives_their_parent(
    ending: str, number: signal.Signals | None, manner: str
) -> None:
    parent, folder, processes = start_parent(ending, manner)
    assert folder.is_dir()
    if number is not None:
        parent.send_signal(number)
    parent.communicate(timeout=20)
    assert parent.returncode != 0
    assert wait_gone(processes, 20.0) == []  # the guardian, the last to go, is among them
    assert not folder.exists()


def test_a_normal_exit_cleans_up_before_it_goes_on() -> None:
    with Guard() as guard:
        folder = guard.temp_folder("traspaso-test-")
        (folder / "file").write_text("x")
        child = Child("sleeper", ["sleep", "600"], {}, folder / "log", guard=guard)
    assert child.returncode == -signal.SIGTERM
    assert not folder.exists()


def test_what_was_started_but_not_yet_registered_is_found_by_its_mark() -> None:
    with Guard() as guard:
        unregistered = subprocess.Popen(["sleep", "600"], env=guard.mark, start_new_session=True)
    assert unregistered.wait(5) == -signal.SIGKILL


def test_another_process_that_got_a_registered_pid_is_left_alone() -> None:
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        with Guard() as guard:
            guard._tell({"pid": bystander.pid, "started": 1.0, "polite": int(signal.SIGTERM)})
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_crashed_server_leaves_its_guard_nothing_to_complain_about() -> None:
    with Guard() as guard:
        folder = guard.temp_folder("traspaso-test-")
        with PostgresServer(folder, "prod", guard=guard) as server:
            server.crash()
    assert not folder.exists()


def test_home_and_the_checkout_can_not_be_registered_for_removal() -> None:
    with Guard() as guard:
        for path in (Path.home(), ROOT, ROOT.parent, Path("/")):
            with pytest.raises(ValueError, match="refusing"):
                guard.folder(path)
    assert ROOT.is_dir()

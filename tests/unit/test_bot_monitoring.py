"""A look that hangs keeps nobody waiting, and a thread that hangs shows."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.monitoring.health import (
    CachedProbe,
    NoAnswer,
    SharedHealth,
    ThreadHealth,
    folder_of_service,
    own_threads,
)
from bot.periodic import PeriodicThread, still_working


class Hanging:
    """Work, or a look, that hangs until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.began = threading.Event()
        self.free = threading.Event()

    def __call__(self) -> int:
        self.calls += 1
        self.began.set()
        self.free.wait(30)
        return self.calls


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    work = Hanging()
    yield work
    work.free.set()


def problems(thread: str, hung_seconds: float = 0.05) -> list[str]:
    return [
        each.says for each in own_threads(hung_seconds=hung_seconds) if each.name == thread and not each.ok
    ]


def test_a_thread_that_hangs_in_its_work_shows_and_one_that_waits_does_not(hanging: Hanging) -> None:
    hangs = PeriodicThread("hangs", hanging, every_seconds=3600, at_once=True)
    waits = PeriodicThread("waits", lambda: None, every_seconds=3600)
    with hangs, waits:
        assert hanging.began.wait(10)
        deadline = time.monotonic() + 10
        while not problems("hangs") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert problems("hangs") == ["its work has hung for 0 s"]
        assert problems("hangs", hung_seconds=60) == []
        assert problems("waits") == []
    assert {each.name for each in own_threads()}.isdisjoint({"hangs", "waits"})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_without_being_told_to_shows() -> None:
    def ends() -> None:
        raise SystemExit

    thread = PeriodicThread("ends", ends, every_seconds=3600, at_once=True)
    with thread:
        thread._thread.join(10)
        assert problems("ends") == ["it has ended"]


def test_work_of_many_parts_that_goes_on_does_not_count_as_hung() -> None:
    step, stepped = threading.Event(), threading.Event()

    def work() -> None:
        step.wait(10)
        still_working()
        stepped.set()
        time.sleep(10) if not over.wait(10) else None

    over = threading.Event()
    thread = PeriodicThread("steps", work, every_seconds=3600, at_once=True)
    with thread:
        time.sleep(0.3)
        assert thread.state().seconds >= 0.3
        step.set()
        assert stepped.wait(10)
        assert thread.state().seconds < 0.3
        over.set()
    still_working()  # in no such thread it does nothing


def test_others_threads_count_as_well() -> None:
    found = {each.name: each for each in own_threads(lambda: {"socket": False, "reader": True})}
    assert (found["socket"].ok, found["reader"].ok) == (False, True)


def test_a_look_that_hangs_keeps_nobody_waiting_and_is_not_begun_again(hanging: Hanging) -> None:
    look = CachedProbe("it", hanging, wait_seconds=0.2)
    with pytest.raises(NoAnswer, match=r"no answer in 0\.[2-9] s"):
        look.get()
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        look.get()
    assert time.monotonic() - began < 0.15
    assert hanging.calls == 1


def test_what_was_found_counts_for_a_moment_and_then_is_looked_for_again() -> None:
    calls = []
    look = CachedProbe("it", lambda: calls.append(1) or len(calls), keep_seconds=0.2)
    assert [look.get(), look.get()] == [1, 1]
    time.sleep(0.25)
    assert look.get() == 2


def test_what_a_look_raises_is_told_to_everybody_who_asks() -> None:
    def fails() -> None:
        raise TimeoutError("its own")

    look = CachedProbe("it", fails)
    for _ in range(2):
        with pytest.raises(TimeoutError, match="its own"):
            look.get()


def test_a_process_of_the_service_that_says_nothing_any_more_shows(tmp_path: Path) -> None:
    shared = SharedHealth(tmp_path)
    shared.write([ThreadHealth("sweeper", True, "it waits")])
    silent = {"at": time.monotonic() - 31, "threads": [["sweeper", True, "it waits"]]}
    (tmp_path / "1.threads").write_text(json.dumps(silent), "utf-8")
    (tmp_path / "2.threads").write_text("{", "utf-8")
    found = {each.name.partition("/")[2] or each.name: (each.ok, each.says) for each in shared.of_all()}
    assert found == {
        "sweeper": (True, "it waits"),
        "process 1": (False, "it has said nothing for 31 s"),
    }


def test_the_last_process_of_a_service_takes_its_folder_away(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    shared = SharedHealth(folder)
    shared.write([])
    (folder / "1.threads").write_text("{}", "utf-8")
    shared.leave()
    assert folder.exists()
    (folder / "1.threads").unlink()
    shared.leave()
    assert not folder.exists()


def test_what_a_service_that_was_killed_has_left_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ours = folder_of_service()
    left = [
        tmp_path / f"traspaso-{os.getuid()}-{os.getppid()}-1",
        tmp_path / f"traspaso-{os.getuid()}-999999999-7",
    ]
    for each in left:
        each.mkdir()
        (each / "7.threads").write_text("{}", "utf-8")
    (tmp_path / "traspaso-notes").mkdir()
    assert folder_of_service() == ours
    assert {each.name for each in tmp_path.iterdir()} == {ours.name, "traspaso-notes"}


def test_nobody_else_can_write_what_a_service_says_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ours = folder_of_service()
    assert folder_of_service() == ours
    assert ours.stat().st_mode & 0o077 == 0
    ours.chmod(0o777)
    assert folder_of_service() != ours
    ours.rmdir()
    ours.symlink_to(tmp_path)
    assert folder_of_service() != ours

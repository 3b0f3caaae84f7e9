"""A side is silent while its line is alive: who asks a copy to stop is obeyed all the same, and soon."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from test_controlling_a_copy import in_place, press, shell

from bot.messages.card import CANCEL_ACTION, PAUSE_ACTION
from dev.processes import Child

from .scene import CHUNK_ROWS, Office, Scene, until

BEFORE = 5  # chunks in place before the roadblock
OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s ORDER BY pid"


def pause(office: Office, scene: Scene, job_id: int) -> None:
    press(scene, scene.bob, job_id, PAUSE_ACTION)


def cancel(office: Office, scene: Scene, job_id: int) -> None:
    press(scene, scene.bob, job_id, CANCEL_ACTION)


def freeze(office: Office, scene: Scene, job_id: int) -> None:
    assert shell(office, "freeze", "cierre").returncode == 0


#: What is done, what the job is then, and the last line of its history.
STOPS = [(pause, "paused", "paused"), (cancel, "cancelled", "cancelled"), (freeze, "pending", "frozen")]


@contextmanager
def standing_still(office: Office, side: str, job_id: int) -> Iterator[None]:
    """The processes of the job's sessions on this side are stopped."""
    server = getattr(office, side)
    pids = [row["pid"] for row in server.execute(OURS, [f"traspaso % job {job_id}/1"]).fetchall()]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def impatient_worker(office: Office) -> Child:
    return office.own_worker(office.with_work(stop_seconds=1))


@pytest.mark.parametrize(("stop", "status", "last"), STOPS, ids=["pause", "cancel", "freeze"])
def test_a_lock_in_consulta_is_not_waited_for_by_who_is_asked_to_stop(
    office: Office, scene: Scene, stop: Callable[[Office, Scene, int], None], status: str, last: str
) -> None:
    impatient_worker(office)
    scene.seed()
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.card(job_id)
        stop(office, scene, job_id)
        until(lambda: scene.events(job_id)[-1] == last, timeout=12, what=f"the end of the attempt: {last}")
        job = scene.job(job_id)
        assert (job["status"], job["failures"], job["error"]) == (status, 0, None)
        # The chunk in hand is rolled back, in the database too, and nothing waits there any more.
        assert in_place(scene) == BEFORE * CHUNK_ROWS
        until(lambda: not scene.rows(OURS, f"traspaso % job {job_id}/1"), timeout=5, what="the sessions' end")
    assert "retry" not in scene.events(job_id)


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_a_server_that_stands_still_holds_up_neither_a_pause_nor_what_comes_after(
    office: Office, scene: Scene, side: str
) -> None:
    impatient_worker(office)
    scene.seed()
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.card(job_id)
        with standing_still(office, side, job_id):
            pause(office, scene, job_id)
            until(lambda: scene.job(job_id)["status"] == "paused", timeout=15, what="the pause")
    assert scene.events(job_id)[-1] == "paused"
    assert shell(office, "resume", job_id).returncode == 0
    job = scene.completed(job_id)
    assert (job["attempt"], job["failures"]) == (2, 0)


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_a_worker_told_to_end_ends_though_a_server_stands_still(
    office: Office, scene: Scene, side: str
) -> None:
    worker = impatient_worker(office)
    scene.seed()
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.card(job_id)
        with standing_still(office, side, job_id):
            began = time.monotonic()
            worker.terminate()
            assert worker.wait(20) == 0
            assert time.monotonic() - began < 15
            assert scene.job(job_id)["status"] == "pending"
            assert scene.events(job_id) == ["requested", "claimed", "released"]
    office.workers(1)
    assert scene.completed(job_id)["attempt"] == 2

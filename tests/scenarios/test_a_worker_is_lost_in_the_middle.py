"""A copy ends right, whatever happens to the worker that began it."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import psutil

from copier.connections import LOST_SECONDS

from .scene import CHUNK_ROWS, DEFAULTS, ES, ROWS, Office, Scene, until

BEFORE = 5  # chunks in place before the roadblock


def test_a_worker_killed_in_the_middle_is_taken_over_by_another_one(office: Office, scene: Scene) -> None:
    with scene.halfway(2) as (job_id, roadblock):
        held = scene.job(job_id)
        scene.card(job_id)
        office.worker_of(held).kill()
        roadblock.reached(job_id, attempt=2)
        taken_over = scene.job(job_id)
        assert taken_over["worker"] != held["worker"]
        assert len(scene.chunks(job_id, 1)) == BEFORE
    job = scene.completed(job_id)
    assert job["attempt"] == 2
    assert scene.events(job_id) == ["requested", "claimed", "worker_lost", "claimed", "completed"]
    again = scene.chunks(job_id, 2)
    assert [chunk["outcome"] for chunk in again[:BEFORE]] == ["unchanged"] * BEFORE
    assert [chunk["outcome"] for chunk in again[BEFORE:]] == ["copied"] * (ROWS // CHUNK_ROWS - BEFORE)
    assert (job["unchanged_records"], job["copied_records"]) == (BEFORE * CHUNK_ROWS, ROWS)
    # Whoever wrote them, the chunks cover the whole order of keys, from one infinity to the other.
    assert again[0]["lower_key"] is again[-1]["upper_key"] is None
    assert all(one["upper_key"] == following["lower_key"] for one, following in pairwise(again))
    assert len(scene.cards(job_id)) == len(scene.replies(job_id)) == 1


def test_a_killed_worker_is_replaced_within_fifteen_seconds_with_the_default_settings(
    office: Office, scene: Scene
) -> None:
    settings = office.with_work(**DEFAULTS)
    for _ in range(2):
        office.own_worker(settings)
    scene.seed()
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        held = roadblock.reached(job_id)
        scene.card(job_id)
        office.worker_of(held).kill()
        until(lambda: scene.job(job_id)["attempt"] == 2, 15.0, "the next claim")
    job = scene.completed(job_id)
    assert scene.events(job_id) == ["requested", "claimed", "worker_lost", "claimed", "completed"]
    assert job["worker"] != held["worker"]


def test_after_the_only_worker_was_killed_a_new_one_goes_on(office: Office, scene: Scene) -> None:
    [worker] = office.workers(1)
    with scene.halfway() as (job_id, _):
        scene.card(job_id)
        worker.kill()
    before = scene.job(job_id)
    assert (before["status"], before["attempt"]) == ("running", 1)
    office.workers(1)
    job = scene.completed(job_id)
    assert job["attempt"] == 2
    # The kill came before the chunk's commit, or the server finished what it had in hand: never half of one.
    assert job["unchanged_records"] in {BEFORE * CHUNK_ROWS, (BEFORE + 1) * CHUNK_ROWS}


def test_a_worker_told_to_end_stops_at_a_chunk_s_end_and_another_one_goes_on(
    office: Office, scene: Scene
) -> None:
    with scene.halfway(2) as (job_id, roadblock):
        worker = office.worker_of(scene.job(job_id))
        worker.terminate()
        worker.wait_for_line("Shutting down")
        roadblock.lift()
        assert worker.wait(5) == 0
    job = scene.completed(job_id)
    assert job["attempt"] == 2
    assert scene.events(job_id) == ["requested", "claimed", "released", "claimed", "completed"]
    assert len(scene.chunks(job_id, 1)) == BEFORE + 1
    assert job["unchanged_records"] == (BEFORE + 1) * CHUNK_ROWS


def test_after_the_only_worker_was_told_to_end_the_card_says_what_it_waits_for(
    office: Office, scene: Scene
) -> None:
    [worker] = office.workers(1)
    with scene.halfway() as (job_id, roadblock):
        scene.slack.wait_for(lambda: ES.number(BEFORE * CHUNK_ROWS) in scene.card(job_id).plain)
        worker.terminate()
        worker.wait_for_line("Shutting down")
        roadblock.lift()
        assert worker.wait(10) == 0
    assert scene.job(job_id)["status"] == "pending"
    assert ES("Waiting for another worker to go on") in scene.card(job_id).plain
    office.workers(1)
    assert scene.completed(job_id)["attempt"] == 2


def test_a_worker_back_from_a_long_pause_writes_nothing_more(office: Office, scene: Scene) -> None:
    with scene.halfway(2) as (job_id, roadblock):
        held = scene.job(job_id)
        scene.card(job_id)
        stopped = office.worker_of(held)
        family = [psutil.Process(stopped.pid), *psutil.Process(stopped.pid).children(recursive=True)]
        for process in family:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            # Stopped in the middle of a transaction it keeps the row locked until consulta ends its session.
            roadblock.reached(job_id, attempt=2, timeout=60 + LOST_SECONDS)
            roadblock.lift()
            job = scene.completed(job_id)
            assert job["attempt"] == 2
            before = everything(scene, job_id)
        finally:
            for process in family:
                os.kill(process.pid, signal.SIGCONT)
    stopped.wait_for_line(f"job {job_id}: attempt 1 ends: stale")
    assert everything(scene, job_id) == before
    assert scene.compared()
    assert len(scene.replies(job_id)) == 1
    # It is as good a worker as before.
    office.worker_of(job).kill()
    scene.seed(5, first=ROWS + 1)
    assert scene.completed(scene.start())["attempt"] == 1


def test_a_bot_killed_in_the_middle_is_not_missed_by_the_copy(office: Office, scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        scene.card(job_id)
        office.restart_bot(kill=True)
    job = scene.completed(job_id)
    assert job["attempt"] == 1
    assert "<@U0ANA>" in scene.reply(job_id).plain
    assert str(job_id) in scene.ask(scene.bob, str(job_id), "/copy-status")


def everything(scene: Scene, job_id: int) -> tuple[object, ...]:
    """All that a worker could have written."""
    items = scene.rows(
        "SELECT count(*) AS n, sum(amount) AS sum, max(xmin::text::bigint) AS newest "
        "FROM liquidation_items WHERE liquidation_id = %s",
        scene.liquidation,
    )
    return (scene.job(job_id), scene.events(job_id), scene.chunks(job_id, 1), scene.chunks(job_id, 2), items)

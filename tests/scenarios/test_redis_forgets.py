"""Redis carries numbers of jobs and nothing that could be lost."""

from __future__ import annotations

import psycopg
import pytest
import redis
from sqlalchemy import create_engine

from bot.jobs.repository import JobRepository, Request, Requester
from bot.work.queue import JobQueue
from copier import CopySpec, TableName

from .scene import DEFAULTS, EN, PASSWORD, Office, Scene, until


def test_a_job_that_redis_forgot_is_queued_again(office: Office, scene: Scene) -> None:
    office.workers(0)
    scene.seed(50)
    job_id = scene.start()
    scene.card(job_id)
    office.stack.valkey.flush()
    office.workers(1)
    assert scene.completed(job_id)["attempt"] == 1


def test_a_running_copy_doesn_t_need_what_redis_knew(office: Office, scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        office.stack.valkey.flush()
    assert scene.completed(job_id)["attempt"] == 1
    scene.seed(3, first=900_000)
    scene.completed(scene.start())


def test_a_running_copy_ends_and_is_told_while_redis_is_down(office: Office, scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        scene.card(job_id)
        office.stack.valkey.kill()
    assert scene.completed(job_id)["attempt"] == 1
    assert len(scene.replies(job_id)) == 1


@pytest.mark.parametrize("queue", ["copies", "copies.DQ"])
@pytest.mark.parametrize("data", [b"\xff\xfe", b"{}", b"[1]", b'{"queue_name": "copies", "args": ["x"]}'])
def test_a_message_that_cant_be_read_is_dropped_at_once(
    office: Office, scene: Scene, queue: str, data: bytes
) -> None:
    [worker] = office.workers(1)
    scene.seed(3)
    client = redis.Redis.from_url(office.stack.valkey.url)
    client.hset(f"dramatiq:{queue}.msgs", "unreadable", data)
    client.rpush(f"dramatiq:{queue}", "unreadable")
    until(lambda: client.hlen(f"dramatiq:{queue}.msgs") == 0)
    worker.wait_for_line(f"a message on the queue {queue} can't be read: it was dropped")
    assert client.keys("dramatiq:__acks__*") == []
    client.close()
    assert "encountered an unexpected error" not in worker.log()
    assert scene.completed(scene.start())["attempt"] == 1


def test_a_job_asked_for_while_redis_is_down_is_copied(office: Office, scene: Scene) -> None:
    [worker] = office.workers(1)
    scene.seed(50)
    office.stack.valkey.stop()
    said = scene.press(scene.bob, scene.offer(scene.bob))
    [job] = scene.jobs()
    assert EN("job {id}", id=job["id"]) in said
    assert scene.completed(job["id"])["attempt"] == 1
    worker.wait_for_line("can't be used: nobody listens there")
    office.stack.valkey.start()
    for process in (worker, office.bot):
        process.wait_for_line("can be used again")
    scene.seed(3, first=51)
    scene.completed(scene.start())


def test_a_job_whose_message_is_lost_is_taken_within_ten_seconds_with_the_default_settings(
    office: Office, scene: Scene
) -> None:
    """The worker listens to another database of Redis than the one into which the bot puts the message."""
    elsewhere = office.stack.valkey.url.rpartition("/")[0] + "/7"
    office.own_worker({**office.with_work(**DEFAULTS), "REDIS_URL": elsewhere})
    scene.seed(50)
    job_id = scene.start()
    until(lambda: scene.job(job_id)["attempt"] == 1, 10.0, "a claim")
    assert scene.completed(job_id)["attempt"] == 1


def test_no_more_jobs_run_at_once_than_the_worker_has_threads_however_they_came(
    office: Office, scene: Scene
) -> None:
    """Two threads, three jobs: two of another database's queue, and one by a message."""
    elsewhere = office.stack.valkey.url.rpartition("/")[0] + "/8"
    office.own_worker({"REDIS_URL": elsewhere})
    numbers = [scene.liquidation * 100 + n for n in range(3)]
    store = JobRepository(
        engine := create_engine(office.stack.consulta_url.replace("ql://", "ql+psycopg://", 1))
    )
    table = TableName.parse("public.liquidation_items")
    for number in numbers:
        scene.seed(50, liquidation=number, first=number % 100 * 1000 + 1)
    with psycopg.connect(office.stack.consulta_url) as somebody:
        somebody.execute("LOCK TABLE liquidation_items IN SHARE MODE")
        spec = CopySpec("items", table, table, "liquidation_id")
        jobs = [store.create(Request(spec, n, None, Requester("shell", "ops", "ops")))[0] for n in numbers]
        running = "SELECT id FROM traspaso.copy_jobs WHERE id = ANY(%s) AND status = 'running' ORDER BY id"
        until(lambda: len(scene.rows(running, jobs)) == 2, what="two that run")
        put = JobQueue(elsewhere, on_put=lambda job_id: None).put
        assert all(put(job_id) for job_id in jobs)
        beat = "SELECT max(beat_at) AS at FROM traspaso.workers"
        for _ in range(2):
            before = scene.rows(beat)[0]["at"]
            until(lambda before=before: scene.rows(beat)[0]["at"] > before, what="a beat of the worker")
        assert [row["id"] for row in scene.rows(running, jobs)] == jobs[:2]
        somebody.rollback()
    for job_id in jobs:
        assert scene.ended(job_id)["attempt"] == 1
    engine.dispose()


UNUSABLE = {
    "a password that it refuses": (
        "redis://somebody:{password}@127.0.0.1:{port}/0",
        "it refuses the user or the password",
    ),
    "nobody listens": ("redis://:{password}@127.0.0.1:1/0", "nobody listens there"),
    "an option of another scheme": (
        "redis://:{password}@127.0.0.1:{port}/0?ssl_cert_reqs=none",
        "the option ssl_cert_reqs, which the client doesn't take there",
    ),
    "TLS against a plain port": ("rediss://:{password}@127.0.0.1:{port}/0", "it speaks no TLS there"),
}


@pytest.mark.parametrize(("url", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_with_a_redis_that_can_t_be_used_bot_and_worker_say_why_and_copies_go_on(
    office: Office, scene: Scene, url: str, reason: str
) -> None:
    url = url.format(password=PASSWORD, port=office.stack.valkey.port)
    worker = office.own_worker({"REDIS_URL": url})
    office.restart_bot(REDIS_URL=url)
    try:
        scene.seed()
        said = scene.press(scene.bob, scene.offer(scene.bob))
        [job] = scene.jobs()
        assert EN("job {id}", id=job["id"]) in said
        assert scene.completed(job["id"])["attempt"] == 1
        for process in (worker, office.bot):
            lines = [line for line in process.log().splitlines() if "can't be used" in line]
            assert len(lines) == 1
            assert reason in lines[0]
            assert "127.0.0.1:" in lines[0]
            assert PASSWORD not in process.log()
            assert "Traceback" not in process.log()
    finally:
        office.restart_bot()

"""Redis carries numbers of jobs and nothing that could be lost."""

from __future__ import annotations

from .scene import EN, Office, Scene


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


def test_a_job_asked_for_while_redis_is_down_waits_and_is_taken_when_it_is_back(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(50)
    office.stack.valkey.stop()
    said = scene.press(scene.bob, scene.offer(scene.bob))
    [job] = scene.jobs()
    assert EN("Job {id} is on its way. Its card shows how far it is.", id=job["id"]) in said
    assert job["status"] == "pending"
    assert scene.slack.wait_for(lambda: scene.card(job["id"]).pinned)
    office.stack.valkey.start()
    assert scene.completed(job["id"])["attempt"] == 1

"""What other queues have lost jobs by, with real processes; docs/reliability.md has the whole list."""

from __future__ import annotations

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from bot.work.queue import ACTOR, QUEUE
from dev.proxy import Proxy

from .scene import Office, Scene, until

#: Longer than three leases of the house.
THREE_LEASES = 9.5


def deliver(office: Office, job_id: int) -> None:
    """Puts the job's number on the queue once more, whatever it waits for."""
    client = redis.Redis.from_url(office.stack.valkey.url)
    broker = RedisBroker(client=client, middleware=[])  # type: ignore[no-untyped-call]
    broker.enqueue(
        dramatiq.Message(queue_name=QUEUE, actor_name=ACTOR, args=(job_id,), kwargs={}, options={})
    )


def passed(scene: Scene, seconds: float) -> None:
    """So much time has passed on consulta's clock."""
    [then] = scene.rows("SELECT now() AS now")
    later = "SELECT now() >= %s + make_interval(secs => %s) AS over"
    until(lambda: scene.rows(later, then["now"], seconds)[0]["over"], timeout=seconds + 20)


def test_a_chunk_that_takes_three_leases_stays_with_its_worker_though_it_is_delivered_again(
    office: Office, scene: Scene
) -> None:
    with scene.halfway(workers=2) as (job_id, _):
        deliver(office, job_id)
        passed(scene, THREE_LEASES)
        assert scene.job(job_id)["attempt"] == 1
    job = scene.completed(job_id)
    assert scene.events(job_id) == ["requested", "claimed", "completed"]
    assert job["attempt"] == 1


def test_a_retry_starts_though_its_message_was_lost_and_another_one_came_too_early(
    office: Office, scene: Scene
) -> None:
    scene.seed()
    with Proxy(office.stack.prod.port) as proxy:
        url = office.secrets["PROD_DATABASE_URL"].replace(f":{office.stack.prod.port}/", f":{proxy.port}/")
        office.own_worker({"PROD_DATABASE_URL": url, **office.with_work(retry_seconds=3.0)})
        proxy.refuse()
        job_id = scene.start()
        until(lambda: "retry" in scene.events(job_id), what="a retry")
        office.stack.valkey.flush()
        deliver(office, job_id)
        proxy.allow()
        job = scene.completed(job_id)
    assert job["attempt"] == 2
    assert scene.events(job_id) == ["requested", "claimed", "retry", "claimed", "completed"]


def test_an_outage_of_three_leases_costs_two_workers_an_attempt_each_and_nothing_else(
    office: Office, scene: Scene
) -> None:
    scene.seed()
    with Proxy(office.stack.consulta.port) as proxy:
        port = office.stack.consulta.port
        url = office.secrets["CONSULTA_DATABASE_URL"].replace(f":{port}/", f":{proxy.port}/")
        for _ in range(2):
            office.own_worker({"CONSULTA_DATABASE_URL": url})
        with scene.roadblock() as roadblock:
            job_id = scene.start()
            roadblock.reached(job_id)
            proxy.refuse()
            proxy.cut()
            passed(scene, THREE_LEASES)
            proxy.allow()
        job = scene.completed(job_id, timeout=60)
    assert job["attempt"] <= 3
    assert len(scene.cards(job_id)) == len(scene.replies(job_id)) == 1

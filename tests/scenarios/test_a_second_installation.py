"""Two installations in one consulta and over one Redis don't get in each other's way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from .house import open_neighbour
from .scene import Office, Scene, until

SCHEMA = "traspaso_beside"


@pytest.fixture(scope="module")
def beside(office: Office) -> Iterator[Office]:
    with open_neighbour(office.stack, SCHEMA) as neighbour:
        yield neighbour


@pytest.fixture
def neighbour(beside: Office, scene: Scene) -> Iterator[Scene]:
    """The same liquidation, as the people of the other installation see it."""
    beside.workers(1)
    there = Scene(beside, scene.liquidation, scene.channel, name=scene.name)
    beside.slack.add_channel(there.channel, f"beside-{scene.liquidation}", ["U0ANA", "U0BOB", "U0BOT"])
    yield there


def numbers(scene: Scene) -> list[int]:
    return [job["id"] for job in scene.jobs()]


def test_each_installation_copies_its_own_tables_and_knows_nothing_of_the_other_s_jobs(
    office: Office, scene: Scene, neighbour: Scene
) -> None:
    office.workers(1)
    scene.seed(20)
    office.prod.execute(
        "INSERT INTO item_notes SELECT %(id)s::bigint * 1000 + g, %(id)s, 'n' FROM generate_series(1, 20) g",
        {"id": scene.liquidation},
    )
    job_id = scene.completed(scene.start())["id"]
    other_id = neighbour.start(neighbour.bob, "notes")
    assert neighbour.ended(other_id)["worker"] != scene.job(job_id)["worker"]
    neighbour.told(other_id)
    assert (numbers(scene), numbers(neighbour)) == ([job_id], [other_id])
    assert len(neighbour.cards(other_id)) == len(neighbour.replies(other_id)) == 1
    assert len(scene.cards(job_id)) == len(scene.replies(job_id)) == 1
    notes = "SELECT count(*) AS n FROM item_notes WHERE liquidation_id = %s"
    assert neighbour.rows(notes, scene.liquidation) == [{"n": 20}]


def test_no_key_of_redis_is_of_both(office: Office, scene: Scene, neighbour: Scene) -> None:
    neighbour.seed(20)
    neighbour.completed(neighbour.start())
    with redis.Redis.from_url(office.stack.valkey.url) as client:
        keys = {key.decode() for key in client.scan_iter("*")}
    own = {key for key in keys if SCHEMA in key}
    assert {key.partition(":")[0] for key in own} == {"dramatiq", f"{SCHEMA}-pace"}
    # What scenarios before this one have left there too, such as the requests of HTTP mode.
    assert [key for key in keys - own if not key.startswith(("dramatiq:", "traspaso-"))] == []


def test_both_copy_the_same_liquidation_into_the_same_table_at_once(
    office: Office, scene: Scene, neighbour: Scene
) -> None:
    office.workers(1)
    scene.seed()
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        other_id = neighbour.start()
        neighbour.slack.wait_for(lambda: neighbour.job(other_id)["chunks_done"] > 0)
    scene.completed(job_id)
    neighbour.completed(other_id)


def test_a_copy_whose_rows_another_installation_overwrites_with_later_ones_doesn_t_claim_to_be_right(
    office: Office, scene: Scene, neighbour: Scene
) -> None:
    office.workers(1)
    scene.seed()
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        office.prod.execute(
            "UPDATE liquidation_items SET concept_code = 'C2' WHERE liquidation_id = %s", [scene.liquidation]
        )
        other_id = neighbour.start()
        neighbour.slack.wait_for(lambda: neighbour.job(other_id)["chunks_done"] > 0)
    assert scene.ended(job_id, "failed")["error"]["code"] == "not_proven"
    until(lambda: neighbour.job(other_id)["finished_at"], what="the end of the other one")
    scene.press(scene.ana, scene.offer(scene.ana))
    again = until(lambda: scene.jobs()[1:], what="a second job")[0]["id"]
    scene.completed(again)

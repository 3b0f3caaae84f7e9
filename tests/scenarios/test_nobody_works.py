"""While no worker is alive, everything that is said of a copy says so, since when, and who is to be told."""

from __future__ import annotations

from bot.messages.blocks import WORKER_COMMAND
from dev.processes import PRODUCT_PROGRAMS

from .scene import EN, ES, Office, Scene, until

OPERATOR = "<@U0OPS>"


def test_a_press_its_card_and_the_status_say_since_when_nobody_works_and_whom_to_tell(
    office: Office, scene: Scene
) -> None:
    office.pretend(silent_seconds=120)
    scene.seed(10)
    said = scene.press(scene.bob, scene.offer(scene.bob))
    [job] = scene.jobs()
    assert EN("Requested: job {id}, {state}.", id=job["id"], state=EN("waiting")) in said
    since = EN("No worker has been alive since {moment}: copies wait until one is started.", moment="|")
    begin = since.partition("|")[0]
    for each in (
        said,
        scene.ask(scene.bob, "", "/copy-status"),
        scene.ask(scene.bob, str(job["id"]), "/copy-status"),
    ):
        assert begin in each
        assert OPERATOR in each
        assert WORKER_COMMAND in each
    assert OPERATOR in scene.card(job["id"]).plain
    printed = office.stack.run("status", [PRODUCT_PROGRAMS / "traspaso", "status"])
    assert printed.wait(20) == 0
    assert WORKER_COMMAND in printed.log()
    assert "<!date" not in printed.log()
    office.workers(1)
    scene.completed(job["id"])


def test_cards_that_wait_are_told_when_the_last_worker_is_gone_and_when_one_is_there(
    office: Office, scene: Scene
) -> None:
    office.pretend()
    scene.seed(10)
    job_id = scene.start()
    assert ES("Queued: the next free worker takes it") in scene.card(job_id).plain
    missing = "SELECT FROM traspaso.installation WHERE workers_missing"
    until(lambda: not scene.rows(missing), what="a look that finds the worker")
    office.pretend(silent_seconds=120)
    until(lambda: OPERATOR in scene.card(job_id).plain, what="a card that says that nobody works")
    office.pretend()
    queued = ES("Queued: the next free worker takes it")
    until(lambda: queued in scene.card(job_id).plain, what="a card that is queued again")
    assert scene.job(job_id)["status"] == "pending"
    office.workers(1)
    scene.completed(job_id)


def test_a_card_of_the_only_worker_that_was_killed_says_that_nobody_goes_on(
    office: Office, scene: Scene
) -> None:
    worker = office.own_worker({})
    scene.seed()
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.card(job_id)
        worker.kill()
        until(lambda: OPERATOR in scene.card(job_id).plain, 50.0, "a card that says that nobody works")
        assert scene.job(job_id)["status"] == "running"
    office.workers(1)
    scene.completed(job_id)


def test_operators_see_every_worker_and_what_it_has_in_hand(office: Office, scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        held = scene.job(job_id)
        printed = office.stack.run("status-of-workers", [PRODUCT_PROGRAMS / "traspaso", "status"])
        assert printed.wait(20) == 0
        [line] = [line for line in printed.log().splitlines() if line.startswith(held["worker"])]
        assert line.split()[-1] == str(job_id)
    scene.completed(job_id)

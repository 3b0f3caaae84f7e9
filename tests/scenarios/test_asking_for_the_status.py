"""/copy-status: what runs, what has ended, one job."""

from __future__ import annotations

from .scene import CHUNK_ROWS, EN, ROWS, Office, Scene


def test_the_list_shows_what_runs_and_what_has_ended_each_with_its_link(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(30)
    ended = scene.completed(scene.start())["id"]
    scene.seed(ROWS - 30, first=31)
    with scene.roadblock() as roadblock:
        running = scene.start(scene.bob)
        roadblock.reached(running)
        card = scene.slack.wait_for(lambda: scene.cards(running))[0]
        said = scene.ask(scene.bob, "", "/copy-status")
        for job_id, state in ((running, EN("running")), (ended, EN("completed"))):
            [line] = [each for each in said.splitlines() if EN("Job {id}", id=job_id) in each]
            assert state in line
            assert "https://" in line
            assert str(scene.liquidation) in line
        assert card.ts.replace(".", "") in said
        assert EN.number(5 * CHUNK_ROWS) in said
    scene.completed(running)


def test_one_job_is_shown_as_its_card_shows_it(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(30)
    job_id = scene.completed(scene.start())["id"]
    said = scene.ask(scene.bob, str(job_id), "/copy-status")
    assert scene.name in said
    assert EN.percent(1) in said
    assert "<@U0ANA>" in said
    assert scene.card(job_id).ts.replace(".", "") in said
    assert str(job_id) in scene.ask(scene.ana, f" {job_id} ", "/copy-status")


def test_what_is_no_job_is_said_to_be_none(scene: Scene) -> None:
    assert EN("There is no job {id}.", id=987654321) in scene.ask(scene.bob, "987654321", "/copy-status")
    for text in ("x", "0", "-1", "1 2", "<!channel>", "٤"):
        said = scene.ask(scene.bob, text, "/copy-status")
        assert "/copy-status 17" in said
        assert "<!channel>" not in said

"""/copy-status: what runs, what has ended, one job."""

from __future__ import annotations

import json

from dev.local_slack.plain import plain
from dev.local_slack.results import Message

from .scene import CHUNK_ROWS, EN, ROWS, Office, Scene


def cells(message: Message) -> list[list[str]]:
    """The lines of the message's table, without its head."""
    [table] = [block for block in message.blocks or [] if block["type"] == "table"]
    return [[plain([{"type": "table", "rows": [[cell]]}]) for cell in row] for row in table["rows"][1:]]


def links(message: Message) -> str:
    return json.dumps(message.blocks)


def test_the_list_shows_what_runs_and_what_has_ended_each_with_its_link(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(30)
    ended = scene.completed(scene.start())["id"]
    scene.seed(ROWS - 30, first=31)
    with scene.roadblock() as roadblock:
        running = scene.start(scene.bob)
        roadblock.reached(running)
        card = scene.slack.wait_for(lambda: scene.cards(running))[0]
        _, answer = scene.type(scene.bob, "/copy-status")
        [line] = [each for each in answer.plain.splitlines() if EN("Job {id}", id=running) in each]
        assert EN("running") in line
        assert str(scene.liquidation) in line
        assert EN.number(5 * CHUNK_ROWS) in line
        [first, *_] = cells(answer)
        named = [str(ended), f"{scene.liquidation} · {scene.name}", "items"]
        assert first[:5] == [*named, EN("completed"), "30 / 30"]
        for job_id in (running, ended):
            assert scene.cards(job_id)[0].ts.replace(".", "") in links(answer)
        assert card.ts.replace(".", "") in answer.plain
    scene.completed(running)


def test_a_job_that_waits_names_the_one_it_waits_for(office: Office, scene: Scene) -> None:
    worker = office.own_worker({})
    scene.seed()
    with scene.roadblock() as roadblock:
        first = scene.start()
        roadblock.reached(first)
        worker.kill()  # nobody takes the next one
        scene.ana.press(scene.type(scene.ana, "/copy-liquidation 40")[1], "copy_liquidation.confirm")
        second = scene.slack.wait_for(
            lambda: scene.rows(
                "SELECT id FROM traspaso.copy_jobs WHERE liquidation_id = 40 AND status = 'pending'"
            )
        )[0]["id"]
        said = scene.ask(scene.bob, "", "/copy-status")
        behind = EN.plural("Queued behind {n} copy", "Queued behind {n} copies", 1)
        assert f"{behind} ({EN('job {id}', id=first)})" in said
        assert EN("Job {id}", id=second) in said


def test_the_history_of_a_liquidation_and_of_oneself_is_a_table(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(30)
    hers = scene.completed(scene.start(scene.ana))["id"]
    his = scene.completed(scene.start(scene.bob))["id"]
    for text in (f"liquidation {scene.liquidation}", f"LIQUIDACIÓN {scene.liquidation}"):
        _, answer = scene.type(scene.bob, f"/copy-status {text}")
        assert [row[0] for row in cells(answer)] == [str(his), str(hers)]
        assert scene.card(hers).ts.replace(".", "") in links(answer)
    for person, own, other in ((scene.ana, hers, his), (scene.bob, his, hers)):
        _, answer = scene.type(person, "/copy-status " + ("mías" if person is scene.ana else "mine"))
        numbers = [row[0] for row in cells(answer)]
        assert numbers[0] == str(own)
        assert str(other) not in numbers
    never = EN("Liquidation {id} has never been copied.", id=987654)
    assert never in scene.ask(scene.bob, "liquidation 987654", "/copy-status")


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
    for text in ("x", "0", "-1", "1 2", "<!channel>", "٤", "liquidation", "mine mine", "liquidation 4 2"):
        said = scene.ask(scene.bob, text, "/copy-status")
        assert "/copy-status 17" in said
        assert "<!channel>" not in said

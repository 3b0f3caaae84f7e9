"""App Home shows what runs while it runs, can be filtered, and tells others whom to ask."""

from __future__ import annotations

from bot.messages.blocks import of_liquidation
from bot.messages.card import CANCEL_ACTION
from bot.messages.question import APPROVE_ACTION
from dev.local_slack.client import Person
from dev.local_slack.plain import plain

from .scene import CHUNK_ROWS, EN, ES, Office, Scene, until


def said(person: Person) -> str:
    view = person.home()
    return view.plain if view else ""


def latest(person: Person, job_id: int) -> list[list[str]]:
    """The job's row of the table of the latest copies, if it has one."""
    view = person.home()
    tables = [block for block in view.blocks if block["type"] == "table"] if view else []
    rows = [
        [plain([{"type": "table", "rows": [[cell]]}]) for cell in row]
        for table in tables
        for row in table["rows"]
    ]
    return [row for row in rows if row[0].endswith(str(job_id)) or f"|{job_id}>" in row[0]]


def test_it_follows_a_copy_from_the_queue_to_the_end(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed()
    assert EN("New copy") in scene.bob.open_home().plain
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        name = EN("Job {id}", id=job_id)
        rows = EN.plural(
            "{done} of {n} row", "{done} of {n} rows", 8 * CHUNK_ROWS, done=EN.number(5 * CHUNK_ROWS)
        )
        scene.slack.wait_for(lambda: name in said(scene.bob) and rows in said(scene.bob))
        assert "█" in said(scene.bob)
        link = scene.card(job_id).ts.replace(".", "")
        scene.slack.wait_for(lambda: link in said(scene.bob))
    scene.completed(job_id)
    scene.slack.wait_for(lambda: EN("Nothing is running.") in said(scene.bob))
    [row] = latest(scene.bob, job_id)
    rows = EN.number(8 * CHUNK_ROWS)
    assert row[2:5] == ["items", EN("completed"), f"{rows} / {rows}"]
    assert "Ana" in row[5] or "U0ANA" in row[5]
    assert "UTC" in row[6]
    assert row[7].endswith((" s", EN("less than a second")))


def test_the_list_of_the_latest_can_be_filtered(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(10)
    hers, his = (scene.completed(scene.start(person))["id"] for person in (scene.ana, scene.bob))
    scene.bob.open_home()
    scene.slack.wait_for(lambda: latest(scene.bob, hers) and latest(scene.bob, his))
    home = until(scene.bob.home)
    assert scene.bob.press(home, "home.who", value="mine").acked
    scene.slack.wait_for(lambda: latest(scene.bob, his) and not latest(scene.bob, hers))
    home = until(scene.bob.home)
    assert scene.bob.press(home, "home.status", value="failed").acked
    scene.slack.wait_for(lambda: not latest(scene.bob, his))


def test_who_may_not_copy_reads_whom_to_ask_and_nothing_else(scene: Scene) -> None:
    home = scene.carla.open_home()
    assert "<!subteam^S0ADMINS>" in home.plain
    assert ES("You may not use `{command}`.", command="/copy-liquidation") in home.plain
    assert not home.buttons


def test_only_who_may_run_the_copy_can_approve_it_on_the_panel(scene: Scene) -> None:
    scene.seed(1001)
    job_id = scene.start(scene.bob, "bobs")
    home = scene.ana.open_home()
    assert ES("Job {id}", id=job_id) in home.plain
    assert ES("They may approve it: {who}.", who="<@U0BOB>") in home.plain
    assert APPROVE_ACTION not in [button.action_id for button in home.buttons]
    scene.bob.press(scene.card(job_id), CANCEL_ACTION)
    scene.ended(job_id, "cancelled")


def test_what_becomes_of_an_approval_on_the_panel_is_told_in_a_direct_message(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(1001)
    job_id = scene.start(scene.ana, "checked")
    home = scene.bob.open_home()
    # The page stays as it is: a refresh would show no button to who has left the group.
    scene.slack.fault("views.publish", status=500, times=None, match={"user_id": scene.bob.id})
    scene.leaves_the_group(scene.bob)
    assert scene.bob.press(home, APPROVE_ACTION, value=str(job_id)).acked
    refused = EN("You may not use `{command}`.", command="/copy-liquidation")
    scene.slack.wait_for(lambda: refused in scene.bob.messages(scene.bob.dm)[-1].plain)
    scene.joins_the_group(scene.bob)
    assert scene.bob.press(home, APPROVE_ACTION, value=str(job_id)).acked
    what = of_liquidation("checked", scene.liquidation, EN)
    approved = EN("Approved: job {id}, {what}.", id=job_id, what=what)
    scene.slack.wait_for(lambda: approved in scene.bob.messages(scene.bob.dm)[-1].plain)
    scene.completed(job_id)

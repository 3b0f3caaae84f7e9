"""A copy for tonight, a schedule, and a freeze that ends by itself, as people see them in Slack."""

from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.messages import proposal
from bot.messages.card import CANCEL_ACTION, START_NOW_ACTION
from dev.local_slack.client import Person
from dev.local_slack.results import View

from .scene import EN, ES, Office, Scene, until
from .test_choosing_in_the_modal import offered, opened, says, step

HOUR = 3600
#: The time zone that her Slack shows.
ANAS = ZoneInfo("Europe/Madrid")


def asked_when(scene: Scene, person: Person, rows: int = 30) -> View:
    """The window of *Later…* on a confirm card."""
    scene.seed(rows)
    offer = scene.offer(person)
    assert person.press(offer, proposal.LATER_ACTION).acked

    def shown() -> View | None:
        view = person.modal()
        return view if view and proposal.START in view.inputs else None

    return scene.slack.wait_for(shown)


def planned(scene: Scene, person: Person, hours: float = 6) -> int:
    """A job that begins in so many hours."""
    asked_when(scene, person)
    assert person.submit({proposal.START: int(time.time() + hours * HOUR)}).acked
    return int(scene.slack.wait_for(scene.jobs)[-1]["id"])


def its_time_comes(scene: Scene, job_id: int) -> None:
    scene.office.consulta.execute(
        "UPDATE traspaso.copy_jobs SET start_at = now(), run_after = now() WHERE id = %s", [job_id]
    )


def said_in_channel(scene: Scene, words: str) -> bool:
    return any(words in each.plain for each in scene.ana.messages(scene.channel) if not each.ephemeral)


def test_a_copy_for_tonight_waits_on_its_card_and_begins_at_its_time(office: Office, scene: Scene) -> None:
    office.workers(1)
    view = asked_when(scene, scene.ana)
    tonight = view.inputs[proposal.START]
    assert datetime.fromtimestamp(tonight, ANAS).strftime("%H:%M") == "02:00"
    gone = scene.ana.submit({proposal.START: int(time.time()) - 60})
    assert ES("Choose a moment that is still to come, within 31 days.") in str(gone.errors)
    assert scene.ana.submit({proposal.START: tonight}).acked
    [job] = scene.slack.wait_for(scene.jobs)
    card = scene.card_with(job["id"], "⏰")
    assert ES("Begins {moment}", moment="").strip() in card.plain
    assert ES("planned").capitalize() in says(scene, scene.ana, ES("job {id}", id=job["id"])).plain
    # Somebody else who wants the same finds it; a worker that is free leaves it alone.
    assert ES("job {id}", id=job["id"]) in scene.ask(scene.ana, str(scene.liquidation))
    assert scene.job(job["id"])["status"] == "pending"
    its_time_comes(scene, job["id"])
    assert scene.completed(job["id"])["attempt"] == 1
    assert scene.events(job["id"]) == ["requested", "claimed", "completed"]


def test_in_the_modal_a_moment_can_be_chosen_too_and_a_copy_begun_at_once_after_all(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(30)
    opened(scene, scene.bob)
    assert offered(scene.bob, str(scene.liquidation))
    assert scene.bob.submit({proposal.LIQUIDATION: str(scene.liquidation), proposal.COPY: "items"}).acked
    step(scene, scene.bob, proposal.START)
    assert scene.bob.submit({proposal.START: int(time.time() + HOUR)}).acked
    [job] = scene.slack.wait_for(scene.jobs)
    card = scene.card_with(job["id"], "⏰")
    assert scene.ana.press(card, START_NOW_ACTION).acked
    scene.completed(job["id"])
    assert scene.events(job["id"]) == ["requested", "started_now", "claimed", "completed"]


def test_a_copy_for_tonight_is_cancelled_on_its_card(office: Office, scene: Scene) -> None:
    office.workers(1)
    job_id = planned(scene, scene.bob)
    assert scene.bob.press(scene.card_with(job_id, "⏰"), CANCEL_ACTION).acked
    scene.ended(job_id, "cancelled")
    assert not scene.compared().consulta_rows


def test_where_the_rows_have_moved_on_until_then_its_card_asks_before_anything_is_written(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    job_id = planned(scene, scene.ana)
    scene.seed(30, first=31)
    its_time_comes(scene, job_id)
    until(lambda: scene.job(job_id)["question"], what="the question")
    assert not scene.compared().consulta_rows


def test_who_may_not_copy_any_more_when_it_begins_copies_nothing(office: Office, scene: Scene) -> None:
    office.workers(1)
    job_id = planned(scene, scene.ana)
    scene.was_pressed_a_while_ago(job_id)
    scene.slack.remove_from_group("U0ANA")
    its_time_comes(scene, job_id)
    scene.ended(job_id, "failed")
    assert not scene.compared().consulta_rows


def test_a_freeze_for_two_hours_ends_by_itself_and_its_channel_is_told(office: Office, scene: Scene) -> None:
    office.workers(1)
    said = scene.ask(scene.bob, "for 2h maintenance", "/copy-freeze")
    assert EN("All copies are frozen until {moment}.", moment="")[:28] in said
    assert ES("until {moment}", moment="").strip() in scene.ask(scene.ana, "", "/copy-freeze")
    office.consulta.execute("UPDATE traspaso.copy_freezes SET until = now() WHERE lifted_at IS NULL")
    over = ES("The freeze of {user} is over: copies run again.", user="<@U0BOB>")
    scene.slack.wait_for(lambda: said_in_channel(scene, over))
    scene.seed(20)
    scene.completed(scene.start())


def test_an_end_that_can_t_be_read_freezes_nothing(scene: Scene) -> None:
    assert "until 18:00" in scene.ask(scene.bob, "until late", "/copy-freeze")
    assert not scene.rows("SELECT 1 FROM traspaso.copy_freezes WHERE lifted_at IS NULL")


def test_a_schedule_copies_as_its_user_and_what_no_card_says_is_told_in_its_channel(
    office: Office, scene: Scene
) -> None:
    scene.seed(25)
    empty = scene.liquidation + 500_000
    office.prod.execute(
        "INSERT INTO liquidations VALUES (%s, 'vacía', '2026-10-01', 'prueba', now())", [empty]
    )
    path = office.stack.folder / "scheduled.toml"
    path.write_text(
        office.stack.config_path.read_text("utf-8")
        + f"""
[[schedules]]
name = "nightly"
cron = "* * * * *"
copy = "items"
liquidations = {{ where = "id IN ({scene.liquidation}, {empty})" }}
as_user = "U0BOB"
channel = "{scene.channel}"
""",
        "utf-8",
    )
    office.own_worker({"TRASPASO_CONFIG": str(path)})
    until(lambda: scene.rows("SELECT 1 FROM traspaso.schedules"), what="the schedule's row")
    office.consulta.execute("UPDATE traspaso.schedules SET handled_until = now() - interval '1 min'")
    [job] = until(scene.jobs, what="the schedule's job")
    assert ES("Requested by the schedule {name}, as {user}", name="`nightly`", user="<@U0BOB>") in (
        scene.card(job["id"]).plain
    )
    scene.completed(job["id"])
    line = ES("• {id}: has rows on neither side, or isn't in the catalogue", id=empty)
    scene.slack.wait_for(lambda: said_in_channel(scene, line))

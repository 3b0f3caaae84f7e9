"""*Details* opens at once and tells the whole story of a job, to those who may copy."""

from __future__ import annotations

from bot.messages.card import CANCEL_ACTION, DETAILS_ACTION, PAUSE_ACTION, RESUME_ACTION
from dev.local_slack.client import Person
from dev.local_slack.results import View

from .scene import EN, ES, PASSWORD, ROW_VALUE, Office, Scene, until
from .test_controlling_a_copy import press, with_status


def details(scene: Scene, person: Person, job_id: int, words: str) -> View:
    """The modal, as soon as it says this."""
    press(scene, person, job_id, DETAILS_ACTION)

    def shown() -> View | None:
        view = person.modal()
        return view if view is not None and words in view.plain else None

    return scene.slack.wait_for(shown)


def test_the_details_tell_what_happened_in_order_each_with_who_did_it(office: Office, scene: Scene) -> None:
    with scene.halfway(2) as (job_id, roadblock):
        held = scene.job(job_id)
        scene.card(job_id)
        office.worker_of(held).kill()
        roadblock.reached(job_id, attempt=2)
        press(scene, scene.bob, job_id, PAUSE_ACTION)
        until(lambda: scene.job(job_id)["stop_requested"], what="the stop request")
        roadblock.lift()
        with_status(scene, job_id, "paused")
    scene.card_with(job_id, ES("Resume"))
    press(scene, scene.ana, job_id, RESUME_ACTION)
    job = scene.completed(job_id)
    said = details(scene, scene.bob, job_id, EN("What happened")).plain
    story = [
        EN("{user} asked for the copy", user="<@U0ANA>"),
        EN("worker {worker} was lost", worker=f"`{held['worker']}`"),
        EN("{user} asked to pause it", user="<@U0BOB>"),
        EN("paused, for {user}", user="<@U0BOB>"),
        EN("{user} let it go on", user="<@U0ANA>"),
        EN("attempt {n} began, in worker {worker}", n=3, worker=f"`{job['worker']}`"),
        EN("completed, {rows} on both sides", rows=EN.rows(job["total_records"])),
        EN("Slowest chunks"),
    ]
    places = [said.index(words) for words in story]
    assert places == sorted(places)
    assert ROW_VALUE not in said
    assert PASSWORD not in said
    assert str(scene.key(1))[:-1] not in said  # no keys of rows either
    # Each reader in their own language.
    assert ES("Slowest chunks") in details(scene, scene.ana, job_id, ES("What happened")).plain


def test_the_modal_opens_before_anything_is_asked_of_the_databases(office: Office, scene: Scene) -> None:
    office.workers(0)
    scene.seed(20)
    job_id = scene.start()
    scene.card(job_id)
    with office.consulta.transaction():
        office.consulta.execute("LOCK TABLE traspaso.copy_events IN ACCESS EXCLUSIVE MODE")
        view = details(scene, scene.ana, job_id, ES("One moment…"))
        assert ES("What happened") not in view.plain
    scene.slack.wait_for(lambda: ES("What happened") in getattr(scene.ana.modal(), "plain", ""))
    press(scene, scene.ana, job_id, CANCEL_ACTION)
    scene.ended(job_id, "cancelled")
    scene.told(job_id)


def test_who_may_not_copy_reads_whom_to_ask(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20)
    job_id = scene.start()
    scene.completed(job_id)
    view = details(scene, scene.carla, job_id, "<!subteam^S0ADMINS>")
    assert "<@U0ANA>" not in view.plain


def test_the_details_of_a_copy_with_its_own_people_are_theirs_as_its_other_buttons_are(
    office: Office, scene: Scene
) -> None:
    office.workers(0)
    scene.seed(20)
    job_id = scene.start(scene.bob, "bobs")
    refused = ES("You may not use `{command}` for copy `{name}`.", command="/copy-liquidation", name="bobs")
    view = details(scene, scene.ana, job_id, refused)
    assert ES("What happened") not in view.plain
    for action in (PAUSE_ACTION, CANCEL_ACTION):
        assert refused in scene.press_on_card(scene.ana, scene.card(job_id), action)
    assert EN("What happened") in details(scene, scene.bob, job_id, EN("What happened")).plain
    # What waits, and behind what, is for whoever may copy anything.
    assert str(scene.liquidation) in scene.ask(scene.ana, str(job_id), "/copy-status")

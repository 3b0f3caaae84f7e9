"""Without knowing a number: choose a liquidation in a modal, look at both sides there, and start the copy."""

from __future__ import annotations

from typing import Any

import psycopg

from bot.messages import proposal
from bot.messages.blocks import of_liquidation
from dev.local_slack.client import Person
from dev.local_slack.results import View

from .house import both_ways
from .scene import EN, ES, Office, Scene


def step(scene: Scene, person: Person, action_id: str) -> View:
    """The modal as soon as it has this input."""

    def shown() -> View | None:
        view = person.modal()
        return view if view and action_id in view.inputs else None

    return scene.slack.wait_for(shown)


def says(scene: Scene, person: Person, words: str) -> View:
    def shown() -> View | None:
        view = person.modal()
        return view if view and words in view.plain else None

    return scene.slack.wait_for(shown)


def to_be_ticked(scene: Scene, person: Person, but: str = "") -> str:
    """The box under a look at a copy that removes all, as soon as it is shown; another one than before."""

    def shown() -> str | None:
        view = person.modal()
        boxes = [name for name in view.inputs if name.startswith(proposal.UNDERSTOOD)] if view else []
        return next((name for name in boxes if name != but), None)

    return scene.slack.wait_for(shown)


def opened(scene: Scene, person: Person) -> View:
    assert person.command("/copy-liquidation", channel=scene.channel).acked
    return step(scene, person, proposal.LIQUIDATION)


def offered(person: Person, query: str) -> list[Any]:
    return [option["text"]["text"] for option in person.options(proposal.LIQUIDATION, query)]


@both_ways
def test_from_the_bare_command_to_the_end_of_the_copy(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(30)
    view = opened(scene, scene.ana)
    assert ES("Copy a liquidation") in view.plain
    line = f"{scene.liquidation} · {scene.name}"
    assert line in offered(scene.ana, "")
    assert line in offered(scene.ana, f"prueba {scene.liquidation} liquidacion")
    assert offered(scene.ana, str(scene.liquidation)) == [line]
    assert scene.ana.submit({proposal.LIQUIDATION: str(scene.liquidation), proposal.COPY: "items"}).acked
    preview = says(scene, scene.ana, ES("Copy {what}?", what=of_liquidation("items", scene.liquidation, ES)))
    assert "30" in preview.plain
    assert preview.submit is not None
    assert preview.submit["text"] == ES("Copy")
    assert not scene.jobs()
    assert scene.ana.submit().acked
    [job] = scene.slack.wait_for(scene.jobs)
    said = says(scene, scene.ana, ES("job {id}", id=job["id"]))
    assert said.submit is None
    assert scene.completed(job["id"])["channel_id"] == scene.channel
    assert scene.card(job["id"]).plain


@both_ways
def test_the_catalogue_is_searched_by_number_name_and_period(scene: Scene) -> None:
    opened(scene, scene.bob)
    assert offered(scene.bob, "vacaciones") == ["50 · Vacaciones · Diciembre 2026"]
    [december] = scene.bob.options(proposal.LIQUIDATION, "2026-12")
    assert december["description"]["text"] == "December 2026"
    newest = [int(line.split()[0]) for line in offered(scene.bob, "")]
    assert newest == sorted(newest, reverse=True)
    assert newest[0] >= scene.liquidation
    assert offered(scene.bob, "%_%") == []


def test_a_hostile_name_in_the_catalogue_hides_no_other(scene: Scene) -> None:
    name = "<!channel> *x* `y` \u202e " + "🎉" * 300
    office = scene.office
    office.prod.execute("UPDATE liquidations SET name = %s WHERE id = %s", [name, scene.liquidation])
    opened(scene, scene.bob)
    assert len(offered(scene.bob, "<!channel>")) == 1
    scene.seed(10)
    assert scene.bob.submit({proposal.LIQUIDATION: str(scene.liquidation)}).acked
    says(scene, scene.bob, EN("Copy {what}?", what=of_liquidation("items", scene.liquidation, EN)))


def test_a_catalogue_that_numbers_in_text_is_offered_and_what_is_no_number_there_hides_nothing(
    office: Office, scene: Scene
) -> None:
    scene.seed(10)
    office.prod.execute("""
        ALTER TABLE liquidations RENAME TO numbered;
        CREATE VIEW liquidations AS
            SELECT id::varchar(20) AS id, name, period, kind, created_at FROM numbered
            UNION ALL VALUES ('2026-01', 'Liquidación sin número', date '2026-01-01', 'mensual', now())
    """)
    try:
        opened(scene, scene.bob)
        line = f"{scene.liquidation} · {scene.name}"
        assert offered(scene.bob, str(scene.liquidation)) == [line]
        newest = [int(each.split()[0]) for each in offered(scene.bob, "")]
        assert newest == sorted(newest, reverse=True)
        assert offered(scene.bob, "sin número") == []
        scene.bob.options(proposal.LIQUIDATION, str(scene.liquidation))
        assert scene.bob.submit({proposal.LIQUIDATION: str(scene.liquidation)}).acked
        says(scene, scene.bob, scene.name)
    finally:
        office.prod.execute("DROP VIEW liquidations; ALTER TABLE numbered RENAME TO liquidations")


def test_what_can_not_be_copied_is_said_in_the_modal_and_nothing_can_be_pressed(scene: Scene) -> None:
    opened(scene, scene.bob)
    scene.bob.options(proposal.LIQUIDATION, "vacaciones")
    assert scene.bob.submit({proposal.LIQUIDATION: "50"}).acked
    what = of_liquidation("items", 50, EN)
    empty = EN("Neither prod nor consulta has rows for {what}: there is nothing to copy.", what=what)
    assert says(scene, scene.bob, empty).submit is None


def test_removing_everything_has_to_be_ticked_first(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed_consulta(5)
    opened(scene, scene.bob)
    scene.bob.options(proposal.LIQUIDATION, str(scene.liquidation))
    scene.bob.submit({proposal.LIQUIDATION: str(scene.liquidation)})
    box = to_be_ticked(scene, scene.bob)
    assert box in scene.bob.submit().errors
    assert not scene.jobs()
    # Other numbers are another thing to be ticked.
    scene.seed_consulta(5, first=6)
    assert scene.bob.submit({box: ["yes"]}).acked
    anew = to_be_ticked(scene, scene.bob, but=box)
    assert not scene.jobs()
    assert anew in scene.bob.submit().errors
    assert scene.bob.submit({anew: ["yes"]}).acked
    [job] = scene.slack.wait_for(scene.jobs)
    assert scene.completed(job["id"])["deleted_records"] == 10


def test_a_copy_started_from_app_home_has_its_card_where_one_chooses(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(10)
    home = scene.bob.open_home()
    assert scene.bob.press(home, "home.new").acked
    step(scene, scene.bob, proposal.CHANNEL)
    scene.bob.options(proposal.LIQUIDATION, str(scene.liquidation))
    scene.bob.submit({proposal.LIQUIDATION: str(scene.liquidation), proposal.CHANNEL: scene.channel})
    says(scene, scene.bob, EN("Copy {what}?", what=of_liquidation("items", scene.liquidation, EN)))
    scene.bob.submit()
    [job] = scene.slack.wait_for(scene.jobs)
    assert scene.completed(job["id"])["channel_id"] == scene.channel


def test_a_copy_started_from_app_home_without_a_channel_has_its_card_in_a_direct_message(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(10)
    scene.bob.press(scene.bob.open_home(), "home.new")
    step(scene, scene.bob, proposal.CHANNEL)
    scene.bob.options(proposal.LIQUIDATION, str(scene.liquidation))
    scene.bob.submit({proposal.LIQUIDATION: str(scene.liquidation)})
    says(scene, scene.bob, EN("Copy {what}?", what=of_liquidation("items", scene.liquidation, EN)))
    scene.bob.submit()
    [job] = scene.slack.wait_for(scene.jobs)
    scene.completed(job["id"])
    assert scene.cards(job["id"], scene.bob.dm, scene.bob)


def test_only_the_copies_that_one_may_run_can_be_chosen(scene: Scene) -> None:
    def offered_copies(person: Person) -> list[str]:
        [menu] = [each for each in opened(scene, person).blocks if each.get("block_id") == proposal.COPY]
        return [option["value"] for option in menu["element"]["options"]]

    assert offered_copies(scene.ana) == ["items", "notes", "checked", "large"]
    assert offered_copies(scene.bob) == ["items", "notes", "checked", "large", "bobs"]


def test_where_only_one_copy_may_be_run_there_is_nothing_to_choose(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(10)
    scene.slack.remove_from_group("U0BOB")
    office.restart_bot()  # it would remember the group with him for a minute
    assert "bobs" in scene.offer(scene.bob).plain  # a command that names no copy means his
    assert scene.bob.command("/copy-liquidation", channel=scene.channel).acked

    def without_a_choice() -> bool:  # an older modal of his may be there still
        inputs = getattr(scene.bob.modal(), "inputs", {})
        return proposal.LIQUIDATION in inputs and proposal.COPY not in inputs

    scene.slack.wait_for(without_a_choice)
    scene.bob.options(proposal.LIQUIDATION, str(scene.liquidation))
    scene.bob.submit({proposal.LIQUIDATION: str(scene.liquidation)})
    assert (
        "bobs"
        in says(
            scene, scene.bob, EN("Copy {what}?", what=of_liquidation("bobs", scene.liquidation, EN))
        ).plain
    )
    scene.bob.submit()
    [job] = scene.slack.wait_for(scene.jobs)
    assert scene.completed(job["id"])["copy_name"] == "bobs"
    scene.slack.add_to_group("U0BOB")
    office.restart_bot()


def test_who_may_not_copy_is_told_in_the_modal_whom_to_ask(scene: Scene) -> None:
    assert scene.carla.command("/copy-liquidation", channel=scene.channel).acked
    view = says(scene, scene.carla, "<!subteam^S0ADMINS>")
    assert not view.inputs
    assert view.submit is None


def test_who_has_left_the_group_since_the_preview_is_refused_at_the_press(
    office: Office, scene: Scene
) -> None:
    scene.seed(10)
    opened(scene, scene.ana)
    scene.ana.options(proposal.LIQUIDATION, str(scene.liquidation))
    scene.ana.submit({proposal.LIQUIDATION: str(scene.liquidation)})
    says(scene, scene.ana, ES("Copy {what}?", what=of_liquidation("items", scene.liquidation, ES)))
    scene.leaves_the_group(scene.ana)
    scene.ana.submit()
    says(scene, scene.ana, "<!subteam^S0ADMINS>")
    assert not scene.jobs()
    office.restart_bot()  # it would remember the group without her for a minute


def test_submitting_twice_is_one_job(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(10)
    opened(scene, scene.ana)
    scene.ana.options(proposal.LIQUIDATION, str(scene.liquidation))
    scene.ana.submit({proposal.LIQUIDATION: str(scene.liquidation)})
    says(scene, scene.ana, ES("Copy {what}?", what=of_liquidation("items", scene.liquidation, ES)))
    scene.slack.duplicate_next_envelope()
    taken = scene.ana.submit()
    scene.slack.wait_for(
        lambda: next(
            (each for each in scene.slack.envelopes(taken.envelope_id) if each.acks == 2),
            None,
        )
    )
    [job] = scene.slack.wait_for(scene.jobs)
    scene.completed(job["id"])
    assert len(scene.jobs()) == 1


def test_a_step_that_takes_long_shows_that_it_waits_and_then_its_outcome(scene: Scene) -> None:
    scene.seed(10)
    opened(scene, scene.bob)
    scene.bob.options(proposal.LIQUIDATION, str(scene.liquidation))
    with psycopg.connect(scene.office.stack.prod_url) as connection:
        connection.execute("LOCK TABLE liquidation_items IN ACCESS EXCLUSIVE MODE")
        assert scene.bob.submit({proposal.LIQUIDATION: str(scene.liquidation)}).acked
        says(scene, scene.bob, EN("Looking at both sides…"))
    says(scene, scene.bob, EN("Copy {what}?", what=of_liquidation("items", scene.liquidation, EN)))


def test_while_slack_opens_no_modal_the_number_is_asked_for(scene: Scene) -> None:
    scene.slack.fault("views.open", error="expired_trigger_id")
    said = scene.ask(scene.bob, "")
    assert EN("Which liquidation? Write its number after the command.") in said
    assert "/copy-liquidation 42" in said

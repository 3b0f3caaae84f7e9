"""One confirmation is one job, whoever presses how often; and it counts only from whom it may."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bot.messages import answers
from bot.messages.proposal import COPY_ACTION
from bot.slack.access import FAILED_SECONDS
from dev.local_slack.client import Person
from dev.local_slack.results import Message

from .scene import EN, ES, Office, Scene, until


def test_pressing_twice_is_one_job(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20)
    offer = scene.offer(scene.ana)
    with ThreadPoolExecutor(2) as pool:
        presses = [pool.submit(scene.ana.press, offer, COPY_ACTION, stale=True) for _ in range(2)]
        assert all(press.result().acked for press in presses)
    until(scene.jobs, what="a job")
    scene.completed(scene.jobs()[0]["id"])
    scene.ana.press(offer, COPY_ACTION, stale=True)
    job_id = scene.jobs()[0]["id"]
    again = ES("You pressed this before: it became job {job}, {state}.", job=job_id, state=ES("completed"))
    scene.slack.wait_for(lambda: any(again in message.plain for message in scene.private(scene.ana)))
    assert len(scene.jobs()) == 1


def test_two_admins_pressing_at_the_same_moment_get_one_job_and_both_learn_of_it(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed()
    with scene.roadblock() as roadblock:
        offers = [(person, scene.offer(person)) for person in (scene.ana, scene.bob)]
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(lambda pair: scene.press(*pair), offers))
        [job] = scene.jobs()
        number = str(job["id"])
        assert all(number in each for each in said)
        running = [each for each in said if not each.startswith(("Requested:", "Copia pedida:"))]
        assert len(running) == 1, said
        # The other one is shown the way to it: its card, or how to ask for it until it has one.
        assert f"/copy-status {number}" in running[0] or "https://" in running[0]
        roadblock.reached(job["id"])
        card = scene.card(job["id"])
        late = scene.ask(scene.bob, str(scene.liquidation))
        assert card.ts.replace(".", "") in late
        assert EN("Go to its card") in late
    scene.completed(job["id"])
    assert len(scene.replies(job["id"])) == 1


def test_an_offer_from_before_is_answered_with_the_running_job(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed()
    with scene.roadblock() as roadblock:
        hers, his = scene.offer(scene.ana), scene.offer(scene.bob)
        scene.press(scene.ana, hers)
        job_id = scene.jobs()[0]["id"]
        roadblock.reached(job_id)
        card = scene.card(job_id)
        said = scene.press(scene.bob, his)
        assert "<@U0ANA>" in said
        assert card.ts.replace(".", "") in said
    scene.completed(job_id)
    assert len(scene.jobs()) == 1


def test_a_press_that_slack_delivers_twice_is_one_job(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20)
    offer = scene.offer(scene.ana)
    scene.slack.duplicate_next_envelope()
    taken = scene.ana.press(offer, COPY_ACTION)
    until(scene.jobs, what="a job")
    scene.slack.wait_for(
        lambda: next(
            (each for each in scene.slack.envelopes(taken.envelope_id) if each.acks == 2),
            None,
        )
    )
    [job] = scene.jobs()
    scene.completed(job["id"])
    assert len(scene.jobs()) == len(scene.cards(job["id"])) == len(scene.replies(job["id"])) == 1


def test_an_old_preview_is_shown_anew_and_asks_again(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20)
    offer = scene.offer(scene.bob)
    scene.bob.press(older(offer), COPY_ACTION, stale=True)
    again = shown_anew(scene, scene.bob, offer)
    assert answers.asked_anew(EN, moved=False) in again.plain
    assert not scene.jobs()
    scene.press(scene.bob, again)
    scene.completed(scene.jobs()[0]["id"])


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_a_press_for_numbers_that_have_moved_shows_the_new_ones_and_asks_again(
    office: Office, scene: Scene, side: str
) -> None:
    office.workers(1)
    scene.seed(50)
    scene.seed_consulta(20)
    offer = scene.offer(scene.bob)
    if side == "prod":
        scene.seed(6, first=51)
    else:
        scene.seed_consulta(3, first=21)
    scene.bob.press(offer, COPY_ACTION)
    again = shown_anew(scene, scene.bob, offer)
    assert answers.asked_anew(EN, moved=True) in again.plain
    assert ("56" if side == "prod" else "23") in again.plain
    assert not scene.jobs()
    scene.press(scene.bob, again)
    job = scene.completed(scene.jobs()[0]["id"])
    assert job["previewed_records"] == (56 if side == "prod" else 50)


def test_after_a_copy_the_card_says_to_the_row_what_another_would_do_and_a_press_is_for_that(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(50)
    first = scene.offer(scene.bob)
    assert "Would" not in first.plain
    scene.press(scene.bob, first)
    scene.completed(scene.jobs()[0]["id"])
    same = EN("Prod and consulta hold the same {rows}: nothing would be written.", rows=EN.rows(50))
    assert same in scene.offer(scene.bob).plain
    scene.seed(2, first=51)
    offer = scene.offer(scene.bob)
    assert "Would insert 2 · change 0 · delete 0 · leave 50." in offer.plain
    office.prod.execute("DELETE FROM liquidation_items WHERE id = %s", [scene.key(7)])
    scene.bob.press(offer, COPY_ACTION)
    again = shown_anew(scene, scene.bob, offer)
    assert answers.asked_anew(EN, moved=True) in again.plain
    assert "Would insert 2 · change 0 · delete 1 · leave 49." in again.plain
    scene.press(scene.bob, again)
    job = scene.completed(until(lambda: len(scene.jobs()) == 2 and scene.jobs(), what="a job")[-1]["id"])
    assert (job["inserted_records"], job["deleted_records"], job["previewed_deletes"]) == (2, 1, 1)


def test_a_few_rows_more_don_t_stand_in_the_way(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(50)
    offer = scene.offer(scene.bob)
    scene.seed(5, first=51)
    scene.press(scene.bob, offer)
    job = scene.completed(scene.jobs()[0]["id"])
    assert (job["previewed_records"], job["total_records"]) == (50, 55)


def test_who_is_not_in_the_group_is_refused_and_told_whom_to_ask(scene: Scene) -> None:
    scene.seed(20)
    said = scene.ask(scene.carla, str(scene.liquidation))
    assert "<!subteam^S0ADMINS>" in said
    assert ES("You may not use `{command}`.", command="/copy-liquidation") in said
    assert not scene.jobs()
    assert not [message for message in scene.private(scene.carla) if message.buttons]
    assert "<!subteam^S0ADMINS>" in scene.ask(scene.carla, "", "/copy-status")


def test_who_has_left_the_group_since_the_command_is_refused_at_the_press(scene: Scene) -> None:
    scene.seed(20)
    offers = [scene.offer(scene.ana), scene.offer(scene.ana)]
    scene.leaves_the_group(scene.ana)
    said = scene.press(scene.ana, offers[0])
    assert "<!subteam^S0ADMINS>" in said
    assert not scene.jobs()
    scene.joins_the_group(scene.ana)
    scene.press(scene.ana, offers[1])
    assert len(scene.jobs()) == 1


def test_nobody_gets_through_while_slack_doesn_t_say_who_is_in_the_group(
    office: Office, scene: Scene
) -> None:
    scene.seed(20)
    offer = scene.offer(scene.bob)
    scene.slack.disable_usergroups("plan_upgrade_required")
    scene.let_a_press_ask_anew()
    cannot = EN("I can't check your permission now, so nothing was started.")
    said = scene.press(scene.bob, offer)
    assert cannot in said
    assert "`plan_upgrade_required`" in said
    office.restart_bot()  # what it knew of the group is forgotten
    for trouble in ({"error": "no_such_subteam"}, {"status": 500}, {"accept_then_drop": True}):
        scene.slack.disable_usergroups(None)
        scene.slack.fault("usergroups.users.list", **trouble)  # type: ignore[arg-type]
        time.sleep(FAILED_SECONDS)  # a failure is believed for so long
        assert cannot in scene.ask(scene.bob, str(scene.liquidation))
    assert not scene.jobs()
    time.sleep(FAILED_SECONDS)
    assert scene.offer(scene.bob).buttons


def test_two_dozen_who_press_at_once_cost_one_look_at_the_group(office: Office, scene: Scene) -> None:
    office.workers(1)
    numbers = range(scene.liquidation * 1000, scene.liquidation * 1000 + 24)
    for number in numbers:
        scene.seed(2, liquidation=number)
        office.prod.execute(
            "INSERT INTO liquidations VALUES (%s, %s, '2026-10-01', 'prueba', now())", [number, scene.name]
        )
    offers = []
    for number in numbers:
        _, offer = scene.type(scene.bob, f"/copy-liquidation {number}")
        offers.append(offer)
    scene.let_a_press_ask_anew()
    before = scene.slack.last_call()
    with ThreadPoolExecutor(24) as pool:
        taken = [pool.submit(scene.bob.press, offer, COPY_ACTION) for offer in offers]
        assert all(each.result().acked for each in taken)
    jobs = "SELECT id FROM traspaso.copy_jobs WHERE liquidation_id = ANY(%s)"
    until(lambda: len(scene.rows(jobs, list(numbers))) == 24, 40.0, "two dozen jobs")
    assert len(scene.slack.calls("usergroups.users.list", since=before)) <= 2
    for job in scene.rows(jobs, list(numbers)):
        scene.ended(job["id"], timeout=60.0)
    # A worker asks at most twice a minute, about those who have waited for it.
    assert len(scene.slack.calls("usergroups.users.list", since=before)) <= 4


def shown_anew(scene: Scene, person: Person, offer: Message) -> Message:
    """The card with its buttons, in the place of the one that was pressed."""
    scene.replaced(person, offer)
    [again] = [message for message in scene.private(person) if message.ts == offer.ts]
    assert again.buttons
    return again


def older(offer: Message) -> Message:
    """The same card as it would have been offered a long time ago."""
    blocks = json.loads(json.dumps(offer.blocks))
    for block in blocks:
        for element in block.get("elements", []):
            if element.get("action_id") == COPY_ACTION:
                element["value"] = json.dumps(json.loads(element["value"]) | {"expires_at": 1_700_000_000})
    return replace(offer, blocks=blocks)

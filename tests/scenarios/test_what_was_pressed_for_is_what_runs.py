"""What was shown, and what was approved, binds the run: else nothing is written and the card asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.messages.card import (
    CANCEL_ACTION,
    DETAILS_ACTION,
    PAUSE_ACTION,
    RESUME_ACTION,
    RETRY_ACTION,
    TELL_ACTION,
)
from bot.messages.question import APPROVE_ACTION, CONFIRM_ACTION, REJECT_ACTION, sides
from dev.local_slack.results import Message

from .scene import EN, ES, ROWS, Office, Row, Scene, until

ADMINS = "<!subteam^S0ADMINS>"


def in_place(scene: Scene) -> int:
    count = "SELECT count(*) AS n FROM liquidation_items WHERE liquidation_id = %s"
    return int(scene.rows(count, scene.liquidation)[0]["n"])


def asks(scene: Scene, job_id: int, *, in_prod: int, in_consulta: int) -> Row:
    """The job's row as soon as it asks about these numbers."""

    def asking() -> Row | None:
        job = scene.job(job_id)
        question = job["question"] or {}
        numbers = (question.get("in_prod"), question.get("in_consulta"))
        return job if numbers == (in_prod, in_consulta) else None

    return until(asking, what=f"the question of job {job_id}")


def card_that_asks(scene: Scene, job_id: int, in_prod: int, in_consulta: int) -> Message:
    scene.told(job_id)
    return scene.card_with(job_id, sides(in_prod, in_consulta, ES))


def questions(scene: Scene, job_id: int) -> list[Message]:
    """The replies in the thread that mention whoever has to answer, in the order of the attempts."""
    return [each for each in scene.replies(job_id) if part_of(each).startswith("question-")]


def part_of(message: Message) -> str:
    return str((message.metadata or {})["event_payload"]["part"])


def label_of(card: Message, action_id: str) -> str:
    return next(button.text for button in card.buttons if button.action_id == action_id)


def status_is(scene: Scene, job_id: int, status: str) -> None:
    until(lambda: scene.job(job_id)["status"] == status, what=f"job {job_id} {status}")


def forget(scene: Scene) -> None:
    """Prod has no rows of the liquidation any more."""
    scene.office.prod.execute("DELETE FROM liquidation_items WHERE liquidation_id = %s", [scene.liquidation])


# ------------------------------------------------------------------------------------- more than was shown


def test_rows_that_came_while_a_copy_was_paused_are_not_copied_without_the_second_person_that_so_many_need(
    office: Office, scene: Scene
) -> None:
    office.workers(0)
    scene.seed(500)
    job_id = scene.start(scene.ana, "large")
    scene.ana.press(scene.card(job_id), PAUSE_ACTION)
    status_is(scene, job_id, "paused")
    scene.seed(1500, first=501)
    scene.ana.press(scene.card_with(job_id, ES("Resume")), RESUME_ACTION)
    office.workers(1)
    job = asks(scene, job_id, in_prod=2000, in_consulta=0)
    assert (job["status"], job["approval"], job["question"]["reason"]) == ("pending", "waiting", "approval")
    card = card_that_asks(scene, job_id, 2000, 0)
    assert sides(500, 0, ES) in card.plain
    assert label_of(card, APPROVE_ACTION) == ES("Approve {rows}", rows=ES.rows(2000))
    assert card.pinned
    [told] = questions(scene, job_id)
    assert told.plain.startswith(f"❓ {ADMINS}")
    assert sides(2000, 0, ES) in told.plain
    assert in_place(scene) == 0
    own = ES("You asked for this copy, or set it going again, yourself: somebody else has to approve it.")
    assert own in scene.press_on_card(scene.ana, card, APPROVE_ACTION)
    scene.press_on_card(scene.bob, card, APPROVE_ACTION)
    job = scene.completed(job_id)
    assert (job["previewed_records"], job["total_records"], job["question"]) == (2000, 2000, None)
    assert scene.events(job_id) == [
        *("requested", "paused", "resumed", "claimed", "asked_again", "approved", "claimed", "completed"),
    ]
    assert len(questions(scene, job_id)) == 1


def test_a_yes_is_for_the_rows_that_it_was_given_to(office: Office, scene: Scene) -> None:
    office.workers(0)
    scene.seed(1500)
    job_id = scene.start(scene.ana, "large")
    first = scene.card_with(job_id, ADMINS)
    scene.press_on_card(scene.bob, first, APPROVE_ACTION)
    scene.seed(1500, first=1501)
    office.workers(1)
    job = asks(scene, job_id, in_prod=3000, in_consulta=0)
    assert (job["approval"], job["approval_by"], job["question"]["reason"]) == ("waiting", None, "moved")
    card = card_that_asks(scene, job_id, 3000, 0)
    assert in_place(scene) == 0
    # The button that he pressed before is for what was shown then.
    before = len(scene.private(scene.bob))
    scene.bob.press(first, APPROVE_ACTION, stale=True)
    scene.slack.wait_for(lambda: len(scene.private(scene.bob)) > before)
    stale = EN("Job {id} asks about other numbers by now. Nothing was changed.", id=job_id)
    assert stale in scene.private(scene.bob)[-1].plain
    assert scene.job(job_id)["approval"] == "waiting"
    scene.press_on_card(scene.bob, card, APPROVE_ACTION)
    assert scene.completed(job_id)["previewed_records"] == 3000


def test_a_no_to_the_new_numbers_ends_the_copy_and_nothing_was_written(office: Office, scene: Scene) -> None:
    office.workers(0)
    scene.seed(500)
    job_id = scene.start(scene.ana, "large")
    scene.seed(1500, first=501)
    office.workers(1)
    asks(scene, job_id, in_prod=2000, in_consulta=0)
    card = card_that_asks(scene, job_id, 2000, 0)
    scene.reject(scene.bob, card)
    scene.ended(job_id, "cancelled")
    scene.told(job_id)
    assert in_place(scene) == 0
    assert ES("{user} rejected it", user="<@U0BOB>") in scene.replies(job_id)[-1].plain


def test_a_copy_asked_for_where_nobody_else_can_see_it_fails_when_it_needs_a_second_person(
    office: Office, scene: Scene
) -> None:
    office.workers(0)
    scene.seed(500)
    alone = Scene(office, scene.liquidation, scene.ana.dm)
    job_id = alone.start(scene.ana, "large")
    scene.seed(1500, first=501)
    office.workers(1)
    assert scene.ended(job_id, "failed")["error"]["code"] == "nobody_to_approve"
    scene.told(job_id)
    [reply] = scene.replies(job_id, scene.ana.dm)
    assert f"/copy-liquidation {scene.liquidation} large" in reply.plain
    assert in_place(scene) == 0


def test_only_who_asked_can_confirm_new_numbers_and_a_button_counts_for_the_numbers_that_it_shows(
    office: Office, scene: Scene
) -> None:
    office.workers(0)
    scene.seed(50)
    job_id = scene.start(scene.ana)
    scene.seed(50, first=51)
    office.workers(1)
    job = asks(scene, job_id, in_prod=100, in_consulta=0)
    assert (job["status"], job["approval"], job["question"]["reason"]) == ("pending", None, "moved")
    first = card_that_asks(scene, job_id, 100, 0)
    assert [button.action_id for button in first.buttons] == [
        CONFIRM_ACTION,
        CANCEL_ACTION,
        DETAILS_ACTION,
        TELL_ACTION,
    ]
    assert label_of(first, CONFIRM_ACTION) == ES("Copy {rows}", rows=ES.rows(100))
    assert questions(scene, job_id)[0].plain.startswith("❓ <@U0ANA>")
    # The same in an answer to /copy-status, in a few words of state.
    assert ES("waiting for confirmation") in scene.ask(scene.ana, "", "/copy-status")
    assert sides(100, 0, EN) in scene.ask(scene.bob, str(job_id), "/copy-status")

    not_yours = EN(
        "Only {user}, who asked for the copy, can confirm it. Nothing was changed.", user="<@U0ANA>"
    )
    assert not_yours in scene.press_on_card(scene.bob, first, CONFIRM_ACTION)
    refused = scene.press_on_card(scene.carla, first, CONFIRM_ACTION)
    assert ES("You may not use `{command}`.", command="/copy-liquidation") in refused
    assert scene.job(job_id)["question"] is not None

    office.workers(0)
    scene.ana.press(first, CONFIRM_ACTION)
    until(lambda: scene.job(job_id)["question"] is None, what="the confirmation")
    scene.seed(200, first=101)
    office.workers(1)
    asks(scene, job_id, in_prod=300, in_consulta=0)
    second = card_that_asks(scene, job_id, 300, 0)
    before = len(scene.private(scene.ana))
    scene.ana.press(first, CONFIRM_ACTION, stale=True)
    scene.slack.wait_for(lambda: len(scene.private(scene.ana)) > before)
    stale = ES("Job {id} asks about other numbers by now. Nothing was changed.", id=job_id)
    assert stale in scene.private(scene.ana)[-1].plain
    assert in_place(scene) == 0
    scene.ana.press(second, CONFIRM_ACTION)
    assert scene.completed(job_id)["previewed_records"] == 300
    assert [part_of(each) for each in questions(scene, job_id)] == ["question-1", "question-2"]
    assert scene.events(job_id).count("confirmed") == 2


# --------------------------------------------------------------------------------- removing what is there


def test_rows_of_consulta_stay_where_prod_was_emptied_after_the_press_until_that_is_confirmed(
    office: Office, scene: Scene
) -> None:
    office.workers(0)
    scene.seed(300)
    scene.seed_consulta(300)
    job_id = scene.start()
    forget(scene)
    office.workers(1)
    job = asks(scene, job_id, in_prod=0, in_consulta=300)
    assert job["question"]["reason"] == "removal"
    card = card_that_asks(scene, job_id, 0, 300)
    assert label_of(card, CONFIRM_ACTION) == ES("Remove {rows}", rows=ES.rows(300))
    [row] = [block for block in card.blocks if block["type"] == "actions"]
    assert (row["elements"][0]["style"], "confirm" in row["elements"][0]) == ("danger", True)
    assert in_place(scene) == 300
    scene.ana.press(card, CONFIRM_ACTION)
    job = scene.ended(job_id)
    assert (job["removal_confirmed"], job["deleted_records"], in_place(scene)) == (True, 300, 0)


def test_a_removal_that_was_pressed_for_runs_without_another_question(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed_consulta(300)
    job_id = scene.start()
    job = scene.ended(job_id)
    assert (job["removal_confirmed"], in_place(scene)) == (True, 0)
    assert "asked_again" not in scene.events(job_id)


def test_a_retry_removes_nothing_that_was_not_shown(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(300)
    scene.seed_consulta(200)
    scene.seed(1, first=ROWS)
    constraint = f"no_{scene.liquidation}"
    office.consulta.execute(
        f"ALTER TABLE liquidation_items ADD CONSTRAINT {constraint} "
        f"CHECK (id <> {scene.key(ROWS)}) NOT VALID".encode()
    )
    try:
        job_id = scene.start()
        scene.ended(job_id, "failed")
        scene.told(job_id)
    finally:
        office.consulta.execute(f"ALTER TABLE liquidation_items DROP CONSTRAINT {constraint}".encode())
    held = in_place(scene)
    assert held >= 200
    forget(scene)
    scene.ana.press(scene.card(job_id), RETRY_ACTION)
    asks(scene, job_id, in_prod=0, in_consulta=held)
    card = card_that_asks(scene, job_id, 0, held)
    assert in_place(scene) == held
    assert label_of(card, CONFIRM_ACTION) == ES("Remove {rows}", rows=ES.rows(held))
    scene.bob.press(card, CANCEL_ACTION)
    scene.ended(job_id, "cancelled")
    assert in_place(scene) == held


def test_more_rows_than_shown_don_t_go_without_a_new_yes(office: Office, scene: Scene) -> None:
    office.workers(0)
    scene.seed(300)
    scene.seed_consulta(310)
    job_id = scene.start()
    scene.seed_consulta(200, first=5001)
    office.workers(1)
    job = asks(scene, job_id, in_prod=300, in_consulta=510)
    assert job["question"]["reason"] == "surplus"
    card = card_that_asks(scene, job_id, 300, 510)
    assert label_of(card, CONFIRM_ACTION) == ES("Copy {rows}, remove {n}", rows=ES.rows(300), n="210")
    assert in_place(scene) == 510
    scene.ana.press(card, CONFIRM_ACTION)
    scene.completed(job_id)


def test_rows_that_were_not_shown_to_be_deleted_stay_until_that_is_confirmed(
    office: Office, scene: Scene
) -> None:
    """As many rows come to prod as go, so that the numbers of both sides stay as they were shown."""
    office.workers(1)
    scene.seed(300)
    scene.completed(scene.start())
    office.workers(0)
    scene.press(scene.ana, scene.offer(scene.ana))
    job_id = int(until(lambda: len(scene.jobs()) == 2 and scene.jobs(), what="a second job")[-1]["id"])
    assert scene.job(job_id)["previewed_deletes"] == 0
    gone = [scene.key(1), scene.key(9)]
    office.prod.execute("DELETE FROM liquidation_items WHERE id BETWEEN %s AND %s", gone)
    scene.seed(9, first=301)
    office.workers(1)
    job = asks(scene, job_id, in_prod=300, in_consulta=300)
    question = job["question"]
    assert (question["reason"], question["deleted"], question["shown_deleted"]) == ("surplus", 9, 0)
    card = card_that_asks(scene, job_id, 300, 300)
    assert label_of(card, CONFIRM_ACTION) == ES("Copy {rows}, remove {n}", rows=ES.rows(300), n="9")
    assert ES("Rows of consulta that would be deleted, as shown: {n}.", n="0") in card.plain
    scene.ana.press(card, CONFIRM_ACTION)
    job = scene.completed(job_id)
    assert (job["previewed_deletes"], job["deleted_records"], job["inserted_records"]) == (9, 9, 9)
    assert scene.events(job_id).count("asked_again") == 1


def test_what_an_attempt_of_its_own_has_brought_is_no_reason_to_ask(office: Office, scene: Scene) -> None:
    with scene.halfway() as (job_id, roadblock):
        scene.ana.press(scene.card(job_id), PAUSE_ACTION)
        scene.card_with(job_id, ES("Pausing for {user} at the end of this chunk", user="<@U0ANA>"))
        roadblock.lift()
        status_is(scene, job_id, "paused")
    assert in_place(scene) > 0
    scene.ana.press(scene.card_with(job_id, ES("Resume")), RESUME_ACTION)
    scene.completed(job_id)
    assert "asked_again" not in scene.events(job_id)


# ------------------------------------------------------------------------------------ what it is made of


@pytest.fixture
def notes(office: Office, scene: Scene) -> Iterator[int]:
    """A job of the copy of notes that no worker has taken yet."""
    office.workers(0)
    office.prod.execute(
        "INSERT INTO item_notes SELECT %(id)s::bigint * 1000 + g, %(id)s, 'n' FROM generate_series(1, 20) g",
        {"id": scene.liquidation},
    )
    office.consulta.execute("CREATE TABLE other_notes (LIKE item_notes INCLUDING ALL)")
    yield scene.start(scene.ana, "notes")
    office.consulta.execute("DROP TABLE other_notes")


def copied_notes(scene: Scene, table: str) -> int:
    counted = f"SELECT count(*) AS n FROM {table} WHERE liquidation_id = {scene.liquidation}"
    [row] = scene.office.consulta.execute(counted.encode()).fetchall()
    return int(row["n"])


def test_a_copy_whose_target_was_changed_in_the_configuration_after_the_press_fails_in_words(
    office: Office, scene: Scene, notes: int
) -> None:
    text = office.stack.config_path.read_text("utf-8")
    other = office.stack.folder / "other-target.toml"
    before = 'target_table = "public.item_notes"'
    assert text.count(before) == 1
    other.write_text(text.replace(before, 'target_table = "public.other_notes"'), "utf-8")
    worker = office.own_worker({"TRASPASO_CONFIG": str(other)})
    job = scene.ended(notes, "failed")
    assert job["error"]["code"] == "copy_changed"
    words = "table of consulta was public.item_notes, is public.other_notes"
    assert words in job["error_message"]
    assert (copied_notes(scene, "item_notes"), copied_notes(scene, "other_notes")) == (0, 0)
    scene.told(notes)
    reply = scene.reply(notes)
    assert words in reply.plain
    assert f"/copy-liquidation {scene.liquidation} notes" in reply.plain
    # A retry is bound to what was asked for as well, and runs in a worker that still knows it.
    scene.ana.press(reply, RETRY_ACTION)
    until(lambda: scene.events(notes).count("failed") == 2, what="the second failure")
    assert (copied_notes(scene, "item_notes"), copied_notes(scene, "other_notes")) == (0, 0)
    scene.told(notes)
    worker.kill()
    office.workers(1)
    scene.ana.press(scene.card_with(notes, ES("Retry")), RETRY_ACTION)
    status_is(scene, notes, "completed")
    assert (copied_notes(scene, "item_notes"), copied_notes(scene, "other_notes")) == (20, 0)
    office.consulta.execute("TRUNCATE item_notes")


def test_a_column_that_came_to_both_sides_after_the_press_is_not_copied_unseen(
    office: Office, scene: Scene, notes: int
) -> None:
    for side in (office.prod, office.consulta):
        side.execute("ALTER TABLE item_notes ADD author text")
    try:
        office.workers(1)
        job = scene.ended(notes, "failed")
    finally:
        for side in (office.prod, office.consulta):
            side.execute("ALTER TABLE item_notes DROP author")
    assert "column author is copied since" in job["error_message"]
    assert copied_notes(scene, "item_notes") == 0


def test_a_copy_that_the_bot_doesn_t_know_by_its_name_can_be_neither_approved_nor_steered_nor_looked_into(
    office: Office, scene: Scene
) -> None:
    office.workers(0)
    scene.seed(30)
    job_id = scene.start(scene.ana, "checked")
    card = scene.card_with(job_id, ADMINS)
    # As if the bot had been started anew with another name for it, and the worker not yet.
    office.consulta.execute("UPDATE traspaso.copy_jobs SET copy_name = 'renamed' WHERE id = %s", [job_id])
    scene.slack.remove_from_group("U0BOB")  # he may run his own copy, and no other
    words = EN(
        "Job {id} is of copy {name}, which the configuration doesn't have: nothing was changed.",
        id=job_id,
        name="`renamed`",
    )
    for action in (APPROVE_ACTION, REJECT_ACTION, CANCEL_ACTION):
        said = scene.press_on_card(scene.bob, card, action)
        assert words in said
        assert f"traspaso cancel {job_id}" in said
    for action in (PAUSE_ACTION, RESUME_ACTION, RETRY_ACTION, CONFIRM_ACTION):
        before = len(scene.private(scene.bob))
        scene.bob.press(with_button(card, action), action, stale=True)
        scene.slack.wait_for(lambda before=before: len(scene.private(scene.bob)) > before)
        assert words in scene.private(scene.bob)[-1].plain
    scene.bob.press(with_button(card, DETAILS_ACTION), DETAILS_ACTION, stale=True)
    scene.slack.wait_for(lambda: (modal := scene.bob.modal()) is not None and words in modal.plain)
    job = scene.job(job_id)
    assert (job["status"], job["approval"]) == ("pending", "waiting")
    assert scene.events(job_id) == ["requested"]


def with_button(card: Message, action_id: str) -> Message:
    """The same card as it would be with this button in the place of its first."""
    blocks = json.loads(json.dumps(card.blocks))
    [row] = [block for block in blocks if block["type"] == "actions"]
    row["elements"][0]["action_id"] = action_id
    return replace(card, blocks=blocks)

"""A copy of one of several tables never reads as the whole liquidation."""

from __future__ import annotations

import pytest

from bot.messages.blocks import of_liquidation
from bot.messages.card import DETAILS_ACTION

from .house import NOTES_TITLE
from .scene import EN, ES, Office, Scene


@pytest.fixture
def job_id(office: Office, scene: Scene) -> int:
    """A completed copy of the notes, which the configuration gives a title."""
    office.workers(1)
    office.prod.execute(
        "INSERT INTO item_notes SELECT %(id)s::bigint * 1000 + g, %(id)s, 'n' FROM generate_series(1, 20) g",
        {"id": scene.liquidation},
    )
    job_id = scene.start(scene.ana, "notes")
    scene.ended(job_id)
    scene.told(job_id)
    return job_id


def says_no_table(said: str) -> bool:
    """But for a statement to be run, which has to name it."""
    return not [line for line in said.splitlines() if "item_notes" in line and "CREATE INDEX" not in line]


def test_every_place_calls_the_copy_by_its_title_and_only_details_names_its_tables(
    office: Office, scene: Scene, job_id: int
) -> None:
    spanish, english = (of_liquidation(NOTES_TITLE, scene.liquidation, t) for t in (ES, EN))
    card, reply = scene.card(job_id), scene.reply(job_id)
    assert f"{scene.liquidation} · {NOTES_TITLE} · {scene.name}" in card.plain
    assert spanish in reply.plain
    status = scene.ask(scene.bob, "", "/copy-status")
    [line] = [each for each in status.splitlines() if each.startswith(f"{job_id} |")]
    assert NOTES_TITLE in line
    preview = scene.offer(scene.bob, "notes")
    assert EN("Copy {what}?", what=english) in preview.plain
    home = scene.bob.open_home()
    assert NOTES_TITLE in home.plain
    for each in (card.plain, reply.plain, status, preview.plain, home.plain):
        assert says_no_table(each)
    scene.bob.press(card, DETAILS_ACTION)
    [details] = scene.slack.wait_for(
        lambda: [modal for modal in scene.bob.modals() if "item_notes" in modal.plain]
    )
    assert NOTES_TITLE in details.plain


def test_a_copy_without_a_title_is_called_by_its_name(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20)
    job_id = scene.completed(scene.start())["id"]
    assert f"{scene.liquidation} · items · {scene.name}" in scene.card(job_id).plain
    assert of_liquidation("items", scene.liquidation, ES) in scene.reply(job_id).plain

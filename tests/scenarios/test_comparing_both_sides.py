"""/copy-verify: both sides compared now, in words, and nothing written."""

from __future__ import annotations

import psycopg

from bot.messages.blocks import of_liquidation
from dev.local_slack.results import Message

from .scene import CHUNK_ROWS, EN, ES, ROW_VALUE, ROWS, Office, Scene


def answer(scene: Scene, words: str) -> Message:
    """The answer that says this, as soon as it is there."""
    return scene.slack.wait_for(
        lambda: next(
            (
                each
                for person in (scene.ana, scene.bob)
                for each in scene.private(person)
                if words in each.plain
            ),
            None,
        )
    )


def test_sides_that_agree_are_said_to_with_rows_and_digest(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(30)
    job = scene.completed(scene.start())
    scene.ask(scene.bob, str(scene.liquidation), "/copy-verify")
    said = answer(
        scene,
        EN(
            "Both sides of {what} agree: {rows}.",
            what=of_liquidation("items", scene.liquidation, EN),
            rows="30 rows",
        ),
    )
    assert job["target_digest"] in said.plain


def test_sides_that_differ_are_named_by_part_with_the_command_that_repairs_it(scene: Scene) -> None:
    scene.seed(ROWS)
    scene.seed_consulta(ROWS - 7)
    scene.rows("UPDATE liquidation_items SET amount = amount + 1 WHERE id = %s RETURNING id", scene.key(1))
    scene.type(scene.bob, f"/copy-verify {scene.liquidation} items")
    said = answer(scene, f"{EN.number(ROWS)} rows in prod, {EN.number(ROWS - 7)} in consulta").plain
    last = ROWS // CHUNK_ROWS
    assert f"in 2 of {last} parts" in said
    assert f"part 1: {EN.rows(CHUNK_ROWS)} on both sides, values differ" in said
    assert f"part {last}: {EN.number(CHUNK_ROWS)} rows in prod, {CHUNK_ROWS - 7} in consulta" in said
    assert f"`/copy-liquidation {scene.liquidation} items`" in said
    assert ROW_VALUE not in said
    assert str(scene.key(1)) not in said
    assert not scene.jobs()
    assert not scene.compared()


def test_a_liquidation_that_is_being_copied_is_not_compared_meanwhile(scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        card = scene.card(job_id)
        assert card.ts.replace(".", "") in scene.ask(scene.bob, str(scene.liquidation), "/copy-verify")
    scene.completed(job_id)


def test_a_third_comparison_says_that_it_waits_and_then_comes(scene: Scene) -> None:
    scene.seed(10)
    with psycopg.connect(scene.office.stack.prod_url) as connection:
        connection.execute("LOCK TABLE liquidation_items IN ACCESS EXCLUSIVE MODE")
        for number in (50, 51):
            said = scene.ask(scene.ana, str(number), "/copy-verify")
            assert ES("Comparing both sides of {what}…", what=of_liquidation("items", number, ES)) in said
        third = scene.ask(scene.bob, str(scene.liquidation), "/copy-verify")
        waits = EN(
            "The comparison of {what} begins when one of {n} others has ended.",
            what=of_liquidation("items", scene.liquidation, EN),
            n=2,
        )
        assert waits in third
    answer(scene, f"{EN.number(10)} rows in prod, 0 in consulta")


def test_only_who_may_copy_may_compare_and_mistakes_are_answered(scene: Scene) -> None:
    assert ES("You may not use `{command}`.", command="/copy-verify") in scene.ask(
        scene.carla, str(scene.liquidation), "/copy-verify"
    )
    for text in ("", "x", "42 items extra", "0"):
        assert "/copy-verify 42" in scene.ask(scene.bob, text, "/copy-verify")
    assert "`items`, `notes`" in scene.ask(scene.bob, "42 nosuch", "/copy-verify")


def test_a_liquidation_that_neither_side_nor_the_catalogue_has_is_not_said_to_agree(scene: Scene) -> None:
    scene.type(scene.bob, "/copy-verify 7777")
    said = answer(
        scene,
        EN(
            "Neither prod nor consulta has rows for {what}, "
            "and the catalogue of liquidations doesn't know it.",
            what=of_liquidation("items", 7777, EN),
        ),
    )
    assert EN("Check the number: nothing was compared.") in said.plain
    scene.type(scene.ana, f"/copy-verify {scene.liquidation}")
    nothing = ES(
        "Neither prod nor consulta has rows for {what}.", what=of_liquidation("items", scene.liquidation, ES)
    )
    assert (
        ES("The catalogue of liquidations in prod knows it: there is nothing to compare.")
        in answer(scene, nothing).plain
    )

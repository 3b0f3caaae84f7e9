"""What an admin meets from typing the command to the reply in its thread, in a browser, on real servers."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from bot.messages.blocks import of_liquidation
from tests.scenarios.scene import CHUNK_ROWS, EN, ES, ROWS, Scene

from .conftest import OpenDesk


def test_an_admin_copies_a_liquidation_and_watches_the_pinned_bar_move(
    scene: Scene, open_desk: OpenDesk, pictures: Path
) -> None:
    scene.seed(ROWS)
    ana = open_desk(scene.slack.url, "U0ANA", scene.channel)
    bob = open_desk(scene.slack.url, "U0BOB", scene.channel)
    ana.box.press_sequentially("/copy-l")
    command = ana.page.get_by_role("option", name="/copy-liquidation")
    expect(command).to_contain_text("42 [completa | items] | help")
    expect(command).to_contain_text("Copia una liquidación de prod a consulta")
    ana.shoot(pictures, "typing")
    ana.box.press("Tab")
    ana.box.press_sequentially(str(scene.liquidation))
    ana.box.press("Enter")
    offer = ana.row(ES("Copy {what}?", what=of_liquidation("items", scene.liquidation, ES)))
    expect(offer).to_contain_text("Solo visible para usted")
    expect(offer).to_contain_text(ES.number(ROWS))
    ana.shoot(pictures, "preview")

    with scene.roadblock() as roadblock:
        ana.press(ES("Copy"), offer)
        card = ana.row(scene.name).filter(has_text="Fijado por traspaso")
        expect(card).to_contain_text(ES.percent(5 * CHUNK_ROWS / ROWS))
        roadblock.reached(scene.jobs()[0]["id"])
        bar = ana.page.get_by_role("button", name="1 mensaje fijado")
        expect(bar).to_contain_text(ES.percent(5 * CHUNK_ROWS / ROWS))
        bar.click()
        expect(ana.pane.get_by_role("heading", name="Mensajes fijados")).to_be_visible()
        expect(ana.pane).to_contain_text(scene.name)
        ana.shoot(pictures, "running-with-pins")
        ana.press("Cerrar", ana.pane)
        expect(bob.row(scene.name)).to_contain_text(ES.percent(5 * CHUNK_ROWS / ROWS))
        expect(bob.room).not_to_contain_text("Only visible to you")
        bob.shoot(pictures, "running-as-seen-by-another")

    expect(ana.row(scene.name)).to_contain_text(ES.percent(1), timeout=30_000)
    ana.room.get_by_role("button", name="1 respuesta").click()
    reply = ana.pane.get_by_role("article").nth(1)
    expect(reply.locator(".mention.me")).to_have_text("@Ana Álvarez")
    expect(reply).to_contain_text(ES.rows(ROWS))
    expect(bar).to_be_hidden()
    ana.shoot(pictures, "ended-with-thread")


def test_the_status_is_answered_in_english_to_whoever_reads_english(
    scene: Scene, open_desk: OpenDesk, pictures: Path
) -> None:
    scene.seed(10)
    scene.completed(scene.start())
    bob = open_desk(scene.slack.url, "U0BOB", scene.channel)
    bob.say("/copy-status")
    answer = bob.row(EN("Copies"))
    expect(answer).to_contain_text("Only visible to you")
    expect(answer).to_contain_text(scene.name)
    bob.shoot(pictures, "status-in-english")
    answer.get_by_role("link", name=str(scene.jobs()[0]["id"]), exact=True).click()
    expect(bob.room.locator("article.found")).to_contain_text(ES.percent(1))


def test_somebody_without_permission_is_refused_and_told_whom_to_ask(
    scene: Scene, open_desk: OpenDesk, pictures: Path
) -> None:
    scene.seed(10)
    carla = open_desk(scene.slack.url, "U0CARLA", scene.channel)
    carla.say(f"/copy-liquidation {scene.liquidation}")
    answer = carla.row(ES("You may not use `{command}`.", command="/copy-liquidation").replace("`", ""))
    expect(answer).to_contain_text("Solo visible para usted")
    expect(answer.get_by_role("button")).to_have_count(0)
    carla.shoot(pictures, "without-permission")


def test_the_whole_job_can_be_done_on_a_phone(scene: Scene, open_desk: OpenDesk, pictures: Path) -> None:
    scene.seed(10)
    bob = open_desk(scene.slack.url, "U0BOB", scene.channel, phone=True)
    bob.say(f"/copy-liquidation {scene.liquidation}")
    offer = bob.row(EN("Copy {what}?", what=of_liquidation("items", scene.liquidation, EN)))
    expect(offer).to_be_visible()
    bob.shoot(pictures, "phone-preview")
    bob.press(EN("Copy"), offer)
    bob.room.get_by_role("button", name="1 reply").click(timeout=30_000)
    expect(bob.pane.get_by_role("article").nth(1).locator(".mention.me")).to_be_visible()
    bob.shoot(pictures, "phone-thread")
    assert not bob.too_wide
    bob.press("Close", bob.pane)
    bob.press("Menu")
    expect(bob.page.get_by_role("link", name="# general")).to_be_visible()

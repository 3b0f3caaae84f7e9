"""The real bot's modal, buttons and App Home, as people meet them in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from bot.i18n import Translator
from bot.messages.blocks import of_liquidation
from tests.scenarios.scene import CHUNK_ROWS, EN, ES, ROWS, Scene

from .conftest import OpenDesk

LANGUAGES = pytest.mark.parametrize(("user", "t"), [("U0ANA", ES), ("U0BOB", EN)], ids=["es", "en"])
WIDTHS = pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
IN_PLACE = 5 * CHUNK_ROWS / ROWS


def read(words: str) -> str:
    """A sentence of the bot's, as it stands on the page."""
    return words.replace("`", "").replace("*", "")


@LANGUAGES
@WIDTHS
def test_a_liquidation_is_searched_looked_at_and_copied_in_the_modal(
    scene: Scene, open_desk: OpenDesk, pictures: Path, user: str, t: Translator, phone: bool
) -> None:
    scene.seed(30)
    desk = open_desk(scene.slack.url, user, scene.channel, phone=phone)
    name = f"{'phone-' if phone else ''}modal-{t.language}"
    desk.say("/copy-liquidation")
    search = desk.modal.get_by_role("combobox", name=t("Liquidation"))
    search.press_sequentially(str(scene.liquidation))
    found = desk.modal.get_by_role("option", name=f"{scene.liquidation} · {scene.name}")
    expect(found).to_contain_text(t.period("2026-10-01"))
    desk.shoot(pictures, f"{name}-search")
    found.click()
    desk.press(t("Preview"), desk.modal)
    expect(desk.modal).to_contain_text(t("Copy {what}?", what=of_liquidation("items", scene.liquidation, t)))
    expect(desk.modal).to_contain_text("30")
    desk.shoot(pictures, f"{name}-preview")
    desk.press(t("Copy"), desk.modal)
    expect(desk.modal.get_by_role("button", name=t("Copy"), exact=True)).to_have_count(0)
    [job] = scene.slack.wait_for(scene.jobs)
    expect(desk.modal).to_contain_text(t("job {id}", id=job["id"]))
    desk.shoot(pictures, f"{name}-started")
    desk.press(t("Close"), desk.modal.locator("footer"))
    expect(desk.modal).to_be_hidden()
    expect(desk.row(scene.name)).to_contain_text(ES.percent(1))
    scene.completed(job["id"])


def test_a_copy_is_paused_resumed_and_cancelled_by_buttons_and_cancelling_asks_first(
    scene: Scene, open_desk: OpenDesk, pictures: Path
) -> None:
    scene.seed()
    ana = open_desk(scene.slack.url, "U0ANA", scene.channel)
    bob = open_desk(scene.slack.url, "U0BOB", scene.channel)
    card = ana.row(scene.name)
    with scene.roadblock(2 * CHUNK_ROWS + 1) as early:
        job_id = scene.start(scene.bob)
        early.reached(job_id)
        ana.press(ES("Pause"), card)
        expect(card).to_contain_text(ES("Pausing for {user} at the end of this chunk", user="@Ana Álvarez"))
        expect(card.get_by_role("button", name=ES("Pause"), exact=True)).to_have_count(0)
        ana.shoot(pictures, "pausing")
        early.lift()
    paused = ES("Paused by {user}: nothing is written until somebody resumes it", user="@Ana Álvarez")
    expect(card).to_contain_text(paused)
    ana.shoot(pictures, "paused")
    with scene.roadblock() as late:
        bob.press(ES("Resume"), bob.row(scene.name))
        late.reached(job_id, attempt=2)
        expect(card).to_contain_text(ES.percent(IN_PLACE))
        ana.press(ES("Cancel"), card)
        dialog = ana.page.get_by_role("alertdialog", name=ES("Cancel this copy?"))
        expect(dialog).to_be_visible()
        ana.shoot(pictures, "cancel-asks-first")
        ana.press(ES("Let it go on"), dialog)
        expect(dialog).to_be_hidden()
        assert scene.job(job_id)["stop_requested"] is None
        ana.press(ES("Cancel"), card)
        ana.press(ES("Cancel the copy"), dialog)
        words = ES("Being cancelled for {user} at the end of this chunk", user="@Ana Álvarez")
        expect(card).to_contain_text(words)
    scene.ended(job_id, "cancelled")
    expect(card.get_by_role("button", name=ES("Cancel"), exact=True)).to_have_count(0)
    bob.room.get_by_role("button", name="1 reply").click()
    reply = bob.pane.get_by_role("article").nth(1)
    expect(reply.locator(".mention.me")).to_have_text("@Bob Brown")
    expect(reply).to_contain_text("@Ana Álvarez")
    expect(bob.page.locator("#bar")).to_be_hidden()
    bob.shoot(pictures, "cancelled")


def test_a_second_person_approves_in_a_window_of_their_own(
    scene: Scene, open_desk: OpenDesk, pictures: Path
) -> None:
    scene.seed(30)
    ana = open_desk(scene.slack.url, "U0ANA", scene.channel)
    bob = open_desk(scene.slack.url, "U0BOB", scene.channel)
    ana.say(f"/copy-liquidation {scene.liquidation} checked")
    offer = ana.row(ES("Copy {what}?", what=of_liquidation("checked", scene.liquidation, ES)))
    expect(offer).to_contain_text("@liquidation-admins")
    ana.shoot(pictures, "four-eyes-preview")
    ana.press(ES("Ask for approval"), offer)
    seen_by_bob = bob.row(scene.name)
    expect(bob.row(ES("Approve"))).to_contain_text("@liquidation-admins")
    bob.shoot(pictures, "four-eyes-asked")
    ana.press(ES("Approve"), ana.row(ES("Approve")))
    own = ES("You asked for this copy, or set it going again, yourself: somebody else has to approve it.")
    expect(ana.row(own)).to_contain_text("Solo visible para usted")
    ana.shoot(pictures, "four-eyes-not-one-s-own")
    bob.press(ES("Approve"), bob.row(ES("Approve")))
    [job] = scene.jobs()
    approved = EN(
        "Approved: job {id}, {what}.", id=job["id"], what=of_liquidation("checked", scene.liquidation, EN)
    )
    expect(bob.row(approved)).to_contain_text("Only visible to you")
    by_bob = read(ES("approved by {user}", user="@Bob Brown"))
    expect(seen_by_bob.filter(has_text=by_bob)).to_contain_text(ES.percent(1))
    ana.room.get_by_role("button", name="2 respuestas").click()  # that he approved it, and how it ended
    expect(ana.pane.get_by_role("article").filter(has_text=by_bob)).not_to_have_count(0)
    ana.shoot(pictures, "four-eyes-approved")
    assert scene.completed(job["id"])["approval"] == "approved"


@LANGUAGES
@WIDTHS
def test_the_status_has_a_table_in_the_readers_language(
    scene: Scene, open_desk: OpenDesk, pictures: Path, user: str, t: Translator, phone: bool
) -> None:
    scene.seed(30)
    ended = scene.completed(scene.start())["id"]
    scene.seed(ROWS - 30, first=31)
    desk = open_desk(scene.slack.url, user, scene.channel, phone=phone)
    with scene.roadblock() as roadblock:
        running = scene.start()
        roadblock.reached(running)
        desk.say("/copy-status")
        answer = desk.row(t("Latest"))
        expect(answer).to_contain_text(t("Job {id}", id=running))
        table = answer.get_by_role("table")
        expect(table.get_by_role("columnheader").first).to_have_text(t("Job"))
        newest = table.get_by_role("row").nth(1)
        expect(newest).to_contain_text(str(ended))
        expect(newest).to_contain_text(t("completed"))
        desk.shoot(pictures, f"{'phone-' if phone else ''}status-{t.language}")
        assert not desk.too_wide
    scene.completed(running)


@LANGUAGES
@WIDTHS
def test_app_home_shows_the_running_bar_and_starts_a_new_copy(
    scene: Scene, open_desk: OpenDesk, pictures: Path, user: str, t: Translator, phone: bool
) -> None:
    scene.seed()
    desk = open_desk(scene.slack.url, user, "home", phone=phone)
    name = f"{'phone-' if phone else ''}home-{t.language}"
    home = desk.page.get_by_role("tabpanel", name="Inicio" if user == "U0ANA" else "Home")
    expect(home).to_contain_text(t("Nothing is running."))
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        expect(home).to_contain_text(t.percent(IN_PLACE))
        expect(home).to_contain_text("█")
        expect(home.get_by_role("link", name=t("Job {id}", id=job_id))).to_be_visible()
        desk.shoot(pictures, f"{name}-running")
    expect(home).to_contain_text(t("Nothing is running."))
    desk.press(t("New copy"), home)
    search = desk.modal.get_by_role("combobox", name=t("Liquidation"))
    search.press_sequentially(str(scene.liquidation))
    desk.modal.get_by_role("option", name=str(scene.liquidation)).click()
    channel = desk.modal.get_by_role("combobox", name=t("Channel"))
    channel.press_sequentially(f"nomina-{scene.liquidation}")
    desk.modal.get_by_role("option", name=f"nomina-{scene.liquidation}").click()
    desk.shoot(pictures, f"{name}-new-copy")
    desk.press(t("Preview"), desk.modal)
    expect(desk.modal).to_contain_text(t("Copy {what}?", what=of_liquidation("items", scene.liquidation, t)))
    desk.press(t("Copy"), desk.modal)
    [_, again] = scene.slack.wait_for(lambda: jobs if len(jobs := scene.jobs()) == 2 else None)
    assert scene.completed(again["id"])["channel_id"] == scene.channel
    assert not desk.too_wide


def test_app_home_tells_who_may_not_copy_whom_to_ask_and_nothing_else(
    scene: Scene, open_desk: OpenDesk, pictures: Path
) -> None:
    carla = open_desk(scene.slack.url, "U0CARLA", "home")
    home = carla.page.get_by_role("tabpanel", name="Inicio")
    expect(home).to_contain_text(read(ES("You may not use `{command}`.", command="/copy-liquidation")))
    expect(home).to_contain_text("@liquidation-admins")
    expect(home.get_by_role("button")).to_have_count(0)
    expect(home).not_to_contain_text(re.compile("█|░"))
    carla.shoot(pictures, "home-without-permission")


def test_details_tell_a_copys_story_in_a_modal(scene: Scene, open_desk: OpenDesk, pictures: Path) -> None:
    scene.seed(30)
    job_id = scene.completed(scene.start())["id"]
    bob = open_desk(scene.slack.url, "U0BOB", scene.channel)
    bob.press(ES("Details"), bob.row(scene.name))
    expect(bob.modal).to_contain_text(EN("Job {id}", id=job_id))
    bob.shoot(pictures, "details")
    bob.press(EN("Close"), bob.modal.locator("footer"))
    expect(bob.modal).to_be_hidden()

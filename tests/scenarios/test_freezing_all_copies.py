"""/copy-freeze stops what runs within a chunk and refuses what is new, and everybody sees who did it."""

from __future__ import annotations

from .house import both_ways
from .scene import CHUNK_ROWS, EN, ES, Office, Scene, until
from .test_controlling_a_copy import in_place, shell

REASON = "mantenimiento *de* consulta <!channel>"
BEFORE = 5


def test_a_freeze_in_the_middle_of_a_copy_stops_it_at_its_chunk_s_end_until_it_is_lifted(
    office: Office, scene: Scene
) -> None:
    with scene.halfway() as (job_id, roadblock):
        scene.card(job_id)
        said = scene.ask(scene.bob, REASON, "/copy-freeze")
        assert EN("All copies are frozen.") in said
        assert "1 running copy" in said
        # Who and why, at once, with nothing that would call everybody.
        card = scene.card_with(job_id, "<@U0BOB>: mantenimiento")
        assert "<!channel>" not in str(card.blocks)
        roadblock.lift()
        until(lambda: scene.events(job_id)[-1] == "frozen", what="the freeze in the worker")
    assert in_place(scene) == (BEFORE + 1) * CHUNK_ROWS
    assert scene.job(job_id)["status"] == "pending"
    assert ES("Frozen by {user}: {reason}", user="<@U0BOB>", reason="") in scene.card_with(job_id, "🧊").plain
    # Nothing new either: not by the command, not by the shell.
    assert "<@U0BOB>" in scene.ask(scene.ana, str(scene.liquidation + 1), "/copy-liquidation")
    refused = shell(office, "copy", 42)
    assert refused.returncode == 1
    assert "has frozen all copies: mantenimiento" in refused.stderr
    # Somebody else asks, or freezes what is frozen: it stays as it is.
    for text in ("", "otra cosa"):
        assert "<@U0BOB>" in scene.ask(scene.ana, text, "/copy-freeze")
    assert len(scene.rows("SELECT 1 FROM traspaso.copy_freezes WHERE lifted_at IS NULL")) == 1
    assert ES("Copies run again. The freeze was {user}'s.", user="<@U0BOB>") in scene.ask(
        scene.ana, "off", "/copy-freeze"
    )
    job = scene.completed(job_id)
    assert job["unchanged_records"] == (BEFORE + 1) * CHUNK_ROWS
    assert scene.events(job_id) == ["requested", "claimed", "frozen", "claimed", "completed"]
    assert ES("Nothing is frozen.") in scene.ask(scene.ana, "off", "/copy-freeze")


def test_an_offer_from_before_the_freeze_is_refused_at_the_press(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20)
    offer = scene.offer(scene.ana)
    scene.seed(20, first=21)  # the numbers moved too, but there is no use in asking anew
    frozen = shell(office, "freeze", "cierre", "de", "mes")
    assert frozen.returncode == 0, frozen.stderr
    said = scene.press(scene.ana, offer)
    assert ES("Nothing was started.") in said
    assert "cierre de mes" in said
    assert not scene.jobs()
    assert shell(office, "unfreeze").returncode == 0
    assert shell(office, "unfreeze").returncode == 1
    scene.completed(scene.start())


@both_ways
def test_without_a_reason_it_asks_first_and_the_channel_is_told_of_the_freeze_and_of_its_end(
    office: Office, scene: Scene
) -> None:
    def said(words: str) -> bool:
        return any(words in each.plain and not each.ephemeral for each in scene.ana.messages(scene.channel))

    _, asked = scene.type(scene.bob, "/copy-freeze")
    assert EN("Freeze all copies?") in asked.plain
    assert not scene.rows("SELECT 1 FROM traspaso.copy_freezes WHERE lifted_at IS NULL")
    assert scene.bob.press(asked, "freeze.none").acked
    assert EN("Nothing was frozen.") in scene.replaced(scene.bob, asked)
    assert not scene.rows("SELECT 1 FROM traspaso.copy_freezes WHERE lifted_at IS NULL")
    assert EN("All copies are frozen.") in scene.freeze(scene.bob)
    scene.slack.wait_for(lambda: said(ES("Frozen by {user}", user="<@U0BOB>")))
    # Lifted somewhere else: told where it was made too.
    scene.slack.add_channel("C0OTHER", "otro", ["U0ANA", "U0BOT"])
    scene.ana.command("/copy-freeze off", channel="C0OTHER")
    over = ES("{user} has lifted the freeze of {other}: copies run again.", user="<@U0ANA>", other="<@U0BOB>")
    scene.slack.wait_for(lambda: said(over))
    scene.slack.wait_for(lambda: any(over in each.plain for each in scene.ana.messages("C0OTHER")))


def test_a_freeze_holds_where_slack_takes_no_message_for_the_channel(office: Office, scene: Scene) -> None:
    scene.slack.ask("fault", method="chat.postMessage", error="restricted_action", times=1)
    said = scene.freeze(scene.bob)
    assert EN("Slack took no message for this channel: tell those who copy.") in said
    assert scene.rows("SELECT 1 FROM traspaso.copy_freezes WHERE lifted_at IS NULL")
    scene.ask(scene.bob, "off", "/copy-freeze")


def test_who_may_not_copy_may_not_freeze(scene: Scene) -> None:
    for text in ("", "off", "motivo"):
        assert "<!subteam^S0ADMINS>" in scene.ask(scene.carla, text, "/copy-freeze")
    assert "/copy-freeze off" in scene.ask(scene.carla, "help", "/copy-freeze")
    assert not scene.rows("SELECT 1 FROM traspaso.copy_freezes WHERE lifted_at IS NULL")


def test_a_copy_can_be_cancelled_while_all_is_frozen(scene: Scene) -> None:
    with scene.halfway() as (job_id, roadblock):
        scene.card(job_id)
        scene.freeze(scene.bob)
        scene.bob.press(scene.card(job_id), "job.cancel")
        until(lambda: scene.job(job_id)["stop_requested"], what="the stop request")
        roadblock.lift()
        scene.ended(job_id, "cancelled")
    scene.told(job_id)
    assert "<@U0BOB>" in scene.reply(job_id).plain


def test_a_freeze_lifted_while_the_worker_is_about_to_stop_for_it_costs_no_sweep(
    office: Office, scene: Scene
) -> None:
    office.own_worker(office.with_work(sweep_seconds=3600))
    scene.seed()
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.freeze(scene.bob)
        for _ in range(2):  # beats of its heart: then it knows
            before = scene.job(job_id)["updated_at"]
            until(lambda before=before: scene.job(job_id)["updated_at"] > before, what="a heartbeat")
        scene.ask(scene.bob, "off", "/copy-freeze")
        roadblock.lift()
        job = scene.completed(job_id)
    assert scene.events(job_id) == ["requested", "claimed", "frozen", "claimed", "completed"]
    assert job["attempt"] == 2

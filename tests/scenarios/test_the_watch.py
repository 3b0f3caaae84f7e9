"""Prod changes after a copy: the watch says so in its channel, and a press of *Copy* there brings it over."""

from __future__ import annotations

from bot.messages.freshness import COPY_ACTION
from dev.local_slack.results import Message

from .scene import ES, Office, Scene, until


def said(scene: Scene) -> list[Message]:
    """What the watch has said in the channel."""
    wanted = ES("prod has moved on: {changes}", changes="")
    return [each for each in scene.ana.messages(scene.channel) if wanted in each.plain and not each.ephemeral]


def state(scene: Scene) -> str:
    query = "SELECT state FROM traspaso.freshness WHERE liquidation_id = %s"
    return str(scene.rows(query, scene.liquidation)[0]["state"])


def test_where_prod_has_moved_on_the_channel_is_told_and_a_press_there_copies_again(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(30)
    scene.completed(scene.start())
    assert ES("equal to prod, known {moment}", moment="").strip() in (
        scene.ask(scene.ana, f"liquidación {scene.liquidation}", "/copy-status")
    )
    office.prod.execute("UPDATE liquidation_items SET amount = amount + 1 WHERE id = %s", [scene.key(7)])
    path = office.stack.folder / "watched.toml"
    watch = f'\n[watch]\ncron = "* * * * *"\nnewest = 1\nchannel = "{scene.channel}"\n'
    path.write_text(office.stack.config_path.read_text("utf-8") + watch, "utf-8")
    office.own_worker({"TRASPASO_CONFIG": str(path)})
    [message] = until(lambda: said(scene), what="the message of the watch")
    changed = ES.plural("{n} row changed", "{n} rows changed", 1)
    assert f"{scene.liquidation}" in message.plain
    assert ES("prod has moved on: {changes}", changes=changed) in message.plain
    assert state(scene) == "prod has moved on"
    shown = scene.ask(scene.ana, f"liquidación {scene.liquidation}", "/copy-status")
    assert ES("prod has moved on: {changes}", changes=changed) in shown

    before = {each.ts for each in scene.private(scene.bob)}
    assert scene.bob.press(message, COPY_ACTION).acked
    offer = scene.slack.wait_for(
        lambda: next((each for each in scene.private(scene.bob) if each.ts not in before), None)
    )
    scene.press(scene.bob, offer)
    job = until(lambda: scene.jobs()[1:], what="the second job")[-1]
    scene.completed(job["id"])
    assert state(scene) == "complete"
    assert len(said(scene)) == 1

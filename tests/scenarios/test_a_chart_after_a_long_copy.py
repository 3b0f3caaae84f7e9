"""The reply to a copy that took long has a chart of its speed, below the receipt."""

from __future__ import annotations

from typing import Any

from dev.local_slack.results import Message

from .scene import ES, Office, Scene


def replies(scene: Scene, job_id: int) -> list[Message]:
    return scene.ana.thread(scene.channel, scene.card(job_id).ts)[1:]


def charts(reply: Message) -> list[dict[str, Any]]:
    return [block for block in reply.blocks or [] if block["type"] == "data_visualization"]


def test_a_long_copy_ends_with_a_chart_and_a_short_one_without(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed()
    short = scene.start()
    scene.completed(short)
    assert not any(charts(reply) for reply in replies(scene, short))
    settings = office.with_work(chart_seconds=0.001)
    office.restart_bot(**settings)  # the bot or the worker posts the reply, whichever is first
    try:
        office.own_worker(settings)
        scene.rows("DELETE FROM liquidation_items WHERE liquidation_id = %s RETURNING id", scene.liquidation)
        job_id = scene.start()
        job = scene.completed(job_id)
        [ending] = replies(scene, job_id)
    finally:
        office.restart_bot()
    assert "<@U0ANA>" in ending.plain
    [block] = charts(ending)
    assert (block["title"], block["chart"]["type"]) == (ES("Rows per second"), "line")
    [line] = block["chart"]["series"]
    assert 1 <= len(line["data"]) <= 20
    assert max(point["value"] for point in line["data"]) > 0
    # Whoever can't see it reads the same.
    assert ES("Rows per second") in ending.text
    assert f"{job_id}" in ending.text.partition(ES("Rows per second"))[2]
    assert job["attempt"] == 1

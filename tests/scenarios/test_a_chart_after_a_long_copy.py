"""A copy that took long gets a picture of its speed in the thread, under the receipt."""

from __future__ import annotations

from dev.local_slack.results import Message

from .scene import ES, Office, Scene


def replies(scene: Scene, job_id: int) -> list[Message]:
    return scene.ana.thread(scene.channel, scene.card(job_id).ts)[1:]


def test_a_long_copy_ends_with_a_chart_and_a_short_one_without(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed()
    short = scene.start()
    scene.completed(short)
    assert not any(reply.files for reply in replies(scene, short))
    office.own_worker(office.with_work(chart_seconds=0.001))
    job_id = scene.start()
    job = scene.completed(job_id)
    ending, picture = replies(scene, job_id)
    assert "<@U0ANA>" in ending.plain
    [file] = picture.files
    assert (file["name"], file["mimetype"]) == (f"traspaso-{job_id}-{job['attempt']}.png", "image/png")
    assert scene.slack.download(file).startswith(b"\x89PNG\r\n\x1a\n")
    # Whoever can't see it reads the same.
    assert file["alt_txt"] == picture.text
    assert picture.text.startswith(ES("Rows per second"))

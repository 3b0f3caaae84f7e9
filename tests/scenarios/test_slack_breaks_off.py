"""Wires that break, people who meddle, and a Slack that stumbles or takes its time."""

from __future__ import annotations

from typing import Any

import pytest

from bot.messages import proposal

from .scene import CHUNK_ROWS, EN, ES, Office, Scene, until

IN_PLACE = ES.number(5 * CHUNK_ROWS)


def test_a_card_that_somebody_unpinned_stays_so_and_the_copy_ends_as_ever(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(20_000)
    with scene.roadblock(10_500) as late, scene.roadblock(5_500) as early:
        job_id = scene.start()
        early.reached(job_id)
        card = scene.card_with(job_id, IN_PLACE)
        scene.slack.unpin(scene.channel, card.ts)
        early.lift()
        assert not scene.card_with(job_id, ES.number(10_000)).pinned
        late.lift()
    scene.completed(job_id)
    assert scene.card(job_id).ts == card.ts
    assert not scene.card(job_id).pinned
    assert scene.reply(job_id).thread_ts == card.ts


@pytest.mark.parametrize("reason", ["refresh_requested", None], ids=str)
def test_a_wire_that_breaks_is_mended_even_where_slack_does_not_let_the_bot_in_at_once(
    office: Office, scene: Scene, reason: str | None
) -> None:
    scene.seed(10)
    scene.slack.fault("apps.connections.open", status=500)
    scene.slack.disconnect_sockets(reason)
    scene.slack.wait_for(lambda: scene.slack.faults_left() == 0, timeout=30)
    scene.slack.wait_for(lambda: scene.slack.ask("sockets")["connected"] >= 1, timeout=40)
    assert EN("Copy liquidation {id}?", id=scene.liquidation) in scene.offer(scene.bob).plain


def test_an_hour_on_slacks_clock_changes_nothing_for_a_copy_and_its_buttons(
    office: Office, scene: Scene
) -> None:
    """What was typed an hour ago has lost its response_url; a press brings one of its own."""
    office.workers(1)
    scene.seed()
    offer = scene.offer(scene.ana)
    scene.slack.advance_clock(3600)
    with scene.roadblock() as roadblock:
        scene.press(scene.ana, offer)
        [job] = until(scene.jobs, what="a job")
        roadblock.reached(job["id"])
        card = scene.card_with(job["id"], IN_PLACE)
        scene.slack.advance_clock(3600)
        scene.slack.fault("chat.postMessage", accept_then_drop=True, match={"channel": scene.channel})
    scene.completed(job["id"])
    assert scene.card(job["id"]).ts == card.ts
    assert len(scene.replies(job["id"])) == 1


def test_a_list_comes_without_its_links_while_slack_gives_none(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(10)
    job_id = scene.completed(scene.start())["id"]
    office.restart_bot()  # it would remember the link
    command = f"/copy-status liquidation {scene.liquidation}"
    for trouble in ({"error": "message_not_found"}, {"status": 500}, {"status": 429, "retry_after": 60}):
        scene.slack.fault("chat.getPermalink", times=None, **trouble)  # type: ignore[arg-type]
        _, answer = scene.type(scene.bob, command)
        scene.slack.clear_faults()
        assert str(job_id) in answer.plain
        assert "/archives/" not in str(answer.blocks)
    _, answer = scene.type(scene.bob, command)
    assert "/archives/" in str(answer.blocks)


def test_a_slow_slack_delays_the_answer_and_not_the_acknowledgement(office: Office, scene: Scene) -> None:
    scene.seed(10)
    office.restart_bot()  # it would remember who is in the group
    scene.slack.fault("usergroups.users.list", delay=4.0)
    taken, answer = scene.type(scene.bob, f"/copy-liquidation {scene.liquidation}")
    assert taken.acked
    assert EN("Copy liquidation {id}?", id=scene.liquidation) in answer.plain


@pytest.mark.parametrize(
    "trouble",
    [{"status": 500}, {"status": 429, "retry_after": 1}, {"error": "internal_error"}],
    ids=str,
)
def test_a_modal_does_not_go_on_waiting_because_slack_stumbled_once(
    scene: Scene, trouble: dict[str, Any]
) -> None:
    scene.slack.fault("views.update", **trouble)
    assert scene.bob.command("/copy-liquidation", channel=scene.channel).acked
    scene.slack.wait_for(
        lambda: (view := scene.bob.modal()) is not None and proposal.LIQUIDATION in view.inputs
    )
    assert scene.slack.faults_left() == 0

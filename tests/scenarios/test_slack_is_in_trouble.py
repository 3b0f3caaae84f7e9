"""Slack never fails a copy, and whatever it loses is said in the end, once."""

from __future__ import annotations

import pytest

from bot.messages.blocks import of_liquidation
from dev.local_slack.results import Call

from .scene import CHUNK_ROWS, EN, ES, Office, Scene, until

IN_PLACE = ES.number(5 * CHUNK_ROWS)


def test_progress_that_slack_has_no_room_for_is_dropped_and_the_end_is_not(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed()
    scene.slack.fault("chat.update", status=429, retry_after=1, times=2, match={"channel": scene.channel})
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.slack.wait_for(lambda: IN_PLACE in scene.card(job_id).plain)
    scene.completed(job_id)
    card = scene.card(job_id)
    assert ES.percent(1) in card.plain
    assert not card.pinned
    refused = [call for call in calls_in(scene, "chat.update") if call.status == 429]
    assert len(refused) == 2


def test_the_end_waits_as_long_as_slack_asks(scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        scene.card(job_id)
        scene.slack.fault("chat.postMessage", status=429, retry_after=2, match={"channel": scene.channel})
    scene.completed(job_id)
    [refused, answered] = calls_in(scene, "chat.postMessage")[1:]
    assert refused.status == 429
    assert answered.at - refused.at >= 2
    assert len(scene.replies(job_id)) == 1


@pytest.mark.parametrize("trouble", [{"status": 500}, {"accept_then_drop": True}], ids=str)
def test_a_post_whose_fate_is_unknown_is_there_once_in_the_end(
    office: Office, scene: Scene, trouble: dict[str, object]
) -> None:
    office.workers(1)
    scene.seed()
    fault = {"match": {"channel": scene.channel}, **trouble}
    with scene.roadblock() as roadblock:
        scene.slack.fault("chat.postMessage", **fault)  # type: ignore[arg-type]
        job_id = scene.start()
        roadblock.reached(job_id)
        until(lambda: scene.job(job_id)["message_ts"], what="the card")
        assert scene.slack.wait_for(lambda: scene.card(job_id).pinned)
        scene.slack.fault("chat.postMessage", **fault)  # type: ignore[arg-type]
    scene.completed(job_id)
    assert len(scene.cards(job_id)) == len(scene.replies(job_id)) == 1
    assert scene.slack.pins(scene.channel) == []
    assert len(scene.jobs()) == 1


def test_a_pin_that_slack_had_no_room_for_is_made_up_for(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed()
    with scene.roadblock() as roadblock:
        scene.slack.fault("pins.add", status=429, retry_after=1, match={"channel": scene.channel})
        job_id = scene.start()
        roadblock.reached(job_id)
        assert scene.slack.wait_for(lambda: scene.card(job_id).pinned)
    scene.completed(job_id)
    assert scene.slack.pins(scene.channel) == []


def test_a_progress_edit_that_slack_takes_late_doesn_t_hide_the_end(scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        card = scene.card(job_id)
        # The next progress edit is under way for so long that the job has ended, and been told so, before.
        slow = {"channel": scene.channel, "ts": card.ts}
        scene.slack.fault("chat.update", delay=3.0, match=slow)
        until(lambda: scene.slack.faults_left() == 0, what="a progress edit")
    scene.ended(job_id)
    scene.reply(job_id)
    late = scene.slack.wait_for(
        lambda: next((call for call in calls_in(scene, "chat.update") if call.seconds >= 3), None)
    )
    assert ES.percent(1) not in str(late.args)
    scene.slack.wait_for(lambda: ES.percent(1) in scene.card(job_id).plain)
    assert scene.slack.pins(scene.channel) == []


def test_a_card_that_somebody_deleted_is_posted_anew_and_pinned(scene: Scene) -> None:
    with scene.halfway() as (job_id, roadblock):
        first = scene.slack.wait_for(
            lambda: next((c for c in scene.cards(job_id) if IN_PLACE in c.plain), None)
        )
        scene.slack.delete_message(scene.channel, first.ts)
        roadblock.lift()
    scene.completed(job_id)
    card = scene.card(job_id)
    assert card.ts != first.ts
    assert scene.job(job_id)["message_ts"] == card.ts
    assert scene.reply(job_id).thread_ts == card.ts


def test_a_card_that_somebody_deleted_comes_back_while_the_copy_runs(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20_000)
    with scene.roadblock(10_500) as late, scene.roadblock(5_500) as early:
        job_id = scene.start()
        early.reached(job_id)
        first = scene.slack.wait_for(
            lambda: next((c for c in scene.cards(job_id) if IN_PLACE in c.plain), None)
        )
        scene.slack.fault("chat.postMessage", accept_then_drop=True, match={"channel": scene.channel})
        scene.slack.delete_message(scene.channel, first.ts)
        early.lift()
        until(lambda: scene.job(job_id)["copied_records"] == 10_000, what="the second roadblock")
        again = scene.slack.wait_for(
            lambda: next((c for c in scene.cards(job_id) if c.pinned and ES.number(10_000) in c.plain), None)
        )
        assert again.ts != first.ts
        late.lift()
    scene.completed(job_id)
    assert scene.card(job_id).ts == again.ts
    assert not scene.card(job_id).pinned


def test_when_the_channel_is_archived_in_the_middle_the_requester_is_told_in_person(scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        scene.slack.wait_for(lambda: IN_PLACE in scene.card(job_id).plain)
        scene.slack.archive(scene.channel)
    scene.completed(job_id)
    ana = scene.ana
    [card] = scene.cards(job_id, ana.dm)
    assert ES.percent(1) in card.plain
    archived = ES("{channel} is archived", channel=f"<#{scene.channel}>")
    assert ES("In a direct message, because {reason}.", reason=archived) in card.plain
    [reply] = scene.replies(job_id, ana.dm)
    assert ES.rows(scene.job(job_id)["total_records"]) in reply.plain
    assert not scene.replies(job_id)


def test_a_private_channel_without_the_bot_is_answered_in_a_direct_message(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed()
    scene.slack.add_channel("C0PRIVATE", "private", ["U0ANA", "U0BOB"], is_private=True)
    private = Scene(office, scene.liquidation, "C0PRIVATE")
    job_id = private.start(scene.bob)
    private.completed(job_id)
    bob = scene.bob
    [card] = private.cards(job_id, bob.dm, bob)
    assert ES("the bot is not in {channel}", channel="<#C0PRIVATE>") in card.plain
    assert "/invite @traspaso" in card.plain
    assert len(private.replies(job_id, bob.dm, bob)) == 1


def test_a_public_channel_without_the_bot_has_its_card_unpinned(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed()
    scene.slack.kick_bot(scene.channel)
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.slack.wait_for(lambda: IN_PLACE in scene.card(job_id).plain)
        assert not scene.card(job_id).pinned
    scene.completed(job_id)
    assert "<@U0ANA>" in scene.reply(job_id).plain


def test_a_channel_with_too_many_pins_has_its_card_unpinned(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed()
    scene.slack.add_pins(scene.channel, 100)
    with scene.roadblock() as roadblock:
        job_id = scene.start()
        roadblock.reached(job_id)
        scene.slack.wait_for(lambda: IN_PLACE in scene.card(job_id).plain)
        assert not scene.card(job_id).pinned
    scene.completed(job_id)
    assert len(scene.replies(job_id)) == 1
    assert len(scene.slack.pins(scene.channel)) == 100


def test_without_a_valid_token_the_copy_goes_on_and_the_end_is_told_later(scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        scene.slack.wait_for(lambda: IN_PLACE in scene.card(job_id).plain)
        scene.slack.revoke_token()
    scene.ended(job_id)
    until(
        lambda: scene.rows("SELECT * FROM traspaso.outbox WHERE last_error = 'token_revoked'"),
        what="a refused ending",
    )
    assert scene.compared()
    assert not scene.replies(job_id)
    scene.slack.restore_token()
    scene.completed(job_id)
    assert ES.percent(1) in scene.card(job_id).plain
    assert len(scene.replies(job_id)) == 1


def test_a_broken_wire_of_the_bot_is_mended_by_itself(scene: Scene) -> None:
    scene.seed(10)
    scene.slack.disconnect_sockets("warning")
    scene.slack.wait_for(lambda: scene.slack.ask("sockets")["connected"] >= 1)
    assert (
        EN("Copy {what}?", what=of_liquidation("items", scene.liquidation, EN))
        in scene.offer(scene.bob).plain
    )


def calls_in(scene: Scene, method: str) -> list[Call]:
    return [
        call
        for call in scene.slack.calls(method, since=scene.first_call)
        if call.args.get("channel") == scene.channel
    ]

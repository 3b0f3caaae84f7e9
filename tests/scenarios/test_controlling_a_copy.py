"""The buttons of a card: pause, resume, cancel and retry a copy, from Slack and from a shell."""

from __future__ import annotations

import subprocess

import pytest

from bot.messages.card import CANCEL_ACTION, PAUSE_ACTION, RESUME_ACTION, RETRY_ACTION
from dev.local_slack.client import Person
from dev.local_slack.results import Message
from tests.shell import Process

from .scene import CHUNK_ROWS, EN, ES, ROWS, Office, Row, Scene, until

BEFORE = 5  # chunks in place before the roadblock


def with_status(scene: Scene, job_id: int, status: str) -> Row:
    def so() -> Row | None:
        job = scene.job(job_id)
        return job if job["status"] == status else None

    return until(so, what=f"job {job_id} {status}")


def press(scene: Scene, person: Person, job_id: int, action_id: str) -> None:
    assert person.press(scene.card(job_id), action_id).acked


def in_place(scene: Scene) -> int:
    count = "SELECT count(*) AS n FROM liquidation_items WHERE liquidation_id = %s"
    return int(scene.rows(count, scene.liquidation)[0]["n"])


def actions_of(message: Message) -> list[str]:
    return [button.action_id for button in message.buttons]


def said_to(scene: Scene, person: Person, words: str) -> str:
    """What only this person sees, as soon as it says this."""
    return scene.slack.wait_for(
        lambda: next((each.plain for each in scene.private(person) if words in each.plain), None)
    )


def test_a_copy_is_paused_at_its_chunk_s_end_and_goes_on_when_it_is_resumed(scene: Scene) -> None:
    with scene.halfway() as (job_id, roadblock):
        press(scene, scene.bob, job_id, PAUSE_ACTION)
        # At once, while the chunk is still in hand: who, and what is going to be.
        asked = scene.card_with(job_id, ES("Pausing for {user} at the end of this chunk", user="<@U0BOB>"))
        assert PAUSE_ACTION not in actions_of(asked)
        assert scene.job(job_id)["status"] == "running"
        roadblock.lift()
        job = with_status(scene, job_id, "paused")
    assert job["chunks_done"] == BEFORE + 1
    words = ES("Paused by {user}: nothing is written until somebody resumes it", user="<@U0BOB>")
    card = scene.card_with(job_id, words)
    assert actions_of(card)[:2] == [RESUME_ACTION, CANCEL_ACTION]
    assert card.pinned
    assert scene.replies(job_id) == []
    assert in_place(scene) == (BEFORE + 1) * CHUNK_ROWS
    press(scene, scene.ana, job_id, RESUME_ACTION)
    job = scene.completed(job_id)
    assert job["unchanged_records"] == (BEFORE + 1) * CHUNK_ROWS
    assert scene.events(job_id) == [
        *("requested", "claimed", "pause_requested", "paused"),
        *("resumed", "claimed", "completed"),
    ]
    assert not scene.card(job_id).pinned
    assert len(scene.replies(job_id)) == 1


def test_a_copy_that_is_cancelled_in_the_middle_leaves_what_is_in_place_and_writes_nothing_more(
    scene: Scene,
) -> None:
    with scene.halfway() as (job_id, roadblock):
        press(scene, scene.bob, job_id, CANCEL_ACTION)
        words = ES("Being cancelled for {user} at the end of this chunk", user="<@U0BOB>")
        asked = scene.card_with(job_id, words)
        assert not {PAUSE_ACTION, CANCEL_ACTION} & set(actions_of(asked))
        roadblock.lift()
        job = scene.ended(job_id, "cancelled")
    scene.told(job_id)
    assert in_place(scene) == job["copied_records"] == (BEFORE + 1) * CHUNK_ROWS
    card = scene.card(job_id)
    assert not card.pinned
    assert not {PAUSE_ACTION, CANCEL_ACTION, RESUME_ACTION} & set(actions_of(card))
    reply = scene.reply(job_id).plain
    assert "<@U0ANA>" in reply
    assert "<@U0BOB>" in reply
    # The worker is free, and the liquidation too: copying it again goes on from there.
    again = scene.start()
    assert scene.completed(again)["unchanged_records"] == (BEFORE + 1) * CHUNK_ROWS
    assert scene.job(job_id)["status"] == "cancelled"


def test_a_waiting_copy_is_paused_and_cancelled_at_once(office: Office, scene: Scene) -> None:
    office.workers(0)
    scene.seed()
    job_id = scene.start()
    card = scene.card(job_id)
    press(scene, scene.ana, job_id, PAUSE_ACTION)
    with_status(scene, job_id, "paused")
    scene.card_with(job_id, ES("Resume"))
    press(scene, scene.bob, job_id, CANCEL_ACTION)
    scene.ended(job_id, "cancelled")
    scene.told(job_id)
    assert ES("Nothing was written.") in scene.reply(job_id).plain
    # A press on what was on somebody's screen before: it says so, and changes nothing.
    scene.bob.press(card, PAUSE_ACTION, stale=True)
    words = EN(
        "Job {id} is {state} now, so that button has no meaning any more. Nothing was changed.",
        id=job_id,
        state=EN("cancelled"),
    )
    said_to(scene, scene.bob, words)
    assert scene.job(job_id)["status"] == "cancelled"


def test_pressing_twice_or_being_delivered_twice_is_one_press(scene: Scene) -> None:
    with scene.halfway() as (job_id, roadblock):
        card = scene.card(job_id)
        scene.slack.duplicate_next_envelope()
        taken = scene.ana.press(card, PAUSE_ACTION)
        scene.bob.press(card, PAUSE_ACTION, stale=True)
        scene.slack.wait_for(lambda: any(each.acks == 2 for each in scene.slack.envelopes(taken.envelope_id)))
        roadblock.lift()
        with_status(scene, job_id, "paused")
    scene.card_with(job_id, "<@U0ANA>")
    assert scene.events(job_id).count("pause_requested") == 1
    assert not scene.private(scene.bob)


def test_a_failed_copy_is_tried_again_with_its_own_card(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(20)
    scene.seed(1, first=ROWS)
    scene.office.consulta.execute(
        f"ALTER TABLE liquidation_items ADD CONSTRAINT no_{scene.liquidation} "
        f"CHECK (id <> {scene.key(ROWS)}) NOT VALID".encode()
    )
    try:
        job_id = scene.start()
        scene.ended(job_id, "failed")
        scene.told(job_id)
        card, reply = scene.card(job_id), scene.reply(job_id)
        assert not card.pinned
        assert RETRY_ACTION in actions_of(card)
        assert RETRY_ACTION in actions_of(reply)
        assert "`check 23514`" in reply.plain
        press(scene, scene.bob, job_id, RETRY_ACTION)
        until(lambda: scene.events(job_id).count("failed") == 2, what="the second failure")
        scene.told(job_id)
        assert scene.slack.wait_for(lambda: len(scene.replies(job_id)) == 2)
    finally:
        scene.office.consulta.execute(
            f"ALTER TABLE liquidation_items DROP CONSTRAINT no_{scene.liquidation}".encode()
        )
    office.workers(0)
    press(scene, scene.ana, job_id, RETRY_ACTION)
    assert scene.slack.wait_for(lambda: scene.card(job_id).pinned)
    office.workers(1)
    assert scene.completed(job_id)["attempt"] == 3
    assert not scene.card(job_id).pinned
    assert len(scene.replies(job_id)) == 3


def test_a_failed_copy_is_not_tried_again_beside_a_newer_one(office: Office, scene: Scene) -> None:
    office.workers(0)
    scene.seed(20)
    job_id = scene.start()
    scene.card(job_id)
    scene.rows("UPDATE traspaso.copy_jobs SET status = 'failed' WHERE id = %s RETURNING id", job_id)
    newer = scene.start()
    detail = scene.type(scene.bob, f"/copy-status {job_id}")[1]
    scene.bob.press(detail, RETRY_ACTION)
    said_to(scene, scene.bob, f"job {newer}")
    assert scene.job(job_id)["status"] == "failed"


def test_a_button_does_nothing_for_who_may_not_copy(scene: Scene) -> None:
    with scene.halfway() as (job_id, _):
        press(scene, scene.carla, job_id, CANCEL_ACTION)
        said_to(scene, scene.carla, "<!subteam^S0ADMINS>")
        # Who has left the group since the card was posted, as well.
        scene.leaves_the_group(scene.bob)
        press(scene, scene.bob, job_id, PAUSE_ACTION)
        said_to(scene, scene.bob, "<!subteam^S0ADMINS>")
    scene.completed(job_id)
    assert scene.events(job_id) == ["requested", "claimed", "completed"]


def test_a_worker_killed_while_it_is_pausing_leaves_a_paused_job(office: Office, scene: Scene) -> None:
    with scene.halfway(2) as (job_id, _):
        held = scene.job(job_id)
        press(scene, scene.ana, job_id, PAUSE_ACTION)
        until(lambda: scene.job(job_id)["stop_requested"], what="the stop request")
        office.worker_of(held).kill()
        job = with_status(scene, job_id, "paused")
    assert job["attempt"] == 1
    scene.card_with(job_id, ES("Resume"))
    press(scene, scene.ana, job_id, RESUME_ACTION)
    assert scene.completed(job_id)["attempt"] == 2


def test_a_press_that_slack_has_no_room_for_is_shown_as_soon_as_it_has(office: Office, scene: Scene) -> None:
    office.workers(0)
    scene.seed(20)
    job_id = scene.start()
    scene.card(job_id)
    scene.slack.fault("chat.update", status=429, retry_after=1, match={"channel": scene.channel})
    press(scene, scene.ana, job_id, PAUSE_ACTION)
    scene.card_with(job_id, ES("Resume"))


def shell(office: Office, *arguments: object) -> subprocess.CompletedProcess[str]:
    process = Process(tuple(map(str, arguments)), {**office.stack.environment(), "LANG": "C", "LC_ALL": "C"})
    out, err = process.communicate(timeout=60)
    assert process.returncode is not None
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_the_shell_does_what_the_buttons_do(office: Office, scene: Scene) -> None:
    with scene.halfway() as (job_id, roadblock):
        scene.card(job_id)
        paused = shell(office, "pause", job_id)
        assert paused.returncode == 0, paused.stderr
        assert f"Job {job_id}, “items” of liquidation {scene.liquidation}: Pausing for " in paused.stdout
        scene.card_with(job_id, ES("Resume"))
        roadblock.lift()
        with_status(scene, job_id, "paused")
    assert shell(office, "retry", job_id).returncode == 1
    assert shell(office, "resume", job_id).returncode == 0
    scene.completed(job_id)
    late = shell(office, "cancel", job_id)
    assert late.returncode == 1
    assert f"job {job_id} is completed: nothing was changed" in late.stderr
    unknown = shell(office, "pause", 987654321)
    assert unknown.returncode == 1
    assert "there is no job 987654321" in unknown.stderr


@pytest.mark.parametrize("kind", ["pause", "cancel"])
def test_a_stop_is_felt_while_the_cap_makes_the_copy_wait(office: Office, scene: Scene, kind: str) -> None:
    """Between two chunks of a copy that is capped at a few rows a second, minutes may pass."""
    office.own_worker(office.with_work(rows_per_second=20))
    scene.seed()
    job_id = scene.start()
    until(lambda: scene.job(job_id)["chunks_done"] > 0, what="a chunk")
    press(scene, scene.ana, job_id, {"pause": PAUSE_ACTION, "cancel": CANCEL_ACTION}[kind])
    job = with_status(scene, job_id, {"pause": "paused", "cancel": "cancelled"}[kind])
    assert 0 < job["chunks_done"] < ROWS // CHUNK_ROWS

"""Whoever types or presses is answered, whatever Slack thinks of the response_url or of a window."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from bot.messages import answers, proposal
from bot.messages.blocks import Message as Words
from bot.messages.blocks import of_liquidation
from bot.messages.card import DETAILS_ACTION
from bot.messages.home import NEW_ACTION
from bot.messages.proposal import CANCEL_ACTION, COPY_ACTION
from dev.local_slack.client import Person
from dev.local_slack.results import Message

from .scene import EN, ES, Office, Scene, until

LOST = {"status": 500, "accept_then_drop": True}  # the connection breaks before anything was done
FOR_EVER = [
    {"status": 401, "error": "invalid_auth"},
    {"status": 404, "error": "used_url"},
    {"status": 404, "error": "expired_url"},
    {"status": 429, "retry_after": 60},
    {"status": 500},
    LOST,
]
PASSING = [{"status": 429, "retry_after": 1}, {"status": 500}, LOST]


def calls(scene: Scene, method: str) -> list[Any]:
    return scene.slack.calls(method, since=scene.first_call)


def read(scene: Scene, person: Person, wanted: str) -> Message:
    """The message with these words that this person alone sees in the channel; there is one."""
    found = scene.slack.wait_for(lambda: ephemerals(scene, person, wanted))
    assert len(found) == 1, [each.plain for each in found]
    return found[0]


def ephemerals(scene: Scene, person: Person, wanted: str) -> list[Message]:
    return [each for each in scene.private(person) if wanted in each.plain]


def plain(words: Words) -> str:
    """The first sentence, as it is on the screen."""
    return str(words.blocks[0]["text"]["text"])


@pytest.mark.parametrize("trouble", FOR_EVER, ids=str)
def test_an_answer_that_the_response_url_refuses_is_ephemeral_in_the_channel(
    office: Office, scene: Scene, trouble: dict[str, Any]
) -> None:
    scene.slack.fault("response_url", times=None, **trouble)
    assert scene.bob.command("/copy-status nosuch", channel=scene.channel).acked
    said = read(scene, scene.bob, "nosuch")
    assert (said.channel, said.ephemeral) == (scene.channel, True)
    scene.slack.clear_faults()
    scene.ask(scene.bob, "", "/copy-status")
    assert len(ephemerals(scene, scene.bob, "nosuch")) == 1
    assert len(calls(scene, "chat.postEphemeral")) == 1
    assert not calls(scene, "chat.postMessage")
    if trouble is not LOST:
        refused = f"{trouble['status']} {trouble.get('error', '')}".rstrip()
        assert f"the answer to /copy-status for U0BOB: its response_url: {refused}" in office.logs()
    assert "/response/" not in office.logs()


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_a_response_url_that_stumbles_once_is_tried_again(scene: Scene, trouble: dict[str, Any]) -> None:
    scene.slack.fault("response_url", **trouble)
    assert scene.bob.command("/copy-status nosuch", channel=scene.channel).acked
    read(scene, scene.bob, "nosuch")
    assert len(calls(scene, "response_url")) == 2
    assert not calls(scene, "chat.postEphemeral")


@pytest.mark.parametrize("ephemeral", [False, True])
def test_a_workspace_that_doesn_t_take_the_blocks_gets_the_words(scene: Scene, ephemeral: bool) -> None:
    if ephemeral:
        scene.slack.refuse_response_urls(404)
    scene.slack.fault(
        "chat.postEphemeral" if ephemeral else "response_url",
        status=200 if ephemeral else 400,
        error="invalid_blocks",
    )
    assert scene.bob.command("/copy-status nosuch", channel=scene.channel).acked
    assert not read(scene, scene.bob, "nosuch").blocks


def test_a_response_url_that_hangs_is_waited_for_once(scene: Scene) -> None:
    scene.slack.fault("response_url", status=500, hang=True, times=None)
    assert scene.bob.command("/copy-status nosuch", channel=scene.channel).acked
    read(scene, scene.bob, "nosuch")
    assert len(calls(scene, "response_url")) == 1


def test_an_answer_of_unknown_fate_is_rather_read_twice_than_never(scene: Scene) -> None:
    scene.slack.fault("response_url", accept_then_drop=True)
    assert scene.bob.command("/copy-status nosuch", channel=scene.channel).acked
    scene.slack.wait_for(lambda: len(calls(scene, "response_url")) == 2)
    assert len(ephemerals(scene, scene.bob, "nosuch")) == 2


def test_where_the_bot_can_t_write_in_the_channel_the_answer_is_a_direct_message_in_the_reader_s_language(
    scene: Scene,
) -> None:
    """The fourth place is a conversation of two people, in which the bot has no part."""
    cases = [(scene.ana, ES), (scene.bob, EN)]
    scene.slack.kick_bot(scene.channel)
    scene.slack.refuse_response_urls(404, error="used_url")
    for channel in (scene.channel, scene.ana.dm_with("U0BOB")):
        for person, t in cases:
            before = len(person.messages(person.dm))
            assert person.command("/copy-liquidation 4e1", channel=channel).acked
            [said] = scene.slack.wait_for(lambda: person.messages(person.dm)[before:])  # noqa: B023
            assert t("“{word}” is not the number of a liquidation.", word="4e1") in said.plain


def test_a_press_that_can_t_replace_its_card_says_what_became_of_it_and_the_card_stays_harmless(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(20)
    offer = scene.offer(scene.bob)
    scene.slack.refuse_response_urls(404, error="expired_url")
    assert scene.bob.press(offer, COPY_ACTION).acked
    [job] = until(scene.jobs, what="a job")
    read(scene, scene.bob, EN("job {id}", id=job["id"]))
    [card] = [each for each in scene.private(scene.bob) if each.ts == offer.ts]
    assert card.buttons
    scene.completed(job["id"])
    assert scene.bob.press(card, COPY_ACTION).acked
    read(scene, scene.bob, f"it became job {job['id']}")
    assert scene.bob.press(card, CANCEL_ACTION).acked
    read(scene, scene.bob, plain(answers.cancelled(EN)))
    assert len(scene.jobs()) == 1


def test_an_answer_that_no_way_takes_is_in_the_log_and_the_next_one_arrives(
    office: Office, scene: Scene
) -> None:
    scene.slack.refuse_response_urls(401)
    scene.slack.fault("chat.postEphemeral", error="user_not_in_channel")
    scene.slack.fault("chat.postMessage", error="restricted_action", match={"channel": scene.bob.dm})
    assert scene.bob.command("/copy-verify x", channel=scene.channel).acked
    until(lambda: "the answer to /copy-verify was not delivered to U0BOB" in office.logs())
    for word in ("401 invalid_auth", "user_not_in_channel", "restricted_action"):
        assert word in office.logs()
    scene.slack.clear_faults()
    assert "“y”" in scene.ask(scene.bob, "y", "/copy-verify")


# ------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("method", ["views.open", "views.update"])
def test_details_that_slack_doesn_t_show_are_answered_with_what_works(
    office: Office, scene: Scene, method: str
) -> None:
    office.workers(1)
    scene.seed(20)
    job_id = scene.completed(scene.start())["id"]
    scene.slack.fault(method, error="fatal_error", times=None)
    assert scene.bob.press(scene.card(job_id), DETAILS_ACTION).acked
    read(scene, scene.bob, plain(answers.details_not_shown(job_id, EN)))


def test_details_that_are_refused_in_a_window_that_slack_doesn_t_fill_are_refused_in_words(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(20)
    job_id = scene.completed(scene.start())["id"]
    scene.slack.fault("views.update", error="fatal_error", times=None)
    assert scene.carla.press(scene.card(job_id), DETAILS_ACTION).acked
    read(scene, scene.carla, "<!subteam^S0ADMINS>")


def test_a_window_that_slack_doesn_t_open_from_the_panel_is_answered_in_a_direct_message(
    scene: Scene,
) -> None:
    home = scene.bob.open_home()
    before = len(scene.bob.messages(scene.bob.dm))
    scene.slack.fault("views.open", error="expired_trigger_id")
    assert scene.bob.press(home, NEW_ACTION).acked
    [said] = scene.slack.wait_for(lambda: scene.bob.messages(scene.bob.dm)[before:])
    assert plain(proposal.not_shown(EN)) in said.plain


def test_a_window_that_slack_leaves_waiting_is_answered_in_the_channel(scene: Scene) -> None:
    scene.slack.fault("views.update", error="fatal_error", times=None)
    assert scene.bob.command("/copy-liquidation", channel=scene.channel).acked
    read(scene, scene.bob, plain(proposal.not_shown(EN)))


def test_a_bot_that_is_told_to_end_answers_first_what_was_asked_of_it(office: Office, scene: Scene) -> None:
    """Two looks of one person at once, and one that waits for its turn."""
    scene.seed(10)
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%items%'"
    with psycopg.connect(office.stack.prod_url) as somebody:
        somebody.execute("LOCK TABLE liquidation_items")
        for _ in range(3):
            assert scene.bob.command(f"/copy-liquidation {scene.liquidation}", channel=scene.channel).acked
        until(lambda: len(office.prod.execute(waiting).fetchall()) == 2, what="two looks at prod")
        office.bot.terminate()
        scene.slack.wait_for(lambda: scene.slack.ask("sockets")["connected"] == 0)
        somebody.rollback()
    assert office.bot.wait(20) == 0
    asked = EN("Copy {what}?", what=of_liquidation("items", scene.liquidation, EN))
    assert [asked in answer.plain for answer in scene.private(scene.bob)] == [True] * 3
    assert "Traceback" not in office.bot.log()

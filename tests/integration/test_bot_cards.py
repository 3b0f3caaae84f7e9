"""Cards and endings: what Slack is told, by a local Slack that answers as Slack does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from slack_sdk.errors import SlackApiError

from bot.jobs.attempt import Attempt
from bot.jobs.models import Status
from bot.jobs.outbox import MessageKind
from bot.jobs.view import Question, Reason
from bot.slack.client import Trouble, client, error_name, retry_after, trouble_of
from dev.guard import ROOT
from dev.local_slack.client import LocalSlack
from tests.desk import CHANNEL, ES, Desk
from tests.tracking import ANA, BOB, CHUNK, LOST, PLAN, Ends, Jobs

MOVED = Question(Reason.MOVED, 150_500, 0, 500, 0)
MANIFEST = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
MANIFEST_SCOPES = MANIFEST["oauth_config"]["scopes"]["bot"]
COMMANDS = [entry["command"] for entry in MANIFEST["features"]["slash_commands"]]


@pytest.fixture
def desk(slack: LocalSlack, jobs: Jobs) -> Desk:
    return Desk(slack, jobs)


def test_the_whole_life_of_a_card(desk: Desk) -> None:
    claim = desk.running()
    [card] = desk.messages()
    assert card.pinned
    assert desk.jobs.see(claim.job_id).message_ts == card.ts
    claim.planned(PLAN)
    with desk.jobs.engine.begin() as connection:
        claim.record(connection, CHUNK)
    desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    assert ES.percent(5 / 8) in desk.messages()[0].plain
    Ends(claim).failed(LOST)
    desk.outbox_relay.deliver_due()
    [final] = desk.messages()
    assert (final.ts, final.pinned) == (card.ts, False)
    [reply] = desk.replies(card.ts)
    assert "<@U0ANA>" in reply.text
    link = desk.card_publisher.link(desk.jobs.see(claim.job_id))
    assert link is not None
    assert card.ts.replace(".", "") in link


@pytest.mark.parametrize("shared", [True, False])
def test_a_card_says_that_another_organisation_reads_its_channel(desk: Desk, shared: bool) -> None:
    desk.slack.add_channel("C0SHARED", "con-otros", ["U0ANA", "U0BOT"], is_ext_shared=shared)
    claim = desk.running("C0SHARED")
    words = ES("This channel is shared with another organisation, which reads this too.")
    [card] = [each for each in desk.slack.user("U0ANA").messages("C0SHARED") if each.metadata]
    assert (words in card.plain) is shared
    Ends(claim).failed(LOST)
    desk.outbox_relay.deliver_due()
    [card] = [each for each in desk.slack.user("U0ANA").messages("C0SHARED") if each.ts == card.ts]
    assert (words in card.plain) is shared
    assert len(desk.slack.calls("conversations.info")) == 1  # asked once for all its edits


def test_a_card_is_posted_where_slack_doesnt_say_who_reads_the_channel(desk: Desk) -> None:
    scopes = desk.slack.set_scopes([each for each in MANIFEST_SCOPES if not each.endswith(":read")])
    desk.running()
    desk.slack.set_scopes(scopes)
    [card] = desk.messages()
    assert ES("This channel is shared with another organisation, which reads this too.") not in card.plain


def test_a_card_that_says_the_same_is_not_edited(desk: Desk) -> None:
    claim = desk.running()
    for _ in range(3):
        desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    assert len(desk.slack.calls("chat.update")) == 1


def test_without_room_for_an_edit_there_is_none(desk: Desk) -> None:
    claim = desk.running()
    desk.edits_allowed = False
    desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    assert desk.slack.calls("chat.update") == []


def test_a_press_is_shown_even_where_progress_has_no_room(desk: Desk) -> None:
    claim = desk.running()
    desk.edits_allowed = False
    desk.jobs.control.pause(claim.job_id, BOB)
    desk.outbox_relay.deliver_due()
    assert ES("pausing") in desk.messages()[0].text
    assert len(desk.slack.calls("pins.add")) == 1


def test_the_end_of_an_attempt_that_was_retried_meanwhile_is_not_told_as_another_one(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.revoke_token()
    Ends(claim).failed(LOST)
    desk.outbox_relay.deliver_due()
    desk.jobs.control.retry(claim.job_id, BOB)
    desk.slack.restore_token()
    desk.deliver()
    [card] = desk.messages()
    assert ES("waiting") in card.text
    assert card.pinned
    assert desk.replies(card.ts) == []
    desk.jobs.control.cancel(claim.job_id, BOB)
    desk.deliver()
    [reply] = desk.replies(card.ts)
    assert "<@U0BOB>" in reply.plain


def asks_again(desk: Desk) -> Attempt:
    """A job whose worker has found other numbers than were shown; not told yet."""
    claim = desk.running()
    assert Ends(claim).ask(MOVED, None) is Status.PENDING
    return claim


def test_a_question_is_on_the_card_at_once_and_in_its_thread_for_who_has_to_answer(desk: Desk) -> None:
    claim = asks_again(desk)
    desk.outbox_relay.deliver_due()
    [card] = desk.messages()
    assert ES("waiting for confirmation") in card.text
    assert card.pinned
    [reply] = desk.replies(card.ts)
    assert reply.plain.startswith("❓ <@U0ANA>")
    desk.jobs.control.confirm(claim.job_id, ANA, MOVED.numbers)
    desk.outbox_relay.deliver_due()
    assert ES("waiting for confirmation") not in desk.messages()[0].text
    assert len(desk.replies(card.ts)) == 1


@pytest.mark.parametrize("trouble", [{"accept_then_drop": True}, {"status": 503}])
def test_a_question_whose_answer_was_lost_is_posted_once(desk: Desk, trouble: dict[str, Any]) -> None:
    asks_again(desk)
    desk.slack.fault("chat.postMessage", **trouble)
    for _ in range(3):
        desk.deliver()
    [card] = desk.messages()
    assert len(desk.replies(card.ts)) == 1


def test_a_question_that_was_answered_before_slack_took_it_is_not_posted(desk: Desk) -> None:
    claim = asks_again(desk)
    desk.slack.revoke_token()
    desk.outbox_relay.deliver_due()
    desk.jobs.control.confirm(claim.job_id, ANA, MOVED.numbers)
    desk.slack.restore_token()
    desk.deliver()
    [card] = desk.messages()
    assert ES("waiting for confirmation") not in card.text
    assert desk.replies(card.ts) == []


def test_after_a_429_progress_is_dropped_for_as_long_as_slack_asks(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.fault("chat.update", status=429, retry_after=30)
    desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    claim.planned(PLAN)
    desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    assert len(desk.slack.calls("chat.update")) == 1
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    assert ES("cancelled") in desk.messages()[0].text


@pytest.mark.parametrize("error", ["is_archived", "channel_not_found", "invalid_blocks"])
def test_progress_that_can_t_be_shown_is_not_tried_again_and_again(desk: Desk, error: str) -> None:
    claim = desk.running()
    desk.slack.fault("chat.update", error=error, times=None)
    for step in (claim.verifying, claim.renew):
        step()
        desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    # Blocks that a workspace doesn't take are tried without them, once.
    assert len(desk.slack.calls("chat.update")) == (2 if error == "invalid_blocks" else 1)


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500},
        {"accept_then_drop": True},
        {"status": 429, "retry_after": 1},
        {"error": "fatal_error"},
    ],
)
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update", "pins.add", "pins.remove"])
def test_a_call_whose_fate_is_unknown_is_made_up_for_once(
    desk: Desk, method: str, trouble: dict[str, Any]
) -> None:
    for step in ("card", "ending"):
        desk.slack.fault(method, **trouble)
        if step == "card":
            claim = desk.running()
        else:
            Ends(claim).cancelled()
            desk.outbox_relay.deliver_due()
        desk.deliver()
        desk.look_after_lost_calls()
        desk.slack.clear_faults()
        [card] = desk.messages()
        assert card.pinned == (step == "card")
    assert [ES("cancelled") in card.text, len(desk.replies(card.ts))] == [True, 1]
    assert not desk.jobs.is_pending(claim.job_id, MessageKind.ENDING)


def test_a_post_whose_answer_is_lost_in_a_channel_without_the_bot_is_there_once(desk: Desk) -> None:
    desk.slack.kick_bot(CHANNEL)
    desk.slack.fault("chat.postMessage", accept_then_drop=True)
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    desk.outbox_relay.deliver_due()
    desk.deliver()
    [card] = desk.messages()
    job = desk.jobs.see(claim.job_id)
    assert (job.channel_id, job.message_ts) == (CHANNEL, card.ts)


def test_a_deleted_card_is_posted_anew_and_pinned_by_the_next_progress(desk: Desk) -> None:
    claim = desk.running()
    [card] = desk.messages()
    desk.slack.delete_message(CHANNEL, card.ts)
    desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    desk.outbox_relay.deliver_due()
    [again] = desk.messages()
    assert again.ts != card.ts
    assert again.pinned
    assert desk.jobs.see(claim.job_id).message_ts == again.ts


def test_a_deleted_card_that_several_notice_at_once_is_posted_anew_once(desk: Desk) -> None:
    """Two tickers and two couriers, one of which has an update in hand."""
    desk.slack.rate_limits(False)
    other = Desk(desk.slack, desk.jobs)
    for number in range(1, 6):
        claim = desk.jobs.claimed(liquidation=number, channel_id=CHANNEL)
        desk.outbox_relay.deliver_due()
        seen = desk.jobs.see(claim.job_id)
        assert seen.message_ts is not None
        desk.slack.delete_message(CHANNEL, seen.message_ts)
        desk.jobs.control.pause(claim.job_id, BOB)
        with ThreadPoolExecutor(4) as pool:
            pool.map(lambda each, seen=seen: each.card_publisher.progress(seen), [desk, other])
            pool.map(lambda each: each.outbox_relay.deliver_due(), [desk, other])
        desk.outbox_relay.deliver_due()
        card = desk.messages()[-1]
        assert (card.ts, card.pinned) == (desk.jobs.see(claim.job_id).message_ts, True)
        assert len(desk.messages()) == number


def test_a_card_that_was_posted_when_the_bot_was_lost_is_found_again(desk: Desk) -> None:
    """The post arrived; whoever posted it died before it could write down where."""
    claim = desk.running()
    [card] = desk.messages()
    desk.jobs.run("UPDATE traspaso.copy_jobs SET message_ts = NULL")
    desk.jobs.run(
        "UPDATE traspaso.outbox SET done_at = NULL, begun = true, claimed_until = now() - interval '1 s'"
    )
    desk.deliver()
    assert [message.ts for message in desk.messages()] == [card.ts]
    assert desk.jobs.see(claim.job_id).message_ts == card.ts


@pytest.mark.parametrize("fate", ["archive", "kick_bot"])
def test_when_the_channel_is_lost_the_requester_is_told_in_person(desk: Desk, fate: str) -> None:
    channel = "C0SECRET"
    desk.slack.invite_bot(channel)
    claim = desk.running(channel)
    getattr(desk.slack, fate)(channel)
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    [card] = desk.messages("D0ANA")
    assert ES("cancelled") in card.text
    [reply] = desk.replies(card.ts, "D0ANA")
    assert "<@U0ANA>" in reply.text
    assert desk.jobs.see(claim.job_id).channel_id != channel


def test_while_the_token_is_revoked_messages_wait_in_their_order(desk: Desk) -> None:
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    desk.slack.revoke_token("account_inactive")
    for _ in range(5):
        desk.deliver()
    Ends(claim).cancelled()
    desk.slack.restore_token()
    desk.deliver()
    [card] = desk.messages()
    assert len(desk.replies(card.ts)) == 1
    assert not card.pinned


def test_a_workspace_that_does_not_know_a_block_reads_the_words(desk: Desk) -> None:
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    desk.slack.fault("chat.postMessage", error="invalid_blocks")
    desk.outbox_relay.deliver_due()
    [card] = desk.messages()
    assert "42" in card.text
    assert desk.jobs.see(claim.job_id).channel_id == CHANNEL


def test_two_couriers_at_once_post_each_message_once(slack: LocalSlack, jobs: Jobs) -> None:
    slack.rate_limits(False)
    desks = [Desk(slack, jobs), Desk(slack, jobs)]
    ids = [jobs.create(number, channel_id=CHANNEL) for number in range(1, 16)]
    for desk in desks:
        desk.outbox_relay.start()
    slack.wait_for(lambda: len(desks[0].messages()) >= len(ids))
    for desk in desks:
        desk.outbox_relay.stop()
    posted = [(message.metadata or {})["event_payload"]["job"] for message in desks[0].messages()]
    assert sorted(posted, key=int) == [str(job_id) for job_id in ids]
    assert len(slack.pins(CHANNEL)) == len(ids)


def test_what_slack_s_errors_mean(slack: LocalSlack) -> None:
    web = client(slack.bot_token, slack.api_url)
    for fault, trouble, seconds in [
        ({"status": 429, "retry_after": 7}, Trouble.LATER, 7.0),
        ({"status": 503}, Trouble.AMBIGUOUS, 1.0),
        ({"error": "message_not_found"}, Trouble.MESSAGE_GONE, 1.0),
        ({"error": "is_archived"}, Trouble.NOT_HERE, 1.0),
        ({"error": "too_many_pins"}, Trouble.NOT_HERE, 1.0),
        ({"error": "restricted_action_thread_locked"}, Trouble.NO_THREAD, 1.0),
        ({"error": "token_revoked"}, Trouble.LOCKED_OUT, 1.0),
        ({"error": "something_new"}, Trouble.NOT_HERE, 1.0),
    ]:
        slack.fault("chat.postMessage", **fault)  # type: ignore[arg-type]
        with pytest.raises(SlackApiError) as caught:
            web.chat_postMessage(channel=CHANNEL, text="x")
        assert (trouble_of(caught.value), retry_after(caught.value)) == (trouble, seconds)
        if "error" in fault:
            assert error_name(caught.value) == fault["error"]

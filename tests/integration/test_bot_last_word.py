"""Whatever Slack answers, for ever or too late: the requester reads one end, and it is the last word."""

from __future__ import annotations

import time

import pytest

from bot.jobs.models import ClaimLost
from bot.jobs.outbox import MessageKind
from dev.local_slack.client import LocalSlack
from dev.local_slack.documented_errors import COMMON_ERRORS, OWN_ERRORS
from tests.desk import CHANNEL, ES, Desk
from tests.tracking import ANA, PLAN, Ends, Jobs

METHODS = ("chat.postMessage", "chat.update", "pins.add", "pins.remove")
HERE = {"channel": CHANNEL}


def errors_of(method: str) -> list[str]:
    """All that Slack documents for the method, and one that it will think of next year."""
    return [*sorted({*OWN_ERRORS[method], *COMMON_ERRORS}), "an_error_of_next_year"]


@pytest.fixture
def desk(slack: LocalSlack, jobs: Jobs) -> Desk:
    """One whose patience with a channel is at its end at once."""
    slack.rate_limits(False)
    return Desk(slack, jobs, takeover_seconds=0.0)


@pytest.mark.parametrize(
    ("method", "of_what"),
    [
        ("chat.postMessage", "a card"),
        ("chat.postMessage", "a reply"),
        ("chat.update", "a card"),
        ("pins.add", "a card"),
        ("pins.remove", "a card"),
    ],
)
def test_whatever_a_channel_answers_for_ever_the_requester_reads_one_end(
    desk: Desk, method: str, of_what: str
) -> None:
    unread = {}
    for number, error in enumerate(errors_of(method), 1):
        if of_what == "a card":
            desk.slack.fault(method, error=error, times=None, match=HERE)
        claim = desk.jobs.claimed(liquidation=number, channel_id=CHANNEL)
        desk.outbox_relay.deliver_due()
        if of_what == "a reply":
            desk.slack.fault(method, error=error, times=None, match=HERE)
        Ends(claim).cancelled()
        desk.outbox_relay.deliver_due()
        desk.deliver()
        endings = [ending.text for ending in desk.endings(claim.job_id)]
        if len(endings) != 1 or desk.jobs.is_pending(claim.job_id, MessageKind.ENDING):
            unread[error] = endings
        desk.slack.clear_faults()
        desk.jobs.empty()
    assert unread == {}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("trouble", [{"status": 500}, {"status": 429}, {"accept_then_drop": True}], ids=str)
def test_a_channel_that_never_stops_stumbling_hides_no_end(
    desk: Desk, method: str, trouble: dict[str, int | bool]
) -> None:
    desk.slack.fault(method, times=None, match=HERE, **trouble)  # type: ignore[arg-type]
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    desk.outbox_relay.deliver_due()
    Ends(claim).cancelled()
    for _ in range(3):
        desk.jobs.run("UPDATE traspaso.outbox SET failing_since = failing_since - interval '121 s'")
        desk.deliver()
    assert len(desk.endings(claim.job_id)) == 1


def test_the_direct_message_takes_over_within_half_a_minute(slack: LocalSlack, jobs: Jobs) -> None:
    """Each of three channels refuses with another error, at the same time."""
    desk = Desk(slack, jobs)
    slack.rate_limits(False)
    claims = []
    for number, error in enumerate(("an_error_of_next_year", "fatal_error", "invalid_auth"), 1):
        channel = f"C0REFUSES{number}"
        slack.add_channel(channel, f"refuses-{number}", ["U0ANA", "U0BOT"])
        claims.append(desk.jobs.claimed(liquidation=number, channel_id=channel))
        assert desk.outbox_relay.deliver_due() == 1
        slack.fault("chat.postMessage", error=error, times=None, match={"channel": channel})
    began = time.monotonic()
    for claim in claims:
        Ends(claim).cancelled()
    desk.outbox_relay.start()
    slack.wait_for(lambda: all(desk.endings(claim.job_id) for claim in claims), timeout=30)
    desk.outbox_relay.stop()
    assert time.monotonic() - began < 30
    cards = desk.messages("D0ANA")
    assert len(cards) == len(claims)
    assert all(ES("cancelled") in card.text for card in cards)


def test_a_slack_that_was_away_as_a_whole_moves_no_card(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.fault("*", status=500, times=None)
    Ends(claim).cancelled()
    for _ in range(3):
        desk.deliver()
    desk.slack.clear_faults()
    desk.deliver()
    [card] = desk.messages()
    assert len(desk.replies(card.ts)) == 1
    assert desk.messages("D0ANA") == []


def test_a_channel_that_takes_no_threads_reads_the_end_beside_the_card(desk: Desk) -> None:
    claim = desk.running()
    [card] = desk.messages()
    desk.slack.fault(
        "chat.postMessage",
        error="restricted_action_thread_locked",
        times=None,
        match={"thread_ts": card.ts},
    )
    Ends(claim).cancelled()
    desk.deliver()
    assert [message.thread_ts for message in desk.endings(claim.job_id)] == [None]
    assert len(desk.messages()) == 2


@pytest.mark.parametrize("error", ["edit_window_closed", "cant_update_message", "msg_too_long"])
def test_where_the_card_can_t_be_edited_any_more_the_reply_and_the_pin_go_their_way(
    desk: Desk, error: str
) -> None:
    claim = desk.running()
    desk.slack.fault("chat.update", error=error, times=None)
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    [card] = desk.messages()
    assert not card.pinned
    assert len(desk.replies(card.ts)) == 1
    desk.deliver()
    assert len(desk.slack.calls("chat.update")) == 1  # what is refused for good isn't asked for again


@pytest.mark.parametrize("error", ["invalid_auth", "fatal_error", "no_permission"])
def test_a_pin_is_owed_until_slack_takes_it_off_and_holds_no_reply_back(desk: Desk, error: str) -> None:
    claim = desk.running()
    [card] = desk.messages()
    desk.slack.fault("pins.remove", error=error, times=3)
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    assert len(desk.replies(card.ts)) == 1
    assert desk.messages()[0].pinned
    for _ in range(4):
        desk.deliver()
    assert not desk.messages()[0].pinned


def test_the_reply_comes_before_the_pin_is_taken_off(desk: Desk) -> None:
    claim = desk.running()
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    [unpinned] = desk.slack.calls("pins.remove")
    reply = desk.slack.calls("chat.postMessage")[-1]
    assert reply.seq < unpinned.seq


def test_many_presses_and_one_stumble_delay_no_end(desk: Desk) -> None:
    claim = desk.running()
    for press in (desk.jobs.control.pause, desk.jobs.control.resume) * 4:
        press(claim.job_id, ANA)
    desk.slack.fault("chat.update", status=500)
    desk.outbox_relay.deliver_due()
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    [card] = desk.messages()
    assert len(desk.replies(card.ts)) == 1
    assert ES("cancelled") in card.text


@pytest.mark.parametrize("answer", [{"hang": True}, {"status": 500}], ids=str)
def test_a_progress_edit_that_slack_applies_after_the_end_is_mended_by_whoever_delivers(
    desk: Desk, slack: LocalSlack, jobs: Jobs, answer: dict[str, bool | int]
) -> None:
    """Its client gave up, and its process may be gone."""
    claim = desk.running()
    claim.planned(PLAN)
    slack.fault("chat.update", applied_after=1.5, **answer)  # type: ignore[arg-type]
    edits = Desk(slack, jobs, timeout_seconds=1)
    edits.card_publisher.progress(jobs.see(claim.job_id))
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    assert ES("cancelled") in desk.messages()[0].text
    slack.wait_for(lambda: ES("cancelled") not in desk.messages()[0].text)
    desk.look_after_lost_calls()
    assert ES("cancelled") in desk.messages()[0].text
    assert jobs.is_pending(claim.job_id, MessageKind.REFRESH)  # and looked after for a while


def test_a_progress_edit_is_not_sent_once_the_end_is_known(desk: Desk) -> None:
    claim = desk.running()
    seen = desk.jobs.see(claim.job_id)
    Ends(claim).cancelled()
    desk.card_publisher.progress(seen)
    assert desk.slack.calls("chat.update") == []


def test_a_progress_edit_that_was_under_way_while_somebody_pressed_is_followed_by_the_newest_state(
    desk: Desk,
) -> None:
    claim = desk.running()
    seen = desk.jobs.see(claim.job_id)
    edit = desk.jobs.cards.edit_begins(seen)
    assert edit is not None
    desk.jobs.control.pause(claim.job_id, ANA)
    desk.outbox_relay.deliver_due()
    edits = len(desk.slack.calls("chat.update"))
    desk.jobs.cards.edit_answered(edit)
    desk.outbox_relay.deliver_due()
    assert len(desk.slack.calls("chat.update")) == edits + 1


def test_an_edit_that_was_answered_leaves_nothing_to_do(desk: Desk) -> None:
    claim = desk.running()
    claim.planned(PLAN)
    desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    assert len(desk.slack.calls("chat.update")) == 1
    assert not desk.jobs.is_pending(claim.job_id, MessageKind.REFRESH)


def test_a_lost_edit_is_looked_after_though_a_later_one_was_answered(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.fault("chat.update", accept_then_drop=True)
    desk.card_publisher.progress(desk.jobs.see(claim.job_id))
    claim.planned(PLAN)
    Desk(desk.slack, desk.jobs).card_publisher.progress(desk.jobs.see(claim.job_id))
    assert len(desk.slack.calls("chat.update")) == 2
    assert desk.jobs.is_pending(claim.job_id, MessageKind.REFRESH)


def test_a_relay_that_was_frozen_before_its_post_says_nothing_more(slack: LocalSlack, jobs: Jobs) -> None:
    frozen, other = Desk(slack, jobs), Desk(slack, jobs)
    claim = frozen.running()
    Ends(claim).cancelled()
    due = jobs.outbox.take()
    assert due is not None
    jobs.run("UPDATE traspaso.outbox SET claimed_until = now() - interval '1 s' WHERE claimed_until > now()")
    other.outbox_relay.deliver_due()
    with pytest.raises(ClaimLost):
        frozen.outbox_relay.deliver(due)
    [card] = other.messages()
    assert len(other.replies(card.ts)) == 1


@pytest.mark.parametrize("lost", ["card", "ending"])
def test_a_post_that_arrives_after_it_was_made_again_is_taken_back(
    slack: LocalSlack, jobs: Jobs, lost: str
) -> None:
    desk = Desk(slack, jobs, timeout_seconds=1)
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    if lost == "ending":
        desk.outbox_relay.deliver_due()
        Ends(claim).cancelled()
    slack.fault("chat.postMessage", applied_after=1.5, hang=True)
    desk.outbox_relay.deliver_due()
    desk.deliver()

    def arrived() -> bool:
        cards = desk.messages()
        return len(cards) + len(desk.replies(cards[0].ts)) == (3 if lost == "ending" else 2)

    slack.wait_for(arrived)
    desk.look_after_lost_calls()
    [card] = desk.messages()
    assert jobs.see(claim.job_id).message_ts == card.ts
    assert len(desk.replies(card.ts)) == (1 if lost == "ending" else 0)


def test_a_card_that_slack_says_is_gone_comes_back_a_few_times_and_for_the_end(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.fault("chat.update", error="message_not_found", times=None)
    for step in range(10):
        desk.jobs.run("UPDATE traspaso.copy_jobs SET copied_records = :n", n=step)
        desk.card_publisher.progress(desk.jobs.see(claim.job_id))
        desk.outbox_relay.deliver_due()
    assert len(desk.messages()) <= 6
    Ends(claim).cancelled()
    desk.deliver()
    assert len(desk.endings(claim.job_id)) == 1


@pytest.mark.parametrize("with_whom", ["another person", "oneself"])
def test_what_is_asked_for_in_a_conversation_without_the_bot_is_told_in_person(
    desk: Desk, with_whom: str
) -> None:
    other = {"another person": "U0BOB", "oneself": "U0ANA"}[with_whom]
    channel = desk.slack.user("U0ANA").dm_with(other)
    claim = desk.jobs.claimed(channel_id=channel)
    desk.outbox_relay.deliver_due()
    [card] = desk.messages("D0ANA")
    assert card.pinned
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    assert len(desk.replies(card.ts, "D0ANA")) == 1

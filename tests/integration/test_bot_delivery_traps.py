"""What a hostile reading of the delivery found: each could have left somebody with two words, or none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bot.jobs.models import ClaimLost, CopyJob
from bot.jobs.outbox import MessageKind, announce
from bot.jobs.workers import UnbrokenBeats
from dev.local_slack.client import LocalSlack
from tests.desk import CHANNEL, ES, Desk
from tests.tracking import ANA, Ends, Jobs


@pytest.fixture
def desk(slack: LocalSlack, jobs: Jobs) -> Desk:
    slack.rate_limits(False)
    return Desk(slack, jobs, timeout_seconds=2)


def test_an_outage_that_ends_in_a_post_without_an_answer_leaves_one_reply(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.fault("chat.postMessage", error="invalid_auth")
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    desk.jobs.run("UPDATE traspaso.outbox SET failing_since = failing_since - interval '20 s'")
    desk.slack.fault("chat.postMessage", accept_then_drop=True)
    for _ in range(3):
        desk.deliver()
        desk.look_after_lost_calls()
    assert len(desk.endings(claim.job_id)) == 1


def test_a_look_for_what_may_have_arrived_keeps_the_claim(desk: Desk) -> None:
    claim = desk.running()
    desk.slack.fault("chat.postMessage", error="fatal_error")
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    held: list[int] = []

    def hold() -> None:
        held.append(len(desk.slack.calls()))
        if len(held) == 2:
            raise ClaimLost

    with pytest.raises(ClaimLost):
        desk.card_publisher.finish(desk.jobs.see(claim.job_id), hold, look_first=True)
    assert held[0] < held[1]  # asked before each call, and not before the post only
    assert len(desk.endings(claim.job_id)) == 0


def test_a_pin_that_was_taken_unheard_is_taken_off_though_slack_refused_the_next_one(desk: Desk) -> None:
    desk.slack.fault("pins.add", accept_then_drop=True)
    claim = desk.jobs.claimed(channel_id=CHANNEL)
    desk.outbox_relay.deliver_due()
    desk.slack.fault("pins.add", status=429, retry_after=5)
    desk.deliver()
    Ends(claim).cancelled()
    desk.deliver()
    [card] = desk.messages()
    assert not card.pinned


def test_a_clock_that_is_set_back_repeats_no_edit_without_end(desk: Desk) -> None:
    claim = desk.running()
    assert desk.jobs.cards.edit_begins(desk.jobs.see(claim.job_id))
    desk.jobs.run(
        "UPDATE traspaso.outbox SET announced_at = announced_at + interval '1 h', "
        "next_try_at = next_try_at + interval '1 h' WHERE kind = 'refresh'"
    )
    for _ in range(3):
        desk.outbox_relay.deliver_due()
    assert len(desk.slack.calls("chat.update")) == 1
    assert desk.jobs.is_pending(claim.job_id, MessageKind.REFRESH)


def test_a_clock_that_is_set_back_takes_no_job_from_its_living_worker(jobs: Jobs) -> None:
    worker_id, at = jobs.workers.begin("host", 7, "1", takes_jobs=True)
    jobs.executions.claim(jobs.create(), "host:7", worker_id)
    jobs.run("UPDATE traspaso.workers SET beat_at = clock_timestamp() + interval '30 s'")
    own = UnbrokenBeats(at - timedelta(hours=1), at + timedelta(seconds=30))
    assert jobs.sweep(own=own).lost == []


def test_a_press_and_a_word_for_all_at_the_same_moment_wait_for_each_other_in_order(jobs: Jobs) -> None:
    job_id = jobs.create(channel_id=CHANNEL)

    def told() -> None:
        with jobs.engine.begin() as connection:
            announce(connection, MessageKind.UPDATE, CopyJob.id == job_id)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            jobs.run("DELETE FROM traspaso.outbox")
            presses = [
                pool.submit(jobs.control.pause, job_id, ANA),
                pool.submit(jobs.control.resume, job_id, ANA),
            ]
            for each in [*presses, *(pool.submit(told) for _ in range(4))]:
                each.result()  # none was the victim of a deadlock


def test_what_the_release_before_holds_and_can_t_deliver_holds_no_ending_back(desk: Desk) -> None:
    claim = desk.running()
    assert desk.jobs.cards.edit_begins(desk.jobs.see(claim.job_id))
    desk.jobs.run("UPDATE traspaso.outbox SET claimed_until = now() + interval '90 s' WHERE kind = 'refresh'")
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    assert len(desk.endings(claim.job_id)) == 1


def test_what_the_release_before_may_have_posted_is_looked_for(desk: Desk) -> None:
    claim = desk.running()
    Ends(claim).cancelled()
    desk.card_publisher.finish(desk.jobs.see(claim.job_id), lambda: None, look_first=False)
    desk.jobs.run("UPDATE traspaso.outbox SET tries = 1, last_error = 'TimeoutError' WHERE kind = 'ending'")
    desk.outbox_relay.deliver_due()
    assert len(desk.endings(claim.job_id)) == 1


def test_what_is_announced_while_a_try_fails_is_due_at_once(jobs: Jobs) -> None:
    job_id = jobs.create(channel_id=CHANNEL)
    due = jobs.outbox.take()
    assert due is not None
    with jobs.engine.begin() as connection:
        announce(connection, MessageKind.CARD, CopyJob.id == job_id)
    jobs.outbox.later(due, 300.0, "fatal_error")
    again = jobs.outbox.take()
    assert again is not None
    assert (again.id, again.failures) == (due.id, 0)


def test_a_press_that_the_ending_doesn_t_show_is_told_by_itself(desk: Desk) -> None:
    """The end is tried again without another edit; what was announced meanwhile needs one of its own."""
    claim = desk.running()
    desk.slack.fault("chat.postMessage", error="fatal_error")
    Ends(claim).cancelled()
    desk.outbox_relay.deliver_due()
    with desk.jobs.engine.begin() as connection:
        announce(connection, MessageKind.UPDATE, CopyJob.id == claim.job_id)
    edits = len(desk.slack.calls("chat.update"))
    desk.deliver()
    assert len(desk.slack.calls("chat.update")) == edits + 1
    assert ES("cancelled") in desk.messages()[0].text

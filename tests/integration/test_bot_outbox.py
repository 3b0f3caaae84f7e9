"""Each message is owed by itself; of a job one is in a relay's hands, and only as long as it holds it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.jobs.models import ClaimLost
from bot.jobs.outbox import Due, MessageKind
from bot.jobs.view import JobView
from bot.slack.outbox_relay import OutboxRelay
from tests.tracking import ANA, Ends, Jobs


def take(jobs: Jobs) -> Due:
    due = jobs.outbox.take()
    assert due is not None
    return due


def let_the_claim_run_out(jobs: Jobs) -> None:
    jobs.run("UPDATE traspaso.outbox SET claimed_until = now() - interval '1 s' WHERE claimed_until > now()")


def make_all_due(jobs: Jobs) -> None:
    jobs.run("UPDATE traspaso.outbox SET next_try_at = now()")


def test_another_way_of_telling_people_is_a_class_with_one_method_fed_by_the_same_outbox(jobs: Jobs) -> None:
    sent: list[tuple[MessageKind, str]] = []

    class Mail:
        def deliver(self, due: Due, job: JobView) -> None:
            sent.append((due.kind, job.requester_id))
            jobs.outbox.done(due)

    relay = OutboxRelay(jobs.outbox, jobs.store, dict.fromkeys(MessageKind, Mail()))
    claim = jobs.claimed(channel_id="C0")
    Ends(claim).cancelled()
    requester = jobs.see(claim.job_id).requester_id
    assert relay.deliver_due() == len(sent)
    assert (MessageKind.ENDING, requester) in sent
    assert relay.deliver_due() == 0


def test_an_ending_overtakes_a_card_that_slack_doesn_t_take(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    card = take(jobs)
    assert card.kind is MessageKind.CARD
    jobs.outbox.later(card, 60.0, "ratelimited", unsure=False)
    assert jobs.outbox.take() is None
    Ends(claim).cancelled()
    assert take(jobs).kind is MessageKind.ENDING


def test_an_ending_goes_before_what_was_announced_earlier(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    jobs.control.pause(claim.job_id, ANA)
    Ends(claim).cancelled()
    assert jobs.tell_all() == [MessageKind.ENDING, MessageKind.CARD, MessageKind.UPDATE]


def test_one_message_of_a_job_is_in_hand_at_a_time(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    card = take(jobs)
    Ends(claim).cancelled()
    assert jobs.outbox.take() is None
    jobs.outbox.done(card)
    assert take(jobs).kind is MessageKind.ENDING


def test_what_a_delivered_ending_shows_is_told_by_it(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    jobs.control.pause(claim.job_id, ANA)
    Ends(claim).cancelled()
    ending = take(jobs)
    jobs.outbox.done(ending, shown=True)
    assert jobs.tell_all() == []


def test_what_was_announced_after_a_message_was_taken_is_told_by_the_next_one(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    jobs.control.pause(claim.job_id, ANA)
    card = take(jobs)
    jobs.control.resume(claim.job_id, ANA)
    jobs.outbox.done(card, shown=True)
    assert jobs.tell_all() == [MessageKind.UPDATE]


def test_many_presses_count_as_no_failure_of_slack(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    jobs.tell_all()
    for press in (jobs.control.pause, jobs.control.resume) * 5:
        press(claim.job_id, ANA)
    update = take(jobs)
    assert (update.failures, update.look_first) == (0, False)


def test_failures_are_counted_until_it_is_delivered_or_announced_anew(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    jobs.tell_all()
    jobs.control.pause(claim.job_id, ANA)
    for failures in range(3):
        update = take(jobs)
        assert update.failures == failures
        jobs.outbox.later(update, 0.0, "fatal_error")
    jobs.control.resume(claim.job_id, ANA)
    again = take(jobs)
    assert (again.failures, again.failing_seconds) == (0, 0.0)


@pytest.mark.parametrize("unsure", [True, False])
def test_only_after_a_try_whose_fate_is_unknown_one_looks_first(jobs: Jobs, unsure: bool) -> None:
    jobs.create(channel_id="C0")
    card = take(jobs)
    assert not card.look_first
    jobs.outbox.later(card, 0.0, "an error", unsure=unsure)
    assert take(jobs).look_first == unsure


def test_an_ending_looks_first_where_the_card_may_have_arrived(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    jobs.outbox.later(take(jobs), 60.0, "fatal_error")
    Ends(claim).cancelled()
    assert take(jobs).look_first


def test_a_relay_that_was_away_too_long_has_nothing_more_to_say(jobs: Jobs) -> None:
    jobs.create(channel_id="C0")
    first = take(jobs)
    let_the_claim_run_out(jobs)
    second = take(jobs)
    assert (second.id, second.look_first) == (first.id, True)
    for late in (
        lambda: jobs.outbox.hold(first),
        lambda: jobs.outbox.done(first),
        lambda: jobs.outbox.later(first, 0.0, "fatal_error"),
    ):
        with pytest.raises(ClaimLost):
            late()
    assert jobs.outbox.take() is None  # the second one still has it
    jobs.outbox.hold(second)
    jobs.outbox.done(second)
    assert jobs.tell_all() == []


def test_a_relay_that_was_away_and_that_nobody_replaced_goes_on(jobs: Jobs) -> None:
    jobs.create(channel_id="C0")
    due = take(jobs)
    let_the_claim_run_out(jobs)
    jobs.outbox.hold(due)
    assert jobs.outbox.take() is None
    jobs.outbox.done(due)


def test_what_a_relay_that_died_had_in_hand_is_due_in_seconds(jobs: Jobs) -> None:
    jobs.create(channel_id="C0")
    take(jobs)
    with jobs.engine.connect() as connection:
        left = connection.exec_driver_sql(
            "SELECT extract(epoch FROM claimed_until - now()) FROM traspaso.outbox"
        ).scalar_one()
    assert 10 < left <= 15  # longer than a call of Slack, which may take 10 s


def test_many_relays_at_once_take_each_message_once_and_one_of_each_job(jobs: Jobs) -> None:
    ids = [jobs.create(number, channel_id="C0") for number in range(1, 31)]
    for job_id in ids:
        jobs.control.cancel(job_id, ANA)

    def deliver(_: int) -> list[tuple[int, MessageKind]]:
        taken = []
        while due := jobs.outbox.take():
            taken.append((due.job_id, due.kind))
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [each for batch in pool.map(deliver, range(8)) for each in batch]
    assert sorted(taken) == [(job_id, MessageKind.ENDING) for job_id in ids]


def test_what_makes_up_for_a_lost_edit_is_done_again_until_slack_can_t_apply_it_any_more(jobs: Jobs) -> None:
    jobs.create(channel_id="C0")
    card = take(jobs)
    jobs.outbox.unsure(card, MessageKind.REFRESH)
    jobs.outbox.done(card)
    rounds = 0
    while jobs.is_pending(card.job_id, MessageKind.REFRESH):
        assert jobs.outbox.take() is None  # each in its time
        jobs.run(
            "UPDATE traspaso.outbox SET announced_at = announced_at - (next_try_at - now()), "
            "next_try_at = now() WHERE kind = 'refresh'"
        )
        refresh = take(jobs)
        jobs.outbox.again(refresh)
        rounds += 1
    assert rounds == 3
    assert jobs.outbox.take() is None


def test_who_waits_for_its_turn_has_failed_at_nothing(jobs: Jobs) -> None:
    jobs.create(channel_id="C0")
    jobs.outbox.wait(take(jobs), 0.0)
    again = take(jobs)
    assert (again.failures, again.failing_seconds, again.look_first) == (0, 0.0, False)


def test_however_long_slack_asks_to_wait_a_message_is_not_taken_again_at_once(jobs: Jobs) -> None:
    jobs.create(channel_id="C0")
    jobs.outbox.later(take(jobs), 86_400.0, "ratelimited")
    assert jobs.outbox.take() is None

"""Messages of a job are taken in order, each by one courier."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bot.jobs.outbox import Kind
from tests.tracking import Jobs


def test_a_job_s_messages_are_taken_in_order_each_after_the_one_before_is_delivered(
    jobs: Jobs,
) -> None:
    claim = jobs.claimed(channel_id="C0")
    jobs.lifecycle.cancelled(claim)
    card = jobs.outbox.take()
    assert card is not None
    assert (card.kind, card.tries) == (Kind.CARD, 0)
    assert jobs.outbox.take() is None
    jobs.outbox.later(card, 0.0, "ratelimited")
    again = jobs.outbox.take()
    assert again is not None
    assert (again.id, again.tries) == (card.id, 1)
    jobs.outbox.done(again)
    ending = jobs.outbox.take()
    assert ending is not None
    assert ending.kind is Kind.ENDING
    jobs.outbox.later(ending, 60.0, "ratelimited")
    assert jobs.outbox.take() is None


def test_many_couriers_at_once_take_each_message_once(jobs: Jobs) -> None:
    ids = [jobs.create(number, channel_id="C0") for number in range(1, 31)]

    def deliver(_: int) -> list[int]:
        taken = []
        while due := jobs.outbox.take():
            taken.append(due.job_id)
            jobs.outbox.done(due)
        return taken

    with ThreadPoolExecutor(8) as pool:
        delivered = [job_id for taken in pool.map(deliver, range(8)) for job_id in taken]
    assert sorted(delivered) == ids


def test_a_message_whose_courier_was_lost_is_taken_again_as_a_second_try(jobs: Jobs) -> None:
    jobs.create(channel_id="C0")
    assert jobs.outbox.take() is not None
    assert jobs.outbox.take() is None
    jobs.run("UPDATE traspaso.outbox SET claimed_until = now() - interval '1 s'")
    again = jobs.outbox.take()
    assert again is not None
    assert again.tries == 1

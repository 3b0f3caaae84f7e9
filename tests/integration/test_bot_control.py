"""What people do to jobs, as the database holds it: once, by whom, and only where it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from bot.errors import AlreadyRunning, Frozen, StaleAttempt, UnknownJob
from bot.jobs.actions import Became, Effect
from bot.jobs.attempt import Attempt
from bot.jobs.models import Status, StopReason
from bot.jobs.outbox import MessageKind
from bot.jobs.status import TRANSITIONS
from bot.jobs.view import JobView
from bot.messages.card import card, reply
from dev.local_slack.plain import plain
from tests.shown import EN
from tests.tracking import ANA, BOB, CHUNK, LOST, PLAN, PROOF, Ends, Jobs

PRESSES = ["pause", "resume", "cancel", "retry"]


def press(jobs: Jobs, name: str, job_id: int) -> Effect[JobView]:
    return getattr(jobs.control, name)(job_id, BOB)  # type: ignore[no-any-return]


def at_once(press: Callable[[], Effect[JobView]], times: int = 10) -> list[Became]:
    with ThreadPoolExecutor(times) as pool:
        return [effect.became for effect in pool.map(lambda _: press(), range(times))]


def pausing(jobs: Jobs, **values: Any) -> Attempt:
    claim = jobs.claimed(**values)
    press(jobs, "pause", claim.job_id)
    return claim


def who(jobs: Jobs, job_id: int) -> list[tuple[str, str | None]]:
    """The events, each with the name of who caused it."""
    with jobs.engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT e.kind, u.name FROM traspaso.copy_events e LEFT JOIN traspaso.users u "
                "ON u.id = e.user_id WHERE job_id = :id ORDER BY e.id"
            ),
            {"id": job_id},
        )
        return [(row.kind, row.name) for row in found]


# -------------------------------------------------------------------------------------- pause and resume


def test_a_running_job_is_asked_to_pause_and_its_worker_learns_it_with_the_next_chunk(jobs: Jobs) -> None:
    claim = jobs.claimed()
    claim.planned(PLAN)
    effect = press(jobs, "pause", claim.job_id)
    assert (effect.became, effect.after.stop_requested, effect.after.status) == (
        Became.REQUESTED,
        StopReason.PAUSE,
        Status.RUNNING,
    )
    heard = []
    with jobs.engine.begin() as connection:
        heard.append(claim.record(connection, CHUNK))
    assert [request and request.reason for request in heard] == [StopReason.PAUSE]
    asked = claim.renew()
    assert asked is not None
    assert asked.reason is StopReason.PAUSE
    assert Ends(claim).released() is Status.PAUSED
    job = jobs.see(claim.job_id)
    assert (job.status, job.stop_requested, job.copied) == (Status.PAUSED, None, CHUNK.rows)
    assert job.stopped_by is not None
    assert job.stopped_by.name == "Bob"
    assert who(jobs, job.id) == [
        ("requested", "Ana"),
        ("claimed", None),
        ("pause_requested", "Bob"),
        ("paused", "Bob"),
    ]
    assert jobs.executions.claim(job.id, "host:2") is None
    assert jobs.sweep().to_enqueue == []


def test_a_waiting_job_is_paused_at_once_and_resumed_at_once(jobs: Jobs) -> None:
    job_id = jobs.create()
    jobs.store.enqueued(job_id)
    assert press(jobs, "pause", job_id).after.status is Status.PAUSED
    assert jobs.executions.claim(job_id, "host:1") is None
    effect = press(jobs, "resume", job_id)
    assert (effect.became, effect.after.status, effect.to_enqueue) == (Became.DONE, Status.PENDING, (job_id,))
    assert jobs.sweep().to_enqueue == [job_id]
    assert jobs.executions.claim(job_id, "host:1") is not None


def test_a_pause_counts_neither_as_work_nor_as_a_broken_attempt(jobs: Jobs) -> None:
    claim = pausing(jobs)
    claim.planned(PLAN)
    assert Ends(claim).released() is Status.PAUSED
    jobs.run("UPDATE traspaso.copy_events SET created_at = created_at - interval '12 min'")
    jobs.run("UPDATE traspaso.copy_jobs SET started_at = started_at - interval '12 min'")
    press(jobs, "resume", claim.job_id)
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    again.planned(PLAN)
    with jobs.engine.begin() as connection:
        again.record(connection, CHUNK)
    Ends(again).completed(PROOF)
    job = jobs.see(claim.job_id)
    assert job.attempt == 2
    assert job.working is not None
    assert job.working.paused == pytest.approx(720, abs=5)
    assert job.working.worked < 5
    assert job.working.broken == 0
    said = plain(reply(job, EN).blocks)
    assert "after a pause of 12 min" in said
    assert "attempt" not in said
    assert "attempt" not in plain(card(job, EN).blocks)
    if job.rate is not None:
        assert job.rate == pytest.approx((job.total or 0) / (job.seconds or 1))


def test_a_job_that_is_about_to_pause_can_go_on_instead(jobs: Jobs) -> None:
    claim = pausing(jobs)
    assert press(jobs, "resume", claim.job_id).became is Became.DONE
    assert claim.renew() is None
    # The worker may have stopped for it already: then the job waits for a worker, and isn't paused.
    assert Ends(claim).released() is Status.PENDING


@pytest.mark.parametrize("name", ["pause", "cancel"])
def test_many_presses_at_once_on_a_running_job_are_one(jobs: Jobs, name: str) -> None:
    claim = jobs.claimed()
    answers = at_once(lambda: press(jobs, name, claim.job_id))
    assert sorted(answers) == sorted([Became.REQUESTED] + [Became.BEFORE] * 9)
    assert jobs.kinds(claim.job_id) == ["requested", "claimed", f"{name}_requested"]


@pytest.mark.parametrize("name", ["pause", "cancel"])
def test_many_presses_at_once_on_a_waiting_job_are_one(jobs: Jobs, name: str) -> None:
    job_id = jobs.create(channel_id="C0")
    answers = at_once(lambda: press(jobs, name, job_id))
    assert sorted(answers) == sorted([Became.DONE] + [Became.BEFORE] * 9)
    assert jobs.kinds(job_id) == ["requested", "paused" if name == "pause" else "cancelled"]


def test_a_press_and_a_claim_at_the_same_moment_leave_one_truth(jobs: Jobs) -> None:
    for liquidation in range(1, 21):
        job_id = jobs.create(liquidation)
        with ThreadPoolExecutor(2) as pool:
            claimed = pool.submit(jobs.executions.claim, job_id, "host:1")
            pressed = pool.submit(press, jobs, "pause", job_id)
        claim, job = claimed.result(), jobs.see(job_id)
        if claim is None:
            assert (pressed.result().became, job.status) == (Became.DONE, Status.PAUSED)
        else:
            assert (pressed.result().became, job.stop_requested) == (Became.REQUESTED, StopReason.PAUSE)
            assert Ends(claim).released() is Status.PAUSED


# -------------------------------------------------------------------------------------------------- cancel


def test_cancelling_beats_pausing_and_can_t_be_taken_back(jobs: Jobs) -> None:
    claim = pausing(jobs)
    assert press(jobs, "cancel", claim.job_id).became is Became.REQUESTED
    for name in ("pause", "resume"):
        assert press(jobs, name, claim.job_id).became is Became.NOT_NOW
    assert Ends(claim).released() is Status.CANCELLED
    assert jobs.see(claim.job_id).finished_at is not None


def test_a_paused_job_can_be_cancelled_and_its_end_is_told(jobs: Jobs) -> None:
    claim = pausing(jobs, channel_id="C0")
    Ends(claim).released()
    assert press(jobs, "cancel", claim.job_id).after.status is Status.CANCELLED
    assert jobs.is_pending(claim.job_id, MessageKind.ENDING)
    assert jobs.create() != claim.job_id  # the liquidation is free for another job


@pytest.mark.parametrize("name", ["pause", "cancel"])
def test_a_job_that_completes_while_it_is_being_stopped_has_completed(jobs: Jobs, name: str) -> None:
    claim = jobs.claimed()
    press(jobs, name, claim.job_id)
    Ends(claim).completed(PROOF)
    job = jobs.see(claim.job_id)
    assert (job.status, job.stop_requested) == (Status.COMPLETED, None)
    assert press(jobs, name, claim.job_id).became is Became.NOT_NOW


def test_a_press_at_the_very_end_is_before_it_or_after_it(jobs: Jobs) -> None:
    for liquidation in range(1, 21):
        claim = jobs.claimed(liquidation=liquidation)
        with ThreadPoolExecutor(2) as pool:
            ending = pool.submit(Ends(claim).completed, PROOF)
            pressed = pool.submit(press, jobs, "cancel", claim.job_id)
            ending.result()
        assert pressed.result().became in {Became.REQUESTED, Became.NOT_NOW}
        job = jobs.see(claim.job_id)
        assert (job.status, job.stop_requested) == (Status.COMPLETED, None)


@pytest.mark.parametrize(("name", "status"), [("pause", Status.PAUSED), ("cancel", Status.CANCELLED)])
def test_a_passing_error_doesn_t_make_a_job_forget_that_it_is_to_stop(
    jobs: Jobs, name: str, status: Status
) -> None:
    claim = jobs.claimed()
    press(jobs, name, claim.job_id)
    assert Ends(claim).retry_later(LOST, 1.0) is status
    assert jobs.see(claim.job_id).status is status


@pytest.mark.parametrize(("name", "status"), [("pause", Status.PAUSED), ("cancel", Status.CANCELLED)])
def test_what_a_lost_worker_was_asked_for_is_done_by_the_sweep(jobs: Jobs, name: str, status: Status) -> None:
    claim = jobs.claimed(channel_id="C0")
    press(jobs, name, claim.job_id)
    jobs.let_the_lease_run_out(claim.job_id)
    swept = jobs.sweep(max_attempts=1)
    assert (swept.lost, swept.to_enqueue, swept.given_up) == ([claim.job_id], [], [])
    assert jobs.see(claim.job_id).status is status
    assert jobs.kinds(claim.job_id)[-2:] == ["worker_lost", status.value]
    with pytest.raises(StaleAttempt):
        claim.renew()


# --------------------------------------------------------------------------------------------------- retry


def failed(jobs: Jobs, **values: Any) -> Attempt:
    claim = jobs.claimed(channel_id="C0", **values)
    Ends(claim).failed(LOST)
    return claim


def test_a_failed_job_is_tried_again_with_all_its_tries_and_a_pinned_card(jobs: Jobs) -> None:
    claim = failed(jobs)
    assert jobs.tell_all() == [MessageKind.ENDING, MessageKind.CARD]
    effect = press(jobs, "retry", claim.job_id)
    assert (effect.became, effect.to_enqueue) == (Became.DONE, (claim.job_id,))
    job = effect.after
    assert (job.status, job.error, job.error_message, job.finished_at) == (Status.PENDING, None, None, None)
    assert jobs.tell_all() == [MessageKind.CARD]
    again = jobs.executions.claim(job.id, "host:2")
    assert again is not None
    assert again.number == 2
    jobs.let_the_lease_run_out(job.id)
    assert jobs.sweep(max_attempts=2).given_up == []


def test_many_retries_at_once_are_one(jobs: Jobs) -> None:
    claim = failed(jobs)
    answers = at_once(lambda: press(jobs, "retry", claim.job_id))
    assert sorted(answers) == sorted([Became.DONE] + [Became.BEFORE] * 9)
    assert jobs.kinds(claim.job_id).count("retried") == 1


def test_a_failed_job_can_t_be_tried_again_beside_another_live_one(jobs: Jobs) -> None:
    claim = failed(jobs)
    other = jobs.create()
    with pytest.raises(AlreadyRunning) as caught:
        press(jobs, "retry", claim.job_id)
    assert caught.value.job_id == other
    assert jobs.see(claim.job_id).status is Status.FAILED
    assert "retried" not in jobs.kinds(claim.job_id)


def test_a_job_that_is_cancelled_before_its_retry_began_is_told_so(jobs: Jobs) -> None:
    claim = failed(jobs)
    jobs.tell_all()
    press(jobs, "retry", claim.job_id)
    press(jobs, "cancel", claim.job_id)
    assert jobs.see(claim.job_id).status is Status.CANCELLED
    assert MessageKind.ENDING in jobs.tell_all()


# ------------------------------------------------------------------------------------------ what doesn't fit


def jobs_in_every_state(jobs: Jobs) -> Iterable[int]:
    yield jobs.create(1)
    yield jobs.claimed(liquidation=2).job_id
    paused = jobs.create(3)
    press(jobs, "pause", paused)
    yield paused
    for liquidation, end in enumerate(("completed", "failed", "cancelled"), 4):
        claim = jobs.claimed(liquidation=liquidation)
        {
            "completed": lambda claim: Ends(claim).completed(PROOF),
            "failed": lambda claim: Ends(claim).failed(LOST),
            "cancelled": lambda claim: Ends(claim).cancelled(),
        }[end](claim)
        yield claim.job_id


@pytest.mark.parametrize("name", PRESSES)
def test_no_press_takes_a_job_where_the_transition_table_doesn_t(jobs: Jobs, name: str) -> None:
    for job_id in list(jobs_in_every_state(jobs)):
        before = jobs.see(job_id)
        kinds = jobs.kinds(job_id)
        effect = press(jobs, name, job_id)
        after = jobs.see(job_id)
        assert effect.after == after or effect.after.now <= after.now
        if effect.became in {Became.BEFORE, Became.NOT_NOW}:
            assert (after.status, after.stop_requested, jobs.kinds(job_id)) == (
                before.status,
                before.stop_requested,
                kinds,
            )
        elif after.status is not before.status:
            assert after.status in TRANSITIONS[before.status]


@pytest.mark.parametrize("name", PRESSES)
def test_a_job_that_doesn_t_exist_is_said_not_to(jobs: Jobs, name: str) -> None:
    with pytest.raises(UnknownJob, match="no job 987654321"):
        press(jobs, name, 987654321)


def test_a_press_that_comes_while_a_courier_has_the_last_one_in_hand_is_told_too(jobs: Jobs) -> None:
    claim = jobs.claimed(channel_id="C0")
    assert jobs.tell_all() == [MessageKind.CARD]
    press(jobs, "pause", claim.job_id)
    in_hand = jobs.outbox.take()
    assert in_hand is not None
    press(jobs, "resume", claim.job_id)
    assert jobs.outbox.take() is None  # one outbox relay at a time
    jobs.outbox.done(in_hand)
    assert jobs.tell_all() == [MessageKind.UPDATE]
    assert jobs.tell_all() == []


# ------------------------------------------------------------------------------------------------ the freeze


def test_a_freeze_refuses_new_jobs_and_says_who_and_why(jobs: Jobs) -> None:
    jobs.freezes.freeze(ANA, "  mantenimiento\nde consulta ")
    with pytest.raises(Frozen, match="Ana has frozen all copies: mantenimiento de consulta"):
        jobs.create()
    lifted = jobs.freezes.lift(BOB)
    assert lifted is not None
    assert lifted.freeze.by is not None
    assert lifted.freeze.by.name == "Ana"
    assert jobs.freezes.active() is None
    jobs.create()


def test_a_press_that_was_a_job_before_the_freeze_is_still_that_job(jobs: Jobs) -> None:
    job_id = jobs.create(key="press")
    jobs.freezes.freeze(ANA, None)
    assert jobs.store.create(jobs.request(key="press")) == (job_id, False)


def test_a_freeze_stops_claims_chunks_and_the_sweep_and_lifting_it_brings_all_back(jobs: Jobs) -> None:
    waiting, claim = jobs.create(1, channel_id="C0"), jobs.claimed(liquidation=2, channel_id="C0")
    jobs.store.enqueued(waiting)
    jobs.tell_all()
    jobs.freezes.freeze(ANA, "mantenimiento")
    assert jobs.tell_all() == [MessageKind.UPDATE, MessageKind.UPDATE]  # every card says so
    assert jobs.executions.claim(waiting, "host:2") is None
    heard = []
    with jobs.engine.begin() as connection:
        heard.append(claim.record(connection, CHUNK))
    assert [request and request.reason for request in heard] == [StopReason.FREEZE]
    assert Ends(claim).released(frozen=True) is Status.PENDING
    assert jobs.kinds(claim.job_id)[-1] == "frozen"
    swept = jobs.sweep(overdue_seconds=0, room=9)
    assert (swept.to_enqueue, swept.overdue) == ([], [])
    freeze = jobs.see(waiting).freeze
    assert freeze is not None
    assert freeze.by is not None
    assert (freeze.by.name, freeze.reason) == ("Ana", "mantenimiento")
    lifted = jobs.freezes.lift(ANA)
    assert lifted is not None
    assert lifted.waiting == [waiting, claim.job_id]
    # Where Redis is away when it is lifted, the sweep puts them on the queue.
    assert jobs.sweep().to_enqueue == [waiting, claim.job_id]
    assert jobs.executions.claim(waiting, "host:2") is not None


def test_of_many_freezes_at_once_one_counts_and_it_is_lifted_once(jobs: Jobs) -> None:
    people = [ANA, BOB] * 5
    with ThreadPoolExecutor(10) as pool:
        frozen = list(pool.map(lambda person: jobs.freezes.freeze(person, person.name), people))
    assert [is_new for _, is_new in frozen].count(True) == 1
    assert len({(freeze.by and freeze.by.id, freeze.reason) for freeze, _ in frozen}) == 1
    with ThreadPoolExecutor(10) as pool:
        lifted = list(pool.map(jobs.freezes.lift, people))
    assert len([each for each in lifted if each]) == 1


def test_a_job_can_be_paused_and_cancelled_while_all_is_frozen(jobs: Jobs) -> None:
    jobs_there = [jobs.create(1), jobs.create(2)]
    jobs.freezes.freeze(ANA, None)
    assert press(jobs, "pause", jobs_there[0]).after.status is Status.PAUSED
    assert press(jobs, "cancel", jobs_there[1]).after.status is Status.CANCELLED
    effect = press(jobs, "resume", jobs_there[0])
    assert (effect.after.status, effect.to_enqueue) == (Status.PENDING, ())

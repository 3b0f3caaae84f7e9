"""An attempt alone moves its job: claim, chunks, proof, end, retry; a worker that lost it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import text

from bot.errors import StaleAttempt
from bot.jobs.attempt import Attempt
from bot.jobs.models import Status, StopRequest
from bot.jobs.outbox import MessageKind
from bot.jobs.status import TRANSITIONS
from bot.work.background import LeaseRenewal
from tests.tracking import CHUNK, COMPARED, LOST, PLAN, PROOF, SAME, WRONG, Ends, Jobs


def test_twenty_workers_claim_a_job_once(jobs: Jobs) -> None:
    job_id = jobs.create()
    with ThreadPoolExecutor(20) as pool:
        claims = list(pool.map(lambda n: jobs.executions.claim(job_id, f"host:{n}"), range(20)))
    [claim] = [claim for claim in claims if claim]
    job = jobs.see(job_id)
    assert (job.status, job.attempt, job.worker) == (Status.RUNNING, 1, f"host:{claims.index(claim)}")
    assert job.lease_until is not None
    assert job.lease_until > job.now


def test_chunks_move_the_counters_and_leave_a_line_each(jobs: Jobs) -> None:
    claim = jobs.claimed()
    claim.planned(PLAN)
    for chunk in (CHUNK, SAME):
        with jobs.engine.begin() as connection:
            claim.record(connection, chunk)
    job = jobs.see(claim.job_id)
    assert (job.total, job.copied, job.moved) == (8, 8, 2)
    assert (job.inserted, job.updated, job.deleted, job.unchanged) == (2, 2, 1, 4)
    assert (job.chunks_done, job.bytes, job.fraction) == (2, 100, 1.0)
    with jobs.engine.connect() as connection:
        lines = connection.execute(text("SELECT * FROM traspaso.copy_chunks ORDER BY number")).all()
    assert [(line.lower_key, line.upper_key, line.outcome, line.records) for line in lines] == [
        (None, ["5"], "updated", 5),
        (["5"], None, "unchanged", 3),
    ]


def test_a_chunk_that_took_long_doesn_t_set_the_lease_back(jobs: Jobs) -> None:
    claim = jobs.claimed()
    with jobs.engine.begin() as connection:
        connection.execute(text("SELECT now()"))  # the chunk's transaction has begun
        claim.renew()
        renewed = jobs.see(claim.job_id).lease_until
        claim.record(connection, CHUNK)
    recorded = jobs.see(claim.job_id).lease_until
    assert renewed is not None
    assert recorded is not None
    assert recorded > renewed


def test_a_chunk_that_is_rolled_back_has_no_record(jobs: Jobs) -> None:
    claim = jobs.claimed()
    with pytest.raises(RuntimeError), jobs.engine.begin() as connection:
        claim.record(connection, CHUNK)
        raise RuntimeError
    assert jobs.see(claim.job_id).copied == 0


STEPS: dict[str, Callable[[Jobs, Attempt], object]] = {
    "renew": lambda jobs, claim: claim.renew(),
    "planned": lambda jobs, claim: claim.planned(PLAN),
    "verifying": lambda jobs, claim: claim.verifying(),
    "compared": lambda jobs, claim: claim.compared(COMPARED),
    "throttled": lambda jobs, claim: claim.throttled(12.5),
    "completed": lambda jobs, claim: Ends(claim).completed(PROOF),
    "failed": lambda jobs, claim: Ends(claim).failed(LOST),
    "cancelled": lambda jobs, claim: Ends(claim).cancelled(),
    "retry_later": lambda jobs, claim: Ends(claim).retry_later(LOST, 1.0),
    "released": lambda jobs, claim: Ends(claim).released(),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_lost_its_job_can_do_nothing_to_it(jobs: Jobs, step: str) -> None:
    stale = jobs.claimed(channel_id="C0")
    jobs.let_the_lease_run_out(stale.job_id)
    assert jobs.sweep().lost == [stale.job_id]
    for _ in ("pending", "taken over"):
        before, events = jobs.see(stale.job_id), jobs.kinds(stale.job_id)
        with pytest.raises(StaleAttempt):
            STEPS[step](jobs, stale)
        with pytest.raises(StaleAttempt), jobs.engine.begin() as connection:
            stale.record(connection, CHUNK)
        after = jobs.see(stale.job_id)
        assert (after.status, after.attempt, after.lease_until) == (
            before.status,
            before.attempt,
            before.lease_until,
        )
        assert jobs.kinds(stale.job_id) == events
        assert jobs.executions.claim(stale.job_id, "host:2") or before.status is Status.RUNNING
    assert not jobs.is_pending(stale.job_id, MessageKind.ENDING)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_goes_where_the_transition_table_lets_it(jobs: Jobs, step: str) -> None:
    claim = jobs.claimed()
    STEPS[step](jobs, claim)
    after = jobs.see(claim.job_id).status
    assert after is Status.RUNNING or after in TRANSITIONS[Status.RUNNING]
    if after is not Status.RUNNING:
        with pytest.raises(StaleAttempt):
            STEPS[step](jobs, claim)
    if not after.is_live:
        assert jobs.executions.claim(claim.job_id, "host:2") is None
        assert jobs.see(claim.job_id).finished_at is not None


def test_only_a_proof_that_holds_completes_a_job(jobs: Jobs) -> None:
    claim = jobs.claimed()
    with pytest.raises(ValueError, match="proof"):
        Ends(claim).completed(WRONG)
    assert jobs.see(claim.job_id).status is Status.RUNNING


def test_the_end_and_what_is_to_be_told_of_it_are_one_transaction(jobs: Jobs) -> None:
    for number, step in enumerate(("completed", "failed", "cancelled"), 1):
        told, shell = (
            jobs.claimed(liquidation=number, channel_id="C0"),
            jobs.claimed(liquidation=100 + number),
        )
        STEPS[step](jobs, told)
        STEPS[step](jobs, shell)
        assert jobs.is_pending(told.job_id, MessageKind.ENDING)
        assert not jobs.is_pending(shell.job_id, MessageKind.ENDING)


def test_a_failed_job_keeps_its_sentence_and_a_code(jobs: Jobs) -> None:
    claim = jobs.claimed()
    Ends(claim).failed(LOST)
    job = jobs.see(claim.job_id)
    assert job.error_message == LOST.sentence
    assert job.error == LOST
    assert job.error.as_json() == {"code": "connection", "side": "prod"}


def test_a_retry_waits_for_its_time_and_starts_counting_anew(jobs: Jobs) -> None:
    claim = jobs.claimed()
    with jobs.engine.begin() as connection:
        claim.record(connection, CHUNK)
    Ends(claim).retry_later(LOST, 30.0)
    assert jobs.executions.claim(claim.job_id, "host:2") is None
    assert jobs.sweep().to_enqueue == []
    jobs.run("UPDATE traspaso.copy_jobs SET run_after = now()")
    assert jobs.sweep().to_enqueue == [claim.job_id]
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    job = jobs.see(claim.job_id)
    assert (again.number, job.copied, job.failures, job.total) == (2, 0, 1, None)


def test_only_new_ground_ends_a_row_of_failures(jobs: Jobs) -> None:
    claim = jobs.claimed()
    Ends(claim).retry_later(LOST, 0.0)
    again = jobs.executions.claim(claim.job_id, "host:1")
    assert again is not None
    for chunk, failures in ((SAME, 1), (CHUNK, 0)):
        with jobs.engine.begin() as connection:
            again.record(connection, chunk)
        assert again.failures() == failures
    assert jobs.see(claim.job_id).error is None


def test_a_released_job_is_for_another_worker_at_once(jobs: Jobs) -> None:
    claim = jobs.claimed()
    jobs.store.enqueued(claim.job_id)
    Ends(claim).released()
    assert jobs.sweep().to_enqueue == [claim.job_id]
    again = jobs.executions.claim(claim.job_id, "host:2")
    assert again is not None
    assert again.number == 2


def test_a_heartbeat_that_stumbles_over_anything_goes_on(jobs: Jobs) -> None:
    claim = jobs.claimed()
    beats = Event()
    times: list[StopRequest | None] = []

    def heard(request: StopRequest | None) -> None:
        times.append(request)
        if len(times) > 1:
            beats.set()
        raise RuntimeError("nobody foresaw this")

    with LeaseRenewal(claim, heard, every_seconds=0.05):
        assert beats.wait(10)


def test_a_lease_that_a_step_has_just_renewed_is_not_renewed_once_more(jobs: Jobs) -> None:
    claim = jobs.claimed()
    heard: list[StopRequest | None] = []
    long, none = 60.0, 0.0
    LeaseRenewal(claim, heard.append, every_seconds=long).call()
    assert heard == []
    LeaseRenewal(claim, heard.append, every_seconds=none).call()
    assert heard == [None]


def test_a_lease_is_renewed_as_soon_as_no_step_was_for_long_enough(jobs: Jobs) -> None:
    claim = jobs.claimed()
    heard = Event()
    with LeaseRenewal(claim, lambda request: heard.set(), every_seconds=0.2):
        assert heard.wait(10)
    assert claim.quiet_seconds < 10

"""The sweep takes over from lost workers, once, and queues what waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bot.jobs.outbox import Kind
from bot.jobs.statuses import Status
from tests.tracking import Jobs


def test_a_lively_worker_keeps_its_job_and_a_silent_one_loses_it(jobs: Jobs) -> None:
    lively, silent = jobs.claimed(liquidation=1), jobs.claimed(liquidation=2)
    for claim in (lively, silent):
        jobs.let_the_lease_run_out(claim.job_id)
    jobs.lifecycle.renew(lively)
    swept = jobs.sweep()
    assert (swept.lost, swept.to_enqueue, swept.given_up) == ([silent.job_id], [silent.job_id], [])
    assert jobs.see(lively.job_id).status is Status.RUNNING
    assert jobs.kinds(silent.job_id) == ["requested", "claimed", "worker_lost"]


def test_twenty_sweeps_at_once_take_a_lost_job_once(jobs: Jobs) -> None:
    claim = jobs.claimed()
    jobs.let_the_lease_run_out(claim.job_id)
    with ThreadPoolExecutor(20) as pool:
        swept = list(pool.map(lambda _: jobs.sweep(), range(20)))
    assert [each.lost for each in swept if each.lost] == [[claim.job_id]]
    assert jobs.kinds(claim.job_id).count("worker_lost") == 1


def test_a_job_that_loses_all_its_workers_is_given_up_and_told(jobs: Jobs) -> None:
    job_id = jobs.create(channel_id="C0")
    for attempt in (1, 2):
        claim = jobs.lifecycle.claim(job_id, f"host:{attempt}")
        assert claim is not None
        jobs.let_the_lease_run_out(job_id)
        swept = jobs.sweep(max_attempts=2)
        assert (swept.given_up, swept.lost) == (([], [job_id]) if attempt == 1 else ([job_id], []))
    job = jobs.see(job_id)
    assert (job.status, job.error) == (Status.FAILED, {"code": "workers_lost"})
    assert job.error_message
    assert jobs.is_pending(job_id, Kind.ENDING)
    assert jobs.kinds(job_id)[-1] == "failed"


def test_a_waiting_job_is_put_on_the_queue_when_it_never_was_or_long_ago(jobs: Jobs) -> None:
    job_id = jobs.create()
    assert jobs.sweep().to_enqueue == [job_id]
    jobs.store.enqueued(job_id)
    assert jobs.sweep().to_enqueue == []
    jobs.run("UPDATE traspaso.copy_jobs SET enqueued_at = now() - interval '61 s'")
    assert jobs.sweep().to_enqueue == [job_id]

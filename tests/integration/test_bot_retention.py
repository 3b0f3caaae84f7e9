"""Old rows go by themselves, a little at a time; a job stays, and what is shown of it stays true."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.i18n import translator
from bot.jobs.actions import Approvals
from bot.jobs.models import RunKind, Status
from bot.jobs.repository import RunRequest
from bot.jobs.retention import EVERY, Pruned, Pruning, Retention
from bot.messages.card import card
from bot.messages.status import details
from bot.work.background import Pruner
from tests.support import until
from tests.tracking import ANA, BOB, CHUNK, PLAN, PROOF, SAME, Ends, Jobs

KEEP = Retention()


def pruning(jobs: Jobs, **days: int) -> Pruning:
    return Pruning(jobs.engine, replace(KEEP, **days))


def ended(jobs: Jobs, liquidation: int = 42, *, days: int, **values: object) -> int:
    """A completed and told job, with a pause in its middle, that ended so many days ago."""
    attempt = jobs.claimed(liquidation=liquidation, channel_id="C0X", **values)
    job_id = attempt.job_id
    jobs.control.pause(job_id, BOB)
    Ends(attempt).released()
    jobs.control.resume(job_id, BOB)
    again = jobs.executions.claim(job_id, "host:1")
    assert again is not None
    again.planned(PLAN)
    for chunk in (CHUNK, SAME):
        with again.transaction() as connection:
            again.record(connection, chunk)
    again.verifying()
    Ends(again).completed(PROOF)
    jobs.tell_all()
    let_pass(jobs, job_id, days)
    return job_id


def let_pass(jobs: Jobs, job_id: int, days: int) -> None:
    """So many days go by for the job and all that belongs to it."""
    moments = {
        "copy_jobs": (
            "created_at",
            "started_at",
            "claimed_at",
            "copying_since",
            "verifying_since",
            "finished_at",
        ),
        "copy_chunks": ("created_at",),
        "copy_events": ("created_at",),
        "outbox": ("created_at", "announced_at", "done_at"),
    }
    for table, columns in moments.items():
        key = "id" if table == "copy_jobs" else "job_id"
        set_ = ", ".join(f"{column} = {column} - make_interval(days => :days)" for column in columns)
        jobs.run(f"UPDATE traspaso.{table} SET {set_} WHERE {key} = :id", id=job_id, days=days)


def rows(jobs: Jobs, table: str) -> int:
    with jobs.engine.connect() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM traspaso.{table}")) or 0


def test_what_is_kept_no_longer_goes_and_what_is_younger_stays(jobs: Jobs) -> None:
    old, young = ended(jobs, 41, days=91), ended(jobs, 42, days=29)
    would_go = pruning(jobs).count()
    assert pruning(jobs).run() == would_go == Pruned(ledger=2, outbox=would_go.outbox)
    assert would_go.outbox > 0
    assert (jobs.store.chunks(old), len(jobs.store.chunks(young))) == ([], 2)
    assert jobs.store.events(old)
    assert not pruning(jobs).run()


def test_a_dry_run_deletes_nothing(jobs: Jobs) -> None:
    ended(jobs, days=1000)
    before = [rows(jobs, table) for table in ("copy_chunks", "copy_events", "outbox", "copy_jobs")]
    assert pruning(jobs, jobs_days=1).count().jobs == 1
    assert [rows(jobs, table) for table in ("copy_chunks", "copy_events", "outbox", "copy_jobs")] == before


@pytest.mark.parametrize("status", [status for status in Status if status.is_live])
def test_nothing_of_a_job_that_is_live_goes_however_old_it_is(jobs: Jobs, status: Status) -> None:
    job_id = ended(jobs, days=1000)
    jobs.run("UPDATE traspaso.copy_jobs SET status = :status, finished_at = NULL", status=status.value)
    assert not pruning(jobs, jobs_days=1).run()
    assert len(jobs.store.chunks(job_id)) == 2


def test_cards_and_lists_say_the_same_of_a_job_whose_events_are_kept_no_longer(jobs: Jobs) -> None:
    job_id = ended(jobs, days=500)
    t = translator("es")
    before = jobs.see(job_id)
    shown = card(before, t).blocks
    assert before.working is not None
    assert pruning(jobs).run().events > 0
    after = jobs.see(job_id)
    assert jobs.store.events(job_id) == []
    assert (after.working, after.seconds) == (before.working, before.seconds)
    assert card(after, t).blocks == shown


def test_a_rejection_s_reason_and_a_moved_card_are_still_told_without_their_events(jobs: Jobs) -> None:
    job_id = jobs.create(approvers=("<!subteam^S0ADMINS>",), channel_id="C0X")
    jobs.cards.posted(job_id, "C0X", "1.000100")
    Approvals(jobs.engine).reject(job_id, BOB, "month-end")
    jobs.cards.moved(jobs.see(job_id), "D0ANA", "is_archived")
    let_pass(jobs, job_id, 500)
    before = jobs.see(job_id)
    assert pruning(jobs).run().events > 0
    after = jobs.see(job_id)
    assert after.rejection_reason == before.rejection_reason == "month-end"
    assert after.moved_from == before.moved_from is not None
    assert after.approvers == before.approvers == ("<!subteam^S0ADMINS>",)


def test_a_job_tried_again_after_its_events_went_counts_the_work_of_all_its_attempts(
    jobs: Jobs,
) -> None:
    job_id = ended(jobs, days=500)
    jobs.run("UPDATE traspaso.copy_jobs SET status = 'failed'")
    before = jobs.see(job_id).working
    pruning(jobs).run()
    assert jobs.control.retry(job_id, ANA).became
    again = jobs.executions.claim(job_id, "host:2")
    assert again is not None
    again.planned(PLAN)
    Ends(again).completed(PROOF)
    working = jobs.see(job_id).working
    assert before is not None
    assert working is not None
    assert working.worked > before.worked
    let_pass(jobs, job_id, 500)
    pruning(jobs).run()
    assert jobs.see(job_id).working is not None
    assert abs(jobs.see(job_id).working.worked - working.worked) < 0.001  # type: ignore[union-attr]


def test_the_details_of_an_old_job_say_what_is_kept_no_longer(jobs: Jobs) -> None:
    job_id = ended(jobs, days=500)
    t = translator("en")

    def told() -> str:
        return str(details(jobs.see(job_id), jobs.store.timeline(job_id), t))

    assert "No longer kept." not in told()
    pruning(jobs, events_days=10_000).run()
    assert told().count("No longer kept.") == 1
    pruning(jobs).run()
    assert told().count("No longer kept.") == 2
    jobs.run("UPDATE traspaso.copy_jobs SET status = 'failed'")
    jobs.control.retry(job_id, ANA)
    assert "What was before that is no longer kept." in told()


def test_jobs_go_only_where_somebody_set_for_how_long_they_stay(jobs: Jobs) -> None:
    old = ended(jobs, 41, days=5000)
    young = ended(jobs, 42, days=100)
    pruning(jobs).run()
    assert rows(jobs, "copy_jobs") == 2
    assert pruning(jobs, jobs_days=3650).run().jobs == 1
    assert jobs.store.job(old) is None
    assert jobs.see(young).status is Status.COMPLETED


def test_a_run_goes_with_all_of_its_jobs_and_only_when_the_whole_of_it_ended_long_ago(jobs: Jobs) -> None:
    def run_of(*days: int) -> tuple[int, tuple[int, ...]]:
        requests = tuple(jobs.request(number) for number in range(1, len(days) + 1))
        created = jobs.store.create_run(RunRequest(RunKind.SEVERAL, requests, ANA))
        for job_id, ago in zip(created.job_ids, days, strict=True):
            jobs.control.cancel(job_id, ANA)
            let_pass(jobs, job_id, ago)
        jobs.run(
            "UPDATE traspaso.copy_runs SET ended_at = now() - make_interval(days => :d) WHERE id = :id",
            d=min(days),
            id=created.run_id,
        )
        return created.run_id or 0, created.job_ids

    old, _ = run_of(40, 50)
    half, kept = run_of(40, 5)
    held, _ = run_of(40, 40)
    one_of_it = "SELECT FROM traspaso.copy_jobs WHERE run_id = :id LIMIT 1 FOR UPDATE"
    with jobs.engine.begin() as connection:
        connection.execute(text(one_of_it), {"id": held})
        assert pruning(jobs, jobs_days=30).count().jobs == 4
        assert pruning(jobs, jobs_days=30).run().jobs == 2
    assert jobs.store.run(old) is None
    assert rows(jobs, "copy_runs") == 2
    assert [job.id for job in jobs.store.runs([half])[half].jobs] == list(kept)
    assert len(jobs.store.runs([held])[held].jobs) == 2
    assert pruning(jobs, jobs_days=30).run().jobs == 2
    assert set(jobs.store.runs([old, half, held])) == {half}


def test_one_process_of_all_prunes_once_an_hour(jobs: Jobs) -> None:
    jobs.run("UPDATE traspaso.installation SET pruned_at = NULL")
    turns = []
    begin = threading.Barrier(4)

    def look() -> None:
        begin.wait(30)
        turns.append(pruning(jobs).takes_turn())

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(turns) == [False, False, False, True]
    jobs.run(
        "UPDATE traspaso.installation SET pruned_at = pruned_at - make_interval(secs => :seconds)",
        seconds=(EVERY + timedelta(seconds=1)).total_seconds(),
    )
    assert pruning(jobs).takes_turn()
    jobs.run(
        "UPDATE traspaso.installation SET pruned_at = now() + interval '1 day'"
    )  # the clock was set back
    assert pruning(jobs).takes_turn()


def test_several_that_prune_at_once_don_t_wait_for_each_other_nor_for_somebody_who_holds_a_job(
    jobs: Jobs,
) -> None:
    held, free = ended(jobs, 41, days=100), ended(jobs, 42, days=100)
    with jobs.engine.begin() as somebody:
        somebody.execute(text("SELECT FROM traspaso.copy_jobs WHERE id = :id FOR UPDATE"), {"id": held})
        assert pruning(jobs).run().ledger == 2
        assert jobs.store.chunks(free) == []
    assert len(jobs.store.chunks(held)) == 2
    assert pruning(jobs).run().ledger == 2


def test_a_worker_prunes_by_itself_and_stops_between_two_transactions(jobs: Jobs) -> None:
    for liquidation in range(1, 4):
        ended(jobs, liquidation, days=100)
    jobs.run("UPDATE traspaso.installation SET pruned_at = NULL")
    asked = []

    def once() -> bool:
        asked.append(rows(jobs, "copy_chunks"))
        return len(asked) == 1

    assert pruning(jobs).run(once).ledger == 2
    assert rows(jobs, "copy_chunks") == 4
    pruner = Pruner(pruning(jobs), every_seconds=0.01)
    pruner.start()
    until(lambda: not rows(jobs, "copy_chunks"), what="the end of the old rows")
    pruner.stop()

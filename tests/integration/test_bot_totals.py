"""What jobs have done together is exact, stays when they are deleted, and is told without a look at each."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import postgresql

import migrations
from bot.jobs import totals
from bot.jobs.failure import Failure
from bot.jobs.models import Status, StopReason
from bot.jobs.retention import Pruning, Retention
from bot.jobs.totals import CHUNK_LABELS
from bot.monitoring import queries
from tests.support import Database
from tests.tracking import ANA, CHUNK, LOST, PLAN, PROOF, SAME, Ends, Jobs

Sums = Counter[tuple[str, str]]

#: Of CHUNK and SAME together, both of 0.1 s.
BOTH: Sums = Counter(
    {
        ("rows", "inserted"): 2,
        ("rows", "updated"): 2,
        ("rows", "deleted"): 1,
        ("rows", "unchanged"): 4,
        ("bytes", ""): 100,
        ("chunks", "0.25"): 2,
    }
)
REFUSED = Failure("unique", "consulta refuses a row", side="consulta", sqlstate="23505")


@pytest.fixture(autouse=True)
def nothing_before(jobs: Jobs) -> None:
    jobs.run("TRUNCATE traspaso.totals")


def told(jobs: Jobs) -> Sums:
    """What a scrape tells now, but for the seconds of chunks."""
    with jobs.engine.begin() as connection:
        found = queries.installation(connection).sums
    assert {each.copy_name for each in found} <= {"items"}
    sums = Counter({(each.name, each.label): round(each.value) for each in found if each.value})
    del sums["chunk_seconds", ""]
    return sums


def ended_as(status: str, times: int = 1) -> Sums:
    """Of jobs that belong to no run: each counts among the jobs, and among what was asked for at once."""
    return Counter({("ended", status): times, ("runs", f"single {status}"): times})


def copying(jobs: Jobs, liquidation: int = 42, job_id: int | None = None):  # type: ignore[no-untyped-def]
    """An attempt that has put both chunks in place."""
    job_id = job_id or jobs.create(liquidation)
    attempt = jobs.executions.claim(job_id, "host:1")
    assert attempt is not None
    attempt.planned(PLAN)
    for chunk in (CHUNK, SAME):
        with attempt.transaction() as connection:
            attempt.record(connection, chunk)
    return attempt


def test_a_running_job_counts_as_it_goes_and_once_when_it_has_ended(jobs: Jobs) -> None:
    attempt = copying(jobs)
    assert told(jobs) == BOTH
    Ends(attempt).completed(PROOF)
    assert told(jobs) == BOTH + ended_as("completed")


def test_each_attempt_of_a_job_counts_whatever_ended_it(jobs: Jobs) -> None:
    first = copying(jobs)
    Ends(first).released()
    second = copying(jobs, job_id=first.job_id)
    Ends(second).retry_later(LOST, 0.0)
    third = copying(jobs, job_id=first.job_id)
    jobs.let_the_lease_run_out(third.job_id)
    jobs.sweep()
    Ends(copying(jobs, job_id=first.job_id)).failed(REFUSED)
    expected = Counter({name: 4 * value for name, value in BOTH.items()})
    expected |= Counter(
        {
            ("retries", "connection"): 1,
            ("takeovers", ""): 1,
            ("failures", "unique"): 1,
        }
    )
    assert told(jobs) == expected + ended_as("failed")


@pytest.mark.parametrize("reason", [StopReason.PAUSE, StopReason.CANCEL])
def test_what_a_job_did_before_it_was_stopped_counts_once(jobs: Jobs, reason: StopReason) -> None:
    running = copying(jobs, 1)
    jobs.run(
        "UPDATE traspaso.copy_jobs SET stop_requested = :reason WHERE id = :id",
        reason=reason.value,
        id=running.job_id,
    )
    Ends(running).released()
    assert jobs.see(running.job_id).status in {Status.PAUSED, Status.CANCELLED}
    ended = ended_as("cancelled") if reason is StopReason.CANCEL else Counter()
    assert told(jobs) == BOTH + ended
    waits = copying(jobs, 2)
    Ends(waits).released()
    stop = jobs.control.cancel if reason is StopReason.CANCEL else jobs.control.pause
    stop(waits.job_id, ANA)
    assert told(jobs) == BOTH + BOTH + ended + ended


def test_a_job_that_kills_its_workers_counts_as_taken_over_and_failed(jobs: Jobs) -> None:
    attempt = copying(jobs)
    jobs.let_the_lease_run_out(attempt.job_id)
    assert jobs.sweep(max_attempts=1).given_up == [attempt.job_id]
    more = Counter({("takeovers", ""): 1, ("failures", "workers_lost"): 1})
    assert told(jobs) == BOTH + more + ended_as("failed")


def test_a_step_that_is_stale_counts_nothing(jobs: Jobs) -> None:
    attempt = copying(jobs)
    jobs.let_the_lease_run_out(attempt.job_id)
    jobs.sweep()
    before = told(jobs)
    with pytest.raises(Exception, match="attempt"):
        Ends(attempt).completed(PROOF)
    assert told(jobs) == before


def test_deleting_jobs_and_folding_lines_changes_no_total(jobs: Jobs) -> None:
    for liquidation in range(1, 6):
        Ends(copying(jobs, liquidation)).completed(PROOF)
    running = copying(jobs, 6)
    before = told(jobs)
    jobs.run("DELETE FROM traspaso.copy_jobs WHERE status = 'completed'")
    with jobs.engine.begin() as connection:
        last = {
            each.at
            for each in queries.installation(connection).sums
            if (each.name, each.label) == ("ended", "completed")
        }
    Pruning(jobs.engine, Retention()).run()
    with jobs.engine.begin() as connection:
        house = queries.installation(connection)
        lines = connection.scalar(text("SELECT count(*) FROM traspaso.totals"))
    assert told(jobs) == before
    assert (
        lines == len(BOTH) + 3
    )  # and the seconds of the chunks, and the ends, of jobs and of what was asked
    assert {each.at for each in house.sums if (each.name, each.label) == ("ended", "completed")} == last
    Ends(running).completed(PROOF)
    assert told(jobs) == before + ended_as("completed")


def test_jobs_that_end_while_lines_are_folded_are_all_counted(jobs: Jobs) -> None:
    attempts = [copying(jobs, liquidation) for liquidation in range(1, 13)]

    def fold(_: int) -> None:
        with jobs.engine.begin() as connection:
            totals.fold(connection)

    with ThreadPoolExecutor(8) as pool:
        folded = pool.map(fold, range(20))
        ended = pool.map(lambda attempt: Ends(attempt).completed(PROOF), attempts)
        list(folded), list(ended)
    expected = Counter({name: 12 * value for name, value in BOTH.items()})
    assert told(jobs) == expected + ended_as("completed", 12)


def test_chunks_fall_into_the_bucket_that_holds_their_seconds(jobs: Jobs) -> None:
    Ends(copying(jobs)).completed(PROOF)
    jobs.run("TRUNCATE traspaso.totals")
    attempt = copying(jobs, 43)
    for number, seconds in ((1, 0.05), (2, 3600.0)):
        jobs.run(
            "UPDATE traspaso.copy_chunks SET seconds = :s WHERE job_id = :id AND number = :n",
            s=seconds,
            id=attempt.job_id,
            n=number,
        )
    chunks = {label: value for (name, label), value in told(jobs).items() if name == "chunks"}
    assert chunks == {CHUNK_LABELS[0]: 1, CHUNK_LABELS[-1]: 1}
    Ends(attempt).completed(PROOF)
    assert {label: value for (name, label), value in told(jobs).items() if name == "chunks"} == chunks


def test_what_jobs_did_before_there_were_totals_is_in_them(consulta: Database) -> None:
    engine = create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))
    migrations.upgrade(engine, "0007")
    consulta.execute(
        """
        INSERT INTO traspaso.users (slack_team_id, slack_user_id, name) VALUES ('T0', 'U0ANA', 'Ana');
        INSERT INTO traspaso.copy_jobs (user_id, source_table, target_table, liquidation_id, copy_name,
               status, inserted_records, copied_bytes, finished_at, error)
        SELECT 1, 'a', 'a', g, 'items', s, 10, 100, e::timestamptz, f::jsonb
          FROM (VALUES (1, 'completed', '2026-11-01 10:00+00', NULL),
                       (2, 'completed', '2026-11-02 10:00+00', NULL),
                       (3, 'failed', '2026-11-03 10:00+00', '{"code": "unique"}'), (4, 'running', NULL, NULL)
               ) AS jobs (g, s, e, f)
        """
    )
    migrations.upgrade(engine)
    with engine.begin() as connection:
        found = queries.installation(connection).sums
    engine.dispose()
    assert {(each.name, each.label): each.value for each in found if each.value} == {
        ("ended", "completed"): 2,
        ("ended", "failed"): 1,
        ("failures", "unique"): 1,
        ("rows", "inserted"): 40,
        ("bytes", ""): 400,
    }
    [last] = [each.at for each in found if (each.name, each.label) == ("ended", "completed")]
    assert last == 1793613600


def test_a_scrape_reads_no_job_that_has_ended_and_no_message_that_was_delivered(consulta: Database) -> None:
    engine = create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))
    migrations.upgrade(engine)
    consulta.execute(
        """
        INSERT INTO traspaso.users (slack_team_id, slack_user_id, name) VALUES ('T0', 'U0ANA', 'Ana');
        INSERT INTO traspaso.copy_jobs (user_id, source_table, target_table, liquidation_id, copy_name,
               status)
        SELECT 1, 'a', 'a', g, 'items', CASE WHEN g > 20 THEN 'completed' ELSE 'running' END
          FROM generate_series(1, 20000) g;
        INSERT INTO traspaso.copy_chunks (job_id, attempt, number, outcome, records, inserted_records,
               updated_records, deleted_records, unchanged_records, moved_records, bytes, seconds)
        SELECT g, 0, 1, 'inserted', 1, 1, 0, 0, 0, 0, 1, 1 FROM generate_series(1, 20000) g;
        INSERT INTO traspaso.outbox (job_id, attempt, kind, done_at)
        SELECT g, 0, 'card', CASE WHEN g > 20 THEN now() END FROM generate_series(1, 20000) g;
        ANALYZE
        """
    )
    plans = []
    with engine.begin() as connection:
        for query in (queries._live(), queries._sums(), queries._owed()):
            sql = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
            plans.append(
                "\n".join(connection.scalars(text(f"EXPLAIN {str(sql).replace(':', chr(92) + ':')}")))
            )
    engine.dispose()
    for plan in plans:
        assert "Seq Scan on copy_jobs" not in plan, plan
        assert "Seq Scan on copy_chunks" not in plan, plan
        assert "Seq Scan on outbox" not in plan, plan

"""The view for reports says of each liquidation whether what consulta holds may be read, in each state of a
job, whatever has become of the jobs since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text

import migrations
from bot.jobs.attempt import Attempt
from bot.jobs.failure import Failure
from bot.jobs.retention import Pruning, Retention
from copier import Proof
from tests.support import Database
from tests.tracking import ANA, CHUNK, LOST, PLAN, PROOF, SAME, WRONG, Ends, Jobs

TABLE = "public.items"
COMPLETE, COPIED, INCOMPLETE, MOVED = "complete", "being copied", "incomplete", "prod has moved on"


def shown(jobs: Jobs, liquidation: int = 42) -> dict[str, Any] | None:
    """The line of the liquidation."""
    query = text("SELECT * FROM traspaso.freshness WHERE target_table = :table AND liquidation_id = :id")
    with jobs.engine.connect() as connection:
        row = connection.execute(query, {"table": TABLE, "id": liquidation}).one_or_none()
    return None if row is None else dict(row._mapping)


def state(jobs: Jobs, liquidation: int = 42) -> str | None:
    line = shown(jobs, liquidation)
    return None if line is None else str(line["state"])


def write(attempt: Attempt, *chunks: Any) -> None:
    attempt.planned(PLAN)
    for chunk in chunks:
        with attempt.transaction() as connection:
            attempt.record(connection, chunk)


def complete(attempt: Attempt, *chunks: Any, proof: Proof = PROOF) -> int:
    write(attempt, *chunks or (CHUNK, SAME))
    attempt.verifying()
    Ends(attempt).completed(proof)
    return attempt.job_id


def claim(jobs: Jobs, job_id: int) -> Attempt:
    attempt = jobs.executions.claim(job_id, "host:1")
    assert attempt is not None
    return attempt


def test_before_any_copy_there_is_no_line_and_a_job_that_nobody_has_taken_changes_nothing(jobs: Jobs) -> None:
    assert shown(jobs) is None
    job_id = jobs.create()
    assert shown(jobs) is None
    jobs.control.cancel(job_id, ANA)
    assert shown(jobs) is None


def test_a_job_in_a_workers_hands_copies_from_its_claim_to_its_proof(jobs: Jobs) -> None:
    attempt = jobs.claimed()
    line = shown(jobs)
    assert line is not None
    assert (line["state"], line["job_id"], line["rows"], line["as_of"]) == (
        COPIED,
        attempt.job_id,
        None,
        None,
    )
    write(attempt, CHUNK)
    assert state(jobs) == COPIED
    attempt.verifying()
    assert state(jobs) == COPIED
    Ends(attempt).completed(PROOF)
    line = shown(jobs)
    assert line is not None
    assert line == {
        "target_table": TABLE,
        "liquidation_id": 42,
        "state": COMPLETE,
        "as_of": PLAN.as_of,
        "known_equal_at": PLAN.as_of,
        "rows": 5,
        "job_id": attempt.job_id,
    }


def test_while_it_is_copied_again_no_row_of_it_is_of_a_known_moment(jobs: Jobs) -> None:
    complete(jobs.claimed())
    again = jobs.create()
    assert state(jobs) == COMPLETE  # it waits
    attempt = claim(jobs, again)
    line = shown(jobs)
    assert line is not None
    assert (line["state"], line["job_id"], line["known_equal_at"]) == (COPIED, again, None)
    complete(attempt)
    assert state(jobs) == COMPLETE


def fails(jobs: Jobs, attempt: Attempt) -> None:
    Ends(attempt).failed(Failure("check", "no"))


def is_cancelled(jobs: Jobs, attempt: Attempt) -> None:
    jobs.control.cancel(attempt.job_id, ANA)
    Ends(attempt).released()


def is_paused(jobs: Jobs, attempt: Attempt) -> None:
    jobs.control.pause(attempt.job_id, ANA)
    Ends(attempt).released()


def waits_for_its_next_try(jobs: Jobs, attempt: Attempt) -> None:
    Ends(attempt).retry_later(LOST, 60)


def is_given_back(jobs: Jobs, attempt: Attempt) -> None:
    Ends(attempt).released()


def is_killed_and_swept(jobs: Jobs, attempt: Attempt) -> None:
    jobs.let_the_lease_run_out(attempt.job_id)
    jobs.sweep()


def is_killed_where_nobody_sweeps(jobs: Jobs, attempt: Attempt) -> None:
    jobs.let_the_lease_run_out(attempt.job_id)


ENDS = [
    fails,
    is_cancelled,
    is_paused,
    waits_for_its_next_try,
    is_given_back,
    is_killed_and_swept,
    is_killed_where_nobody_sweeps,
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_job_that_ends_in_the_middle_leaves_it_incomplete_until_a_copy_is_proven(
    jobs: Jobs, end: Any
) -> None:
    complete(jobs.claimed())
    attempt = jobs.claimed()
    write(attempt, CHUNK)
    end(jobs, attempt)
    line = shown(jobs)
    assert line is not None
    assert (line["state"], line["job_id"]) == (INCOMPLETE, attempt.job_id)
    assert (line["as_of"], line["known_equal_at"], line["rows"]) == (None, None, None)
    jobs.run(
        "UPDATE traspaso.copy_jobs SET status = 'pending', run_after = now() WHERE id = :id",
        id=attempt.job_id,
    )
    complete(claim(jobs, attempt.job_id), SAME)
    assert state(jobs) == COMPLETE


@pytest.mark.parametrize("end", ENDS[:-1], ids=lambda end: end.__name__)
def test_a_job_that_ends_before_it_has_written_leaves_what_was_proven(jobs: Jobs, end: Any) -> None:
    job_id = complete(jobs.claimed())
    attempt = jobs.claimed()
    write(attempt, SAME)
    end(jobs, attempt)
    line = shown(jobs)
    assert line is not None
    assert (line["state"], line["job_id"]) == (COMPLETE, job_id)


def test_a_second_attempt_that_breaks_before_it_writes_doesn_t_hide_what_the_first_one_wrote(
    jobs: Jobs,
) -> None:
    complete(jobs.claimed())
    attempt = jobs.claimed()
    write(attempt, CHUNK)
    Ends(attempt).retry_later(LOST, 0)
    second = claim(jobs, attempt.job_id)
    assert state(jobs) == COPIED
    Ends(second).failed(LOST)
    assert state(jobs) == INCOMPLETE


def test_a_copy_whose_proof_doesn_t_hold_leaves_it_incomplete_though_it_wrote_nothing(jobs: Jobs) -> None:
    complete(jobs.claimed())
    attempt = jobs.claimed()
    write(attempt, SAME)
    Ends(attempt).failed(Failure("not_proven", "they differ"), WRONG)
    assert state(jobs) == INCOMPLETE


def test_an_older_job_that_is_tried_again_counts_when_it_writes_and_not_by_its_number(jobs: Jobs) -> None:
    old = jobs.claimed()
    write(old, CHUNK)
    Ends(old).failed(LOST)
    newer = complete(jobs.claimed())
    line = shown(jobs)
    assert line is not None
    assert (line["state"], line["job_id"]) == (COMPLETE, newer)
    jobs.control.retry(old.job_id, ANA)
    again = claim(jobs, old.job_id)
    Ends(again).failed(LOST)  # before it has written
    assert state(jobs) == COMPLETE
    jobs.control.retry(old.job_id, ANA)
    again = claim(jobs, old.job_id)
    write(again, CHUNK)
    Ends(again).failed(LOST)
    assert state(jobs) == INCOMPLETE


def test_each_liquidation_and_target_table_has_a_line_of_its_own(jobs: Jobs) -> None:
    complete(jobs.claimed(liquidation=41))
    write(jobs.claimed(liquidation=42), CHUNK)
    assert (state(jobs, 41), state(jobs, 42), state(jobs, 43)) == (COMPLETE, COPIED, None)


def test_what_is_known_stays_when_the_jobs_are_kept_no_longer(jobs: Jobs) -> None:
    proven = complete(jobs.claimed(liquidation=41))
    broken = jobs.claimed(liquidation=42)
    write(broken, CHUNK)
    Ends(broken).failed(LOST)
    before = shown(jobs, 41), shown(jobs, 42)
    jobs.tell_all()
    jobs.run("UPDATE traspaso.copy_jobs SET finished_at = now() - interval '10 days'")
    assert Pruning(jobs.engine, Retention(jobs_days=1)).run().jobs == 2
    assert jobs.store.job(proven) is None
    assert (shown(jobs, 41), shown(jobs, 42)) == before


# ------------------------------------------------------------------------------------------- who reads it


@pytest.fixture
def reports(jobs: Jobs) -> Iterator[str]:
    """A role for reports, with what docs/operating.md grants it."""
    jobs.run("CREATE ROLE reports_of_test LOGIN")
    jobs.run("GRANT USAGE ON SCHEMA traspaso TO reports_of_test")
    jobs.run("GRANT SELECT ON traspaso.freshness TO reports_of_test")
    yield jobs.engine.url.set(drivername="postgresql", username="reports_of_test").render_as_string()
    jobs.run("DROP OWNED BY reports_of_test")
    jobs.run("DROP ROLE reports_of_test")


def test_a_role_that_is_granted_the_view_alone_reads_it_and_nothing_else(jobs: Jobs, reports: str) -> None:
    complete(jobs.claimed())
    with psycopg.connect(reports, autocommit=True, row_factory=dict_row) as connection:
        [line] = connection.execute("SELECT * FROM traspaso.freshness").fetchall()
        assert line["state"] == COMPLETE
        for table in ("copy_jobs", "standings"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM traspaso.{table}".encode())


def test_an_installation_with_a_schema_of_its_own_has_the_view_there(consulta: Database) -> None:
    jobs = Jobs(consulta, schema="payroll_test")
    try:
        attempt = jobs.executions.claim(jobs.create(), "host:1")
        assert attempt is not None
        complete(attempt)
        assert consulta.rows("SELECT state FROM payroll_test.freshness") == [(COMPLETE,)]
        assert consulta.rows("SELECT to_regnamespace('traspaso')") == [(None,)]
    finally:
        jobs.engine.dispose()


# ------------------------------------------------------------------------------ jobs of the release before


def test_jobs_that_ended_before_the_view_was_there_are_in_it(consulta: Database) -> None:
    jobs = Jobs(consulta)
    try:
        complete(jobs.claimed(liquidation=41))
        complete(jobs.claimed(liquidation=42))
        half = jobs.claimed(liquidation=42)
        write(half, CHUNK)
        Ends(half).retry_later(LOST, 0)
        again = claim(jobs, half.job_id)  # its counters are zero: only the ledger knows of the first attempt
        Ends(again).failed(LOST)
        wrong = jobs.claimed(liquidation=43)
        write(wrong, SAME)
        Ends(wrong).failed(Failure("not_proven", "they differ"), WRONG)
        repaired = jobs.claimed(liquidation=44)
        write(repaired, CHUNK)
        Ends(repaired).failed(LOST)
        complete(jobs.claimed(liquidation=44))
        write(jobs.claimed(liquidation=45), CHUNK)
        before = [shown(jobs, n) for n in range(41, 46)]
        for version in ("0014", "0013"):
            migrations.downgrade(jobs.engine, version)
            migrations.upgrade(jobs.engine)
            assert [shown(jobs, n) for n in range(41, 46)] == before
        assert [state(jobs, n) for n in range(41, 46)] == [COMPLETE, INCOMPLETE, INCOMPLETE, COMPLETE, COPIED]
    finally:
        jobs.engine.dispose()

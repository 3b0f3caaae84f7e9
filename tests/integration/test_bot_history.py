"""What became of earlier jobs, read from the tracking tables."""

from __future__ import annotations

import pytest

from bot.jobs.models import Status
from bot.jobs.repository import RUNS, JobHistory, Requester
from bot.jobs.view import HomeFilters
from tests.tracking import Jobs

BOB = Requester("T0", "U0BOB", "Bob", "en-US")


@pytest.fixture
def history(jobs: Jobs) -> JobHistory:
    return JobHistory(jobs.engine)


def ended(jobs: Jobs, liquidation: int, *, rows: int = 100, seconds: float = 10, **values: object) -> int:
    """A completed job of so many rows and seconds; ``values`` are columns of its row."""
    job_id = jobs.create(liquidation)
    columns = {
        "status": "completed",
        "total_records": rows,
        "copied_records": rows,
        "inserted_records": rows,
    } | values
    jobs.run(
        f"UPDATE traspaso.copy_jobs SET {', '.join(f'{name} = :{name}' for name in columns)}, "
        "started_at = now() - make_interval(secs => 1000), finished_at = now(), "
        "claimed_at = now() - make_interval(secs => :seconds) WHERE id = :id",
        id=job_id,
        seconds=seconds,
        **columns,
    )
    return job_id


def test_the_history_of_a_liquidation_is_complete_and_newest_first(jobs: Jobs, history: JobHistory) -> None:
    first, second = ended(jobs, 42), ended(jobs, 42, status="failed")
    ended(jobs, 43)
    live = jobs.create(42)
    assert [job.id for job in history.of_liquidation(42)] == [live, second, first]
    assert [job.id for job in history.of_liquidation(42, limit=1)] == [live]
    assert history.of_liquidation(44) == []


def test_a_person_finds_the_jobs_they_asked_for(jobs: Jobs, history: JobHistory) -> None:
    jobs.create(42)
    own = jobs.create(43, requester=BOB)
    assert [job.id for job in history.of_user("U0BOB")] == [own]


def test_filters_leave_out_what_does_not_fit(jobs: Jobs, history: JobHistory) -> None:
    done, failed, live = ended(jobs, 1), ended(jobs, 2, status="failed"), jobs.create(3)
    assert [job.id for job in history.page()] == [live, failed, done]
    assert [job.id for job in history.page(HomeFilters(ended=True))] == [failed, done]
    assert [job.id for job in history.page(HomeFilters(status=Status.FAILED))] == [failed]
    assert history.page(HomeFilters(status=Status.FAILED, user_id="U0BOB")) == []


def test_the_last_proven_copy_is_of_that_table_and_liquidation(jobs: Jobs, history: JobHistory) -> None:
    assert history.last_completed("public.items", 42) is None
    ended(jobs, 42)
    newest = ended(jobs, 42)
    ended(jobs, 42, status="failed")
    ended(jobs, 43)
    found = history.last_completed("public.items", 42)
    assert found is not None
    assert found.id == newest
    assert history.last_completed("public.notes", 42) is None


def test_the_expected_time_follows_the_median_of_the_last_runs(jobs: Jobs, history: JobHistory) -> None:
    assert history.expected_seconds("items", 1000) is None
    for _ in range(3):
        ended(jobs, 1, rows=1_000_000, seconds=1)  # long ago: beyond the last runs
    for _ in range(RUNS - 1):
        ended(jobs, 1, rows=100, seconds=10)
    ended(jobs, 1, rows=1_000_000, seconds=1)  # an outlier
    assert history.expected_seconds("items", 1000) == pytest.approx(100, rel=0.05)
    assert history.expected_seconds("notes", 1000) is None


def test_runs_that_wrote_nothing_say_nothing_about_the_time(jobs: Jobs, history: JobHistory) -> None:
    ended(jobs, 1, inserted_records=0, updated_records=0)
    ended(jobs, 1, status="failed")
    assert history.expected_seconds("items", 1000) is None


def test_a_cap_makes_the_expected_time_longer_and_never_shorter(jobs: Jobs, history: JobHistory) -> None:
    ended(jobs, 1, rows=100_000, seconds=1)
    assert history.expected_seconds("items", 1_000_000) == pytest.approx(10, rel=0.05)
    assert history.expected_seconds("items", 1_000_000, 20_000.0) == pytest.approx(50, rel=0.05)
    assert history.expected_seconds("items", 1_000_000, 1_000_000.0) == pytest.approx(10, rel=0.05)

"""One live job for a table and a liquidation, one job for a press, one user for a person."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import IntegrityError

from bot.errors import AlreadyRunning
from bot.jobs.models import Status
from bot.jobs.repository import Requester
from copier import CopySpec, TableName
from tests.tracking import ANA, TABLE, Ends, Jobs


def test_twenty_requests_at_once_for_one_liquidation_are_one_job(jobs: Jobs) -> None:
    def ask(number: int) -> int | None:
        try:
            return jobs.create(key=f"press-{number}")
        except AlreadyRunning as running:
            return -running.job_id

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    [created] = [answer for answer in answers if answer and answer > 0]
    assert sorted(answers) == [-created] * 19 + [created]
    assert len(jobs.store.live()) == 1


def test_the_database_itself_forbids_a_second_live_job(jobs: Jobs) -> None:
    jobs.create()
    copy = (
        "INSERT INTO traspaso.copy_jobs "
        "(user_id, source_table, target_table, liquidation_id, copy_name, status) "
        "SELECT user_id, source_table, target_table, liquidation_id, 'other', :status "
        "FROM traspaso.copy_jobs LIMIT 1"
    )
    for status in Status:
        if status.is_live:
            with pytest.raises(IntegrityError, match="copy_jobs_one_live_job"):
                jobs.run(copy, status=status)
        else:
            jobs.run(copy, status=status)


def test_who_asks_in_the_moment_in_which_the_live_job_ends_gets_that_job_or_their_own(jobs: Jobs) -> None:
    def ask(person: int) -> int:
        mine = 0
        for _ in range(40):
            try:
                job_id = jobs.create()
            except AlreadyRunning:
                continue
            jobs.control.cancel(job_id, ANA)
            mine += 1
        return mine

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(ask, range(6))) > 6


def test_twenty_deliveries_of_one_press_are_one_job(jobs: Jobs) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: jobs.store.create(jobs.request(key="press")), range(20)))
    assert len({job_id for job_id, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1


def test_a_used_press_gives_its_job_even_after_its_end(jobs: Jobs) -> None:
    claim = jobs.claimed(key="press")
    Ends(claim).cancelled()
    assert jobs.store.create(jobs.request(key="press")) == (claim.job_id, False)
    assert jobs.create(key="another") != claim.job_id


def test_other_liquidations_and_other_tables_have_jobs_of_their_own(jobs: Jobs) -> None:
    other = CopySpec("other", TABLE, TableName.parse("public.other"), "liquidation_id")
    ids = {jobs.create(), jobs.create(43), jobs.create(42, spec=other)}
    assert {job.id for job in jobs.store.live()} == ids
    assert [jobs.see(job_id).ahead for job_id in sorted(ids)] == [0, 1, 2]


def test_a_person_is_one_user_whose_name_and_language_are_brought_up_to_date(jobs: Jobs) -> None:
    first = jobs.see(jobs.create(1))
    second = jobs.see(jobs.create(2, requester=Requester("T0", "U0ANA", "Ana María", None)))
    assert (second.requester_name, second.requester_locale) == ("Ana María", "es-ES")
    assert jobs.see(first.id).requester_name == "Ana María"
    third = jobs.see(jobs.create(3, requester=Requester("T1", "U0ANA", "Otra", "en-US")))
    assert third.requester_team == "T1"


def test_the_latest_jobs_are_those_that_have_ended_newest_first(jobs: Jobs) -> None:
    claims = [jobs.claimed(liquidation=number) for number in range(1, 14)]
    for claim in claims[:12]:
        Ends(claim).cancelled()
    assert [job.id for job in jobs.store.latest()] == [claim.job_id for claim in claims[11:1:-1]]
    assert [job.id for job in jobs.store.live()] == [claims[12].job_id]
    assert jobs.store.job(987654321) is None

"""Jobs, their steps and their ledger, as the database holds them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

import migrations
from bot.errors import AlreadyRunning, StaleAttempt
from bot.jobs.ledger import Ledger
from bot.jobs.lifecycle import Claim
from bot.jobs.models import SCHEMA, Base
from bot.jobs.outbox import Kind
from bot.jobs.statuses import TRANSITIONS, Status
from bot.jobs.store import Requester
from copier import CopySpec, TableName
from tests.support import Database
from tests.tracking import ANA, CHUNK, COMPARED, LOST, PLAN, PROOF, SAME, TABLE, WRONG, Jobs


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
    jobs.lifecycle.cancelled(claim)
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


def test_twenty_workers_claim_a_job_once(jobs: Jobs) -> None:
    job_id = jobs.create()
    with ThreadPoolExecutor(20) as pool:
        claims = list(pool.map(lambda n: jobs.lifecycle.claim(job_id, f"host:{n}"), range(20)))
    [claim] = [claim for claim in claims if claim]
    job = jobs.see(job_id)
    assert (job.status, job.attempt, job.worker) == (Status.RUNNING, 1, f"host:{claims.index(claim)}")
    assert job.lease_until is not None
    assert job.lease_until > job.now


def test_chunks_move_the_counters_and_leave_a_line_each(jobs: Jobs) -> None:
    claim = jobs.claimed()
    jobs.lifecycle.planned(claim, PLAN)
    ledger = Ledger(jobs.lifecycle, claim)
    for chunk in (CHUNK, SAME):
        with jobs.engine.begin() as connection:
            ledger.record(connection, chunk)
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


def test_a_chunk_that_is_rolled_back_has_no_record(jobs: Jobs) -> None:
    claim = jobs.claimed()
    ledger = Ledger(jobs.lifecycle, claim)
    with pytest.raises(RuntimeError), jobs.engine.begin() as connection:
        ledger.record(connection, CHUNK)
        raise RuntimeError
    assert jobs.see(claim.job_id).copied == 0


STEPS: dict[str, Callable[[Jobs, Claim], object]] = {
    "renew": lambda jobs, claim: jobs.lifecycle.renew(claim),
    "planned": lambda jobs, claim: jobs.lifecycle.planned(claim, PLAN),
    "verifying": lambda jobs, claim: jobs.lifecycle.verifying(claim),
    "compared": lambda jobs, claim: Ledger(jobs.lifecycle, claim).compared(COMPARED),
    "throttled": lambda jobs, claim: jobs.lifecycle.throttled(claim, 12.5),
    "completed": lambda jobs, claim: jobs.lifecycle.completed(claim, PROOF),
    "failed": lambda jobs, claim: jobs.lifecycle.failed(claim, LOST),
    "cancelled": lambda jobs, claim: jobs.lifecycle.cancelled(claim),
    "retry_later": lambda jobs, claim: jobs.lifecycle.retry_later(claim, LOST, 1.0),
    "released": lambda jobs, claim: jobs.lifecycle.released(claim),
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
            Ledger(jobs.lifecycle, stale).record(connection, CHUNK)
        after = jobs.see(stale.job_id)
        assert (after.status, after.attempt, after.lease_until) == (
            before.status,
            before.attempt,
            before.lease_until,
        )
        assert jobs.kinds(stale.job_id) == events
        assert jobs.lifecycle.claim(stale.job_id, "host:2") or before.status is Status.RUNNING
    assert not jobs.is_pending(stale.job_id, Kind.ENDING)


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
        assert jobs.lifecycle.claim(claim.job_id, "host:2") is None
        assert jobs.see(claim.job_id).finished_at is not None


def test_only_a_proof_that_holds_completes_a_job(jobs: Jobs) -> None:
    claim = jobs.claimed()
    with pytest.raises(ValueError, match="proof"):
        jobs.lifecycle.completed(claim, WRONG)
    assert jobs.see(claim.job_id).status is Status.RUNNING


def test_the_end_and_what_is_to_be_told_of_it_are_one_transaction(jobs: Jobs) -> None:
    for number, step in enumerate(("completed", "failed", "cancelled"), 1):
        told, shell = (
            jobs.claimed(liquidation=number, channel_id="C0"),
            jobs.claimed(liquidation=100 + number),
        )
        STEPS[step](jobs, told)
        STEPS[step](jobs, shell)
        assert jobs.is_pending(told.job_id, Kind.ENDING)
        assert not jobs.is_pending(shell.job_id, Kind.ENDING)


def test_a_failed_job_keeps_its_sentence_and_a_code(jobs: Jobs) -> None:
    claim = jobs.claimed()
    jobs.lifecycle.failed(claim, LOST)
    job = jobs.see(claim.job_id)
    assert job.error_message == LOST.sentence
    assert job.error == {"code": "connection", "side": "prod"}


def test_a_retry_waits_for_its_time_and_starts_counting_anew(jobs: Jobs) -> None:
    claim = jobs.claimed()
    with jobs.engine.begin() as connection:
        Ledger(jobs.lifecycle, claim).record(connection, CHUNK)
    jobs.lifecycle.retry_later(claim, LOST, 30.0)
    assert jobs.lifecycle.claim(claim.job_id, "host:2") is None
    assert jobs.sweep().to_enqueue == []
    jobs.run("UPDATE traspaso.copy_jobs SET run_after = now()")
    assert jobs.sweep().to_enqueue == [claim.job_id]
    again = jobs.lifecycle.claim(claim.job_id, "host:2")
    assert again is not None
    job = jobs.see(claim.job_id)
    assert (again.attempt, job.copied, job.failures, job.total) == (2, 0, 1, None)


def test_only_new_ground_ends_a_row_of_failures(jobs: Jobs) -> None:
    claim = jobs.claimed()
    jobs.lifecycle.retry_later(claim, LOST, 0.0)
    again = jobs.lifecycle.claim(claim.job_id, "host:1")
    assert again is not None
    ledger = Ledger(jobs.lifecycle, again)
    for chunk, failures in ((SAME, 1), (CHUNK, 0)):
        with jobs.engine.begin() as connection:
            ledger.record(connection, chunk)
        assert jobs.lifecycle.failures(again) == failures
    assert jobs.see(claim.job_id).error is None


def test_a_released_job_is_for_another_worker_at_once(jobs: Jobs) -> None:
    claim = jobs.claimed()
    jobs.store.enqueued(claim.job_id)
    jobs.lifecycle.released(claim)
    assert jobs.sweep().to_enqueue == [claim.job_id]
    again = jobs.lifecycle.claim(claim.job_id, "host:2")
    assert again is not None
    assert again.attempt == 2


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


def test_the_latest_jobs_are_those_that_have_ended_newest_first(jobs: Jobs) -> None:
    claims = [jobs.claimed(liquidation=number) for number in range(1, 14)]
    for claim in claims[:12]:
        jobs.lifecycle.cancelled(claim)
    assert [job.id for job in jobs.store.latest()] == [claim.job_id for claim in claims[11:1:-1]]
    assert [job.id for job in jobs.store.live()] == [claims[12].job_id]
    assert jobs.store.snapshot(987654321) is None


# ------------------------------------------------------------------------------------------------- the outbox


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


# --------------------------------------------------------------------------------------------- the migrations


def test_the_migrations_go_up_and_down_and_up_and_make_what_the_models_say(consulta: Database) -> None:
    engine = create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))
    consulta.execute("CREATE TABLE not_ours (id int)")
    try:
        for _ in range(2):
            migrations.upgrade(engine)
            migrations.upgrade(engine)
            with engine.connect() as connection:
                context = MigrationContext.configure(
                    connection,
                    opts={
                        "version_table_schema": SCHEMA,
                        "include_schemas": True,
                        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
                        "compare_type": True,
                        "compare_server_default": True,
                    },
                )
                assert compare_metadata(context, Base.metadata) == []
                assert migrations.current(connection) == migrations.newest()
            migrations.downgrade(engine)
            with engine.connect() as connection:
                assert migrations.current(connection) is None
            tables = (
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'traspaso'::regnamespace"
            )
            assert consulta.rows(tables) == [("alembic_version",)]
        assert consulta.rows("SELECT count(*) FROM not_ours") == [(0,)]
    finally:
        engine.dispose()


def test_releases_that_migrate_at_the_same_moment_wait_for_each_other(consulta: Database) -> None:
    engine = create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: migrations.upgrade(engine), range(4)))
        with engine.connect() as connection:
            assert migrations.current(connection) == migrations.newest()
    finally:
        engine.dispose()

"""The migrations make what the models say, and wait for each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine

import migrations
from bot.jobs.attempt import Executions
from bot.jobs.models import SCHEMA, Base
from bot.jobs.outbox import REMINDERS, MessageKind, Outbox
from bot.jobs.view import NOTHING_SHOWN
from tests.support import Database

JOB = """
    WITH ana AS (
        INSERT INTO traspaso.users (slack_team_id, slack_user_id, name)
        VALUES ('T0', 'U0ANA', 'Ana') RETURNING id
    )
    INSERT INTO traspaso.copy_jobs (user_id, source_table, target_table, liquidation_id, copy_name, status)
    SELECT id, 'public.items', 'public.items', 42, 'items', 'pending' FROM ana
"""


def engine_of(consulta: Database) -> Engine:
    return create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))


def test_jobs_of_the_release_before_stay_and_are_bound_to_no_numbers(consulta: Database) -> None:
    engine = engine_of(consulta)
    migrations.upgrade(engine, "0002")
    consulta.execute(JOB)
    migrations.upgrade(engine)
    claim = Executions(engine, lease_seconds=60).claim(1, "host:1")
    engine.dispose()
    assert claim is not None
    assert (claim.claim.terms, claim.claim.fingerprint, claim.claim.approved) == (NOTHING_SHOWN, None, False)
    assert len(claim.claim.installation) == 8


def test_a_job_that_asks_ends_where_the_release_goes_back_to_one_that_can_t_take_the_answer(
    consulta: Database,
) -> None:
    engine = engine_of(consulta)
    migrations.upgrade(engine)
    consulta.execute(JOB)
    consulta.execute("UPDATE traspaso.copy_jobs SET question = '{}'")
    migrations.downgrade(engine, "0002")
    assert consulta.rows("SELECT status FROM traspaso.copy_jobs") == [("cancelled",)]
    migrations.upgrade(engine)
    engine.dispose()


def test_the_way_back_leaves_nothing_in_the_outbox_that_the_older_release_can_t_read(
    consulta: Database,
) -> None:
    engine = engine_of(consulta)
    migrations.upgrade(engine)
    consulta.execute(JOB)
    for kind in MessageKind:
        consulta.execute(f"INSERT INTO traspaso.outbox (job_id, attempt, kind) VALUES (1, 0, '{kind}')")
    migrations.downgrade(engine, "0003")
    kinds = {kind for (kind,) in consulta.rows("SELECT kind FROM traspaso.outbox")}
    assert kinds == {"card", "update", "question", "ending"}
    migrations.upgrade(engine)
    engine.dispose()


def test_a_chart_that_the_release_before_still_owed_is_owed_no_more_and_nothing_else_goes(
    consulta: Database,
) -> None:
    engine = engine_of(consulta)
    migrations.upgrade(engine, "0004")
    consulta.execute(JOB)
    for kind in (*MessageKind, "chart"):
        consulta.execute(f"INSERT INTO traspaso.outbox (job_id, attempt, kind) VALUES (1, 0, '{kind}')")
    migrations.upgrade(engine)
    kinds = {kind for (kind,) in consulta.rows("SELECT kind FROM traspaso.outbox")}
    assert kinds == set(MessageKind)
    migrations.downgrade(engine, "0004")
    left = {kind for (kind,) in consulta.rows("SELECT kind FROM traspaso.outbox")}
    assert left == set(MessageKind) - {
        MessageKind.APPROVED,
        MessageKind.FOLLOWER,
        *REMINDERS,
    }  # which that release doesn't know
    migrations.upgrade(engine)
    engine.dispose()


def test_what_the_release_before_adds_during_a_rollout_is_left_to_it_and_holds_nothing_up(
    consulta: Database,
) -> None:
    engine = engine_of(consulta)
    migrations.upgrade(engine)
    consulta.execute(JOB)
    consulta.execute("INSERT INTO traspaso.outbox (job_id, attempt, kind) VALUES (1, 0, 'chart')")
    consulta.execute(
        "INSERT INTO traspaso.outbox (job_id, attempt, kind, claimed_until)"
        " VALUES (1, 1, 'chart', now() + interval '60 s'), (1, 1, 'ending', NULL)"
    )
    outbox = Outbox(engine)
    due, nothing = outbox.take(), outbox.take()
    engine.dispose()
    assert due is not None
    assert (due.kind, nothing) == (MessageKind.ENDING, None)


def test_what_the_release_before_had_begun_is_looked_for_by_this_one(consulta: Database) -> None:
    engine = engine_of(consulta)
    migrations.upgrade(engine, "0003")
    consulta.execute(JOB)
    consulta.execute("INSERT INTO traspaso.outbox (job_id, attempt, kind, tries) VALUES (1, 0, 'card', 1)")
    migrations.upgrade(engine)
    due = Outbox(engine).take()
    engine.dispose()
    assert due is not None
    assert due.look_first


def test_the_migrations_go_up_and_down_and_up_and_make_what_the_models_say(consulta: Database) -> None:
    engine = engine_of(consulta)
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

"""A second installation in the same consulta and Redis: its tables have a schema of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, create_engine

import migrations
from bot.errors import StaleAttempt
from bot.jobs.models import Status
from bot.jobs.outbox import MessageKind
from bot.jobs.repository import HomeRepository
from bot.jobs.view import HomeFilters
from bot.slack.card_publisher import metadata_of
from bot.slack.rate_limit import Allowance, Pacing
from bot.work.queue import JobQueue
from dev.valkey import Valkey
from tests.support import Database
from tests.tracking import CHUNK, PLAN, PROOF, Ends, Jobs

#: A name that SQL takes only in quotes.
OTHER = "user"


@pytest.fixture
def both(consulta: Database) -> Iterator[tuple[Jobs, Jobs]]:
    """Two installations in one database."""
    first, second = Jobs(consulta), Jobs(consulta, schema=OTHER)
    yield first, second
    first.engine.dispose()
    second.engine.dispose()


def engine_of(consulta: Database, schema: str = OTHER) -> Engine:
    url = consulta.url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(url, execution_options=migrations.options(schema))


def catalogue(consulta: Database, schema: str) -> list[tuple[object, ...]]:
    """Everything that is in this schema, without the schema's name."""
    name = f'"{schema}"'
    found = consulta.rows(f"""
        SELECT c.relname::text, c.relkind::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
               a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
         WHERE c.relnamespace = '{name}'::regnamespace
         UNION ALL
        SELECT conname::text, contype::text, pg_get_constraintdef(oid), '', true, ''
          FROM pg_constraint WHERE connamespace = '{name}'::regnamespace
         UNION ALL
        SELECT indexname::text, 'index', indexdef, '', true, '' FROM pg_indexes WHERE schemaname = '{schema}'
         ORDER BY 1, 2, 3
    """)
    plain = rf'(?:"{schema}"|\b{schema})\.'
    return [
        tuple(re.sub(plain, "", each) if isinstance(each, str) else each for each in row) for row in found
    ]


def test_each_migration_makes_in_another_schema_what_it_makes_in_the_usual_one(consulta: Database) -> None:
    usual, other = engine_of(consulta, migrations.SCHEMA), engine_of(consulta)
    try:
        versions = migrations.versions()
        for version in (*versions, *reversed(versions[:-1])):
            migrations.move(usual, version)
            migrations.move(other, version)
            with other.connect() as connection:
                assert migrations.current(connection) == version
            assert catalogue(consulta, OTHER) == catalogue(consulta, migrations.SCHEMA)
    finally:
        usual.dispose()
        other.dispose()


def test_migrating_one_installation_makes_nothing_in_the_other_s_schema(consulta: Database) -> None:
    other = engine_of(consulta)
    migrations.upgrade(other)
    other.dispose()
    assert consulta.rows("SELECT to_regnamespace('traspaso')") == [(None,)]


def test_an_installation_migrates_while_another_one_s_migration_hangs(consulta: Database) -> None:
    other = engine_of(consulta)
    with psycopg.connect(consulta.url) as hanging:
        hanging.execute("SELECT pg_advisory_xact_lock(%s)", [migrations.LOCK])
        migrations.upgrade(other)
    other.dispose()


def test_a_job_goes_its_whole_way_in_another_schema_and_leaves_nothing_in_the_usual_one(
    both: tuple[Jobs, Jobs],
) -> None:
    first, second = both
    attempt = second.claimed(channel_id="C0X")
    job_id = attempt.job_id
    second.cards.posted(job_id, "C0X", "1.000100")
    edit = second.cards.edit_begins(second.see(job_id))
    assert edit is not None
    second.cards.edit_answered(edit)
    attempt.planned(PLAN)
    with attempt.transaction() as connection:
        attempt.record(connection, CHUNK)
    attempt.verifying()
    Ends(attempt).completed(PROOF)
    second.sweep()
    assert second.see(job_id).status is Status.COMPLETED
    assert second.tell_all() == [MessageKind.ENDING, MessageKind.CARD]
    home = HomeRepository(second.engine, second.store)
    assert [job.id for job in home.read("U0ANA", HomeFilters()).latest] == [job_id]
    assert home.mark() != HomeRepository(first.engine, first.store).mark()
    assert (first.store.live(), first.store.latest(), first.tell_all()) == ([], [], [])


def test_installations_have_their_own_live_jobs_names_of_sessions_and_messages(
    both: tuple[Jobs, Jobs],
) -> None:
    claims = [jobs.claimed(channel_id="C0X") for jobs in both]
    assert [claim.job_id for claim in claims] == [1, 1]
    assert claims[0].claim.label_of_all != claims[1].claim.label_of_all
    marks = [metadata_of(jobs.see(1), "card") for jobs in both]
    assert marks[0]["event_payload"] == {"job": "1", "part": "card"}
    assert marks[1]["event_payload"] == {"job": "1", "part": "card", "schema": OTHER}


def test_a_message_that_one_installation_has_in_hand_holds_nothing_of_the_other_s_up(
    both: tuple[Jobs, Jobs],
) -> None:
    first, second = both
    for jobs in both:
        jobs.create(channel_id="C0X")
    with first.engine.begin() as connection:
        taking = "SELECT pg_advisory_xact_lock(hashtextextended('traspaso outbox 1', 0))"
        connection.exec_driver_sql(taking)
        assert first.outbox.take() is None
        assert second.outbox.take() is not None


def test_a_stale_worker_is_told_so_in_another_schema_too(both: tuple[Jobs, Jobs]) -> None:
    _, second = both
    attempt = second.claimed()
    second.run(f'UPDATE "{OTHER}".copy_jobs SET attempt = attempt + 1')
    with pytest.raises(StaleAttempt), attempt.transaction() as connection:
        attempt.record(connection, CHUNK)


def test_two_installations_over_one_redis_see_neither_the_other_s_queue_nor_its_calls(valkey: Valkey) -> None:
    queues = [
        JobQueue(valkey.url, on_put=lambda _: None, namespace=name) for name in ("dramatiq", "dramatiq:other")
    ]
    queues[0].put(1)
    waiting = [queue.broker.do_qsize("copies") for queue in queues]
    assert waiting == [1, 0]
    pacings = [Pacing(valkey.url, {"chat.update": Allowance(1)}, prefix=name) for name in ("a", "b")]
    assert pacings[0].take("chat.update") == 0
    assert pacings[0].take("chat.update") > 0
    assert pacings[1].take("chat.update") == 0

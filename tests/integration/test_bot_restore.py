"""The tracking tables from a dump, as docs/operating.md has it: what was under way is done again."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from bot.errors import StaleAttempt
from bot.jobs.models import Status
from bot.jobs.outbox import MessageKind
from dev.binaries import installed_programs
from dev.guard import ROOT
from tests.support import Database
from tests.tracking import CHUNK, PLAN, PROOF, Ends, Jobs

PAGE = ROOT / "docs" / "operating.md"


@pytest.fixture
def own(consulta: Database) -> Iterator[Jobs]:
    jobs = Jobs(consulta)
    jobs.somebody_works()
    yield jobs
    jobs.engine.dispose()


def dump(consulta: Database) -> str:
    """What the page's pg_dump writes."""
    options = re.search(r"pg_dump (.+?) --file", PAGE.read_text("utf-8"))
    assert options is not None
    command = [str(installed_programs() / "pg_dump"), *options[1].split(), consulta.url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def restore(consulta: Database, dumped: str) -> None:
    consulta.execute("DROP SCHEMA traspaso CASCADE")
    consulta.server.psql(dumped, consulta.name)


def skip_numbers(consulta: Database) -> None:
    """The page's statement, by which no number of a job is used again."""
    statement = re.search(r"SELECT setval\([^;]+;", PAGE.read_text("utf-8"))
    assert statement is not None
    consulta.execute(statement[0])


def test_a_job_that_ran_when_the_dump_was_made_runs_again_after_a_restore_and_ends_once(
    own: Jobs, consulta: Database
) -> None:
    running = own.claimed(channel_id="C0X")
    done = own.create(liquidation=41, channel_id="C0X")
    running.planned(PLAN)
    with running.transaction() as connection:
        running.record(connection, CHUNK)
    own.tell_all()
    dumped = dump(consulta)
    # What goes on after the dump is lost with the tables: an end, and a job that was asked for later.
    running.verifying()
    Ends(running).completed(PROOF)
    lost = own.create(liquidation=43, channel_id="C0X")
    own.tell_all()
    own.engine.dispose()

    restore(consulta, dumped)
    skip_numbers(consulta)
    assert own.see(running.job_id).status is Status.RUNNING
    assert own.store.job(lost) is None
    own.let_the_lease_run_out(running.job_id)
    assert running.job_id in own.sweep().lost
    again = own.executions.claim(running.job_id, "host:2")
    assert again is not None
    with pytest.raises(StaleAttempt):  # a worker that has lived through all of it writes nothing more
        running.renew()
    again.planned(PLAN)
    again.verifying()
    Ends(again).completed(PROOF)
    assert own.see(running.job_id).status is Status.COMPLETED
    assert own.see(done).status is Status.PENDING
    assert MessageKind.ENDING in own.tell_all()
    assert own.create(liquidation=43) > lost + 100


def test_a_dump_holds_every_row_and_a_restored_schema_is_at_its_version(
    own: Jobs, consulta: Database
) -> None:
    own.claimed(channel_id="C0X")
    tables = [
        name
        for (name,) in consulta.rows(
            "SELECT relname::text FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'traspaso'::regnamespace"
        )
    ]
    before = {name: consulta.rows(f"SELECT to_jsonb(t) FROM traspaso.{name} t ORDER BY 1") for name in tables}
    own.engine.dispose()
    restore(consulta, dump(consulta))
    after = {name: consulta.rows(f"SELECT to_jsonb(t) FROM traspaso.{name} t ORDER BY 1") for name in tables}
    assert after == before
    assert before["alembic_version"]

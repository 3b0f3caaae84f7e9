"""A claim ends sessions that earlier attempts left behind, and no others; and it knows what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from bot.jobs.attempt import Attempt
from bot.jobs.transactions import with_limits
from copier import CopySpec, Fingerprint, TableName
from tests.copying import sessions_end
from tests.support import Database
from tests.tracking import CHUNK, LOST, SPEC, Ends, Jobs, over

OTHERS = TableName.parse("public.others")
MADE_OF = Fingerprint("public.items", "public.items", "liquidation_id", ("id",), ("amount", "id"))


def again(jobs: Jobs, claim: Attempt) -> Attempt:
    """The claim of the job's next attempt."""
    Ends(claim).retry_later(LOST, 0.0)
    found = jobs.executions.claim(claim.job_id, "host:2")
    assert found is not None
    return found


def named(connection: Connection, label: str) -> Connection:
    """A session with this name."""
    connection.execute(text("SELECT set_config('application_name', :label, false)"), {"label": label})
    connection.commit()
    return connection


def is_alive(connection: Connection) -> bool:
    return connection.execute(text("SELECT 1")).scalar_one() == 1


@pytest.fixture
def elsewhere(consulta: Database) -> Iterator[Connection]:
    """A session of the same role in another database of the same server."""
    engine = create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_a_session_that_an_earlier_attempt_left_behind_is_ended(jobs: Jobs) -> None:
    first = jobs.claimed()
    with jobs.engine.connect() as hanging:
        named(hanging, first.label)
        again(jobs, first)
        with pytest.raises(psycopg.OperationalError):
            for _ in range(1000):
                hanging.connection.driver_connection.execute("SELECT pg_sleep(0.01)")  # type: ignore[union-attr]
        hanging.invalidate()


@pytest.fixture
def in_prod(prod: Database) -> Iterator[Engine]:
    engine = create_engine(prod.url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield with_limits(engine)
    engine.dispose()


def test_so_is_one_in_prod_when_the_next_attempt_begins(jobs: Jobs, prod: Database, in_prod: Engine) -> None:
    second = again(jobs, jobs.claimed())
    with psycopg.connect(prod.url, application_name=f"{second.claim.label_of_all}/1") as hanging:
        hanging.execute("SELECT 1")
        second.end_earlier_sessions(in_prod, "prod")
        with pytest.raises(psycopg.OperationalError):
            hanging.execute("SELECT 1")


def test_one_that_may_not_be_ended_is_named_in_the_log(
    jobs: Jobs, prod: Database, caplog: pytest.LogCaptureFixture
) -> None:
    second = again(jobs, jobs.claimed())
    role = f"reader_{prod.name}"
    prod.execute(f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_stats TO {role}")
    engine = create_engine(
        prod.url.replace("postgresql://", "postgresql+psycopg://", 1).replace("postgres@", f"{role}@")
    )
    label = f"{second.claim.label_of_all}/1"
    try:
        with psycopg.connect(prod.url, application_name=label) as hanging:
            hanging.execute("SELECT 1")
            second.end_earlier_sessions(with_limits(engine), "prod")
            assert hanging.execute("SELECT 1").fetchone() == (1,)
            pid = hanging.info.backend_pid
        [line] = [record.getMessage() for record in caplog.records]
        for word in ("prod", label, "user postgres", "since 2", f"pg_terminate_backend({pid})"):
            assert word in line
    finally:
        engine.dispose()
        prod.execute(f"DROP ROLE {role}")


def test_every_step_of_an_attempt_has_its_name_in_the_database(jobs: Jobs) -> None:
    claim = over(with_limits(jobs.engine), jobs.claimed())
    with claim.transaction() as connection:
        claim.record(connection, CHUNK)
        [name] = connection.execute(
            text("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        ).one()
    assert name == claim.label == f"traspaso {claim.claim.installation} job {claim.job_id}/1"


def test_a_session_for_a_job_of_the_same_number_elsewhere_lives_on(jobs: Jobs, elsewhere: Connection) -> None:
    first = jobs.claimed()
    other_label = first.label.replace(first.claim.installation, "0badcafe")
    with jobs.engine.connect() as installed_beside, jobs.engine.connect() as of_another_job:
        named(elsewhere, first.label)
        named(installed_beside, other_label)
        named(of_another_job, replace(first.claim, job_id=first.job_id * 10 + 1).label)
        again(jobs, first)
        for connection in (elsewhere, installed_beside, of_another_job):
            assert is_alive(connection)
            named(connection, "")


def test_an_installation_has_one_name_for_good_and_another_one_another_name(
    jobs: Jobs, consulta: Database
) -> None:
    other = Jobs(consulta)
    claims = [jobs.claimed(liquidation=1), jobs.claimed(liquidation=2), other.claimed()]
    names = [claim.claim.installation for claim in claims]
    assert names[0] == names[1] != names[2]
    assert all(len(name) == 8 and int(name, 16) >= 0 for name in names)
    longest = replace(claims[0].claim, job_id=2**63 - 1, attempt=2**31 - 1)
    assert len(longest.label) < 64  # what PostgreSQL keeps
    for statement in (
        "INSERT INTO traspaso.installation VALUES ('11111111')",
        "INSERT INTO traspaso.installation VALUES ('11111111', false)",
    ):
        with pytest.raises(psycopg.IntegrityError):
            consulta.execute(statement)
    other.engine.dispose()
    assert sessions_end(consulta)


def test_a_claim_tells_what_a_configuration_has_changed_since_the_request(jobs: Jobs) -> None:
    claim = jobs.claimed(fingerprint=MADE_OF)
    assert claim.claim.fingerprint == MADE_OF
    assert claim.claim.configured_otherwise(SPEC) == []
    assert claim.claim.made_otherwise(MADE_OF) == []
    assert claim.claim.configured_otherwise(replace(SPEC, target_table=OTHERS)) == [
        "table of consulta was public.items, is public.others"
    ]
    assert claim.claim.configured_otherwise(replace(SPEC, key=("line",))) == ["key was (id), is (line)"]
    assert claim.claim.made_otherwise(replace(MADE_OF, columns=("id",))) == [
        "column amount is not copied any more"
    ]


def test_a_job_of_an_older_release_is_bound_to_its_tables(jobs: Jobs) -> None:
    claim = jobs.claimed()
    assert claim.claim.fingerprint is None
    assert claim.claim.configured_otherwise(CopySpec("items", OTHERS, SPEC.target_table, "x", ("y",))) == [
        "table of prod was public.items, is public.others"
    ]
    assert claim.claim.made_otherwise(MADE_OF) == []

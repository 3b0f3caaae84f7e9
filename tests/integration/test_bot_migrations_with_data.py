"""Each version of the tracking tables goes up and down again with the rows of years in it, and loses nothing
that the older one can hold; what breaks a migration off leaves the tables as they were.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine

import migrations
from dev.binaries import installed_programs
from dev.guard import ROOT
from tests.shell import Shell
from tests.support import Database, until

RELEASE_0_1_0 = ROOT / "tests" / "fixtures" / "tracking-tables-0.1.0.sql"

Rows = dict[str, list[dict[str, Any]]]

#: What a version can hold and the one before can't: rows for it, once the schema is there.
NEW_IN = {
    "0002": """
        UPDATE traspaso.copy_jobs SET approval = 'waiting', approval_until = '2036-01-01Z' WHERE id = 3;
        UPDATE traspaso.copy_jobs SET approval = 'approved', approval_by = 2, approval_at = now(),
               previewed_records = 6500, stop_requested = 'pause', stopped_by = 2 WHERE id = 2;
        UPDATE traspaso.copy_jobs SET approval = 'rejected', approval_by = 2 WHERE id = 6;
        INSERT INTO traspaso.copy_jobs
               (user_id, copy_name, source_table, target_table, liquidation_id, status, approval, finished_at)
        VALUES (1, 'items', 'a', 'b', 60, 'cancelled', 'expired', now()),
               (1, 'items', 'a', 'b', 61, 'failed', NULL, now());
        UPDATE traspaso.copy_jobs SET retried_at_attempt = 3 WHERE liquidation_id = 61;
        INSERT INTO traspaso.copy_freezes (reason, frozen_by, lifted_by, lifted_at)
        VALUES ('month-end', 1, 2, now()), ('audit', 2, NULL, NULL)
    """,
    "0003": """
        INSERT INTO traspaso.copy_jobs
               (user_id, copy_name, source_table, target_table, liquidation_id, question,
                previewed_target_records, removal_confirmed, fingerprint, channel_id)
        VALUES (1, 'items', 'a', 'b', 62, '{"reason": "moved"}', 5, true, '{"key": ["id"]}', 'C0PAYROLL');
        INSERT INTO traspaso.outbox (job_id, attempt, kind) SELECT id, 1, 'question' FROM traspaso.copy_jobs
         WHERE liquidation_id = 62
    """,
    "0004": """
        INSERT INTO traspaso.workers (host, process, version, takes_jobs, ended_at)
        VALUES ('old', 1, '0.1.0', true, NULL), ('old', 2, '0.1.0', false, now());
        UPDATE traspaso.copy_jobs SET worker_id = 1, pinned = true WHERE id = 2;
        UPDATE traspaso.installation SET workers_missing = true;
        INSERT INTO traspaso.outbox
               (job_id, attempt, kind, version, failures, failing_since, begun, message_ts)
        SELECT 2, 1, kind, 2, 3, now(), true, '1.0'
          FROM unnest(ARRAY['refresh', 'pin', 'left', 'doubles']) kind
    """,
    "0006": "UPDATE traspaso.copy_freezes SET channel_id = 'C0PAYROLL'",
    "0008": """
        UPDATE traspaso.copy_jobs SET request_reason = 'audit', approval_reason = 'agreed',
               approval_asked_at = now(), second_group_at = now() WHERE id = 1;
        INSERT INTO traspaso.job_followers (job_id, user_id) VALUES (1, 2);
        INSERT INTO traspaso.outbox (job_id, attempt, kind, occasion, destination)
        VALUES (1, 1, 'notify:completed:ops-mail', 'completed', 'ops-mail'),
               (NULL, 0, 'notify:no_worker', 'no_worker', NULL), (1, 1, 'tell:U0BOB', NULL, NULL)
    """,
    "0009": """
        UPDATE traspaso.copy_jobs SET schedule = 'nightly', start_at = '2036-01-01Z' WHERE id = 1;
        UPDATE traspaso.copy_freezes SET until = '2036-01-01Z' WHERE lifted_at IS NULL
    """,
    "0010": """
        INSERT INTO traspaso.receipts (number, job_id, attempt, at, receipt, previous_hash, hash)
        VALUES (1, 5, 1, now(), '{"job": 5}', repeat('0', 64), repeat('a', 64))
    """,
    "0011": """
        UPDATE traspaso.copy_jobs SET kept = '{"marks": [["claimed", 1763632800]]}' WHERE id = 1;
        UPDATE traspaso.installation SET pruned_at = now()
    """,
    "0013": """
        UPDATE traspaso.copy_jobs SET values_job_id = id WHERE status = 'completed';
        INSERT INTO traspaso.proofs
               (source_table, target_table, liquidation_id, job_id, values_job_id, values_at, baseline)
        SELECT 'a', 'b', 99, id, id, now(), '{}' FROM traspaso.copy_jobs WHERE status = 'completed' LIMIT 1
    """,
    "0015": """
        INSERT INTO traspaso.drift (liquidation_id, target_table, job_id, looked_at, equal, updated_records)
        SELECT liquidation_id, target_table, proven_job_id, now(), false, 3 FROM traspaso.standings
         WHERE proven_job_id IS NOT NULL;
        INSERT INTO traspaso.watch_rounds (due_at) VALUES ('2026-11-27 03:00Z');
        INSERT INTO traspaso.channel_notices (kind, subject_id, channel_id) VALUES ('drift', 1, 'C0PAYROLL')
    """,
    "0018": "UPDATE traspaso.copy_jobs SET previewed_deletes = 4 WHERE id = 1",
    "0016": """
        INSERT INTO traspaso.copy_runs (kind, liquidations, user_id, channel_id)
        VALUES ('several', '{1,2}', 1, 'C0PAYROLL'), ('several', '{3}', 1, 'C0PAYROLL');
        UPDATE traspaso.copy_jobs SET run_id = 1, run_position = 1 WHERE id = 1;
        INSERT INTO traspaso.outbox (run_id, attempt, kind)
        VALUES (1, 0, 'run:card'), (2, 0, 'run:card'), (1, 1, 'run:card')
    """,
}


def asked(row: dict[str, Any], before: Rows) -> bool:
    """The row is of a job that asks, and ends where the older release can't take the answer."""
    jobs = {job["id"] for job in before["copy_jobs"] if job.get("question")}
    return (row["id"] if "copy_name" in row else row.get("job_id")) in jobs


#: What the way back to a version changes on purpose: rows that it doesn't keep as they are.
GIVEN_UP: dict[str, Callable[[str, dict[str, Any], Rows], bool]] = {
    "0002": lambda table, row, before: asked(row, before),
    "0003": lambda table, row, before: (
        table == "outbox" and row["kind"] in {"refresh", "pin", "left", "doubles"}
    ),
    "0015": lambda table, row, before: table == "outbox" and row.get("run_id") is not None,
    "0007": lambda table, row, before: (
        table == "outbox" and (row["job_id"] is None or row["kind"].startswith(("notify:", "tell:")))
    ),
}


@pytest.fixture
def old(consulta: Database) -> Iterator[tuple[Database, Engine]]:
    """The tables as release 0.1.0 left them."""
    consulta.execute(RELEASE_0_1_0.read_text("utf-8"))
    engine = create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield consulta, engine
    engine.dispose()


def everything(consulta: Database) -> Rows:
    """All rows of all tables, but for the mark of the version."""
    tables = consulta.rows(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'traspaso'::regnamespace"
    )
    return {
        table: [row for (row,) in consulta.rows(f"SELECT to_jsonb(t) FROM traspaso.{table} t ORDER BY 1")]
        for (table,) in tables
        if table != "alembic_version"
    }


def what_it_holds(rows: Rows, older: Rows) -> Rows:
    """Of these rows the tables and columns that the older version has."""
    columns = {table: set(there[0]) for table, there in older.items() if there}
    return {
        table: ordered({name: row[name] for name in row if name in columns[table]} for row in rows[table])
        for table in columns
    }


def ordered(rows: Any) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def without_charts(rows: Rows) -> Rows:
    """Version 0005 has no charts of their own any more, and deletes those that were owed."""
    return rows | {"outbox": [row for row in rows["outbox"] if row["kind"] != "chart"]}


def test_the_first_migration_still_makes_what_release_0_1_0_had(old: tuple[Database, Engine]) -> None:
    consulta, engine = old
    dump = [str(installed_programs() / "pg_dump"), "-s", "-n", "traspaso", "--no-owner", consulta.url]

    def schema() -> list[str]:
        said = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
        return [line for line in said.splitlines() if not line.startswith(("\\", "--"))]

    then = schema()
    consulta.execute("DROP SCHEMA traspaso CASCADE")
    migrations.upgrade(engine, "0001")
    assert schema() == then


def test_each_version_goes_up_and_down_and_up_with_the_rows_of_all_versions_before(
    old: tuple[Database, Engine],
) -> None:
    consulta, engine = old
    versions = migrations.versions()
    for version, following in pairwise(versions):
        before = everything(consulta)
        migrations.move(engine, following)
        migrations.move(engine, version)
        if following == "0005":
            before = without_charts(before)
        # What the older release says of a row that it had before is what it was.
        assert everything(consulta) == before, f"{version} after {following}"
        migrations.move(engine, following)
        if following in NEW_IN:
            consulta.execute(NEW_IN[following])


def test_the_whole_way_back_keeps_all_that_each_older_version_can_hold(old: tuple[Database, Engine]) -> None:
    consulta, engine = old
    versions = migrations.versions()
    for version in versions[1:]:
        migrations.move(engine, version)
        if version in NEW_IN:
            consulta.execute(NEW_IN[version])
    for version in reversed(versions[:-1]):
        before = everything(consulta)
        migrations.move(engine, version)
        after = everything(consulta)
        given_up = GIVEN_UP.get(version, lambda *_: False)
        kept = {
            table: [row for row in rows if not given_up(table, row, before)] for table, rows in before.items()
        }
        left = {
            table: [row for row in rows if not given_up(table, row, before)] for table, rows in after.items()
        }
        assert what_it_holds(kept, after) == {
            table: ordered(rows) for table, rows in left.items() if after[table]
        }
    statuses = {row["status"] for row in everything(consulta)["copy_jobs"]}
    assert statuses == {"pending", "running", "paused", "completed", "failed", "cancelled"}


# ------------------------------------------------------------------------------------- what gets in the way


def waits(shell: Shell) -> None:
    """Until a migration waits for a table that somebody holds."""
    query = (
        "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'traspaso.outbox'::regclass "
        "AND mode = 'AccessExclusiveLock'"
    )
    until(lambda: shell.sides.consulta.rows(query), what="a migration that waits")


@pytest.fixture
def behind(shell: Shell) -> Shell:
    """The tables are those of release 0.1.0."""
    shell.sides.consulta.execute("DROP SCHEMA traspaso CASCADE")
    shell.sides.consulta.execute(RELEASE_0_1_0.read_text("utf-8"))
    return shell


def test_a_migration_that_is_killed_in_its_middle_has_changed_nothing(behind: Shell) -> None:
    before = everything(behind.sides.consulta)
    with psycopg.connect(behind.sides.consulta.url) as somebody:
        somebody.execute("LOCK TABLE traspaso.outbox IN ACCESS SHARE MODE")
        migrating = behind.begin("migrate")
        waits(behind)
        migrating.kill()
        migrating.communicate(30)
    assert everything(behind.sides.consulta) == before
    assert behind.sides.consulta.rows("SELECT version_num FROM traspaso.alembic_version") == [("0001",)]
    assert behind.run("migrate")[0] == 0


def test_a_table_that_somebody_holds_is_not_waited_for_long_and_the_holder_is_named(behind: Shell) -> None:
    before = everything(behind.sides.consulta)
    with psycopg.connect(behind.sides.consulta.url, application_name="nightly report") as somebody:
        somebody.execute("LOCK TABLE traspaso.outbox IN ACCESS SHARE MODE")
        code, _, err = behind.run("migrate")
        assert code == 1
        assert f"held by session {somebody.info.backend_pid} (nightly report) of consulta" in err
        assert "nothing was changed" in err
    assert everything(behind.sides.consulta) == before
    assert behind.run("migrate")[0] == 0


def test_two_that_migrate_at_once_both_end_well(behind: Shell) -> None:
    both = [behind.begin("migrate") for _ in range(2)]
    for process in both:
        process.communicate(60)
    assert [process.returncode for process in both] == [0, 0]
    [(version,)] = behind.sides.consulta.rows("SELECT version_num FROM traspaso.alembic_version")
    assert version == migrations.newest()

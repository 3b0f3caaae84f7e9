"""A whole liquidation by its jobs: one for each table, which begin and end together."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bot import app
from bot.config import Need, load
from bot.jobs.actions import Became, Control
from bot.jobs.models import RunKind, Status
from bot.jobs.repository import JobHistory, RunRequest
from bot.work.cancellation import StopSwitch
from bot.work.runner import AttemptOutcome
from copier import CopySpec, TableName
from tests.copying import Sides, engine
from tests.payroll import ENTRIES, OF_42, ORDER, TABLES, filled
from tests.shell import Shell
from tests.support import Database
from tests.tracking import ANA, Jobs

FILE = (
    ENTRIES
    + """
[[sets]]
name = "completa"
title = "Liquidación completa"
copies = ["lines", "deductions", "payslips", "head"]
default = true
[work]
chunk_rows = 100
parallel = 2
lease_seconds = 2
"""
)


@pytest.fixture
def payroll(sides: Sides, tracked: Database, tmp_path: Path) -> Shell:
    """A terminal of somebody whose configuration has the set; consulta has the tables, and is empty."""
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    shell = Shell(sides, tmp_path)
    (tmp_path / "traspaso.toml").write_text(FILE, "utf-8")
    return shell


def assert_same(sides: Sides) -> None:
    for table, of_42 in OF_42.items():
        sides.assert_same(table, of_42, ORDER[table])


def jobs_of(shell: Shell) -> dict[str, dict[str, Any]]:
    """The newest job of each copy."""
    return {job["copy_name"]: job for job in shell.jobs()}


def test_a_liquidation_without_the_name_of_a_copy_is_the_default_set(payroll: Shell) -> None:
    code, out, err = payroll.run("copy", "42")
    assert (code, out) == (0, ""), err
    jobs = jobs_of(payroll)
    assert {job["status"] for job in jobs.values()} == {"completed"}
    assert len({job["as_of"] for job in jobs.values()}) == 1
    assert len({job["finished_at"] for job in jobs.values()}) == 1
    assert len({job["run_id"] for job in jobs.values()}) == 1
    assert "✅ Liquidación completa of liquidation 42: all tables are proven, as prod held them at" in err
    for name, job in jobs.items():
        assert f"Job {job['id']}" in err
        assert job["target_digest"] in err
        assert job["source_digest"] == job["target_digest"], name
    assert_same(payroll.sides)
    [(receipts,)] = payroll.sides.consulta.rows("SELECT count(*) FROM traspaso.receipts")
    assert receipts == 4
    code, out, _ = payroll.run("status", "--json")
    assert {json.loads(line)["set"] for line in out.splitlines()} == {"completa"}
    code, out, _ = payroll.run("status", str(jobs["lines"]["id"]))
    lines = out.splitlines()
    assert (code, lines[1].split()[:3]) == (0, ["Run", str(jobs["lines"]["run_id"]), "42"])
    assert "Liquidación completa" in lines[1]
    assert "4 tables" in lines[1]
    assert {(line.split()[0], line.split()[3]) for line in lines[2:6]} == {("↳", name) for name in jobs}


def test_a_set_is_named_in_the_place_of_a_copy_too_and_a_copy_stays_one(payroll: Shell) -> None:
    code, out, _ = payroll.run("copy", "42", "--set", "completa", "--json")
    end = [json.loads(line) for line in out.splitlines()][-1]
    assert (code, end["set"], end["completed"], len(end["jobs"])) == (0, "completa", True, 4)
    code, _, err = payroll.run("copy", "43", "completa")
    assert (code, "Liquidación completa of liquidation 43" in err) == (0, True)
    assert payroll.run("copy", "42", "lines")[0] == 0
    assert len(payroll.jobs()) == 9
    for arguments, words in (
        (("--set", "nosuch"), "there is no set named 'nosuch'; configured: completa"),
        (("lines", "--set", "completa"), "name either a copy or a set"),
    ):
        code, _, err = payroll.run("copy", "42", *arguments)
        assert (code, words in err) == (2, True), err


def test_the_set_of_several_liquidations_is_copied_one_after_the_other(payroll: Shell) -> None:
    code, _, err = payroll.run("copy", "41-44", "--set", "completa")
    assert code == 1
    assert "❌ 44: liquidation 44 has no rows in prod, and none in consulta: nothing to copy" in err
    for number in (41, 42, 43):
        assert f"✅ Liquidación completa of liquidation {number}: all tables are proven" in err
    assert [job["status"] for job in payroll.jobs()] == ["completed"] * 12
    assert_same(payroll.sides)


def test_a_table_that_refuses_rows_fails_the_set_and_the_terminal_says_what_is_done(payroll: Shell) -> None:
    payroll.sides.consulta.execute("ALTER TABLE payslip_lines ADD CONSTRAINT small CHECK (amount < 10)")
    code, _, err = payroll.run("copy", "42")
    assert code == 1
    jobs = jobs_of(payroll)
    assert {job["status"] for job in jobs.values()} == {"failed"}
    assert (jobs["lines"]["error"]["code"], jobs["lines"]["error"]["constraint"]) == ("check", "small")
    assert jobs["head"]["error"]["code"] == "set_failed"
    assert jobs["head"]["error"]["lines"] == [
        f"failed: lines (job {jobs['lines']['id']})",
        "in place: head, payslips",
        "not begun: deductions",
    ]
    assert "in place: head, payslips" in err
    assert "`traspaso copy 42 --set completa` goes on" in err
    payroll.sides.consulta.execute("ALTER TABLE payslip_lines DROP CONSTRAINT small")
    assert payroll.run("copy", "42")[0] == 0
    again = jobs_of(payroll)
    assert again["payslips"]["unchanged_records"] == again["payslips"]["total_records"] > 0
    assert_same(payroll.sides)


def test_a_set_and_a_copy_of_one_of_its_tables_never_run_beside_each_other(payroll: Shell) -> None:
    jobs = Jobs(payroll.sides.consulta, are_there=True)
    job_id = jobs.create(42, spec=spec("payslip_lines", "lines"))
    code, _, err = payroll.run("copy", "42")
    assert (code, f"job {job_id} copies a table of it already" in err) == (1, True)
    assert len(payroll.jobs()) == 1
    assert payroll.sides.consulta.rows("SELECT count(*) FROM traspaso.copy_runs") == [(0,)]


def test_a_worker_goes_on_with_the_whole_set_where_its_process_was_killed(payroll: Shell) -> None:
    """Kill -9 in the middle of the third table; then any of the jobs brings all of them to their end."""
    config = payroll.file_with("")
    Path(config).write_text(FILE + "rows_per_second = 250\n", "utf-8")
    process = payroll.begin("copy", "42", TRASPASO_CONFIG=config)
    deadline = time.monotonic() + 40
    lines = "SELECT count(*) FROM payslip_lines"
    while payroll.sides.consulta.rows(lines) == [(0,)]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate(10)
    [(found,)] = payroll.sides.consulta.rows(lines)
    jobs = jobs_of(payroll)
    assert 0 < found < 500
    assert {job["status"] for job in jobs.values()} == {"running"}

    tracking = Jobs(payroll.sides.consulta, are_there=True)
    for job in jobs.values():
        tracking.let_the_lease_run_out(job["id"])
    tracking.run("UPDATE traspaso.workers SET beat_at = now() - interval '1 hour'")
    tracking.sweep()
    assert {job["status"] for job in jobs_of(payroll).values()} == {"pending"}
    settings = load(payroll.environment, Need.DATABASES | Need.COPIES)
    runner = app.databases(settings).runner
    assert tracking.executions.claim(jobs["lines"]["id"], "host:1") is None  # nobody takes one of them alone
    assert runner.run(jobs["deductions"]["id"], StopSwitch()).outcome is AttemptOutcome.COMPLETED
    ended = jobs_of(payroll)
    assert {(job["status"], job["attempt"]) for job in ended.values()} == {("completed", 2)}
    assert ended["payslips"]["unchanged_records"] == 100
    assert_same(payroll.sides)


def spec(table: str, name: str) -> CopySpec:
    return CopySpec(name, TableName("public", table), TableName("public", table), "liquidation_id")


def test_what_is_done_to_one_job_of_a_set_is_done_to_all(jobs: Jobs) -> None:
    requests = tuple(jobs.request(42, spec=spec(name, name)) for name in ("a", "b", "c"))
    created = jobs.store.create_run(RunRequest(RunKind.SET, requests, ANA, set_name="completa"))
    control, members = Control(jobs.engine), created.job_ids
    assert control.pause(members[1], ANA).became is Became.DONE
    assert {jobs.see(each).status for each in members} == {Status.PAUSED}
    assert jobs.executions.claim_set(members[0], "host:1") == []
    assert control.resume(members[2], ANA).became is Became.DONE
    attempts = jobs.executions.claim_set(members[2], "host:1")
    assert [attempt.job_id for attempt in attempts] == list(members)
    assert jobs.executions.claim_set(members[0], "host:2") == []
    assert control.cancel(members[0], ANA).became is Became.REQUESTED
    assert {jobs.see(each).stop_requested for each in members} == {"cancel"}


def test_a_set_is_taken_whole_or_not_at_all(jobs: Jobs) -> None:
    requests = tuple(jobs.request(42, spec=spec(name, name)) for name in ("a", "b"))
    created = jobs.store.create_run(RunRequest(RunKind.SET, requests, ANA, set_name="completa"))
    jobs.run(
        "UPDATE traspaso.copy_jobs SET run_after = now() + interval '1 minute' WHERE id = :id",
        id=created.job_ids[1],
    )
    assert jobs.executions.claim_set(created.job_ids[0], "host:1") == []
    assert {jobs.see(each).status for each in created.job_ids} == {Status.PENDING}
    alone = jobs.create(43)
    assert jobs.executions.claim_set(alone, "host:1") == []
    assert jobs.executions.claim(alone, "host:1") is not None


def test_a_set_stands_behind_what_was_asked_for_before_it_never_behind_itself_and_counts_as_one(
    jobs: Jobs,
) -> None:
    def a_set_of(liquidation: int) -> tuple[int, ...]:
        requests = tuple(jobs.request(liquidation, spec=spec(name, name)) for name in ("a", "b", "c"))
        return jobs.store.create_run(RunRequest(RunKind.SET, requests, ANA, set_name="completa")).job_ids

    def ahead(*job_ids: int) -> set[int]:
        """Read one by one, and all live ones together."""
        live = {job.id: job.ahead for job in jobs.store.live()}
        assert [jobs.see(each).ahead for each in job_ids] == [live[each] for each in job_ids]
        return {live[each] for each in job_ids}

    first = a_set_of(42)
    assert ahead(*first) == {0}
    alone, second = jobs.create(7), a_set_of(43)
    assert ahead(alone) == {1}
    assert ahead(*second) == {2}
    assert jobs.executions.claim_set(first[0], "host:1")
    assert ahead(*second) == {2}


# How a set is drawn.


def test_a_set_is_drawn_in_its_order_with_what_is_missing(payroll: Shell) -> None:
    code, out, err = payroll.run("explain")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Liquidación completa"
    tables = [line.split() for line in lines[3:7]]
    assert [line[:2] for line in tables] == [
        ["1", "head"],
        ["2", "payslips"],
        ["3", "lines"],
        ["4", "deductions"],
    ]
    assert "payslip_id -> public.payslips.id, there liquidation_id" in out
    assert "lines (payslip_id) -> payslips (id), payslip_lines_payslip_id_fkey: the parent is written" in out
    assert "Would be refused" not in out
    payroll.sides.both("DROP INDEX payslips_liquidation_id_id_idx")
    assert (
        "prod: CREATE INDEX CONCURRENTLY ON public.payslips (liquidation_id, id)" in payroll.run("explain")[1]
    )
    assert payroll.run("explain", "nosuch")[0] == 2


def test_a_set_is_drawn_for_programs_and_for_pages(payroll: Shell) -> None:
    code, out, _ = payroll.run("explain", "completa", "--json")
    found = json.loads(out)
    assert (code, found["set"]) == (0, "Liquidación completa")
    assert found["steps"] == [["head"], ["payslips"], ["lines"], ["deductions"]]
    assert [key["use"] for key in found["foreign_keys"]] == ["order"] * 3
    assert [table["refused"] for table in found["tables"]] == [[]] * 4
    code, out, _ = payroll.run("explain", "--mermaid")
    assert (code, out.splitlines()[0]) == (0, "flowchart BT")
    assert '    t3 -->|"payslip_id"| t2' in out.splitlines()
    assert '        t3["lines<br/>public.payslip_lines"]' in out.splitlines()


def test_what_would_be_refused_is_said_before_anybody_copies(payroll: Shell) -> None:
    payroll.sides.consulta.execute("""
        ALTER TABLE payslips ADD COLUMN main_line_id bigint NOT NULL REFERENCES payslip_lines;
        ALTER TABLE payslip_lines ALTER COLUMN payslip_id SET NOT NULL;
        DROP TABLE deductions;
    """)
    code, out, _ = payroll.run("explain")
    assert code == 1
    assert "no table of lines -> payslips -> lines can be written first" in out
    assert "payslips_main_line_id_fkey of payslips" in out
    assert "deductions: table public.deductions not found in consulta" in out
    assert payroll.sides.consulta.rows("SELECT count(*) FROM payslips") == [(0,)]
    payroll.sides.consulta.execute("ALTER TABLE payslips ALTER COLUMN main_line_id DROP NOT NULL")
    code, out, _ = payroll.run("explain", "--json")
    uses = {key["name"]: key["use"] for key in json.loads(out)["foreign_keys"]}
    assert uses["payslips_main_line_id_fkey"] == "second_pass"


def test_a_run_knows_how_long_each_table_took_and_the_next_preview_how_long_the_set_will(
    payroll: Shell,
) -> None:
    history = JobHistory(engine(payroll.sides.consulta.url))
    assert history.expected_seconds_of_set("completa", 850) is None
    assert payroll.run("copy", "42")[0] == 0
    jobs = Jobs(payroll.sides.consulta, are_there=True)
    [run] = jobs.store.runs([1]).values()
    assert [*run.spent] == [job.id for job in run.jobs]
    assert all(0 < seconds < run.seconds + 1 for seconds in run.spent.values())
    expected = history.expected_seconds_of_set("completa", 850)
    assert expected is not None
    assert 0 < expected < 60
    assert history.expected_seconds_of_set("another", 850) is None

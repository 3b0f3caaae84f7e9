"""A copy in a shell keeps to what was shown: it ends with the new numbers, and how to confirm them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bot.jobs.attempt import Executions, SecondPerson
from bot.jobs.repository import JobRepository, Request, Requester
from bot.jobs.view import AgreedCounts, Question, Reason
from copier import CopySpec, TableName
from tests.copying import engine
from tests.shell import FILE, ROWS, Shell
from tests.support import until
from tests.tracking import Ends

TABLE = TableName.parse("public.items")
SPEC = CopySpec("items", TABLE, TABLE, "liquidation_id")


@contextmanager
def between_look_and_job(given: Shell) -> Iterator[None]:
    """Runs its block when the copy that is begun in it has looked at both sides, and has no job yet."""
    with psycopg.connect(given.sides.consulta.url) as somebody:
        somebody.execute("LOCK TABLE traspaso.users")
        yield


def looked(given: Shell) -> None:
    """The copy has looked, and wants to create its job."""
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'traspaso.users'::regclass"
    until(lambda: given.sides.consulta.rows(waiting), what="a copy that waits")


def copy_while(given: Shell, change: str, *arguments: str) -> tuple[int, str, str]:
    """A copy in the foreground; prod changes so between its look and its snapshot."""
    with between_look_and_job(given):
        process = given.begin("copy", *arguments)
        looked(given)
        given.sides.prod.execute(change)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def held(given: Shell, liquidation: int = 42) -> int:
    [(count,)] = given.sides.consulta.rows(f"SELECT count(*) FROM items WHERE liquidation_id = {liquidation}")
    return int(count)


MORE = f"INSERT INTO items SELECT g, 42, g, 'n' || g FROM generate_series({ROWS + 1}, {ROWS + 3000}) g"


def test_a_copy_whose_rows_have_become_more_ends_with_1_and_both_numbers(shell: Shell) -> None:
    code, out, err = copy_while(shell, MORE, "42", "--json")
    [job] = shell.jobs()
    assert code == 1
    for part in ("5,000", "8,000", f"traspaso confirm {job['id']}", f"traspaso cancel {job['id']}"):
        assert part in err
    assert (job["status"], job["question"]["reason"], held(shell)) == ("pending", "moved", 0)
    end = json.loads(out.splitlines()[-1])
    assert (end["previewed_records"], end["question"]["in_prod"]) == (ROWS, ROWS + 3000)
    # The status says it, in words, and how to answer.
    code, out, _ = shell.run("status", str(job["id"]))
    assert (code, f"traspaso confirm {job['id']}" in out, "8,000" in out) == (0, True, True)
    assert "waiting for" in shell.run("status")[1]
    # Other numbers than those that it asks about are agreed to by nobody.
    code, _, err = shell.run("confirm", str(job["id"]), "8001", "0")
    assert (code, f"traspaso confirm {job['id']} 8000 0" in err) == (1, True)
    code, out, _ = shell.run("confirm", str(job["id"]), "8000", "0")
    assert (code, f"Job {job['id']}" in out) == (0, True)
    [job] = shell.jobs()
    assert (job["question"], job["previewed_records"], job["status"]) == (None, ROWS + 3000, "pending")
    code, _, err = shell.run("confirm", str(job["id"]), "8000", "0")
    assert (code, "asks nothing" in err) == (1, True)


def test_a_copy_whose_rows_are_gone_removes_nothing_unless_that_was_said(shell: Shell) -> None:
    assert shell.run("copy", "42")[0] == 0
    code, _, err = copy_while(shell, "DELETE FROM items WHERE liquidation_id = 42", "42")
    assert (code, held(shell)) == (1, ROWS)
    job = shell.jobs()[-1]
    assert (job["question"]["reason"], job["removal_confirmed"]) == ("removal", False)
    assert f"traspaso confirm {job['id']} 0 {ROWS} --remove" in err
    code, _, err = shell.run("confirm", str(job["id"]), "0", str(ROWS))
    assert (code, "--remove" in err, held(shell)) == (1, True, ROWS)
    assert shell.run("cancel", str(job["id"]))[0] == 0
    assert shell.run("copy", "42", "--remove")[0] == 0
    assert (shell.jobs()[-1]["removal_confirmed"], held(shell)) == (True, 0)


def test_a_copy_that_has_come_to_need_a_second_person_fails_with_the_way_to_ask_for_one(
    shell: Shell,
) -> None:
    path = Path(shell.environment["TRASPASO_CONFIG"])
    path.write_text(FILE.replace("[work]", f"approval_over_rows = {ROWS + 1000}\n[work]"), "utf-8")
    code, _, _ = copy_while(shell, MORE, "42")
    [job] = shell.jobs()
    assert (code, job["status"], job["error"]["code"]) == (1, "failed", "nobody_to_approve")
    assert "/copy-liquidation 42 items" in job["error_message"]
    assert held(shell) == 0


def test_what_a_second_person_is_asked_can_t_be_confirmed_in_a_shell(shell: Shell) -> None:
    consulta = engine(shell.sides.consulta.url)
    shown = AgreedCounts(500, 0, removal_confirmed=False)
    request = Request(SPEC, 42, None, Requester("T0", "U0ANA", "Ana"), channel_id="C0", terms=shown)
    job_id, _ = JobRepository(consulta).create(request)
    executions = Executions(consulta, lease_seconds=60)
    claim = executions.claim(job_id, "host:1")
    assert claim is not None
    question = Question(Reason.APPROVAL, 150_500, 0, 500, 0)
    Ends(claim).ask(question, SecondPerson(("<!subteam^S0ADMINS>",), 3600.0))
    code, _, err = shell.run("confirm", str(job_id), "150500", "0")
    assert (code, "second person" in err) == (1, True)
    code, out, _ = shell.run("status", str(job_id))
    assert (code, "150,500" in out, "traspaso confirm" in out) == (0, True, False)
    assert shell.jobs()[0]["approval"] == "waiting"
    assert shell.run("confirm", "987654321", "1", "0")[0] == 1
    consulta.dispose()


def test_an_estimate_is_below_no_threshold(shell: Shell) -> None:
    path = Path(shell.environment["TRASPASO_CONFIG"])
    settings = "approval_over_rows = 1000000\n[work]\npreview_timeout_seconds = 0.5"
    path.write_text(FILE.replace("[work]", settings), "utf-8")
    shell.sides.prod.execute("""
        ANALYZE items;
        CREATE FUNCTION slowly() RETURNS boolean STABLE LANGUAGE sql AS 'SELECT pg_sleep(30) IS NOT NULL';
        ALTER TABLE items RENAME TO base;
        CREATE VIEW items AS SELECT * FROM base WHERE (SELECT slowly())
    """)
    code, _, err = shell.run("copy", "42")
    assert (code, "/copy-liquidation 42 items" in err, shell.jobs()) == (1, True, [])


@pytest.mark.parametrize("change", ["ADD extra int", "DROP note"])
def test_a_job_keeps_what_its_copy_was_made_of(shell: Shell, change: str) -> None:
    """Somebody changes both tables between the look and the start."""
    with between_look_and_job(shell):
        process = shell.begin("copy", "42")
        looked(shell)
        shell.sides.both(f"ALTER TABLE items {change}")
    process.communicate(timeout=60)
    [job] = shell.jobs()
    assert (process.returncode, job["error"]["code"], held(shell)) == (1, "copy_changed", 0)
    assert job["fingerprint"]["columns"] == ["amount", "id", "liquidation_id", "note"]
    assert change.split()[1] in job["error_message"]


def test_a_copy_that_would_remove_much_shows_how_much_and_wants_it_said(shell: Shell) -> None:
    assert shell.run("copy", "42")[0] == 0
    shell.sides.prod.execute("DELETE FROM items WHERE id > 10")
    code, _, err = shell.run("copy", "42")
    assert (code, held(shell), len(shell.jobs())) == (1, ROWS, 1)
    assert f"remove {ROWS - 10:,} of them; add --remove" in err
    assert shell.run("copy", "42", "--remove")[0] == 0
    assert held(shell) == 10

"""`traspaso` in a shell: the same copies without Slack and without Redis."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

import migrations
from bot.cli import main
from bot.cli.output import plain
from bot.i18n import translator
from bot.jobs.actions import Approvals
from bot.jobs.failure import Failure
from bot.jobs.repository import JobRepository, Request, Requester
from bot.messages.failure_texts import explained
from bot.untrusted_text import one_line
from copier import CopySpec, TableName
from tests.copying import Sides, engine
from tests.shell import FILE, PASSWORD, ROWS, Shell
from tests.support import until


def test_a_copy_in_the_foreground_ends_with_0_and_a_receipt(shell: Shell) -> None:
    shell.sides.consulta.execute("INSERT INTO items VALUES (900000, 42, 1, 'surplus')")
    code, out, err = shell.run("copy", "42", "items")
    assert (code, out) == (0, "")
    [job] = shell.jobs()
    assert (job["status"], job["copied_records"], job["channel_id"]) == ("completed", ROWS, None)
    assert f"Job {job['id']}" in err
    assert job["target_digest"] in err
    assert "✅" in err
    shell.sides.assert_same()


def test_json_is_one_object_a_line_and_the_last_one_is_the_end(shell: Shell) -> None:
    code, out, _ = shell.run("copy", "42", "--json")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    end = lines[-1]
    assert (end["status"], end["total_records"], end["copied_records"]) == ("completed", ROWS, ROWS)
    assert (end["liquidation_id"], end["copy"], end["error"]) == (42, "items", None)
    assert end["as_of"]
    assert end["source_digest"] == end["target_digest"]
    code, out, _ = shell.run("status", str(end["id"]), "--json")
    [receipt] = [json.loads(line) for line in out.splitlines()]
    ledger = receipt.pop("chunks")
    assert (code, receipt) == (0, end)
    assert sum(chunk["records"] for chunk in ledger) == ROWS
    assert all(chunk["source_digest"] == chunk["target_digest"] for chunk in ledger)
    assert set(receipt["seconds_by_phase"]) == {"counting", "copying", "verifying"}


def test_a_copy_that_needs_approval_is_refused_with_the_way_to_ask_for_it(shell: Shell) -> None:
    path = Path(shell.environment["TRASPASO_CONFIG"])
    for setting in ("require_approval = true", f"approval_over_rows = {ROWS - 1}"):
        path.write_text(FILE.replace("[work]", f"{setting}\n[work]"), "utf-8")
        code, out, err = shell.run("copy", "42")
        assert (code, out) == (1, "")
        assert "/copy-liquidation 42 items" in err
        assert shell.jobs() == []
    path.write_text(FILE.replace("[work]", f"approval_over_rows = {ROWS}\n[work]"), "utf-8")
    assert shell.run("copy", "42")[0] == 0
    assert shell.jobs()[0]["previewed_records"] == ROWS


def test_a_copy_that_asks_for_a_reason_gets_none_without_one_and_keeps_it(shell: Shell) -> None:
    path = Path(shell.environment["TRASPASO_CONFIG"])
    path.write_text(FILE.replace("[work]", "require_reason = true\n[work]"), "utf-8")
    for arguments in (["copy", "42"], ["copy", "42", "--reason", "  "]):
        code, out, err = shell.run(*arguments)
        assert (code, out) == (2, "")
        assert "copying items needs a reason: add --reason 'why it is copied'" in err
    assert shell.jobs() == []
    assert shell.run("copy", "42", "--reason", "cierre de\toctubre " + "x" * 400)[0] == 0
    [job] = shell.jobs()
    assert job["request_reason"].startswith("cierre de octubre xxx")
    assert len(job["request_reason"]) == 300
    code, out, _ = shell.run("status", str(job["id"]), "--json")
    assert (code, json.loads(out)["request_reason"]) == (0, job["request_reason"])


def test_the_status_says_who_approved(shell: Shell) -> None:
    consulta = engine(shell.sides.consulta.url)
    store, approvals = JobRepository(consulta), Approvals(consulta)
    table = TableName.parse("public.items")
    spec = CopySpec("items", table, table, "liquidation_id")
    request = Request(spec, 42, None, Requester("T0", "U0ANA", "Ana"), approvers=("<!subteam^S0ADMINS>",))
    job_id, _ = store.create(request)
    code, out, _ = shell.run("status", str(job_id))
    assert (code, "Waiting for approval until" in out) == (0, True)
    approvals.approve(job_id, Requester("T0", "U0BOB", "Bob Brown"))
    assert "Approved by Bob Brown" in shell.run("status", str(job_id))[1]
    receipt = json.loads(shell.run("status", str(job_id), "--json")[1])
    assert (receipt["approval"], receipt["approval_by"]) == ("approved", "Bob Brown")
    assert receipt["approval_at"]
    consulta.dispose()


def test_the_help_is_in_the_shell_s_language(shell: Shell) -> None:
    for arguments in ((), ("copy",), ("status",)):
        code, english, _ = shell.run(*arguments, "--help")
        assert (code, english.startswith("Usage: traspaso")) == (0, True)
        code, spanish, _ = shell.run(*arguments, "--help", LANG="es_AR.UTF-8")
        assert (code, spanish.startswith("Uso: traspaso")) == (0, True)
        assert "Opciones:" in spanish
        same = {line.strip() for line in english.splitlines()} & {
            line.strip() for line in spanish.splitlines()
        }
        assert same <= {""}
    assert "Copia una liquidación de prod a consulta, y lo comprueba." in shell.run("-h", LANG="es_ES")[1]


def test_a_table_that_is_piped_is_whole_and_has_a_line_for_each_row(shell: Shell) -> None:
    name = "a-very-long-name-of-somebody-" * 8
    consulta = engine(shell.sides.consulta.url)
    table = TableName.parse("public.items")
    spec = CopySpec("items", table, table, "liquidation_id")
    for liquidation in (42, 43):
        request = Request(spec, liquidation, None, Requester("T0", "U0ANA", name))
        JobRepository(consulta).create(request)
    code, out, _ = shell.run("status", COLUMNS="40")
    lines = [line for line in out.splitlines() if name in line]
    assert (code, len(lines)) == (0, 2)
    assert all(line.endswith("UTC") for line in lines)
    consulta.dispose()


def test_a_copy_is_called_by_its_title_in_the_shell_too(shell: Shell) -> None:
    path = Path(shell.environment["TRASPASO_CONFIG"])
    path.write_text(FILE.replace('name = "items"', 'name = "items"\ntitle = "Ítems"'), "utf-8")
    assert "“Ítems” of liquidation 42" in shell.run("preview", "42")[1]
    assert "“Ítems” of liquidation 42" in shell.run("copy", "42")[2]
    assert "Ítems" in shell.run("status")[1]


def test_several_numbers_are_answered_with_one_at_a_time(shell: Shell) -> None:
    code, _, err = shell.run("preview", "42,43")
    assert (code, "one at a time: begin with 42" in err) == (2, True)


def test_several_liquidations_are_copied_with_a_line_for_each(shell: Shell) -> None:
    shell.sides.prod.execute("INSERT INTO items SELECT 1000000 + g, 43, g, 'n' FROM generate_series(1, 5) g")
    code, _, err = shell.run("copy", "42-43")
    assert code == 0
    assert [line.split(" ")[0] for line in err.splitlines() if line.startswith(("✅", "❌"))] == ["✅", "✅"]
    assert "2 of 2 copied and proven" in err
    runs = shell.sides.consulta.rows(
        "SELECT kind, liquidations, ended_at IS NOT NULL FROM traspaso.copy_runs"
    )
    assert runs == [("several", [42, 43], True)]


def test_of_several_liquidations_those_that_can_t_be_copied_are_named_and_the_exit_code_says_so(
    shell: Shell,
) -> None:
    code, _, err = shell.run("copy", "42,44")
    assert code == 1
    assert "❌ 44: liquidation 44 has no rows in prod" in err
    assert "1 of 2 copied and proven" in err
    assert shell.sides.consulta.rows("SELECT count(*) FROM items") == [(ROWS,)]


def test_more_than_fifty_liquidations_are_refused(shell: Shell) -> None:
    code, _, err = shell.run("copy", "1-51")
    assert (code, "at most 50 liquidations at a time: that would be 51" in err) == (2, True)


#: Escapes, a line of its own, text turned round, and what rich would take for markup.
#: The sessions that wait for a lock.
WAITS = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
HOSTILE = "Ana [/b] [red]\x1b[2J\x9b31m\nJob 99 completed\u2028\u202etxt\x07 :bomb:"


def test_no_name_acts_on_the_terminal_or_breaks_the_table(shell: Shell) -> None:
    shell.sides.prod.execute("CREATE TABLE listed (id bigint PRIMARY KEY, name text)")
    with psycopg.connect(shell.sides.prod.url) as prod:
        prod.execute("INSERT INTO listed VALUES (42, %s)", [HOSTILE])
    path = Path(shell.environment["TRASPASO_CONFIG"])
    path.write_text(f'[liquidations]\ntable = "public.listed"\n{FILE}', "utf-8")
    consulta = engine(shell.sides.consulta.url)
    table = TableName.parse("public.items")
    spec = CopySpec("items", table, table, "liquidation_id")
    job_id, _ = JobRepository(consulta).create(Request(spec, 42, HOSTILE, Requester("T0", "U0ANA", "Ana")))
    # A row of before, when names were kept as Slack gave them.
    with consulta.begin() as connection:
        connection.exec_driver_sql("UPDATE traspaso.users SET name = %s", (HOSTILE,))
        connection.exec_driver_sql("UPDATE traspaso.copy_jobs SET copy_name = %s", (HOSTILE,))
    consulta.dispose()
    for arguments in (
        ("preview", "42"),
        ("preview", "42", "--json"),
        ("status",),
        ("status", str(job_id)),
        ("status", "--json"),
        ("status", str(job_id), "--json"),
        ("freeze", HOSTILE),
        ("freeze", "again"),
        ("copy", "43", HOSTILE),
        ("copy", "42", "items", HOSTILE),
        ("copy", HOSTILE),
        (HOSTILE,),
        ("status", f"--{HOSTILE}"),
    ):
        _, out, err = shell.run(*arguments)
        said = out + err
        assert said.strip()
        assert "Traceback" not in said, said
        assert all(one_line(line) == line for line in said.split("\n")), (arguments, said)
        assert not any(line.startswith("Job 99") for line in said.splitlines()), (arguments, said)
    assert "Ana [/b] [red]" in shell.run("status", COLUMNS="200")[1]


def test_a_failed_copy_ends_with_1_and_says_why_without_a_value(shell: Shell) -> None:
    shell.sides.consulta.execute("ALTER TABLE items ADD CONSTRAINT small CHECK (amount < 4500)")
    code, _, err = shell.run("copy", "42", LANG="es_AR.UTF-8")
    assert code == 1
    [job] = shell.jobs()
    assert job["status"] == "failed"
    assert "small" in job["error_message"]
    said = err[err.index("❌") :]
    assert plain(explained(Failure.from_json(job["error"]), translator("es")).what) in said
    assert "small" in said
    assert "n4500" not in said
    code, out, _ = shell.run("status", str(job["id"]))
    assert code == 0
    assert job["error_message"] in out


def test_ctrl_c_cancels_at_a_chunk_s_end(shell: Shell) -> None:
    with psycopg.connect(shell.sides.consulta.url) as blocker:
        blocker.execute("INSERT INTO items VALUES (2500, 1, 1, '')")
        process = shell.begin("copy", "42")
        waiting = (
            "SELECT 1 FROM pg_stat_activity "
            "WHERE application_name LIKE 'traspaso % job %' AND wait_event_type = 'Lock'"
        )
        deadline = time.monotonic() + 60
        while not shell.sides.consulta.rows(waiting):
            assert time.monotonic() < deadline
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        blocker.rollback()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    [job] = shell.jobs()
    assert (job["status"], job["copied_records"]) == ("cancelled", 3000)
    assert "Traceback" not in err
    assert shell.run("copy", "42")[0] == 0
    shell.sides.assert_same()


def test_a_liquidation_that_is_being_copied_is_refused_with_the_job_s_number(shell: Shell) -> None:
    assert shell.run("copy", "42")[0] == 0
    shell.sides.consulta.execute(
        "UPDATE traspaso.copy_jobs SET status = 'running', lease_until = now() + interval '1 h'"
    )
    code, _, err = shell.run("copy", "42")
    assert code == 1
    assert f"traspaso status {shell.jobs()[0]['id']}" in err
    assert len(shell.jobs()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "copy",
        "copy 42x",
        "copy 0",
        "copy ٤٢",
        "copy 4_2",
        "copy -- -1",
        "copy 9223372036854775808",
        "copy 42 items extra",
        "copy 42 --yaml",
        "status x",
        "nosuch",
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_asked_for(arguments: str) -> None:
    found = CliRunner().invoke(main, arguments.split(), env={"TRASPASO_CONFIG": "/nowhere/traspaso.toml"})
    assert (found.exit_code, found.stdout) == (2, "")
    assert "Usage:" in found.stderr


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_a_copy_for_which_a_side_stands_still(shell: Shell, presses: int) -> None:
    """Once: after stop_seconds. Twice: at once, however long those are. The rows of the chunk are gone."""
    path = Path(shell.environment["TRASPASO_CONFIG"])
    stop_seconds = {1: 1, 2: 600}[presses]
    path.write_text(FILE.replace("stop_seconds = 60", f"stop_seconds = {stop_seconds}"), "utf-8")
    with psycopg.connect(shell.sides.consulta.url) as somebody:
        somebody.execute("INSERT INTO items VALUES (2500, 7, 0, 'in the way')")
        process = shell.begin("copy", "42", "--json")
        until(lambda: shell.sides.consulta.rows(WAITS), what="a statement that waits")
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)  # two signals at once are one
        process.communicate(timeout=15)
    assert process.returncode == 130
    [job] = shell.jobs()
    assert (job["status"], job["copied_records"], job["failures"]) == ("cancelled", 2000, 0)
    assert shell.sides.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 42") == [(2000,)]


def test_ctrl_c_ends_a_comparison_for_which_a_side_stands_still(shell: Shell) -> None:
    with psycopg.connect(shell.sides.consulta.url) as somebody:
        somebody.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        process = shell.begin("verify", "42")
        until(lambda: shell.sides.consulta.rows(WAITS), what="a statement that waits")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=15)
    assert (process.returncode, "broken off" in err) == (130, True)


def test_a_copy_that_is_not_configured_is_named_with_those_that_are(shell: Shell) -> None:
    code, _, err = shell.run("copy", "42", "nosuch")
    assert code == 2
    assert "'nosuch'" in err
    assert "items" in err
    assert shell.jobs() == []


def test_wrong_settings_end_with_2_and_are_all_named(sides: Sides, tmp_path: Path) -> None:
    shell = Shell(sides, tmp_path)
    code, _, err = shell.run("copy", "42", PROD_DATABASE_URL="", CONSULTA_DATABASE_URL=f"x://{PASSWORD}")
    assert code == 2
    assert "PROD_DATABASE_URL" in err
    assert "CONSULTA_DATABASE_URL" in err


def test_the_tracking_tables_are_asked_for_and_made_by_migrate(sides: Sides, tmp_path: Path) -> None:
    shell = Shell(sides, tmp_path)
    code, _, err = shell.run("status")
    assert code == 2
    assert "traspaso migrate" in err
    code, out, _ = shell.run("migrate")
    assert code == 0
    assert str(migrations.newest()) in out
    code, out, _ = shell.run("status")
    assert code == 0
    assert "42" not in out
    code, _, err = shell.run("status", "987654321")
    assert code == 1
    assert "987654321" in err


def test_a_database_that_is_away_ends_with_1_and_a_sentence(shell: Shell) -> None:
    url = "postgresql://postgres@127.0.0.1:1/x"
    for command in ("status", "migrate"):
        code, _, err = shell.run(command, CONSULTA_DATABASE_URL=url)
        assert code == 1
        assert "consulta" in err
        assert "Traceback" not in err


def test_a_liquidation_that_nobody_has_is_refused_before_there_is_a_job(shell: Shell) -> None:
    code, _, err = shell.run("copy", "4242")
    assert code == 1
    assert "nothing to copy" in err
    assert not shell.jobs()


def test_rows_that_prod_lost_are_removed_from_consulta_only_if_that_is_said(shell: Shell) -> None:
    shell.sides.consulta.execute("INSERT INTO items VALUES (1, 77, 1, 'left')")
    code, _, err = shell.run("copy", "77")
    assert code == 1
    assert "--remove" in err
    assert shell.sides.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 77") == [(1,)]
    assert shell.run("copy", "77", "--remove")[0] == 0
    assert shell.sides.consulta.rows("SELECT count(*) FROM items WHERE liquidation_id = 77") == [(0,)]


def test_a_failed_copy_shows_no_traceback_unless_the_log_is_asked_for(shell: Shell) -> None:
    shell.sides.consulta.execute("ALTER TABLE items ADD CONSTRAINT small CHECK (amount < 4500)")
    assert "Traceback" not in shell.run("copy", "42")[2]
    assert "small" in shell.run("-v", "copy", "42")[2]


def test_a_preview_tells_both_counts_and_the_index_that_is_missing(shell: Shell) -> None:
    shell.sides.consulta.execute("DROP INDEX items_liquidation_id_id_idx")
    code, out, _ = shell.run("preview", "42")
    assert code == 0
    assert f"{ROWS:,}" in out
    assert "consulta" in out
    assert "CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, id);" in out
    code, out, _ = shell.run("preview", "42", "--json")
    seen = json.loads(out)
    assert (seen["in_prod"], seen["in_consulta"]["rows"]) == ({"rows": ROWS, "exact": True}, 0)
    assert [advice["side"] for advice in seen["advice"]] == ["consulta"]
    assert seen["large_object_columns"] == []
    assert not shell.jobs()


def test_a_preview_tells_which_columns_point_to_large_objects(shell: Shell) -> None:
    shell.sides.both("ALTER TABLE items ADD scan oid")
    shell.sides.prod.execute("UPDATE items SET scan = lo_from_bytea(0, 'payslip') WHERE id = 1")
    code, out, _ = shell.run("preview", "42")
    assert code == 0
    assert "Column scan points to large objects, which are not copied" in out
    code, out, _ = shell.run("preview", "42", "--json")
    assert json.loads(out)["large_object_columns"] == ["scan"]


def test_verify_agrees_after_a_copy_and_names_the_keys_that_differ_after_a_change(shell: Shell) -> None:
    assert shell.run("copy", "42")[0] == 0
    code, out, _ = shell.run("verify", "42")
    assert (code, f"{ROWS:,}" in out) == (0, True)
    shell.sides.consulta.execute("UPDATE items SET amount = amount + 1 WHERE id = 2500")
    before = shell.sides.consulta.rows("SELECT ctid::text, xmin::text FROM items ORDER BY id")
    code, out, _ = shell.run("verify", "42")
    assert code == 1
    assert "(2000, 3000]" in out
    code, out, _ = shell.run("verify", "42", "--json")
    *ranges, whole = [json.loads(line) for line in out.splitlines()]
    assert [part["number"] for part in ranges if not part["agree"]] == [3]
    assert (code, whole["agree"], whole["prod"]["rows"]) == (1, False, ROWS)
    assert shell.sides.consulta.rows("SELECT ctid::text, xmin::text FROM items ORDER BY id") == before


def test_defaults_of_the_databases_are_not_in_the_way(shell: Shell) -> None:
    """Lanes and heartbeats change one row at the same time, which a stricter isolation would refuse."""
    path = Path(shell.environment["TRASPASO_CONFIG"])
    path.write_text(FILE.replace("parallel = 1", "parallel = 4\nlease_seconds = 2"), "utf-8")
    for side in (shell.sides.prod, shell.sides.consulta):
        side.execute(f"ALTER DATABASE {side.name} SET default_transaction_isolation = 'serializable'")
    code, _, err = shell.run("copy", "42")
    assert code == 0, err
    shell.sides.assert_same()
    assert shell.jobs()[0]["attempt"] == 1


CATALOGUE = '[liquidations]\ntable = "public.liquidations"\n'


@pytest.mark.parametrize(
    ("catalogue", "liquidation", "code", "said"),
    [
        ("", "7777", 1, "Neither prod nor consulta has rows of it. Check the number"),
        (CATALOGUE, "7777", 1, "The catalogue of liquidations in prod doesn't know it. Check the number"),
        (CATALOGUE, "50", 0, "The catalogue of liquidations in prod knows it: there is nothing to compare"),
    ],
)
def test_verify_of_a_liquidation_that_nobody_has_agrees_only_where_the_catalogue_knows_it(
    shell: Shell, catalogue: str, liquidation: str, code: int, said: str
) -> None:
    shell.sides.prod.execute("CREATE TABLE liquidations (id int PRIMARY KEY, name text)")
    shell.sides.prod.execute("INSERT INTO liquidations VALUES (50, 'empty')")
    Path(shell.environment["TRASPASO_CONFIG"]).write_text(catalogue + FILE, "utf-8")
    found, out, _ = shell.run("verify", liquidation)
    assert (found, said in out, "agree" in out) == (code, True, False)
    found, out, _ = shell.run("verify", liquidation, "--json")
    whole = json.loads(out.splitlines()[-1])
    assert (found, whole["known"]) == (code, None if not catalogue else liquidation == "50")
    assert whole["counted"] == {"prod": 0, "consulta": 0}


def test_the_preview_names_the_rows_that_will_be_taken_and_the_triggers_that_fire(shell: Shell) -> None:
    shell.sides.consulta.execute("""
        INSERT INTO items SELECT g, 41, g, 'moved' FROM generate_series(1, 7) g;
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
        CREATE TRIGGER stamp BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION stamp();
    """)
    code, out, _ = shell.run("preview", "42")
    assert code == 0
    assert "7 rows of other liquidations in consulta move to this one" in out
    assert "stamp on public.items" in out


def test_a_freeze_of_the_shell_may_end_by_itself(shell: Shell) -> None:
    code, out, err = shell.run("freeze", "--until", "2h", "maintenance")
    assert (code, err) == (0, "")
    assert "maintenance · until" in out
    shell.sides.consulta.execute("UPDATE traspaso.copy_freezes SET until = now()")
    assert shell.run("unfreeze")[0] == 1
    code, _, err = shell.run("freeze", "--until", "late")
    assert (code, "such as 18:00" in err) == (2, True)


def test_the_schedules_are_listed_with_their_next_and_last_times_and_the_windows(
    shell: Shell, tmp_path: Path
) -> None:
    assert "no [[schedules]]" in shell.run("schedules")[1]
    path = tmp_path / "scheduled.toml"
    path.write_text(
        FILE
        + """
[[schedules]]
name = "nightly"
cron = "0 2 * * *"
copy = "items"
liquidation = 42
as_user = "U0OPS"
channel = "C0PAYROLL"
[[freezes]]
name = "always"
cron = "0 0 * * *"
lasts = "2d"
reason = "closing"
""",
        "utf-8",
    )
    shell.sides.consulta.execute(
        "INSERT INTO traspaso.schedule_firings (schedule, due_at, copy_name, as_user, channel_id, state) "
        "VALUES ('nightly', '2026-11-26 02:00Z', 'items', 'U0OPS', 'C0PAYROLL', 'missed'), "
        "('weekly', '2026-11-20 02:00Z', 'items', 'U0OPS', 'C0PAYROLL', 'done')"
    )
    code, out, err = shell.run("schedules", TRASPASO_CONFIG=str(path))
    assert (code, err) == (0, "")
    assert "0 2 * * * (UTC)" in out
    assert "2:00:00" in out
    assert "missed" in out
    assert "not in the configuration any more" in out
    assert "closing" in out
    _, out, _ = shell.run("schedules", "--json", TRASPASO_CONFIG=str(path))
    found = [json.loads(line) for line in out.splitlines()]
    assert [(each.get("schedule"), each.get("freeze_window")) for each in found[:3]] == [
        ("nightly", None),
        ("weekly", None),
        (None, "always"),
    ]
    assert len(found[0]["next"]) == 3
    # In a window of the file nothing is copied, though no other process has seen it.
    code, _, err = shell.run("copy", "42", TRASPASO_CONFIG=str(path))
    assert (code, "freeze window always" in err) == (1, True)

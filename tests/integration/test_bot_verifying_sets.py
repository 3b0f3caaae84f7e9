"""A whole liquidation compared in Slack and in a shell: what differs in each table, or why it was not."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from slack_bolt import App
from sqlalchemy import create_engine

from bot.app import build_app
from bot.commands.copy_verify import VerificationRunner
from bot.config import File
from bot.i18n import translator
from bot.messages import verification
from bot.messages.blocks import of_liquidation, read_out
from bot.slack.client import client
from copier import CopySet
from dev.local_slack.client import LocalSlack
from tests.copying import Sides, engine
from tests.payroll import COPIES, SETS, TABLES, filled
from tests.services import dispatched, parts_of
from tests.shell import Shell
from tests.support import Database, until
from tests.tracking import Jobs

EN = translator("en")


@pytest.fixture
def payroll(sides: Sides, tracked: Database, tmp_path: Path) -> Shell:
    """Both sides hold the same of liquidation 42, and the configuration has it as a set."""
    sides.both(TABLES)
    sides.prod.execute(filled(300))
    shell = Shell(sides, tmp_path)
    (tmp_path / "traspaso.toml").write_text(SETS, "utf-8")
    file = File.model_validate(_read(SETS))
    specs = [copy.spec for copy in file.copies]
    with CopySet(engine(sides.prod.url), engine(sides.consulta.url), specs, 42) as copies:
        assert copies.run().is_whole
    return shell


def _read(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)


class Site:
    """A bot at a local Slack, with the set above."""

    def __init__(self, slack: LocalSlack, sides: Sides, file: str = SETS) -> None:
        self.slack = slack
        self.jobs = Jobs(sides.consulta, are_there=True)
        web = client(slack.bot_token, slack.api_url)
        read = File.model_validate(_read(file) | {"slack": {"admin_groups": ["S0ADMINS"]}})
        prod = create_engine(sides.prod.url.replace("postgresql://", "postgresql+psycopg://", 1))
        self.verifications = VerificationRunner(prod, self.jobs.engine, read.work.limits)
        parts = parts_of(web, self.jobs, self.jobs.engine, prod, read, verifications=self.verifications)
        self.app: App = build_app(parts, web)

    def typed(self, text: str, user: str = "U0BOB") -> None:
        self._sent({"type": "slash_commands", "command": "/copy-verify", "text": text}, user)

    def pressed(self, action_id: str, value: str) -> None:
        action = {"type": "button", "action_id": action_id, "block_id": "b", "value": value}
        self._sent({"type": "block_actions", "actions": [action], "user": {"id": "U0BOB"}}, "U0BOB")

    def heard(self, words: str) -> dict[str, Any]:
        """The answer with these words, as soon as it is there."""

        def said() -> dict[str, Any] | None:
            calls = self.slack.calls("response_url")
            return next((call.args for call in calls if words in str(call.args.get("text"))), None)

        return dict(self.slack.wait_for(said, timeout=20.0))

    def _sent(self, body: dict[str, Any], user: str) -> None:
        body |= {"team_id": "T0ACME", "user_id": user, "team": {"id": "T0ACME"}, "channel_id": "C0PAYROLL"}
        body |= {"response_url": f"{self.slack.url}/response/none"}
        dispatched(self.app, body)


@pytest.fixture
def site(slack: LocalSlack, payroll: Shell) -> Iterator[Site]:
    made = Site(slack, payroll.sides)
    yield made
    made.verifications.stop()
    made.jobs.engine.dispose()


def blocks_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = answer["blocks"]
    return list(blocks if isinstance(blocks, list) else json.loads(blocks))


def table_of(answer: dict[str, Any]) -> list[list[str]]:
    [table] = [block for block in blocks_of(answer) if block["type"] == "table"]
    return [[cell["text"] for cell in row] for row in table["rows"]]


WHAT = of_liquidation("Liquidación completa", 42, EN)


def test_the_default_set_is_compared_and_said_to_be_the_same_as_of_one_moment(site: Site) -> None:
    site.typed("42")
    answer = site.heard(f"{WHAT} is the same on both sides, as prod held it at ")
    assert "851 rows in 4 tables." in answer["text"]
    assert table_of(answer) == [
        ["Which copy", "Rows in prod", "Rows in consulta", "Result"],
        ["head", "1", "1", "the same"],
        ["Recibos", "100", "100", "the same"],
        ["lines", "500", "500", "the same"],
        ["deductions", "250", "250", "the same"],
    ]


def test_tables_that_differ_say_by_how_many_rows_and_what_to_type(site: Site, payroll: Shell) -> None:
    payroll.sides.consulta.execute("""
        UPDATE payslip_lines SET note = 'secret' WHERE payslip_id = 1;
        DELETE FROM deductions WHERE line_id IN (SELECT id FROM payslip_lines WHERE payslip_id = 7);
        INSERT INTO payslips VALUES (9999, 42, 'somebody');
    """)
    site.typed("42 completa")
    answer = site.heard(f"{WHAT} differs in 3 of 4 tables")
    assert "`/copy-liquidation 42 completa`" in answer["text"]
    assert [row[3] for row in table_of(answer)[1:]] == [
        "the same",
        "1 surplus row",
        "5 rows differ",
        "5 rows missing",
    ]
    assert "secret" not in json.dumps(answer)
    [button] = [each["elements"][0] for each in blocks_of(answer) if each["type"] == "actions"]
    assert button["text"]["text"] == "Copy"
    site.pressed(button["action_id"], button["value"])
    site.heard(f"Copy {WHAT}?")


def test_a_copy_and_another_set_are_compared_by_their_names(site: Site) -> None:
    site.typed("42 lines")
    site.heard(f"Both sides of {of_liquidation('lines', 42, EN)} agree: 500 rows.")
    site.typed("42 corta")
    site.heard("101 rows in 2 tables.")
    site.typed("42 nosuch")
    assert "`completa`, `corta`" in site.heard("nosuch")["text"]


def test_whoever_may_not_run_each_copy_of_a_set_may_not_compare_it(slack: LocalSlack, payroll: Shell) -> None:
    file = SETS.replace('title = "Recibos"', 'title = "Recibos"\nallowed_users = ["U0ANA"]')
    site = Site(slack, payroll.sides, file)
    site.typed("42")
    site.heard("You may not use `/copy-verify`")
    site.typed("42 lines")
    site.heard(f"Both sides of {of_liquidation('lines', 42, EN)} agree")
    site.verifications.stop()


def test_a_table_that_is_missing_is_named_with_the_next_step(site: Site, payroll: Shell) -> None:
    payroll.sides.consulta.execute("DROP TABLE deductions")
    site.typed("42")
    answer = site.heard(f"{WHAT}: 1 of 4 tables couldn't be compared; the others are the same")
    assert "Table `public.deductions` was not found in consulta. Check its name" in answer["text"]
    assert [row[3] for row in table_of(answer)[1:]] == ["the same"] * 3 + ["not compared"]


def test_a_masked_column_is_compared_as_it_was_meant_to_arrive(slack: LocalSlack, payroll: Shell) -> None:
    site = Site(slack, payroll.sides, SETS.replace('title = "Recibos"', 'columns = { employee = "mask" }'))
    site.typed("42")
    answer = site.heard(f"{WHAT} differs in 1 of 4 tables")
    assert table_of(answer)[2] == ["payslips", "100", "100", "100 rows differ"]
    payroll.sides.consulta.execute("UPDATE payslips SET employee = 'e***'")
    site.typed("42")
    site.heard(f"{WHAT} is the same on both sides")
    site.verifications.stop()


def test_while_prod_stands_still_it_says_so_and_is_cancelled_by_whoever_asked(
    site: Site, payroll: Shell
) -> None:
    with psycopg.connect(payroll.sides.prod.url) as connection:
        connection.execute("LOCK TABLE deductions IN ACCESS EXCLUSIVE MODE")
        site.typed("42")
        answer = site.heard(read_out(f"Comparing both sides of {WHAT}…"))
        blocks = json.dumps(answer["blocks"])
        assert verification.CANCEL_ACTION in blocks
        site.pressed(verification.CANCEL_ACTION, "42 completa")
        site.heard(f"The comparison of {WHAT} was cancelled for you.")
        deadline = time.monotonic() + 20
        while connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'traspaso verify'"
        ).fetchall():
            assert time.monotonic() < deadline
            connection.execute("SELECT pg_stat_clear_snapshot()")
            threading.Event().wait(0.05)


def test_a_set_that_is_being_copied_is_not_compared_meanwhile(site: Site) -> None:
    from copier import CopySpec, TableName

    spec = CopySpec(
        "lines", TableName("public", "payslip_lines"), TableName("public", "payslip_lines"), "liquidation_id"
    )
    job_id = site.jobs.create(42, spec=spec)
    assert site.jobs.executions.claim(job_id, "host:1") is not None
    site.typed("42")
    assert f"job {job_id}" in site.heard("running")["text"].lower()


# In a shell.


def test_a_shell_compares_the_default_set_with_a_line_for_each_table(payroll: Shell) -> None:
    code, out, err = payroll.run("verify", "42")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split() for line in lines[1:5]] == [
        ["head", "1", "1", "the", "same"],
        ["Recibos", "100", "100", "the", "same"],
        ["lines", "500", "500", "the", "same"],
        ["deductions", "250", "250", "the", "same"],
    ]
    assert lines[5].startswith(f"✅ {WHAT} is the same on both sides, as prod held it at ")


def test_a_shell_exits_1_where_a_set_differs_or_a_table_is_missing(payroll: Shell) -> None:
    payroll.sides.consulta.execute("UPDATE payslip_lines SET note = 'x' WHERE payslip_id = 1")
    code, out, _ = payroll.run("verify", "42", "--set", "completa", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, found[-1]["set"], found[-1]["agree"], found[-1]["liquidation_id"]) == (
        1,
        "completa",
        False,
        42,
    )
    tables = found[-5:-1]
    assert [(each["copy"], each["agree"], each["differing"]) for each in tables] == [
        ("head", True, 0),
        ("payslips", True, 0),
        ("lines", False, 5),
        ("deductions", True, 0),
    ]
    assert {each["copy"] for each in found if "lower_key" in each} == set(COPIES)
    payroll.sides.consulta.execute("DROP TABLE deductions")
    code, out, _ = payroll.run("verify", "42")
    assert (code, "lines: chunk" in out) == (1, True)
    assert "❌ deductions: Table public.deductions was not found in consulta." in out
    assert payroll.run("verify", "42", "corta")[0] == 0
    assert payroll.run("verify", "42", "payslips")[0] == 0
    assert payroll.run("verify", "42", "lines", "--set", "corta")[0] == 2
    assert payroll.run("verify", "7777", "--set", "corta")[0] == 1


def test_ctrl_c_ends_the_comparison_of_a_set_while_prod_stands_still(payroll: Shell) -> None:
    with psycopg.connect(payroll.sides.prod.url, autocommit=True) as connection, connection.transaction():
        connection.execute("LOCK TABLE deductions IN ACCESS EXCLUSIVE MODE")
        process = payroll.begin("verify", "42")
        waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
        until(lambda: payroll.sides.prod.rows(waits), 20, "a comparison that waits")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(20)
    assert (process.returncode, "was broken off; nothing was written" in err) == (130, True)


def test_a_preview_of_a_set_has_a_line_for_each_table_with_what_would_be_done(payroll: Shell) -> None:
    payroll.sides.consulta.execute("DELETE FROM deductions")
    code, out, err = payroll.run("preview", "42")
    lines = out.splitlines()
    assert (code, err, lines[0]) == (0, "", WHAT)
    assert [line.split()[:3] for line in lines[3:7]] == [
        ["head", "1", "1"],
        ["Recibos", "100", "100"],
        ["lines", "500", "500"],
        ["deductions", "250", "0"],
    ]
    payroll.sides.consulta.execute("DROP TABLE deductions")
    code, out, _ = payroll.run("preview", "42", "--set", "completa", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, found[-1]) == (
        1,
        {"set": "completa", "liquidation_id": 42, "copies": list(COPIES)},
    )
    assert [each["copy"] for each in found[:-1]] == list(COPIES)
    assert found[1]["in_prod"] == {"rows": 100, "exact": True}
    assert "public.deductions not found in consulta" in found[3]["problem"]

"""The receipts for people: `traspaso audit` in a shell, and /copy-audit as a file in a direct message."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.socket_mode.request import SocketModeRequest
from sqlalchemy import text

from bot.app import acknowledged, build_app
from bot.config import CopySection, File, SlackSection
from bot.i18n import translator
from bot.jobs.actions import Approvals
from bot.jobs.receipts import Entry, hash_of
from bot.messages import receipts
from bot.slack.client import client
from dev.local_slack.client import LocalSlack
from dev.local_slack.results import Message
from tests.services import parts_of
from tests.shell import ROWS, Shell
from tests.tracking import BOB, PLAN, PROOF, TABLE, Ends, Jobs

ES, EN = translator("es"), translator("en")


def this_month() -> str:
    return datetime.now(UTC).strftime("%Y-%m")


def table(written: str | bytes) -> list[dict[str, str]]:
    text = written.decode("utf-8-sig") if isinstance(written, bytes) else written
    return list(csv.DictReader(io.StringIO(text, newline="")))


def end(jobs: Jobs, liquidation: int = 42, **values: Any) -> int:
    attempt = jobs.claimed(liquidation=liquidation, **values)
    attempt.planned(PLAN)
    Ends(attempt).completed(PROOF)
    return attempt.job_id


# --------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("dangerous", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", " =1+1", "\r\n=1+1", "＝1"])
def test_no_cell_is_a_formula_to_a_spreadsheet(dangerous: str) -> None:
    entry = Entry({"label": dangerous, "ended_reason": dangerous, "requested_by": {"name": dangerous}})
    [row] = table(receipts.csv_file([entry]))
    for column in ("label", "ended_reason", "requested_by"):
        assert row[column].startswith("'")
        assert "\n" not in row[column]


def test_what_is_no_formula_stays_as_it_is_quoted_where_it_has_to_be() -> None:
    label = 'Liquidación “octubre”, "2026"; 1-2'
    [row] = table(
        receipts.csv_file([Entry({"label": label, "rows_in_prod": 10**17, "removal_confirmed": True})])
    )
    assert (row["label"], row["rows_in_prod"], row["removal_confirmed"]) == (label, str(10**17), "yes")
    assert row["hash"] == row["failure"] == ""


def test_every_field_of_a_receipt_has_its_column(jobs: Jobs) -> None:
    end(jobs)
    [(content,)] = rows(jobs, "SELECT receipt FROM traspaso.receipts")
    assert set(content) - set(receipts.COLUMNS) == {"format"}


def rows(jobs: Jobs, statement: str) -> list[Any]:
    with jobs.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


# -------------------------------------------------------------------------------------- the shell


def test_a_month_is_listed_as_csv_or_json_and_its_chain_holds(shell: Shell, tmp_path: Path) -> None:
    for _ in range(2):
        shell.run("copy", "42", "items")
    code, out, err = shell.run("audit", this_month())
    first, second = table(out)
    assert code == 0
    assert (first["liquidation"], second["liquidation"]) == ("42", "42")
    assert (first["inserted"], second["unchanged"]) == (str(ROWS), str(ROWS))
    assert first["prod_digest"] == first["consulta_digest"] != ""
    assert second["previous_hash"] == first["hash"]
    assert err.strip().endswith(second["hash"])

    code, out, _ = shell.run("audit", "--format", "json", "--liquidation", "42")
    _, found = [json.loads(line) for line in out.splitlines()]
    assert found["hash"] == second["hash"] == hash_of(found["previous_hash"], found["receipt"])
    assert found["receipt"]["requested_by"]["team"] == "shell"

    path = tmp_path / "audit.csv"
    assert shell.run("audit", "--job", first["job"], "--output", str(path))[:2] == (0, "")
    assert [row["job"] for row in table(path.read_bytes())] == [first["job"]]
    assert shell.run("audit", "2020")[1].count("\n") == 1

    code, out, _ = shell.run("audit", "--verify")
    assert code == 0
    assert out.splitlines()[-1] == second["hash"]
    assert shell.run("audit", "--verify", "--noted", first["hash"], "--noted", second["hash"])[0] == 0


def test_a_broken_chain_exits_1_and_names_the_first_broken_link(shell: Shell) -> None:
    assert "no receipt yet" in shell.run("audit", "--verify")[1]
    for _ in range(3):
        shell.run("copy", "42", "items")
    newest = shell.run("audit", "--verify")[1].splitlines()[-1]
    consulta = shell.sides.consulta
    consulta.execute(
        "UPDATE traspaso.receipts SET receipt = receipt || '{\"liquidation\": 7}' WHERE number = 2"
    )
    code, out, err = shell.run("audit", "--verify")
    assert (code, out) == (1, "")
    assert "the chain is broken: receipt 2 (job " in err
    assert "was changed after it was written" in err
    consulta.execute("DELETE FROM traspaso.receipts WHERE number = 2")
    assert "receipt 2 is missing" in shell.run("audit", "--verify")[2]
    consulta.execute("DELETE FROM traspaso.receipts WHERE number > 1")
    assert shell.run("audit", "--verify")[0] == 0
    code, _, err = shell.run("audit", "--verify", "--noted", newest)
    assert code == 1
    assert f"no receipt with the hash {newest}" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("novimebre",), "is no year, month or day"),
        (("2026-11..2026-10",), "ends before it begins"),
        ((this_month(), "--verify"), "--verify looks at all receipts"),
        (("--noted", "0" * 64), "--noted is for --verify"),
        (("--output", "/no/such/folder/x.csv"), "can't be written"),
    ],
)
def test_what_can_t_be_done_is_said(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = shell.run("audit", *arguments)
    assert code in {1, 2}
    assert out == ""
    assert words in err
    assert "Traceback" not in err


# ------------------------------------------------------------------------------------------ Slack


class Desk:
    """A bot whose file is this, and people who type."""

    def __init__(self, slack: LocalSlack, jobs: Jobs, settings: SlackSection) -> None:
        self.slack = slack
        web = client(slack.bot_token, slack.api_url)
        own = CopySection(name="own", source_table=TABLE, target_table=TABLE, allowed_users=("U0CARLA",))
        copy = CopySection(name="items", source_table=TABLE, target_table=TABLE)
        self.app = build_app(parts_of(web, jobs, file=File(slack=settings, copies=(copy, own))), web)

    def type(self, person: str, text: str) -> Message:
        """What this person reads in the channel after /copy-audit with this text."""
        before = len(self._said(person))
        payload = {
            "type": "slash_commands",
            "command": "/copy-audit",
            "text": text,
            "team_id": "T0ACME",
            "user_id": person,
            "channel_id": "C0PAYROLL",
        }
        acknowledged(self.app, SocketModeRequest("slash_commands", f"{person}{before}", payload))
        return self.slack.wait_for(lambda: (said := self._said(person))[before:] and said[-1])

    def files(self, person: str) -> list[Message]:
        direct = self.slack.user(person).dm_with("U0BOT")
        return [message for message in self.slack.user(person).messages(direct) if message.files]

    def _said(self, person: str) -> list[Message]:
        return [each for each in self.slack.user(person).messages("C0PAYROLL") if each.ephemeral]


@pytest.fixture
def desk(slack: LocalSlack, jobs: Jobs) -> Iterator[Desk]:
    yield Desk(slack, jobs, SlackSection(admin_groups=("S0ADMINS",), operators=("U0CARLA",)))


def test_an_admin_gets_the_receipts_of_a_month_as_a_file_in_a_direct_message(desk: Desk, jobs: Jobs) -> None:
    job_id = jobs.create(approvers=("<@U0BOB>",), label="=HYPERLINK(0)")
    Approvals(jobs.engine).reject(job_id, BOB, "ya está copiada")
    end(jobs, 43)
    said = desk.type("U0ANA", this_month())
    assert (
        ES.plural(
            "{n} receipt of {period} is in a direct message to you, as a file.",
            "{n} receipts of {period} are in a direct message to you, as a file.",
            2,
            period=this_month(),
        )
        in said.plain
    )
    [message] = desk.files("U0ANA")
    [file] = message.files
    assert file["name"] == f"traspaso-{this_month()}.csv"
    rejected, completed = table(desk.slack.download(file))
    assert (rejected["job"], rejected["ended_by"], rejected["ended_reason"]) == (
        str(job_id),
        "Bob",
        "ya está copiada",
    )
    assert rejected["label"] == "'=HYPERLINK(0)"
    assert completed["previous_hash"] == rejected["hash"]
    assert completed["hash"] in message.text


def test_without_a_month_it_is_the_present_one_and_an_operator_may_see_it_too(desk: Desk, jobs: Jobs) -> None:
    end(jobs)
    desk.type("U0CARLA", "")
    assert len(desk.files("U0CARLA")) == 1


def test_whoever_may_run_only_a_copy_of_their_own_sees_no_receipts_of_all(
    slack: LocalSlack, jobs: Jobs
) -> None:
    end(jobs)
    desk = Desk(slack, jobs, SlackSection(admin_groups=("S0ADMINS",)))
    said = desk.type("U0CARLA", this_month())
    assert ES("You may not use `{command}`.", command="/copy-audit") in said.plain
    assert desk.files("U0CARLA") == []
    assert not slack.calls("files.getUploadURLExternal")


def test_what_is_no_month_and_a_month_without_an_end_are_said(desk: Desk) -> None:
    assert EN("“{word}” is no month.", word="novimebre") in desk.type("U0BOB", "novimebre").plain
    assert EN("No copy has ended in {period}.", period="2020-01") in desk.type("U0BOB", "2020-01").plain
    assert "/copy-audit 2026-11" in desk.type("U0BOB", "help").plain


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
def test_where_slack_takes_no_file_that_is_said_with_the_next_step(
    desk: Desk, jobs: Jobs, method: str
) -> None:
    end(jobs)
    desk.slack.fault(method, error="internal_error", times=None)
    said = desk.type("U0BOB", this_month()).plain
    assert EN("Slack took no file with the receipts.") in said
    assert "internal_error" in said


def test_an_app_without_the_new_scope_is_told_to_be_installed_again(desk: Desk, jobs: Jobs) -> None:
    end(jobs)
    scopes = desk.slack.ask("info")["scopes"]
    desk.slack.set_scopes([scope for scope in scopes if scope != "files:write"])
    said = desk.type("U0BOB", this_month()).plain
    assert "files:write" in said

"""What the pages say to type or to write, really done between two servers."""

from __future__ import annotations

import re
import shlex

import pytest

from dev.guard import ROOT
from tests.shell import Shell
from tests.support import Database


def test_the_example_of_the_engine_as_a_library_copies_and_proves(
    prod: Database, consulta: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text("utf-8")
    example = re.findall(r"(?s)```python\n(.+?)```", page)
    assert len(example) == 1
    for database in (prod, consulta):
        database.execute(
            "CREATE TABLE liquidation_items (id bigint PRIMARY KEY, liquidation_id bigint, note text)"
        )
    prod.execute("INSERT INTO liquidation_items SELECT i, 42, 'x' FROM generate_series(1, 5000) i")
    exec(compile(example[0], "docs/how-it-works.md", "exec"), {"PROD": url(prod), "CONSULTA": url(consulta)})
    assert capsys.readouterr().out != ""
    assert consulta.rows("SELECT count(*) FROM liquidation_items WHERE liquidation_id = 42") == [(5000,)]


def url(database: Database) -> str:
    return database.url.replace("postgresql://", "postgresql+psycopg://", 1)


def test_the_commands_of_the_command_line_s_page_do_what_it_says(shell: Shell) -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    lines = re.findall(r"(?m)^    traspaso (.+)$", page)
    assert lines[0].split()[0] == "migrate"
    for line in lines:
        words = shlex.split(line, comments=True)
        code, out, error = shell.run(*words)
        if words == ["doctor"]:  # there is no Slack here, and it says so
            assert (code, "What to do:" in out) == (1, True), (line, error)
        elif "17" in words:
            assert (code, "there is no job 17" in error) == (1, True), (line, error)
        else:
            assert code == 0, (line, error)
    assert [job["status"] for job in shell.jobs()] == ["completed", "completed"]
    assert shell.run("unfreeze")[0] == 0

"""The example of the engine as a library, as docs/how-it-works.md has it, run between two servers."""

from __future__ import annotations

import re

import pytest

from dev.guard import ROOT
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

"""The bot's statements leave the name of the tracking schema to the engine: each installation has its own."""

from __future__ import annotations

import re

from bot.jobs.models import Base
from dev.guard import ROOT

TABLES = "|".join(table.name for table in Base.metadata.tables.values())
#: A model's foreign key is written with the name that the models have for the schema.
NAMED = re.compile(rf'(?<!ForeignKey\(")\btraspaso"?\.({TABLES})\b')


def test_no_statement_of_the_bot_names_the_schema_of_the_tracking_tables() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "bot").rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if NAMED.search(line)
    ]
    assert found == []
